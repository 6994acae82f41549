"""A stop that is a stop: abort, look, repeat; delete only after that.

Owns the proof that a session and its sub-agents no longer run. The abort's own answer is ``true`` for everything (F22),
so only status, requests and messages count.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import anyio

from netclaw_opencode.client import routes
from netclaw_opencode.client.http import HttpNotFound
from netclaw_opencode.driver import requests, rules
from netclaw_opencode.driver.noting import asked
from netclaw_opencode.driver.together import together
from netclaw_opencode.errors import ActionFailed, DriverError

if TYPE_CHECKING:
    from netclaw_opencode.client.types import Message, Session
    from netclaw_opencode.driver.connection import Connection

STOP_SECONDS = 10.0
"""Time for abort and verification together, in seconds."""

_LOOK_SECONDS = 0.05
_LATE_START_SECONDS = 0.4
"""A prompt that was just taken may start after an abort (F22): an idle session is looked at for this long."""


@dataclass(frozen=True, slots=True)
class StopReport:
    """What was seen while stopping. ``was`` is the state before; ``attempts`` counts abort requests."""

    session_id: str
    was: str
    aborted: bool
    confirmed: bool
    attempts: int
    requests_refused: int
    elapsed_seconds: float
    children: tuple[dict[str, object], ...] = field(default=())

    def to_wire(self) -> dict[str, object]:
        """The evidence, as it stands in results and in error details."""
        return {
            "aborted": self.aborted,
            "confirmed": self.confirmed,
            "was": self.was,
            "attempts": self.attempts,
            "requests_refused": self.requests_refused,
            "children": [dict(child) for child in self.children],
            "elapsed_seconds": round(self.elapsed_seconds, 3),
        }


async def stop(
    connection: Connection, session: Session, *, message_id: str | None = None, within_seconds: float = STOP_SECONDS
) -> StopReport:
    """Abort a session with its sub-agents and verify it.

    ``message_id`` is a prompt that was sent and may not have started yet: then idleness is believed only after it
    stayed so. Returns a report in any case; ``confirmed`` is false where the proof was not had in time.
    """
    started = connection.clock()
    tree = await connection.tree(session)
    ids = tuple(item.id for item in tree)
    activity = await connection.activity(session.directory)
    before = {item: rules.state_of(activity.statuses.get(item), activity.pending_of((item,))) for item in ids}
    attempts = refused = 0
    confirmed = False
    with anyio.move_on_after(within_seconds):
        while not confirmed:
            connection.record.note("abort", session_id=session.id, attempt=attempts + 1, sessions=len(ids), was=before[session.id])
            for item in ids:
                if attempts == 0 or item in activity.statuses:
                    await _abort(connection, item, directory=session.directory)
            # Only now: a refusal first would let a parent go on with what its sub-agent was refused.
            refused += await requests.refuse_all(connection, activity.pending_of(ids))
            attempts += 1
            confirmed = await _seen_stopped(connection, session, ids, message_id=message_id)
            tree = await connection.tree(session)
            confirmed = confirmed and len(tree) == len(ids)
            ids = tuple(item.id for item in tree)
            activity = await connection.activity(session.directory)
    connection.record.note("stopped", session_id=session.id, confirmed=confirmed, attempts=attempts, requests_refused=refused)
    return StopReport(
        session_id=session.id,
        was=before[session.id],
        aborted=any(state != "ready" for state in before.values()) or attempts > 1,
        confirmed=confirmed,
        attempts=attempts,
        requests_refused=refused,
        elapsed_seconds=connection.clock() - started,
        children=tuple({"session_id": item, "was": before.get(item, "busy"), "confirmed": confirmed} for item in ids if item != session.id),
    )


def at_rest(session: Session) -> StopReport:
    """The report on a session whose turn was just seen complete: there is nothing to abort."""
    return StopReport(session.id, "ready", aborted=False, confirmed=True, attempts=0, requests_refused=0, elapsed_seconds=0.0)


async def _abort(connection: Connection, session_id: str, *, directory: str) -> None:
    try:
        await connection.http.call(routes.SESSION_ABORT, ids={"session_id": session_id}, directory=directory)
    except HttpNotFound:
        return


async def _seen_stopped(connection: Connection, session: Session, ids: tuple[str, ...], *, message_id: str | None) -> bool:
    """Look until the tree is seen stopped, for about a second; then the abort is worth repeating."""
    quiet_since: float | None = None
    give_up = connection.clock() + 1.0
    while connection.clock() < give_up:
        activity, messages = await together(connection.activity(session.directory), connection.messages(session))
        active = tuple(item for item in ids if item in activity.statuses and activity.statuses[item].kind != "idle")
        now = connection.clock()
        if active:
            quiet_since = None
        elif quiet_since is None:
            quiet_since = now
        quiet_seconds = now - quiet_since if quiet_since is not None else 0.0
        # After a restart of the server a tool part says "running" for ever (F33), so long quiet outweighs it.
        believed = quiet_seconds >= _LATE_START_SECONDS
        facts = rules.StopFacts(
            active=active,
            pending=activity.pending_of(ids),
            running_tools=() if believed else _running_tools(messages),
            unsettled=not (believed or _settled(messages, message_id)),
        )
        if rules.stop_verified(facts):
            return True
        await anyio.sleep(_LOOK_SECONDS)
    return False


def _running_tools(messages: tuple[Message, ...]) -> tuple[str, ...]:
    """Tools of the last message that still claim to run; older ones may lie for ever (F33)."""
    last = messages[-1:] if messages else ()
    return tuple(part.id for message in last for part in message.parts if part.tool_status == "running")


def _settled(messages: tuple[Message, ...], message_id: str | None) -> bool:
    """Whether the prompt cannot start any more: it was answered, or there is none to wait for."""
    if message_id is None:
        return True
    replies = [item for item in messages if item.parent_id == message_id]
    return any(item.completed_ms is not None or item.error is not None for item in replies)


async def delete(
    connection: Connection, session: Session, *, report: StopReport | None = None, told: Callable[[str], None] = lambda _: None
) -> bool:
    """Delete a stopped session and see it gone (404); returns whether it was gone already.

    Raises ``ActionFailed``: ``abort_unconfirmed`` where it is not seen stopped (F24), ``cleanup_incomplete`` where it
    is still there afterwards.
    """
    report = report if report is not None else await stop(connection, session)
    asked(connection.record, rules.delete_after_stop, session.id, confirmed=report.confirmed)
    gone_already = False
    try:
        await connection.http.call(routes.SESSION_DELETE, ids={"session_id": session.id}, directory=session.directory)
    except HttpNotFound:
        # The second of two equal deletes is a 404 (F52): the goal is reached.
        gone_already = True
    except DriverError as error:
        raise _left(session.id, error.message) from error
    try:
        await connection.session(session.id)
    except ActionFailed as error:
        if error.code == "session_not_found":
            connection.record.note("deleted", session_id=session.id, gone_already=gone_already)
            told(session.id)
            return gone_already
        raise
    raise _left(session.id, "it is still there after the delete")


def _left(session_id: str, why: str) -> ActionFailed:
    return ActionFailed(
        "cleanup_incomplete",
        f"session {session_id} could not be removed: {why}",
        next=f"netclaw-opencode run delete-session --session-id {session_id}",
        details={"session_id": session_id},
    )
