# Made by scripts/generate_api.py from skill.yaml, schemas/ and netclaw_opencode/errors.py. Change those, then run it.
"""The result of ``run_plan_and_implement``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from netclaw_opencode.api._results import Result
from netclaw_opencode.api.results.shared import Turn, Work


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPlanAndImplementAttempt(Result):
    """A try that failed.

    Attributes:
        part: What failed.
        model: The model as provider/model, or default.
        code: The error code of the failure.
        message: What happened, in one sentence.
    """

    part: Literal["plan", "implementation"]
    model: str
    code: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPlanAndImplementCleanup(Result):
    """What was cleared away.

    Attributes:
        sessions_deleted: Sessions that were deleted.
        sessions_kept: Sessions that were kept.
    """

    sessions_deleted: tuple[str, ...]
    sessions_kept: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPlanAndImplementResult(Result):
    """What run_plan_and_implement returns.

    Attributes:
        state: completed, or waiting: plan or implementation (the last one given) waits for an answer. A plan that is
            answered is then implemented by a call of its own.
        plan: The turn that planned; its text is the plan.
        implementation: The turn that implemented the plan.
        elapsed_seconds: Time for both, in seconds.
        attempts: The models that failed before the ones that answered; absent where the first ones did.
        cleanup: What was cleared away.
        work: With isolation: where the work is, and how it stands.
        trajectory: File with the transcript of the task, kept a week; report makes a page of it.
        notes: What a careful reader should know, one sentence each; left out where there is nothing.
    """

    state: Literal["completed", "waiting"]
    plan: Turn
    implementation: Turn | None = None
    elapsed_seconds: float
    attempts: tuple[RunPlanAndImplementAttempt, ...] = ()
    cleanup: RunPlanAndImplementCleanup
    work: Work | None = None
    trajectory: str | None = None
    notes: tuple[str, ...] = ()


__all__ = ["RunPlanAndImplementAttempt", "RunPlanAndImplementCleanup", "RunPlanAndImplementResult"]
