"""``run_task`` and ``run_plan_and_implement``: whole jobs, whose sessions are gone afterwards however they ended."""

from __future__ import annotations

from functools import partial

import anyio
import pytest

from netclaw_opencode.host import Host
from netclaw_opencode.offline import Finish, Gated, Hang, Part, Status, Text, ToolCall
from netclaw_opencode.settings import Settings
from netclaw_opencode.testing.server import all_sessions
from netclaw_opencode.testing.waiting import SOON
from tests.real.acting import UNKNOWN, Acting, Json, Requests, data_of, tool_processes, wait_gone
from tests.support.pace import stretched

pytestmark = pytest.mark.real


def sessions_here(acting: Acting) -> list[str]:
    """Every session of the test's directory, by raw HTTP."""
    return [str(item["id"]) for item in all_sessions(acting.raw.wire) if item["directory"] == acting.directory]


def test_a_task_runs_and_leaves_nothing(in_git: Acting) -> None:
    """Rules fresh-session, nothing-left: a session of its own, the result with files and evidence, and the session gone."""
    write = ToolCall("write", {"filePath": "${directory}/hello.py", "content": "print('hello')\n"})
    in_git.raw.model.when("write hello", write, Text("Written."))
    result = in_git.data("run_task", prompt="write hello", directory=in_git.directory)
    assert (result["text"], result["state"], result["session_kept"]) == ("Written.", "completed", False)
    assert [(item["path"], item["status"], item["additions"]) for item in result["files_changed"]] == [("hello.py", "added", 1)]
    assert result["cleanup"] == {"session_deleted": True, "stopped_confirmed": True}
    assert (sessions_here(in_git), in_git.raw.get(f"/session/{result['session_id']}").status_code) == ([], 404)
    kinds = [event.kind for event in in_git.policy.events]
    assert (kinds[0], kinds[-1]) == ("session_created", "session_deleted")
    assert {"status", "tool", "turn_finished"} <= set(kinds)


def test_a_kept_session_can_be_continued_by_a_fork(acting: Acting) -> None:
    """F28: keep_session leaves it, parent_id forks it: the second task knows the first, which stays as it was."""
    first = acting.data("run_task", prompt="remember the number 42", keep_session=True, title="Remember")
    parent = acting.remember(first["session_id"])
    assert (first["session_kept"], first["cleanup"]["session_deleted"]) == (True, False)
    before = acting.raw.messages(parent)
    second = acting.data("run_task", prompt="which number", parent_id=parent)
    assert (second["forked_from"], second["session_id"] != parent) == (parent, True)
    earlier = acting.raw.model.calls_with("which number")[0].conversation.earlier_prompts
    assert "remember the number 42" in str(earlier)
    assert (acting.raw.messages(parent), sessions_here(acting)) == (before, [parent])
    assert second["usage"]["model_calls"] == 1


def test_a_task_past_its_deadline_is_stopped_and_removed(acting: Acting) -> None:
    """Rules deadline, stop-verified, delete-after-stop: the command is ended, the stop is seen, then the session is deleted (F24)."""
    acting.raw.model.when("take long", ToolCall("bash", {"command": "sleep 2236", "description": "sleep"}), Text("never"))
    error = acting.error("run_task", prompt="take long", deadline_seconds=stretched(2))
    assert (error["code"], error["rule"]) == ("turn_timeout", "deadline")
    assert (error["details"]["stopped"]["confirmed"], error["details"]["cleanup"]["session_deleted"]) == (True, True)
    assert (acting.raw.statuses(), sessions_here(acting)) == ({}, [])
    wait_gone("sleep 2236")


@pytest.mark.parametrize(
    ("step", "code"),
    [(Status(401), "provider_auth"), (Finish("content_filter"), "provider_error"), (Text("  "), "empty_output")],
    ids=["refused", "filtered", "blank"],
)
def test_a_failed_task_leaves_nothing_either(acting: Acting, step: Part, code: str) -> None:
    """Rule nothing-left: whatever the ending, the session is gone, and the error says so."""
    acting.raw.model.when("fail", step)
    error = acting.error("run_task", prompt="fail")
    assert (error["code"], error["details"]["cleanup"]["session_deleted"]) == (code, True)
    assert sessions_here(acting) == []


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ({"model": "offline/nothing"}, "model_not_found"),
        ({"agent": "nobody"}, "agent_not_found"),
        ({"thinking": {"type": "enabled", "budget_tokens": 1000}}, "thinking_unsupported"),
        ({"output_schema": {"type": "objekt"}}, "invalid_input"),
        ({"directory": "relative"}, "invalid_input"),
        ({"deadline_seconds": 0}, "invalid_input"),
        ({"deadline_seconds": 86401}, "invalid_input"),
        ({"prompt": " \n "}, "invalid_input"),
        ({"parent_id": UNKNOWN}, "session_not_found"),
    ],
    ids=lambda value: str(next(iter(value))) if isinstance(value, dict) else "",
)
def test_what_cannot_run_makes_no_session(acting: Acting, requests_sent: Requests, arguments: Json, code: str) -> None:
    """F15, F21: refused before anything is created or sent."""
    error = acting.error("run_task", **({"prompt": "never"} | arguments))
    assert (error["code"], requests_sent.matching("POST .*")) == (code, [])
    assert acting.raw.model.calls_with("never") == ()


