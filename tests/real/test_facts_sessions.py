"""Facts of sessions, pinned by number: what is stored, in which directory they live, abort, delete, fork."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest

from netclaw_opencode.offline import Gated, Hang, HangMidStream, OfflineModel, Text, ToolCall
from netclaw_opencode.testing.leaks import LeakCheck
from netclaw_opencode.testing.server import all_sessions
from netclaw_opencode.testing.waiting import SOON
from tests.support.event_log import EventLog
from tests.support.raw import RawOpenCode, field, listed

pytestmark = pytest.mark.real
UNKNOWN = "ses_00000000000000000000000000"


@pytest.fixture(scope="module")
def workdir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One directory for the module: a directory's first turn costs a second."""
    return tmp_path_factory.mktemp("facts-sessions")


@pytest.fixture
def elsewhere(wire: httpx.Client, scripted: OfflineModel, leak_check: LeakCheck, git_workdir: Path) -> Iterator[RawOpenCode]:
    """Raw calls in a git repository, which is a project of its own."""
    calls = RawOpenCode(wire, scripted, git_workdir)
    leak_check.watch(git_workdir)
    yield calls
    calls.tidy()


def hold(raw: RawOpenCode, name: str) -> str:
    """A session whose turn is held in the middle of its stream, at the gate ``name``."""
    gate = raw.model.gate(name)
    raw.model.when(name, Gated(gate, "first ", "second"))
    session_id = raw.create()
    assert raw.prompt_async(session_id, name).status_code == 204
    assert gate.wait_reached(SOON)
    return session_id


def hang(raw: RawOpenCode, name: str) -> str:
    """A session whose model call never gets a first byte."""
    raw.model.when(name, Hang())
    session_id = raw.create()
    assert raw.prompt_async(session_id, name).status_code == 204
    assert raw.model.wait_until(lambda model: model.calls_with(name), SOON)
    return session_id


def test_f11_metadata_is_stored_and_unknown_fields_are_dropped(raw: RawOpenCode) -> None:
    """F11: our own marks come back from get and list; a misspelt field is accepted without a word."""
    marks = {"mark": {"owner": "test", "n": 1}}
    rules = [{"permission": "bash", "pattern": "*", "action": "deny"}]
    session_id = raw.create(title="T", metadata=marks, permission=rules, model={"id": "thinker", "providerID": "offline"}, bogus=1)
    stored = raw.get(f"/session/{session_id}").json()
    assert (stored["title"], stored["metadata"], stored["permission"]) == ("T", marks, rules)
    assert (stored["model"]["id"], "bogus" in stored) == ("thinker", False)
    listed_here = {item["id"]: item.get("metadata") for item in raw.get("/session").json()}
    assert listed_here[session_id] == marks


def test_f11_a_patch_replaces_metadata_and_adds_to_permissions(raw: RawOpenCode) -> None:
    """F11: PATCH sets title and metadata as a whole, but appends permission rules."""
    deny = [{"permission": name, "pattern": "*", "action": "deny"} for name in ("bash", "edit")]
    session_id = raw.create(metadata={"a": 1}, permission=deny[:1])
    patched = raw.wire.patch(f"/session/{session_id}", json={"title": "new", "metadata": {"b": 2}, "permission": deny[1:]}).json()
    assert (patched["title"], patched["metadata"], patched["permission"]) == ("new", {"b": 2}, deny)


def test_f18_only_running_sessions_stand_in_the_status_map(raw: RawOpenCode) -> None:
    """F18: busy is listed; idle, unknown and deleted are all simply absent."""
    busy, idle = hold(raw, "F18"), raw.create()
    assert raw.statuses() == {busy: {"type": "busy"}}
    raw.delete(idle)
    assert raw.get(f"/session/{idle}").status_code == 404
    raw.model.gate("F18").open()
    raw.wait_idle(busy)
    assert raw.statuses() == {}


