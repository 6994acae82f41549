"""L9 and L10: what the agent asks for and nobody decides. It is told so and goes on; or the turn stops; or the caller answers."""

from __future__ import annotations

from pathlib import Path

import pytest

from netclaw_opencode.facts import Decision
from netclaw_opencode.offline import Text, ToolCall
from netclaw_opencode.testing.waiting import SOON
from tests.faults.bench import Bench
from tests.life.conftest import OpenHost
from tests.real.acting import data_of, error_of

pytestmark = pytest.mark.real

STRAY = ToolCall("read", {"filePath": "/etc/hostname"})
"""A read outside the project: OpenCode asks for the permission external_directory."""
QUESTION = ToolCall(
    "question",
    {
        "questions": [
            {
                "question": "Which colour?",
                "header": "Colour",
                "options": [{"label": "Red", "description": ""}, {"label": "Blue", "description": ""}],
            }
        ]
    },
)


def told(bench: Bench, prompt: str) -> str:
    """What the tool's result told the model at the end of the turn."""
    return str(bench.model.calls_with(prompt)[-1].conversation.tool_results[-1])


def test_l09_stray_read_is_refused_with_words(bench: Bench) -> None:
    """L9, F60: by default the agent is told that nobody is there, works on, and the result lists what was refused."""
    bench.model.when("look around", STRAY, Text("I did without it."))
    data = bench.data("run_task", prompt="look around", directory=bench.directory)
    assert data["text"] == "I did without it."
    assert [(item["permission"], item["by"], item["answer"]) for item in data["refused"]] == [("external_directory", "default", "refuse")]
    assert "runs unattended" in told(bench, "look around")


def test_l09_two_stray_reads_at_once(bench: Bench) -> None:
    """L9, F60: a refusal takes with it what else the session waits for, and ends the turn; it is told to go on, and does."""
    bench.model.when("look twice", (STRAY, ToolCall("read", {"filePath": "/usr/share/doc"})))
    bench.model.when("What you asked for was refused", Text("I did without both."))
    data = bench.data("run_task", prompt="look twice", directory=bench.directory, keep_session=True)
    assert (data["text"], data["usage"]["model_calls"], len(data["refused"])) == ("I did without both.", 2, 2)
    later = bench.data("get_session_result", session_id=bench.remember(data["session_id"]))
    assert (later["text"], later["usage"]) == (data["text"], data["usage"])


def test_l09_stop(bench: Bench) -> None:
    """L9: on_request stop is the stricter form: the turn is stopped, and says what it asked for."""
    bench.model.when("look and stop", STRAY, Text("never"))
    error = bench.error("run_task", prompt="look and stop", directory=bench.directory, on_request="stop")
    assert (error["code"], error["details"]["stopped"]["confirmed"]) == ("permission_required", True)
    bench.seen_stopped()


@pytest.mark.parametrize("answer", ["once", "reject"])
def test_l09_return_and_go_on(bench: Bench, answer: str) -> None:
    """L9: on_request return hands the request back; the turn stays, and an answer of the caller goes on with it."""
    prompt = f"look and ask {answer}"
    bench.model.when(prompt, (Text("I look."), STRAY), Text("I have looked."))
    data = bench.data("run_task", prompt=prompt, directory=bench.directory, on_request="return")
    session_id = bench.remember(data["session_id"])
    assert (data["state"], data["text"], data["session_kept"], data["pending"][0]["permission"]) == (
        "waiting",
        "I look.",
        True,
        "external_directory",
    )
    assert session_id in bench.raw.statuses()
    waiting = bench.data("wait_for_session", session_id=session_id, wait_seconds=1)
    assert (waiting["state"], waiting["pending"]) == ("waiting", data["pending"])
    message = {} if answer == "once" else {"message": "Not that one."}
    bench.data("reply_permission", session_id=session_id, permission_id=data["pending"][0]["id"], answer=answer, **message)
    ended = bench.data("wait_for_session", session_id=session_id)
    assert (ended["done"], ended["result"]["text"]) == (True, "I have looked.")


