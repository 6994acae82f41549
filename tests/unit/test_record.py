"""The flight record's lines and file: private, bounded, one line each, without secrets, and never in the way of a call."""

from __future__ import annotations

import errno
import json
import os
import stat
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netclaw_opencode.errors import InvalidInput
from netclaw_opencode.records import recorder as record
from netclaw_opencode.records.recorder import FILE_BYTES, LINE_BYTES, NO_RECORD, FileRecorder, RecordFile, open_record

Line = dict[str, Any]
PASSWORD = 'canary-pass:wörd"\\'
SESSION = "ses_20340f888001d7RBaaG1oOhjvJ"


class Clock:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the record is."""
    return tmp_path / "flight.jsonl"


@pytest.fixture
def recorder(path: Path) -> Iterator[FileRecorder]:
    """A recorder into that file, on a clock at 100 s."""
    made = FileRecorder(RecordFile(path), clock=Clock())
    made.hide(PASSWORD)
    yield made
    made.close()


def lines(path: Path) -> list[Line]:
    """Every line of a record, each a JSON object."""
    return [json.loads(line) for line in path.read_bytes().splitlines()]


# --- lines --------------------------------------------------------------------------------------------------------------


def test_a_line_says_when_whose_and_what(path: Path) -> None:
    """Seconds since the start, ISO UTC, action and call id, kind, facts; the call's own line comes first, with its own time."""
    clock = Clock()
    recorder = FileRecorder(RecordFile(path), clock=clock)
    clock.now += 1
    with recorder.call("run_task"):
        clock.now += 0.25
        recorder.note("send", session_id=SESSION, attempt=1, code=None)
        clock.now += 2
        recorder.result({"ok": True, "action": "run_task", "data": {"text": "never"}})
    began, sent, ended = lines(path)
    call = began["call"]
    assert began == {"t": 1.0, "at": began["at"], "action": "run_task", "call": call, "kind": "call"}
    assert sent == {"t": 1.25, "at": sent["at"], "action": "run_task", "call": call, "kind": "send", "session_id": SESSION, "attempt": 1}
    assert ended == {"t": 3.25, "at": ended["at"], "action": "run_task", "call": call, "kind": "result", "outcome": "done"}
    assert len(call) == 8
    assert all(line["at"].endswith("Z") and line["at"][10] == "T" for line in (began, sent, ended))
    assert path.read_bytes().startswith(record.FIRST_BYTES)


HOSTILE = 'x\r\n{"t":0.1,"at":"now","kind":"result","outcome":"done"}\n\x1b]52;c;aGk=\x07\x7f\x85\u2028\u202e\ud800\0'


def test_one_record_is_one_line_of_plain_ascii(recorder: FileRecorder, path: Path) -> None:
    """Line breaks, ESC, C1, bidi marks, lone surrogates and a forged record in every field add no line and no control byte."""
    with recorder.call(HOSTILE):
        recorder.note("event", type=HOSTILE, session_id=HOSTILE, tool=[HOSTILE, HOSTILE])
        recorder.result({"error": {"code": HOSTILE, "rule": HOSTILE}})
    content = path.read_bytes()
    assert content.count(b"\n") == 3
    assert all(byte == 10 or 32 <= byte < 127 for byte in content)
    assert [line["kind"] for line in lines(path)] == ["call", "event", "result"]


@settings(max_examples=50, deadline=None)
@given(
    st.dictionaries(st.sampled_from(["a", "b", "c", "d"]), st.recursive(st.text() | st.floats() | st.integers() | st.booleans(), st.lists))
)
def test_whatever_is_noted_is_one_bounded_line(tmp_path_factory: pytest.TempPathFactory, facts: dict[str, object]) -> None:
    """Any values at all: one line, at most 2 KiB, JSON."""
    path = tmp_path_factory.mktemp("any") / "flight.jsonl"
    recorder = FileRecorder(RecordFile(path))
    recorder.note("event", **facts)
    recorder.close()
    (raw,) = path.read_bytes().splitlines(keepends=True)
    assert len(raw) <= LINE_BYTES
    assert json.loads(raw)["kind"] == "event"


