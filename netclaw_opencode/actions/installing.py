"""Handler of install_opencode."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from netclaw_opencode._core import time_budget
from netclaw_opencode.actions import arguments as read
from netclaw_opencode.facts import ProgressEvent
from netclaw_opencode.opencode.process import installing

if TYPE_CHECKING:
    from netclaw_opencode.actions.context import ActionContext
    from netclaw_opencode.jsontypes import JsonObject


async def install_opencode(arguments: JsonObject, context: ActionContext) -> JsonObject:
    """Put the pinned OpenCode into the state folder."""
    began = context.clock()
    settings = context.settings

    def tell(line: str) -> None:
        context.driver.emit(ProgressEvent("status", line, at_seconds=context.clock() - began))

    found = await installing.install(
        settings.state_dir,
        settings.environ or os.environ,
        within_seconds=time_budget.current().clamp(read.seconds(arguments, "deadline_seconds", 600)),
        tell=tell,
    )
    output: dict[str, object] = {
        "path": found.path,
        "version": found.version,
        "installed": found.new,
        "in_use": settings.binary is None,
        "notes": [],
        "elapsed_seconds": round(context.clock() - began, 3),
    }
    if settings.binary is not None:
        output["notes"] = ["OPENCODE_DRIVER_BINARY names another program, which comes first; unset it to use this one"]
    return output


__all__ = ["install_opencode"]
