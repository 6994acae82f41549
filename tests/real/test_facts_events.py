"""Facts of events, pinned by number: the two streams, the order of a turn, the end of one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from netclaw_opencode.offline import Hang, Reasoning, Text, ToolCall
from netclaw_opencode.testing.server import OpenCodeServer
from netclaw_opencode.testing.waiting import SOON
from tests.support.event_log import Event, EventLog
from tests.support.raw import RawOpenCode, field

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def workdir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One directory for the module: a directory's first turn costs a second."""
    return tmp_path_factory.mktemp("facts-events")


@pytest.fixture(scope="module")
def events(opencode_server: OpenCodeServer) -> Iterator[EventLog]:
    """One log for the module, so that the heartbeat of the last test has had time to come."""
    with EventLog(opencode_server) as log:
        yield log


def kind(event: Event) -> str:
    """An event in a word: its type and what changes."""
    status = event.properties.get("status")
    if isinstance(status, dict):
        return str(status["type"])
    state = event.part.get("state")
    if isinstance(state, dict):
        return f"tool {state['status']}"
    if event.part:
        return str(event.part["type"])
    time = event.info.get("time")
    completed = isinstance(time, dict) and "completed" in time
    return f"{event.info.get('role', event.type)} {event.info.get('finish', '')}{' completed' if completed else ''}".strip()


def test_f31_the_first_event_says_connected(opencode_server: OpenCodeServer, events: EventLog, raw: RawOpenCode) -> None:
    """F31: on both streams; the global one wraps each event, and names the directory of all but its own."""
    first = events.seen()[0]
    assert (first.type, first.directory, set(first.raw)) == ("server.connected", None, {"payload"})
    with EventLog(opencode_server, path="/event", directory=raw.directory) as one_directory:
        assert one_directory.seen()[0].type == "server.connected"
        assert "payload" not in one_directory.seen()[0].raw


def test_f32_a_turn_in_events(opencode_server: OpenCodeServer, events: EventLog, raw: RawOpenCode) -> None:
    """F32, F31: busy first, then the parts, the completed message, and idle last; on the global stream all of it twice."""
    raw.model.when("F32", (Reasoning("hm"), Text("going"), ToolCall("bash", {"command": "echo hi"})), Text("done"))
    session_id = raw.create()
    with EventLog(opencode_server, path="/event", directory=raw.directory) as one_directory:
        raw.prompt_async(session_id, "F32")
        events.wait_idle(session_id)
        one_directory.wait_idle(session_id)
        in_directory = [event.type for event in one_directory.of_session(session_id)]
    assert "sync" not in in_directory
    of_turn = events.of_session(session_id, "session.status", "message.updated", "message.part.updated", "session.idle")
    kinds = [kind(event) for event in of_turn]
    del kinds[: kinds.index("busy")]  # the prompt itself comes before
    order = [
        "busy",
        "reasoning",
        "text",
        "tool pending",
        "tool running",
        "tool completed",
        "assistant tool-calls completed",
        "assistant stop completed",
        "idle",
    ]
    assert [kinds.index(step) for step in order] == sorted(kinds.index(step) for step in order)
    assert kinds.count("idle") == 1
    assert kinds.index("assistant stop completed") < kinds.index("idle"), "the store is complete before the turn reads idle"
    copies = events.seen(lambda event: event.type == "sync" and session_id in str(event.raw))
    assert copies


def test_f31_an_event_stream_carries_one_directory_only(
    opencode_server: OpenCodeServer, events: EventLog, raw: RawOpenCode, tmp_path: Path
) -> None:
    """F31, F20: /event of another directory says nothing of this one's sessions; the global stream does."""
    with EventLog(opencode_server, path="/event", directory=str(tmp_path)) as other:
        session_id = raw.create()
        created = events.wait_for(lambda event: event.type == "session.created" and event.session_id == session_id)
        # A session of that directory marks that its stream has been read past ours.
        there = raw.wire.post("/session", params={"directory": str(tmp_path)}, json={}).json()["id"]
        other.wait_for(lambda event: event.session_id == there)
        assert other.of_session(session_id) == []
    raw.remember(there)
    assert created.directory == raw.directory


def test_f31_there_is_no_replay(opencode_server: OpenCodeServer, events: EventLog, raw: RawOpenCode) -> None:
    """F31: who connects later does not hear of what was before."""
    session_id = raw.create()
    events.wait_for(lambda event: event.type == "session.created" and event.session_id == session_id)
    with EventLog(opencode_server) as late:
        later = raw.create()
        late.wait_for(lambda event: event.session_id == later)
        assert late.of_session(session_id, "session.created") == []


def test_f31_an_abort_yields_idle_twice(events: EventLog, raw: RawOpenCode) -> None:
    """F31: session.error with the abort's name, then session.idle two times."""
    raw.model.when("F31", Hang())
    session_id = raw.create()
    raw.prompt_async(session_id, "F31")
    assert raw.model.wait_until(lambda model: model.calls_with("F31"), SOON)
    raw.abort(session_id)
    events.wait_for(lambda _event: len(events.of_session(session_id, "session.idle")) == 2)
    error = events.of_session(session_id, "session.error")[0]
    assert field(error.properties, "error")["name"] == "MessageAbortedError"


def test_f31_the_server_gives_heartbeats(events: EventLog) -> None:
    """F31: server.heartbeat comes about every ten seconds."""
    assert events.wait_for(lambda event: event.type == "server.heartbeat").directory is None
