"""A flight record of real turns: what stands in it, what never does, and the story that ``explain`` tells of it."""

from __future__ import annotations

import json
import os
import re
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from netclaw_opencode.offline import Hang, Status, Text, ToolCall
from netclaw_opencode.settings import Settings
from netclaw_opencode.testing.server import OpenCodeServer
from netclaw_opencode.testing.waiting import SOON, wait_until
from tests.docs.pages import blocks_of
from tests.docs.pages import page as read_page
from tests.real.acting import Acting, Json, Requests, settings_of
from tests.support.pace import stretched

pytestmark = pytest.mark.real

PROMPT, ANSWER, CONTENT, COMMAND = "canary-prompt", "canary-answer", "canary-content", "echo canary-command"


@pytest.fixture
def record_file(tmp_path: Path) -> Path:
    """Where the flight record is."""
    return tmp_path / "flight.jsonl"


@pytest.fixture
def settings(opencode_server: OpenCodeServer, tmp_path: Path, place: Path, record_file: Path) -> Settings:
    """The way to the test server, recorded."""
    return settings_of(opencode_server, tmp_path, OPENCODE_DRIVER_DIRECTORY=str(place), OPENCODE_DRIVER_RECORD=str(record_file))


def lines(path: Path) -> list[Json]:
    """Every line of a record."""
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def told(acting: Acting, path: Path, action: str) -> Json:
    """The story of the one call of that action."""
    found = acting.data("explain", record=str(path))
    assert found["notes"] == [] and found["truncated"] is False
    (call,) = [call for call in found["calls"] if call["action"] == action]
    assert isinstance(call, dict)
    return call


def texts(call: Json) -> list[str]:
    """The lines of a story without their times, which must not run backwards."""
    times = [float(line.partition(" ")[0]) for line in call["story"]]
    assert times == sorted(times)
    return [line.partition("  ")[2] for line in call["story"]]


def in_order(texts: list[str], *beginnings: str) -> None:
    """These beginnings of lines are there, in this order."""
    left = iter(texts)
    for beginning in beginnings:
        assert any(text.startswith(beginning) for text in left), (beginning, texts)


def test_a_turn_is_recorded_and_told(acting: Acting, record_file: Path, opencode_server: OpenCodeServer) -> None:
    """Every request, event and decision; in the record no text, no key, no password (S7); in the story what happened."""
    write = ToolCall("write", {"filePath": "${directory}/made.txt", "content": CONTENT})
    run = ToolCall("bash", {"command": COMMAND, "description": "canary-description"})
    acting.raw.model.when(PROMPT, write, run, Text(ANSWER))
    result = acting.data("run_task", prompt=PROMPT, title="canary-title")
    content = record_file.read_text(encoding="ascii")
    assert ANSWER in result["text"]
    assert "canary" not in content
    assert opencode_server.password not in content
    assert str(acting.raw.model.provider_config()["provider"]).count("apiKey") and "apiKey" not in content
    found = lines(record_file)
    assert stat.S_IMODE(record_file.stat().st_mode) == 0o600
    assert {"call", "request", "event", "rule", "created", "send", "look", "deleted", "result"} <= {line["kind"] for line in found}
    assert all({"t", "at", "action", "call", "kind"} <= line.keys() for line in found)
    assert [line["attempt"] for line in found if line["kind"] == "send"] == [1]
    call = told(acting, record_file, "run_task")
    assert call["outcome"] == "done"
    in_order(
        texts(call),
        f"created session {result['session_id']}",
        "rules asked: send-once: allowed",
        f"sent message {result['message_id']} once",
        "the session is busy",
        "tool write: completed",
        "tool bash: completed",
        "the session went idle",
        f"session {result['session_id']} deleted, and seen gone",
        "done, after",
    )
    assert any("the message store says: completed (finish stop)" in text for text in texts(call))
    only = acting.data("explain", record=str(record_file), session_id=result["session_id"])
    assert [item["call"] for item in only["calls"]] == [call["call"]]


def test_every_request_of_a_call_is_in_its_record(acting: Acting, record_file: Path, requests_sent: Requests) -> None:
    """One line for each request that the server was sent, the stream aside, with route, status, size and time."""
    session_id = acting.create()
    acting.data("send_message", session_id=session_id, prompt="say it")
    requests = [line for line in lines(record_file) if line["kind"] == "request"]
    assert sorted(f"{line['method']} {line['path']}" for line in requests) == sorted(
        text for text in requests_sent.seen if text != "GET /global/event"
    )
    assert all(line["ms"] >= 0 and line["bytes"] >= 0 and 200 <= line["status"] < 300 for line in requests)
    assert [line["path"] for line in requests if line["route"] == "prompt_async"] == [f"/session/{session_id}/prompt_async"]


def test_a_turn_that_ran_out_of_time_is_told_with_its_stop(acting: Acting, record_file: Path) -> None:
    """The deadline, the abort, that it was seen idle, and the error with its rule."""
    acting.raw.model.when("never ends", Hang())
    session_id = acting.create()
    error = acting.error("send_message", session_id=session_id, prompt="never ends", deadline_seconds=stretched(1.5))
    assert error["code"] == "turn_timeout"
    call = told(acting, record_file, "send_message")
    assert call["outcome"] == "turn_timeout"
    in_order(
        texts(call),
        "sent message",
        "the deadline passed; the turn is stopped",
        "abort sent (it was busy)",
        "seen idle",
        "ended with the error turn_timeout (rule deadline)",
    )


