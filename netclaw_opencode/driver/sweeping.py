"""What was left behind: found by its marks, stopped, removed, and told.

Owns the question which sessions of ours nobody waits for any more. The server is the memory, so that any later process
can answer it, whatever killed the one before.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from netclaw_opencode.driver import owners, sessions, stopping
from netclaw_opencode.driver.rules import is_ours, mark_of, state_of
from netclaw_opencode.errors import DriverError

if TYPE_CHECKING:
    from netclaw_opencode.client.types import Session
    from netclaw_opencode.driver.connection import Connection

Reason = Literal["owner_gone", "not_removed", "deadline_passed", "old"]


@dataclass(frozen=True, slots=True)
class Leftover:
    """A session of ours that nobody waits for. An overdue one is stopped; the others are deleted, too."""

    session: Session
    reason: Reason
    state: str


@dataclass(frozen=True, slots=True)
class Swept:
    """What became of a leftover; ``problem`` says why it is still there."""

    leftover: Leftover
    stopped: bool
    deleted: bool
    problem: str | None = None

    def sentence(self) -> str:
        """What happened, for people."""
        session = self.leftover.session
        left = (
            "which an earlier call could not remove" if self.leftover.reason == "not_removed" else "left behind by a process that is gone"
        )
        if self.problem is not None:
            return f"session {session.id}, {left}, could not be removed: {self.problem}"
        return f"session {session.id} ({session.title[:60]!r}), {left}, was stopped and removed"

    def to_wire(self) -> dict[str, object]:
        """The form in results."""
        wire: dict[str, object] = {
            "session_id": self.leftover.session.id,
            "title": self.leftover.session.title,
            "directory": self.leftover.session.directory,
            "reason": self.leftover.reason,
            "was": self.leftover.state,
            "stopped": self.stopped,
            "deleted": self.deleted,
        }
        if self.problem is not None:
            wire["problem"] = self.problem
        return wire


async def leftovers(
    connection: Connection,
    *,
    older_than_seconds: float | None = None,
    given_up: frozenset[str] = frozenset(),
    limit: int = sessions.MANY,
) -> tuple[Leftover, ...]:
    """Sessions of ours whose process is gone, whose deadline has passed while they run, or (asked for) which are old.

    ``given_up`` are those that a call of this very process could not remove (ids) or lost sight of (the mark of their creation).
    """
    now_ms = time.time() * 1000
    found: list[Leftover] = []
    ours = [item for item in await sessions.listed(connection, directory=None, limit=limit) if mark_of(item) is not None]
    states: dict[str, dict[str, str]] = {}
    for session in ours:
        if session.directory not in states:
            states[session.directory] = {
                key: state_of(status, ()) for key, status in (await connection.statuses(session.directory)).items()
            }
        state = states[session.directory].get(session.id, "ready")
        lost = session.id in given_up or (mark_of(session) or {}).get("created_by") in given_up
        reason = "not_removed" if lost else _reason(session, state, now_ms=now_ms, older_than_seconds=older_than_seconds)
        if reason is not None:
            found.append(Leftover(session, reason, state))
    return tuple(found)


def _reason(session: Session, state: str, *, now_ms: float, older_than_seconds: float | None) -> Reason | None:
    if owners.abandoned(session):
        return "owner_gone"
    deadline_ms = (mark_of(session) or {}).get("deadline_ms")
    if state != "ready" and isinstance(deadline_ms, int) and deadline_ms < now_ms:
        return "deadline_passed"
    # Another's session into which we sent a task bears our mark too; it is not ours to delete.
    if is_ours(session) and state == "ready" and older_than_seconds is not None and session.updated_ms < now_ms - older_than_seconds * 1000:
        return "old"
    return None


async def sweep(connection: Connection, found: tuple[Leftover, ...]) -> tuple[Swept, ...]:
    """Stop each leftover, verified, and delete what nobody will ask for again. One failure does not keep the others."""
    return tuple([await _swept(connection, item) for item in found])


async def _swept(connection: Connection, leftover: Leftover) -> Swept:
    stopped = deleted = False
    try:
        report = await stopping.stop(connection, leftover.session)
        stopped = report.confirmed
        if leftover.reason != "deadline_passed":
            # An overdue task keeps its session: somebody may still ask for what it did.
            await stopping.delete(connection, leftover.session, report=report)
            deleted = True
    except DriverError as error:
        return Swept(leftover, stopped, deleted, problem=error.message)
    return Swept(leftover, stopped, deleted, problem=None if stopped else "it is not seen stopped")
