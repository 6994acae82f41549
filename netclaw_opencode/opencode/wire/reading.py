"""OpenCode's JSON read into types; the only place that knows its field names.

Unknown fields are ignored, so that a newer server keeps working; a missing or ill-typed field that we rest on is a
``bad_response``. Fields that may hold secrets (provider keys, F45) are never read.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Literal, TypeVar

from netclaw_opencode.errors import ActionFailed
from netclaw_opencode.facts import AgentQuestion, PendingRequest
from netclaw_opencode.jsontypes import JsonObject
from netclaw_opencode.opencode.wire.types import (
    FileChange,
    Health,
    Message,
    MessageError,
    Model,
    ModelRef,
    Part,
    PermissionRule,
    Provider,
    ServerEvent,
    Session,
    SessionStatus,
    Usage,
)

T = TypeVar("T")


def bad_response(what: str) -> ActionFailed:
    """Return the error for an answer that is not what the API promises."""
    return ActionFailed("bad_response", f"the server's answer is not what its API promises: {what}")


def as_object(value: object, what: str) -> JsonObject:
    if not isinstance(value, Mapping):
        raise bad_response(f"{what} is not an object")
    return value


def as_list(value: object, what: str, parse: Callable[[object], T]) -> tuple[T, ...]:
    if not isinstance(value, list):
        raise bad_response(f"{what} is not a list")
    return tuple(parse(item) for item in value)


def text_of(source: JsonObject, key: str, what: str) -> str:
    value = source.get(key)
    if not isinstance(value, str):
        raise bad_response(f"{what}.{key} is not text")
    return value


def optional_text(source: JsonObject, key: str) -> str | None:
    value = source.get(key)
    return value if isinstance(value, str) else None


def number_of(source: JsonObject, key: str) -> float:
    return _number(source.get(key)) or 0


def _number(value: object) -> float | None:
    # JSON's 1e999 is read as infinity.
    return value if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) else None


def _object_or_empty(value: object) -> JsonObject:
    return value if isinstance(value, Mapping) else {}


def health(value: object) -> Health:
    source = as_object(value, "health")
    if not isinstance(source.get("healthy"), bool):
        raise bad_response("health.healthy is not a boolean")
    return Health(healthy=source["healthy"] is True, version=text_of(source, "version", "health"))


def agent_rules(value: object) -> tuple[str, tuple[PermissionRule, ...]]:
    """Return an agent's name and its effective rules; none if it has no rules in the form that we know."""
    source = as_object(value, "agent")
    listed = source.get("permission")
    parts = [part for part in listed if isinstance(part, Mapping)] if isinstance(listed, list) else []
    texts = [tuple(optional_text(part, key) for key in ("permission", "pattern", "action")) for part in parts]
    rules = tuple(PermissionRule(*[word or "" for word in words]) for words in texts if all(words))
    return text_of(source, "name", "agent"), rules


def session(value: object) -> Session:
    source = as_object(value, "session")
    times = as_object(source.get("time"), "session.time")
    model = source.get("model")
    return Session(
        id=text_of(source, "id", "session"),
        title=text_of(source, "title", "session"),
        directory=text_of(source, "directory", "session"),
        created_ms=int(number_of(times, "created")),
        updated_ms=int(number_of(times, "updated")),
        parent_id=optional_text(source, "parentID"),
        agent=optional_text(source, "agent"),
        model=_model_ref(model) if isinstance(model, Mapping) else None,
        metadata=_object_or_empty(source.get("metadata")),
    )


def sessions(value: object) -> tuple[Session, ...]:
    return as_list(value, "session list", session)


def _model_ref(source: JsonObject) -> ModelRef | None:
    provider = optional_text(source, "providerID")
    # At session creation the field is called id, in messages modelID (F12).
    model = optional_text(source, "modelID") or optional_text(source, "id")
    return ModelRef(provider, model, optional_text(source, "variant")) if provider and model else None


