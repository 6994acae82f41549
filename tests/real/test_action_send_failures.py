"""``send_message`` that fails: deadlines, refusals by a rule, failing providers. Each ends with a code, and nothing runs on."""

from __future__ import annotations

import time

import pytest

from netclaw_opencode.offline import (
    CloseSocket,
    CutStream,
    Empty,
    Finish,
    Garbage,
    Gated,
    Hang,
    HangMidStream,
    Html,
    Part,
    Status,
    Text,
    ToolCall,
)
from netclaw_opencode.testing.waiting import SOON, wait_until
from tests.real.acting import UNKNOWN, Acting, Json, Requests, tool_processes, wait_gone
from tests.support.pace import MACHINE_SECONDS, stretched
from tests.support.raw import new_id

pytestmark = pytest.mark.real
STOP_BOUND_SECONDS = 15.0


def failed(acting: Acting, prompt: str, *steps: Part, **arguments: object) -> Json:
    """The error of one prompt in a fresh session, whose model calls are answered by these steps."""
    acting.raw.model.when(prompt, *steps)
    return acting.error("send_message", session_id=acting.create(), prompt=prompt, **arguments)


def held(acting: Acting, name: str) -> str:
    """A session whose turn is held in the middle of its stream, at the gate ``name``."""
    gate = acting.raw.model.gate(name)
    acting.raw.model.when(name, Gated(gate, "first ", "second"))
    session_id = acting.started(name)
    assert gate.wait_reached(SOON)
    return session_id


@pytest.mark.parametrize("fault", [Hang(), HangMidStream()], ids=["silent", "mid-stream"])
def test_a_deadline_ends_the_turn_and_proves_it(acting: Acting, fault: Part) -> None:
    """Rules deadline, stop-verified: turn_timeout within deadline + 15 s; the turn is aborted and *seen* stopped (F22, F23, F25)."""
    deadline, began = stretched(1.5), time.monotonic()
    error = failed(acting, "hang on", fault, deadline_seconds=deadline)
    assert time.monotonic() - began < deadline + STOP_BOUND_SECONDS + MACHINE_SECONDS
    assert (error["code"], error["rule"], error["retryable"]) == ("turn_timeout", "deadline", False)
    stopped = error["details"]["stopped"]
    assert (stopped["aborted"], stopped["confirmed"], stopped["was"]) == (True, True, "busy")
    assert "seen stopped" in error["message"]
    assert acting.raw.statuses() == {}
    assert acting.raw.model.wait_until(lambda model: model.open_connections == 0, SOON)
    assert error["details"].get("partial_text") == (fault.text if isinstance(fault, HangMidStream) else None)
    assert [event.facts["confirmed"] for event in acting.policy.told("stopping")] == [True]


def test_a_deadline_ends_the_command_that_a_tool_runs(acting: Acting) -> None:
    """F5, F23; rule stop-verified: the shell command of a timed-out turn is gone too."""
    command = ToolCall("bash", {"command": "sleep 3141", "description": "sleep"})
    error = failed(acting, "sleep long", command, Text("never"), deadline_seconds=stretched(2))
    assert len(acting.raw.model.calls_with("sleep long")) == 1, "the tool ran and did not end by itself"
    assert (error["code"], error["details"]["stopped"]["confirmed"]) == ("turn_timeout", True)
    wait_gone("sleep 3141")


def test_a_busy_session_is_refused_and_nothing_is_sent(acting: Acting, requests_sent: Requests) -> None:
    """F26; rule status-first: the server would queue the prompt; here none is posted, and the running turn is untouched."""
    session_id = held(acting, "busy turn")
    requests_sent.seen.clear()
    error = acting.error("send_message", session_id=session_id, prompt="me too")
    assert (error["code"], error["rule"], error["retryable"]) == ("session_busy", "status-first", True)
    assert (requests_sent.prompts, requests_sent.matching(r"POST .*/abort")) == ([], [])
    acting.raw.model.gate("busy turn").open()
    assert acting.data("wait_for_session", session_id=session_id)["result"]["text"] == "first second"


def test_a_waiting_session_is_refused_as_waiting(acting: Acting, requests_sent: Requests) -> None:
    """F29; rule status-first: a session that waits for an answer says so, with the request, and nothing is sent."""
    question = {"question": "Which?", "header": "W", "options": [{"label": "A", "description": "a"}]}
    acting.raw.model.when("ask me", ToolCall("question", {"questions": [question]}), Text("never"))
    session_id = acting.started("ask me")
    wait_until(lambda: acting.raw.pending("question"), what="the question")
    requests_sent.seen.clear()
    error = acting.error("send_message", session_id=session_id, prompt="me too")
    assert (error["code"], error["rule"], requests_sent.prompts) == ("session_waiting", "status-first", [])
    assert error["details"]["pending"][0]["questions"][0]["question"] == "Which?"
    assert acting.data("abort_session", session_id=session_id)["requests_refused"] == 1


