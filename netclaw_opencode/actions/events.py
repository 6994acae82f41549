"""Handler of live events: watch_events."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import anyio

from netclaw_opencode._core import time_budget
from netclaw_opencode.actions import arguments as read
from netclaw_opencode.driver.sessions import iso
from netclaw_opencode.facts import ProgressEvent

if TYPE_CHECKING:
    from netclaw_opencode.actions.context import ActionContext
    from netclaw_opencode.jsontypes import JsonObject
    from netclaw_opencode.opencode.connection import Connection
    from netclaw_opencode.opencode.wire.types import ServerEvent

_NOISE = frozenset({"server.heartbeat", "message.part.delta"})
"""Left out: they say nothing that another event does not say better."""


async def watch_events(arguments: JsonObject, context: ActionContext) -> JsonObject:
    """Live events of one session (with its sub-agents) or of all, bounded in number and time."""
    wanted = read.optional_id(arguments, "session_id")
    most = read.integer(arguments, "max_events", 100)
    until_idle = read.flag(arguments, "until_idle")
    connection = await context.driver.connect()
    if wanted is not None:
        await connection.session(wanted)
    events: list[dict[str, object]] = []
    ended = "time"
    async with connection.events.subscribe(wanted) as subscription:
        with anyio.move_on_after(time_budget.current().clamp(read.seconds(arguments, "wait_seconds", 30), stops=False)):
            await connection.events.wait_ready(within_seconds=10)
            while len(events) < most:
                event = await subscription.next()
                if event is None or event.type in _NOISE:
                    continue
                events.append(_wire(event, connection))
                context.driver.emit(ProgressEvent("event", f"{event.type} {events[-1]['summary']}", event.session_id, facts=events[-1]))
                if until_idle and event.type == "session.idle" and event.session_id == (wanted or event.session_id):
                    ended = "idle"
                    break
            else:
                ended = "limit"
    output: dict[str, object] = {"events": events, "count": len(events), "dropped": subscription.dropped, "ended": ended}
    note = time_budget.current().note()
    if note is not None and ended == "time":
        output["notes"] = [note]
    return output


def _wire(event: ServerEvent, connection: Connection) -> dict[str, object]:
    wire: dict[str, object] = {"at": iso(time.time() * 1000), "type": event.type, "summary": connection.sanitize(_summary(event))[:200]}
    if event.session_id is not None:
        wire["session_id"] = event.session_id
    if event.directory is not None:
        wire["directory"] = event.directory
    return wire


def _summary(event: ServerEvent) -> str:
    """One line on what happened, without the prompt's or the model's whole text."""
    found: list[str] = []
    for holder in (event.properties, *(event.properties.get(key) for key in ("info", "part", "status", "error", "state"))):
        if not isinstance(holder, dict):
            continue
        for key in ("type", "tool", "status", "title", "role", "finish", "attempt", "message", "name", "permission", "file"):
            value = holder.get(key)
            if isinstance(value, str | int) and value != "":
                found.append(f"{key}={value}")
        state = holder.get("state")
        if isinstance(state, dict) and isinstance(state.get("status"), str):
            found.append(f"status={state['status']}")
    return " ".join(dict.fromkeys(found))
