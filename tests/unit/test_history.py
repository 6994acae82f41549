"""The messages of a session: read in pages that stay small, once each, and of each only what matters is kept (F56-F58).

The store behind it is a list of the test, paged as OpenCode pages it; what the real one does is seen in ``tests/life``.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping

import anyio
import httpx
import pytest

from netclaw_opencode.errors import ActionFailed
from netclaw_opencode.opencode.wire.history import LONGEST_DIFF, NEWEST, History, Step, ToolUse
from netclaw_opencode.opencode.wire.http import HttpClient
from netclaw_opencode.opencode.wire.types import Message, Part, Session
from tests.support.answering import response

SESSION = Session("ses_aaaaaaaaaa", "t", "/d", 1, 1)
KIB = 1024


def stored(number: int, *, role: str = "assistant", size: int = 10) -> dict[str, object]:
    """A message as the server writes it, with about so many characters of text."""
    info = {"id": f"msg_{number:03}", "role": role, "sessionID": SESSION.id, "time": {"created": 1000 + number}}
    return {"info": info, "parts": [{"id": f"prt_{number}", "type": "text", "text": "x" * size}]}


def answer(content: object, status: int = 200, headers: Mapping[str, str] | None = None) -> httpx.Response:
    """An answer with this JSON."""
    return response(status, json.dumps(content).encode(), {"content-type": "application/json", **(headers or {})})


class Store:
    """A message store that answers in pages, and counts."""

    def __init__(self, *messages: dict[str, object]) -> None:
        self.messages = list(messages)
        self.limits: list[int] = []
        self.read: list[str] = []
        self.gone = False

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if self.gone:
            return answer({}, status=404)
        *_, last = request.url.path.split("/")
        if last != "message":
            found = [item for item in self.messages if self.id_of(item) == last]
            self.read.append(last)
            return answer(found[0]) if found else answer({}, status=404)
        limit, before = int(request.url.params["limit"]), int(request.url.params.get("before", len(self.messages)))
        page = self.messages[max(0, before - limit) : before]
        self.limits.append(limit)
        self.read += [self.id_of(item) for item in page]
        headers = {"X-Next-Cursor": str(before - limit)} if before > limit else {}
        return answer(page, headers=headers)

    @staticmethod
    def id_of(item: dict[str, object]) -> str:
        info = item["info"]
        assert isinstance(info, dict)
        return str(info["id"])


def with_history(store: Store, play: Callable[[History], Awaitable[None]]) -> None:
    """Run ``play`` with a history of that store."""

    async def run() -> None:
        async with HttpClient(url="http://127.0.0.1:1", username="u", password=None, transport=httpx.MockTransport(store)) as http:
            await play(History(http, SESSION))

    anyio.run(run)


def ids(steps: tuple[Step, ...]) -> list[str]:
    """Their ids."""
    return [step.id for step in steps]


# --- reading ---------------------------------------------------------------------------------------------------------


def test_a_look_reads_the_newest_messages_alone() -> None:
    """However many there are."""
    store = Store(*(stored(number) for number in range(500)))

    async def play(history: History) -> None:
        assert ids(await history.read_newest()) == ["msg_498", "msg_499"]
        assert history.last == history.newest[-1]

    with_history(store, play)
    assert store.limits == [NEWEST]


def test_an_empty_session_has_no_last_message() -> None:
    """It is no error either."""

    async def play(history: History) -> None:
        assert await history.read_newest() == ()
        assert history.last is None

    with_history(Store(), play)


def test_reading_back_stops_at_the_prompt() -> None:
    """What is older than the page that holds it is not read."""
    store = Store(*(stored(number, role="user" if number == 490 else "assistant") for number in range(500)))

    async def play(history: History) -> None:
        await history.read_newest()
        assert await history.read_back_to("msg_490")
        assert history.reached_back

    with_history(store, play)
    assert "msg_490" in store.read and min(store.read) >= "msg_480"


def test_reading_back_reads_nothing_twice() -> None:
    """The pages follow each other without a gap and without an overlap."""
    store = Store(*(stored(number) for number in range(300)))

    async def play(history: History) -> None:
        await history.read_newest()
        await history.read_back_to("msg_000")
        assert ids(history.steps) == [f"msg_{number:03}" for number in range(300)]

    with_history(store, play)
    assert len(store.read) == len(set(store.read)) == 300


def test_pages_of_small_messages_grow() -> None:
    """Each is at most twice the one before it, and none has more than a hundred."""
    store = Store(*(stored(number) for number in range(400)))

    async def play(history: History) -> None:
        await history.read_newest()
        await history.read_back_to("msg_000")

    with_history(store, play)
    assert store.limits[:7] == [2, 4, 8, 16, 32, 64, 100]
    assert max(store.limits) == 100


def test_pages_of_large_messages_stay_small() -> None:
    """What a page holds is bounded by its size: a message of a megabyte is read alone."""
    store = Store(*(stored(number, size=1024 * KIB) for number in range(8)))

    async def play(history: History) -> None:
        await history.read_newest()
        await history.read_back_to("msg_000")

    with_history(store, play)
    assert store.limits == [2, 1, 1, 1, 1, 1, 1]


def test_pages_shrink_where_messages_grow() -> None:
    """The size of the last page decides the next one's."""
    store = Store(*(stored(number, size=100 * KIB if number < 20 else 10) for number in range(40)))

    async def play(history: History) -> None:
        await history.read_newest()
        await history.read_back_to("msg_000")

    with_history(store, play)
    assert store.limits[:4] == [2, 4, 8, 16]
    assert max(store.limits[4:]) <= 4


