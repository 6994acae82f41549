"""``abort_session``, ``delete_session`` and cancellation: a stop is one that is seen, and nothing is deleted while it runs."""

from __future__ import annotations

from functools import partial

import anyio
import anyio.to_thread
import httpx
import pytest

from netclaw_opencode.host import Host
from netclaw_opencode.offline import Gated, Hang, Text, ToolCall
from netclaw_opencode.settings import Settings
from netclaw_opencode.testing.waiting import SOON, wait_until
from tests.real.acting import UNKNOWN, Acting, Policy, Requests, data_of, wait_gone

pytestmark = pytest.mark.real


def hanging(acting: Acting, prompt: str) -> str:
    """A background turn whose model call is open and will never be answered."""
    acting.raw.model.when(prompt, Hang())
    session_id = acting.started(prompt)
    assert acting.raw.model.wait_until(lambda model: model.calls_with(prompt), SOON)
    return session_id


def test_a_running_turn_is_aborted_and_seen_stopped(acting: Acting) -> None:
    """F22, F23; rule stop-verified: what ran is said, the session is seen idle, the model's connection is closed, history stays."""
    session_id = hanging(acting, "abort me")
    stopped = acting.data("abort_session", session_id=session_id)
    assert {key: stopped[key] for key in ("session_id", "state", "aborted", "confirmed", "was", "children")} == {
        "session_id": session_id,
        "state": "ready",
        "aborted": True,
        "confirmed": True,
        "was": "busy",
        "children": [],
    }
    assert stopped["attempts"] >= 1
    assert (acting.raw.statuses(), acting.raw.answers(session_id)[-1]["error"]["name"]) == ({}, "MessageAbortedError")  # type: ignore[index]
    assert acting.raw.model.wait_until(lambda model: model.open_connections == 0, SOON)


def test_an_abort_ends_the_command_of_a_tool(acting: Acting) -> None:
    """F5: the shell command that a turn runs ends with it, although it is a process session of its own."""
    acting.raw.model.when("run long", ToolCall("bash", {"command": "echo up > up.txt; sleep 2718", "description": "sleep"}), Text("never"))
    session_id = acting.started("run long")
    wait_until(lambda: acting.raw.tool_states(session_id) and acting.raw.tool_states(session_id)[0]["status"] == "running", what="the tool")
    assert acting.data("abort_session", session_id=session_id)["confirmed"] is True
    wait_gone("sleep 2718")


def test_an_abort_reaches_sub_agents(acting: Acting) -> None:
    """F36: the parent's abort is checked on the child, whose end is reported with it."""
    child = ToolCall("task", {"description": "sub work", "prompt": "child hangs", "subagent_type": "general"})
    acting.raw.model.when("parent of one", child, Text("never"))
    acting.raw.model.when("child hangs", Hang())
    session_id = acting.started("parent of one")
    assert acting.raw.model.wait_until(lambda model: model.calls_with("child hangs"), SOON)
    child_id = acting.raw.get(f"/session/{session_id}/children").json()[0]["id"]
    stopped = acting.data("abort_session", session_id=session_id)
    assert stopped["children"] == [{"session_id": child_id, "was": "busy", "confirmed": True}]
    assert acting.raw.answers(child_id)[-1]["error"]["name"] == "MessageAbortedError"  # type: ignore[index]
    assert len(acting.raw.model.calls_with("parent of one")) == 1, "the parent did not go on with a half answer"


def test_an_abort_clears_what_was_pending(acting: Acting) -> None:
    """F42: an aborted turn's permission or question would stay listed for ever; it is refused, and the turn does not go on."""
    question = {"question": "Which?", "header": "W", "options": [{"label": "A", "description": "a"}]}
    acting.raw.model.when("ask and go", ToolCall("question", {"questions": [question]}), Text("never"))
    session_id = acting.started("ask and go")
    wait_until(lambda: acting.raw.pending("question"), what="the question")
    stopped = acting.data("abort_session", session_id=session_id)
    assert (stopped["was"], stopped["requests_refused"], acting.raw.pending("question")) == ("waiting", 1, [])
    assert len(acting.raw.model.calls_with("ask and go")) == 1


