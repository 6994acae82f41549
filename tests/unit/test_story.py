"""A flight record told in plain words: what a turn did, and what of a damaged record can still be told."""

from __future__ import annotations

import ast
import json
import os
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netclaw_opencode.errors import InvalidInput
from netclaw_opencode.records import story
from netclaw_opencode.records.recorder import FileRecorder, RecordFile

SESSION, CHILD = "ses_20340f888001d7RBaaG1oOhjvJ", "ses_20340f888001d7RBaaG1oOhjvK"
PACKAGE = Path(story.__file__).parents[1]
SAID_BY_OTHERS = {"call", "full"}
"""Kinds that have no line of their own: a call's first line is its heading, a full record is a note."""
MESSAGE = {"session_id": SESSION, "message_id": "msg_20340f888001d7RBaaG1oOhjvJ"}


class Taped:
    """A record that the test writes, at times of its own."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.now = 0.0
        self.recorder = FileRecorder(RecordFile(path), clock=lambda: self.now)

    def at(self, seconds: float, kind: str, **facts: object) -> None:
        """Note something at that time."""
        self.now = seconds
        self.recorder.note(kind, **facts)

    def event(self, seconds: float, kind: str, session_id: str = SESSION, **facts: object) -> None:
        """Note an event of the server."""
        self.at(seconds, "event", type=kind, session_id=session_id, **facts)

    def result(self, seconds: float, error: Mapping[str, object] | None = None) -> None:
        """End the call."""
        self.now = seconds
        self.recorder.result({"ok": True} if error is None else {"ok": False, "error": error})


@pytest.fixture
def taped(tmp_path: Path) -> Taped:
    """An empty record."""
    return Taped(tmp_path / "flight.jsonl")


def only(taped: Taped) -> story.Story:
    """The one story of the record, which has nothing to note."""
    found = story.read(taped.path)
    assert found.notes == []
    (told,) = found.stories
    return told


def test_a_turn_that_went_well(taped: Taped) -> None:
    """What was read, which rules were asked, what was sent once, how it ended, and that it was cleared away."""
    with taped.recorder.call("run_task"):
        taped.at(0.01, "request", route="session_create", method="POST", path="/session", status=200, bytes=430, ms=9.0)
        taped.at(0.01, "created", session_id=SESSION)
        taped.at(0.03, "preflight", session_id=SESSION, state="ready", messages=0, pending=0)
        for rule in ("status-first", "fresh-session", "abort-first", "send-once"):
            taped.at(0.04, "rule", rule=rule, answer="allowed")
        taped.at(0.05, "send", **MESSAGE, attempt=1)
        taped.event(0.2, "session.status", status="busy")
        taped.event(0.21, "session.status", status="busy")
        taped.event(0.3, "message.part.updated", part="tool", tool="write", status="pending")
        taped.event(0.31, "message.part.updated", part="tool", tool="write", status="running")
        taped.event(0.4, "message.part.updated", part="tool", tool="write", status="completed")
        taped.event(4.4, "session.idle")
        taped.at(4.42, "look", session_id=SESSION, state="completed", finish="stop")
        taped.at(4.43, "rule", rule="delete-after-stop", answer="allowed")
        taped.at(4.5, "deleted", session_id=SESSION, gone_already=False)
        taped.result(4.51)
    told = only(taped)
    assert (told.action, told.outcome, told.sessions) == ("run_task", "done", {SESSION})
    assert told.elapsed_seconds == pytest.approx(4.51)
    assert told.lines == [
        f"0.01 s  created session {SESSION}",
        "0.03 s  looked before the send: ready, no messages",
        "0.05 s  rules asked: status-first, fresh-session, abort-first, send-once: allowed",
        f"0.05 s  sent message {MESSAGE['message_id']} once",
        "0.20 s  the session is busy",
        "0.31 s  tool write: running",
        "0.40 s  tool write: completed",
        "4.40 s  the session went idle; the message store says: completed (finish stop)",
        "4.50 s  rules asked: delete-after-stop: allowed",
        f"4.50 s  session {SESSION} deleted, and seen gone",
        "4.51 s  done, after 1 request(s) with 0.4 KiB of answers",
    ]


def test_a_turn_that_was_stopped(taped: Taped) -> None:
    """The deadline, the abort, how soon it was seen, the second one, the requests refused, the error with its rule."""
    with taped.recorder.call("send_message"):
        taped.at(0.1, "send", **MESSAGE, attempt=1)
        taped.at(0.2, "send", **MESSAGE, attempt=2)
        taped.event(0.3, "session.status", status="retry", attempt=3)
        taped.at(60.0, "ending", session_id=SESSION, code="turn_timeout")
        taped.at(60.02, "abort", session_id=SESSION, attempt=1, sessions=2, was="busy")
        taped.event(60.03, "session.idle", CHILD)
        taped.at(61.1, "abort", session_id=SESSION, attempt=2, sessions=2, was="busy")
        taped.at(61.2, "stopped", session_id=SESSION, confirmed=True, attempts=2, requests_refused=1)
        taped.result(61.3, {"code": "turn_timeout", "rule": "deadline"})
    assert only(taped).lines[1:] == [
        f"0.20 s  sent message {MESSAGE['message_id']} again, with the same ids (attempt 2)",
        "0.30 s  the provider refuses; the server tries again (attempt 3)",
        "60.00 s  the deadline passed; the turn is stopped",
        "60.02 s  abort sent to 2 sessions (it was busy)",
        f"60.03 s  the session went idle (session {CHILD})",
        "61.10 s  abort sent again to 2 sessions (attempt 2)",
        "61.20 s  seen idle 1.18 s after the abort; 1 request(s) of the agent refused",
        "61.30 s  ended with the error turn_timeout (rule deadline), and nothing was sent",
    ]


def test_a_refusal_names_its_rule(taped: Taped) -> None:
    """What was read, and which rule said no."""
    with taped.recorder.call("send_message"):
        taped.at(0.1, "preflight", session_id=SESSION, state="ready", messages=1, pending=0)
        taped.at(0.1, "rule", rule="status-first", answer="allowed")
        taped.at(0.1, "rule", rule="fresh-session", answer="refused", code="session_used")
        taped.result(0.2, {"code": "session_used", "rule": "fresh-session"})
    assert only(taped).lines == [
        "0.10 s  looked before the send: ready, 1 message",
        "0.10 s  rules asked: status-first: allowed",
        "0.10 s  the rule fresh-session refuses: session_used",
        "0.20 s  ended with the error session_used (rule fresh-session), and nothing was sent",
    ]


def test_an_answer_to_the_agent_is_told(taped: Taped) -> None:
    """What the agent asked and what it was answered."""
    with taped.recorder.call("run_task"):
        taped.event(1.0, "permission.asked", permission="bash", request_id="per_1")
        taped.at(1.0, "look", session_id=SESSION, state="waiting")
        taped.at(1.1, "answered", session_id=SESSION, request_id="per_1", request="permission", permission="bash", answer="reject")
        taped.event(2.0, "question.asked", request_id="que_1")
        taped.at(2.1, "answered", session_id=SESSION, request_id="que_1", request="question", answer="reject")
        taped.result(3.0)
    assert [line.partition("  ")[2] for line in only(taped).lines[:-1]] == [
        "the agent asks for the permission bash",
        "the turn waits for an answer",
        "permission bash per_1 answered: reject",
        "the agent asks a question",
        "question que_1 answered: reject",
    ]


def test_trouble_on_the_wire_is_told(taped: Taped) -> None:
    """Slow, repeated and failed requests, and a lost event stream; the others are only counted."""
    with taped.recorder.call("run_task"):
        taped.at(0.1, "created", session_id=SESSION)
        taped.at(0.2, "request", method="GET", path="/a", status=200, bytes=1024, ms=3.0)
        taped.at(1.5, "request", method="GET", path="/b", status=200, bytes=2048, ms=1300.0)
        taped.at(1.6, "request", method="GET", path="/c", status=200, bytes=0, ms=40.0, tries=3)
        taped.at(1.7, "request", method="GET", path="/d", code="connection_lost", bytes=0, ms=4.0)
        taped.at(1.8, "stream", state="lost", code="connection_lost")
        taped.at(1.9, "stream", state="open")
        taped.result(2.0)
    assert [line.partition("  ")[2] for line in only(taped).lines[1:]] == [
        "GET /b: answer 200, 2048 bytes, after 1.30 s",
        "GET /c: answer 200, 0 bytes, after 0.04 s and 3 tries",
        "GET /d: connection_lost, after 0.00 s",
        "the event stream was lost (connection_lost); it is opened again",
        "the event stream is open",
        "done, after 4 request(s) with 3.0 KiB of answers",
    ]


def test_a_call_that_only_reads_is_told_by_its_requests(taped: Taped) -> None:
    """There is nothing else to tell of it; none is told twice."""
    with taped.recorder.call("list_sessions"):
        taped.at(0.1, "request", method="GET", path="/global/health", status=200, bytes=36, ms=5.0)
        taped.at(1.5, "request", method="GET", path="/session", status=200, bytes=2, ms=1300.0)
        taped.result(1.6)
    assert [line.partition(":")[0] for line in only(taped).lines] == [
        "0.10 s  GET /global/health",
        "1.50 s  GET /session",
        "1.60 s  done, after 2 request(s) with 0.0 KiB of answers",
    ]


def test_the_middle_of_a_long_story_is_left_out(taped: Taped) -> None:
    """Beginning and end of a call with thousands of events stay, and it is said how much is missing."""
    with taped.recorder.call("run_task"):
        taped.at(0.1, "send", **MESSAGE, attempt=1)
        for number in range(2000):
            taped.event(1.0 + number, "message.part.updated", part="tool", tool=f"tool{number}", status="completed")
        taped.result(3000.0)
    told = only(taped)
    assert len(told.lines) == 401
    assert "sent message" in told.lines[0] and told.lines[-1].endswith("nothing was sent")
    assert "(1602 lines are left out here)" in told.lines


# --- damage -------------------------------------------------------------------------------------------------------------


def test_a_record_that_breaks_off_is_told_as_far_as_it_goes(taped: Taped) -> None:
    """After a kill -9 the last line may be half; the call has no end, and both are said."""
    recording = taped.recorder.call("run_task")
    recording.__enter__()
    taped.at(0.5, "send", **MESSAGE, attempt=1)
    with taped.path.open("ab") as file:
        file.write(b'{"t":0.7,"at":"2026-11-20T09:1')
    found = story.read(taped.path)
    assert found.notes == ["the last line is cut off: the process was ended while it wrote it"]
    assert found.stories[0].outcome == "unknown"
    assert found.stories[0].lines[-1] == "0.50 s  the record of this call ends here: it was killed, or it still runs"


def test_damaged_and_foreign_lines_are_left_out_and_counted(taped: Taped) -> None:
    """Half lines in the middle, other programs' lines, lines of endless length or depth, wrong types: said, never trusted."""
    with taped.recorder.call("run_task"):
        taped.at(0.5, "send", **MESSAGE, attempt=1)
        taped.result(0.6)
    good = taped.path.read_bytes()
    bad = [
        b'{"t":0.1,"at":"20\n',
        b'{"t":0.1,"at":"now","kind":7}\n',
        b'{"t":"soon","at":"now","kind":"send"}\n',
        b'{"t":1e999,"at":"now","kind":"send","call":"x"}\n',
        b'{"t":' + b"[" * 3000 + b"\n",
        b"Traceback (most recent call last):\n",
        b"\xff\xfe\x00\n",
    ]
    taped.path.write_bytes(good + b"".join(bad))
    found = story.read(taped.path)
    assert len(found.stories) == 1 and found.stories[0].outcome == "done"
    assert found.notes == ["5 damaged line(s) were left out", "2 line(s) are not of a flight record and were left out"]


