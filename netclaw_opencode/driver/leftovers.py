"""Sessions of ours that no process waits for any more: find them by their tags, stop them, remove them, and report it.

The server is the memory, so any later process can find them, however the one before ended. Looking is best effort: what cannot be read
is skipped and reported.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Literal

import anyio

from netclaw_opencode.driver import sessions, stopping
from netclaw_opencode.driver.rules import state_of
from netclaw_opencode.driver.tags import own_tags
from netclaw_opencode.errors import DriverError
from netclaw_opencode.opencode.wire import listing
from netclaw_opencode.settings import is_loopback

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping

    from netclaw_opencode.opencode.connection import Connection
    from netclaw_opencode.opencode.wire.types import Session, SessionStatus

AT_ONCE = 8
"""As many directories as are read side by side: each may have to start its instance first (F59)."""
STOPS_AT_ONCE = 4
"""As many sessions as are stopped side by side: about as many as a server works on at a time (F6)."""

Reason = Literal["owner_gone", "not_removed", "deadline_passed", "old"]


@dataclass(frozen=True, slots=True)
class Leftover:
    """A session of ours that no process waits for. An overdue one is stopped; the others are deleted, too."""

    session: Session
    reason: Reason
    state: str


@dataclass(frozen=True, slots=True)
class Removal:
    """What became of a leftover; ``problem`` says why it is still there."""

    leftover: Leftover
    stopped: bool
    deleted: bool
    problem: str | None = None

    def sentence(self) -> str:
        """Return what happened, for people."""
        session = self.leftover.session
        left = (
            "which an earlier call could not remove" if self.leftover.reason == "not_removed" else "left behind by a process that is gone"
        )
        if self.problem is not None:
            return f"session {session.id}, {left}, could not be removed: {self.problem}"
        return f"session {session.id} ({session.title[:60]!r}), {left}, was stopped and removed"

    def to_wire(self) -> dict[str, object]:
        """Return the form in results."""
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


@dataclass(frozen=True, slots=True)
class Skipped:
    """What could not be looked at: one directory, or (None) something of the whole list."""

    directory: str | None
    reason: str

    def sentence(self) -> str:
        """Return the same, for people."""
        where = f"in {self.directory}" if self.directory is not None else "on the server"
        return f"sessions {where} could not be looked at: {self.reason}"

    def to_wire(self) -> dict[str, object]:
        """Return the form in results."""
        return {"directory": self.directory, "reason": self.reason} if self.directory is not None else {"reason": self.reason}


@dataclass(frozen=True, slots=True)
class Look:
    """What a look for leftovers found, and what it could not see."""

    found: tuple[Leftover, ...] = ()
    skipped: tuple[Skipped, ...] = ()


async def find(
    connection: Connection,
    *,
    older_than_seconds: float | None = None,
    given_up: frozenset[str] = frozenset(),
    limit: int = sessions.MANY,
) -> Look:
    """Find sessions of ours whose process is gone, whose deadline has passed while they run, or (on request) which are old.

    Reads the status of the directories of such sessions only: a look must not wake the others.

    Args:
        connection: The server.
        older_than_seconds: Also take sessions that were idle and unchanged for this long.
        given_up: Sessions that a call of this very process could not remove (ids) or lost sight of (``created_by``).
        limit: As many sessions as are looked through, those changed last first.
    """
    now_ms = connection.http.server_time_ms()
    listed = await listing.list_sessions(connection.http, most=limit)
    local_server = is_loopback(connection.http.url)
    oldest_ms = now_ms - older_than_seconds * 1000 if older_than_seconds is not None else float("-inf")
    candidates: list[tuple[Session, Reason, bool]] = []
    tags = {session.id: tag for session, tag in own_tags(listed.sessions)}
    for session, tag in ((item, tags[item.id]) for item in listed.sessions if item.id in tags):
        # Another's session into which we sent a task bears our tag too; it is not ours to delete.
        is_old = tag.task is not None and session.updated_ms < oldest_ms
        if session.id in given_up or tag.created_by in given_up:
            candidates.append((session, "not_removed", is_old))
        elif tag.is_abandoned(local_server=local_server):
            candidates.append((session, "owner_gone", is_old))
        elif tag.deadline_ms is not None and tag.deadline_ms < now_ms:
            # If it ended in time, its caller may still ask for the result, until it is old.
            candidates.append((session, "deadline_passed", is_old))
        elif is_old:
            candidates.append((session, "old", is_old))
    statuses, skipped = await read_statuses(connection, (session.directory for session, _, _ in candidates))
    if listed.unreadable:
        skipped += (Skipped(None, f"{listed.unreadable} session(s) are larger than an answer may be"),)
    found: list[Leftover] = []
    for session, reason, is_old in candidates:
        if session.directory not in statuses:
            continue
        state = state_of(statuses[session.directory].get(session.id), ())
        if reason in ("owner_gone", "not_removed") or (reason == "deadline_passed" and state != "ready"):
            found.append(Leftover(session, reason, state))
        elif is_old and state == "ready":
            found.append(Leftover(session, "old", state))
    return Look(tuple(found), skipped)


async def read_statuses(
    connection: Connection, directories: Iterable[str]
) -> tuple[Mapping[str, Mapping[str, SessionStatus]], tuple[Skipped, ...]]:
    """Read what runs in each directory, side by side: its status map (idle sessions are absent), or why it cannot be read."""
    statuses: dict[str, Mapping[str, SessionStatus]] = {}
    skipped: dict[str, Skipped] = {}

    async def look(directory: str) -> None:
        try:
            statuses[directory] = await connection.statuses(directory)
        except DriverError as error:
            skipped[directory] = Skipped(directory, error.message)

    wanted = list(dict.fromkeys(directories))
    await run_limited([partial(look, directory) for directory in wanted], at_once=AT_ONCE)
    return statuses, tuple(skipped[directory] for directory in wanted if directory in skipped)


async def run_limited(jobs: Iterable[Callable[[], Awaitable[None]]], *, at_once: int) -> None:
    """Run jobs that report their own failures, so many at a time."""
    limiter = anyio.CapacityLimiter(at_once)

    async def run(job: Callable[[], Awaitable[None]]) -> None:
        async with limiter:
            await job()

    async with anyio.create_task_group() as tasks:
        for job in jobs:
            tasks.start_soon(run, job)


async def remove(
    connection: Connection, found: tuple[Leftover, ...], *, done: Callable[[Removal], None] = lambda _: None
) -> tuple[Removal, ...]:
    """Stop each leftover, verified, and delete those without a result to ask for. One failure does not keep the others.

    Calls ``done`` with each as soon as it is finished.
    """
    results: dict[int, Removal] = {}

    async def work(place: int) -> None:
        results[place] = await _remove(connection, found[place])
        done(results[place])

    await run_limited([partial(work, place) for place in range(len(found))], at_once=STOPS_AT_ONCE)
    return tuple(results[place] for place in range(len(found)))


async def _remove(connection: Connection, leftover: Leftover) -> Removal:
    stopped = deleted = False
    try:
        report = await stopping.stop(connection, leftover.session)
        stopped = report.confirmed
        if leftover.reason != "deadline_passed":
            # An overdue task keeps its session: its caller may still ask for the result.
            await stopping.delete(connection, leftover.session, report=report)
            deleted = True
    except DriverError as error:
        return Removal(leftover, stopped, deleted, problem=error.message)
    return Removal(leftover, stopped, deleted, problem=None if stopped else "it is not seen stopped")
