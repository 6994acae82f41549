# Made by scripts/generate_api.py from skill.yaml, schemas/ and netclaw_opencode/errors.py. Change those, then run it.
"""The result of ``explain``."""

from __future__ import annotations

from dataclasses import dataclass

from netclaw_opencode.api._results import Result


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainCall(Result):
    """One call of an action.

    Attributes:
        call: Its id in the record.
        action: The action.
        began_at: When it began, ISO 8601 in UTC.
        elapsed_seconds: From its beginning to its last line, in seconds.
        outcome: done, an error code, cancelled, or unknown where the record breaks off before the call's end.
        story: What happened, in order; each line begins with the seconds since the call began.
    """

    call: str
    action: str
    began_at: str
    elapsed_seconds: float
    outcome: str
    story: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainResult(Result):
    """What explain returns.

    Attributes:
        calls: The calls in the order in which they began; where there are many, the newest 50.
        count: Number of calls returned.
        truncated: Whether older calls were left out.
        notes: What of the record could not be read: a line cut off by a kill, lines of something else, a full file.
    """

    calls: tuple[ExplainCall, ...]
    count: int
    truncated: bool
    notes: tuple[str, ...]


__all__ = ["ExplainCall", "ExplainResult"]
