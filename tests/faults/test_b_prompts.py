"""B10, B11, B15-B17: what is sent, and to which model. Nothing that cannot be run reaches the server."""

from __future__ import annotations

import pytest

from netclaw_opencode.actions.arguments import PROMPT_BYTES
from tests.faults.bench import Bench
from tests.faults.guard import SESSION, Guard

SENDING = ("send_message", "send_message_async", "run_task", "run_plan_and_implement")
each_sending = pytest.mark.parametrize("action", SENDING)


def arguments_of(action: str, **more: object) -> dict[str, object]:
    """Arguments with which the action would run."""
    return {"prompt": "x", **({"session_id": SESSION} if action.startswith("send") else {}), **more}


@each_sending
@pytest.mark.parametrize("prompt", ["", " ", "\n\t \u3000\u2003"])
def test_b10_empty_prompt(guard: Guard, action: str, prompt: str) -> None:
    """B10: the server would run a turn for it."""
    guard.refused(action, "prompt", "is empty" if not prompt else "is blank", arguments=arguments_of(action, prompt=prompt))


@each_sending
@pytest.mark.parametrize("field", ["prompt", "system"])
def test_b11_prompt_above_the_cap(guard: Guard, action: str, field: str) -> None:
    """B11: counted in bytes, not in characters; one byte too much is told with size, cap and the way out."""
    if field == "system" and action == "run_plan_and_implement":
        return guard.nothing_sent()
    text = "ä" * (PROMPT_BYTES // 2) + "x"
    told = guard.refused(action, field, str(PROMPT_BYTES + 1), "1 MiB", "file", arguments=arguments_of(action, **{field: text}))
    assert "ä" not in told
    guard.refused(action, field, "1048576", arguments=arguments_of(action, **{field: "x" * (PROMPT_BYTES + 1)}))
    return None


@pytest.mark.real
def test_b11_prompt_of_exactly_the_cap(bench: Bench) -> None:
    """B11: the last byte that fits is not refused here: the call goes on, and asks the server for the session."""
    error = bench.error("send_message", session_id=SESSION, prompt="ä" * (PROMPT_BYTES // 2))
    assert error["code"] == "session_not_found"


@pytest.mark.parametrize("parts", [[], [{"type": "nonsense"}], [{"type": "text"}]])
def test_b15_parts_of_a_message(guard: Guard, parts: object) -> None:
    """B15: parts are made here from the prompt; who names them is told that the field is not known, and what is."""
    guard.refused("send_message", "'parts'", "prompt", arguments=arguments_of("send_message", parts=parts))


@each_sending
@pytest.mark.parametrize(
    "model",
    ["gpt-5", "", " ", "/gpt", "openai/", "open ai/gpt", "openai/gpt 5", " openai/gpt", "openai/gpt\n", 5, [], {"providerID": "openai"}],
)
def test_b16_model_without_a_provider(guard: Guard, action: str, model: object) -> None:
    """B16: the rule and an example are told; a model's own slashes are its own."""
    told = guard.refused(action, "model", "provider", arguments=arguments_of(action, model=model))
    assert "anthropic/claude-sonnet-4-5" in told or "providerID" in told


def test_b16_model_of_the_environment_and_of_the_fallbacks(guard: Guard) -> None:
    """B16: whoever names it: OPENCODE_DRIVER_MODEL, fallback_models and plan_model are read before anything is sent."""
    guard.refused("run_task", "'gpt-5'", arguments=arguments_of("run_task"), OPENCODE_DRIVER_MODEL="gpt-5")
    guard.refused("run_task", "'gpt-6'", arguments=arguments_of("run_task", fallback_models=["openai/gpt-5", "gpt-6"]))
    guard.refused("run_plan_and_implement", "'gpt-7'", arguments=arguments_of("run_plan_and_implement", plan_model="gpt-7"))
    guard.refused("create_session", "'gpt-5'", arguments={"model": "gpt-5"})


@pytest.mark.real
@pytest.mark.parametrize(
    ("field", "value", "code", "near"),
    [
        ("model", "offline/scriptet", "model_not_found", "offline/scripted"),
        ("model", "offlin/thinker", "model_not_found", "offline/thinker"),
        ("model", {"providerID": "offline", "modelID": "a/b/c"}, "model_not_found", "offline/a/b/c"),
        ("agent", "biuld", "agent_not_found", "build"),
    ],
)
@pytest.mark.parametrize("action", ["create_session", "run_task"])
def test_b17_provider_model_or_agent_that_is_not_there(bench: Bench, action: str, field: str, value: object, code: str, near: str) -> None:
    """B17: refused by name, with near ones, before anything is created; the server would answer 500, or 204 and nothing (F15)."""
    arguments = {field: value, "directory": bench.directory, **({"prompt": "x"} if action == "run_task" else {})}
    error = bench.error(action, **arguments)
    assert error["code"] == code and near in error["message"], error
    assert len(error["details"].get("near", [])) <= 5
    assert [item.route for item in bench.proxy.seen() if not item.route.startswith("GET ")] == []
