"""Facts of what an agent asks for, pinned by number: permissions, questions, structured output, sub-agents."""

from __future__ import annotations

from pathlib import Path

import pytest

from netclaw_opencode.offline import Gated, Hang, Text, ToolCall
from netclaw_opencode.testing.waiting import SOON, wait_until
from tests.support.event_log import EventLog
from tests.support.raw import Json, RawOpenCode, field

pytestmark = pytest.mark.real
ASK = [{"permission": "bash", "pattern": "*", "action": "ask"}, {"permission": "edit", "pattern": "*", "action": "ask"}]
COMMAND = ToolCall("bash", {"command": "echo hi", "description": "say hi"})
QUESTION = ToolCall(
    "question",
    {
        "questions": [
            {"question": "Which?", "header": "W", "options": [{"label": "A", "description": "a"}, {"label": "B", "description": "b"}]}
        ]
    },
)
SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
FORMAT = {"type": "json_schema", "schema": SCHEMA}


@pytest.fixture(scope="module")
def workdir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One directory for the module: a directory's first turn costs a second."""
    return tmp_path_factory.mktemp("facts-requests")


def asked(raw: RawOpenCode, kind: str, first: ToolCall) -> tuple[str, Json]:
    """A session whose turn waits for a permission or an answer, and the request."""
    raw.model.when("asks", first, Text("went on"))
    session_id = raw.create(permission=ASK)
    raw.prompt_async(session_id, "asks")
    return session_id, wait_until(lambda: raw.pending(kind), what=f"the {kind}")[0]


def test_f29_a_permission_blocks_the_turn_until_it_is_answered(raw: RawOpenCode) -> None:
    """F29: status busy; the request names tool, pattern and session; "once" lets the turn go on; a second answer is 404."""
    session_id, request = asked(raw, "permission", COMMAND)
    assert raw.statuses() == {session_id: {"type": "busy"}}
    assert (request["sessionID"], request["permission"], request["patterns"]) == (session_id, "bash", ["echo hi"])
    assert raw.wire.get("/permission").json() == [], "F20: another directory does not show it"
    assert raw.wire.post(f"/permission/{request['id']}/reply", json={"reply": "once"}).status_code == 404
    assert raw.post(f"/permission/{request['id']}/reply", {"reply": "once"}).json() is True
    raw.wait_idle(session_id)
    assert [answer["finish"] for answer in raw.answers(session_id)] == ["tool-calls", "stop"]
    assert raw.post(f"/permission/{request['id']}/reply", {"reply": "once"}).status_code == 404
    assert raw.pending("permission") == []


def test_f29_a_refusal_without_a_message_ends_the_turn(raw: RawOpenCode, events: EventLog) -> None:
    """F29: no further model call, no error anywhere: the last message ends with tool-calls and an errored tool."""
    session_id, request = asked(raw, "permission", COMMAND)
    raw.post(f"/permission/{request['id']}/reply", {"reply": "reject"})
    events.wait_idle(session_id)
    assert [(answer["finish"], "error" in answer) for answer in raw.answers(session_id)] == [("tool-calls", False)]
    state = raw.tool_states(session_id)[0]
    assert (state["status"], "rejected" in str(state["error"])) == ("error", True)
    assert len(raw.model.calls_with("asks")) == 1
    assert events.of_session(session_id, "session.error") == []


def test_f29_a_refusal_with_a_message_lets_the_model_go_on(raw: RawOpenCode) -> None:
    """F29: the model reads the message and finishes the turn."""
    session_id, request = asked(raw, "permission", COMMAND)
    raw.post(f"/permission/{request['id']}/reply", {"reply": "reject", "message": "no shell here"})
    raw.wait_idle(session_id)
    assert raw.answers(session_id)[-1]["finish"] == "stop"
    assert "no shell here" in raw.model.calls_with("asks")[-1].conversation.tool_results[0]


def test_f29_the_request_to_write_carries_the_diff(raw: RawOpenCode) -> None:
    """F29: a write asks for ``edit`` and shows what it would change."""
    session_id, request = asked(raw, "permission", ToolCall("write", {"filePath": "${directory}/new.txt", "content": "new\n"}))
    metadata = field(request, "metadata")
    assert (request["permission"], metadata["filepath"]) == ("edit", f"{raw.directory}/new.txt")
    assert "+new" in str(metadata["diff"])
    raw.post(f"/permission/{request['id']}/reply", {"reply": "reject"})
    raw.wait_idle(session_id)
    assert not Path(raw.directory, "new.txt").exists()


