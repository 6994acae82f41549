"""Handler of install_opencode, and where its program is."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING

from netclaw_opencode._core import time_budget
from netclaw_opencode.actions import arguments as read
from netclaw_opencode.errors import DriverError
from netclaw_opencode.facts import ProgressEvent
from netclaw_opencode.opencode.process import installing
from netclaw_opencode.opencode.process.binary import installed_path
from netclaw_opencode.settings import state_dir

if TYPE_CHECKING:
    from netclaw_opencode.actions.context import ActionContext
    from netclaw_opencode.jsontypes import JsonObject


async def install_opencode(arguments: JsonObject, context: ActionContext) -> JsonObject:
    """Put the pinned OpenCode into the state folder."""
    began = context.clock()
    settings = context.settings

    def report(line: str) -> None:
        context.driver.emit(ProgressEvent("status", line, at_seconds=context.clock() - began))

    found = await installing.install(
        settings.state_dir,
        settings.environ or os.environ,
        within_seconds=time_budget.current().clamp(read.seconds(arguments, "deadline_seconds", 600)),
        report=report,
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


def find_installed_program(environ: Mapping[str, str]) -> str | None:
    """Return the program that ``install_opencode`` has put into the user's state folder, or None; wrong settings count as none."""
    with suppress(DriverError):
        program = installed_path(state_dir(environ))
        if os.access(program, os.X_OK):
            return str(program)
    return None


__all__ = ["find_installed_program", "install_opencode"]
