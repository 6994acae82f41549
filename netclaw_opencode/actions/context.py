"""What a handler is given besides its arguments, and what it reports to the host while it runs.

Owns the life of the driver during one or many calls, and the types that cross the border between actions and whoever
hosts them: progress events, pending requests, decisions. It must not know pluggy, a terminal or HTTP.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Protocol

from netclaw_opencode.facts import Decision, PendingRequest, ProgressEvent
from netclaw_opencode.jsontypes import JsonObject
from netclaw_opencode.records.recorder import NO_RECORD, Recorder, open_record
from netclaw_opencode.settings import Settings

if TYPE_CHECKING:
    from netclaw_opencode.driver import Driver


@dataclass(frozen=True, slots=True)
class ActionCall:
    """One call of an action, as hooks see it; ``arguments`` have passed the input schema."""

    action: str
    arguments: JsonObject
    skill: str
    tier: str
    context: ActionContext = field(repr=False)


class ActionHooks(Protocol):
    """What a host may do around a call. ``NoHooks`` is the do-nothing form."""

    def before_action(self, call: ActionCall) -> str | None:
        """Return a reason to veto the call, or None to let it run."""

    def run_action(self, call: ActionCall) -> Awaitable[JsonObject] | None:
        """Return an awaitable of the output to run the action in place of its handler, or None."""

    def after_action(self, call: ActionCall, envelope: JsonObject) -> None:
        """Observe a finished call."""

    def action_failed(self, call: ActionCall, envelope: JsonObject) -> None:
        """Observe a failed call."""

    def decide(self, request: PendingRequest) -> Decision | Awaitable[Decision | None] | None:
        """Answer a permission or question of the agent; None leaves it to the policy file, and else refuses it."""

    @property
    def answers_questions(self) -> bool:
        """Whether a question of the agent could be answered; if not, the agent is not offered to ask."""

    def on_event(self, event: ProgressEvent) -> None:
        """Observe progress."""


class NoHooks:
    """Hooks of a caller that wants none."""

    def before_action(self, call: ActionCall) -> str | None:
        return None

    def run_action(self, call: ActionCall) -> Awaitable[JsonObject] | None:
        return None

    def after_action(self, call: ActionCall, envelope: JsonObject) -> None:
        return None

    def action_failed(self, call: ActionCall, envelope: JsonObject) -> None:
        return None

    def decide(self, request: PendingRequest) -> Decision | None:
        return None

    @property
    def answers_questions(self) -> bool:
        return False

    def on_event(self, event: ProgressEvent) -> None:
        return None


class ActionContext:
    """Shared by the calls of one host: settings, hooks and, once it is needed, the driver.

    Use it as an async context manager; leaving it closes the event stream and every connection. Sessions and servers
    stay, since they belong to tasks and not to the process.
    """

    def __init__(self, settings: Settings, *, hooks: ActionHooks | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self.settings = settings
        self.hooks: ActionHooks = hooks or NoHooks()
        self.clock = clock
        self.record: Recorder = NO_RECORD
        self._stack = AsyncExitStack()
        self._driver: Driver | None = None

    async def __aenter__(self) -> ActionContext:
        # Imported here: listing actions or printing help needs neither httpx nor anyio.
        from netclaw_opencode.driver import Driver

        self.record = open_record(self.settings.record, secret=self.settings.password)
        self._stack.callback(self.record.close)
        self._driver = await self._stack.enter_async_context(
            Driver(
                self.settings,
                decide=self.hooks.decide,
                answers_questions=lambda: self.hooks.answers_questions,
                emit=self.hooks.on_event,
                clock=self.clock,
                record=self.record,
            )
        )
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self._stack.aclose()
        self._driver = None

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must stand in no result: the settings' secrets, and those of the server that is in use."""
        return (*self.settings.secrets, *(self._driver.secrets if self._driver is not None else ()))

    @asynccontextmanager
    async def leasing(self) -> AsyncIterator[None]:
        """The time of one call, in which it keeps the connection that it gets."""
        if self._driver is None:
            yield
            return
        async with self._driver.leasing():
            yield

    @property
    def driver(self) -> Driver:
        """The shared driver; the context must have been entered."""
        if self._driver is None:
            raise RuntimeError("enter the ActionContext before using it")
        return self._driver


__all__ = ["ActionCall", "ActionContext", "ActionHooks", "NoHooks"]
