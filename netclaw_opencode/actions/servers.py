"""Handlers of the server's life: start_server, stop_server."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netclaw_opencode._core import time_budget
from netclaw_opencode.actions import arguments as read
from netclaw_opencode.driver import rules
from netclaw_opencode.errors import ActionFailed, InvalidInput
from netclaw_opencode.facts import ProgressEvent
from netclaw_opencode.opencode import servers

if TYPE_CHECKING:
    from netclaw_opencode.actions.context import ActionContext
    from netclaw_opencode.jsontypes import JsonObject

_FIRST_FREE_PORT = 1024


async def start_server(arguments: JsonObject, context: ActionContext) -> JsonObject:
    """Start a private server on loopback, or adopt ours that runs."""
    began = context.clock()
    directory = read.directory(arguments, context.settings)
    port = read.integer(arguments, "port", 0) if "port" in arguments else None
    if port is not None and 0 < port < _FIRST_FREE_PORT:
        raise InvalidInput(
            "invalid_input", f"port {port} is reserved for the system: give 0 (any free one) or 1024 to 65535, for example 4096"
        )
    found = await servers.start(
        context.settings,
        port=port,
        directory=directory,
        within_seconds=time_budget.current().clamp(read.seconds(arguments, "deadline_seconds", 45)),
        without_project_code=read.flag(arguments, "without_project_code"),
    )
    await context.driver.disconnect()
    record = found.record
    if found.started:
        context.driver.emit(
            ProgressEvent("server_started", f"OpenCode {record.opencode_version} at {record.url}", facts={"url": record.url})
        )
    return {
        "url": record.url,
        "version": record.opencode_version,
        "pid": record.pid,
        "started": found.started,
        "log_file": record.log_file,
        "without_project_code": record.without_project_code,
        "elapsed_seconds": round(context.clock() - began, 3),
    }


async def stop_server(arguments: JsonObject, context: ActionContext) -> JsonObject:
    """Stop the server that we started, with everything below it."""
    began = context.clock()
    # Our own event stream would keep the server from ending.
    await context.driver.disconnect()
    done = await servers.stop(context.settings, recorder=context.record)
    output: dict[str, object] = {
        "stopped": done.ended is not None,
        "was_running": done.ended is not None,
        "sessions_aborted": list(done.sessions_aborted),
        "processes_ended": done.ended.processes_ended if done.ended else 0,
        "processes_left": done.ended.processes_left if done.ended else 0,
        "elapsed_seconds": round(context.clock() - began, 3),
    }
    if done.record is not None:
        output |= {"url": done.record.url, "pid": done.record.pid}
    if done.ended is not None and done.ended.signal is not None:
        output["signal"] = done.ended.signal
    left = rules.kinds_left({"process": range(done.ended.processes_left if done.ended else 0)})
    if left:
        raise ActionFailed("kill_failed", f"{output['processes_left']} process(es) did not end", rule="nothing-left", details=output)
    if done.ended is not None and done.record is not None:
        context.driver.emit(ProgressEvent("server_stopped", f"server {done.record.url} ended ({done.ended.signal})"))
    return output
