# Made by scripts/generate_api.py from skill.yaml, schemas/ and netclaw_opencode/errors.py. Change those, then run it.
"""The result of ``cleanup``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from netclaw_opencode.api._results import Result


@dataclass(frozen=True, slots=True, kw_only=True)
class CleanupSession(Result):
    """A session of this skill that nobody waits for.

    Attributes:
        session_id: The session.
        title: Its title.
        directory: Its working directory.
        reason: Why it was taken: its calling process is gone, an earlier call could not remove it, its deadline passed
            while it ran, or its age.
        was: Its state before.
        stopped: Whether it is seen stopped.
        deleted: Whether it is seen gone; an overdue one is kept, since its result may be asked for.
        problem: Why it is still there; absent where all went well.
    """

    session_id: str
    title: str
    directory: str
    reason: Literal["owner_gone", "not_removed", "deadline_passed", "old"]
    was: Literal["ready", "busy", "retry", "waiting"]
    stopped: bool
    deleted: bool
    problem: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CleanupSkipped(Result):
    """One place.

    Attributes:
        directory: Its directory; absent if it is not of one.
        reason: Why.
    """

    directory: str | None = None
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CleanupResult(Result):
    """What cleanup returns.

    Attributes:
        dry_run: Whether nothing was done.
        sessions: Every session that was found.
        count: Number of sessions that were found.
        skipped: What could not be looked at, such as a directory whose configuration is broken; the rest was.
        elapsed_seconds: Time taken, in seconds.
    """

    dry_run: bool
    sessions: tuple[CleanupSession, ...]
    count: int
    skipped: tuple[CleanupSkipped, ...] = ()
    elapsed_seconds: float


__all__ = ["CleanupResult", "CleanupSession", "CleanupSkipped"]