def test_f20_the_status_map_knows_one_directory_only(raw: RawOpenCode, elsewhere: RawOpenCode, events: EventLog) -> None:
    """F20: from another directory a running session is invisible; query and header name the directory; get needs none."""
    session_id = hold(elsewhere, "F20")
    for query in (raw.here, {}):
        assert raw.wire.get("/session/status", params=query).json() == {}
    for header in (elsewhere.directory, quote(elsewhere.directory, safe="")):
        assert session_id in raw.wire.get("/session/status", headers={"x-opencode-directory": header}).json()
    assert raw.wire.get(f"/session/{session_id}").status_code == 200
    assert raw.wire.get(f"/session/{session_id}/message").status_code == 200
    elsewhere.model.gate("F20").open()
    events.wait_idle(session_id)
    assert {event.directory for event in events.of_session(session_id)} == {elsewhere.directory}


def test_f20_an_abort_finds_a_stored_session_but_not_a_deleted_one(raw: RawOpenCode, elsewhere: RawOpenCode) -> None:
    """F20, F24: while a session is stored, an abort from any directory ends its turn; once it is deleted, only one from its own does."""
    stored, deleted = hang(elsewhere, "F20 stored"), hang(elsewhere, "F20 deleted")
    assert raw.abort(stored).json() is True
    elsewhere.wait_idle(stored)
    elsewhere.delete(deleted)
    for query in (raw.here, {}):
        assert raw.wire.post(f"/session/{deleted}/abort", params=query).json() is True
    assert elsewhere.statuses() == {deleted: {"type": "busy"}}
    assert elsewhere.model.open_connections == 1
    elsewhere.abort(deleted)
    elsewhere.wait_idle(deleted)


def test_f20_a_list_holds_one_project(raw: RawOpenCode, elsewhere: RawOpenCode) -> None:
    """F20: sessions of a git repository and those of plain directories do not stand in one list."""
    plain, in_git = raw.create(), elsewhere.create()
    here, there = ({item["id"] for item in calls.get("/session").json()} for calls in (raw, elsewhere))
    assert (plain in here, plain in there, in_git in here, in_git in there) == (True, False, False, True)
    assert {plain, in_git} <= {item["id"] for item in all_sessions(raw.wire)}


def test_f21_a_directory_that_does_not_exist_is_accepted(raw: RawOpenCode) -> None:
    """F21: the session is created as if nothing were wrong."""
    missing = str(Path(raw.directory) / "missing")
    answer = raw.wire.post("/session", params={"directory": missing}, json={})
    assert (answer.status_code, answer.json()["directory"]) == (200, missing)
    raw.remember(answer.json()["id"])


def test_f22_abort_answers_true_for_everything(raw: RawOpenCode) -> None:
    """F22: running, idle, deleted, never existed: the answer is true and proves nothing."""
    running, idle, deleted = hold(raw, "F22"), raw.create(), raw.create()
    raw.delete(deleted)
    answers = [raw.abort(session_id) for session_id in (idle, deleted, UNKNOWN, running)]
    assert [(answer.status_code, answer.json()) for answer in answers] == [(200, True)] * 4
    raw.wait_idle(running)


def test_f23_an_abort_ends_the_turn_with_its_name(raw: RawOpenCode, events: EventLog) -> None:
    """F23: idle afterwards; the last message has MessageAbortedError; the model's connection is closed.

    While it is streamed, the text stands in the events only; the message has it once the turn has ended.
    """
    raw.model.when("F23", HangMidStream("so far"))
    session_id = raw.create()
    raw.prompt_async(session_id, "F23")
    events.wait_for(lambda event: event.session_id == session_id and event.properties.get("delta") == "so far")
    assert texts(raw.messages(session_id)[-1]) == [""]
    raw.abort(session_id)
    raw.wait_idle(session_id)
    last = raw.messages(session_id)[-1]
    assert (texts(last), field(field(last, "info"), "error")["name"]) == (["so far"], "MessageAbortedError")
    assert raw.model.wait_until(lambda model: model.open_connections == 0, SOON)


def test_f23_an_abort_ends_the_tools_process(raw: RawOpenCode, leak_check: LeakCheck, events: EventLog) -> None:
    """F23: the command of a bash tool is gone, and its part reads completed although it was cut."""
    raw.model.when("F23 tool", ToolCall("bash", {"command": "echo begun; exec sleep 3600"}))
    session_id = raw.create()
    raw.prompt_async(session_id, "F23 tool")
    events.wait_for(lambda event: event.session_id == session_id and "begun\n" in str(event.part.get("state")).replace("\\n", "\n"))
    raw.abort(session_id)
    events.wait_idle(session_id)
    state = raw.tool_states(session_id)[0]
    assert (state["status"], "User aborted the command" in str(state["output"])) == ("completed", True)
    raw.tidy()
    leak_check.check()


