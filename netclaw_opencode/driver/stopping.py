"""A stop that is a stop: abort, look, repeat; delete only after that.

Owns the proof that a session and its sub-agents no longer run. The abort's own answer is ``true`` for everything (F22),
so only status, requests and messages count.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import anyio

from netclaw_opencode._core import time_budget
from netclaw_opencode._core.concurrency import gather
from netclaw_opencode.driver import rules
from netclaw_opencode.errors import ActionFailed, DriverError
from netclaw_opencode.opencode.wire import routes
from netclaw_opencode.opencode.wire.http import HttpNotFoundError

if TYPE_CHECKING:
    from netclaw_opencode.opencode.connection import Connection
    from netclaw_opencode.opencode.wire.history import History, Step
    from netclaw_opencode.opencode.wire.types import Session

STOP_SECONDS = 7.5
"""Time for abort and verification together, in seconds."""

NEVER_SECONDS = 60.0
"""A prompt that is not in the store so long after its session was last touched never comes: the slowest start took half of it (F59)."""
_FATAL = frozenset({"session_not_found", "server_unreachable", "auth_failed"})
"""Failures after which another look would show nothing else."""


@dataclass(frozen=True, slots=True)
class StopTiming:
    """How long to look, in seconds.

    Attributes:
        pause: Between the first two looks; the pauses grow to ``longest_pause``.
        round: How long one abort is given before it is repeated.
        read: How long one reading of the messages may take.
        late_start: How long an idle session is watched before it counts as stopped: an abort may come just before the start (F22).
        unanswered: The same for a prompt that stands in the store without an answer: on a busy machine it starts up to 0.6 s later (F59).
    """

    pause: float = 0.05
    longest_pause: float = 0.3
    round: float = 1.0
    read: float = 1.0
    late_start: float = 0.4
    unanswered: float = 2.0


TIMING = StopTiming()


@dataclass(frozen=True, slots=True)
class StopReport:
    """What was seen while stopping. ``was`` is the state before; ``attempts`` counts rounds of abort and look.

    ``active`` are the sessions last seen running, and ``problem`` what kept a stop from being proved.
    """

    session_id: str
    was: str
    aborted: bool
    confirmed: bool
    attempts: int
    requests_refused: int
    elapsed_seconds: float
    children: tuple[dict[str, object], ...] = field(default=())
    active: tuple[str, ...] = ()
    problem: str | None = None

    @property
    def answered(self) -> bool:
        """Whether the server answered at all while the turn was being stopped."""
        return bool(self.attempts or self.active)

    def to_wire(self) -> dict[str, object]:
        """Return the evidence, as it stands in results and in error details."""
        wire: dict[str, object] = {
            "aborted": self.aborted,
            "confirmed": self.confirmed,
            "was": self.was,
            "attempts": self.attempts,
            "requests_refused": self.requests_refused,
            "children": [dict(child) for child in self.children],
            "elapsed_seconds": round(self.elapsed_seconds, 3),
        }
        if not self.confirmed:
            wire["active"] = list(self.active)
            if self.problem is not None:
                wire["problem"] = self.problem
        return wire


@dataclass(slots=True)
class _Stop:
    """A stop under way: what it has seen and done so far."""

    connection: Connection
    session: Session
    message_id: str | None
    ids: tuple[str, ...]
    timing: StopTiming
    before: dict[str, str] = field(default_factory=dict)
    active: tuple[str, ...] = ()
    attempts: int = 0
    refused: int = 0
    confirmed: bool = False
    problem: DriverError | None = None
    stored_since: float | None = None
    """Since when the prompt is seen in the store, without an answer and with nothing running."""


async def stop(
    connection: Connection,
    session: Session,
    *,
    message_id: str | None = None,
    within_seconds: float | None = None,
    timing: StopTiming = TIMING,
    at_once: tuple[str, ...] = (),
) -> StopReport:
    """Abort a session with its sub-agents and verify it.

    ``at_once`` are sessions of its tree that are known to run: they are aborted before anything is looked at.

    ``message_id`` is a prompt that was sent and may not have started yet: then a stop is proved only where that prompt stands in
    the store, since one that comes later still runs. Returns a report in any case where the server answers at all; ``confirmed`` is
    false where the proof was not had in time (``STOP_SECONDS`` unless given). Raises ``ActionFailed``
    (``session_not_found``) or
    ``ServerProblem``.
    """
    started = connection.clock()
    done = _Stop(connection, session, message_id, (session.id,), timing)
    with anyio.move_on_after(time_budget.remaining_up_to(STOP_SECONDS if within_seconds is None else within_seconds, stopping=True)):
        if at_once:
            await _abort_at_once(done, at_once)
        while not done.confirmed:
            try:
                await _round(done)
            except DriverError as error:
                if error.code in _FATAL:
                    raise
                # One request that fails is no reason to let the turn run.
                done.problem = error
                await anyio.sleep(timing.pause)
    facts = {"confirmed": done.confirmed, "attempts": done.attempts, "requests_refused": done.refused}
    connection.record.note("stopped", session_id=session.id, **facts)
    return StopReport(
        session_id=session.id,
        was=done.before.get(session.id, "busy"),
        aborted=any(state != "ready" for state in done.before.values()) or done.attempts > 1,
        confirmed=done.confirmed,
        attempts=done.attempts,
        requests_refused=done.refused,
        elapsed_seconds=connection.clock() - started,
        children=tuple(
            {"session_id": item, "was": done.before.get(item, "busy"), "confirmed": done.confirmed}
            for item in done.ids
            if item != session.id
        ),
        active=done.active,
        problem=connection.sanitize(done.problem.message) if done.problem is not None else None,
    )


async def _abort_at_once(done: _Stop, session_ids: tuple[str, ...]) -> None:
    """Abort without a look; whatever comes of it, the rounds that follow abort and look."""
    done.before = dict.fromkeys(session_ids, "busy")
    aborts = (_abort(done.connection, item, directory=done.session.directory) for item in session_ids)
    with suppress(DriverError):
        await gather(*aborts)


async def _round(done: _Stop) -> None:
    """Abort what runs, refuse what waits, and look."""
    # Imported here: whoever only looks at sessions stops none.
    from netclaw_opencode.driver import permissions

    connection, session = done.connection, done.session
    done.ids = tuple(item.id for item in await connection.tree(session))
    state = await connection.directory_state(session.directory)
    done.active = tuple(item for item in done.ids if state.status_of(item) is not None)
    if not done.attempts:
        done.before = {item: rules.state_of(state.status_of(item), state.pending_of((item,))) for item in done.ids} | done.before
    facts = {"attempt": done.attempts + 1, "sessions": len(done.ids), "was": done.before.get(session.id)}
    connection.record.note("abort", session_id=session.id, **facts)
    for item in done.ids:
        if done.attempts == 0 or item in state.statuses:
            done.problem = await _abort(connection, item, directory=session.directory) or done.problem
    # Only now: a refusal first would let a parent go on with what its sub-agent was refused.
    done.refused += await permissions.refuse_all(connection, state.pending_of(done.ids))
    done.attempts += 1
    stopped = await _wait_until_stopped(done)
    # A sub-agent that was created meanwhile has not been looked at.
    done.confirmed = stopped and len(await connection.tree(session)) == len(done.ids)


def already_stopped(session: Session) -> StopReport:
    """Return the report on a session whose turn was just seen complete: there is nothing to abort."""
    return StopReport(session.id, "ready", aborted=False, confirmed=True, attempts=0, requests_refused=0, elapsed_seconds=0.0)


async def _abort(connection: Connection, session_id: str, *, directory: str) -> DriverError | None:
    """Send an abort. Its answer proves nothing either way (F22), so a failure is only remembered."""
    try:
        await connection.http.call(routes.SESSION_ABORT, ids={"session_id": session_id}, directory=directory)
    except HttpNotFoundError:
        return None
    except DriverError as error:
        if error.code in _FATAL:
            raise
        return error
    return None


async def _wait_until_stopped(done: _Stop) -> bool:
    """Look until the tree is seen stopped, for about a second; then the abort is worth repeating."""
    connection, session, ids, timing = done.connection, done.session, done.ids, done.timing
    history = connection.history(session)
    quiet_since: float | None = None
    readable = True
    give_up = now = connection.clock()
    give_up += timing.round
    pause = timing.pause
    # Quiet that has just begun is given its time, however slow the looks are.
    enough = timing.late_start if done.message_id is None else timing.unanswered
    while now < give_up or (quiet_since is not None and now - quiet_since < enough + timing.late_start):
        state, newest = await gather(connection.directory_state(session.directory), _newest(history, timing.read, readable=readable))
        readable = newest is not None
        done.active = tuple(item for item in ids if state.status_of(item) is not None)
        now = connection.clock()
        if done.active:
            quiet_since = None
        elif quiet_since is None:
            quiet_since = now
        quiet_seconds = now - quiet_since if quiet_since is not None else 0.0
        # After a restart of the server a tool part says "running" for ever (F33), so long quiet outweighs it.
        believed = quiet_seconds >= timing.late_start
        if done.message_id is None:
            settled = believed or newest is not None
        else:
            settled = await _is_settled(done, history, newest, now=now)
        facts = rules.StopFacts(
            active=done.active,
            pending=state.pending_of(ids),
            running_tools=() if believed else _running_tools(newest or ()),
            unsettled=not settled,
        )
        if rules.is_stopped(facts):
            return True
        await anyio.sleep(pause)
        # Where many stop at once, looking must not be what keeps the server from stopping them.
        pause = min(pause * 1.5, timing.longest_pause)
    return False


async def _newest(history: History, seconds: float, *, readable: bool) -> tuple[Step, ...] | None:
    """Return the newest messages, or None where they cannot be read (too slow, broken): then only quiet proves a stop."""
    if not readable:
        return None
    with anyio.move_on_after(seconds):
        try:
            return await history.read_newest()
        except DriverError as error:
            if error.code in _FATAL:
                raise
    return None


def _running_tools(newest: tuple[Step, ...]) -> tuple[str, ...]:
    """Tools of the last message that still claim to run; older ones may lie for ever (F33)."""
    return tuple(use.call_id for step in newest[-1:] for use in step.tools if use.status == "running")


async def _is_settled(done: _Stop, history: History, newest: tuple[Step, ...] | None, *, now: float) -> bool:
    """Return whether the prompt cannot start any more: it was answered, or stands in the store and nothing comes of it."""
    if newest is None or done.active or done.message_id is None:
        done.stored_since = None
        return False
    last = newest[-1] if newest else None
    if last is not None and last.parent_id == done.message_id and (last.completed_ms is not None or last.error is not None):
        return True
    if any(step.id == done.message_id for step in newest) or await history.read_one(done.message_id) is not None:
        done.stored_since = now if done.stored_since is None else done.stored_since
        return now - done.stored_since >= done.timing.unanswered
    touched_ms = (await done.connection.session(done.session.id)).updated_ms
    return done.connection.http.server_time_ms() - touched_ms > NEVER_SECONDS * 1000


async def delete(
    connection: Connection,
    session: Session,
    *,
    report: StopReport | None = None,
    on_deleted: Callable[[str], None] = lambda _: None,
    timing: StopTiming = TIMING,
) -> bool:
    """Delete a stopped session and see it gone (404); returns whether it was gone already.

    A prompt that has not come into the store by then is refused by the server for good; one that slips in at that very moment
    runs in spite of the delete (F24), so without a ``report`` on the stop it is looked for, and aborted.

    Raises ``ActionFailed``: ``abort_unconfirmed`` where it is not seen stopped (F24), ``cleanup_incomplete`` where it
    is still there afterwards.
    """
    may_start_late = report is None
    report = report if report is not None else await stop(connection, session, timing=timing)
    rules.require_stopped(connection.record, session.id, confirmed=report.confirmed)
    gone_already = False
    try:
        await connection.http.call(routes.SESSION_DELETE, ids={"session_id": session.id}, directory=session.directory)
    except HttpNotFoundError:
        # The second of two equal deletes is a 404 (F52): the goal is reached.
        gone_already = True
    except DriverError as error:
        raise _cleanup_error(session.id, error.message) from error
    try:
        await connection.session(session.id)
    except ActionFailed as error:
        if error.code == "session_not_found":
            if may_start_late:
                await _end_late_start(connection, session, timing)
            connection.record.note("deleted", session_id=session.id, gone_already=gone_already)
            on_deleted(session.id)
            return gone_already
        raise
    raise _cleanup_error(session.id, "it is still there after the delete")


async def _end_late_start(connection: Connection, session: Session, timing: StopTiming) -> None:
    """Look at a deleted session until it is quiet, and abort what runs in it all the same: the abort still reaches it (F24)."""
    quiet_since = started = connection.clock()
    while connection.clock() - quiet_since < timing.late_start:
        if (await connection.directory_state(session.directory)).status_of(session.id) is not None:
            await _abort(connection, session.id, directory=session.directory)
            quiet_since = connection.clock()
        if connection.clock() - started > STOP_SECONDS:
            raise _cleanup_error(session.id, "it was deleted, and something still runs in it")
        await anyio.sleep(timing.pause)


def _cleanup_error(session_id: str, why: str) -> ActionFailed:
    return ActionFailed(
        "cleanup_incomplete",
        f"session {session_id} could not be removed: {why}",
        next=f"netclaw-opencode run delete-session --session-id {session_id}",
        details={"session_id": session_id},
    )
