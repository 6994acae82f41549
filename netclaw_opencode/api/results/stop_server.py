# Made by scripts/generate_api.py from skill.yaml, schemas/ and netclaw_opencode/errors.py. Change those, then run it.
"""The result of ``stop_server``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from netclaw_opencode.api._results import Result


@dataclass(frozen=True, slots=True, kw_only=True)
class StopServerResult(Result):
    """What stop_server returns.

    Attributes:
        stopped: Whether a server of ours was stopped; false where none ran.
        was_running: Whether one ran before.
        url: Its base address.
        pid: Its process id.
        signal: The signal that ended it.
        sessions_aborted: Sessions whose turns were aborted first.
        processes_ended: Number of processes of its tools that were ended.
        processes_left: Number of processes that could not be ended; 0 is what you want.
        elapsed_seconds: Time for the stop, in seconds.
    """

    stopped: bool
    was_running: bool
    url: str | None = None
    pid: int | None = None
    signal: Literal["SIGTERM", "SIGKILL"] | None = None
    sessions_aborted: tuple[str, ...]
    processes_ended: int
    processes_left: int
    elapsed_seconds: float


__all__ = ["StopServerResult"]
