# Made by scripts/generate_api.py from skill.yaml, schemas/ and netclaw_opencode/errors.py. Change those, then run it.
"""The result of ``get_batch_results``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from netclaw_opencode.api._results import Result


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchItem(Result):
    """How one task ended.

    Attributes:
        id: The task's id.
        state: How it ended.
        attempts: How often it was begun: more than once where a worker was lost, or the task was tried again.
        tries: How often it was tried, failures included.
        elapsed_seconds: Time of its last run, in seconds.
        data: What run_task returned, where it is completed.
        error: How it failed, with code, message and next.
    """

    id: str
    state: Literal["completed", "failed", "cancelled"]
    attempts: int
    tries: int
    elapsed_seconds: float
    data: Mapping[str, Any] = field(default_factory=dict)
    error: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchResultsResult(Result):
    """What get_batch_results returns.

    Attributes:
        batch_id: The batch's id.
        results: The results, in the order in which the tasks ended.
        count: Number of results returned.
        more: Whether there are more.
        next_after: Go on after this number.
    """

    batch_id: str
    results: tuple[BatchItem, ...]
    count: int
    more: bool
    next_after: int


__all__ = ["BatchItem", "BatchResultsResult"]
