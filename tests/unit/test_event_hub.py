"""The shared event stream: shared out by session, never blocked, opened again when it breaks or falls silent.

Each connection to the stream is one that the test opens, feeds and breaks, through httpx's transport.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable

import anyio
import httpx
import pytest

from netclaw_opencode.errors import DriverError
from netclaw_opencode.opencode.wire import events
from netclaw_opencode.opencode.wire.events import EventHub
from netclaw_opencode.opencode.wire.http import HttpClient
from netclaw_opencode.opencode.wire.types import ServerEvent

OURS, CHILD, GRANDCHILD, OTHER = "ses_ours", "ses_child", "ses_grandchild", "ses_other"
_BOUND_SECONDS = 60.0


class Connection(httpx.AsyncByteStream):
    """One connection to the stream, as the server holds it."""

    def __init__(self) -> None:
        self._send, self._receive = anyio.create_memory_object_stream[bytes](10_000)
        self.closed = anyio.Event()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._receive:
            if chunk == b"break":
                raise httpx.ReadError("reset")
            yield chunk

    async def aclose(self) -> None:
        self._send.close()
        self._receive.close()
        self.closed.set()

    def line(self, text: str) -> None:
        """Send one event of any text."""
        self._send.send_nowait(f"data: {text}\n\n".encode())

    def send(self, kind: str, session_id: str | None = None, **properties: object) -> None:
        """Send one event."""
        own = {"sessionID": session_id} if session_id is not None else {}
        self.line(json.dumps({"directory": "/d", "payload": {"type": kind, "properties": {**own, **properties}}}))

    def say_connected(self) -> None:
        """Send what the server says first (F31)."""
        self.line('{"payload":{"type":"server.connected","properties":{}}}')

    def break_off(self) -> None:
        """Break the connection."""
        self._send.send_nowait(b"break")

    def end(self) -> None:
        """End it in order."""
        self._send.close()


class Stage:
    """A hub on a client whose connections the test holds."""

    def __init__(self) -> None:
        self.connections: list[Connection] = []
        self.refuse: httpx.Response | Exception | None = None
        self.opened = anyio.Event()

    def handle(self, request: httpx.Request) -> httpx.Response:
        """Open one more connection, or refuse it."""
        assert request.url.path == "/global/event"
        if isinstance(self.refuse, Exception):
            raise self.refuse
        if self.refuse is not None:
            return self.refuse
        self.connections.append(Connection())
        self.opened.set()
        return httpx.Response(200, stream=self.connections[-1], headers={"content-type": "text/event-stream"})

    async def next_connection(self) -> Connection:
        """The connection that is opened next (or was since the last call)."""
        with anyio.fail_after(_BOUND_SECONDS):
            await self.opened.wait()
        self.opened = anyio.Event()
        return self.connections[-1]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses between connections are not what is tested."""
    monkeypatch.setattr(events, "_FIRST_PAUSE_SECONDS", 0.001)


def on_stage(play: Callable[[EventHub, Stage], Awaitable[None]]) -> Stage:
    """Run ``play`` with a hub; everything of it ends with the play."""
    stage = Stage()

    async def run() -> None:
        transport = httpx.MockTransport(stage.handle)
        client = HttpClient(url="http://127.0.0.1:4096", username="u", password=None, transport=transport)
        async with client, anyio.create_task_group() as tasks:
            hub = EventHub(client, tasks)
            with anyio.fail_after(_BOUND_SECONDS):
                await play(hub, stage)
            tasks.cancel_scope.cancel()

    anyio.run(run)
    return stage


