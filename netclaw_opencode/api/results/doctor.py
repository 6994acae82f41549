# Made by scripts/generate_api.py from skill.yaml, schemas/ and netclaw_opencode/errors.py. Change those, then run it.
"""The result of ``doctor``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from netclaw_opencode.api._results import Result


@dataclass(frozen=True, slots=True, kw_only=True)
class DoctorCounts(Result):
    """Number of checks by status.

    Attributes:
        fail: Number of checks for which a task cannot succeed.
        warn: Number of checks that may spoil a task, or should not stay so.
        unknown: Number of checks of which nothing could be seen, or not in time.
        ok: Number of checks that found nothing wrong.
    """

    fail: int
    warn: int
    unknown: int
    ok: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DoctorCheck(Result):
    """One check.

    Attributes:
        id: Which check; stable.
        title: Its name for people.
        status: What it found.
        seen: What was seen, in a sentence.
        remedy: The command that helps, or what a person has to do.
    """

    id: str
    title: str
    status: Literal["fail", "warn", "unknown", "ok"]
    seen: str
    remedy: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DoctorResult(Result):
    """What doctor returns.

    Attributes:
        can_run: Whether nothing was found that keeps a task from running here now.
        next: What helps against the gravest finding.
        counts: Number of checks by status.
        checks: Every check, the graver the earlier.
        elapsed_seconds: How long the look took, in seconds.
    """

    can_run: bool
    next: str | None = None
    counts: DoctorCounts
    checks: tuple[DoctorCheck, ...]
    elapsed_seconds: float


__all__ = ["DoctorCheck", "DoctorCounts", "DoctorResult"]
