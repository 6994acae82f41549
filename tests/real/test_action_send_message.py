"""``send_message`` that succeeds: text, files, usage, model, thinking, structured output, each with its evidence."""

from __future__ import annotations

from pathlib import Path

import pytest

from netclaw_opencode.offline import ControlCharacters, Finish, Text, ToolCall, Usage
from netclaw_opencode.offline.steps import CONTROL_TEXT
from tests.real.acting import Acting, Json
from tests.support.raw import field

pytestmark = pytest.mark.real
SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}, "name": {"type": "string"}}, "required": ["n", "name"]}
CHANGES = (
    ToolCall("write", {"filePath": "${directory}/new.txt", "content": "one\ntwo\n"}),
    ToolCall("edit", {"filePath": "${directory}/new.txt", "oldString": "two", "newString": "TWO"}),
    ToolCall("bash", {"command": "echo made > shell.txt; rm kept.txt", "description": "change files"}),
    Text("done"),
)


def sent(acting: Acting, prompt: str, **arguments: object) -> Json:
    """The result of one prompt in a fresh session."""
    return acting.data("send_message", session_id=acting.create(), prompt=prompt, **arguments)


def test_the_answer_comes_with_evidence_from_the_message_store(acting: Acting) -> None:
    """Text, finish, model and statuses are what the store shows for *our* message id (F27, F41; rules send-once, no-silence)."""
    session_id = acting.create()
    result = acting.data("send_message", session_id=session_id, prompt="say it")
    user, answer = (field(item, "info") for item in acting.raw.messages(session_id))
    assert (result["state"], result["text"], result["finish"], result["session_id"]) == ("completed", "say it", "stop", session_id)
    assert (result["message_id"], user["role"], answer["parentID"]) == (user["id"], "user", user["id"])
    assert result["model"] == {"providerID": "offline", "modelID": "scripted"}
    evidence = result["evidence"]
    assert (evidence["assistant_message_id"], evidence["parent_id"]) == (answer["id"], user["id"])
    assert (evidence["decided_by"], evidence["finish"], evidence["assistant_messages"]) == ("message_store", "stop", 1)
    assert evidence["statuses"][0] == "busy" and evidence["events"] > 0
    assert (result["files_changed"], result["tools"], result["notes"]) == ([], [], [])
    assert set(result["phases"]) >= {"preflight", "send", "turn"}
    assert sum(result["phases"].values()) <= result["elapsed_seconds"] + 0.01


def test_in_a_git_repository_every_changed_file_is_told(in_git: Acting) -> None:
    """Files written, edited and removed by tools and by the shell, each with status, counts and diff, net of the whole turn."""
    in_git.raw.model.when("change files", *CHANGES)
    result = sent(in_git, "change files")
    changed = {item["path"]: item for item in result["files_changed"]}
    assert {path: (item["status"], item["additions"], item["deletions"]) for path, item in changed.items()} == {
        "kept.txt": ("deleted", 0, 1),
        "new.txt": ("added", 2, 0),
        "shell.txt": ("added", 1, 0),
    }
    assert "+TWO" in changed["new.txt"]["diff"] and "-kept" in changed["kept.txt"]["diff"]
    assert [(tool["tool"], tool["status"]) for tool in result["tools"]] == [(name, "completed") for name in ("write", "edit", "bash")]
    assert (result["notes"], result["usage"]["model_calls"]) == ([], 4)


def test_outside_git_every_change_is_told(acting: Acting) -> None:
    """Without a repository, too, what the shell changed is in the result, beside what the tools of write and edit did."""
    for name in ("new.txt", "shell.txt"):
        Path(acting.directory, name).unlink(missing_ok=True)
    acting.raw.model.when("change files", *CHANGES)
    result = sent(acting, "change files")
    changed = {item["path"]: item for item in result["files_changed"]}
    assert {path: item["by"] for path, item in changed.items()} == {"new.txt": "tool", "shell.txt": "command"}
    assert changed["new.txt"]["status"] == "added"
    assert "+TWO" in changed["new.txt"]["diff"] and "+one" in changed["new.txt"]["diff"]
    assert [note for note in result["notes"] if "shell commands" in note] == []


