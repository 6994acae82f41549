"""L1, L2, L6, L8 and L35: how a turn that is not broken ends: after a compaction, in the cold, without a last word, in company."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from netclaw_opencode.offline import Empty, Gated, Status, Text, ToolCall, Usage
from netclaw_opencode.testing.waiting import SOON
from tests.faults.bench import Bench
from tests.real.acting import data_of, error_of
from tests.support.pace import stretched

pytestmark = pytest.mark.real
NEARLY_FULL = Usage(99_000, 100)
"""Tokens near the model's context of 100,000: OpenCode sums up the conversation before it goes on."""
CONTINUE = "Continue if you have next steps"


def shell(command: str) -> ToolCall:
    """A call of the shell tool."""
    return ToolCall("bash", {"command": command, "description": "work"})


def test_l01_context_is_compacted_once(bench: Bench) -> None:
    """L1, F58: the work goes on below a message of OpenCode's own; the answer is that of the end, and usage counts every call."""
    bench.model.script.summary = (Text("The task was to sort the shelves; one is done."), Usage(700, 30))
    bench.model.when("sort the shelves", (Text("I begin."), shell("echo one"), NEARLY_FULL))
    bench.model.when(CONTINUE, (shell("echo two"), Usage(900, 20)), (Text("All shelves are sorted."), Usage(950, 10)))
    data = bench.data("run_task", prompt="sort the shelves", directory=bench.directory)
    assert (data["text"], data["compactions"], data["finish"]) == ("All shelves are sorted.", 1, "stop")
    assert [item["text"] for item in data["messages"]] == ["I begin."]
    assert (data["usage"]["model_calls"], data["usage"]["input"]) == (4, 99_000 + 700 + 900 + 950)
    assert [item["tool"] for item in data["tools"]] == ["bash", "bash"]


def test_l01_context_is_compacted_twice(bench: Bench) -> None:
    """L1: a second compaction changes nothing of that; the verdict is the same for a caller that only looks at the turn."""
    bench.model.script.summary = (Text("So far so good."), Usage(700, 30))
    bench.model.when("count the stars", (shell("echo one"), NEARLY_FULL))
    steps = [(shell("echo two"), NEARLY_FULL), Text("There are many.")]
    bench.model.when(CONTINUE, lambda _: steps.pop(0))
    session_id = bench.create()
    data = bench.data("send_message", session_id=session_id, prompt="count the stars")
    assert (data["text"], data["compactions"], data["usage"]["model_calls"]) == ("There are many.", 2, 5)
    later = bench.data("get_session_result", session_id=session_id)
    assert (later["text"], later["compactions"], later["usage"]) == (data["text"], 2, data["usage"])


def test_l02_the_summary_fails(bench: Bench) -> None:
    """L2: what the provider says to the summary is the error of the turn, by its code."""
    bench.model.script.summary = Status(401)
    bench.model.when("sum up", (shell("echo one"), NEARLY_FULL))
    error = bench.error("run_task", prompt="sum up", directory=bench.directory)
    assert (error["code"], "scripted 401" in error["message"]) == ("provider_auth", True)
    bench.seen_stopped()


def test_l06_cold_directory(bench: Bench, tmp_path_factory: pytest.TempPathFactory) -> None:
    """L6, F59: the first prompt in a directory starts an instance, however long that takes; the turn is waited for."""
    cold = tmp_path_factory.mktemp("cold").resolve()
    bench.model.when("in the cold", Text("warm by now"))
    assert bench.data("run_task", prompt="in the cold", directory=str(cold))["text"] == "warm by now"


def test_l08_work_is_done_and_the_last_message_is_empty(bench: Bench) -> None:
    """L8, F63: what the agent had to say stands in an earlier message; with tools that worked, no text at all is a result, too."""
    bench.model.when("tidy up", (Text("I am tidying."), shell("echo tidy")), Empty())
    data = bench.data("run_task", prompt="tidy up", directory=bench.directory)
    assert (data["text"], data["empty_final"], data["messages"]) == ("I am tidying.", True, [])
    bench.model.when("work in silence", shell("echo silence"), Empty())
    data = bench.data("run_task", prompt="work in silence", directory=bench.directory)
    assert (data["text"], data["empty_final"], data["tools"][0]["status"]) == ("", True, "completed")


