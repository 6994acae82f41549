"""Recovery: what hangs is stopped; a server that hangs is killed, if it is ours, and started afresh.

A server that is not ours is never signalled: our sessions on it are stopped, and the rest is reported.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import anyio

from netclaw_opencode.driver import leftovers, rules, sessions, stopping
from netclaw_opencode.driver.leftovers import Skipped
from netclaw_opencode.driver.looks import last_turn
from netclaw_opencode.driver.tags import own_tags
from netclaw_opencode.driver.verdict import judge
from netclaw_opencode.errors import DriverError, Refused, ServerProblem
from netclaw_opencode.opencode import addresses, servers
from netclaw_opencode.opencode.wire import listing
from netclaw_opencode.records.recorder import NO_RECORD, Recorder

if TYPE_CHECKING:
    from netclaw_opencode.opencode.connection import Connection
    from netclaw_opencode.opencode.wire.types import Session
    from netclaw_opencode.settings import Settings

_HANGING = frozenset({"server_not_ready", "request_timeout", "connection_lost"})
_HANG_SECONDS = 10.0
"""A server that does not answer for this long hangs: a healthy one answers within 5 s on a busy machine (F59)."""
_RECENT = 50
"""As many sessions as are looked at, newest first, for turns that the old server took with it."""


@dataclass(slots=True)
class Recovery:
    """What was found and done. ``lost`` are sessions whose running turn was given up."""

    url: str
    server_was: str
    ours: bool
    retrying: list[str] = field(default_factory=list)
    stopped: list[str] = field(default_factory=list)
    lost: list[Session] = field(default_factory=list)
    signal: str | None = None
    restarted: bool = False
    notes: list[str] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)

    def to_wire(self) -> dict[str, object]:
        """Return the form in results."""
        wire: dict[str, object] = {
            "server": {"url": self.url, "was": self.server_was, "ours": self.ours, "restarted": self.restarted},
            "retrying": list(self.retrying),
            "sessions_stopped": list(self.stopped),
            "lost": [{"session_id": item.id, "title": item.title, "directory": item.directory} for item in self.lost],
            "notes": list(self.notes),
            "skipped": [item.to_wire() for item in dict.fromkeys(self.skipped)],
        }
        if self.signal is not None:
            wire["signal"] = self.signal
        return wire


async def recover(
    settings: Settings,
    *,
    connect: Callable[[], Awaitable[Connection]],
    disconnect: Callable[[], Awaitable[None]],
    directory: str,
    within_seconds: float,
    force: bool,
    recorder: Recorder = NO_RECORD,
) -> Recovery:
    """Stop stuck sessions of ours; kill and restart our server where it hangs, where many hang in it, or if ``force``.

    Raises ``Refused`` (``kill_refused``) where the server that hangs is not provably ours.
    """
    address = addresses.locate(settings)
    ours = addresses.is_ours(settings)
    done = Recovery(address.url, "answering", ours=ours)
    if ours and address.record is None:
        done.server_was = "gone"
    else:
        try:
            with anyio.fail_after(_HANG_SECONDS):
                connection = await connect()
            await _look(connection, done, force=force)
        except TimeoutError:
            done.server_was = "hanging"
            done.notes.append(f"{address.url} did not answer for {_HANG_SECONDS:g} s")
        except DriverError as error:
            if error.code == "server_unreachable" and ours:
                # It was just ending when the state file was read.
                done.server_was = "gone"
            elif error.code in _HANGING:
                done.server_was = "hanging"
                done.notes.append(error.message)
            else:
                raise
    stuck = force or done.server_was != "answering" or len(done.retrying) >= rules.STUCK_SESSIONS
    if not stuck:
        return done
    if not ours:
        raise Refused(
            "kill_refused",
            f"the server at {address.url} {'hangs' if done.server_was == 'hanging' else 'is stuck'}, but it was not started by this skill: "
            "it was not signalled",
            rule="own-things-only",
            next="restart that server where it was started",
            details=done.to_wire(),
        )
    await disconnect()
    await _restart(settings, done, directory=directory, within_seconds=within_seconds, recorder=recorder)
    await _look_for_interrupted(await connect(), done)
    return done


async def _look(connection: Connection, done: Recovery, *, force: bool) -> None:
    """See what runs; stop what is ours and hangs (all that is ours, where the server has to go)."""
    listed = (await listing.list_sessions(connection.http, most=sessions.MANY)).sessions
    ours = {session.id for session, tag in own_tags(listed) if tag.task is not None}
    statuses, skipped = await leftovers.read_statuses(connection, (item.directory for item in listed))
    done.skipped += skipped
    running = [(item, statuses[item.directory][item.id]) for item in listed if item.id in statuses.get(item.directory, {})]
    done.retrying = [session.id for session, status in running if status.kind == "retry"]
    stuck = force or bool(rules.stuck_sessions({session.id: status for session, status in running}))
    wanted = [session for session, status in running if session.id in ours and (stuck or status.kind == "retry")]
    await leftovers.run_limited([partial(_stop, connection, session, done) for session in wanted], at_once=leftovers.STOPS_AT_ONCE)


async def _look_for_interrupted(connection: Connection, done: Recovery) -> None:
    """Find sessions whose last turn the old server took with it: idle, but unfinished (F33, F44)."""
    known = {session.id for session in done.lost}
    listed = (await listing.list_sessions(connection.http, most=_RECENT)).sessions
    found: dict[str, bool] = {}

    async def look(session: Session) -> None:
        try:
            found[session.id] = await _is_interrupted(connection, session)
        except DriverError as error:
            done.skipped.append(Skipped(session.directory, error.message))

    wanted = [item for item in listed if item.id not in known]
    await leftovers.run_limited([partial(look, session) for session in wanted], at_once=leftovers.AT_ONCE)
    done.lost += [session for session in wanted if found.get(session.id)]


async def _is_interrupted(connection: Connection, session: Session) -> bool:
    last = await last_turn(connection.history(session))
    return last is not None and judge(last).code == "interrupted"


async def _stop(connection: Connection, session: Session, done: Recovery) -> None:
    try:
        report = await stopping.stop(connection, session)
    except DriverError as error:
        done.notes.append(f"session {session.id} could not be stopped: {error.message}")
        return
    if report.confirmed:
        done.stopped.append(session.id)
        done.lost.append(session)
    else:
        done.notes.append(f"session {session.id} is not seen stopped")


async def _restart(settings: Settings, done: Recovery, *, directory: str, within_seconds: float, recorder: Recorder) -> None:
    stopped = await servers.stop(settings, recorder=recorder)
    if stopped.ended is not None:
        done.signal = stopped.ended.signal
        if stopped.ended.processes_left:
            raise ServerProblem(
                "server_died", f"{stopped.ended.processes_left} process(es) of the server did not end", details=done.to_wire()
            )
    found = await servers.start(settings, port=None, directory=directory, within_seconds=within_seconds)
    done.url, done.restarted, done.ours = found.record.url, found.started, True
