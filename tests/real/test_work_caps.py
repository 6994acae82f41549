"""Caps on the real server: a task that reaches one is stopped while it runs, sub-agents included, and what it did is kept."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from netclaw_opencode.host import Host
from netclaw_opencode.offline import Hang, Text, ToolCall, Usage
from netclaw_opencode.settings import Settings
from tests.real.acting import Acting, Json, Requests, error_of

pytestmark = pytest.mark.real


def bash(command: str) -> ToolCall:
    """A command of the agent."""
    return ToolCall("bash", {"command": command, "description": "work"})


def stopped_at(error: Json, cap: str) -> None:
    """The error of a cap: stopped and proved, with what was spent."""
    assert (error["code"], error["details"]["stopped"]["confirmed"]) == ("budget_exceeded", True)
    assert cap in error["message"] and error["details"]["spent"]["model_calls"] >= 1


def test_model_calls_are_capped_with_an_overshoot_of_one(acting: Acting) -> None:
    """The agent would go on for ever: after two calls it is stopped, at most one more was begun, and its work is in the error."""
    step = bash("echo x >> loop.txt")
    acting.raw.model.when("loop for ever", step, step, Hang())
    error = acting.error("run_task", prompt="loop for ever", max_model_calls=2)
    stopped_at(error, "max_model_calls is 2")
    assert len(acting.raw.model.calls_with("loop for ever")) <= 3, "the third one was begun before the second was seen to have ended"
    assert [item["path"] for item in error["details"]["files_changed"]] == ["loop.txt"]
    assert error["details"]["caps"] == {"max_model_calls": 2}
    Path(acting.directory, "loop.txt").unlink()


def test_a_model_that_answers_at_once_overshoots_by_one(acting: Acting, requests_sent: Requests) -> None:
    """Fifty calls as fast as they come: the abort goes out before anything is read, and the cap is passed by one call at most.

    How soon an abort arrives is up to the machine, so the middle one of three tries counts.
    """
    step = ToolCall("todowrite", {"todos": [{"content": "x", "status": "pending", "priority": "high", "id": "1"}]})
    calls = []
    for number in range(3):
        acting.raw.model.when(f"as fast as it goes {number}.", *[step] * 50, Text("Done."))
        requests_sent.seen.clear()
        stopped_at(acting.error("run_task", prompt=f"as fast as it goes {number}.", max_model_calls=3), "max_model_calls is 3")
        calls.append(len(acting.raw.model.calls_with(f"as fast as it goes {number}.")))
        aborted = next(place for place, line in enumerate(requests_sent.seen) if line.endswith("/abort"))
        assert [line for line in requests_sent.seen[:aborted] if line.endswith("/children")] == [], "the tree is looked at after the abort"
    assert sorted(calls)[1] <= 4, calls


def test_tokens_are_capped_and_a_task_that_ends_at_its_cap_is_done(acting: Acting) -> None:
    """Every token counts; a turn that has ended anyway is no failure, and a note says that it reached the cap."""
    acting.raw.model.when("many tokens", (bash("true"), Usage(900, 200)), Hang())
    stopped_at(acting.error("run_task", prompt="many tokens", max_tokens=1000), "max_tokens is 1000")
    assert len(acting.raw.model.calls_with("many tokens")) <= 2
    acting.raw.model.when("just one answer", (Text("Done."), Usage(900, 200)))
    done = acting.data("run_task", prompt="just one answer", max_tokens=1000)
    assert done["text"] == "Done."


def test_sub_agents_count_and_are_stopped(acting: Acting) -> None:
    """The child's calls are the task's: the whole tree is stopped, at most one call too far for each running session."""
    task = {"description": "dig", "prompt": "the child digs", "subagent_type": "general"}
    acting.raw.model.when("send a child", ToolCall("task", task), Text("never"))
    acting.raw.model.when("the child digs", bash("true"), bash("true"), bash("true"), bash("true"), Hang())
    error = acting.error("run_task", prompt="send a child", max_model_calls=4)
    stopped_at(error, "max_model_calls is 4")
    assert error["details"]["spent"]["sessions"] == 2
    parent, child = (len(acting.raw.model.calls_with(text)) for text in ("send a child", "the child digs"))
    assert (parent, parent + child <= 4 + 2) == (1, True)


def test_a_dollar_cap_needs_a_price_and_then_holds(in_git: Acting, requests_sent: Requests) -> None:
    """Without a price the cap could never be reached, so nothing is sent; with one the task is stopped at it."""
    error = in_git.error("run_task", prompt="priceless", directory=in_git.directory, max_cost_usd=0.01)
    assert (error["code"], requests_sent.prompts) == ("model_without_price", [])
    priced = Path(in_git.directory, "priced")
    priced.mkdir()
    models = {"scripted": {"cost": {"input": 10, "output": 10}}}
    (priced / "opencode.json").write_text(json.dumps({"provider": {"offline": {"models": models}}}))
    in_git.raw.model.when("costly", (bash("true"), Usage(900, 100)))
    in_git.raw.directory = str(priced)
    error = in_git.error("run_task", prompt="costly", directory=str(priced), max_cost_usd=0.015)
    stopped_at(error, "max_cost_usd is 0.015")
    assert 0.02 <= error["details"]["spent"]["cost_usd"] <= 0.031


def test_a_task_that_stands_still_is_stopped(acting: Acting) -> None:
    """A silent command and a silent model: no output, no step for a second."""
    acting.raw.model.when("sleep silently", bash("sleep 2237"), Text("never"))
    acting.raw.model.when("say nothing", Hang())
    for prompt in ("sleep silently", "say nothing"):
        error = acting.error("run_task", prompt=prompt, max_idle_seconds=1)
        assert (error["code"], error["details"]["stopped"]["confirmed"]) == ("stalled", True)


def test_a_policy_caps_what_callers_ask_for(acting: Acting, settings: Settings, tmp_path: Path) -> None:
    """The lower cap holds, and a turn that nobody would follow is not sent."""
    policy = tmp_path / "policy.yaml"
    policy.write_text("version: 1\ncaps: {max_model_calls: 1}\n")
    strict = Settings.from_environment({**settings.environ, "OPENCODE_DRIVER_POLICY": str(policy)})
    acting.raw.model.when("ask for more", bash("true"))
    session_id = acting.create()
    with Host(strict, entry_points=False) as host:
        error = error_of(host.call("run_task", prompt="ask for more", max_model_calls=50))
        stopped_at(error, "max_model_calls is 1")
        assert error_of(host.call("send_message_async", session_id=session_id, prompt="x"))["code"] == "caps_need_waiting"