def test_a_used_session_is_refused(acting: Acting, requests_sent: Requests) -> None:
    """Rule fresh-session: prior activity is refused, the way on (a fork) is named, and nothing is sent."""
    session_id = acting.create()
    acting.data("send_message", session_id=session_id, prompt="once")
    requests_sent.seen.clear()
    error = acting.error("send_message", session_id=session_id, prompt="twice")
    assert (error["code"], error["rule"], requests_sent.prompts) == ("session_used", "fresh-session", [])
    assert error["next"] == f"netclaw-opencode run create-session --parent-id {session_id}"


def test_a_reused_session_is_aborted_first(acting: Acting, requests_sent: Requests) -> None:
    """Rule abort-first: who insists on a running session gets it stopped, seen idle, and only then sent to (F26, F41)."""
    session_id = held(acting, "old turn")
    requests_sent.seen.clear()
    result = acting.data("send_message", session_id=session_id, prompt="new turn", reuse_session=True)
    assert (result["text"], result["evidence"]["parent_id"]) == ("new turn", result["message_id"])
    posts = [line.rsplit("/", 1)[1] for line in requests_sent.matching(r"POST /session/\w+/(abort|prompt_async)")]
    assert (posts[0], posts.count("prompt_async"), posts[-1]) == ("abort", 1, "prompt_async")
    assert acting.raw.answers(session_id)[0]["error"]["name"] == "MessageAbortedError"  # type: ignore[index]


@pytest.mark.parametrize(
    ("what", "code"),
    [("used", "session_used"), ("running", "session_busy"), ("deleted", "session_not_found")],
)
def test_what_another_process_did_meanwhile_is_seen(acting: Acting, requests_sent: Requests, what: str, code: str) -> None:
    """A session that this process has just created is not looked up again; used, busy or deleted by another, it is refused all the same."""
    session_id = acting.create()
    gate = acting.raw.model.gate("theirs")
    acting.raw.model.when("theirs", Gated(gate, "first ", "second"))
    if what == "used":
        acting.raw.message(session_id, "somebody else's").raise_for_status()
    elif what == "running":
        acting.raw.prompt_async(session_id, "theirs").raise_for_status()
        assert gate.wait_reached(SOON)
    else:
        acting.raw.delete(session_id)
    requests_sent.seen.clear()
    error = acting.error("send_message", session_id=session_id, prompt="mine")
    assert (error["code"], error["details"]["session_id"], requests_sent.prompts) == (code, session_id, [])
    assert requests_sent.matching(f"GET /session/{session_id}") == []
    gate.open()
    # From the second time on it is looked up like any other.
    acting.error("send_message", session_id=session_id, prompt="mine again")
    assert len(requests_sent.matching(f"GET /session/{session_id}")) == 1


def test_what_a_fork_copied_is_known_without_a_look(acting: Acting, requests_sent: Requests) -> None:
    """A fork of ours takes its first prompt as it is, with its copy (F28); where somebody else was faster, it is used."""
    session_id = acting.create()
    acting.data("send_message", session_id=session_id, prompt="once")
    fork, other = acting.create(parent_id=session_id), acting.create(parent_id=session_id)
    acting.raw.message(other, "somebody else's").raise_for_status()
    requests_sent.seen.clear()
    assert acting.data("send_message", session_id=fork, prompt="go on")["text"] == "go on"
    assert acting.error("send_message", session_id=other, prompt="go on")["code"] == "session_used"
    assert requests_sent.matching(r"GET /session/ses_\w+") == []


def test_an_unknown_session_is_not_found(acting: Acting, requests_sent: Requests) -> None:
    """F22: no route but the look-up is called for an id that the server does not have; a malformed id is not even looked up."""
    assert acting.error("send_message", session_id=UNKNOWN, prompt="hello")["code"] == "session_not_found"
    assert requests_sent.prompts == []
    requests_sent.seen.clear()
    assert acting.error("send_message", session_id=f"{UNKNOWN}/../../config", prompt="hello")["code"] == "invalid_input"
    assert requests_sent.seen == []


