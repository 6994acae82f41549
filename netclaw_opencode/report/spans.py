"""A transcript as spans of OpenTelemetry, by its conventions for generative AI, sent to a collector over OTLP/HTTP.

Owns names, attributes and times of the spans, and the sending; the library is imported when something is sent (the extra ``otel``). No
prompt, answer or text of a tool is in a span unless the caller asks for it. docs/decisions/0014-opentelemetry.md says why it is so.
"""

from __future__ import annotations

import hashlib
import json
import logging
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, TypeAlias

from netclaw_opencode.errors import CODES, ActionFailed, InvalidInput
from netclaw_opencode.records.trajectory import ModelCall, Prompt, Session, ToolCall, Trajectory, Usage
from netclaw_opencode.report.sub_agents import SUB_AGENT, find_callers

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

TEXTS_SETTING = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
"""The conventions' own variable for texts in spans."""
_NAME = "netclaw-opencode"
_CONVENTIONS = "https://opentelemetry.io/schemas/1.41.0"
_LIBRARY = "opentelemetry"
_LOGGER = "opentelemetry.exporter.otlp"
_ENDPOINT = "http://localhost:4318"
_PROVIDERS: Mapping[str, str] = {
    "amazon-bedrock": "aws.bedrock",
    "azure": "azure.ai.openai",
    "google": "gcp.gemini",
    "google-vertex": "gcp.vertex_ai",
    "mistral": "mistral_ai",
    "xai": "x_ai",
}
"""OpenCode's names of providers for which the conventions have another one."""

Attribute: TypeAlias = str | int | float | bool | tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Span:
    """A span to be: times are epoch milliseconds; ``error_type`` is None if it ended well."""

    key: str
    parent: str | None
    name: str
    began_ms: int
    ended_ms: int
    attributes: Mapping[str, Attribute]
    is_client: bool = False
    error_type: str | None = None
    problem: str = ""


def wants_texts(environ: Mapping[str, str]) -> bool:
    """Return whether the conventions' own variable asks for texts in spans."""
    return environ.get(TEXTS_SETTING, "").strip().lower() in ("true", "span_only", "span_and_event")


def spans_of(trajectory: Trajectory, *, with_texts: bool = False) -> list[Span]:
    """Return the spans of a task, each after its parent: the task, its sessions, model calls and tools."""
    return _Builder(trajectory, with_texts=with_texts).build()


def require_extra() -> None:
    """Refuse where the library is missing, before anything of it is imported.

    Raises:
        InvalidInput: ``extra_missing``.
    """
    import importlib.util

    if importlib.util.find_spec(_LIBRARY) is None or importlib.util.find_spec(f"{_LIBRARY}.exporter") is None:
        raise InvalidInput(
            "extra_missing",
            "spans need the extra 'otel', and opentelemetry-exporter-otlp-proto-http is not installed",
            next="pip install 'netclaw-opencode[otel]'",
            details={"extra": "otel", "missing": ["opentelemetry-exporter-otlp-proto-http"]},
        )


def send(trajectory: Trajectory, environ: Mapping[str, str], *, with_texts: bool, limit_seconds: float) -> tuple[int, str]:
    """Send the spans of a task to the collector that ``OTEL_EXPORTER_OTLP_*`` names; return their number, and where they went.

    Args:
        trajectory: The task.
        environ: The environment.
        with_texts: Whether prompts, answers and texts of tools are in them.
        limit_seconds: When to give up, repetitions included.

    Raises:
        InvalidInput: ``extra_missing``.
        ActionFailed: ``export_failed``: the collector did not take them.
    """
    require_extra()
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace.export import SpanExportResult

    endpoint, headers = _target(environ)
    shown = endpoint.rsplit("@", 1)[-1].partition("?")[0]
    made = _finished(spans_of(trajectory, with_texts=with_texts), trajectory, environ)
    exporter = OTLPSpanExporter(endpoint=endpoint, headers=headers, timeout=limit_seconds)
    try:
        with _told_problem() as told:
            result = exporter.export(made)
    finally:
        exporter.shutdown()  # type: ignore[no-untyped-call]
    if result is not SpanExportResult.SUCCESS:
        why = told[-1] if told else "it gave no reason"
        raise ActionFailed("export_failed", f"the collector at {shown} did not take the spans: {why}", details={"endpoint": shown})
    return len(made), shown


def _target(environ: Mapping[str, str]) -> tuple[str, dict[str, str]]:
    """Return where spans go, by the standard variables; what else these say (certificates, compression) the exporter reads itself."""
    from opentelemetry.util.re import parse_env_headers

    base = environ.get("OTEL_EXPORTER_OTLP_ENDPOINT") or _ENDPOINT
    endpoint = environ.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") or f"{base.removesuffix('/')}/v1/traces"
    headers = environ.get("OTEL_EXPORTER_OTLP_TRACES_HEADERS") or environ.get("OTEL_EXPORTER_OTLP_HEADERS", "")
    return endpoint, dict(parse_env_headers(headers, liberal=True))


