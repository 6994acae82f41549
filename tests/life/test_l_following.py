"""L3 to L5, L11 to L13, L26 to L28 and L30: following costs no more for a long task than for a short one, and survives a bad minute."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from netclaw_opencode.offline import Drip, Gated, Text, ToolCall, Usage
from netclaw_opencode.testing.proxy import Cut, Fault, Latency, Silence, answer
from netclaw_opencode.testing.waiting import SOON, wait_until
from tests.faults.bench import Bench
from tests.real.acting import data_of, error_of

pytestmark = pytest.mark.real
LONG = 1800
"""A deadline of a task that is long only because the machine may be busy, in seconds."""
MESSAGES = r"GET /session/*/message"
KIB = 1024
SMALL = Usage(1000, 10)
"""What a step is said to use: left to itself the model counts characters, and the context would be compacted."""


def shell(command: str) -> ToolCall:
    """A call of the shell tool."""
    return ToolCall("bash", {"command": command, "description": "work"})


def printing(kib: int) -> ToolCall:
    """A step whose output is so long."""
    return shell(f"head -c {kib * KIB} /dev/zero | tr '\\0' x")


def read_bytes(bench: Bench) -> int:
    """Bytes of messages that the driver read so far."""
    return sum(item.received for item in bench.proxy.seen(MESSAGES))


def test_l03_store_of_twenty_megabytes(bench: Bench) -> None:
    """L3: twenty files of 1 MB are written; the turn is completed, and every file is told."""
    content = "a line of some thirty bytes ...\n" * 32_768
    bench.model.when(
        "write much",
        *[(ToolCall("write", {"filePath": f"${{directory}}/big{each}.txt", "content": content}), SMALL) for each in range(20)],
        Text("twenty files"),
    )
    data = bench.data("run_task", prompt="write much", directory=bench.directory, deadline_seconds=LONG, keep_session=True)
    store = len(bench.raw.get(f"/session/{bench.remember(data['session_id'])}/message").content)
    assert store > 20_000_000
    assert (data["text"], len(data["files_changed"])) == ("twenty files", 20)
    assert data["files_changed"][0]["additions"] == 32_768
    assert data["files_changed"][0]["diff"] == "", "a diff of a megabyte is not told"
    assert Path(data["changes"]["patch"]["path"]).stat().st_size > 20_000_000, "the patch has it"
    assert read_bytes(bench) < 1.3 * store


def test_l04_reading_grows_with_the_store_and_no_faster(bench: Bench) -> None:
    """L4, F56, F57: over the whole turn the driver reads the store once, however many steps there are."""
    steps = 160
    bench.model.when("many steps", *[(printing(20), SMALL)] * steps, Text("all done"))
    data = bench.data("run_task", prompt="many steps", directory=bench.directory, deadline_seconds=LONG, keep_session=True)
    store = len(bench.raw.get(f"/session/{bench.remember(data['session_id'])}/message").content)
    assert (data["text"], len(data["tools"]), data["usage"]["model_calls"]) == ("all done", steps, steps + 1)
    assert store > steps * 40 * KIB
    assert read_bytes(bench) < 1.3 * store
    # No look is a page of the past: what is read while the turn runs are its newest messages.
    assert max(item.received for item in bench.proxy.seen(MESSAGES)) < 1024 * KIB


@pytest.mark.parametrize(
    "fault",
    [answer("bad gateway", status=502, kind="text/html"), Cut(head=0, reset=True), Cut(body=20)],
    ids=["502", "reset", "cut"],
)
def test_l11_a_look_fails_in_the_middle(bench: Bench, fault: Fault) -> None:
    """L11: reads that fail for a while end nothing; the result says how many there were."""
    gate = bench.model.gate("an hour")
    bench.model.when("a long hour", Gated(gate, "begun, ", "and done"))
    running = bench.later("run_task", prompt="a long hour", directory=bench.directory, deadline_seconds=LONG)
    assert gate.wait_reached(SOON)
    bench.proxy.on("GET /session*", fault, times=8)
    gate.open()
    data = data_of(running.result(120))
    assert data["text"] == "begun, and done" and bench.fired(fault) > 1
    assert any("failed while the turn ran" in note for note in data["notes"]), data["notes"]


def test_l12_connections_time_out(bench: Bench) -> None:
    """L12: a server that does not accept for a while has not ended, and nobody says so."""
    gate = bench.model.gate("silence")
    bench.model.when("a silent server", Gated(gate, "begun"))
    running = bench.later("run_task", prompt="a silent server", directory=bench.directory, deadline_seconds=4)
    assert gate.wait_reached(SOON)
    silence = Silence()
    bench.proxy.on("*", silence)
    envelope = running.result(60)
    bench.proxy.clear()
    error = error_of(envelope)
    assert (error["code"], "ended" in error["message"]) == ("turn_timeout", False), error
    assert bench.fired(silence)
    gate.open()
    bench.raw.wire.get("/global/health")
    for session_id in bench.raw.statuses():
        bench.raw.abort(session_id)
    bench.data("cleanup")


@pytest.mark.parametrize("status", [500, 200], ids=["fails", "is-too-large"])
def test_l13_the_details_of_a_finished_turn_cannot_be_read(bench: Bench, status: int) -> None:
    """L13: the turn is complete all the same; what could not be read is told in a note."""
    fault = answer("x" * (17 * KIB * KIB) if status == 200 else '{"name": "UnknownError"}', status=status)
    bench.proxy.on("GET /session/*/diff", fault)
    bench.model.when(
        "write a note", ToolCall("write", {"filePath": "${directory}/note.txt", "content": f"noted {status}\n"}), Text("written")
    )
    data = bench.data("run_task", prompt="write a note", directory=bench.directory)
    assert (data["text"], data["files_changed"][0]["path"]) == ("written", "note.txt")
    assert bench.fired(fault), [item.route for item in bench.proxy.seen()]
    assert any("could not be read" in note for note in data["notes"]), data["notes"]


def test_l26_event_stream_is_accepted_and_never_answered(bench: Bench) -> None:
    """L26: the turn goes on without events, and only the first send waits for them."""
    silence = Silence()
    bench.proxy.on("GET /global/event", silence)
    assert bench.data("run_task", prompt="first", directory=bench.directory)["text"] == "first"
    seconds = []
    for number in range(3):
        began = time.monotonic()
        data = bench.data("run_task", prompt=f"again {number}", directory=bench.directory)
        seconds.append(time.monotonic() - began - data["phases"]["turn"])
        assert data["phases"]["preflight"] < 2.0, "the wait for the stream is over"
    assert bench.fired(silence) == 1


def test_l27_events_of_unexpected_types(bench: Bench) -> None:
    """L27: events whose fields are of other types are passed over; the turn is none the wiser."""
    odd = [
        {"type": "session.created", "properties": {"info": {"id": ["x"], "parentID": ["x"], "sessionID": {"a": 1}}}},
        {"type": "message.updated", "properties": {"info": {"role": ["user"], "id": 7, "finish": ["stop"], "sessionID": "ses_x"}}},
        {"type": "session.status", "properties": {"sessionID": 3, "status": "busy"}},
        {"type": 5, "properties": []},
        {"type": "permission.asked", "properties": {"id": {}, "sessionID": None}},
        ["not", "an", "object"],
    ]
    text = "".join(f"data: {json.dumps({'payload': item, 'directory': 1})}\n\n" for item in odd)
    stream = 'data: {"payload": {"type": "server.connected", "properties": {}}}\n\n' + text
    fault = answer(stream, kind="text/event-stream")
    bench.proxy.on("GET /global/event", fault, times=2)
    assert bench.data("run_task", prompt="odd events", directory=bench.directory)["text"] == "odd events"
    assert bench.fired(fault)


def test_l28_two_callers_share_a_read(bench: Bench) -> None:
    """L28: where the server is slow to tell its status, the caller with little time gives up alone."""
    bench.model.when("patient", Drip(interval_seconds=0.05, count=40))
    slow = Latency(1.5)
    patient = bench.later("run_task", prompt="patient", directory=bench.directory, deadline_seconds=LONG)
    assert bench.model.wait_until(lambda model: bool(model.calls_with("patient")), SOON)
    bench.proxy.on("GET /session/status*", slow)
    hasty = bench.later("run_task", prompt="hasty", directory=bench.directory, deadline_seconds=0.5)
    assert error_of(hasty.result(60))["code"] in ("request_timeout", "turn_timeout")
    assert data_of(patient.result(120))["text"] and bench.fired(slow)


@pytest.mark.parametrize("hours", [-3, 3], ids=["behind", "ahead"])
def test_l30_clocks_that_differ(bench: Bench, monkeypatch: pytest.MonkeyPatch, hours: int) -> None:
    """L30: a caller whose clock is hours off gets the same result: ids are made by the server's clock, and no duration mixes the two."""
    real = time.time, time.time_ns
    monkeypatch.setattr(time, "time", lambda: real[0]() + hours * 3600)
    monkeypatch.setattr(time, "time_ns", lambda: real[1]() + hours * 3600 * 1_000_000_000)
    bench.model.when("what time is it", shell("true"), shell("true"), Text("late"))
    data = bench.data("run_task", prompt="what time is it", directory=bench.directory)
    assert (data["text"], data["usage"]["model_calls"]) == ("late", 3)
    session_id = bench.started("what time is it", deadline_seconds=600)
    found = bench.data("wait_for_session", session_id=session_id)
    assert (found["done"], found["result"]["text"]) == (True, "late")
    assert 0 <= found["elapsed_seconds"] < 600


