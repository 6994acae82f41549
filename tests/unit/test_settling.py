"""A look at a turn that has just failed: OpenCode calls its session idle before the message holds the error.

Played from a script, in the order in which the real server (1.18) writes: ``session.error``, idle, and the message some time later. When
exactly it writes cannot be had from outside.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import cast

import anyio
import pytest

from netclaw_opencode.driver import looks
from netclaw_opencode.driver.progress import Progress
from netclaw_opencode.driver.turn import Turn
from netclaw_opencode.driver.verdict import Span, Verdict
from netclaw_opencode.opencode.connection import Connection
from netclaw_opencode.opencode.watcher import DirectoryState
from netclaw_opencode.opencode.wire.history import History, Step, ToolUse
from netclaw_opencode.opencode.wire.types import MessageError, ServerEvent, Session

SESSION = Session("ses_aaaaaaaaaaaa", "t", "/d", 1, 1)
PROMPT = Step("msg_100", "user", 1)
TOOLS = Step("msg_101", "assistant", 2, "msg_100", completed_ms=3, finish="tool-calls", tools=(ToolUse("bash", "completed", "", "c"),))
BEGUN = Step("msg_102", "assistant", 4, "msg_100")
REFUSED = replace(BEGUN, completed_ms=5, error=MessageError("APIError", "no such key", 401))


@dataclass
class Server:
    """An idle session whose store shows another newest message with each reading; the last one stays."""

    newest_of: Sequence[Step]
    read: int = 0
    newest: tuple[Step, ...] = ()
    reached_back: bool = False
    connected: bool = True

    async def read_newest(self, _limit: int = 2) -> tuple[Step, ...]:
        self.newest = (TOOLS, self.newest_of[min(self.read, len(self.newest_of) - 1)])
        self.read += 1
        return self.newest

    async def read_one(self, _message_id: str) -> Step:
        return PROMPT

    async def read_back_to(self, _message_id: str) -> bool:
        self.reached_back = True
        return True

    @property
    def steps(self) -> tuple[Step, ...]:
        return (PROMPT, *self.newest)

    @property
    def last(self) -> Step:
        return self.newest[-1]

    @property
    def events(self) -> Server:
        return self

    def watcher(self, _directory: str) -> Watcher:
        return Watcher()

    def sanitize(self, text: str) -> str:
        return text


class Watcher:
    """Nothing runs and nothing waits."""

    async def read(self) -> DirectoryState:
        return DirectoryState()


def look(monkeypatch: pytest.MonkeyPatch, *newest: Step, announced: bool = True) -> tuple[Verdict, Server]:
    """One look, with pauses that take no time."""
    monkeypatch.setattr(looks, "_SETTLE_PAUSE_SECONDS", 0.0)
    server = Server(newest)
    progress = Progress(lambda _event: None, SESSION.id, PROMPT.id, clock=lambda: 0.0)
    if announced:
        error = {"name": "APIError", "data": {"message": "no such key", "statusCode": 401}}
        progress.handle(ServerEvent("session.error", {"sessionID": SESSION.id, "error": error}, "/d"))
    turn = Turn(SESSION, PROMPT.id, 0.0, progress, cast("History", server), Span(PROMPT.id), newest_prompt=PROMPT.id, sent=True)
    return anyio.run(looks.look, cast("Connection", server), turn), server


@pytest.mark.parametrize("announced", [True, False])
def test_an_error_that_is_written_after_idle_is_waited_for(monkeypatch: pytest.MonkeyPatch, announced: bool) -> None:
    """Idle, and a message without end or error, seen many times alike: then the store says what it was. With and without the event."""
    verdict, _ = look(monkeypatch, *[BEGUN] * 15, REFUSED, announced=announced)
    assert (verdict.code, verdict.message) == ("provider_auth", "OpenCode reports: no such key")


def test_a_server_that_was_restarted_is_not_waited_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """F44: idle with an unfinished message for good is ``interrupted``, after a bounded number of readings; longer if an error was told."""
    verdict, server = look(monkeypatch, BEGUN, announced=False)
    assert (verdict.code, 10 < server.read < 40) == ("interrupted", True)
    verdict, server = look(monkeypatch, BEGUN)
    assert (verdict.code, 60 < server.read < 150) == ("interrupted", True)


def test_a_finished_turn_is_not_read_twice_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only an unfinished message is waited for."""
    done = replace(BEGUN, completed_ms=5, finish="stop", text="done")
    verdict, server = look(monkeypatch, done, announced=False)
    assert (verdict.state, server.read) == ("completed", 1)
