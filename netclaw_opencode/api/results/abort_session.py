# Made by scripts/generate_api.py from skill.yaml, schemas/ and netclaw_opencode/errors.py. Change those, then run it.
"""The result of ``abort_session``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from netclaw_opencode.api._results import Result


@dataclass(frozen=True, slots=True, kw_only=True)
class AbortSessionChild(Result):
    """One child session.

    Attributes:
        session_id: The session's id.
        was: Its state before.
        confirmed: Whether it was seen stopped.
    """

    session_id: str
    was: Literal["ready", "busy", "retry", "waiting"]
    confirmed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class AbortSessionResult(Result):
    """What abort_session returns.

    Attributes:
        session_id: The session's id.
        aborted: Whether an abort was sent; false where nothing ran.
        confirmed: Whether the session and its children were seen stopped.
        was: The session's state before.
        attempts: Number of aborts sent.
        requests_refused: Number of pending permissions and questions that were refused.
        children: The sessions of sub-agents that were stopped too.
        elapsed_seconds: Time for the stop, in seconds.
        state: The session's state afterwards. ready: nothing runs; busy: a turn runs; retry: the model provider refuses
            and is asked again and again; waiting: a permission or an answer is needed.
    """

    session_id: str
    aborted: bool
    confirmed: bool
    was: Literal["ready", "busy", "retry", "waiting"]
    attempts: int
    requests_refused: int
    children: tuple[AbortSessionChild, ...]
    elapsed_seconds: float
    state: Literal["ready", "busy", "retry", "waiting"]


__all__ = ["AbortSessionChild", "AbortSessionResult"]