def test_usage_is_the_server_s_count(acting: Acting) -> None:
    """Tokens are summed over the turn's model calls, thinking and cache apart, and the total is their sum."""
    step = (Text("x"), Usage(1000, 50, reasoning_tokens=10, cached_tokens=400))
    acting.raw.model.when("count", (ToolCall("bash", {"command": "true", "description": "t"}), Usage(100, 20)), step)
    usage = sent(acting, "count")["usage"]
    assert {key: usage[key] for key in ("input", "output", "reasoning", "cache_read", "cache_write", "total")} == {
        "input": 700,
        "output": 60,
        "reasoning": 10,
        "cache_read": 400,
        "cache_write": 0,
        "total": 1170,
    }
    assert (usage["sessions"], usage["model_calls"]) == (1, 2)


def test_usage_includes_sub_agents(acting: Acting) -> None:
    """F36: the server counts a sub-agent in its own session only; the result sums the tree and says how many sessions that is."""
    child = ToolCall("task", {"description": "sub work", "prompt": "usage child", "subagent_type": "general"})
    acting.raw.model.when("usage parent", (child, Usage(100, 10)), (Text("parent done"), Usage(200, 20)))
    acting.raw.model.when("usage child", (Text("child done"), Usage(1000, 300)))
    result = sent(acting, "usage parent")
    usage = result["usage"]
    assert (usage["input"], usage["output"], usage["sessions"], usage["model_calls"]) == (1300, 330, 2, 3)
    assert (result["text"], [tool["tool"] for tool in result["tools"]]) == ("parent done", ["task"])


@pytest.mark.parametrize("model", ["offline/thinker", {"providerID": "offline", "modelID": "thinker"}], ids=["text", "object"])
def test_a_model_is_taken_in_both_forms(acting: Acting, model: object) -> None:
    """``provider/model`` and ``{providerID, modelID}`` choose the same model (F12, F14)."""
    assert sent(acting, "which model", model=model)["model"]["modelID"] == "thinker"
    assert [call.model for call in acting.raw.model.calls_with("which model")] == ["thinker"]


@pytest.mark.parametrize(
    ("arguments", "code", "near"),
    [
        ({"model": "offline/scriptd"}, "model_not_found", "offline/scripted"),
        ({"model": {"providerID": "ofline", "modelID": "thinker"}}, "model_not_found", "offline/thinker"),
        ({"model": "thinker"}, "invalid_input", "provider/model"),
        ({"model": {"id": "thinker", "providerID": "offline"}}, "invalid_input", "modelID"),
        ({"agent": "biuld"}, "agent_not_found", "build"),
    ],
    ids=["model", "provider", "no-provider", "wrong-keys", "agent"],
)
def test_an_unknown_model_or_agent_is_refused_before_sending(acting: Acting, arguments: Json, code: str, near: str) -> None:
    """F15: the server would take it and say nothing. Here no model is called, no message is stored, and near names are given."""
    session_id = acting.create()
    error = acting.error("send_message", session_id=session_id, prompt="never sent", **arguments)
    assert (error["code"], near in error["message"], error["retryable"]) == (code, True, False)
    assert acting.raw.messages(session_id) == []
    assert acting.raw.model.calls_with("never sent") == ()


@pytest.mark.parametrize(
    ("model", "thinking", "variant", "effort"),
    [
        ("offline/budgeted", {"type": "enabled", "budget_tokens": 9000}, "medium", None),
        ("offline/budgeted", {"type": "enabled"}, "high", None),
        ("offline/thinker", {"type": "enabled", "budget_tokens": 100}, "low", "low"),
    ],
    ids=["nearest", "strongest", "by-effort"],
)
def test_thinking_is_mapped_to_the_nearest_variant(acting: Acting, model: str, thinking: Json, variant: str, effort: str | None) -> None:
    """F13: the server ignores ``thinking``; what reaches the model is the variant, and the result says which one was used."""
    result = sent(acting, "think", model=model, thinking=thinking)
    assert result["thinking"]["variant"] == variant
    assert result["thinking"].get("requested_budget_tokens") == thinking.get("budget_tokens")
    assert result["model"]["variant"] == variant
    body = acting.raw.model.calls_with("think")[0].body
    if effort is not None:
        assert body["reasoning_effort"] == effort
    else:
        assert body["thinking"] == {"type": "enabled", "budgetTokens": result["thinking"]["variant_budget_tokens"]}