def test_a_line_that_would_be_too_long_keeps_its_head(recorder: FileRecorder, path: Path) -> None:
    """Time, call and kind stay; that facts were left out is said."""
    recorder.note("event", **{f"fact{number}": "ü" * 500 for number in range(30)})
    (line,) = lines(path)
    assert line["kind"] == "event" and line["cut"] is True and "fact0" not in line


@pytest.mark.parametrize("text", [PASSWORD, "Authorization: Basic b3BlbmNvZGU6Y2FuYXJ5", "sk-canary1234567890", "http://me:canary@host/x"])
@pytest.mark.parametrize("before", [0, 190, 4090])
def test_no_secret_is_written(recorder: FileRecorder, path: Path, text: str, before: int) -> None:
    """The known password and what looks like a credential are hidden, also where the text is cut in the middle of them."""
    recorder.note("event", tool="." * before + text, words=["x " + text])
    content = path.read_text(encoding="ascii")
    assert "canary" not in content and "b3BlbmNvZGU" not in content
    assert json.dumps(PASSWORD)[1:8] not in content


# --- calls --------------------------------------------------------------------------------------------------------------


def test_calls_side_by_side_keep_apart(recorder: FileRecorder, path: Path) -> None:
    """Each task, and the tasks that it starts, writes for its own call."""

    async def call(action: str, mine: anyio.Event, other: anyio.Event) -> None:
        with recorder.call(action):
            mine.set()
            await other.wait()
            async with anyio.create_task_group() as inner:
                inner.start_soon(note)
            recorder.result({"ok": True})

    async def note() -> None:
        recorder.note("send")

    async def both() -> None:
        one, two = anyio.Event(), anyio.Event()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(call, "one", one, two)
            tasks.start_soon(call, "two", two, one)

    anyio.run(both)
    found = lines(path)
    assert len(found) == 6
    assert {line["call"] for line in found if line["action"] == "one"}.isdisjoint(
        {line["call"] for line in found if line["action"] == "two"}
    )


def test_what_is_bound_belongs_to_the_call_that_bound_it(recorder: FileRecorder, path: Path) -> None:
    """Events come in a task of their own, which may have been started by another call, or by none."""
    with recorder.call("first"):
        note = recorder.bind()
    with recorder.call("second"):
        note("event", type="late")
    note("event", type="later")
    assert [line["action"] for line in lines(path)] == ["first"] * 3


def test_a_call_that_asks_nobody_leaves_no_trace_unless_it_fails(recorder: FileRecorder, path: Path) -> None:
    """Reading a record does not grow it; a refused input is part of the story all the same."""
    with recorder.call("explain"):
        recorder.result({"ok": True})
    assert lines(path) == []
    with recorder.call("run_task"):
        recorder.result({"ok": False, "error": {"code": "invalid_input", "message": "the prompt: canary", "rule": "deadline"}})
    began, ended = lines(path)
    assert began["kind"] == "call"
    assert (ended["outcome"], ended["rule"]) == ("invalid_input", "deadline")
    assert "canary" not in path.read_text(encoding="ascii")


def test_a_call_that_is_left_is_cancelled(recorder: FileRecorder, path: Path) -> None:
    """Ctrl-C and whatever else leaves the call without an envelope is told as that."""

    def interrupted() -> None:
        with recorder.call("run_task"):
            recorder.note("send")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert [line.get("outcome") for line in lines(path)] == [None, None, "cancelled"]


def test_no_record_takes_everything_and_does_nothing(tmp_path: Path) -> None:
    """Without a file there is one null object for all, and no file."""
    assert open_record(None, secret="x") is NO_RECORD
    with NO_RECORD.call("run_task"):
        NO_RECORD.note("send", session_id=SESSION)
        NO_RECORD.bind()("event", type="x")
        NO_RECORD.hide("x")
        NO_RECORD.result({"ok": True})
    NO_RECORD.close()
    assert not NO_RECORD.on
    assert list(tmp_path.iterdir()) == []


# --- the file -----------------------------------------------------------------------------------------------------------


def mode(path: Path) -> int:
    """The file's permission bits."""
    return stat.S_IMODE(path.stat().st_mode)


