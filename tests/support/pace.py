"""Time in tests: what a busy machine may add to a bound, and short deadlines that stay long enough on it.

Owns both numbers. A bound in a test is a promise of the product plus ``MACHINE_SECONDS``; speed itself is measured by
``make bench``, where it is compared and not limited.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

MACHINE_SECONDS = 60.0
"""Seconds that the machine may add to what the product promises; a call that takes longer hangs."""


def stretched(seconds: float) -> float:
    """Return a deadline that is ``seconds`` on a quiet machine, and longer while other programs want its cores.

    For tests of a deadline that comes in the middle of a turn: the turn has to be under way by then. Two of this suite's tests
    side by side are no load; each further program that waits for a core gives a turn's beginning so much more time.
    """
    return seconds + 2.0 * max(0.0, _load_per_core() - 1.5)


def _load_per_core() -> float:
    load = os.getloadavg()[0]
    with contextlib.suppress(OSError, ValueError, IndexError):
        # "0.20 0.18 0.12 1/80 11206": the fourth word is how many want to run now; the average is late by half a minute.
        load = max(load, int(Path("/proc/loadavg").read_text(encoding="ascii").split()[3].partition("/")[0]))
    return load / (os.cpu_count() or 1)
