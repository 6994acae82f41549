"""How long the files stay that tasks leave in the state folder: patches, statements, what is known of idempotency keys.

Owns that one rule. A week is long enough to look at what a batch has made, however many tasks it had: until then nothing goes.
"""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

SAFE_DAYS = 7
"""Nothing goes before this."""
_DAY = 86400.0
_SWEEP_SECONDS = 3600.0
"""A folder of a hundred thousand files is looked through once an hour, not after each task."""
_SWEPT = ".swept"


@dataclass(frozen=True, slots=True)
class Keep:
    """How long files of one kind stay.

    Attributes:
        pattern: Their names.
        most: How many stay beyond ``SAFE_DAYS``: the newest.
        days: When the last of them goes.
    """

    pattern: str
    most: int
    days: float


def sweep(folder: Path, keep: Keep) -> None:
    """Remove the files of a folder whose time is over; at most once an hour, and a failure is no failure of the task."""
    now = time.time()
    with suppress(OSError):
        stamp = folder / _SWEPT
        if stamp.exists() and 0 <= now - stamp.stat().st_mtime < _SWEEP_SECONDS:
            return
        stamp.touch(mode=0o600)
        found: list[tuple[float, Path]] = []
        for path in folder.glob(keep.pattern):
            with suppress(OSError):
                found.append((now - path.stat().st_mtime, path))
        for place, (age, path) in enumerate(sorted(found)):
            if age > keep.days * _DAY or (place >= keep.most and age > SAFE_DAYS * _DAY):
                path.unlink(missing_ok=True)


__all__ = ["SAFE_DAYS", "Keep", "sweep"]