def statuses(value: object) -> dict[str, SessionStatus]:
    return {key: status(entry) for key, entry in as_object(value, "status map").items()}


def status(value: object) -> SessionStatus:
    source = as_object(value, "status")
    match text_of(source, "type", "status"):
        case "busy":
            return SessionStatus("busy")
        case "idle":
            return SessionStatus("idle")
        case "retry":
            return SessionStatus(
                "retry",
                attempt=int(number_of(source, "attempt")),
                message=optional_text(source, "message") or "",
                next_ms=int(number_of(source, "next")),
            )
        case other:
            raise bad_response(f"status.type {other[:40]!r} is unknown")


def messages(value: object) -> tuple[Message, ...]:
    return as_list(value, "message list", message)


def message(value: object) -> Message:
    source = as_object(value, "message")
    info = as_object(source.get("info"), "message.info")
    times = as_object(info.get("time"), "message.time")
    completed = _number(times.get("completed"))
    user_model = info.get("model")
    return Message(
        id=text_of(info, "id", "message"),
        role=text_of(info, "role", "message"),
        session_id=text_of(info, "sessionID", "message"),
        created_ms=int(number_of(times, "created")),
        parts=as_list(source.get("parts"), "message.parts", part),
        parent_id=optional_text(info, "parentID"),
        completed_ms=int(completed) if completed is not None else None,
        finish=optional_text(info, "finish"),
        error=_message_error(info.get("error")),
        model=_model_ref(user_model if isinstance(user_model, Mapping) else info),
        usage=usage(info),
        structured=info.get("structured"),
        agent=optional_text(info, "agent") or "",
        # A user message has an object of this name.
        is_summary=info.get("summary") is True,
    )


def usage(info: JsonObject) -> Usage:
    """Tokens and cost of a message's ``info``."""
    tokens = _object_or_empty(info.get("tokens"))
    cache = _object_or_empty(tokens.get("cache"))
    return Usage(
        input=int(number_of(tokens, "input")),
        output=int(number_of(tokens, "output")),
        reasoning=int(number_of(tokens, "reasoning")),
        cache_read=int(number_of(cache, "read")),
        cache_write=int(number_of(cache, "write")),
        cost=float(number_of(info, "cost")),
    )


def _message_error(value: object) -> MessageError | None:
    if value is None:
        return None
    source = as_object(value, "message.error")
    details = _object_or_empty(source.get("data"))
    code = details.get("statusCode")
    return MessageError(
        name=optional_text(source, "name") or "UnknownError",
        text=optional_text(details, "message") or "",
        status_code=code if isinstance(code, int) else None,
    )


def part(value: object) -> Part:
    source = as_object(value, "part")
    state = _object_or_empty(source.get("state"))
    times = _object_or_empty(state.get("time"))
    started, ended = _number(times.get("start")), _number(times.get("end"))
    return Part(
        id=text_of(source, "id", "part"),
        type=text_of(source, "type", "part"),
        text=optional_text(source, "text") or "",
        synthetic=source.get("synthetic") is True,
        tool=optional_text(source, "tool") or "",
        call_id=optional_text(source, "callID") or "",
        tool_status=optional_text(state, "status") or "",
        title=optional_text(state, "title") or "",
        tool_input=_object_or_empty(state.get("input")),
        tool_metadata=_object_or_empty(state.get("metadata")),
        tool_output=optional_text(state, "output") or "",
        tool_error=optional_text(state, "error") or "",
        started_ms=int(started) if started is not None else None,
        ended_ms=int(ended) if ended is not None else None,
        # Only parts of type "patch" have a list here; other kinds use the name otherwise.
        files=_texts(source.get("files")),
    )


def _texts(value: object) -> tuple[str, ...]:
    return tuple(item for item in value if isinstance(item, str)) if isinstance(value, list) else ()


def file_changes(value: object) -> tuple[FileChange, ...]:
    return as_list(value, "diff", file_change)


