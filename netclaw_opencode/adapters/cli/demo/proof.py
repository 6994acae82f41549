"""What the demo claims at its end, looked up in the system and not taken from anyone's word.

Owns the noting of a process with all below it, and the later look at which of them still run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil


@dataclass(frozen=True, slots=True)
class Claim:
    """One sentence, whether it holds, and what was seen."""

    sentence: str
    holds: bool
    seen: str


def family_of(pid: int | None) -> list[psutil.Process]:
    """Return a process and everything below it, as it is now; psutil remembers their start times."""
    if pid is None:
        return []
    try:
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def still_alive(family: Sequence[psutil.Process]) -> list[psutil.Process]:
    """Those of the family that run now; a pid that was given to another program does not count."""
    return [process for process in family if _runs(process)]


def check_session_deleted(listed: Sequence[str] | None, session_id: str | None, *, private: bool) -> Claim:
    """``listed``: the ids that the server listed after the task, None if it could not be asked.

    On a private server there may be no session at all; on the user's own only ours must be gone.
    """
    if session_id is None:
        return Claim("session deleted", not listed, f"the server lists {', '.join(listed)}" if listed else "there was none")
    if listed is None:
        return Claim("session deleted", False, "the server could not be asked for its sessions")
    left = list(listed) if private else [one for one in listed if one == session_id]
    if left:
        return Claim("session deleted", False, f"the server still lists {', '.join(left)}")
    return Claim(
        "session deleted", True, "asked again, the server lists none" if private else f"the server does not list {session_id} any more"
    )


def check_server_stopped(family: Sequence[psutil.Process]) -> Claim:
    """``family``: the server and what was below it, noted before the stop."""
    alive = still_alive(family)
    if alive:
        return Claim("server stopped", False, f"still running: {', '.join(str(process.pid) for process in alive)}")
    if not family:
        return Claim("server stopped", False, "its process was not found before the stop, so nothing can be said")
    below = len(family) - 1
    return Claim("server stopped", True, f"pid {family[0].pid} is gone" + (f", and {below} below it" if below else ""))


def check_nothing_left(folders: Sequence[Path]) -> Claim:
    """``folders``: the temporary ones of the demo."""
    left = [str(folder) for folder in folders if folder.exists()]
    return Claim("nothing left", not left, f"left over: {', '.join(left)}" if left else f"removed: {', '.join(map(str, folders))}")


def _runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


__all__ = ["Claim", "check_nothing_left", "check_server_stopped", "check_session_deleted", "family_of", "still_alive"]