async def connected(hub: EventHub, stage: Stage) -> Connection:
    """A hub that is ready, and its connection."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: hub.wait_ready(within_seconds=_BOUND_SECONDS))
        connection = await stage.next_connection()
        connection.say_connected()
    return connection


async def until(subscription: events.Subscription, kind: str) -> list[ServerEvent]:
    """Events up to the first of that kind."""
    found = [await event_of(subscription)]
    while found[-1].type != kind:
        found.append(await event_of(subscription))
    return found


async def event_of(subscription: events.Subscription) -> ServerEvent:
    """The next event, where one must come and no nudge."""
    event = await subscription.next()
    assert event is not None
    return event


def test_nobody_who_waits_for_nothing_pays_for_a_connection() -> None:
    """Subscribing alone opens none; asking for readiness opens one, and only one."""

    async def play(hub: EventHub, stage: Stage) -> None:
        async with hub.subscribe(OURS):
            await anyio.lowlevel.checkpoint()
            assert stage.connections == [] and not hub.connected
        await connected(hub, stage)
        await hub.wait_ready(within_seconds=_BOUND_SECONDS)
        await hub.wait_ready(within_seconds=_BOUND_SECONDS)
        assert hub.connected

    assert len(on_stage(play).connections) == 1


def test_a_session_gets_its_own_events_and_those_of_its_sub_agents() -> None:
    """Children join by themselves, and theirs too (F36); strangers' events and children do not (S32)."""

    async def play(hub: EventHub, stage: Stage) -> None:
        connection = await connected(hub, stage)
        async with hub.subscribe(OURS) as ours, hub.subscribe(None) as everything:
            connection.send("session.status", OTHER)
            connection.send("session.status", CHILD)  # not known yet
            connection.send("session.created", info={"id": CHILD, "parentID": OURS})
            connection.send("session.created", info={"id": "ses_strange", "parentID": OTHER})
            connection.send("session.created", info={"id": GRANDCHILD, "parentID": CHILD})
            connection.send("message.updated", info={"id": "msg_1", "sessionID": CHILD})
            connection.send("message.part.updated", part={"id": "prt_1", "sessionID": GRANDCHILD})
            connection.send("session.status", "ses_strange")
            connection.send("server.heartbeat")
            connection.send("session.idle", OURS)
            found = await until(ours, "session.idle")
            assert [(event.type, event.session_id) for event in found] == [
                ("session.created", CHILD),
                ("session.created", GRANDCHILD),
                ("message.updated", CHILD),
                ("message.part.updated", GRANDCHILD),
                ("session.idle", OURS),
            ]
            assert ours.received == 5 and ours.dropped == 0
            assert len(await until(everything, "session.idle")) == 10
            assert found[0].directory == "/d"

    on_stage(play)


def test_two_subscriptions_each_get_every_event() -> None:
    """And one that is left gets none; leaving it twice is no error."""

    async def play(hub: EventHub, stage: Stage) -> None:
        connection = await connected(hub, stage)
        async with hub.subscribe(OURS) as first:
            async with hub.subscribe(OURS) as second:
                connection.send("session.idle", OURS)
                assert (await event_of(first)).type == (await event_of(second)).type == "session.idle"
            connection.send("session.status", OURS)
            assert (await event_of(first)).type == "session.status"
            assert second.received == 1
            second.close()

    on_stage(play)


def test_a_slow_reader_loses_events_and_is_told_how_many() -> None:
    """Its queue is bounded, so that memory is; nobody else waits for it (R60)."""

    async def play(hub: EventHub, stage: Stage) -> None:
        connection = await connected(hub, stage)
        async with hub.subscribe(OURS) as slow, hub.subscribe(OTHER) as quick_one:
            for _ in range(events._QUEUE + 25):
                connection.send("session.status", OURS)
            connection.send("session.idle", OTHER)
            await until(quick_one, "session.idle")
            assert slow.received == events._QUEUE + 25
            assert slow.dropped == 25
            assert quick_one.dropped == 0

    on_stage(play)


def test_a_nudge_wakes_without_an_event() -> None:
    """It counts as none, and never blocks: a queue that is full has news enough."""

    async def play(hub: EventHub, stage: Stage) -> None:
        async with hub.subscribe(OURS) as ours:
            ours.wake()
            assert await ours.next() is None
            for _ in range(events._QUEUE + 5):
                ours.wake()
            assert (ours.received, ours.dropped) == (0, 0)

    on_stage(play)


def test_a_connection_that_is_accepted_and_never_answered_is_dead(monkeypatch: pytest.MonkeyPatch) -> None:
    """The silence counts from the request on (L26): the next one is tried."""
    monkeypatch.setattr(events, "_SILENT_SECONDS", 0.05)

    async def play(hub: EventHub, stage: Stage) -> None:
        assert not await hub.try_open(within_seconds=0.01)
        first = await stage.next_connection()
        second = await stage.next_connection()
        assert second is not first

    on_stage(play)


