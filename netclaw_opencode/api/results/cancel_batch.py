# Made by scripts/generate_api.py from skill.yaml, schemas/ and netclaw_opencode/errors.py. Change those, then run it.
"""The result of ``cancel_batch``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from netclaw_opencode.api._results import Result
from netclaw_opencode.api.results.shared import BatchCounts, RunningItem


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelBatchResult(Result):
    """What cancel_batch returns.

    Attributes:
        batch_id: The batch's id.
        name: Its name.
        state: running; paused; halted (a limit was reached: see halted); pausing, halting, cancelling while something
            still runs; cancelled; done.
        halted: The limit that was reached.
        done: Whether every task has ended.
        total: Number of tasks.
        counts: The tasks by state.
        failures: How many tasks ended with each error.
        cost_usd: What was spent, as far as results tell, in US dollars.
        workers: How many workers live, of any batch.
        running: The tasks that run, the oldest first, 50 at most.
        options: What the batch as a whole is held to, as it was submitted.
        per_minute: Tasks that ended in a minute, by the last ten minutes.
        left_seconds: How long the rest will take by that, in seconds.
        cancelled: How many tasks had not begun.
        stopping: How many tasks are being stopped, verified.
        next: The command that comes next.
    """

    batch_id: str
    name: str
    state: Literal["running", "pausing", "paused", "halting", "halted", "cancelling", "cancelled", "done"]
    halted: Literal["max_cost_usd", "stop_after_failures"] | None = None
    done: bool
    total: int
    counts: BatchCounts
    failures: Mapping[str, int]
    cost_usd: float
    workers: int
    running: tuple[RunningItem, ...]
    options: Mapping[str, Any]
    per_minute: float | None = None
    left_seconds: int | None = None
    cancelled: int
    stopping: int
    next: str


__all__ = ["CancelBatchResult"]
