"""How a turn stands: the one place that says "done", and what everything else is called.

Pure: it is fed what the server's store, status and requests show, and says which of a closed list of endings that is.
Events only say when to look.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from netclaw_opencode.facts import PendingRequest
from netclaw_opencode.opencode.wire.history import Step
from netclaw_opencode.opencode.wire.types import SessionStatus

State = Literal["not_started", "running", "waiting", "completed", "failed"]
Flag = Literal["truncated", "filtered"]

RUNAWAY_CALLS = 4
"""So many model calls in a row without a usable end are a runaway (F40)."""

_FLAGS: Mapping[str | None, Flag] = {"length": "truncated", "content-filter": "filtered"}
_GOOD_ENDS = frozenset({"stop", *_FLAGS})
NO_ENDS = frozenset({"unknown", "other", "error"})
"""What a message's finish says where its stream had no end."""


@dataclass(frozen=True, slots=True)
class Span:
    """What is known of one turn: the assistant messages from our prompt to the next prompt of anybody, oldest first (F41, F58).

    ``prompt`` is None as long as the store was not read back to it; then ``steps`` are the newest ones alone. ``joined_by`` is the id
    of a prompt that another caller sent into the session after ours.
    """

    message_id: str
    prompt: Step | None = None
    steps: tuple[Step, ...] = ()
    joined_by: str | None = None
    compactions: int = 0
    is_open: bool = False
    """Its newest message is one after which the turn goes on, and nothing has come of it yet."""

    @property
    def last(self) -> Step | None:
        """The newest message of the turn."""
        return self.steps[-1] if self.steps else None

    @property
    def answers(self) -> tuple[Step, ...]:
        """The messages that the agent itself wrote: all but the summaries of compactions."""
        return tuple(step for step in self.steps if not step.is_summary)

    @property
    def texts(self) -> tuple[Step, ...]:
        """The answers that hold text."""
        return tuple(step for step in self.answers if step.text.strip())

    @property
    def text(self) -> str:
        """The last text that is not empty (F63)."""
        return self.texts[-1].text if self.texts else ""

    @classmethod
    def of(cls, message_id: str, steps: Sequence[Step]) -> Span:
        """Find the turn in the messages of its session, oldest first."""
        at = next((index for index, step in enumerate(steps) if step.id == message_id), None)
        parents, compactions = {message_id}, 0
        ours: list[Step] = []
        for step in steps[at + 1 :] if at is not None else steps:
            if step.role == "user":
                if not step.is_continuation:
                    return cls(message_id, steps[at] if at is not None else None, tuple(ours), step.id, compactions)
                parents.add(step.id)
            elif step.role == "assistant" and (at is None or step.parent_id in parents):
                # Where the prompt is not in sight, whose the newest messages are is for the caller to know.
                ours.append(step)
                compactions += step.is_summary
        is_open = bool(steps) and steps[-1].is_continuation
        return cls(message_id, steps[at] if at is not None else None, tuple(ours), None, compactions, is_open)


@dataclass(frozen=True, slots=True)
class Verdict:
    """``code`` and ``message`` belong to a failure; ``final`` is the assistant message that decided."""

    state: State
    code: str | None = None
    message: str = ""
    final: Step | None = None
    flag: Flag | None = None
    empty_final: bool = False
    """The final message is empty: the text of the result stands in an earlier one."""

    @property
    def ended(self) -> bool:
        """Whether the turn is over, well or not."""
        return self.state in ("completed", "failed")


def judge(
    span: Span, *, status: SessionStatus | None = None, pending: Sequence[PendingRequest] = (), announced: Sequence[str] = ()
) -> Verdict:
    """Return the verdict on a turn. ``completed`` only if every condition of success holds.

    Args:
        span: What the store shows of it.
        status: The session's entry in the status map; None for an idle one, which has none (F18).
        pending: Requests that the session or a sub-agent of it waits for.
        announced: Texts of its ``session.error`` events (F32).
    """
    if runs_away(span.steps):
        return Verdict("failed", "runaway_turn", "the server calls the model again and again without a usable answer", span.last)
    if span.joined_by is not None and not _is_good_end(span.last):
        message = f"another prompt ({span.joined_by}) joined the session before this turn was over"
        return Verdict("failed", "prompt_joined", message, span.last)
    if span.joined_by is None and pending:
        return Verdict("waiting")
    if span.joined_by is None and status is not None and status.kind != "idle":
        return Verdict("running")
    return _of_last(span, span.last) if span.last is not None and not span.is_open else _without_step(announced)


def runs_away(steps: Sequence[Step]) -> bool:
    """Return whether the newest model calls all ended without a usable end (F40)."""
    # The newest one has usually just begun; it says nothing yet.
    tail = [step for step in steps if step.finish is not None or step.error is not None][-RUNAWAY_CALLS:]
    return len(tail) == RUNAWAY_CALLS and all(step.finish in NO_ENDS and step.error is None for step in tail)


def _is_good_end(step: Step | None) -> bool:
    return step is not None and step.error is None and step.is_complete and step.finish in _GOOD_ENDS and not step.is_summary


def _without_step(announced: Sequence[str]) -> Verdict:
    for text in announced:
        code = code_of_announcement(text)
        # OpenCode reports this one as a stack of its own source lines.
        return Verdict("failed", code, "no model provider is connected" if code == "provider_unavailable" else _quote(text))
    # Right after the prompt was taken the status may still be without the session (F19, F59).
    return Verdict("not_started", "turn_incomplete", "the prompt was accepted but no turn was started for it")


def _of_last(span: Span, last: Step) -> Verdict:
    if last.error is not None:
        code = code_of_error(last.error.name, last.error.status_code, last.error.text)
        return Verdict("failed", code, _quote(last.error.text), last)
    if not last.is_complete:
        # Idle with an unfinished message: the server was restarted (F33, F44) or a retry was aborted (F17).
        return Verdict("failed", "interrupted", "the turn ended before its message was complete", last)
    if last.structured is not None:
        return Verdict("completed", final=last)
    if not _is_good_end(last):
        return Verdict("failed", "turn_incomplete", f"the turn ended with finish {last.finish or 'nothing'!r}", last)
    worked = any(item.status == "completed" for step in span.answers for item in step.tools)
    if not span.texts and not worked:
        return Verdict("failed", "empty_output", "the model finished without any text, and no tool had done anything", last)
    return Verdict("completed", final=last, flag=_FLAGS.get(last.finish), empty_final=not last.text.strip())


def _quote(text: str) -> str:
    """Mark words that are not ours: the provider's own come through OpenCode as they are."""
    return f"OpenCode reports: {text}" if text else ""


def code_of_error(name: str, status_code: int | None, text: str) -> str:
    """Our code for an ``info.error`` of the server."""
    match name:
        case "ProviderAuthError":
            return "provider_auth"
        case "APIError" if status_code in (401, 403):
            return "provider_auth"
        case "MessageAbortedError":
            return "turn_aborted"
        case "ContextOverflowError":
            return "context_overflow"
        case "StructuredOutputError":
            return "structured_output_failed"
    return code_of_announcement(text)


def code_of_announcement(text: str) -> str:
    """Our code for an error that is only text (F15)."""
    if "Model not found" in text or "ProviderModelNotFound" in text:
        return "model_not_found"
    if "gent not found" in text:
        return "agent_not_found"
    if "ProviderNoProviders" in text:
        return "provider_unavailable"
    return "provider_error"