def test_l08_nothing_is_done_and_nothing_said(bench: Bench) -> None:
    """L8: empty_output is left for turns in which nothing at all was written or done."""
    bench.model.when("do nothing", Empty())
    assert bench.error("run_task", prompt="do nothing", directory=bench.directory)["code"] == "empty_output"


def test_l35_another_prompt_joins(bench: Bench) -> None:
    """L35: OpenCode answers a prompt that joins in ours' place; our share is told, and what runs for the other one is not stopped."""
    first, second = bench.model.gate("ours"), bench.model.gate("theirs")
    bench.model.when("our prompt", (Text("our share"), Gated(first, shell("echo one"))), Text("never"))
    bench.model.when("their prompt", Gated(second, "their answer"))
    running = bench.later("run_task", prompt="our prompt", directory=bench.directory, title="joined")
    assert first.wait_reached(SOON)
    session_id = next(item["id"] for item in bench.raw.wire.get("/session", params=bench.raw.here).json() if item["title"] == "joined")
    bench.raw.prompt_async(session_id, "their prompt").raise_for_status()
    first.open()
    assert second.wait_reached(SOON)
    error = error_of(running.result(SOON))
    assert (error["code"], error["details"]["partial_text"]) == ("prompt_joined", "our share")
    assert "stopped" not in error["details"] and session_id in bench.raw.statuses()
    second.open()
    bench.raw.wait_idle(session_id)
    assert bench.raw.answers(session_id)[-1]["finish"] == "stop", "their turn was left alone"
    bench.remember(session_id)


def test_l38_sub_agent_with_a_compaction_of_its_own(bench: Bench) -> None:
    """L38, F36: usage counts the sub-agent's calls, its summary's too."""
    bench.model.script.summary = (Text("The sub-agent has looked."), Usage(500, 5))
    task = ToolCall("task", {"description": "look", "prompt": "look closely", "subagent_type": "general"})
    bench.model.when("delegate it", (task, Usage(100, 1)), (Text("It was looked at."), Usage(110, 1)))
    bench.model.when("look closely", (shell("echo look"), NEARLY_FULL))
    bench.model.when(CONTINUE, (Text("seen"), Usage(600, 6)))
    data = bench.data("run_task", prompt="delegate it", directory=bench.directory)
    assert data["text"] == "It was looked at."
    assert (data["usage"]["sessions"], data["usage"]["model_calls"]) == (2, 5)
    assert data["usage"]["input"] == 100 + 110 + 99_000 + 500 + 600


DIGGER = {"description": "digs", "mode": "subagent", "permission": {"task": "allow"}}


def test_l38_a_stop_covers_nested_sub_agents(bench: Bench, workdir: Path) -> None:
    """L38: at the deadline the sub-agent below a sub-agent is stopped, too, and its usage up to then is nobody's loss."""
    (workdir / "opencode.json").write_text(json.dumps({"subagent_depth": 2, "agent": {"digger": DIGGER}}), encoding="utf-8")
    gate = bench.model.gate("bottom")
    bench.model.when("go deep", _dig("go deeper"), Text("up"))
    bench.model.when("go deeper", _dig("go deepest"), Text("up"))
    bench.model.when("go deepest", Gated(gate, "at ", "the bottom"))
    running = bench.later("run_task", prompt="go deep", directory=str(workdir), deadline_seconds=stretched(8))
    assert gate.wait_reached(SOON), running.result(SOON)
    error = error_of(running.result(60))
    assert (error["code"], error["details"]["stopped"]["confirmed"]) == ("turn_timeout", True), error
    assert len(error["details"]["stopped"]["children"]) == 2
    assert bench.raw.wire.get("/session/status", params={"directory": str(workdir)}).json() == {}
    assert bench.model.wait_until(lambda model: model.open_connections == 0, SOON)


def _dig(prompt: str) -> ToolCall:
    return ToolCall("task", {"description": "dig", "prompt": prompt, "subagent_type": "digger"})


def test_data_of_a_joined_turn_is_no_success(bench: Bench) -> None:
    """L35: a prompt that comes when our answer is complete takes nothing from it."""
    session_id = bench.create()
    data = data_of(bench.host.call("send_message", session_id=session_id, prompt="say hello"))
    assert data["text"] == "say hello"
    bench.raw.message(session_id, "say more").raise_for_status()
    mine = bench.data("get_session_result", session_id=session_id, message_id=data["message_id"])
    assert mine["text"] == "say hello"
