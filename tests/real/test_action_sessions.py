"""``create_session``, ``list_sessions``, ``get_session_status``: what a session of ours is, and what is true of it."""

from __future__ import annotations

import re
from pathlib import Path

import httpx
import pytest

from netclaw_opencode.offline import Gated, OfflineModel, Status, Text, ToolCall
from netclaw_opencode.testing.leaks import LeakCheck
from netclaw_opencode.testing.waiting import SOON, wait_until
from tests.real.acting import UNKNOWN, Acting, Json, Requests
from tests.support.raw import RawOpenCode

pytestmark = pytest.mark.real


@pytest.fixture
def elsewhere(acting: Acting, wire: httpx.Client, scripted: OfflineModel, leak_check: LeakCheck, git_workdir: Path) -> RawOpenCode:
    """Raw calls in a git repository: another directory, and a project of its own."""
    leak_check.watch(git_workdir)
    return RawOpenCode(wire, scripted, git_workdir)


def titles(acting: Acting, **arguments: object) -> list[str]:
    """The titles that a listing shows, newest first."""
    found = acting.data("list_sessions", **arguments)
    assert found["count"] == len(found["sessions"])
    return [session["title"] for session in found["sessions"]]


def test_a_session_is_made_as_asked_and_marked_as_ours(acting: Acting) -> None:
    """F11, F12: title, agent, model and directory stand on the server, and our mark beside them."""
    arguments: Json = {"title": "Write a test", "agent": "plan", "model": "offline/thinker", "directory": acting.directory}
    made = acting.data("create_session", **arguments)["session"]
    session_id = acting.remember(made["session_id"])
    assert re.fullmatch(r"ses_[0-9A-Za-z]{10,64}", session_id)
    assert (made["title"], made["agent"], made["directory"]) == ("Write a test", "plan", acting.directory)
    assert (made["model"], made["ours"], made["task"]) == ({"providerID": "offline", "modelID": "thinker"}, True, "create_session")
    stored = acting.raw.get(f"/session/{session_id}").json()
    assert (stored["title"], stored["agent"], stored["model"]["id"]) == ("Write a test", "plan", "thinker")
    assert [event.session_id for event in acting.policy.told("session_created")] == [session_id]


