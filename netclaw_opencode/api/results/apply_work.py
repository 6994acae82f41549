# Made by scripts/generate_api.py from skill.yaml, schemas/ and netclaw_opencode/errors.py. Change those, then run it.
"""The result of ``apply_work``."""

from __future__ import annotations

from dataclasses import dataclass

from netclaw_opencode.api._results import Result


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplyWorkResult(Result):
    """What apply_work returns.

    Attributes:
        work_id: The work's id.
        source: The directory that it was taken from, and is now in.
        files: The paths that were written or removed, relative to the top of what was taken.
        merged: Those of them that the folder had changed too, at other places.
        already: Changed paths that were in the folder already.
        removed: Whether the work was removed afterwards, its branch included.
        notes: What a careful reader should know, one sentence each.
    """

    work_id: str
    source: str
    files: tuple[str, ...]
    merged: tuple[str, ...]
    already: tuple[str, ...]
    removed: bool
    notes: tuple[str, ...]


__all__ = ["ApplyWorkResult"]