def test_a_full_record_is_told(taped: Taped) -> None:
    """That what came later is missing is part of the answer."""
    taped.at(0.1, "full", limit_bytes=4096)
    assert story.read(taped.path).notes == ["the record became full: what came after that is not in it"]


def test_an_empty_record_has_no_story(taped: Taped) -> None:
    """Nothing was recorded yet."""
    assert story.read(taped.path) == story.Reading([], [])


def test_what_cannot_be_read_is_an_error_of_the_input(tmp_path: Path) -> None:
    """A missing file, a folder and a pipe (it must not hang) are named."""
    os.mkfifo(tmp_path / "pipe")
    for name in ("missing", "pipe", "."):
        with pytest.raises(InvalidInput, match="cannot be read"):
            story.read(tmp_path / name)


_KINDS = st.sampled_from(sorted(name.removeprefix("_on_") for name in dir(story._StoryBuilder) if name.startswith("_on_")))
_VALUES = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.text(), max_size=2)
_NAMES = st.sampled_from(["session_id", "type", "status", "state", "ms", "bytes", "attempt", "code", "tries", "messages", "rule", "answer"])


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(_KINDS, st.dictionaries(_NAMES, _VALUES)), max_size=8))
def test_no_line_of_a_record_can_break_the_telling(
    tmp_path_factory: pytest.TempPathFactory, found: list[tuple[str, dict[str, object]]]
) -> None:
    """Whatever a record claims, it is told in printable lines, each with its time."""
    path = tmp_path_factory.mktemp("any") / "flight.jsonl"
    lines = [{"t": 0.5, "at": "now", "action": "a", "call": "c", "kind": kind, **facts} for kind, facts in found]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    for told in story.read(path).stories:
        assert all(line.isprintable() and line.partition(" s  ")[0].replace(".", "").isdigit() for line in told.lines)


def test_every_kind_that_is_noted_has_words() -> None:
    """Nothing is recorded that nobody can read back."""
    noted = {
        str(call.args[0].value)
        for path in PACKAGE.rglob("*.py")
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr == "note" and call.args
        if isinstance(call.args[0], ast.Constant)
    }
    assert len(noted) >= 10
    assert {kind for kind in noted - SAID_BY_OTHERS if not hasattr(story._StoryBuilder, f"_on_{kind}")} == set()
