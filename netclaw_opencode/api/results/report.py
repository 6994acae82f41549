# Made by scripts/generate_api.py from skill.yaml, schemas/ and netclaw_opencode/errors.py. Change those, then run it.
"""The result of ``report``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from netclaw_opencode.api._results import Result


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportTask(Result):
    """The task.

    Attributes:
        action: The action that ran it.
        outcome: completed, waiting, cancelled or the code of the error.
        began_at: When it began, in UTC.
        ended_at: When it ended, in UTC.
        sessions: Number of its sessions.
        steps: Number of its prompts, calls of the model and calls of tools.
    """

    action: str
    outcome: str
    began_at: str
    ended_at: str
    sessions: int
    steps: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportResult(Result):
    """What report returns.

    Attributes:
        format: What was made.
        path: The new file; not for otel.
        bytes: Its size, as a number of bytes.
        spans: For otel: number of spans that the collector took.
        sent_to: For otel: the collector's address.
        task: The task.
        notes: What is not in it.
    """

    format: Literal["html", "atif", "otel"]
    path: str | None = None
    bytes: int | None = None
    spans: int | None = None
    sent_to: str | None = None
    task: ReportTask
    notes: tuple[str, ...]


__all__ = ["ReportResult", "ReportTask"]
