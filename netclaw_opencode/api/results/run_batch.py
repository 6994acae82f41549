# Made by scripts/generate_api.py from skill.yaml, schemas/ and netclaw_opencode/errors.py. Change those, then run it.
"""The result of ``run_batch``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from netclaw_opencode.api._results import Result
from netclaw_opencode.api.results.shared import BatchCounts, RunningItem


@dataclass(frozen=True, slots=True, kw_only=True)
class RunBatchResult(Result):
    """What run_batch returns.

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
        added: How many tasks are new.
        changed: How many tasks were replaced before they began.
        known: How many tasks the batch had already.
        worker_started: Whether a worker was started.
        results_file: The file with the results.
        predictions: The file with the predictions.
        results_folder: The folder with a page for each task.
        waited_seconds: Time that this call took, in seconds.
        next: The command that comes next.
        notes: What else there is to know.
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
    added: int
    changed: int
    known: int
    worker_started: bool
    results_file: str | None = None
    predictions: str | None = None
    results_folder: str | None = None
    waited_seconds: float
    next: str
    notes: tuple[str, ...]


__all__ = ["RunBatchResult"]