def test_the_file_is_private_whatever_the_umask(path: Path) -> None:
    """0600 when it is made, and again when it was made by somebody careless."""
    before = os.umask(0)
    try:
        RecordFile(path).close()
        assert mode(path) == 0o600
        path.chmod(0o644)
        RecordFile(path).close()
        assert mode(path) == 0o600
    finally:
        os.umask(before)


def _a_directory(path: Path) -> None:
    path.mkdir()


def _a_link(path: Path) -> None:
    (path.parent / "target").write_bytes(b"")
    path.symlink_to(path.parent / "target")


def _a_pipe(path: Path) -> None:
    os.mkfifo(path)


def _something_else(path: Path) -> None:
    path.write_text("export PATH=/usr/bin\n", encoding="utf-8")


def _in_no_folder(path: Path) -> None:
    path.parent.rmdir()


@pytest.mark.parametrize("prepare", [_a_directory, _a_link, _a_pipe, _something_else, _in_no_folder])
def test_what_cannot_be_a_record_is_refused_and_left_alone(path: Path, prepare: Callable[[Path], None]) -> None:
    """A folder, a link, a pipe (it must not hang), somebody's file, a missing folder: named, with a next step, untouched."""
    prepare(path)
    before = path.read_bytes() if path.is_file() else b""
    with pytest.raises(InvalidInput, match="flight record") as caught:
        open_record(path, secret=None)
    assert str(path) in caught.value.message
    assert "OPENCODE_DRIVER_RECORD" in str(caught.value.next)
    assert (path.read_bytes() if path.is_file() else b"") == before


def test_a_file_of_another_user_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They could read it, whatever its mode."""
    RecordFile(path).close()
    monkeypatch.setattr(os, "getuid", lambda: path.stat().st_uid + 1)
    with pytest.raises(InvalidInput, match="another user"):
        RecordFile(path)


def test_a_record_is_gone_on_with(path: Path) -> None:
    """The next call appends; a half line of a killed process stays alone on its line."""
    first = FileRecorder(RecordFile(path))
    first.note("send")
    first.close()
    with path.open("ab") as file:
        file.write(b'{"t":1.0,"at":"20')
    second = FileRecorder(RecordFile(path))
    second.note("deleted")
    second.note("result")
    second.close()
    raw = path.read_bytes().splitlines()
    assert raw[1] == b'{"t":1.0,"at":"20'
    assert [json.loads(line)["kind"] for line in (raw[0], *raw[2:])] == ["send", "deleted", "result"]


def test_several_writers_never_mix_their_lines(path: Path) -> None:
    """One line is one write at the end of the file."""

    def write(name: str) -> None:
        recorder = FileRecorder(RecordFile(path))
        for _ in range(200):
            recorder.note("event", type=name * 100)
        recorder.close()

    writers = [threading.Thread(target=write, args=(name,)) for name in "abcd"]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    found = lines(path)
    assert len(found) == 800
    assert all(len(set(line["type"])) == 1 for line in found)


def test_a_full_record_says_so_and_stops(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It never grows beyond its bound, and the bound is 64 MiB."""
    assert FILE_BYTES == 64 * 1024 * 1024
    recorder = FileRecorder(RecordFile(path, limit_bytes=4096))
    for _ in range(1000):
        recorder.note("event", type="x" * 50)
    assert path.stat().st_size <= 4096
    found = lines(path)
    assert [line["kind"] for line in found].count("full") == 1
    assert found[-1]["kind"] == "full" and found[-1]["limit_bytes"] == 4096
    assert "is full" in caplog.text
    again = FileRecorder(RecordFile(path, limit_bytes=4096))
    again.note("event", type="x" * 50)
    assert path.stat().st_size <= 4096 + 256


def test_a_full_disk_ends_the_record_and_not_the_call(
    recorder: FileRecorder, path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is said once in the log; nothing is raised."""

    def full(_fd: int, _line: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", full)
        recorder.note("send")
    recorder.note("deleted")
    assert path.read_bytes() == b""
    assert caplog.text.count("No space left") == 1
