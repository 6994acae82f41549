"""Lock between processes of one user: one starts the server at a time, one sends to a session at a time.

Lock files stand beside the state file. The kernel frees a lock when its process dies; a lock that is released takes its file along.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio

from netclaw_opencode._core import file_lock, time_budget
from netclaw_opencode._core.private_files import require_private_folder, state_corrupt

_PAUSE_SECONDS = 0.05


@asynccontextmanager
async def hold(state_dir: Path, name: str, *, within_seconds: float) -> AsyncIterator[bool]:
    """Hold the lock ``name``, or yield False if another holder does not let go ``within_seconds``.

    Args:
        state_dir: Folder of the lock files.
        name: Name of the lock.
        within_seconds: How long another holder is waited for; 0 for one try.

    Raises:
        ActionFailed: ``state_corrupt``: the state folder cannot be used.
    """
    path = require_private_folder(state_dir) / f"{name}.lock"
    handle: int | None = None
    with anyio.move_on_after(time_budget.remaining_up_to(within_seconds)) as waiting:
        while (handle := _try_acquire(path)) is None and not waiting.cancel_called:
            if within_seconds <= 0:
                break
            await anyio.sleep(_PAUSE_SECONDS)
    try:
        yield handle is not None
    finally:
        if handle is not None:
            # While it is still held: a process that opens the path from now on makes a new file.
            path.unlink(missing_ok=True)
            os.close(handle)


def remove_stale(state_dir: Path) -> None:
    """Remove the lock files of processes that were killed: the kernel freed the locks, but left their names."""
    for path in state_dir.glob("*.lock"):
        handle = _try_acquire(path)
        if handle is not None:
            path.unlink(missing_ok=True)
            os.close(handle)


def _try_acquire(path: Path) -> int | None:
    """Return the open, locked file; None if another process (or another call of this one) has it."""
    try:
        return file_lock.acquire(path)
    except OSError as error:
        raise state_corrupt(path, f"the lock cannot be opened ({error.strerror})", cause=error) from error


__all__ = ["hold", "remove_stale"]
