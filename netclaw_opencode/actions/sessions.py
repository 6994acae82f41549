"""Handlers of sessions: create_session, get_session_status, list_sessions, abort_session, delete_session."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from netclaw_opencode._core import time_budget
from netclaw_opencode.actions import arguments as read
from netclaw_opencode.driver import rules, sessions, stopping
from netclaw_opencode.driver.looks import last_turn
from netclaw_opencode.driver.tags import SessionTag, own_tags
from netclaw_opencode.driver.verdict import judge
from netclaw_opencode.errors import ActionFailed, DriverError
from netclaw_opencode.facts import ProgressEvent
from netclaw_opencode.opencode.directories import Places

if TYPE_CHECKING:
    from netclaw_opencode.actions.context import ActionContext
    from netclaw_opencode.facts import PendingRequest
    from netclaw_opencode.jsontypes import JsonObject
    from netclaw_opencode.opencode.connection import Connection
    from netclaw_opencode.opencode.watcher import DirectoryState
    from netclaw_opencode.opencode.wire.history import History
    from netclaw_opencode.opencode.wire.types import Session, SessionStatus

_CREATE_SECONDS = 15.0
"""The deadline of ``create_session`` in the manifest."""
_MOST = 1000
"""Sessions that are looked at where only some of them are wanted."""


async def create_session(arguments: JsonObject, context: ActionContext) -> JsonObject:
    """Create a session, or fork ``parent_id``."""
    parent_id = read.optional_id(arguments, "parent_id")
    read.require_sound(arguments, context.settings)
    wanted = sessions.NewSession(
        directory=read.workplace(arguments, context.settings),
        task="create_session",
        title=read.text(arguments, "title"),
        agent=read.text(arguments, "agent"),
        model=read.model(arguments, context.settings),
        parent_id=parent_id,
        directory_given="directory" in arguments,
        places=Places.from_settings(context.settings),
    )
    connection = await context.driver.connect()
    notes = await context.driver.sweep_orphans(connection, left_seconds=time_budget.current().clamp(_CREATE_SECONDS, stops=False))
    # Imported here, as elsewhere in this module: a look at sessions needs no key and no sweep.
    from netclaw_opencode._core.idempotency import read_key
    from netclaw_opencode.driver import keys

    key = read_key(arguments, action="create_session")
    new = True
    if key is None:
        with context.driver.pending_removals.add_on_failure(wanted.created_by):
            session = await sessions.create(connection, wanted)
    else:
        wanted = replace(wanted, marks=key.marks())
        session, new = await keys.find_or_create(connection, key, lambda: sessions.create(connection, wanted))
    if not new:
        notes.append("the same idempotency key: this is the session that was created before")
    else:
        connection.remember_session(session)
        context.driver.emit(ProgressEvent("session_created", f"session {session.id}", session.id))
    output: dict[str, object] = {"session": sessions.to_wire(session), "notes": notes}
    if parent_id is not None:
        output["forked_from"] = parent_id
    return output


async def get_session_status(arguments: JsonObject, context: ActionContext) -> JsonObject:
    """Return the true state of one session, or of all."""
    wanted = read.optional_id(arguments, "session_id")
    everywhere = read.flag(arguments, "all_directories")
    directory = None if everywhere or wanted is not None else read.directory(arguments, context.settings)
    connection = await context.driver.connect()
    if wanted is not None:
        session = await connection.session(wanted)
        history, status, pending = await connection.session_state(session)
        state = _state(connection, session, status, pending) | {"last_turn": await _last_turn(connection, status, pending, history)}
        return {"sessions": [state], "count": 1}
    limit = read.integer(arguments, "limit", 50)
    found = (await sessions.list_newest(connection, directory=directory, limit=limit))[:limit]
    places, skipped = await _directory_states(connection, tuple(dict.fromkeys(item.directory for item in found)))
    states = [
        _state(connection, item, places[item.directory].status_of(item.id), places[item.directory].pending_of((item.id,)))
        for item in found
        if item.directory in places
    ]
    return {"sessions": states, "count": len(states), **({"skipped": skipped} if skipped else {})}


async def _directory_states(
    connection: Connection, directories: tuple[str, ...]
) -> tuple[dict[str, DirectoryState], list[dict[str, object]]]:
    """Return what runs and waits in each directory, read side by side; and the directories that could not be read, with the reason."""
    if len(directories) == 1:
        return {directories[0]: await connection.directory_state(directories[0])}, []
    from netclaw_opencode.driver import leftovers

    states: dict[str, DirectoryState] = {}
    skipped: list[dict[str, object]] = []

    async def look(directory: str) -> None:
        try:
            states[directory] = await connection.directory_state(directory)
        except DriverError as error:
            skipped.append({"directory": directory, "code": error.code, "message": error.message})

    await leftovers.run_limited([partial(look, directory) for directory in directories], at_once=leftovers.AT_ONCE)
    return states, skipped


def _state(
    connection: Connection, session: Session, status: SessionStatus | None, pending: tuple[PendingRequest, ...]
) -> dict[str, object]:
    output: dict[str, object] = {
        "session_id": session.id,
        "directory": session.directory,
        "state": rules.state_of(status, pending),
        "pending": [item.to_wire() for item in pending],
    }
    if status is not None and status.kind == "retry":
        output |= {
            "attempt": status.attempt,
            "retry_message": connection.sanitize(status.message),
            "next_attempt_in_seconds": max(0.0, round((status.next_ms - connection.http.server_time_ms()) / 1000, 3)),
        }
    return output


async def _last_turn(
    connection: Connection, status: SessionStatus | None, pending: tuple[PendingRequest, ...], history: History
) -> dict[str, object]:
    """Return how the last turn stands: the server shows idle for what failed, too."""
    span = await last_turn(history)
    if span is None:
        return {"state": "none"}
    verdict = judge(span, status=status, pending=pending)
    output: dict[str, object] = {"state": verdict.state if verdict.ended else "running", "message_id": span.message_id}
    if verdict.state == "not_started":
        output["state"] = "failed"
    if verdict.code is not None:
        output |= {"code": verdict.code, "message": connection.sanitize(verdict.message)}
    return output


async def list_sessions(arguments: JsonObject, context: ActionContext) -> JsonObject:
    """Sessions, newest first."""
    limit = read.integer(arguments, "limit", 50)
    ours_only = read.flag(arguments, "ours_only")
    directory = None if read.flag(arguments, "all_directories") else read.directory(arguments, context.settings)
    # The server cannot choose ours: any number of others may stand before them.
    most = _MOST if ours_only else limit
    found = await sessions.list_newest(await context.driver.connect(), directory=directory, limit=most)
    ours = {session.id for session, tag in own_tags(found) if tag.task is not None}
    kept = [item for item in found[:most] if item.id in ours or not ours_only]
    return {
        "sessions": [sessions.to_wire(item) for item in kept[:limit]],
        "count": len(kept[:limit]),
        "truncated": len(kept) > limit or len(found) > most,
    }


async def abort_session(arguments: JsonObject, context: ActionContext) -> JsonObject:
    """Abort whatever runs in a session, verified."""
    wanted = read.session_id(arguments)
    connection = await context.driver.connect()
    session = await connection.session(wanted)
    rules.require_ours(connection.record, session, include_foreign=read.flag(arguments, "include_foreign"))
    report = await stopping.stop(connection, session, message_id=SessionTag.read(session).message_id)
    if not report.confirmed:
        raise ActionFailed(
            "abort_unconfirmed",
            f"session {session.id} was aborted {report.attempts} time(s) and is not seen stopped",
            rule="stop-verified",
            details={"session_id": session.id, **report.to_wire()},
        )
    return {"session_id": session.id, "state": "ready", **report.to_wire()}


async def delete_session(arguments: JsonObject, context: ActionContext) -> JsonObject:
    """Stop a session, delete it, and see it gone."""
    wanted = read.session_id(arguments)
    connection = await context.driver.connect()
    session = await connection.session(wanted)
    rules.require_ours(connection.record, session, include_foreign=read.flag(arguments, "include_foreign"))
    report = await stopping.stop(connection, session)
    gone_already = await stopping.delete(connection, session, report=report)
    context.driver.emit(ProgressEvent("session_deleted", f"session {session.id} deleted", session.id))
    return {
        "session_id": session.id,
        "deleted": True,
        "already_gone": gone_already,
        "confirmed": True,
        "stopped": report.to_wire(),
    }