def test_f24_a_deleted_session_runs_on(raw: RawOpenCode) -> None:
    """F24: delete says true and get says 404, but the turn goes on until it is aborted under its old id.

    Once the model speaks again, its words cannot be stored: mostly the turn then ends with a session.error, now and then
    the server takes that for a reason to retry. Neither is pinned here.
    """
    session_id = hang(raw, "F24")
    assert raw.delete(session_id).json() is True
    assert raw.get(f"/session/{session_id}").status_code == 404
    assert raw.statuses() == {session_id: {"type": "busy"}}
    assert raw.model.open_connections == 1
    raw.abort(session_id)
    raw.wait_idle(session_id)
    assert raw.model.wait_until(lambda model: model.open_connections == 0, SOON)


def test_f28_a_fork_copies_the_history_and_our_marks(raw: RawOpenCode) -> None:
    """F28: new ids, same content, no parent, the metadata copied; the fork's prompt sees the earlier turn and the original is untouched."""
    raw.model.when("F28 first", Text("first answer"))
    original = raw.create(title="T", metadata={"owner": "a"}, permission=[{"permission": "bash", "pattern": "*", "action": "ask"}])
    raw.message(original, "F28 first")
    answer = raw.post(f"/session/{original}/fork", {}).json()
    fork = raw.remember(answer["id"])
    assert (answer["title"], answer["metadata"], "parentID" in answer, "permission" in answer) == (
        "T (fork #1)",
        {"owner": "a"},
        False,
        False,
    )
    copies, sources = raw.messages(fork), raw.messages(original)
    assert [texts(item) for item in copies] == [texts(item) for item in sources]
    assert not {field(item, "info")["id"] for item in copies} & {field(item, "info")["id"] for item in sources}
    assert raw.get(f"/session/{original}/children").json() == []
    raw.message(fork, "F28 second")
    seen = raw.model.calls_with("F28 second")[-1]
    assert [str(message["content"]) for message in seen.messages[1:]] == ["F28 first", "first answer", "F28 second"]
    assert len(raw.messages(original)) == 2


def test_f28_a_fork_carries_the_old_tokens(raw: RawOpenCode) -> None:
    """F28: a fork's session counts the copied history, so a turn's usage must be summed from its own messages."""
    original = raw.create()
    raw.message(original, "F28 tokens")
    fork = raw.remember(raw.post(f"/session/{original}/fork", {}).json()["id"])
    assert raw.get(f"/session/{fork}").json()["tokens"] == raw.get(f"/session/{original}").json()["tokens"]


def test_f28_a_parent_copies_nothing(raw: RawOpenCode) -> None:
    """F28, F52: parentID makes a child without history; a parent that does not exist is accepted."""
    parent = raw.create()
    raw.message(parent, "F28 parent")
    child, orphan = raw.create(parentID=parent), raw.create(parentID=UNKNOWN)
    assert raw.messages(child) == []
    assert [item["id"] for item in raw.get(f"/session/{parent}/children").json()] == [child]
    assert raw.get(f"/session/{orphan}").json()["parentID"] == UNKNOWN


def test_f52_the_second_delete_is_404(raw: RawOpenCode) -> None:
    """F52: a repeated delete tells that nothing was there."""
    session_id = raw.create()
    assert [raw.delete(session_id).status_code for _ in range(2)] == [200, 404]


def texts(message: object) -> list[object]:
    """The texts of a message's text parts."""
    assert isinstance(message, dict)
    return [part["text"] for part in listed(message, "parts") if part["type"] == "text"]


def test_every_prompt_renews_the_session(raw: RawOpenCode) -> None:
    """The driver rests on it: a session with its time of creation as its time of update was never sent a prompt."""
    session_id = raw.create()
    untouched = raw.get(f"/session/{session_id}").json()["time"]
    assert untouched["updated"] == untouched["created"]
    raw.message(session_id, "renew it").raise_for_status()
    touched = raw.get(f"/session/{session_id}").json()["time"]
    assert touched["updated"] > touched["created"] == untouched["created"]