def test_what_was_read_back_once_is_not_read_again() -> None:
    """A turn that goes on after a reading back costs its new messages only."""
    store = Store(*(stored(number) for number in range(100)))

    async def play(history: History) -> None:
        await history.read_newest()
        await history.read_back_to("msg_000")
        store.messages += [stored(number) for number in range(100, 120)]
        store.read.clear()
        await history.read_newest()
        assert await history.read_back_to("msg_000")
        assert len(history.steps) == 120

    with_history(store, play)
    assert len(store.read) < 60


def test_a_message_that_is_nowhere_is_not_found() -> None:
    """The whole store was read by then."""
    store = Store(*(stored(number) for number in range(30)))

    async def play(history: History) -> None:
        await history.read_newest()
        assert not await history.read_back_to("msg_999")
        assert not history.reached_back
        assert len(history.steps) == 30

    with_history(store, play)


def test_a_prompt_among_the_newest_needs_no_further_page() -> None:
    """A plain answer is read with the look itself."""
    store = Store(stored(0), stored(1, role="user"), stored(2))

    async def play(history: History) -> None:
        await history.read_newest()
        assert await history.read_back_to("msg_001")

    with_history(store, play)
    assert store.limits == [2]


def test_one_message_is_read_by_its_id_and_once() -> None:
    """None where the store has none of that id yet: it may come later."""
    store = Store(stored(1))

    async def play(history: History) -> None:
        assert await history.read_one("msg_002") is None
        store.messages.append(stored(2))
        found = await history.read_one("msg_002")
        assert found is not None and await history.read_one("msg_002") is found is history.get("msg_002")

    with_history(store, play)
    assert store.read == ["msg_002", "msg_002"]


def test_a_session_that_is_gone_is_told() -> None:
    """Not as an empty one."""
    store = Store()
    store.gone = True

    async def play(history: History) -> None:
        with pytest.raises(ActionFailed) as caught:
            await history.read_newest()
        assert caught.value.code == "session_not_found"

    with_history(store, play)


def test_messages_are_ordered_by_the_server_s_clock() -> None:
    """A prompt of a caller whose clock is ahead has the largest id, and stands where it was written."""
    ahead = stored(1, role="user")
    assert isinstance(ahead["info"], dict)
    ahead["info"]["id"] = "msg_zzz"
    store = Store(stored(0), ahead, stored(2))

    async def play(history: History) -> None:
        await history.read_newest(3)
        assert ids(history.steps) == ["msg_000", "msg_zzz", "msg_002"]

    with_history(store, play)


# --- what is kept ----------------------------------------------------------------------------------------------------


def tool(name: str, *, status: str = "completed", metadata: dict[str, object] | None = None, **given: object) -> Part:
    """A tool part."""
    return Part("prt_1", "tool", tool=name, call_id="call_1", tool_status=status, title="T", tool_input=given, tool_metadata=metadata or {})


def kept(*parts: Part) -> Step:
    """What is kept of a message with these parts."""
    return Step.from_message(Message("msg_1", "assistant", SESSION.id, 1, parts), directory="/d")


def test_no_output_of_a_tool_is_kept() -> None:
    """A task of hours prints megabytes."""
    step = kept(tool("bash", command="ls", metadata={"output": "canary" * 1000}))
    assert step.tools == (ToolUse("bash", "completed", "T", "call_1"),)
    assert "canary" not in repr(step)


def test_a_written_file_is_kept_as_its_diff() -> None:
    """Relative to the directory, as people of that directory say it."""
    (change,) = kept(tool("write", metadata={"filepath": "/d/a.txt", "exists": False}, content="x\n")).changes
    assert (change.path, change.status, change.additions) == ("a.txt", "added", 1)
    assert change.diff.endswith("+x\n")


def test_a_long_diff_is_left_out() -> None:
    """Its file is named, and its lines are counted."""
    content = "line\n" * LONGEST_DIFF
    (change,) = kept(tool("write", metadata={"filepath": "/d/a.txt", "exists": False}, content=content)).changes
    assert (change.path, change.additions, change.diff) == ("a.txt", LONGEST_DIFF, "")


def test_an_overwritten_file_is_named() -> None:
    """What it held before is told nowhere."""
    assert kept(tool("write", metadata={"filepath": "/d/a.txt", "exists": True}, content="x")).overwritten == ("a.txt",)


def test_files_of_a_snapshot_are_named() -> None:
    """Outside of the directory by their whole path."""
    assert kept(Part("prt_1", "patch", files=("/d/a/b.txt", "/else/c"))).announced == ("a/b.txt", "/else/c")


@pytest.mark.parametrize("status", ["running", "pending"])
def test_a_message_with_a_tool_that_runs_is_not_complete(status: str) -> None:
    """Its time of completion alone proves nothing (F33)."""
    message = Message("msg_1", "assistant", SESSION.id, 1, (tool("bash", status=status),), completed_ms=2)
    assert not Step.from_message(message, directory="/d").is_complete


def test_a_message_without_an_end_is_not_complete() -> None:
    """It is being written."""
    assert not kept().is_complete