def test_l09_a_waiting_task_outlives_its_caller_and_keeps_its_deadline(bench: Bench, settings_with: OpenHost) -> None:
    """L9: what was handed back is removed by no look for leftovers when its caller is gone, until its own deadline is over."""
    bench.model.when("hand it back", STRAY, Text("never"))
    data = bench.data("run_task", prompt="hand it back", directory=bench.directory, on_request="return", deadline_seconds=20)
    session_id = bench.remember(data["session_id"])
    with settings_with() as other:
        assert data_of(other.call("cleanup", dry_run=True))["sessions"] == []
    tag = bench.raw.wire.get(f"/session/{session_id}").json()["metadata"]["netclaw_opencode"]
    assert tag["deadline_ms"] > 0 and tag["message_id"] == data["message_id"]
    bench.data("abort_session", session_id=session_id)


def test_l09_default_of_the_policy_file(bench: Bench, tmp_path: Path, settings_with: OpenHost) -> None:
    """L9: the policy file says what becomes of undecided requests where a call does not."""
    policy = tmp_path / "policy.yaml"
    policy.write_text("version: 1\non_request: stop\n", encoding="utf-8")
    bench.model.when("by policy", STRAY, Text("went on"))
    with settings_with(OPENCODE_DRIVER_POLICY=str(policy)) as host:
        stopped = host.call("run_task", prompt="by policy", directory=bench.directory)
        refused = host.call("run_task", prompt="by policy", directory=bench.directory, on_request="refuse")
    assert error_of(stopped)["code"] == "permission_required"
    assert data_of(refused)["text"] == "went on"


def test_l10_nobody_can_answer(bench: Bench, settings_with: OpenHost) -> None:
    """L10, F60: where nobody could answer a question, the agent has no tool to ask one with."""
    bench.model.when("have you a question", Text("no"))
    with settings_with() as host:
        data_of(host.call("run_task", prompt="have you a question", directory=bench.directory))
    assert "question" not in bench.model.calls_with("have you a question")[-1].conversation.tool_names


def test_l10_the_agent_asks_and_nobody_answers(bench: Bench) -> None:
    """L10: a plugin could answer and does not: the agent is told to decide alone, and goes on."""
    bench.model.when("which colour", QUESTION, Text("I took red."))
    data = bench.data("run_task", prompt="which colour", directory=bench.directory)
    assert (data["text"], data["refused"][0]["questions"]) == ("I took red.", ["Which colour?"])
    assert "Decide for yourself" in told(bench, "which colour")


def test_l10_return_and_answer(bench: Bench) -> None:
    """L10: with on_request return the caller answers the question."""
    bench.model.when("a colour please", QUESTION, Text("blue it is"))
    data = bench.data("run_task", prompt="a colour please", directory=bench.directory, on_request="return")
    session_id = bench.remember(data["session_id"])
    assert data["pending"][0]["questions"][0]["options"] == ["Red", "Blue"]
    bench.data("reply_question", session_id=session_id, question_id=data["pending"][0]["id"], answers=[["Blue"]])
    assert bench.data("wait_for_session", session_id=session_id)["result"]["text"] == "blue it is"


def test_l09_sub_agent_asks(bench: Bench) -> None:
    """L9, F36: what a sub-agent asks for is refused with words, too, and both work on."""
    task = ToolCall("task", {"description": "look", "prompt": "look for me", "subagent_type": "general"})
    bench.model.when("send somebody", task, Text("They looked."))
    bench.model.when("look for me", STRAY, Text("I could not."))
    data = bench.data("run_task", prompt="send somebody", directory=bench.directory)
    assert data["text"] == "They looked."
    assert [item["session_id"] != data["session_id"] for item in data["refused"]] == [True]


def test_a_plugin_s_own_refusal_without_words_ends_the_turn(bench: Bench) -> None:
    """A plugin that rejects and says nothing means the end of the turn, as before."""
    bench.policy.decide = lambda _: Decision("reject")
    bench.model.when("ask the plugin", STRAY, Text("never"))
    error = bench.error("run_task", prompt="ask the plugin", directory=bench.directory)
    assert (error["code"], error["details"]["answered"][0]["by"]) == ("permission_required", "hook")
    assert bench.model.wait_until(lambda model: model.open_connections == 0, SOON)
