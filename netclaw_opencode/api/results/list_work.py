# Made by scripts/generate_api.py from skill.yaml, schemas/ and netclaw_opencode/errors.py. Change those, then run it.
"""The result of ``list_work``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from netclaw_opencode.api._results import Result


@dataclass(frozen=True, slots=True, kw_only=True)
class ListWorkWork(Result):
    """One isolated work.

    Attributes:
        work_id: Its id, for apply_work and discard_work.
        isolation: How it is kept apart.
        state: finished: its task succeeded. failed: it did not; what it had done is there. waiting: it waits for an
            answer. running: it runs. interrupted: its caller was killed. applying: apply_work was interrupted; call it
            again. applied: it was brought in.
        source: The directory that it was taken from.
        path: The directory in which the agent works.
        created_at: When it was begun, in UTC.
        branch: With a worktree: its branch in your repository.
        base: With a worktree: what it was to begin with.
        base_commit: With a worktree: the commit that it began with.
        commit: With a worktree: the newest commit of its branch, which holds all of the work.
        patch: The file with the whole change.
        session_id: The session that worked in it last.
        busy: Whether a call has it now.
        exists: Whether its directory is there.
        unseen: What it holds that no result has told, so that discard_work refuses without force; left out where there
            is nothing (the newest 20 are looked at).
    """

    work_id: str
    isolation: Literal["worktree", "copy"]
    state: Literal["preparing", "running", "waiting", "finished", "failed", "interrupted", "applying", "applied"]
    source: str
    path: str
    created_at: str
    branch: str | None = None
    base: str | None = None
    base_commit: str | None = None
    commit: str | None = None
    patch: str | None = None
    session_id: str | None = None
    busy: bool
    exists: bool
    unseen: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ListWorkResult(Result):
    """What list_work returns.

    Attributes:
        works: The works, newest first.
        total: Number of works that there are; of more than 200, the newest are told.
        notes: What a careful reader should know, one sentence each.
    """

    works: tuple[ListWorkWork, ...]
    total: int
    notes: tuple[str, ...]


__all__ = ["ListWorkResult", "ListWorkWork"]
