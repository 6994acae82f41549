"""One watcher for a directory: one reading for all who ask, from their asking on, and none where nobody is there (F20, F42).

The server is httpx's transport, so that requests can be counted and held; events come from nobody.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable

import anyio
import httpx
import pytest

from netclaw_opencode._core import time_budget
from netclaw_opencode.errors import DriverError
from netclaw_opencode.opencode import watcher
from netclaw_opencode.opencode.watcher import DirectoryState, DirectoryWatcher
from netclaw_opencode.opencode.wire.events import EventHub
from netclaw_opencode.opencode.wire.http import HttpClient
from tests.support.answering import response

OURS, OTHER = "ses_ours", "ses_other"
ASKED = {"id": "per_1", "sessionID": OURS, "permission": "bash", "patterns": ["ls"], "metadata": {}, "always": []}
BOUND_SECONDS = 10.0


def answer(content: object, *, status: int = 200, **headers: str) -> httpx.Response:
    """An answer with this JSON."""
    return response(status, json.dumps(content).encode(), {"content-type": "application/json", **headers})


class Server:
    """Answers the status map and the lists of requests, and counts; ``held`` keeps the status from being answered."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.statuses: dict[str, object] = {}
        self.permissions: list[object] = []
        self.status = 200
        self.begun = anyio.Event()
        self.held: anyio.Event | None = None

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        assert request.url.params["directory"] == "/d"
        self.asked.append(request.url.path)
        if request.url.path != "/session/status":
            return answer(self.permissions if request.url.path == "/permission" else [])
        told = answer(self.statuses, status=self.status)
        self.begun.set()
        self.begun = anyio.Event()
        if self.held is not None:
            await self.held.wait()
        return told

    @property
    def readings(self) -> int:
        """How often the directory was read."""
        return self.asked.count("/session/status")


def watched(play: Callable[[DirectoryWatcher, Server], Awaitable[None]]) -> Server:
    """Run ``play`` with a watcher; its reading must end by itself when the play does."""
    server = Server()

    async def run() -> None:
        async with HttpClient(url="http://127.0.0.1:1", username="u", password=None, transport=httpx.MockTransport(server)) as http:
            with anyio.fail_after(BOUND_SECONDS):
                async with anyio.create_task_group() as events, anyio.create_task_group() as tasks:
                    await play(DirectoryWatcher(http, EventHub(http, events), tasks, "/d"), server)

    anyio.run(run)
    return server


def test_a_reading_tells_what_runs() -> None:
    """Sessions that are idle have no status."""

    async def play(watcher: DirectoryWatcher, server: Server) -> None:
        server.statuses = {OURS: {"type": "busy"}, OTHER: {"type": "idle"}}
        state = await watcher.read()
        assert [state.status_of(item) and state.status_of(item).kind for item in (OURS, OTHER, "ses_x")] == ["busy", None, None]  # type: ignore[union-attr]

    watched(play)


def test_many_who_ask_share_one_reading() -> None:
    """Two hundred that wait in one directory cost the server what one does."""

    async def play(watcher: DirectoryWatcher, server: Server) -> None:
        states: list[DirectoryState] = []

        async def ask() -> None:
            states.append(await watcher.read())

        async with anyio.create_task_group() as tasks:
            for _ in range(200):
                tasks.start_soon(ask)
        assert len({state.number for state in states}) == 1

    assert watched(play).readings == 1


def test_a_reading_begins_after_the_asking() -> None:
    """Whoever asks while one is under way gets the next: what changed before the asking is in it."""

    async def play(watcher: DirectoryWatcher, server: Server) -> None:
        server.held = held = anyio.Event()
        begun = server.begun
        states: dict[str, DirectoryState] = {}

        async def ask(name: str) -> None:
            states[name] = await watcher.read()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask, "first")
            await begun.wait()
            server.statuses = {OURS: {"type": "busy"}}
            tasks.start_soon(ask, "second")
            await anyio.wait_all_tasks_blocked()
            server.held = None
            held.set()
        assert states["first"].status_of(OURS) is None
        assert states["second"].status_of(OURS) is not None

    assert watched(play).readings == 2


def test_an_error_is_told_to_each_as_one_of_its_own() -> None:
    """Callers add to the errors that they pass on: none may see another's session in it (L28)."""
    errors: list[DriverError] = []

    async def play(watcher: DirectoryWatcher, server: Server) -> None:
        server.status = 500

        async def ask(name: str) -> None:
            with pytest.raises(DriverError) as caught:
                await watcher.read()
            caught.value.details["session_id"] = name
            errors.append(caught.value)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask, OURS)
            tasks.start_soon(ask, OTHER)

    assert watched(play).readings == 1
    assert [error.code for error in errors] == ["bad_response", "bad_response"]
    assert {error.details["session_id"] for error in errors} == {OURS, OTHER}


def test_a_failed_reading_spoils_no_later_one() -> None:
    """Each is as good as what the server says then."""

    async def play(watcher: DirectoryWatcher, server: Server) -> None:
        server.status = 500
        with pytest.raises(DriverError):
            await watcher.read()
        server.status = 200
        assert (await watcher.read()).error is None

    watched(play)


