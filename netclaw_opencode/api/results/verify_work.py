# Made by scripts/generate_api.py from skill.yaml, schemas/ and netclaw_opencode/errors.py. Change those, then run it.
"""The result of ``verify_work``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from netclaw_opencode.api._results import Result


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyWorkRun(Result):
    """The run on the clean checkout.

    Attributes:
        phase: before: before the task. after: on the task's work. mended 1, mended 2 and so on: on the work as the
            agent had mended it.
        passed: Whether it ended with exit code 0.
        exit_code: Its exit code, a number of the command's own; negative for the number of a signal. Left out if it did
            not end by itself.
        timed_out: True if it was ended at its limit.
        problem: Why it could not be started.
        elapsed_seconds: How long it took, in seconds.
        output: The end of what it printed, 4000 characters at most.
    """

    phase: str
    passed: bool
    exit_code: int | None = None
    timed_out: bool | None = None
    problem: str | None = None
    elapsed_seconds: float
    output: str


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyWorkResult(Result):
    """What verify_work returns.

    Attributes:
        statement_id: The statement's name.
        holds: Always true: a check that does not hold any more is the error check_failed.
        verified_then: Whether it held when the statement was made.
        final_tree: The git tree that was checked out.
        patch: Whether the patch file is still the one that the statement names.
        made_from: Where the files came from: kept objects, or the base and the patch.
        run: The run on the clean checkout.
        notes: What a careful reader should know, one sentence each.
    """

    statement_id: str
    holds: bool
    verified_then: bool
    final_tree: str
    patch: Literal["matches", "changed", "missing"]
    made_from: Literal["objects", "base and patch"]
    run: VerifyWorkRun
    notes: tuple[str, ...]


__all__ = ["VerifyWorkResult", "VerifyWorkRun"]
