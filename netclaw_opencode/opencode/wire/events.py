"""One event stream for all turns: subscribe by session, wake up, never block the stream.

Owns the connection to ``/global/event`` (which carries every directory, F20/F31), its reconnects, and the sharing out of
events to subscriptions with bounded queues. Events are hints: nothing here decides how a turn ended.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from netclaw_opencode._core import time_budget
from netclaw_opencode.errors import DriverError, OutOfTime
from netclaw_opencode.opencode.wire import reading, routes
from netclaw_opencode.opencode.wire.exchange import EventLog
from netclaw_opencode.records.recorder import NO_RECORD, Recorder

if TYPE_CHECKING:
    from anyio.abc import TaskGroup

    from netclaw_opencode.opencode.wire.http import HttpClient
    from netclaw_opencode.opencode.wire.types import ServerEvent

_QUEUE = 1000
_SILENT_SECONDS = 30.0
"""The server sends a heartbeat about every 10 s (F31); three missed ones mean a dead stream."""
_OPEN_SECONDS = 2.0
"""An open takes milliseconds; those who can do without wait this long for it in all, and not again for each prompt."""
_FIRST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 5.0


@dataclass(eq=False, slots=True)
class Subscription:
    """Events of some sessions (``None``: of all). Sub-agents' sessions join by themselves (F36)."""

    session_ids: set[str] | None
    _send: MemoryObjectSendStream[ServerEvent | None]
    _receive: MemoryObjectReceiveStream[ServerEvent | None]
    received: int = 0
    dropped: int = 0
    errors: list[str] = field(default_factory=list)
    log: EventLog | None = None
    listener: Callable[[ServerEvent], None] | None = None
    """Hears each event at once, before it is queued; it must be quick."""

    def offer(self, event: ServerEvent) -> None:
        """Take the event if it is one of ours; a full queue drops it and counts that."""
        if self.session_ids is not None:
            if event.type == "session.created" and event.session_id is not None and event.parent_id in self.session_ids:
                self.session_ids.add(event.session_id)
            if event.session_id not in self.session_ids:
                return
        self.received += 1
        if self.log is not None:
            self.log.take(event)
        if self.listener is not None:
            self.listener(event)
        self._put(event)

    def wake(self) -> None:
        """Wake the subscriber without an event: something else that it follows has changed."""
        self._put(None)

    def _put(self, item: ServerEvent | None) -> None:
        try:
            self._send.send_nowait(item)
        except anyio.WouldBlock:
            self.dropped += item is not None

    async def next(self) -> ServerEvent | None:
        """Return the next event, or None for a nudge; the caller bounds the wait."""
        return await self._receive.receive()

    def take_queued(self) -> list[ServerEvent]:
        """Return the events that have come and were not read yet."""
        waiting = self._receive.statistics().current_buffer_used
        queued = [self._receive.receive_nowait() for _ in range(waiting)]
        return [item for item in queued if item is not None]

    def close(self) -> None:
        self._send.close()
        self._receive.close()


class EventHub:
    """The shared stream. ``start`` is lazy: only a caller that waits for events pays for the connection."""

    def __init__(self, client: HttpClient, tasks: TaskGroup, *, record: Recorder = NO_RECORD) -> None:
        self._client = client
        self._record = record
        self._tasks = tasks
        self._subscriptions: set[Subscription] = set()
        self._connected = anyio.Event()
        self._started = False
        self._reading = anyio.CancelScope()
        self._failure: DriverError | None = None
        self._awaited_since = 0.0
        self.unreadable = 0
        """Events that could not be read, and were passed over."""
        self.asked: dict[str, ServerEvent] = {}
        """Permissions and questions that were asked and not answered since the stream is open, by their id."""

    @property
    def connected(self) -> bool:
        """Whether the stream is up now; while it is not, callers poll more often."""
        return self._connected.is_set()

    def start(self) -> None:
        """Begin to open the stream, unless that was done before: for a caller that will soon need it."""
        if not self._started:
            self._started = True
            self._awaited_since = anyio.current_time()
            self._tasks.start_soon(self._keep_reading)

    async def wait_ready(self, *, within_seconds: float) -> None:
        """Return once the stream said ``server.connected``: only then may a prompt be sent (F31).

        Raises:
            OutOfTime: ``request_timeout``, or the error that kept the stream from opening.
        """
        self.start()
        with anyio.move_on_after(within_seconds):
            await self._connected.wait()
            return
        raise self._failure or OutOfTime("request_timeout", f"the event stream did not open within {within_seconds:g} s")

    async def try_open(self, *, within_seconds: float) -> bool:
        """As ``wait_ready``, for callers that do without events if they must: they poll. Returns whether the stream is up."""
        left = self._awaited_since + _OPEN_SECONDS - anyio.current_time() if self._started else _OPEN_SECONDS
        try:
            await self.wait_ready(within_seconds=max(0.0, min(within_seconds, left)))
        except DriverError:
            return False
        return True

    @asynccontextmanager
    async def subscribe(self, session_id: str | None) -> AsyncIterator[Subscription]:
        """Events of one session and its sub-agents, or of all sessions for None."""
        send, receive = anyio.create_memory_object_stream["ServerEvent | None"](_QUEUE)
        # Events arrive in the stream's own task; they belong to the call that follows the session.
        log = EventLog(self._record.bind()) if self._record.on else None
        subscription = Subscription({session_id} if session_id is not None else None, send, receive, log=log)
        self._subscriptions.add(subscription)
        try:
            yield subscription
        finally:
            self._subscriptions.discard(subscription)
            subscription.close()

    def close(self) -> None:
        """Close the stream for good: a server that is asked to end waits for its listeners."""
        self._reading.cancel()

    async def _keep_reading(self) -> None:
        time_budget.detach()
        with self._reading:
            await self._reconnect_forever()

    async def _reconnect_forever(self) -> None:
        pause = _FIRST_PAUSE_SECONDS
        while True:
            try:
                await self._read_once()
                pause = _FIRST_PAUSE_SECONDS
            except DriverError as error:
                self._failure = error
            self._log("lost", code=self._failure.code if self._failure is not None else None)
            if self._connected.is_set():
                self._connected = anyio.Event()
                self._awaited_since = anyio.current_time()
                pause = _FIRST_PAUSE_SECONDS
            await anyio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)

    async def _read_once(self) -> None:
        # The silence counts from the request on: a connection that is accepted and never answered is dead, too.
        with anyio.CancelScope(deadline=anyio.current_time() + _SILENT_SECONDS) as silence:
            async with self._client.stream_events(routes.EVENTS) as items:
                async for text in items:
                    silence.deadline = anyio.current_time() + _SILENT_SECONDS
                    self._dispatch(text)

    def _log(self, state: str, *, code: str | None = None) -> None:
        for subscription in self._subscriptions:
            if subscription.log is not None:
                subscription.log.stream(state, code=code)

    def _dispatch(self, text: str) -> None:
        try:
            event = reading.event(json.loads(text))
        except (ValueError, RecursionError, DriverError):
            # A hint that cannot be read is no hint; the message store still tells the truth.
            self.unreadable += 1
            return
        if event is None:
            return
        if event.type == "server.connected":
            self._failure = None
            self._connected.set()
            self._log("open")
            return
        self._note_request(event)
        for subscription in self._subscriptions:
            subscription.offer(event)

    def _note_request(self, event: ServerEvent) -> None:
        if event.type in ("permission.asked", "question.asked"):
            self.asked[str(event.properties.get("id"))] = event
        elif event.type in ("permission.replied", "question.replied", "question.rejected"):
            self.asked.pop(str(event.properties.get("requestID")), None)
