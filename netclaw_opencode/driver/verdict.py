"""How a turn stands: the one place that says "done", and what everything else is called.

Pure: it is fed what the server's store, status and requests show, and says which of a closed list of endings that is.
Events only tell when to look.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from netclaw_opencode.client.types import Message, SessionStatus
from netclaw_opencode.facts import PendingRequest

State = Literal["not_started", "running", "waiting", "completed", "failed"]

RUNAWAY_CALLS = 4
"""So many model calls in a row without a usable end are a runaway (F40)."""

_FLAGGED_ENDS = {"length": "truncated", "content-filter": "filtered"}
_GOOD_ENDS = {"stop", *_FLAGGED_ENDS}
NO_ENDS = frozenset({"unknown", "other", "error"})
"""What a message's finish says where its stream had no end."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What was seen of one turn at one moment. ``announced`` are texts of ``session.error`` events (F32)."""

    message_id: str
    messages: tuple[Message, ...]
    status: SessionStatus | None = None
    pending: tuple[PendingRequest, ...] = ()
    announced: tuple[str, ...] = ()

    @property
    def replies(self) -> tuple[Message, ...]:
        """The assistant messages that answer *our* prompt (F41), oldest first."""
        ours = (item for item in self.messages if item.role == "assistant" and item.parent_id == self.message_id)
        return tuple(sorted(ours, key=lambda item: item.id))

    @property
    def arrived(self) -> bool:
        """Whether our prompt stands in the message store."""
        return any(item.id == self.message_id for item in self.messages)


@dataclass(frozen=True, slots=True)
class Verdict:
    """``code`` and ``message`` belong to a failure; ``final`` is the assistant message that decided."""

    state: State
    code: str | None = None
    message: str = ""
    final: Message | None = None
    flag: Literal["truncated", "filtered"] | None = None

    @property
    def ended(self) -> bool:
        """Whether the turn is over, well or not."""
        return self.state in ("completed", "failed")


def judge(seen: Snapshot) -> Verdict:
    """The verdict on a turn. ``completed`` only if every condition of success holds."""
    replies = seen.replies
    if _runs_away(replies):
        return Verdict("failed", "runaway_turn", "the server calls the model again and again without a usable answer", replies[-1])
    if seen.pending:
        return Verdict("waiting")
    if seen.status is not None and seen.status.kind != "idle":
        return Verdict("running")
    if not replies:
        return _without_reply(seen)
    return _of_final(replies[-1])


def _runs_away(replies: tuple[Message, ...]) -> bool:
    # The newest one has usually just begun; it says nothing yet.
    tail = [item for item in replies if item.finish is not None or item.error is not None][-RUNAWAY_CALLS:]
    return len(tail) == RUNAWAY_CALLS and all(item.finish in NO_ENDS and item.error is None for item in tail)


def _without_reply(seen: Snapshot) -> Verdict:
    for text in seen.announced:
        code = code_of_announcement(text)
        # OpenCode tells this one as a stack of its own source lines.
        return Verdict("failed", code, "no model provider is connected" if code == "provider_unavailable" else _reported(text))
    # Right after the prompt was taken the status may still be without the session (F19).
    return Verdict("not_started", "turn_incomplete", "the prompt was accepted but no turn was started for it")


def _of_final(final: Message) -> Verdict:
    if final.error is not None:
        code = code_of_error(final.error.name, final.error.status_code, final.error.text)
        return Verdict("failed", code, _reported(final.error.text), final)
    if final.completed_ms is None or any(part.tool_status in ("running", "pending") for part in final.parts):
        # Idle with an unfinished message: the server was restarted (F33, F44) or a retry was aborted (F17).
        return Verdict("failed", "interrupted", "the turn ended before its message was complete", final)
    if final.structured is not None:
        return Verdict("completed", final=final)
    if final.finish not in _GOOD_ENDS:
        return Verdict("failed", "turn_incomplete", f"the turn ended with finish {final.finish or 'nothing'!r}", final)
    if not final.text.strip():
        return Verdict("failed", "empty_output", "the model finished without any text", final)
    flag = _FLAGGED_ENDS.get(final.finish or "")
    return Verdict("completed", final=final, flag="truncated" if flag == "truncated" else "filtered" if flag == "filtered" else None)


def _reported(text: str) -> str:
    """Somebody else's words, marked as such: the provider's own come through OpenCode as they are."""
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
