# Made by scripts/generate_api.py from skill.yaml, schemas/ and netclaw_opencode/errors.py. Change those, then run it.
"""The result of ``create_session``."""

from __future__ import annotations

from dataclasses import dataclass

from netclaw_opencode.api._results import Result
from netclaw_opencode.api.results.shared import Session


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateSessionResult(Result):
    """What create_session returns.

    Attributes:
        session: The new session.
        forked_from: The session whose history was copied, where parent_id was given.
        notes: What a careful reader should know, one sentence each.
    """

    session: Session
    forked_from: str | None = None
    notes: tuple[str, ...]


__all__ = ["CreateSessionResult"]
