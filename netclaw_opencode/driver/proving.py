"""Prove, before a prompt is sent, that the server works in the directory that is meant."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netclaw_opencode.errors import ActionFailed
from netclaw_opencode.opencode.wire import reading, routes

if TYPE_CHECKING:
    from netclaw_opencode.opencode.connection import Connection
    from netclaw_opencode.opencode.wire.types import Session


async def require_directory(connection: Connection, session: Session, *, directory: str, worktree: str | None) -> None:
    """Ask the server where it works. A directory that is not there is accepted like any other (F21), so its work tree is asked for, too.

    Args:
        connection: The server.
        session: The session that is to work there.
        directory: The directory that is meant.
        worktree: The top of the git work tree around it, which the server finds only if it sees the files; None if there is none.

    Raises:
        ActionFailed: ``work_failed``: it is another one; nothing was sent.
    """
    told = reading.as_object(await connection.http.call(routes.PATH, directory=directory), "path")
    seen = {
        "the session's directory": (session.directory, directory),
        "the server's directory": (reading.optional_text(told, "directory"), directory),
    }
    if worktree is not None:
        seen["the server's work tree"] = (reading.optional_text(told, "worktree"), worktree)
    for name, (found, wanted) in seen.items():
        if found != wanted:
            raise ActionFailed(
                "work_failed",
                f"{name} is {found!r}, not {wanted!r}, so the work would not be isolated; nothing was sent",
                next="set OPENCODE_DRIVER_STATE_DIR to a folder that the server sees, too (is it in a container?)",
            )


__all__ = ["require_directory"]
