# Made by scripts/generate_api.py from skill.yaml, schemas/ and netclaw_opencode/errors.py. Change those, then run it.
"""The result of ``reply_permission``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from netclaw_opencode.api._results import Result


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplyPermissionResult(Result):
    """What reply_permission returns.

    Attributes:
        permission_id: The permission's id.
        session_id: The session's id.
        answered: The answer that was given.
        confirmed: Whether the request was seen to be gone from the pending ones.
    """

    permission_id: str
    session_id: str
    answered: Literal["once", "always", "reject"]
    confirmed: bool


__all__ = ["ReplyPermissionResult"]