def test_thinking_schema_and_model_hold_for_a_task(acting: Acting) -> None:
    """The options of a message are those of a task: the variant reaches the model (F13), the answer comes back as data."""
    acting.raw.model.when("with all", Text('{"n": 7}'))
    result = acting.data(
        "run_task",
        prompt="with all",
        model={"providerID": "offline", "modelID": "budgeted"},
        thinking={"type": "enabled", "budget_tokens": 20_000},
        output_schema={"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]},
        system="Be brief.",
    )
    assert (result["structured"], result["thinking"]["variant"], result["model"]["modelID"]) == ({"n": 7}, "high", "budgeted")
    call = acting.raw.model.calls_with("with all")[0]
    assert (call.model, "Be brief." in call.conversation.system) == ("budgeted", True)


def test_a_plan_is_made_and_then_implemented_in_a_fresh_session(in_git: Acting) -> None:
    """Two sessions, both gone afterwards: the plan agent plans without changing files, and the builder is given the plan's text."""
    model = in_git.raw.model
    model.when("Make a plan for the following task", Text("1. Write hello.py\n2. Nothing else {really}"))
    write = ToolCall("write", {"filePath": "${directory}/hello.py", "content": "print('hello')\n"})
    model.when("Implement the following task", write, Text("Implemented."))
    done = in_git.data("run_plan_and_implement", prompt="Greet the {world}", directory=in_git.directory, plan_model="offline/thinker")
    plan, implementation = done["plan"], done["implementation"]
    assert (plan["text"], implementation["text"]) == ("1. Write hello.py\n2. Nothing else {really}", "Implemented.")
    assert plan["session_id"] != implementation["session_id"]
    assert ([item["path"] for item in implementation["files_changed"]], plan["files_changed"]) == (["hello.py"], [])
    planned, built = model.calls_with("Make a plan")[0], model.calls_with("Implement the following")[0]
    assert (planned.model, built.model) == ("thinker", "scripted")
    assert "Plan mode" in str(planned.messages) or "plan mode" in str(planned.messages), "the plan agent's own reminder"
    assert "plan mode" not in str(built.messages).lower()
    assert "2. Nothing else {really}" in built.conversation.prompt and "Greet the {world}" in built.conversation.prompt
    assert done["cleanup"] == {"sessions_deleted": [plan["session_id"], implementation["session_id"]], "sessions_kept": []}
    assert sessions_here(in_git) == []


def test_plan_and_implementation_can_be_kept(acting: Acting) -> None:
    """keep_sessions leaves both, each fit to be continued by a fork."""
    done = acting.data("run_plan_and_implement", prompt="Keep them", keep_sessions=True)
    ids = [acting.remember(done[half]["session_id"]) for half in ("plan", "implementation")]
    assert (done["cleanup"]["sessions_kept"], sorted(sessions_here(acting))) == (ids, sorted(ids))


@pytest.mark.parametrize("half", ["Make a plan", "Implement the following"], ids=["plan", "implementation"])
def test_where_one_half_fails_nothing_is_left(acting: Acting, half: str) -> None:
    """Rule nothing-left: the failure of either half ends the job with that code, and both sessions are gone."""
    acting.raw.model.when(half, Status(401))
    assert acting.error("run_plan_and_implement", prompt="Half of it")["code"] == "provider_auth"
    assert sessions_here(acting) == []
    assert len(acting.raw.model.calls_with("Implement the following")) == (0 if half == "Make a plan" else 1)


def test_plan_and_implementation_share_one_deadline(acting: Acting) -> None:
    """Rule deadline: the second half gets what the first one left."""
    acting.raw.model.when("Implement the following", Hang())
    error = acting.error("run_plan_and_implement", prompt="Too slow", deadline_seconds=stretched(2))
    assert (error["code"], acting.raw.statuses(), sessions_here(acting)) == ("turn_timeout", {}, [])


def test_four_tasks_at_once_share_a_stream_and_keep_apart(acting: Acting, settings: Settings, requests_sent: Requests) -> None:
    """F31, F41, S32: four turns that truly run at the same time, one event stream, and each result is its own."""
    model = acting.raw.model
    gate = model.gate("together")
    for number in range(4):
        write = ToolCall("write", {"filePath": f"${{directory}}/parallel-{number}.txt", "content": f"{number}\n"})
        model.when(f"task number {number}", (Gated(gate, ""), write), Text(f"answer {number}"))
    found: dict[int, Json] = {}

    async def main() -> None:
        async with Host(settings, entry_points=False) as host, anyio.create_task_group() as tasks:

            async def one(number: int) -> None:
                found[number] = data_of(await host.invoke("run_task", {"prompt": f"task number {number}"}))

            for number in range(4):
                tasks.start_soon(one, number)
            assert await anyio.to_thread.run_sync(partial(gate.wait_reached, SOON, count=4)), "all four ran at once"
            gate.open()

    anyio.run(main)
    for number, result in sorted(found.items()):
        assert (result["text"], [item["path"] for item in result["files_changed"]]) == (f"answer {number}", [f"parallel-{number}.txt"])
        assert result["usage"]["model_calls"] == 2
    assert len({result["session_id"] for result in found.values()}) == 4
    assert requests_sent.matching("GET /global/event") == ["GET /global/event"]
    assert len(requests_sent.prompts) == 4
    assert sessions_here(acting) == []


def test_no_process_of_a_tool_is_left_by_these_tests() -> None:
    """Rule nothing-left: none of the commands above survived its turn (F5)."""
    assert tool_processes("sleep 2236") == []


def test_a_cut_plan_is_not_implemented(acting: Acting) -> None:
    """no-silence: a plan that hit the output limit ends the job with the plan so far; nothing is built on half of it."""
    acting.raw.model.when("cut the plan", (Text("1. begin"), Finish("length")))
    error = acting.error("run_plan_and_implement", prompt="cut the plan")
    assert (error["code"], error["details"]["plan"]) == ("turn_incomplete", "1. begin")
    assert len(acting.raw.model.calls_with("cut the plan")) == 1
