"""The twelve safety rules: the table that documents them, and the check of each.

A check returns, or raises the error that names the rule. Checks before an outward step take ``record``, the flight record, which notes
what they said. Nothing here does I/O otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import wraps
from typing import Concatenate, ParamSpec

from netclaw_opencode.driver.tags import SessionTag
from netclaw_opencode.errors import CODES, ActionFailed, DriverError, InvalidInput, Refused
from netclaw_opencode.facts import Decision, PendingRequest
from netclaw_opencode.jsontypes import JsonObject
from netclaw_opencode.opencode.wire.history import Step
from netclaw_opencode.opencode.wire.types import Session, SessionStatus
from netclaw_opencode.records.recorder import Recorder

P = ParamSpec("P")

MESSAGE_SECONDS = 60.0
"""Longest blocking message call, in seconds."""

STUCK_SESSIONS = 2
"""So many sessions in retry mean that the server itself is stuck."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule: its stable id, its sentence, and the function of this module that checks it."""

    id: str
    sentence: str
    check: Callable[..., object]


@dataclass(frozen=True, slots=True)
class SessionFacts:
    """What was read of a session right before a send."""

    session: Session
    status: SessionStatus | None
    pending: tuple[PendingRequest, ...]
    newest: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class StopFacts:
    """What was seen after an abort: of the session and of every session below it."""

    active: tuple[str, ...] = ()
    pending: tuple[PendingRequest, ...] = ()
    running_tools: tuple[str, ...] = ()
    unsettled: bool = False


def _noted(rule: str) -> Callable[[Callable[P, None]], Callable[Concatenate[Recorder, P], None]]:
    """Make a check note its answer in the flight record that it is given first."""

    def decorate(check: Callable[P, None]) -> Callable[Concatenate[Recorder, P], None]:
        @wraps(check)
        def noted(record: Recorder, /, *args: P.args, **kwargs: P.kwargs) -> None:
            try:
                check(*args, **kwargs)
            except DriverError as error:
                record.note("rule", rule=rule, answer="refused", code=error.code)
                raise
            record.note("rule", rule=rule, answer="allowed")

        return noted

    return decorate


def state_of(status: SessionStatus | None, pending: Sequence[PendingRequest]) -> str:
    """``ready``, ``busy``, ``retry`` or ``waiting``; no status entry means idle (F18)."""
    if pending:
        return "waiting"
    if status is None or status.kind == "idle":
        return "ready"
    return status.kind


def is_ours(session: Session) -> bool:
    """Return whether we created the session: only then does our tag name the task that it was made for."""
    return SessionTag.read(session).task is not None


def prior_activity(facts: SessionFacts) -> tuple[Step, ...]:
    """Return the newest messages beyond what a fork copied (F28)."""
    forked_through = SessionTag.read(facts.session).forked_through
    ids = [step.id for step in facts.newest]
    return facts.newest[ids.index(forked_through) + 1 :] if forked_through in ids else facts.newest


@_noted("fresh-session")
def require_fresh(facts: SessionFacts, *, reuse_allowed: bool = False) -> None:
    """Refuse a session that has been used, unless the caller insists."""
    used = prior_activity(facts)
    if used and not reuse_allowed:
        raise Refused(
            "session_used",
            f"session {facts.session.id} already has messages; automation uses a fresh session for each task",
            rule="fresh-session",
            next=f"netclaw-opencode run create-session --parent-id {facts.session.id}",
            details={"session_id": facts.session.id},
        )


@_noted("status-first")
def require_idle(facts: SessionFacts) -> None:
    """Refuse a session that is busy, in retry or waiting."""
    state = state_of(facts.status, facts.pending)
    if state == "ready":
        return
    code = "session_waiting" if state == "waiting" else "session_busy"
    raise Refused(
        code,
        f"session {facts.session.id} is {state}; nothing was sent",
        rule="status-first",
        # Not an abort: a host that repeats a call must not end the healthy turn of its first one.
        next=f"netclaw-opencode inspect wait-for-session --session-id {facts.session.id}",
        details={"session_id": facts.session.id, "state": state, "pending": [item.to_wire() for item in facts.pending]},
    )


@_noted("abort-first")
def require_aborted(facts: SessionFacts, *, stop_seen: bool) -> None:
    """Refuse a send into a used session that was not aborted and seen idle before."""
    if prior_activity(facts) and not stop_seen:
        raise Refused(
            "session_used",
            f"session {facts.session.id} was used and is not seen stopped; nothing was sent",
            rule="abort-first",
            details={"session_id": facts.session.id},
        )


