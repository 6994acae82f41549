"""Permissions and questions: decided by a hook during a blocking send, by ``reply_*`` in a background turn, else refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from netclaw_opencode.facts import Decision, PendingRequest
from netclaw_opencode.offline import Text, ToolCall
from netclaw_opencode.testing.waiting import SOON, wait_until
from tests.real.acting import Acting, Json
from tests.support.raw import Json as Wire

pytestmark = pytest.mark.real
OPTIONS = [{"label": "Blue", "description": "like the sky"}, {"label": "Red", "description": "like a rose"}]
QUESTION = ToolCall("question", {"questions": [{"question": "Which colour?", "header": "Colour", "options": OPTIONS}]})
UNKNOWN_REQUEST = {"permission_id": "per_00000000000000000000000000", "question_id": "que_00000000000000000000000000"}


@pytest.fixture
def outside(tmp_path: Path, acting: Acting) -> Path:
    """A folder that is not the agent's, with a file that the model wants to read when asked for "the notes"."""
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "notes.txt").write_text("bread needs time\n", encoding="utf-8")
    acting.raw.model.when("the notes", ToolCall("read", {"filePath": str(folder / "notes.txt")}), Text("I have read."))
    return folder


def pending(acting: Acting, kind: str) -> Wire:
    """The request of that kind, waited for."""
    return wait_until(lambda: acting.raw.pending(kind), what=f"the {kind}")[0]


def turn_of(acting: Acting, session_id: str) -> Json:
    """The result of a background turn that goes on to its end."""
    result: Json = acting.data("wait_for_session", session_id=session_id, wait_seconds=SOON)["result"]
    return result


def test_what_no_policy_grants_is_refused_and_named(acting: Acting, outside: Path) -> None:
    """F29, F42; rule nobody-waits: with on_request stop permission_required at once, with what was asked; nothing stays pending."""
    error = acting.error("send_message", session_id=acting.create(), prompt="read the notes", on_request="stop")
    assert (error["code"], error["rule"], "external_directory" in error["message"]) == ("permission_required", "nobody-waits", True)
    asked = error["details"]["pending"][0]
    assert (asked["kind"], asked["permission"], str(outside) in asked["patterns"][0]) == ("permission", "external_directory", True)
    assert asked["tool"] == "read"
    assert error["details"]["stopped"]["confirmed"] is True
    assert (acting.raw.pending("permission"), acting.raw.statuses()) == ([], {})
    assert len(acting.raw.model.calls_with("the notes")) == 1, "the agent was not let in, and not asked again"
    assert [request.permission for request in acting.policy.asked] == ["external_directory"]


def test_what_a_policy_grants_goes_on(acting: Acting, outside: Path) -> None:
    """A hook that answers "once" lets the same turn go on to its end; progress tells the decision."""
    acting.policy.decide = lambda request: Decision("once") if request.kind == "permission" else None
    result = acting.data("send_message", session_id=acting.create(), prompt="read the notes")
    assert (result["text"], [tool["status"] for tool in result["tools"]]) == ("I have read.", ["completed"])
    assert "bread needs time" in str(acting.raw.model.calls_with("the notes")[-1].messages)
    assert {event.facts["permission"] for event in acting.policy.told("permission")} == {"external_directory"}
    assert [(item.kind, item.directory) for item in acting.policy.asked] == [("permission", acting.directory)]


def test_a_refusal_with_a_reason_lets_the_agent_go_on_without(acting: Acting, outside: Path) -> None:
    """F29: the model reads the reason and finishes the turn; it never sees the file."""
    acting.policy.decide = lambda _request: Decision("reject", message="not in there")
    result = acting.data("send_message", session_id=acting.create(), prompt="read the notes")
    assert (result["text"], [tool["status"] for tool in result["tools"]]) == ("I have read.", ["error"])
    told = str([call.messages for call in acting.raw.model.calls_with("the notes")])
    assert ("not in there" in told, "bread needs time" in told) == (True, False)


def test_a_bare_refusal_is_no_success(acting: Acting, outside: Path) -> None:
    """F29: a refusal without a reason ends the turn without a word or an error; here that is permission_required."""
    acting.policy.decide = lambda _request: Decision("reject")
    error = acting.error("send_message", session_id=acting.create(), prompt="read the notes")
    assert (error["code"], error["details"]["pending"][0]["permission"]) == ("permission_required", "external_directory")


