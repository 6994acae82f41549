"""What the flight record keeps of requests and events: names, ids, states, sizes; never a text, a header or a title."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from netclaw_opencode.errors import DriverError
from netclaw_opencode.opencode.wire import routes
from netclaw_opencode.opencode.wire.exchange import EventLog
from netclaw_opencode.opencode.wire.http import HttpClient
from netclaw_opencode.opencode.wire.types import ServerEvent
from netclaw_opencode.records.recorder import FileRecorder, RecordFile
from tests.support.answering import BROKEN, PASSWORD, URL, Server, answering, failing

Line = dict[str, Any]
SESSION = "ses_20340f888001d7RBaaG1oOhjvJ"
TEXT = "canary-prompt"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the record is."""
    return tmp_path / "flight.jsonl"


@pytest.fixture
def recorder(path: Path) -> Iterator[FileRecorder]:
    """A recorder into that file; the password is *not* made known to it."""
    made = FileRecorder(RecordFile(path))
    yield made
    made.close()


def lines(path: Path) -> list[Line]:
    """Every line of a record."""
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def sent(server: Server, recorder: FileRecorder) -> None:
    """Post a prompt to that server, whatever comes of it."""

    async def run() -> None:
        transport = httpx.MockTransport(server)
        async with HttpClient(url=URL, username="opencode", password=PASSWORD, transport=transport, record=recorder) as client:
            try:
                await client.call(routes.SESSION_UPDATE, ids={"session_id": SESSION}, directory="/home/me", body={"title": TEXT})
            except DriverError:
                return

    anyio.run(run)


def test_a_request_is_one_line_without_bodies_and_headers(recorder: FileRecorder, path: Path) -> None:
    """Route, method, path with its id, status, sizes, time; no password, no body of either side, even where it is not hidden."""
    sent(answering(text=json.dumps({"secret": TEXT})), recorder)
    (line,) = lines(path)
    assert (line["kind"], line["route"], line["method"], line["path"]) == ("request", "session_update", "PATCH", f"/session/{SESSION}")
    assert (line["status"], line["bytes"], line["sent"]) == (200, 27, 25)
    assert line["session_id"] == SESSION and line["ms"] >= 0
    assert not {"code", "tries"} & line.keys()
    content = path.read_text(encoding="ascii")
    assert "canary" not in content and "Basic" not in content and "/home/me" not in content


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (lambda: answering(404, text="{}"), {"status": 404}),
        (lambda: answering(500, text=json.dumps({"message": TEXT})), {"status": 500}),
        (lambda: answering(text=f"<html>{TEXT}", kind="text/html"), {"status": 200, "code": "not_opencode"}),
        (lambda: failing(httpx.ConnectError(TEXT)), {"code": "server_unreachable"}),
        (lambda: failing(BROKEN[0]), {"status": 200, "tries": 2}),
        (lambda: failing(*BROKEN), {"code": "connection_lost", "tries": 3}),
    ],
)
def test_a_request_that_fails_says_how(recorder: FileRecorder, path: Path, made: Callable[[], Server], expected: Line) -> None:
    """The status where there is one, else our code, and the tries if there were several; the text of the error is left out."""
    sent(made(), recorder)
    (line,) = lines(path)
    assert {key: line[key] for key in ("status", "code", "tries") if key in line} == expected
    assert TEXT not in path.read_text(encoding="ascii")


def test_a_request_that_is_cut_short_is_told_too(recorder: FileRecorder, path: Path) -> None:
    """A cancellation in the middle leaves a line, and goes on."""

    async def run() -> None:
        async def never(_: httpx.Request) -> httpx.Response:
            await anyio.sleep_forever()
            raise AssertionError

        async with HttpClient(url=URL, username="opencode", password=None, transport=httpx.MockTransport(never), record=recorder) as client:
            with anyio.move_on_after(0.01) as scope:
                await client.call(routes.PATH)
            assert scope.cancelled_caught

    anyio.run(run)
    assert [line["code"] for line in lines(path)] == ["cancelled"]


def event(kind: str, **properties: object) -> ServerEvent:
    """An event of the session."""
    return ServerEvent(type=kind, properties={"sessionID": SESSION, **properties}, directory="/home/me")


def test_an_event_is_told_in_the_servers_words_without_texts(recorder: FileRecorder, path: Path) -> None:
    """Status, tool, role, finish, the error's name; never a title, a prompt, an answer, a command or a provider's message."""
    log = EventLog(recorder.note)
    log.take(event("session.updated", info={"title": TEXT, "id": SESSION}))
    log.take(event("session.status", status={"type": "retry", "attempt": 2, "message": TEXT}))
    state = {"status": "running", "input": {"command": TEXT}, "title": TEXT, "output": TEXT}
    log.take(event("message.part.updated", part={"type": "tool", "tool": "bash", "state": state}))
    log.take(event("message.part.updated", part={"type": "text", "text": TEXT}))
    log.take(
        event("message.updated", info={"role": "assistant", "finish": "stop", "error": {"name": "APIError", "data": {"message": TEXT}}})
    )
    log.take(event("permission.asked", id="per_1", permission="bash", patterns=[TEXT], metadata={"command": TEXT}))
    log.take(event("session.error", error={"name": "UnknownError", "data": {"message": TEXT}}))
    told = [{key: value for key, value in line.items() if key not in ("t", "at", "kind", "session_id")} for line in lines(path)]
    assert told == [
        {"type": "session.updated"},
        {"type": "session.status", "status": "retry", "attempt": 2},
        {"type": "message.part.updated", "status": "running", "part": "tool", "tool": "bash"},
        {"type": "message.part.updated", "part": "text"},
        {"type": "message.updated", "role": "assistant", "finish": "stop", "error": "APIError"},
        {"type": "permission.asked", "permission": "bash", "request_id": "per_1"},
        {"type": "session.error", "error": "UnknownError"},
    ]
    assert TEXT not in path.read_text(encoding="ascii")


def test_pieces_of_text_are_counted_and_not_listed(recorder: FileRecorder, path: Path) -> None:
    """They come by the hundred and say nothing that the next event does not say."""
    log = EventLog(recorder.note)
    for _ in range(300):
        log.take(event("message.part.delta", delta=TEXT))
    log.take(event("session.idle"))
    log.take(event("session.idle"))
    assert [line.get("deltas") for line in lines(path)] == [300, None]


@pytest.mark.parametrize(
    "properties", [{"status": "busy"}, {"info": [], "part": 7, "error": "x"}, {"part": {"state": "odd", "tool": {"a": 1}}}]
)
def test_an_event_of_any_shape_is_one_line(recorder: FileRecorder, path: Path, properties: dict[str, object]) -> None:
    """What is not as expected is left out."""
    EventLog(recorder.note).take(event("odd", **properties))
    (line,) = lines(path)
    assert line["type"] == "odd"
