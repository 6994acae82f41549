# Made by scripts/generate_api.py from skill.yaml, schemas/ and netclaw_opencode/errors.py. Change those, then run it.
"""The result of ``wait_for_session``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from netclaw_opencode.api._results import Result
from netclaw_opencode.api.results.shared import Pending, Turn


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitForSessionProgress(Result):
    """How far the turn is.

    Attributes:
        text_chars: Length of the answer so far, in characters.
        tools_finished: Number of tool calls that ended.
        tools_running: Tools that run now.
        model_calls: Number of calls of the model.
    """

    text_chars: int
    tools_finished: int
    tools_running: tuple[str, ...]
    model_calls: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitForSessionResult(Result):
    """What wait_for_session returns.

    Attributes:
        session_id: The session's id.
        done: Whether the turn is finished; result is then given.
        state: ready: nothing runs; busy: a turn runs; retry: the model provider refuses and is asked again and again;
            waiting: a permission or an answer is needed.
        cursor: Hand it to the next wait, which then ends at the first change.
        elapsed_seconds: Time since the turn began, in seconds.
        waited_seconds: Time that this call waited, in seconds.
        progress: How far the turn is.
        pending: Permissions and questions that wait for an answer.
        result: The finished turn; given when done.
        next: The literal command to go on with; where an answer is waited for, the one that refuses.
        notes: Given where the wait was cut short by OPENCODE_DRIVER_CALL_SECONDS.
    """

    session_id: str
    done: bool
    state: Literal["ready", "busy", "retry", "waiting"]
    cursor: str
    elapsed_seconds: float
    waited_seconds: float
    progress: WaitForSessionProgress
    pending: tuple[Pending, ...]
    result: Turn | None = None
    next: str | None = None
    notes: tuple[str, ...] = ()


__all__ = ["WaitForSessionProgress", "WaitForSessionResult"]