def test_a_question_that_nobody_answers_is_told(acting: Acting) -> None:
    """F29; rule nobody-waits: with on_request stop question_pending with question and options, the turn stopped, the question gone."""
    acting.raw.model.when("paint it", QUESTION, Text("never"))
    error = acting.error("send_message", session_id=acting.create(), prompt="paint it", on_request="stop")
    assert (error["code"], error["rule"], "Which colour?" in error["message"]) == ("question_pending", "nobody-waits", True)
    assert error["details"]["pending"][0]["questions"][0]["options"] == ["Blue", "Red"]
    assert (acting.raw.pending("question"), acting.raw.statuses()) == ([], {})


def test_a_question_that_a_policy_answers_goes_on(acting: Acting) -> None:
    """A hook that names labels answers the question, and the model is told."""
    acting.raw.model.when("paint it", QUESTION, Text("painted"))
    acting.policy.decide = lambda request: Decision("answers", answers=(("Blue",),)) if request.kind == "question" else None
    assert acting.data("send_message", session_id=acting.create(), prompt="paint it")["text"] == "painted"
    assert "Blue" in acting.raw.model.calls_with("paint it")[-1].conversation.tool_results[0]


def test_a_policy_that_breaks_refuses(acting: Acting, outside: Path) -> None:
    """Rule nobody-waits: a hook that raises decides nothing, so the request is refused; the host notes the defect."""

    def broken(_request: PendingRequest) -> Decision | None:
        raise ZeroDivisionError("defect")

    acting.policy.decide = broken
    assert acting.error("send_message", session_id=acting.create(), prompt="read the notes")["code"] == "permission_required"
    assert [problem.code for problem in acting.host.problems] == ["hook_failed"]


@pytest.mark.parametrize("answer", ["once", "always"])
def test_a_permission_of_a_background_turn_is_granted(acting: Acting, outside: Path, answer: str) -> None:
    """``reply_permission`` answers in the session's own directory (F20), sees the request gone, and the turn goes on."""
    session_id = acting.started("read the notes")
    request = pending(acting, "permission")
    replied = acting.data("reply_permission", session_id=session_id, permission_id=request["id"], answer=answer)
    assert replied == {"permission_id": request["id"], "session_id": session_id, "answered": answer, "confirmed": True}
    assert turn_of(acting, session_id)["text"] == "I have read."
    again = acting.error("reply_permission", session_id=session_id, permission_id=request["id"], answer=answer)
    assert again["code"] == "request_not_found"


def test_a_permission_of_a_background_turn_is_refused(acting: Acting, outside: Path) -> None:
    """With a message the agent goes on and is told; without one the turn ends, which is no success."""
    told = acting.started("read the notes")
    request = pending(acting, "permission")
    waits = acting.data("wait_for_session", session_id=told)
    ids = f"--session-id {told} --permission-id {request['id']}"
    assert (waits["state"], waits["next"]) == ("waiting", f"netclaw-opencode reply reply-permission {ids} --answer reject")
    assert waits["pending"][0]["tool"] == "read"
    acting.data("reply_permission", session_id=told, permission_id=request["id"], answer="reject", message="stay here")
    assert turn_of(acting, told)["text"] == "I have read."
    assert "stay here" in acting.raw.model.calls_with("the notes")[-1].conversation.tool_results[0]
    silent = acting.started("read the notes again")
    request = pending(acting, "permission")
    acting.data("reply_permission", session_id=silent, permission_id=request["id"], answer="reject")
    assert acting.error("wait_for_session", session_id=silent, wait_seconds=SOON)["code"] == "turn_incomplete"


def test_a_question_of_a_background_turn_is_answered(acting: Acting) -> None:
    """``reply_question`` sends the labels, sees the question gone, and the turn goes on with them."""
    acting.raw.model.when("paint later", QUESTION, Text("painted"))
    session_id = acting.started("paint later")
    request = pending(acting, "question")
    replied = acting.data("reply_question", session_id=session_id, question_id=request["id"], answers=[["Red"]])
    assert replied == {
        "question_id": request["id"],
        "session_id": session_id,
        "answered": True,
        "rejected": False,
        "confirmed": True,
    }
    assert turn_of(acting, session_id)["text"] == "painted"
    assert "Red" in acting.raw.model.calls_with("paint later")[-1].conversation.tool_results[0]
    assert (
        acting.error("reply_question", session_id=session_id, question_id=request["id"], answers=[["Red"]])["code"] == "request_not_found"
    )