def test_f29_questions_are_answered_by_labels_or_dismissed(raw: RawOpenCode) -> None:
    """F29: an answer lets the turn go on; a rejection ends it like a refused permission."""
    session_id, request = asked(raw, "question", QUESTION)
    assert raw.post(f"/question/{request['id']}/reply", {"answers": [["B"]]}).json() is True
    raw.wait_idle(session_id)
    assert field(raw.tool_states(session_id)[0], "metadata")["answers"] == [["B"]]
    dismissed, request = asked(raw, "question", QUESTION)
    assert raw.post(f"/question/{request['id']}/reject").json() is True
    raw.wait_idle(dismissed)
    assert [answer["finish"] for answer in raw.answers(dismissed)] == ["tool-calls"]
    assert "dismissed" in str(raw.tool_states(dismissed)[0]["error"])


@pytest.mark.parametrize(("kind", "first"), [("permission", COMMAND), ("question", QUESTION)], ids=["permission", "question"])
def test_f42_a_request_outlives_the_abort_of_its_turn(raw: RawOpenCode, kind: str, first: ToolCall) -> None:
    """F42: still listed after the abort; rejecting it then clears the list and starts nothing."""
    session_id, request = asked(raw, kind, first)
    raw.abort(session_id)
    raw.wait_idle(session_id)
    assert [item["id"] for item in raw.pending(kind)] == [request["id"]]
    path = f"/permission/{request['id']}/reply" if kind == "permission" else f"/question/{request['id']}/reject"
    assert raw.post(path, {"reply": "reject"} if kind == "permission" else None).json() is True
    assert raw.pending(kind) == []
    assert raw.statuses() == {}
    assert len(raw.model.calls_with("asks")) == 1


def test_f29_some_requests_break_the_list_of_their_directory(raw: RawOpenCode, events: EventLog) -> None:
    """F29: glob without a path: 400 for the list of the whole directory, even after abort and delete, until it is answered by id.

    The id comes by the event only.
    """
    raw.model.when("F29 glob", ToolCall("glob", {"pattern": "*"}), Text("went on"))
    session_id = raw.create(permission=[{"permission": "glob", "pattern": "*", "action": "ask"}])
    raw.prompt_async(session_id, "F29 glob")
    request = events.wait_for(lambda event: event.type == "permission.asked" and event.session_id == session_id).properties
    assert raw.get("/permission").status_code == 400
    raw.abort(session_id)
    raw.wait_idle(session_id)
    raw.delete(session_id)
    assert raw.get("/permission").status_code == 400
    assert raw.post(f"/permission/{request['id']}/reply", {"reply": "reject"}).json() is True
    assert raw.pending("permission") == []


def test_f29_a_refusal_refuses_every_request_of_the_session(raw: RawOpenCode) -> None:
    """F29: two tools that ask at once: refusing one refuses both, and the turn ends."""
    raw.model.when("F29 two", (COMMAND, ToolCall("bash", {"command": "echo two"})), Text("went on"))
    session_id = raw.create(permission=ASK)
    raw.prompt_async(session_id, "F29 two")
    wait_until(lambda: len(raw.pending("permission")) == 2, what="both requests")
    raw.post(f"/permission/{raw.pending('permission')[0]['id']}/reply", {"reply": "reject"})
    raw.wait_idle(session_id)
    assert (raw.pending("permission"), [state["status"] for state in raw.tool_states(session_id)]) == ([], ["error", "error"])
    assert len(raw.model.calls_with("F29 two")) == 1


def test_f29_a_denied_tool_is_not_offered(raw: RawOpenCode) -> None:
    """F29: a session rule that denies a tool takes it from the model's list; a call of it does no harm and asks nobody."""
    raw.model.when("denied", COMMAND, Text("went on"))
    session_id = raw.create(permission=[{"permission": "bash", "pattern": "*", "action": "deny"}])
    raw.message(session_id, "denied")
    assert "bash" not in raw.model.calls_with("denied")[0].conversation.tool_names
    assert "unavailable tool" in str(raw.tool_states(session_id)[0]["output"])


def test_f30_structured_output_comes_through_a_tool(raw: RawOpenCode) -> None:
    """F30: the model must call StructuredOutput; the turn ends with it, finish tool-calls, and the value stands in the message."""
    raw.model.when("F30", ToolCall("StructuredOutput", {"n": 3}))
    info = raw.message(raw.create(), "F30", format=FORMAT).json()["info"]
    assert (info["structured"], info["finish"], "error" in info) == ({"n": 3}, "tool-calls", False)
    call = raw.model.calls_with("F30")[0]
    assert ("StructuredOutput" in call.conversation.tool_names, call.body["tool_choice"]) == (True, "required")


