# Made by scripts/generate_api.py from skill.yaml, schemas/ and netclaw_opencode/errors.py. Change those, then run it.
"""The result of ``get_session_status``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from netclaw_opencode.api._results import Result
from netclaw_opencode.api.results.shared import Pending


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionStateLastTurn(Result):
    """Where one session was asked for: its last turn as its history shows it; none: there is no turn yet.

    Attributes:
        state: How it stands.
        code: For a failed turn: the error code.
        message: For a failed turn: what happened.
        message_id: The id of the prompt's message.
    """

    state: Literal["completed", "failed", "running", "none"]
    code: str | None = None
    message: str | None = None
    message_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionState(Result):
    """What a session is doing.

    Attributes:
        session_id: The session's id.
        directory: The absolute path of its directory.
        state: ready: nothing runs; busy: a turn runs; retry: the model provider refuses and is asked again and again;
            waiting: a permission or an answer is needed.
        attempt: For retry: the number of the attempt.
        retry_message: For retry: why the provider refuses, in its own words.
        next_attempt_in_seconds: For retry: time until the next attempt, in seconds.
        pending: Permissions and questions that wait for an answer.
        last_turn: Where one session was asked for: its last turn as its history shows it; none: there is no turn yet.
    """

    session_id: str
    directory: str
    state: Literal["ready", "busy", "retry", "waiting"]
    attempt: int | None = None
    retry_message: str | None = None
    next_attempt_in_seconds: float | None = None
    pending: tuple[Pending, ...]
    last_turn: SessionStateLastTurn | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionStatusSkipped(Result):
    """One directory.

    Attributes:
        directory: The directory.
        code: The error's code.
        message: What was wrong, in one sentence.
    """

    directory: str
    code: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionStatusResult(Result):
    """What get_session_status returns.

    Attributes:
        sessions: The sessions' states: of the named one, or of all, the newest first.
        count: Number of sessions returned.
        skipped: Directories whose sessions could not be looked at, such as one with a broken opencode.json; left out if
            there is none.
    """

    sessions: tuple[SessionState, ...]
    count: int
    skipped: tuple[SessionStatusSkipped, ...] = ()


__all__ = ["SessionState", "SessionStateLastTurn", "SessionStatusResult", "SessionStatusSkipped"]
