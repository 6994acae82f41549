"""The twelve rules on the real server, one test each: what the rule forbids is tried, and the wire shows that it did not happen.

What a rule's check says of given facts stands in the unit tests; here the server tells the facts.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import httpx
import pytest

from netclaw_opencode.driver import rules, stopping
from netclaw_opencode.host import Host
from netclaw_opencode.offline import Gated, Hang, Status, Text, ToolCall
from netclaw_opencode.settings import Settings
from netclaw_opencode.testing.server import all_sessions
from netclaw_opencode.testing.waiting import SOON, wait_until
from tests.real.acting import Acting, Requests, data_of, error_of
from tests.support.pace import MACHINE_SECONDS, stretched

pytestmark = pytest.mark.real

KEPT = {"snapshots", "trajectories"}
QUESTION = ToolCall("question", {"questions": [{"question": "Which?", "header": "W", "options": [{"label": "A", "description": "a"}]}]})
Held = Callable[[str], str]


@pytest.fixture
def held(acting: Acting) -> Held:
    """Starts a background turn that is held in the middle of its stream, at the gate of its prompt's name."""

    def hold(prompt: str) -> str:
        gate = acting.raw.model.gate(prompt)
        acting.raw.model.when(prompt, Gated(gate, "first ", "second"))
        session_id = acting.started(prompt)
        assert gate.wait_reached(SOON)
        return session_id

    return hold


class Body(httpx.AsyncByteStream):
    """The body ``true``."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield b"true"


def posted(requests_sent: Requests) -> list[str]:
    """The last word of each POST and DELETE, in order: abort, prompt_async, the id of a deleted session."""
    return [line.rsplit("/", 1)[1] for line in requests_sent.matching("(POST|DELETE) .*")]


def test_every_rule_is_shown_here() -> None:
    """For each id of the table there is one test in this file that bears its name."""
    shown = {name for name in globals() if name.startswith("test_rule_")}
    assert not {f"test_rule_{rule.id.replace('-', '_')}_on_the_server" for rule in rules.RULES} - shown


def test_rule_fresh_session_on_the_server(acting: Acting, requests_sent: Requests) -> None:
    """fresh-session: the second task of a session is refused without a byte sent; its fork (F28) takes it."""
    session_id = acting.create()
    acting.data("send_message", session_id=session_id, prompt="first task")
    requests_sent.seen.clear()
    assert acting.error("send_message", session_id=session_id, prompt="second task")["rule"] == "fresh-session"
    assert posted(requests_sent) == []
    fork = acting.create(parent_id=session_id)
    assert acting.data("send_message", session_id=fork, prompt="second task")["text"] == "second task"


def test_rule_status_first_on_the_server(acting: Acting, held: Held, requests_sent: Requests) -> None:
    """status-first: status and history are read before every send; a running session (F26: the server would queue) gets nothing."""
    session_id = acting.create()
    requests_sent.seen.clear()
    acting.data("send_message", session_id=session_id, prompt="look first")
    before = requests_sent.seen[: requests_sent.seen.index(requests_sent.prompts[0])]
    assert {"GET /session/status", f"GET /session/{session_id}/message"} <= set(before)
    busy = held("occupied")
    requests_sent.seen.clear()
    assert acting.error("send_message", session_id=busy, prompt="me too")["rule"] == "status-first"
    assert posted(requests_sent) == []
    acting.data("abort_session", session_id=busy)


def test_rule_abort_first_on_the_server(acting: Acting, held: Held, requests_sent: Requests) -> None:
    """abort-first: with reuse_session the abort is posted and the session *seen* idle before the prompt (F41: no mixed answers)."""
    session_id = held("the old turn")
    requests_sent.seen.clear()
    assert acting.data("send_message", session_id=session_id, prompt="the new turn", reuse_session=True)["text"] == "the new turn"
    order = requests_sent.matching(r"POST /session/\w+/(abort|prompt_async)|GET /session/status")
    words = [line.rsplit("/", 1)[1] for line in order]
    sent = words.index("prompt_async")
    assert (words.count("prompt_async"), "abort" in words[:sent], words[sent - 1]) == (1, True, "status")
    assert acting.raw.model.calls_with("the old turn")[0] is not None
    assert acting.raw.answers(session_id)[0]["error"]["name"] == "MessageAbortedError"  # type: ignore[index]


def test_rule_deadline_on_the_server(acting: Acting) -> None:
    """deadline: output never extends it: a model that hangs in the middle of its stream is cut off, aborted and seen stopped (F25)."""
    acting.raw.model.when("for ever", (Text("on and on "), Hang()))
    deadline, began = stretched(1.5), time.monotonic()
    error = acting.error("run_task", prompt="for ever", deadline_seconds=deadline)
    assert deadline <= time.monotonic() - began < deadline + 15 + MACHINE_SECONDS
    assert (error["code"], error["rule"], error["details"]["stopped"]["confirmed"]) == ("turn_timeout", "deadline", True)
    assert (acting.raw.statuses(), error["details"]["partial_text"]) == ({}, "on and on ")


def test_rule_send_once_on_the_server(acting: Acting, monkeypatch: pytest.MonkeyPatch) -> None:
    """send-once: the answer to a prompt is lost; the message store is asked for our id, and the model is called exactly once (F27)."""
    send = httpx.AsyncHTTPTransport.handle_async_request
    prompts: list[bytes] = []

    async def lose_the_answer(transport: httpx.AsyncHTTPTransport, request: httpx.Request) -> httpx.Response:
        response = await send(transport, request)
        if request.url.path.endswith("/prompt_async"):
            prompts.append(request.content)
            await response.aclose()
            raise httpx.ReadError("the connection broke after the server had taken the prompt")
        return response

    monkeypatch.setattr(httpx.AsyncHTTPTransport, "handle_async_request", lose_the_answer)
    session_id = acting.create()
    result = acting.data("send_message", session_id=session_id, prompt="only once")
    assert (result["text"], len(prompts)) == ("only once", 1), "it was found in the store and not sent again"
    assert result["message_id"].encode() in prompts[0]
    assert len(acting.raw.model.calls_with("only once")) == 1
    assert [item["info"]["role"] for item in acting.raw.messages(session_id)] == ["user", "assistant"]  # type: ignore[index]


def test_rule_send_once_holds_where_the_prompt_never_arrived_on_the_server(acting: Acting, monkeypatch: pytest.MonkeyPatch) -> None:
    """send-once: where the store does not have it, the prompt is repeated, with the very same ids (F27)."""
    send = httpx.AsyncHTTPTransport.handle_async_request
    prompts: list[bytes] = []

    async def lose_the_first(transport: httpx.AsyncHTTPTransport, request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/prompt_async"):
            prompts.append(request.content)
            if len(prompts) == 1:
                raise httpx.WriteError("the connection broke before the prompt was out")
        return await send(transport, request)

    monkeypatch.setattr(httpx.AsyncHTTPTransport, "handle_async_request", lose_the_first)
    assert acting.data("send_message", session_id=acting.create(), prompt="at last")["text"] == "at last"
    assert len(prompts) == 2 and prompts[0] == prompts[1], "message id, part id and text are the same"
    assert len(acting.raw.model.calls_with("at last")) == 1


def test_rule_stop_verified_on_the_server(acting: Acting, held: Held, requests_sent: Requests) -> None:
    """stop-verified: an abort's own ``true`` proves nothing (F22); status and messages are read after it, before it counts."""
    session_id = held("to be stopped")
    requests_sent.seen.clear()
    stopped = acting.data("abort_session", session_id=session_id)
    last_abort = max(index for index, line in enumerate(requests_sent.seen) if line.endswith("/abort"))
    after = requests_sent.seen[last_abort + 1 :]
    assert {"GET /session/status", f"GET /session/{session_id}/message"} <= set(after)
    assert (stopped["confirmed"], acting.raw.statuses()) == (True, {})