def test_a_question_of_a_background_turn_is_dismissed(acting: Acting) -> None:
    """A dismissed question ends the turn, and the turn is not taken for a success."""
    acting.raw.model.when("paint later", QUESTION, Text("never"))
    session_id = acting.started("paint later")
    request = pending(acting, "question")
    replied = acting.data("reply_question", session_id=session_id, question_id=request["id"], reject=True)
    assert (replied["answered"], replied["rejected"], replied["confirmed"]) == (False, True, True)
    assert acting.error("wait_for_session", session_id=session_id, wait_seconds=SOON)["code"] == "turn_incomplete"


@pytest.mark.parametrize("arguments", [{}, {"answers": [["Blue"]], "reject": True}, {"answers": [["Blue"], ["Red"]]}], ids=str)
def test_an_answer_that_does_not_fit_is_refused_and_the_question_stays(acting: Acting, arguments: Json) -> None:
    """Neither, both, or another number of answers than of questions: invalid input, and nothing is sent."""
    acting.raw.model.when("paint later", QUESTION, Text("painted"))
    session_id = acting.started("paint later")
    request = pending(acting, "question")
    error = acting.error("reply_question", session_id=session_id, question_id=request["id"], **arguments)
    assert (error["code"], [item["id"] for item in acting.raw.pending("question")]) == ("invalid_input", [request["id"]])
    acting.data("abort_session", session_id=session_id)


@pytest.mark.parametrize("action", ["reply_permission", "reply_question"])
def test_what_is_not_pending_cannot_be_answered(acting: Acting, action: str) -> None:
    """An unknown request, one of another session, and an unknown session are told apart; ids are checked first (F48)."""
    session_id = acting.create()
    name = "permission_id" if action == "reply_permission" else "question_id"
    answer: Json = {"answer": "once"} if action == "reply_permission" else {"answers": [["Blue"]]}
    known = {"session_id": session_id, name: UNKNOWN_REQUEST[name]} | answer
    assert acting.error(action, **known)["code"] == "request_not_found"
    assert acting.error(action, **(known | {name: "per_x/../../config"}))["code"] == "invalid_input"
    assert acting.error(action, **(known | {"session_id": "ses_00000000000000000000000000"}))["code"] == "session_not_found"


def test_a_request_of_another_session_is_not_answered(acting: Acting, outside: Path) -> None:
    """Rule own-things-only: an answer names its session; a request of a neighbour is not found through another one's id."""
    session_id, neighbour = acting.started("read the notes"), acting.create()
    request = pending(acting, "permission")
    error = acting.error("reply_permission", session_id=neighbour, permission_id=request["id"], answer="once")
    assert (error["code"], len(acting.raw.pending("permission"))) == ("request_not_found", 1)
    acting.data("abort_session", session_id=session_id)


def test_a_sub_agent_s_request_is_answered_through_its_parent(acting: Acting, outside: Path) -> None:
    """F36: what a sub-agent asks for is pending on the parent's status and answered by the parent's id or by a policy."""
    child = ToolCall("task", {"description": "sub work", "prompt": "read the notes for me", "subagent_type": "general"})
    acting.raw.model.when("delegate", child, Text("delegated"))
    session_id = acting.started("delegate")
    request = pending(acting, "permission")
    state = acting.data("get_session_status", session_id=session_id)["sessions"][0]
    assert (state["state"], state["pending"][0]["id"], request["sessionID"] != session_id) == ("waiting", request["id"], True)
    replied = acting.data("reply_permission", session_id=session_id, permission_id=request["id"], answer="once")
    assert (replied["confirmed"], turn_of(acting, session_id)["text"]) == (True, "delegated")
    acting.policy.decide = lambda _request: Decision("once")
    assert acting.data("send_message", session_id=acting.create(), prompt="delegate")["text"] == "delegated"
