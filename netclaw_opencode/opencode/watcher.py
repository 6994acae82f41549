"""One watcher for each directory in use: what runs and what waits there, read once for all turns in it.

The status map and the lists of requests belong to a directory (F20), so two hundred turns that wait in one cost the server no more
than one does. A caller that needs the state *now* asks for a reading that begins after the asking, and bounds the wait
itself.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import anyio

from netclaw_opencode._core import time_budget
from netclaw_opencode._core.concurrency import gather
from netclaw_opencode.errors import DriverError, InvalidInput, error_of
from netclaw_opencode.facts import PendingRequest
from netclaw_opencode.opencode.wire import reading, routes
from netclaw_opencode.opencode.wire.types import SessionStatus

if TYPE_CHECKING:
    from anyio.abc import TaskGroup

    from netclaw_opencode.opencode.wire.events import EventHub, Subscription
    from netclaw_opencode.opencode.wire.http import HttpClient

_INTERVAL_SECONDS = 5.0
"""Seconds between readings while events announce most changes."""
_INTERVAL_WITHOUT_EVENTS_SECONDS = 0.5
_READ_SECONDS = 10.0
"""A reading that takes longer has failed, and another begins. It ends no turn."""


@dataclass(frozen=True, slots=True)
class DirectoryState:
    """What ran and what waited in one directory at one moment; ``error`` in place of both where it could not be read."""

    number: int = 0
    statuses: Mapping[str, SessionStatus] = field(default_factory=dict)
    pending: tuple[PendingRequest, ...] = ()
    error: DriverError | None = None

    def status_of(self, session_id: str) -> SessionStatus | None:
        """Return the session's status; None for an idle one."""
        found = self.statuses.get(session_id)
        return None if found is None or found.kind == "idle" else found

    def pending_of(self, session_ids: tuple[str, ...]) -> tuple[PendingRequest, ...]:
        """Return the requests of these sessions."""
        return tuple(item for item in self.pending if item.session_id in session_ids)


class DirectoryWatcher:
    """Reads one directory as long as it is in use."""

    def __init__(self, http: HttpClient, events: EventHub, tasks: TaskGroup, directory: str) -> None:
        self._http = http
        self._events = events
        self._tasks = tasks
        self._directory = directory
        self._followers: set[Subscription] = set()
        self._users = 0
        self._runs = False
        self._begun = 0
        self._wanted = 0
        self._requests_wanted = False
        self._wake = anyio.Event()
        self._published = anyio.Event()
        self._reading = anyio.CancelScope()
        self._one_reading = anyio.CancelScope()
        self.state = DirectoryState()

    @property
    def begun(self) -> int:
        """Number of the newest reading that has begun."""
        return self._begun

    @property
    def in_use(self) -> bool:
        """Whether a call uses it now."""
        return self._users > 0

    @asynccontextmanager
    async def follow(self, session_id: str) -> AsyncIterator[Subscription]:
        """Events of a session and its sub-agents, and every reading of the directory, in one queue."""
        async with self._events.subscribe(session_id) as subscription:
            self._followers.add(subscription)
            try:
                async with self._in_use():
                    yield subscription
            finally:
                self._followers.discard(subscription)

    async def read(self, *, requests: bool = False) -> DirectoryState:
        """Return a reading that begins from now on, shared with all who ask meanwhile; the caller bounds the wait. Raises its error.

        Args:
            requests: Whether requests matter even where nothing runs: those of an aborted turn stay listed (F42).
        """
        async with self._in_use():
            self._wanted = wanted = self._begun + 1
            self._requests_wanted = self._requests_wanted or requests
            self._wake.set()
            while self.state.number < wanted:
                await self._published.wait()
        if self.state.error is not None:
            # Each one's own: callers add to the error that they pass on.
            error = self.state.error
            raise error_of(error.code, error.message, rule=error.rule, next=error.next, details=dict(error.details)) from error
        return self.state

    @asynccontextmanager
    async def _in_use(self) -> AsyncIterator[None]:
        self._users += 1
        if not self._runs:
            self._runs = True
            self._tasks.start_soon(self._keep_reading)
        try:
            yield
        finally:
            self._users -= 1
            if not self._users:
                # A reading that no caller waits for must not delay the next one.
                self._one_reading.cancel()
                self._wake.set()

    def close(self) -> None:
        """End the reading for good: the connection is being closed."""
        self._reading.cancel()

    async def _keep_reading(self) -> None:
        time_budget.detach()
        # Whoever begins to follow looks by itself, or is about to send: what ran before the send says nothing of the turn.
        is_due = False
        try:
            with self._reading:
                while self._users:
                    # A caller that asks while a reading runs gets the next one.
                    self._wake = anyio.Event()
                    if self._wanted > self._begun or (is_due and self._followers):
                        await self._read_once()
                    if self._wanted <= self._begun:
                        with anyio.move_on_after(self._interval) as pause:
                            await self._wake.wait()
                        is_due = pause.cancelled_caught
        finally:
            self._reading = anyio.CancelScope()
            self._runs = False
            if self._wanted > self.state.number:
                self._publish(DirectoryState(self._wanted, error=error_of("connection_lost", "the connection was closed meanwhile")))

    @property
    def _interval(self) -> float:
        return _INTERVAL_SECONDS if self._events.connected else _INTERVAL_WITHOUT_EVENTS_SECONDS

    async def _read_once(self) -> None:
        self._begun += 1
        number, requests = self._begun, self._requests_wanted
        self._requests_wanted = False
        try:
            with anyio.CancelScope() as self._one_reading, anyio.fail_after(_READ_SECONDS):
                self._publish(await self._state(number, requests=requests))
        except DriverError as error:
            self._publish(DirectoryState(number, error=error))
        except TimeoutError:
            message = f"GET /session/status took longer than {_READ_SECONDS:g} s"
            self._publish(DirectoryState(number, error=error_of("request_timeout", message)))

    def _publish(self, state: DirectoryState) -> None:
        self.state = state
        self._published.set()
        self._published = anyio.Event()
        for follower in self._followers:
            follower.wake()

    async def _state(self, number: int, *, requests: bool) -> DirectoryState:
        statuses = reading.statuses(await self._http.call(routes.SESSION_STATUS, directory=self._directory))
        if not (statuses or requests):
            # Only a turn can wait.
            return DirectoryState(number, statuses)
        permissions, questions = await gather(self._requests("permission"), self._requests("question"))
        return DirectoryState(number, statuses, (*permissions, *questions))

    async def _requests(self, kind: Literal["permission", "question"]) -> tuple[PendingRequest, ...]:
        """Pending requests of one kind.

        One request that the server cannot write down (a glob without a path, a webfetch without a time-out) makes its list
        400 for the whole directory until that request is answered. Then what the event stream announced has to do.
        """
        parse: Callable[..., PendingRequest] = reading.permission if kind == "permission" else reading.question
        try:
            answer = await self._http.call(routes.PERMISSIONS if kind == "permission" else routes.QUESTIONS, directory=self._directory)
        except InvalidInput:
            announced = (event for event in self._events.asked.values() if event.type == f"{kind}.asked")
            requests = (parse(event.properties, directory=event.directory or self._directory) for event in announced)
            return tuple(request for request in requests if request.directory == self._directory)
        return reading.as_list(answer, f"{kind} list", lambda item: parse(item, directory=self._directory))


__all__ = ["DirectoryState", "DirectoryWatcher"]