def test_what_cannot_be_read_is_passed_over() -> None:
    """Broken JSON, other shapes, the sync copies: the next event comes all the same (F31)."""

    async def play(hub: EventHub, stage: Stage) -> None:
        connection = await connected(hub, stage)
        async with hub.subscribe(None) as everything:
            for text in ("{", "[]", "5", "null", "", '{"payload":{"type":"sync"}}', "[" * 100_000, '{"payload":"x"}'):
                connection.line(text)
            connection.send("session.idle", OURS)
            assert (await event_of(everything)).type == "session.idle"
            assert everything.received == 1

    on_stage(play)


@pytest.mark.parametrize("how", ["break_off", "end"])
def test_a_broken_stream_is_opened_again(how: str) -> None:
    """Until the new one is up the hub says so, and callers poll; subscriptions outlive the break."""

    async def play(hub: EventHub, stage: Stage) -> None:
        first = await connected(hub, stage)
        async with hub.subscribe(OURS) as ours:
            getattr(first, how)()
            second = await stage.next_connection()
            assert not hub.connected
            second.say_connected()
            await hub.wait_ready(within_seconds=_BOUND_SECONDS)
            second.send("session.idle", OURS)
            assert (await event_of(ours)).type == "session.idle"
            assert first.closed.is_set()

    on_stage(play)


def test_a_silent_stream_is_dead(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a heartbeat for so long it is left and opened again (F31, R59)."""
    monkeypatch.setattr(events, "_SILENT_SECONDS", 0.05)

    async def play(hub: EventHub, stage: Stage) -> None:
        first = await connected(hub, stage)
        second = await stage.next_connection()
        assert first.closed.is_set() and not hub.connected
        second.say_connected()
        await hub.wait_ready(within_seconds=_BOUND_SECONDS)

    on_stage(play)


def test_a_heartbeat_keeps_the_stream_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each word of the server begins the silence anew: more time passes than the limit, and the connection stays."""
    limit = 0.5
    monkeypatch.setattr(events, "_SILENT_SECONDS", limit)

    async def play(hub: EventHub, stage: Stage) -> None:
        connection = await connected(hub, stage)
        began = anyio.current_time()
        async with hub.subscribe(None) as everything:
            while anyio.current_time() < began + 1.3 * limit:
                with anyio.move_on_after(0.02):
                    await everything.next()
                connection.send("server.heartbeat")
                await everything.next()
        assert stage.connections == [connection] and hub.connected

    on_stage(play)


def test_ready_ends_in_time_without_the_first_word() -> None:
    """An open connection is not enough: before server.connected nothing may be sent (F31)."""

    async def play(hub: EventHub, stage: Stage) -> None:
        with pytest.raises(DriverError) as caught:
            await hub.wait_ready(within_seconds=0.05)
        assert caught.value.code == "request_timeout"
        assert len(stage.connections) == 1
        with pytest.raises(DriverError):
            await hub.wait_ready(within_seconds=-1)

    on_stage(play)


@pytest.mark.parametrize(
    ("refuse", "code"),
    [
        (httpx.Response(401), "auth_failed"),
        (httpx.Response(200, text="<html>", headers={"content-type": "text/html"}), "connection_lost"),
        (httpx.ConnectError("refused"), "server_unreachable"),
    ],
)
def test_ready_tells_why_there_is_no_stream(refuse: httpx.Response | Exception, code: str) -> None:
    """The error that kept it from opening, not just "too late"."""

    async def play(hub: EventHub, stage: Stage) -> None:
        stage.refuse = refuse
        with pytest.raises(DriverError) as caught:
            await hub.wait_ready(within_seconds=0.05)
        assert caught.value.code == code

    on_stage(play)


def test_a_server_that_comes_back_is_found() -> None:
    """Refusals do not end the trying; once it is up, its old refusal is forgotten."""

    async def play(hub: EventHub, stage: Stage) -> None:
        stage.refuse = httpx.ConnectError("refused")
        with pytest.raises(DriverError):
            await hub.wait_ready(within_seconds=0.02)
        stage.refuse = None
        (await stage.next_connection()).say_connected()
        await hub.wait_ready(within_seconds=_BOUND_SECONDS)
        assert hub.connected

    on_stage(play)


def test_a_closed_hub_lets_go_of_the_server() -> None:
    """The stream is closed and stays so: a server that is asked to end waits for its listeners."""

    async def play(hub: EventHub, stage: Stage) -> None:
        connection = await connected(hub, stage)
        hub.close()
        await connection.closed.wait()
        assert stage.connections == [connection]

    on_stage(play)