@pytest.mark.parametrize("seconds", [0, -1, 60.1, True, "5"])
def test_a_deadline_outside_its_range_is_refused(acting: Acting, requests_sent: Requests, seconds: object) -> None:
    """Rule deadline: a blocking message has more than 0 and at most 60 seconds; anything else is invalid and nothing is sent."""
    error = acting.error("send_message", session_id=UNKNOWN, prompt="hello", deadline_seconds=seconds)
    assert (error["code"], "deadline_seconds" in error["message"], requests_sent.seen) == ("invalid_input", True, [])


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (Status(401), "provider_auth"),
        (Status(403), "provider_auth"),
        (Status(400), "provider_error"),
        (Garbage(), "provider_error"),
        (Finish("content_filter"), "provider_error"),
        (Empty(), "empty_output"),
    ],
    ids=["401", "403", "400", "garbage", "filtered", "empty"],
)
def test_a_provider_that_refuses_is_named(acting: Acting, fault: Part, code: str) -> None:
    """F16: the server answers 200 to a refusal; here it is a failure with its own code, at once, and without a retry."""
    error = failed(acting, "refuse me", fault)
    assert (error["code"], len(acting.raw.model.calls_with("refuse me"))) == (code, 1)


def test_a_provider_s_text_holds_no_secret(acting: Acting) -> None:
    """F45: error texts come back verbatim, keys included; what looks like a key is hidden before anybody sees it."""
    body = '{"error": {"message": "Incorrect API key provided: sk-canary0123456789abcdef. Authorization: Bearer canary0123456789"}}'
    error = failed(acting, "leak it", Status(401, body=body))
    assert (error["code"], "canary" in str(error)) == ("provider_auth", False)


def test_a_long_retry_after_fails_early(acting: Acting) -> None:
    """F17, F43: a provider that says "in an hour" cannot finish in time: the retry is stopped at once and not at the deadline."""
    began = time.monotonic()
    error = failed(acting, "limit me", Status(429, retry_after_seconds=3600), deadline_seconds=60)
    assert time.monotonic() - began < 60
    assert (error["code"], error["retryable"], "scripted 429" in error["message"]) == ("provider_retrying", True, True)
    stopped = error["details"]["stopped"]
    assert (stopped["was"], stopped["confirmed"], acting.raw.statuses()) == ("retry", True, {})


@pytest.mark.parametrize("fault", [Status(429), Status(500), CloseSocket()], ids=["429", "500", "closed-socket"])
def test_an_endless_retry_is_stopped_by_the_deadline(acting: Acting, fault: Part) -> None:
    """F17: the server would retry for ever; the turn ends as provider_retrying, aborted and seen stopped."""
    error = failed(acting, "try again", fault, deadline_seconds=stretched(2))
    assert (error["code"], error["details"]["stopped"]["confirmed"]) == ("provider_retrying", True)
    assert "retry" in error["details"]["statuses"]
    assert acting.raw.statuses() == {}


@pytest.mark.parametrize("fault", [CutStream(), Html()], ids=["cut-stream", "html"])
def test_a_runaway_is_stopped_after_few_model_calls(acting: Acting, fault: Part) -> None:
    """F40: a stream without an end makes the server call the model again and again; it ends before twenty calls, mostly before ten."""
    error = failed(acting, "run away", fault)
    assert (error["code"], error["details"]["stopped"]["confirmed"]) == ("runaway_turn", True)
    assert 4 <= len(acting.raw.model.calls_with("run away")) < 20


def test_an_error_that_only_an_event_tells_is_not_silence(acting: Acting) -> None:
    """F15, F32; rule no-silence: an agent without its model gets 204 and no message; the failure is named all the same."""
    session_id = acting.remember(acting.raw.create(model={"id": "gone", "providerID": "offline"}))
    error = acting.error("send_message", session_id=session_id, prompt="into the void")
    assert (error["code"], acting.raw.model.calls_with("into the void")) == ("model_not_found", ())


def test_an_abort_by_somebody_else_is_no_success(acting: Acting) -> None:
    """F23, F41: a turn that another client aborts ends as turn_aborted, with what was written so far."""
    gate = acting.raw.model.gate("shot down")
    acting.raw.model.when("shot down", Gated(gate, "first ", "second"))
    session_id = acting.create()
    sending = acting.later("send_message", session_id=session_id, prompt="shot down")
    assert gate.wait_reached(SOON)
    acting.raw.abort(session_id)
    envelope = sending.result(SOON)
    assert envelope["ok"] is False
    error = envelope["error"]
    assert isinstance(error, dict) and error["code"] == "turn_aborted"


def test_a_prompt_of_another_client_is_not_taken_for_ours(acting: Acting) -> None:
    """F41: the answer of a foreign prompt that was queued before ours never counts as our answer."""
    session_id = acting.create()
    foreign = new_id("msg")
    acting.raw.message(session_id, "foreign", messageID=foreign)
    error = acting.error("get_session_result", session_id=session_id, message_id=new_id("msg"))
    assert error["code"] == "turn_incomplete"
    assert acting.data("get_session_result", session_id=session_id, message_id=foreign)["text"] == "foreign"


def test_no_process_of_a_tool_is_left_by_these_tests() -> None:
    """Rule nothing-left: none of the commands above survived its turn (F5)."""
    assert tool_processes("sleep 3141") == []