def test_nothing_to_abort_is_no_error(acting: Acting) -> None:
    """An idle session is reported as it is: ready, not aborted, confirmed; twice the same."""
    session_id = acting.create()
    for _ in range(2):
        stopped = acting.data("abort_session", session_id=session_id)
        assert (stopped["was"], stopped["aborted"], stopped["confirmed"]) == ("ready", False, True)


@pytest.mark.parametrize("action", ["abort_session", "delete_session"])
def test_an_unknown_session_is_not_found(acting: Acting, requests_sent: Requests, action: str) -> None:
    """F22: the server answers ``true`` to an abort of anything; here an unknown id is session_not_found and nothing is posted."""
    assert acting.error(action, session_id=UNKNOWN)["code"] == "session_not_found"
    assert requests_sent.matching("(POST|DELETE) .*") == []


@pytest.mark.parametrize("action", ["abort_session", "delete_session"])
def test_a_foreign_session_needs_to_be_named_on_purpose(acting: Acting, action: str) -> None:
    """Rule own-things-only: a session that this skill did not create is left alone, running turn and all, unless told otherwise."""
    gate = acting.raw.model.gate("theirs")
    acting.raw.model.when("theirs", Gated(gate, "a", "b"))
    session_id = acting.remember(acting.raw.create(title="somebody else's"))
    acting.raw.prompt_async(session_id, "theirs")
    assert gate.wait_reached(SOON)
    error = acting.error(action, session_id=session_id)
    assert (error["code"], error["rule"], error["details"]["title"]) == ("not_ours", "own-things-only", "somebody else's")
    assert acting.raw.statuses() == {session_id: {"type": "busy"}}
    assert acting.data(action, session_id=session_id, include_foreign=True)["confirmed"] is True
    assert acting.raw.statuses() == {}


def test_a_background_turn_does_not_make_a_foreign_session_ours(acting: Acting) -> None:
    """Rule own-things-only: our marks for a task in somebody else's session are no right to remove that session."""
    session_id = acting.remember(acting.raw.create(title="somebody else's", metadata={"theirs": 1}))
    acting.data("send_message_async", session_id=session_id, prompt="a guest")
    assert acting.data("wait_for_session", session_id=session_id)["result"]["text"] == "a guest"
    assert acting.error("delete_session", session_id=session_id)["code"] == "not_ours"
    assert acting.raw.get(f"/session/{session_id}").json()["metadata"]["theirs"] == 1


def test_a_busy_session_is_stopped_before_it_is_deleted(acting: Acting, requests_sent: Requests) -> None:
    """F24; rule delete-after-stop: the abort comes first and is seen; then the session is gone, and so is its turn."""
    session_id = hanging(acting, "delete me")
    requests_sent.seen.clear()
    deleted = acting.data("delete_session", session_id=session_id)
    assert (deleted["deleted"], deleted["already_gone"], deleted["confirmed"]) == (True, False, True)
    assert (deleted["stopped"]["was"], deleted["stopped"]["confirmed"]) == ("busy", True)
    order = requests_sent.matching(r"POST .*/abort|DELETE .*|GET /session/status")
    assert [line.split()[0] for line in order][-2:] == ["GET", "DELETE"], "it was seen idle right before the delete"
    assert f"POST /session/{session_id}/abort" in order
    assert acting.raw.get(f"/session/{session_id}").status_code == 404
    assert acting.error("delete_session", session_id=session_id)["code"] == "session_not_found"


def test_a_deleted_parent_takes_its_sub_agents_along(acting: Acting) -> None:
    """F36: nothing of a session tree is left behind a delete."""
    child = ToolCall("task", {"description": "sub work", "prompt": "short child", "subagent_type": "general"})
    acting.raw.model.when("parent goes", child, Text("done"))
    session_id = acting.create()
    acting.data("send_message", session_id=session_id, prompt="parent goes")
    child_id = acting.raw.get(f"/session/{session_id}/children").json()[0]["id"]
    acting.data("delete_session", session_id=session_id)
    assert acting.raw.get(f"/session/{child_id}").status_code == 404


