"""Share the time of one call: its own deadline, and the operator's cap on calls (``OPENCODE_DRIVER_CALL_SECONDS``).

The work comes first, then the stop and the clean-up, then what it takes to hand the result over. The dispatcher opens a budget for each
call (``call_budget``); code that waits asks how much is left (``remaining``).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

SETTING = "OPENCODE_DRIVER_CALL_SECONDS"

_HANDOVER_SECONDS = 1.5
"""For the start of the interpreter, and for writing the result."""
_RESERVE_SHARE = 0.15
_LEAST_RESERVE_SECONDS = 3.0
_MOST_RESERVE_SECONDS = 12.0
"""The bounds of the time for stopping and cleaning up, which is a share of the cap."""
_LOOK_SECONDS = 2.0
"""For the last look after a wait, which has nothing to stop."""
_FLOOR_SECONDS = 0.5
"""What may begin although the time is over (an abort, a delete) still gets this long."""
_STOP_SHARE = 0.7
"""A stop leaves some of the time to what follows it: the session's removal."""


@dataclass(slots=True)
class CallBudget:
    """The time of one call.

    Attributes:
        clock: The clock that the call counts by, in seconds.
        began: When the call began, on that clock.
        cap_seconds: The operator's cap on the whole call; None if there is none.
        cut_limit: The longest limit that was cut to what there is, in seconds; 0 if none was.
    """

    clock: Callable[[], float]
    began: float
    cap_seconds: float | None = None
    cut_limit: float = 0.0
    deadline: float = float("inf")
    """When the action's own time is over, on the clock: what must be stopped then is stopped after it."""
    stop_seconds: float = 0.0
    """Time for stopping and cleaning up after the deadline."""

    @property
    def ends(self) -> float:
        """When everything must be over, on the clock; infinity if nothing says so."""
        capped = self.began + self.cap_seconds - _HANDOVER_SECONDS if self.cap_seconds is not None else float("inf")
        return min(self.deadline + self.stop_seconds, capped)

    def clamp(self, limit: float, *, stops: bool = True) -> float:
        """Cut a limit of work that begins now to what there is.

        Args:
            limit: The limit, in seconds.
            stops: Whether something must be stopped when the limit is over; then time for that is kept.
        """
        if self.cap_seconds is None:
            return limit
        reserve = min(max(self.cap_seconds * _RESERVE_SHARE, _LEAST_RESERVE_SECONDS), _MOST_RESERVE_SECONDS) if stops else _LOOK_SECONDS
        most = round(max(0.1, self.ends - reserve - self.clock()), 1)
        if limit <= most:
            return limit
        self.cut_limit = max(self.cut_limit, limit)
        return most

    def note(self) -> str | None:
        """Describe the limit that was cut in one sentence; None if none was."""
        if self.cap_seconds is None or not self.cut_limit:
            return None
        return f"{SETTING} is {self.cap_seconds:g}, so the call could not use the {self.cut_limit:g} s that it was given"


def with_default_cap(environ: Mapping[str, str], cap_seconds: float) -> dict[str, str]:
    """Return the environment with this cap if its operator has set none: for an adapter whose host gives up by itself."""
    return {**environ, SETTING: environ.get(SETTING) or f"{cap_seconds:g}"}


_current: ContextVar[CallBudget | None] = ContextVar("netclaw_opencode_call_time", default=None)


def current() -> CallBudget:
    """Return the budget of the call that is running here; one without an end if there is none."""
    return _current.get() or CallBudget(time.monotonic, 0.0)


@contextmanager
def call_budget(
    cap_seconds: float | None, *, clock: Callable[[], float], deadline_seconds: float | None = None, stop_seconds: float = 0.0
) -> Iterator[CallBudget]:
    """Bound the call that begins now; one within another call has that one's time, and less where its own is shorter.

    Args:
        cap_seconds: The operator's cap on calls.
        clock: The clock that the call counts by.
        deadline_seconds: The action's own time.
        stop_seconds: What it may take beyond that for stopping and cleaning up.
    """
    outer = _current.get()
    deadline = clock() + deadline_seconds if deadline_seconds is not None else float("inf")
    here = CallBudget(clock, clock(), cap_seconds, deadline=deadline, stop_seconds=stop_seconds)
    if outer is not None and outer.clock is clock:
        caps = [cap for cap in (outer.cap_seconds, cap_seconds) if cap is not None]
        stop_seconds = max(outer.stop_seconds, stop_seconds)
        here = CallBudget(clock, outer.began, min(caps, default=None), deadline=min(outer.deadline, deadline), stop_seconds=stop_seconds)
    token = _current.set(here)
    try:
        yield here
    finally:
        _current.reset(token)


def detach() -> None:
    """Leave the call in which the running task was started: it outlives that call, and so has none of its bounds."""
    _current.set(None)


def remaining_to_deadline(default: float) -> float:
    """Return the seconds until the running call's own deadline; ``default`` if there is no call, or one without a deadline."""
    here = current()
    ends = min(here.deadline, here.ends)
    return ends - here.clock() if ends != float("inf") else default


def remaining(default: float) -> float:
    """Return the seconds that are left of the running call; ``default`` if there is no call, or one without an end."""
    here = current()
    return here.ends - here.clock() if here.ends != float("inf") else default


def remaining_up_to(seconds: float, *, stopping: bool = False) -> float:
    """Return ``seconds`` or what is left of the call's time, whichever is less, but half a second at least.

    Args:
        seconds: The wanted time.
        stopping: Whether this is a stop, which leaves some of the time to what follows it.
    """
    here = current()
    left = here.ends - here.clock()
    return min(seconds, max(_FLOOR_SECONDS, left * _STOP_SHARE if stopping else left))


__all__ = [
    "SETTING",
    "CallBudget",
    "call_budget",
    "current",
    "detach",
    "remaining",
    "remaining_to_deadline",
    "remaining_up_to",
    "with_default_cap",
]