def test_the_model_of_a_session_is_the_model_of_its_message(acting: Acting) -> None:
    """A model chosen at creation is used by a send that names none."""
    result = acting.data("send_message", session_id=acting.create(model="offline/thinker"), prompt="who are you")
    assert (result["model"]["modelID"], acting.raw.model.calls_with("who are you")[0].model) == ("thinker", "thinker")


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ({"agent": "nobody"}, "agent_not_found", "nobody"),
        ({"model": "offline/nothing"}, "model_not_found", "offline/nothing"),
        ({"model": "nowhere/scripted"}, "model_not_found", "offline/scripted"),
        ({"directory": "relative/path"}, "invalid_input", "absolute"),
        ({"directory": "/nonexistent/for/sure"}, "invalid_input", "does not exist"),
        ({"directory": "/dev/null"}, "invalid_input", "not a folder"),
        ({"title": ""}, "invalid_input", "title"),
        ({"title": "x" * 201}, "invalid_input", "title"),
        ({"titel": "x"}, "invalid_input", "title"),
        ({"parent_id": UNKNOWN}, "session_not_found", UNKNOWN),
        ({"parent_id": "../config"}, "invalid_input", "parent_id"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_what_cannot_be_meant_is_refused(acting: Acting, requests_sent: Requests, arguments: Json, code: str, words: str) -> None:
    """F21, F52: the server would take most of these; here each is named, and no session is made."""
    error = acting.error("create_session", **({"directory": acting.directory} | arguments))
    assert (error["code"], words in error["message"]) == (code, True)
    assert requests_sent.matching("POST .*") == []


def test_a_fork_knows_the_history_and_leaves_the_original_alone(acting: Acting) -> None:
    """F28; rule fresh-session: continuing is a new session with a copy of the history; the earlier one is not touched."""
    parent = acting.create(title="Plan it")
    acting.data("send_message", session_id=parent, prompt="the first thing")
    before = acting.raw.messages(parent)
    made = acting.data("create_session", parent_id=parent, title="Go on")
    fork = acting.remember(made["session"]["session_id"])
    assert (made["forked_from"], made["session"]["title"], fork != parent) == (parent, "Go on", True)
    result = acting.data("send_message", session_id=fork, prompt="the second thing")
    call = acting.raw.model.calls_with("the second thing")[0]
    assert "the first thing" in str(call.conversation.earlier_prompts)
    assert (result["text"], result["usage"]["model_calls"]) == ("the second thing", 1), "the copied history is not counted again"
    assert acting.raw.messages(parent) == before
    assert acting.error("send_message", session_id=fork, prompt="the third thing")["code"] == "session_used"


def test_a_fork_of_a_fork_is_fresh_again(acting: Acting) -> None:
    """F28: the marks of the first fork are copied by the server too; the second fork counts its own history."""
    first = acting.create()
    acting.data("send_message", session_id=first, prompt="one")
    second = acting.create(parent_id=first)
    acting.data("send_message", session_id=second, prompt="two")
    third = acting.create(parent_id=second)
    acting.data("send_message", session_id=third, prompt="three")
    assert [prompt.strip() for prompt in acting.raw.model.calls_with("three")[0].conversation.earlier_prompts] == ["one", "two"]


def test_sessions_are_listed_by_directory(acting: Acting, elsewhere: RawOpenCode) -> None:
    """F20: a directory shows its own sessions only, all directories every one; the newest comes first."""
    acting.create(title="here 1")
    acting.create(title="here 2")
    acting.create(title="there", directory=elsewhere.directory)
    assert titles(acting, directory=acting.directory) == ["here 2", "here 1"]
    assert titles(acting) == ["here 2", "here 1"], "the default directory of the settings"
    assert titles(acting, directory=elsewhere.directory) == ["there"]
    assert titles(acting, all_directories=True) == ["there", "here 2", "here 1"]


def test_a_listing_says_that_there_is_more(acting: Acting) -> None:
    """``limit`` cuts, and ``truncated`` tells it; the server's own limit is not taken for the end (F52)."""
    for number in range(3):
        acting.create(title=f"number {number}")
    cut = acting.data("list_sessions", limit=2)
    assert ([item["title"] for item in cut["sessions"]], cut["truncated"]) == (["number 2", "number 1"], True)
    assert acting.data("list_sessions", limit=3)["truncated"] is False


def test_ours_are_told_from_others(acting: Acting) -> None:
    """``ours_only`` leaves out what somebody else made, however much newer that is."""
    acting.create(title="ours")
    for number in range(2):
        acting.remember(acting.raw.create(title=f"theirs {number}"))
    assert titles(acting) == ["theirs 1", "theirs 0", "ours"]
    assert [item["ours"] for item in acting.data("list_sessions")["sessions"]] == [False, False, True]
    assert titles(acting, ours_only=True, limit=1) == ["ours"]
    assert acting.data("list_sessions", ours_only=True, limit=1)["truncated"] is False


def test_the_status_of_one_session_says_how_its_last_turn_went(acting: Acting) -> None:
    """F18: idle is absent on the server; here it is ready, and the last turn says whether that was a success."""
    acting.raw.model.when("refused", Status(401))
    fresh, good, bad = (acting.create() for _ in range(3))
    acting.data("send_message", session_id=good, prompt="hello")
    acting.error("send_message", session_id=bad, prompt="refused")
    states = [acting.data("get_session_status", session_id=item)["sessions"][0] for item in (fresh, good, bad)]
    assert [(state["state"], state["last_turn"]["state"]) for state in states] == [
        ("ready", "none"),
        ("ready", "completed"),
        ("ready", "failed"),
    ]
    assert states[2]["last_turn"]["code"] == "provider_auth"
    assert acting.error("get_session_status", session_id=UNKNOWN)["code"] == "session_not_found"


def test_the_states_of_all_sessions_are_told_apart(acting: Acting) -> None:
    """F17, F18, F29: ready, busy, retry (with attempt and next) and waiting (with the request), side by side."""
    model = acting.raw.model
    model.when("is busy", Gated(model.gate("is busy"), "a", "b"))
    model.when("is retrying", Status(429, retry_after_seconds=3600))
    question = {"question": "Which?", "header": "W", "options": [{"label": "A", "description": "a"}]}
    model.when("is waiting", ToolCall("question", {"questions": [question]}), Text("never"))
    ready = acting.create()
    busy, retry, waiting = (acting.started(prompt) for prompt in ("is busy", "is retrying", "is waiting"))
    assert model.gate("is busy").wait_reached(SOON)
    wait_until(lambda: acting.raw.statuses().get(retry, {}).get("type") == "retry", what="the retry")
    wait_until(lambda: acting.raw.pending("question"), what="the question")
    found = {item["session_id"]: item for item in acting.data("get_session_status")["sessions"]}
    assert {item: found[item]["state"] for item in (ready, busy, retry, waiting)} == {
        ready: "ready",
        busy: "busy",
        retry: "retry",
        waiting: "waiting",
    }
    assert (found[retry]["attempt"], "scripted 429" in found[retry]["retry_message"]) == (1, True)
    assert 3000 < found[retry]["next_attempt_in_seconds"] <= 3600
    assert [item["kind"] for item in found[waiting]["pending"]] == ["question"]
    assert found[busy]["pending"] == []
    for item in (busy, retry, waiting):
        assert acting.data("abort_session", session_id=item)["confirmed"] is True


def test_the_status_of_a_session_elsewhere_is_true(acting: Acting, elsewhere: RawOpenCode) -> None:
    """F18, F20: without its directory the server would show a running session as idle; ours are asked for where they are."""
    gate = acting.raw.model.gate("far away")
    acting.raw.model.when("far away", Gated(gate, "a", "b"))
    session_id = acting.create(directory=elsewhere.directory)
    acting.data("send_message_async", session_id=session_id, prompt="far away")
    assert gate.wait_reached(SOON)
    assert acting.data("get_session_status", session_id=session_id)["sessions"][0]["state"] == "busy"
    everywhere = acting.data("get_session_status", all_directories=True)["sessions"]
    assert {item["session_id"]: item["state"] for item in everywhere}[session_id] == "busy"
    stopped = acting.data("delete_session", session_id=session_id)["stopped"]
    assert (stopped["was"], elsewhere.statuses()) == ("busy", {})


def test_a_link_to_a_directory_is_followed(acting: Acting, tmp_path: Path, elsewhere: RawOpenCode) -> None:
    """The server resolves links; so do we, and a session is found again under both names."""
    link = tmp_path / "link"
    link.symlink_to(elsewhere.directory, target_is_directory=True)
    acting.create(title="by link", directory=str(link))
    assert titles(acting, directory=str(link)) == titles(acting, directory=elsewhere.directory) == ["by link"]


def test_the_server_s_copy_of_a_message_is_ours_to_the_letter(acting: Acting) -> None:
    """A prompt with control characters, other scripts and line ends reaches the server unchanged (F51)."""
    prompt = "tab\tnew\nline\r\nümlaut 漢字 \u202eabc\u202c end"
    session_id = acting.create()
    acting.data("send_message", session_id=session_id, prompt=prompt)
    assert acting.raw.messages(session_id)[0]["parts"][0]["text"] == prompt  # type: ignore[index]


def test_a_fork_elsewhere_is_refused_and_leaves_nothing(acting: Acting, tmp_path: Path) -> None:
    """F28: a fork works where its parent did; another directory is refused before anything is created."""
    parent_id = acting.create()
    error = acting.error("create_session", parent_id=parent_id, directory=str(tmp_path))
    assert error["code"] == "invalid_input"
    assert acting.directory in error["message"]
    assert [item["session_id"] for item in acting.data("list_sessions")["sessions"]] == [parent_id]