def test_rule_stop_verified_does_not_believe_a_lie_on_the_server(
    acting: Acting, held: Held, monkeypatch: pytest.MonkeyPatch, requests_sent: Requests
) -> None:
    """stop-verified: an abort that says ``true`` and does nothing is repeated, and then said to be unconfirmed; nothing is deleted."""
    session_id = held("cannot be stopped")
    monkeypatch.setattr(stopping, "STOP_SECONDS", 2.5)
    send = httpx.AsyncHTTPTransport.handle_async_request

    async def lie(transport: httpx.AsyncHTTPTransport, request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/abort"):
            requests_sent.seen.append(f"POST {request.url.path}")
            headers = {"content-type": "application/json"}
            return httpx.Response(200, headers=headers, stream=Body(), request=request)
        return await send(transport, request)

    with monkeypatch.context() as lying:
        lying.setattr(httpx.AsyncHTTPTransport, "handle_async_request", lie)
        requests_sent.seen.clear()
        error = acting.error("delete_session", session_id=session_id)
        assert error["code"] == "abort_unconfirmed"
        assert len(requests_sent.matching("POST .*/abort")) > 1
        assert requests_sent.matching("DELETE .*") == []
    assert acting.raw.statuses() == {session_id: {"type": "busy"}}
    acting.data("abort_session", session_id=session_id)


def test_rule_delete_after_stop_on_the_server(acting: Acting, held: Held, requests_sent: Requests) -> None:
    """delete-after-stop: a delete alone would let the turn go on (F24); here it comes last, after an abort that was seen to work."""
    session_id = held("delete while busy")
    requests_sent.seen.clear()
    acting.data("delete_session", session_id=session_id)
    assert posted(requests_sent) == ["abort", session_id]
    deleted = requests_sent.seen.index(f"DELETE /session/{session_id}")
    assert "GET /session/status" in requests_sent.seen[requests_sent.seen.index(f"POST /session/{session_id}/abort") : deleted]
    assert acting.raw.statuses() == {}
    assert acting.raw.model.wait_until(lambda model: model.open_connections == 0, SOON)


def test_rule_nobody_waits_on_the_server(acting: Acting) -> None:
    """nobody-waits: a question would block the turn for ever (F29); the agent is told that nobody is there, and goes on."""
    acting.raw.model.when("ask a person", QUESTION, Text("I decided."))
    data = acting.data("run_task", prompt="ask a person", deadline_seconds=600)
    assert (data["text"], len(data["refused"]), acting.raw.pending("question")) == ("I decided.", 1, [])
    assert acting.raw.statuses() == {}


def test_rule_own_things_only_on_the_server(acting: Acting, requests_sent: Requests) -> None:
    """own-things-only: somebody else's running session is neither aborted nor deleted; not a byte is posted."""
    gate = acting.raw.model.gate("somebody else's")
    acting.raw.model.when("somebody else's", Gated(gate, "a", "b"))
    session_id = acting.remember(acting.raw.create())
    acting.raw.prompt_async(session_id, "somebody else's")
    assert gate.wait_reached(SOON)
    requests_sent.seen.clear()
    assert [acting.error(action, session_id=session_id)["rule"] for action in ("abort_session", "delete_session")] == [
        "own-things-only"
    ] * 2
    assert (posted(requests_sent), acting.raw.statuses()) == ([], {session_id: {"type": "busy"}})
    gate.open()
    acting.raw.wait_idle(session_id)


def test_rule_stuck_server_on_the_server(acting: Acting) -> None:
    """stuck-server: sessions that hang in retry (F17, F43) are seen, and ours are stopped; a server that is not ours is left alive."""
    acting.raw.model.when("no more today", Status(429, retry_after_seconds=3600))
    stuck = {acting.started("no more today") for _ in range(rules.STUCK_SESSIONS)}
    wait_until(lambda: {item["type"] for item in acting.raw.statuses().values()} == {"retry"}, what="both in retry")
    error = acting.error("recover")
    assert (error["code"], set(error["details"]["retrying"]), set(error["details"]["sessions_stopped"])) == ("kill_refused", stuck, stuck)
    assert acting.raw.statuses() == {}
    assert acting.data("check_availability")["available"] is True


def test_rule_nothing_left_on_the_server(acting: Acting, settings: Settings, tmp_path: Path) -> None:
    """nothing-left: after a success, a failure and a time-out no session, turn, request or model call is left, and no file of ours."""
    acting.raw.model.when("refused", Status(401))
    acting.raw.model.when("hanging", Hang())
    before = {str(item["id"]) for item in all_sessions(acting.raw.wire)}
    with Host(settings, entry_points=False) as host:
        envelopes = [host.call("run_task", prompt=prompt, deadline_seconds=stretched(1.5)) for prompt in ("fine", "refused", "hanging")]
    assert [envelope["ok"] for envelope in envelopes] == [True, False, False]
    left = {
        "sessions": sorted({str(item["id"]) for item in all_sessions(acting.raw.wire)} - before),
        "turns": list(acting.raw.statuses()),
        # What is known of a folder's files is kept, for the next task in it, and the transcripts of tasks are.
        "files": [str(path) for path in tmp_path.rglob("*") if path.is_file() and not KEPT & {*path.parts}],
    }
    assert rules.kinds_left(left) == ()
    wait_until(lambda: not acting.running(), what="the end of the title calls")


def test_rule_no_silence_on_the_server(acting: Acting) -> None:
    """no-silence: what the server passes over (F15: 204 and nothing; F16: 200 with an error; F38) ends in data or a named error."""
    acting.raw.model.when("refused", Status(401))
    nameless = acting.remember(acting.raw.create(model={"id": "gone", "providerID": "offline"}))
    envelopes = [
        acting.host.call("send_message", session_id=nameless, prompt="204 and nothing"),
        acting.host.call("send_message", session_id=acting.create(), prompt="refused"),
        acting.host.call("send_message", session_id=acting.create(), prompt="fine"),
        acting.host.call("abort_session", session_id="ses_00000000000000000000000000"),
        acting.host.call("no_such_action"),
    ]
    for envelope in envelopes:
        rules.require_result_or_cause(envelope)
    codes = [error_of(envelope)["code"] for envelope in envelopes if not envelope["ok"]]
    assert codes == ["model_not_found", "provider_auth", "session_not_found", "unknown_action"]
    assert data_of(envelopes[2])["evidence"]["decided_by"] == "message_store"