def test_thinking_is_refused_where_it_would_be_ignored(acting: Acting) -> None:
    """F13: a model without variants cannot be given a budget; the refusal comes before anything is sent."""
    session_id = acting.create()
    arguments = {"session_id": session_id, "prompt": "think in vain"}
    error = acting.error("send_message", **arguments, model="offline/scripted", thinking={"type": "enabled", "budget_tokens": 9000})
    assert (error["code"], acting.raw.model.calls_with("think in vain")) == ("thinking_unsupported", ())
    # Not to think is what such a model does anyway.
    result = acting.data("send_message", **arguments, model="offline/scripted", thinking={"type": "disabled"})
    assert "thinking" not in result


@pytest.mark.parametrize(
    "answer",
    ['{"n": 3, "name": "x"}', 'Here it is:\n```json\n{"n": 3, "name": "x"}\n```\n', 'So: {"n": 3, "name": "x"}.'],
    ids=["plain", "fenced", "in-prose"],
)
def test_an_answer_that_fits_the_schema_is_returned_as_data(acting: Acting, answer: str) -> None:
    """The model is told the schema, its JSON is checked against it and returned beside the exact text (F30 is not used)."""
    acting.raw.model.when("as data", Text(answer))
    result = sent(acting, "as data", output_schema=SCHEMA)
    assert (result["structured"], result["text"]) == ({"n": 3, "name": "x"}, answer)
    assert '"required": ["n", "name"]' in acting.raw.model.calls_with("as data")[0].conversation.system


@pytest.mark.parametrize(
    ("answer", "why"),
    [('{"n": "three", "name": "x"}', "n"), ('{"n": 3}', "name"), ("I would rather not.", "no JSON")],
    ids=["wrong-type", "missing", "no-json"],
)
def test_an_answer_that_breaks_the_schema_is_no_success(acting: Acting, answer: str, why: str) -> None:
    """The server would accept it; here it is structured_output_failed, which says what is wrong and shows the text."""
    acting.raw.model.when("as data", Text(answer))
    error = acting.error("send_message", session_id=acting.create(), prompt="as data", output_schema=SCHEMA)
    assert (error["code"], why in error["message"], error["details"]["text"]) == ("structured_output_failed", True, answer)


def test_a_schema_that_is_none_is_refused_before_sending(acting: Acting) -> None:
    """An ``output_schema`` with a mistake is invalid input; no model is called."""
    error = acting.error("send_message", session_id=acting.create(), prompt="no schema", output_schema={"type": "objekt"})
    assert (error["code"], acting.raw.model.calls_with("no schema")) == ("invalid_input", ())


def test_hostile_text_stays_exact(acting: Acting) -> None:
    """F51: escape sequences, bidi controls, NUL and CRLF of an answer are data: they come back character by character."""
    acting.raw.model.when("be hostile", ControlCharacters())
    assert sent(acting, "be hostile")["text"] == CONTROL_TEXT


def test_a_cut_answer_is_flagged(acting: Acting) -> None:
    """A model that ran into its output limit (finish ``length``) did answer, and the result says that it is cut."""
    acting.raw.model.when("be long", (Text("the first half"), Finish("length")))
    result = sent(acting, "be long")
    assert (result["text"], result["finish"], result["truncated"], result["filtered"]) == ("the first half", "length", True, False)


def test_system_text_and_agent_reach_the_model(acting: Acting) -> None:
    """``system`` is added for this turn, and the agent's own tools are offered: ``plan`` is told not to edit."""
    sent(acting, "with system", system="Speak like a pirate.", agent="plan")
    call = acting.raw.model.calls_with("with system")[0]
    assert "Speak like a pirate." in call.conversation.system
    assert "plan" in str(call.messages).lower()
