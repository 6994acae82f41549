# Made by scripts/generate_api.py from skill.yaml, schemas/ and netclaw_opencode/errors.py. Change those, then run it.
"""The result of ``export_batch``."""

from __future__ import annotations

from dataclasses import dataclass

from netclaw_opencode.api._results import Result


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportBatchResult(Result):
    """What export_batch returns.

    Attributes:
        batch_id: The batch's id.
        done: Whether every task has ended.
        total: Number of tasks.
        written: Number of tasks that have ended, and stand in the files.
        results_file: The file with the results.
        predictions: The file with the predictions.
        results_folder: The folder with a page for each task.
        notes: What else there is to know.
    """

    batch_id: str
    done: bool
    total: int
    written: int
    results_file: str | None = None
    predictions: str | None = None
    results_folder: str | None = None
    notes: tuple[str, ...]


__all__ = ["ExportBatchResult"]
