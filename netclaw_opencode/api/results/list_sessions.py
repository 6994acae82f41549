# Made by scripts/generate_api.py from skill.yaml, schemas/ and netclaw_opencode/errors.py. Change those, then run it.
"""The result of ``list_sessions``."""

from __future__ import annotations

from dataclasses import dataclass

from netclaw_opencode.api._results import Result
from netclaw_opencode.api.results.shared import Session


@dataclass(frozen=True, slots=True, kw_only=True)
class ListSessionsResult(Result):
    """What list_sessions returns.

    Attributes:
        sessions: The sessions, the newest first.
        count: Number of sessions returned.
        truncated: Whether there are more than limit.
    """

    sessions: tuple[Session, ...]
    count: int
    truncated: bool


__all__ = ["ListSessionsResult"]
