"""A connection to a server that answers from a script: for what a stop sends, in which order, and what it takes for proof.

Owns the script and its clock, which goes on with each look, so that times are exact and no test waits for them. What the real
server does when it is aborted stands in ``tests/real``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar, cast

import anyio

from netclaw_opencode.driver import stopping
from netclaw_opencode.driver.stopping import StopReport
from netclaw_opencode.errors import ActionFailed, DriverError
from netclaw_opencode.facts import PendingRequest
from netclaw_opencode.opencode.connection import Connection
from netclaw_opencode.opencode.watcher import DirectoryState
from netclaw_opencode.opencode.wire.history import Step, ToolUse
from netclaw_opencode.opencode.wire.routes import Route
from netclaw_opencode.opencode.wire.types import MessageError, Session, SessionStatus

PARENT = Session("ses_parent0000", "t", "/d", 1, 1)
CHILD = Session("ses_child00000", "t", "/d", 2, 2)
LATER = Session("ses_later00000", "t", "/d", 3, 3)
BUSY, RETRY, IDLE = SessionStatus("busy"), SessionStatus("retry", attempt=2), SessionStatus("idle")
QUIET = DirectoryState()
OURS = "msg_100"
T = TypeVar("T")


def running(*sessions: Session, status: SessionStatus = BUSY, pending: tuple[PendingRequest, ...] = ()) -> DirectoryState:
    """What is read while these sessions run."""
    return DirectoryState(statuses={item.id: status for item in sessions}, pending=pending)


def asks(of: Session) -> PendingRequest:
    """A permission that a session waits for."""
    return PendingRequest("permission", f"per_{of.id[4:]}", of.id, "/d", permission="bash")


def prompt(message_id: str = OURS) -> Step:
    """Our prompt, as it stands in the store."""
    return Step(message_id, "user", 1)


def reply(*, parent: str = OURS, completed: bool = False, failed: bool = False, tool: str = "") -> Step:
    """An assistant message, perhaps with a tool call in that state."""
    tools = (ToolUse("bash", tool, "", "call_1"),) if tool else ()
    error = MessageError("MessageAbortedError", "aborted") if failed else None
    return Step("msg_101", "assistant", 1, parent, completed_ms=2 if completed else None, error=error, tools=tools)


FAST = stopping.StopTiming(pause=0.0, round=1.0, late_start=0.5, unanswered=1.0, read=0.02)
"""A look is a quarter of a second on the script's clock; the times of a round and of quiet fit that exactly."""


@dataclass
class ScriptedHistory:
    """The messages of the scripted session."""

    world: Scripted
    newest: tuple[Step, ...] = ()

    async def read_newest(self, limit: int = 2) -> tuple[Step, ...]:
        self.newest = await self.world.messages()
        return self.newest

    async def read_one(self, message_id: str) -> Step | None:
        self.world.asked.append(f"message {message_id}")
        return prompt(message_id) if message_id in self.world.stored else None


@dataclass
class Scripted:
    """A connection whose answers are lists: one for each look, the last one for every further look."""

    states: Sequence[DirectoryState | DriverError] = (QUIET,)
    trees: Sequence[tuple[Session, ...] | DriverError] = ((PARENT,),)
    stores: Sequence[tuple[Step, ...] | DriverError | None] = ((),)
    """The newest messages; None where they are never told."""
    stored: set[str] = field(default_factory=set)
    """Messages further down in the store."""
    failing: Mapping[str, Sequence[DriverError | None]] = field(default_factory=dict)
    found: Session | DriverError = field(default_factory=lambda: ActionFailed("session_not_found", "gone"))
    now: float = 100.0
    given: dict[str, int] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    notes: list[tuple[str, dict[str, object]]] = field(default_factory=list)

    @property
    def http(self) -> Scripted:
        return self

    @property
    def record(self) -> Scripted:
        return self

    def clock(self) -> float:
        return self.now

    def note(self, kind: str, **facts: object) -> None:
        self.notes.append((kind, facts))

    def sanitize(self, text: str) -> str:
        return f"<{text}>"

    async def tree(self, session: Session) -> tuple[Session, ...]:
        assert session is PARENT
        self.asked.append("tree")
        return self._told("trees", self.trees)

    async def directory_state(self, directory: str) -> DirectoryState:
        assert directory == "/d"
        self.asked.append("state")
        self.now += 0.25
        return self._told("states", self.states)

    def history(self, session: Session) -> ScriptedHistory:
        assert session is PARENT
        return ScriptedHistory(self)

    async def messages(self) -> tuple[Step, ...]:
        self.asked.append("messages")
        store = self._told("stores", self.stores)
        if store is None:
            await anyio.sleep_forever()
            raise AssertionError("unreachable")
        return store

    def server_time_ms(self) -> int:
        return int(self.now * 1000)

    async def session(self, session_id: str) -> Session:
        self.asked.append(f"read {session_id}")
        if isinstance(self.found, DriverError):
            raise self.found
        return self.found

    async def call(
        self, route: Route, *, ids: Mapping[str, str], directory: str | None = None, body: Mapping[str, object] | None = None
    ) -> object:
        assert directory == "/d"
        ((name, identifier),) = ids.items()
        assert name in ("session_id", "request_id")
        self.asked.append(f"{route.name} {identifier}" + (f" {body['reply']}" if body else ""))
        if route.name in self.failing:
            self._told(route.name, self.failing[route.name])
        return True

    def posted(self) -> list[str]:
        """What was sent, in order: everything but the looks."""
        return [line for line in self.asked if line not in ("tree", "state", "messages")]

    def _told(self, name: str, answers: Sequence[T | DriverError]) -> T:
        """The next answer of that list, raised if it is an error; the last one is given again and again."""
        index = self.given.get(name, 0)
        self.given[name] = index + 1
        answer = answers[min(index, len(answers) - 1)]
        if isinstance(answer, DriverError):
            raise answer
        return answer

    def stop(self, *, message_id: str | None = None, within_seconds: float | None = None) -> StopReport:
        """Stop the parent."""

        async def run() -> StopReport:
            return await stopping.stop(cast(Connection, self), PARENT, message_id=message_id, within_seconds=within_seconds, timing=FAST)

        return anyio.run(run)

    def delete(self, report: StopReport | None = None, *, told: Callable[[str], None] | None = None) -> bool:
        """Delete the parent."""

        async def run() -> bool:
            if told is None:
                return await stopping.delete(cast(Connection, self), PARENT, report=report, timing=FAST)
            return await stopping.delete(cast(Connection, self), PARENT, report=report, on_deleted=told, timing=FAST)

        return anyio.run(run)
