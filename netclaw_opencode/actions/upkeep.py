"""Handlers of upkeep: cleanup, recover."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netclaw_opencode._core import time_budget
from netclaw_opencode.actions import arguments as read
from netclaw_opencode.driver import leftovers, recovery
from netclaw_opencode.errors import ActionFailed
from netclaw_opencode.facts import ProgressEvent

if TYPE_CHECKING:
    from netclaw_opencode.actions.context import ActionContext
    from netclaw_opencode.jsontypes import JsonObject


async def cleanup(arguments: JsonObject, context: ActionContext) -> JsonObject:
    """Stop and remove what was left behind: by killed callers, by overdue tasks and, if asked, by age."""
    began = context.clock()
    dry_run = read.flag(arguments, "dry_run")
    connection = await context.driver.connect()
    look = await leftovers.find(
        connection,
        older_than_seconds=read.optional_seconds(arguments, "older_than_seconds"),
        given_up=context.driver.pending_removals.names,
    )
    removals = (
        tuple(leftovers.Removal(item, stopped=False, deleted=False) for item in look.found)
        if dry_run
        else await leftovers.remove(connection, look.found)
    )
    context.driver.forget_removed(removals)
    output: dict[str, object] = {
        "dry_run": dry_run,
        "sessions": [item.to_wire() for item in removals],
        "count": len(removals),
        "skipped": [item.to_wire() for item in look.skipped],
        "elapsed_seconds": round(context.clock() - began, 3),
    }
    problems = [item for item in removals if item.problem is not None]
    if problems:
        first = problems[0]
        raise ActionFailed("cleanup_incomplete", f"session {first.leftover.session.id} is still there: {first.problem}", details=output)
    return output


async def recover(arguments: JsonObject, context: ActionContext) -> JsonObject:
    """Get a stuck server going again, and say exactly what was lost."""
    began = context.clock()
    directory = read.directory(arguments, context.settings)
    await context.driver.disconnect()
    done = await recovery.recover(
        context.settings,
        connect=context.driver.connect,
        disconnect=context.driver.disconnect,
        directory=directory,
        within_seconds=time_budget.current().clamp(read.seconds(arguments, "deadline_seconds", 60)),
        force=read.flag(arguments, "force"),
        recorder=context.record,
    )
    if done.restarted:
        context.driver.emit(ProgressEvent("server_started", f"the server was started afresh at {done.url}"))
    return done.to_wire() | {"elapsed_seconds": round(context.clock() - began, 3)}