def test_l33_status_of_many_directories(bench: Bench, tmp_path_factory: pytest.TempPathFactory) -> None:
    """L33: thirty directories, one request's latency each: read side by side, within the manifest's 15 s."""
    base = tmp_path_factory.mktemp("many").resolve()
    places = [base / f"p{number}" for number in range(30)]
    for place in places:
        place.mkdir()
        bench.create(directory=str(place))
    late = Latency(1.0)
    bench.proxy.on("GET /session/status*", late)
    began = time.monotonic()
    data = bench.data("get_session_status", all_directories=True, limit=200)
    assert {str(place) for place in places} <= {item["directory"] for item in data["sessions"]}
    assert bench.fired(late) >= 30
    assert time.monotonic() - began < 30, "thirty times one second, one after the other"


def test_waiting_tasks_cost_no_more_requests_than_one(bench: Bench) -> None:
    """A turn that is followed asks nothing by itself while it runs: the directory's watcher asks, for all."""
    gate = bench.model.gate("wait")
    bench.model.when("wait here", Gated(gate, "begun, ", "ended"))
    running = [bench.later("run_task", prompt=f"wait here {each}", directory=bench.directory, deadline_seconds=LONG) for each in range(4)]
    assert gate.wait_reached(60, count=4)
    wait_until(lambda: len(bench.raw.statuses()) == 4, SOON, what="four turns that run")
    before = len(bench.proxy.seen())
    reads = len(bench.proxy.seen("GET /session/status"))
    wait_until(lambda: len(bench.proxy.seen("GET /session/status")) >= reads + 2, 60, what="two readings of the directory")
    between = [item.route for item in bench.proxy.seen()[before:]]
    assert not [route for route in between if route.endswith("/message")], between
    gate.open()
    assert [data_of(item.result(120))["text"] for item in running] == ["begun, ended"] * 4
