# Made by scripts/generate_api.py from skill.yaml, schemas/ and netclaw_opencode/errors.py. Change those, then run it.
"""The result of ``discard_work``."""

from __future__ import annotations

from dataclasses import dataclass

from netclaw_opencode.api._results import Result


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscardWorkResult(Result):
    """What discard_work returns.

    Attributes:
        work_id: The work's id.
        discarded: Always true: what is left is an error.
        path: Where it was.
        branch: The branch that went with it.
    """

    work_id: str
    discarded: bool
    path: str
    branch: str | None = None


__all__ = ["DiscardWorkResult"]