def test_a_reading_that_takes_too_long_has_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another one follows; it ends nothing by itself."""
    monkeypatch.setattr(watcher, "_READ_SECONDS", 0.05)

    async def play(watcher: DirectoryWatcher, server: Server) -> None:
        server.held = anyio.Event()
        with pytest.raises(DriverError) as caught:
            await watcher.read()
        assert caught.value.code == "request_timeout"
        server.held = None
        await watcher.read()

    watched(play)


def test_one_caller_s_short_limit_ends_no_other_s_reading() -> None:
    """Each waits with a limit of its own (L28)."""

    async def play(watcher: DirectoryWatcher, server: Server) -> None:
        server.held = held = anyio.Event()
        ended: list[str] = []

        async def ask() -> None:
            await watcher.read()
            ended.append("patient")

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask)
            with anyio.move_on_after(0.02):
                await watcher.read()
                ended.append("impatient")
            assert ended == []
            server.held = None
            held.set()
        assert ended == ["patient"]

    watched(play)


def test_a_reading_that_nobody_waits_for_any_more_holds_up_no_later_one() -> None:
    """A call that gave up on a slow server leaves nothing behind that the next one would wait for (R20)."""

    async def play(watcher: DirectoryWatcher, server: Server) -> None:
        server.held = anyio.Event()
        with anyio.move_on_after(0.02):
            await watcher.read()
        server.held = None
        with anyio.fail_after(5):
            assert (await watcher.read()).error is None

    assert watched(play).readings == 2


def test_requests_are_not_asked_for_where_nothing_runs() -> None:
    """Only a turn can wait."""

    async def play(watcher: DirectoryWatcher, server: Server) -> None:
        assert (await watcher.read()).pending == ()

    assert watched(play).asked == ["/session/status"]


def test_requests_of_ended_turns_are_asked_for_on_purpose() -> None:
    """They stay listed after an abort (F42)."""

    async def play(watcher: DirectoryWatcher, server: Server) -> None:
        server.permissions = [ASKED]
        state = await watcher.read(requests=True)
        assert [item.id for item in state.pending_of((OURS,))] == ["per_1"]
        assert state.pending_of((OTHER,)) == ()

    watched(play)


def test_requests_are_read_where_a_turn_runs() -> None:
    """It may be the one that waits."""

    async def play(watcher: DirectoryWatcher, server: Server) -> None:
        server.statuses, server.permissions = {OURS: {"type": "busy"}}, [ASKED]
        assert [item.id for item in (await watcher.read()).pending] == ["per_1"]

    watched(play)


def test_a_follower_is_woken_by_each_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without events it is what tells that something may have changed."""
    monkeypatch.setattr(watcher, "_INTERVAL_WITHOUT_EVENTS_SECONDS", 0.001)

    async def play(watcher: DirectoryWatcher, server: Server) -> None:
        async with watcher.follow(OURS) as news:
            assert await news.next() is None
            assert await news.next() is None

    assert watched(play).readings >= 2


def test_to_begin_to_follow_is_no_reason_to_read() -> None:
    """Whoever follows looks for itself, or is about to send: what ran before says nothing of its turn."""

    async def play(watcher: DirectoryWatcher, server: Server) -> None:
        async with watcher.follow(OURS):
            await anyio.wait_all_tasks_blocked()
            assert (server.readings, watcher.begun) == (0, 0)
            assert (await watcher.read()).number == watcher.begun == 1

    watched(play)


def test_nobody_there_means_no_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    """A host that lives for weeks reads nothing for directories that it once used: the reading ends by itself."""
    monkeypatch.setattr(watcher, "_INTERVAL_WITHOUT_EVENTS_SECONDS", 0.001)
    seen: list[int] = []

    async def play(watcher: DirectoryWatcher, server: Server) -> None:
        assert server.asked == []
        used = []
        async with watcher.follow(OURS) as news:
            used.append(watcher.in_use)
            await news.next()
        used.append(watcher.in_use)
        assert used == [True, False]
        await anyio.wait_all_tasks_blocked()
        seen.append(server.readings)
        await anyio.sleep(0.05)

    assert watched(play).readings == seen[0]


def test_a_watcher_that_ended_begins_again() -> None:
    """Whoever comes later is served as the first one was."""

    async def play(watcher: DirectoryWatcher, server: Server) -> None:
        first = await watcher.read()
        await anyio.wait_all_tasks_blocked()
        assert (await watcher.read()).number == first.number + 1

    watched(play)


def test_the_reading_outlives_the_call_that_began_it() -> None:
    """It has no bound of that call: the next caller's time is its own."""

    async def play(watcher: DirectoryWatcher, server: Server) -> None:
        with time_budget.call_budget(None, clock=lambda: 100.0, deadline_seconds=-50.0):
            async with watcher.follow(OURS) as news:
                await news.next()
                assert (await watcher.read()).error is None

    watched(play)
