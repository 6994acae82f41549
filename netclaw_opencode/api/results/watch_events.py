# Made by scripts/generate_api.py from skill.yaml, schemas/ and netclaw_opencode/errors.py. Change those, then run it.
"""The result of ``watch_events``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from netclaw_opencode.api._results import Result


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchEventsEvent(Result):
    """One event.

    Attributes:
        at: When it was seen, ISO 8601 in UTC.
        type: Its type, as the server names it.
        session_id: The session that it belongs to.
        directory: The directory that it belongs to.
        summary: One line on it.
    """

    at: str
    type: str
    session_id: str | None = None
    directory: str | None = None
    summary: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchEventsResult(Result):
    """What watch_events returns.

    Attributes:
        events: The events, in order.
        count: Number of events returned.
        dropped: Number of events lost because they came faster than they were read.
        ended: Why the watch ended: limit (max_events), time (wait_seconds) or idle (until_idle).
        notes: Given where the watch was cut short by OPENCODE_DRIVER_CALL_SECONDS.
    """

    events: tuple[WatchEventsEvent, ...]
    count: int
    dropped: int
    ended: Literal["limit", "time", "idle"]
    notes: tuple[str, ...] = ()


__all__ = ["WatchEventsEvent", "WatchEventsResult"]
