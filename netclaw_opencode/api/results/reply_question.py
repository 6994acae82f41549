# Made by scripts/generate_api.py from skill.yaml, schemas/ and netclaw_opencode/errors.py. Change those, then run it.
"""The result of ``reply_question``."""

from __future__ import annotations

from dataclasses import dataclass

from netclaw_opencode.api._results import Result


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplyQuestionResult(Result):
    """What reply_question returns.

    Attributes:
        question_id: The question's id.
        session_id: The session's id.
        answered: Whether answers were given.
        rejected: Whether it was refused.
        confirmed: Whether the request was seen to be gone from the pending ones.
    """

    question_id: str
    session_id: str
    answered: bool
    rejected: bool
    confirmed: bool


__all__ = ["ReplyQuestionResult"]