def require_deadline(seconds: float, *, longest: float) -> float:
    """Return the deadline in seconds, if it is one: there is no call without."""
    if not 0 < seconds <= longest:
        raise InvalidInput("invalid_input", f"deadline_seconds {seconds!r} must be more than 0 and at most {longest:g} seconds")
    return float(seconds)


@_noted("send-once")
def require_same_ids(*, message_id: str, part_id: str, sent: Sequence[tuple[str, str]]) -> None:
    """Refuse to repeat a prompt under other ids: it would run, and be paid for, twice (F27)."""
    if sent and (message_id, part_id) not in sent:
        raise Refused("session_locked", "a prompt is repeated only with the ids of its first send", rule="send-once")


def is_stopped(facts: StopFacts) -> bool:
    """Return whether what was seen proves a stop. The abort's own answer proves nothing (F22)."""
    return not (facts.active or facts.pending or facts.running_tools or facts.unsettled)


@_noted("delete-after-stop")
def require_stopped(session_id: str, *, confirmed: bool) -> None:
    """Refuse to delete what may still run: the turn would go on unseen (F24)."""
    if not confirmed:
        raise ActionFailed(
            "abort_unconfirmed",
            f"session {session_id} is not seen stopped, so it was not deleted",
            rule="delete-after-stop",
            next=f"netclaw-opencode run abort-session --session-id {session_id}",
        )


def decision_or_refusal(decision: Decision | None) -> Decision:
    """Return the decision on a pending request; without one it is refused."""
    return decision if decision is not None else Decision("reject")


@_noted("own-things-only")
def require_ours(session: Session, *, include_foreign: bool = False) -> None:
    """Refuse to stop or remove a session that this skill did not create, unless it is named on purpose."""
    if not is_ours(session) and not include_foreign:
        raise Refused(
            "not_ours",
            f"session {session.id} ({session.title[:60]!r}) was not created by this skill",
            rule="own-things-only",
            details={"session_id": session.id, "title": session.title[:200], "directory": session.directory},
        )


def stuck_sessions(statuses: Mapping[str, SessionStatus]) -> tuple[str, ...]:
    """Return the sessions in retry, if they are so many that the server process itself has to go."""
    retrying = tuple(key for key, status in statuses.items() if status.kind == "retry")
    return retrying if len(retrying) >= STUCK_SESSIONS else ()


def kinds_left(left: Mapping[str, Sequence[object]]) -> tuple[str, ...]:
    """Return the kinds of things (sessions, processes, files …) of which something is left."""
    return tuple(kind for kind, things in left.items() if things)


def require_result_or_cause(envelope: JsonObject) -> None:
    """A call ends in a result or in an error with a known code, a cause and a next step."""
    if envelope.get("ok") is True and isinstance(envelope.get("data"), Mapping):
        return
    error = envelope.get("error")
    if not isinstance(error, Mapping) or error.get("code") not in CODES or not error.get("message") or not error.get("next"):
        raise ActionFailed("internal_error", "a call ended without a result and without a cause", rule="no-silence")


RULES: tuple[Rule, ...] = (
    Rule("fresh-session", "A session serves one task; continuing means a fork in a new session.", require_fresh),
    Rule("status-first", "Before each send the session's status, pending requests and history are read.", require_idle),
    Rule("abort-first", "A used session that the caller insists on is aborted and seen idle before the send.", require_aborted),
    Rule("deadline", "Every call has a total deadline; on expiry the work is aborted, verified and reported.", require_deadline),
    Rule("send-once", "A prompt is sent with our own ids and repeated only with the same ids.", require_same_ids),
    Rule("stop-verified", "A stop counts when status, messages, requests and sub-agents show it.", is_stopped),
    Rule("delete-after-stop", "Nothing is deleted while it runs.", require_stopped),
    Rule("nobody-waits", "No turn waits for a person: requests are answered by policy, refused by default.", decision_or_refusal),
    Rule("own-things-only", "Only sessions and processes that are provably ours are stopped or removed.", require_ours),
    Rule("stuck-server", "A server whose sessions hang in retry, or that stops answering, is stopped and started afresh.", stuck_sessions),
    Rule("nothing-left", "After any ending no session, process, lock or file of ours is left.", kinds_left),
    Rule("no-silence", "Each call ends in a result with evidence or an error with code, cause and next step.", require_result_or_cause),
)