def test_a_providers_words_are_not_in_the_record(acting: Acting, record_file: Path) -> None:
    """Provider errors come back verbatim, keys included (F45): that there was one is recorded, its text is not (S7)."""
    body = json.dumps({"error": {"message": "canary: your key sk-canary1234567890abcdef is not known"}})
    acting.raw.model.when("leak it", Status(401, body=body))
    error = acting.error("send_message", session_id=acting.create(), prompt="leak it")
    assert "canary" in json.dumps(error)
    assert "canary" not in record_file.read_text(encoding="ascii")
    call = told(acting, record_file, "send_message")
    in_order(texts(call), "the server reports APIError", "ended with the error provider_auth")


def test_a_refusal_is_told_with_its_rule(acting: Acting, record_file: Path) -> None:
    """Nothing was sent, and the record shows that no prompt went out."""
    session_id = acting.create()
    acting.raw.message(session_id, "used before").raise_for_status()
    assert acting.error("send_message", session_id=session_id, prompt="again")["code"] == "session_used"
    call = told(acting, record_file, "send_message")
    in_order(texts(call), "looked before the send: ready, 2 messages", "the rule fresh-session refuses: session_used", "ended with")
    assert "prompt_async" not in {line.get("route") for line in lines(record_file)}


_VARIES = re.compile(r"\b(?:ses|msg)_\w+|\d+(?:\.\d+)?")


def test_the_stories_of_the_page_are_what_is_told(acting: Acting, record_file: Path) -> None:
    """Each line of docs/record.md is told of such a turn, in that order; ids and numbers are those of its day."""
    acting.raw.model.when("slugify", ToolCall("write", {"filePath": "${directory}/slugify.py", "content": "x = 1\n"}), Text("I wrote it."))
    acting.raw.model.when("parser", Hang())
    acting.data("run_task", prompt="Write slugify.py.")
    acting.error("run_task", prompt="Move the parser.", deadline_seconds=stretched(1.5))
    page = [block.text for block in blocks_of(read_page("docs/record.md")) if block.kind == "text"]
    calls = acting.data("explain", record=str(record_file))["calls"]
    for block, call in zip(page, calls, strict=True):
        shown = [line.strip() for line in block.splitlines() if line.startswith("  ")]
        assert len(shown) >= 9
        in_order([_VARIES.sub("N", line) for line in call["story"]], *(_VARIES.sub("N", line) for line in shown))


def test_explaining_leaves_no_trace_in_the_record(acting: Acting, record_file: Path) -> None:
    """Also where the record that is read is the one that is written."""
    acting.data("list_sessions")
    before = record_file.read_bytes()
    acting.data("explain", record=str(record_file))
    assert record_file.read_bytes() == before


def environment_of(settings: Settings, *without: str) -> dict[str, str]:
    """The environment of a command line that uses the test server."""
    kept = {name: value for name, value in settings.environ.items() if name not in without}
    return {"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(sys.path), "OPENCODE_DRIVER_MAX_CHARS": "0", **kept}


def command(*words: str) -> list[str]:
    """The command line, as a program of its own."""
    return [sys.executable, "-m", "netclaw_opencode", *words]


def test_a_killed_process_leaves_a_record_that_can_be_told(acting: Acting, settings: Settings, tmp_path: Path) -> None:
    """--record sets it for one call; after a kill -9 the story ends where the process did, and needs no server."""
    acting.raw.model.when("cut off", Hang())
    path = tmp_path / "killed.jsonl"
    environment = environment_of(settings, "OPENCODE_DRIVER_RECORD")
    words = command("run", "run-task", "--prompt", "cut off", "--record", path.name)
    with subprocess.Popen(words, cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            wait_until(lambda: path.is_file() and b'"status":"busy"' in path.read_bytes(), SOON, what="a running turn in the record")
        finally:
            process.send_signal(signal.SIGKILL)
    session_id = next(line["session_id"] for line in lines(path) if line["kind"] == "created")
    acting.raw.abort(acting.remember(session_id))
    explained = subprocess.run(
        command("inspect", "explain", "--record", path.name),
        cwd=tmp_path,
        env=environment | {"OPENCODE_API_URL": "http://127.0.0.1:9"},
        capture_output=True,
        check=True,
    )
    (call,) = json.loads(explained.stdout)["data"]["calls"]
    assert (call["action"], call["outcome"]) == ("run_task", "unknown")
    in_order(texts(call), f"created session {session_id}", "sent message", "the session is busy", "the record of this call ends here")


def test_without_the_setting_there_is_no_file(acting: Acting, settings: Settings, tmp_path: Path) -> None:
    """Off by default."""
    environment = environment_of(settings, "OPENCODE_DRIVER_RECORD")
    before = {path.name for path in tmp_path.iterdir()}
    subprocess.run(command("inspect", "list-sessions"), cwd=tmp_path, env=environment, capture_output=True, check=True)
    assert {path.name for path in tmp_path.iterdir()} - before <= {"state"}
    assert not list((tmp_path / "state").glob("*.jsonl"))