def file_change(value: object) -> FileChange:
    source = as_object(value, "diff entry")
    stated = optional_text(source, "status")
    kinds: Mapping[str | None, Literal["added", "deleted"]] = {"added": "added", "deleted": "deleted"}
    return FileChange(
        path=optional_text(source, "file") or "",
        status=kinds.get(stated, "modified"),
        additions=int(number_of(source, "additions")),
        deletions=int(number_of(source, "deletions")),
        diff=optional_text(source, "patch") or "",
    )


def permission(value: object, *, directory: str) -> PendingRequest:
    source = as_object(value, "permission")
    patterns = source.get("patterns")
    tool = source.get("tool")
    return PendingRequest(
        kind="permission",
        id=text_of(source, "id", "permission"),
        session_id=text_of(source, "sessionID", "permission"),
        directory=directory,
        permission=text_of(source, "permission", "permission"),
        patterns=tuple(str(item) for item in patterns) if isinstance(patterns, list) else (),
        call_id=optional_text(tool, "callID") if isinstance(tool, Mapping) else None,
    )


def question(value: object, *, directory: str) -> PendingRequest:
    source = as_object(value, "question")
    return PendingRequest(
        kind="question",
        id=text_of(source, "id", "question"),
        session_id=text_of(source, "sessionID", "question"),
        directory=directory,
        questions=as_list(source.get("questions"), "question.questions", _agent_question),
    )


def _agent_question(value: object) -> AgentQuestion:
    source = as_object(value, "question entry")
    options = source.get("options")
    labels = [optional_text(_object_or_empty(item), "label") for item in options] if isinstance(options, list) else []
    return AgentQuestion(
        question=optional_text(source, "question") or "",
        header=optional_text(source, "header") or "",
        options=tuple(label for label in labels if label is not None),
        multiple=source.get("multiple") is True,
    )


def providers(value: object) -> tuple[tuple[Provider, ...], Mapping[str, str], frozenset[str]]:
    """Providers, default model of each, and the ids of the connected ones.

    Reads ``/config/providers`` (the connected ones, key ``providers``) and ``/provider`` (all, key ``all``).
    """
    source = as_object(value, "providers")
    found = as_list(source.get("all", source.get("providers")), "providers", _provider)
    connected = source.get("connected")
    ids = {str(item) for item in connected} if isinstance(connected, list) else {item.id for item in found}
    defaults = {key: item for key, item in _object_or_empty(source.get("default")).items() if isinstance(item, str)}
    return found, defaults, frozenset(ids)


def _provider(value: object) -> Provider:
    source = as_object(value, "provider")
    provider_id = text_of(source, "id", "provider")
    models = as_object(source.get("models"), "provider.models")
    return Provider(
        id=provider_id,
        name=optional_text(source, "name") or provider_id,
        models={key: _model(key, provider_id, as_object(item, "model")) for key, item in models.items()},
    )


def _model(model_id: str, provider_id: str, source: JsonObject) -> Model:
    capabilities = _object_or_empty(source.get("capabilities"))
    limit = _object_or_empty(source.get("limit"))
    variants = _object_or_empty(source.get("variants"))
    cost = _object_or_empty(source.get("cost"))
    return Model(
        id=model_id,
        provider_id=provider_id,
        name=optional_text(source, "name") or model_id,
        variants={key: _object_or_empty(item) for key, item in variants.items()},
        context=int(number_of(limit, "context")),
        output=int(number_of(limit, "output")),
        reasoning=capabilities.get("reasoning") is True,
        tool_call=capabilities.get("toolcall") is True,
        has_price=number_of(cost, "input") > 0 or number_of(cost, "output") > 0,
    )


def event(value: object) -> ServerEvent | None:
    """One message of ``/global/event``; None for the ``sync`` copies that carry nothing new."""
    source = as_object(value, "event")
    payload = _object_or_empty(source.get("payload")) or source
    kind = optional_text(payload, "type")
    if kind is None or kind == "sync":
        return None
    return ServerEvent(type=kind, properties=_object_or_empty(payload.get("properties")), directory=optional_text(source, "directory"))