@contextmanager
def _told_problem() -> Iterator[list[str]]:
    """Collect what the exporter logs in this thread: it tells the reason of a failure nowhere else."""
    told: list[str] = []
    here = threading.get_ident()

    class Collector(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.thread == here:
                told.append(record.getMessage()[:300])

    logger, collector = logging.getLogger(_LOGGER), Collector()
    propagated, logger.propagate = logger.propagate, False
    logger.addHandler(collector)
    try:
        yield told
    finally:
        logger.removeHandler(collector)
        logger.propagate = propagated


def _finished(spans: Sequence[Span], trajectory: Trajectory, environ: Mapping[str, str]) -> list[ReadableSpan]:
    """Return finished spans of the library; the same task always gets the same ids, so that to send it twice makes no second trace."""
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope
    from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

    named = "OTEL_SERVICE_NAME" in environ or "service.name=" in environ.get("OTEL_RESOURCE_ATTRIBUTES", "")
    resource = Resource.create({} if named else {"service.name": _NAME, "service.version": trajectory.version})
    scope = InstrumentationScope(_NAME, trajectory.version, _CONVENTIONS)
    trace = _digest(trajectory.began_at, *(session.session_id for session in trajectory.sessions))
    contexts: dict[str, SpanContext] = {}
    made = []
    for span in spans:
        span_id = int.from_bytes(_digest(trace.hex(), span.key)[:8])
        contexts[span.key] = SpanContext(int.from_bytes(trace[:16]), span_id, is_remote=False, trace_flags=TraceFlags(TraceFlags.SAMPLED))
        error = {"error.type": span.error_type} if span.error_type is not None else {}
        made.append(
            ReadableSpan(
                span.name,
                context=contexts[span.key],
                parent=contexts[span.parent] if span.parent is not None else None,
                resource=resource,
                attributes={**span.attributes, **error},
                kind=SpanKind.CLIENT if span.is_client else SpanKind.INTERNAL,
                status=Status(StatusCode.ERROR, span.problem or span.error_type) if error else Status(StatusCode.UNSET),
                start_time=span.began_ms * 1_000_000,
                end_time=span.ended_ms * 1_000_000,
                instrumentation_scope=scope,
            )
        )
    return made


def _digest(*words: str) -> bytes:
    return hashlib.sha256("\0".join(words).encode()).digest()


class _Builder:
    """The spans of one transcript being made."""

    def __init__(self, trajectory: Trajectory, *, with_texts: bool) -> None:
        self._trajectory = trajectory
        self._with_texts = with_texts
        self._callers = find_callers(trajectory)
        steps = [step.began_ms for step in trajectory.steps]
        ends = [step.ended_ms for step in trajectory.steps if not isinstance(step, Prompt) and step.ended_ms is not None]
        # The call's own times are by this machine's clock, the steps' by the server's.
        self._began_ms = min([_epoch_ms(trajectory.began_at), *steps])
        self._ended_ms = max([_epoch_ms(trajectory.ended_at), *steps, *ends, self._began_ms])
        self._spans: list[Span] = []

    def build(self) -> list[Span]:
        """Return all spans."""
        trajectory = self._trajectory
        failed = trajectory.outcome not in ("completed", "waiting")
        attributes: dict[str, Attribute] = {
            "gen_ai.operation.name": "invoke_workflow",
            "gen_ai.workflow.name": trajectory.action,
            "netclaw_opencode.outcome": trajectory.outcome,
        }
        verified = trajectory.result.get("verified") if trajectory.result is not None else None
        if isinstance(verified, bool):
            attributes["netclaw_opencode.verified"] = verified
        known = CODES.get(trajectory.outcome)
        self._spans.append(
            Span(
                *("task", None, f"invoke_workflow {trajectory.action}", self._began_ms, self._ended_ms, attributes),
                error_type=trajectory.outcome if failed else None,
                # The error's own message may repeat a text of the agent.
                problem=known.summary if known is not None else "",
            )
        )
        for session in trajectory.sessions:
            if session.part != SUB_AGENT:
                self._add_session(session, "task")
        return self._spans

    def _add_session(self, session: Session, parent: str) -> None:
        trajectory = self._trajectory
        mine = [step for step in trajectory.steps if step.session_id == session.session_id]
        calls = [step for step in mine if isinstance(step, ModelCall)]
        began = min((step.began_ms for step in mine), default=self._began_ms)
        open_end = any(not isinstance(step, Prompt) and step.ended_ms is None for step in mine) or not mine
        ends = [step.began_ms if isinstance(step, Prompt) else step.ended_ms or step.began_ms for step in mine]
        agent = session.agent or "opencode"
        attributes: dict[str, Attribute] = {
            "gen_ai.operation.name": "invoke_agent",
            "gen_ai.agent.name": agent,
            "gen_ai.conversation.id": session.session_id,
            "netclaw_opencode.part": session.part,
            **_usage(sum((call.usage for call in calls), Usage())),
        }
        if trajectory.opencode:
            attributes["gen_ai.agent.version"] = trajectory.opencode
        attributes |= _model(calls[-1].model if calls else {})
        if self._with_texts:
            asked = [_message("user", [_text(step.text)]) for step in mine if isinstance(step, Prompt)]
            attributes["gen_ai.input.messages"] = _json(asked)
        last = calls[-1] if calls else None
        error = str(last.error["name"]) if last is not None and last.error is not None else None
        key = f"session {session.session_id}"
        end = self._ended_ms if open_end else max(ends)
        self._spans.append(Span(key, parent, f"invoke_agent {agent}", began, max(end, began), attributes, error_type=error))
        for step in mine:
            if isinstance(step, ModelCall):
                self._add_call(step, key, [tool for tool in mine if isinstance(tool, ToolCall) and tool.message_id == step.message_id])
            elif isinstance(step, ToolCall):
                self._add_tool(step, key)

    def _add_call(self, call: ModelCall, parent: str, tools: Sequence[ToolCall]) -> None:
        name = str(call.model.get("modelID", ""))
        attributes: dict[str, Attribute] = {
            "gen_ai.operation.name": "chat",
            "gen_ai.conversation.id": call.session_id,
            **_model(call.model),
            **_usage(call.usage),
        }
        if call.finish:
            attributes["gen_ai.response.finish_reasons"] = (call.finish,)
        if call.summary:
            attributes["netclaw_opencode.compaction"] = True
        if self._with_texts:
            parts: list[dict[str, object]] = [{"type": "reasoning", "content": call.reasoning}] if call.reasoning else []
            parts += [_text(call.text)] if call.text else []
            parts += [{"type": "tool_call", "id": tool.call_id, "name": tool.tool, "arguments": dict(tool.input)} for tool in tools]
            attributes["gen_ai.output.messages"] = _json([{**_message("assistant", parts), "finish_reason": call.finish}])
        error = str(call.error["name"]) if call.error is not None else None
        self._spans.append(
            Span(
                *(f"message {call.message_id}", parent, f"chat {name}".strip(), call.began_ms, self._end(call), attributes),
                is_client=True,
                error_type=error or self._cut(call),
            )
        )

    def _add_tool(self, tool: ToolCall, parent: str) -> None:
        attributes: dict[str, Attribute] = {
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.tool.name": tool.tool,
            "gen_ai.tool.type": "function",
            "gen_ai.conversation.id": tool.session_id,
            "netclaw_opencode.output_chars": tool.output_chars,
        }
        if tool.call_id:
            attributes["gen_ai.tool.call.id"] = tool.call_id
        if self._with_texts:
            attributes |= {"gen_ai.tool.call.arguments": _json(dict(tool.input)), "gen_ai.tool.call.result": tool.output}
        key = f"tool {tool.message_id} {tool.call_id}"
        error = "tool_error" if tool.status == "error" else self._cut(tool)
        self._spans.append(Span(key, parent, f"execute_tool {tool.tool}", tool.began_ms, self._end(tool), attributes, error_type=error))
        for session in self._trajectory.sessions:
            if self._callers.get(session.session_id) is tool:
                self._add_session(session, key)

    def _end(self, step: ModelCall | ToolCall) -> int:
        """Return when a step ended; one whose end was not seen ended with the task at the latest."""
        return max(step.ended_ms if step.ended_ms is not None else self._ended_ms, step.began_ms)

    def _cut(self, step: ModelCall | ToolCall) -> str | None:
        return self._trajectory.outcome if step.ended_ms is None and self._trajectory.outcome not in ("completed", "waiting") else None


def _model(model: Mapping[str, object]) -> dict[str, Attribute]:
    if not model:
        return {}
    provider, name = str(model.get("providerID", "")), str(model.get("modelID", ""))
    return {"gen_ai.provider.name": _PROVIDERS.get(provider, provider), "gen_ai.request.model": name, "gen_ai.response.model": name}


def _usage(usage: Usage) -> dict[str, Attribute]:
    """Tokens by the conventions, where input holds what came from the cache, and output the thinking."""
    return {
        "gen_ai.usage.input_tokens": usage.input + usage.cache_read + usage.cache_write,
        "gen_ai.usage.output_tokens": usage.output + usage.reasoning,
        "gen_ai.usage.reasoning.output_tokens": usage.reasoning,
        "gen_ai.usage.cache_read.input_tokens": usage.cache_read,
        "gen_ai.usage.cache_creation.input_tokens": usage.cache_write,
        "netclaw_opencode.cost_usd": usage.cost_usd,
    }


def _text(text: str) -> dict[str, object]:
    return {"type": "text", "content": text}


def _message(role: str, parts: Sequence[Mapping[str, object]]) -> dict[str, object]:
    return {"role": role, "parts": [dict(part) for part in parts]}


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _epoch_ms(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp() * 1000)


__all__ = ["TEXTS_SETTING", "Span", "require_extra", "send", "spans_of", "wants_texts"]
