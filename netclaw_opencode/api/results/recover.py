# Made by scripts/generate_api.py from skill.yaml, schemas/ and netclaw_opencode/errors.py. Change those, then run it.
"""The result of ``recover``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from netclaw_opencode.api._results import Result


@dataclass(frozen=True, slots=True, kw_only=True)
class RecoverServer(Result):
    """The server, after all.

    Attributes:
        url: Its address.
        was: How it was found.
        ours: Whether this skill started it; only then may it be killed.
        restarted: Whether it was started afresh.
    """

    url: str
    was: Literal["answering", "hanging", "gone"]
    ours: bool
    restarted: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RecoverLost(Result):
    """A session.

    Attributes:
        session_id: The session.
        title: Its title.
        directory: Its working directory.
    """

    session_id: str
    title: str
    directory: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RecoverSkipped(Result):
    """One place.

    Attributes:
        directory: Its directory; absent if it is not of one.
        reason: Why.
    """

    directory: str | None = None
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RecoverResult(Result):
    """What recover returns.

    Attributes:
        server: The server, after all.
        retrying: Sessions that hung in retry.
        sessions_stopped: Sessions of this skill that were aborted and seen stopped.
        lost: Sessions whose running turn was given up; their history is still there.
        signal: The last signal that the old server process was sent; absent if it was not ended.
        notes: What else is worth knowing.
        skipped: What could not be looked at, such as a directory whose configuration is broken; the rest was.
        elapsed_seconds: Time taken, in seconds.
    """

    server: RecoverServer
    retrying: tuple[str, ...]
    sessions_stopped: tuple[str, ...]
    lost: tuple[RecoverLost, ...]
    signal: Literal["SIGTERM", "SIGKILL"] | None = None
    notes: tuple[str, ...]
    skipped: tuple[RecoverSkipped, ...] = ()
    elapsed_seconds: float


__all__ = ["RecoverLost", "RecoverResult", "RecoverServer", "RecoverSkipped"]