def test_f30_the_server_does_not_check_the_value(raw: RawOpenCode) -> None:
    """F30: a value that breaks the schema is passed on as valid."""
    raw.model.when("F30 wrong", ToolCall("StructuredOutput", {"n": "three"}))
    assert raw.message(raw.create(), "F30 wrong", format=FORMAT).json()["info"]["structured"] == {"n": "three"}


def test_f30_a_model_that_does_not_comply_is_an_error(raw: RawOpenCode) -> None:
    """F30: text in place of the tool call gives StructuredOutputError."""
    raw.model.when("F30 text", Text("no"))
    info = raw.message(raw.create(), "F30 text", format=FORMAT).json()["info"]
    assert (info["error"]["name"], "structured" in info) == ("StructuredOutputError", False)


def test_f30_the_history_with_a_structured_prompt_cannot_be_listed(raw: RawOpenCode) -> None:
    """F30: 400 for the list and for the prompt, 500 for a fork; the answers can be read one by one, newest first."""
    raw.model.when("F30 list", COMMAND, ToolCall("StructuredOutput", {"n": 3}))
    session_id = raw.create()
    answer = raw.message(session_id, "F30 list", format=FORMAT).json()["info"]
    path = f"/session/{session_id}/message"
    assert raw.get(path).status_code == 400
    assert raw.get(f"{path}/{answer['parentID']}").status_code == 400
    assert raw.get(f"{path}/{answer['id']}").status_code == 200
    assert raw.post(f"/session/{session_id}/fork", {}).status_code == 500
    strays = [item["id"] for item in raw.get("/session").json() if "fork" in item["title"]]
    assert [raw.messages(raw.remember(stray)) for stray in strays] == [[]], "the failed fork leaves an empty session"
    newest = raw.get(path, limit=1)
    before = raw.get(path, limit=1, before=newest.headers["x-next-cursor"])
    assert [page.json()[0]["info"]["finish"] for page in (newest, before)] == ["tool-calls", "tool-calls"]
    assert newest.json()[0]["info"]["id"] == answer["id"]
    assert raw.get(path, limit=1, before=before.headers["x-next-cursor"]).status_code == 400


def test_f36_a_sub_agent_works_in_a_child_session(raw: RawOpenCode, events: EventLog) -> None:
    """F36: a child of the parent, busy beside it, named in the tool part; its tokens are not in the parent's."""
    gate = raw.model.gate("F36")
    raw.model.when("F36 parent", task("F36 child"), Text("parent done"))
    raw.model.when("F36 child", Gated(gate, "child ", "answer"))
    session_id = raw.create()
    raw.prompt_async(session_id, "F36 parent")
    assert gate.wait_reached(SOON)
    child = raw.get(f"/session/{session_id}/children").json()[0]["id"]
    assert {key: value["type"] for key, value in raw.statuses().items()} == {session_id: "busy", child: "busy"}
    gate.open()
    events.wait_idle(session_id)
    state = raw.tool_states(session_id)[0]
    assert field(state, "metadata")["sessionId"] == child
    assert "child answer" in str(state["output"])
    own = sum(int(str(field(answer, "tokens")["input"])) for answer in raw.answers(session_id))
    assert raw.get(f"/session/{session_id}").json()["tokens"]["input"] == own
    assert raw.get(f"/session/{child}").json()["tokens"]["input"] > 0


def test_f36_an_abort_of_the_parent_ends_the_child(raw: RawOpenCode) -> None:
    """F36: both are idle with MessageAbortedError, the child's model call is closed; a delete of the parent takes the child along."""
    raw.model.when("F36 parent", task("F36 child"), Text("parent done"))
    raw.model.when("F36 child", Hang())
    session_id = raw.create()
    raw.prompt_async(session_id, "F36 parent")
    assert raw.model.wait_until(lambda model: model.calls_with("F36 child"), SOON)
    child = raw.get(f"/session/{session_id}/children").json()[0]["id"]
    raw.abort(session_id)
    wait_until(lambda: raw.statuses() == {}, what="both idle")
    assert [field(raw.answers(item)[-1], "error")["name"] for item in (session_id, child)] == ["MessageAbortedError"] * 2
    assert raw.model.wait_until(lambda model: model.open_connections == 0, SOON)
    raw.delete(session_id)
    assert raw.get(f"/session/{child}").status_code == 404


def task(prompt: str) -> ToolCall:
    """A call of the tool that starts a sub-agent."""
    return ToolCall("task", {"description": "sub work", "prompt": prompt, "subagent_type": "general"})
