"""The kernel's lock on an open file: it is freed when its process ends, however that ends."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from netclaw_opencode._core.private_files import open_private

_PAUSE_SECONDS = 0.02

if sys.platform != "win32":
    import fcntl

    def try_lock(handle: int) -> bool:
        """Lock an open file for this opening of it alone; return False if another has it."""
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

else:  # pragma: no cover - not tested here; see docs/safety.md
    import msvcrt

    def try_lock(handle: int) -> bool:
        """Lock an open file for this opening of it alone; return False if another has it."""
        try:
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True


@contextmanager
def hold(path: Path, *, within_seconds: float) -> Iterator[bool]:
    """Hold a lock file for a block, in a thread that may wait; yield False where another holder does not let go in time.

    Args:
        path: The lock file, in a folder of this user alone; it is removed when the lock is let go.
        within_seconds: How long another holder is waited for.

    Raises:
        OSError: The file cannot be opened.
    """
    ends = time.monotonic() + within_seconds
    while (handle := acquire(path)) is None and time.monotonic() < ends:
        time.sleep(_PAUSE_SECONDS)
    try:
        yield handle is not None
    finally:
        if handle is not None:
            # While it is still held: a process that opens the path from now on makes a new file.
            path.unlink(missing_ok=True)
            os.close(handle)


def acquire(path: Path) -> int | None:
    """Return the open, locked file; None if another process (or another call of this one) has it. Raises ``OSError``."""
    handle = open_private(path, os.O_RDWR | os.O_CREAT)
    try:
        if try_lock(handle) and os.fstat(handle).st_ino == path.stat().st_ino:
            return handle
    except FileNotFoundError:
        # Its last holder removed it between our opening and our locking.
        pass
    os.close(handle)
    return None


__all__ = ["acquire", "hold", "try_lock"]