@pytest.mark.parametrize("action", ["send_message", "run_task"])
def test_a_cancelled_call_stops_what_it_started(acting: Acting, settings: Settings, action: str) -> None:
    """F25: leaving does not stop a turn, so a cancelled call aborts it, sees it stopped, says so, and only then ends."""
    acting.raw.model.when("cancel me", Hang())
    arguments: dict[str, object] = {"prompt": "cancel me"}
    if action == "send_message":
        arguments["session_id"] = acting.create()
    policy = Policy()

    async def main() -> None:
        async with Host(settings, entry_points=False, plugins={"policy": policy}) as host, anyio.create_task_group() as tasks:
            tasks.start_soon(partial(host.invoke, action, arguments))
            called = partial(acting.raw.model.wait_until, lambda model: model.calls_with("cancel me"), SOON)
            assert await anyio.to_thread.run_sync(called)
            tasks.cancel_scope.cancel()

    anyio.run(main)
    assert acting.raw.statuses() == {}, "it was stopped when the call ended, not some time later"
    assert [event.facts["confirmed"] for event in policy.told("stopping")] == [True]
    assert [event.message for event in policy.told("stopping")] == ["the turn was aborted and is seen stopped"]
    assert len(policy.told("session_deleted")) == (1 if action == "run_task" else 0)


def test_a_call_cancelled_while_the_prompt_is_on_its_way_stops_it_too(
    acting: Acting, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F22, F25: the server has taken the prompt but its answer is not yet back: the turn would run unseen; it is found and stopped."""
    acting.raw.model.when("in flight", Hang())
    session_id = acting.create()
    send = httpx.AsyncHTTPTransport.handle_async_request
    policy = Policy()

    async def main() -> None:
        taken = anyio.Event()

        async def answer_held_back(transport: httpx.AsyncHTTPTransport, request: httpx.Request) -> httpx.Response:
            response = await send(transport, request)
            if request.url.path.endswith("/prompt_async"):
                taken.set()
                await anyio.sleep_forever()
            return response

        monkeypatch.setattr(httpx.AsyncHTTPTransport, "handle_async_request", answer_held_back)
        async with Host(settings, entry_points=False, plugins={"policy": policy}) as host, anyio.create_task_group() as tasks:
            tasks.start_soon(host.invoke, "send_message", {"session_id": session_id, "prompt": "in flight"})
            await taken.wait()
            tasks.cancel_scope.cancel()

    anyio.run(main)
    assert [event.facts["confirmed"] for event in policy.told("stopping")] == [True]
    assert acting.raw.statuses() == {}
    assert acting.raw.model.wait_until(lambda model: model.open_connections == 0, SOON)


def test_leaving_the_host_stops_its_calls(acting: Acting, settings: Settings) -> None:
    """Rule nothing-left: a call that runs when the host is left is stopped, verified, and its envelope says cancelled."""
    acting.raw.model.when("left alone", Hang())
    found: list[dict[str, object]] = []

    async def main() -> None:
        async with anyio.create_task_group() as tasks, Host(settings, entry_points=False) as host:

            async def call() -> None:
                found.append(await host.invoke("run_task", {"prompt": "left alone"}))

            tasks.start_soon(call)
            called = partial(acting.raw.model.wait_until, lambda model: model.calls_with("left alone"), SOON)
            assert await anyio.to_thread.run_sync(called)

    anyio.run(main)
    error = found[0]["error"]
    assert isinstance(error, dict) and error["code"] == "cancelled"
    assert acting.raw.statuses() == {}


def test_a_stop_of_one_session_leaves_its_neighbours_alone(acting: Acting) -> None:
    """Rule own-things-only: aborting one session of a directory does not touch another one there."""
    gate = acting.raw.model.gate("neighbour")
    acting.raw.model.when("neighbour", Gated(gate, "still ", "here"))
    neighbour = acting.started("neighbour")
    assert gate.wait_reached(SOON)
    acting.data("delete_session", session_id=hanging(acting, "to be deleted"))
    assert acting.raw.statuses() == {neighbour: {"type": "busy"}}
    waiting = acting.later("wait_for_session", session_id=neighbour)
    gate.open()
    assert data_of(waiting.result(SOON))["result"]["text"] == "still here"
