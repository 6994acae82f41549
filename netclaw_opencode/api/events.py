"""What a running task tells: one class for each kind of event."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from netclaw_opencode.facts import ProgressEvent as RawEvent

Stage: TypeAlias = Literal["asked", "decided", "gone"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something happened while a task ran.

    Attributes:
        kind: What happened, in one word.
        message: The same for people, on one line.
        session_id: The session, if it belongs to one.
        at_seconds: Time since the turn began, in seconds.
        facts: All that is known of it, as JSON values.
    """

    kind: str
    message: str
    session_id: str | None = None
    at_seconds: float = 0.0
    facts: Mapping[str, object] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusEvent(Event):
    """The session's status changed; ``attempt`` counts the retries of a provider that refuses."""

    attempt: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolEvent(Event):
    """A tool of the agent began (``running``) or ended (``completed``, ``error``); ``subject`` is what it works on."""

    tool: str
    status: str
    subject: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TextEvent(Event):
    """The agent wrote; ``text_chars`` counts the characters of the turn so far."""

    text_chars: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PermissionEvent(Event):
    """A permission was asked for, decided, or is gone; ``answer`` and ``by`` are there from ``decided`` on."""

    stage: Stage
    request_id: str
    permission: str
    patterns: tuple[str, ...] = ()
    answer: str | None = None
    by: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class QuestionEvent(Event):
    """A question was asked, decided, or is gone; ``answer`` and ``by`` are there from ``decided`` on."""

    stage: Stage
    request_id: str
    questions: tuple[str, ...] = ()
    answer: str | None = None
    by: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgressEvent(Event):
    """Anything else: a server or a session came or went, a stop, the end of the turn. See ``kind``."""


TaskEvent: TypeAlias = StatusEvent | ToolEvent | TextEvent | PermissionEvent | QuestionEvent | ProgressEvent
"""Every event that a stream gives."""


def typed(event: RawEvent) -> TaskEvent:
    """Return the typed form of a driver's event; one without the facts of its kind is a ``ProgressEvent``."""
    facts, kind, message, session_id, at_seconds = event.facts, event.kind, event.message, event.session_id, event.at_seconds
    match kind:
        case "status":
            return StatusEvent(
                kind=kind, message=message, session_id=session_id, at_seconds=at_seconds, facts=facts, attempt=_number(facts, "attempt")
            )
        case "tool":
            return ToolEvent(
                kind=kind,
                message=message,
                session_id=session_id,
                at_seconds=at_seconds,
                facts=facts,
                tool=_text(facts, "tool") or "",
                status=_text(facts, "status") or "",
                subject=_text(facts, "subject") or "",
            )
        case "text":
            return TextEvent(
                kind=kind,
                message=message,
                session_id=session_id,
                at_seconds=at_seconds,
                facts=facts,
                text_chars=_number(facts, "text_chars") or 0,
            )
        case "permission" | "question" if facts.get("stage") in ("asked", "decided", "gone"):
            return _of_request(event)
    return ProgressEvent(kind=kind, message=message, session_id=session_id, at_seconds=at_seconds, facts=facts)


def _of_request(event: RawEvent) -> PermissionEvent | QuestionEvent:
    facts = event.facts
    stages: dict[object, Stage] = {"asked": "asked", "decided": "decided", "gone": "gone"}
    stage, request_id = stages[facts["stage"]], _text(facts, "id") or ""
    # A request that is asked carries its questions as objects, one that is decided as texts.
    asked, patterns = facts.get("questions"), facts.get("patterns")
    if event.kind == "permission":
        return PermissionEvent(
            kind=event.kind,
            message=event.message,
            session_id=_text(facts, "session_id") or event.session_id,
            at_seconds=event.at_seconds,
            facts=facts,
            stage=stage,
            request_id=request_id,
            permission=_text(facts, "permission") or "",
            patterns=tuple(map(str, patterns)) if isinstance(patterns, list | tuple) else (),
            answer=_text(facts, "answer"),
            by=_text(facts, "by"),
        )
    questions = asked if isinstance(asked, list | tuple) else ()
    return QuestionEvent(
        kind=event.kind,
        message=event.message,
        session_id=_text(facts, "session_id") or event.session_id,
        at_seconds=event.at_seconds,
        facts=facts,
        stage=stage,
        request_id=request_id,
        questions=tuple(str(item.get("question", "")) if isinstance(item, Mapping) else str(item) for item in questions),
        answer=_text(facts, "answer"),
        by=_text(facts, "by"),
    )


def _text(facts: Mapping[str, object], name: str) -> str | None:
    value = facts.get(name)
    return value if isinstance(value, str) else None


def _number(facts: Mapping[str, object], name: str) -> int | None:
    value = facts.get(name)
    return value if isinstance(value, int) else None


__all__ = ["Event", "PermissionEvent", "ProgressEvent", "QuestionEvent", "StatusEvent", "TaskEvent", "TextEvent", "ToolEvent"]
