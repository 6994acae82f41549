# Made by scripts/generate_api.py from skill.yaml, schemas/ and netclaw_opencode/errors.py. Change those, then run it.
"""The result of ``send_message_async``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from netclaw_opencode.api._results import Result
from netclaw_opencode.api.results.shared import ModelUsed, ThinkingUsed


@dataclass(frozen=True, slots=True, kw_only=True)
class SendMessageAsyncResult(Result):
    """What send_message_async returns.

    Attributes:
        session_id: The session's id.
        message_id: The id of the prompt's message, for wait_for_session and get_session_result.
        started: Whether the turn was seen running before this call returned.
        state: ready: nothing runs; busy: a turn runs; retry: the model provider refuses and is asked again and again;
            waiting: a permission or an answer is needed.
        model: The model that was asked.
        thinking: How thinking was mapped, where it was asked for.
        deadline_at: When the task's deadline passes, ISO 8601 in UTC.
        next: The literal command that waits for the result.
        notes: What a careful reader should know, one sentence each.
    """

    session_id: str
    message_id: str
    started: bool
    state: Literal["ready", "busy", "retry", "waiting"]
    model: ModelUsed | None = None
    thinking: ThinkingUsed | None = None
    deadline_at: str
    next: str
    notes: tuple[str, ...]


__all__ = ["SendMessageAsyncResult"]
