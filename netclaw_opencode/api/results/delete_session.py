# Made by scripts/generate_api.py from skill.yaml, schemas/ and netclaw_opencode/errors.py. Change those, then run it.
"""The result of ``delete_session``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from netclaw_opencode.api._results import Result


@dataclass(frozen=True, slots=True, kw_only=True)
class StoppedChild(Result):
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
class Stopped(Result):
    """How a running turn was stopped.

    Attributes:
        aborted: Whether an abort was sent; false where nothing ran.
        confirmed: Whether the session and its children were seen stopped.
        was: The session's state before.
        attempts: Number of aborts sent.
        requests_refused: Number of pending permissions and questions that were refused.
        children: The sessions of sub-agents that were stopped too.
        elapsed_seconds: Time for the stop, in seconds.
    """

    aborted: bool
    confirmed: bool
    was: Literal["ready", "busy", "retry", "waiting"]
    attempts: int
    requests_refused: int
    children: tuple[StoppedChild, ...]
    elapsed_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteSessionResult(Result):
    """What delete_session returns.

    Attributes:
        session_id: The session's id.
        deleted: Always true: a session that is left is an error.
        already_gone: Whether somebody else had removed it meanwhile.
        stopped: How the running turn was stopped, where one ran.
        confirmed: Whether the session was seen gone and nothing of it running.
    """

    session_id: str
    deleted: bool
    already_gone: bool
    stopped: Stopped | None = None
    confirmed: bool


__all__ = ["DeleteSessionResult", "Stopped", "StoppedChild"]
