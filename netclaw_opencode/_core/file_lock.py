"""The kernel's lock on an open file: it is freed when its process ends, however that ends."""

from __future__ import annotations

import sys

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


__all__ = ["try_lock"]
