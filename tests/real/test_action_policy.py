"""Nobody waits: permissions and questions on the real server, decided by a hook, then by a policy file, then refused.

Rule nobody-waits. The sessions are made by raw HTTP with permissions on "ask"; what was answered is checked in the result,
in the audit file, and in what the agent's model was told.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from netclaw_opencode.facts import Decision, PendingRequest
from netclaw_opencode.offline import Text, ToolCall
from netclaw_opencode.settings import Settings
from netclaw_opencode.testing.server import OpenCodeServer
from netclaw_opencode.testing.waiting import SOON, wait_until
from tests.real.acting import Acting, Json, Requests, data_of, settings_of

pytestmark = pytest.mark.real

ASK = [{"permission": name, "pattern": "*", "action": "ask"} for name in ("bash", "edit")]
WRITE = ToolCall("write", {"filePath": "${directory}/made.txt", "content": "made\n"})
ALLOW_EDIT = {"permission": "edit", "pattern": "*made.txt", "answer": "allow_once"}
Rules = Callable[..., None]


def bash(command: str) -> ToolCall:
    """The agent runs a command."""
    return ToolCall("bash", {"command": command, "description": "a command"})


def question(*options: str) -> ToolCall:
    """The agent asks which database to use."""
    labels = [{"label": label, "description": label} for label in options]
    return ToolCall("question", {"questions": [{"question": "Which database shall I use?", "header": "Database", "options": labels}]})


@pytest.fixture
def policy_file(tmp_path: Path) -> Path:
    """Where the policy of the test stands."""
    return tmp_path / "policy.yaml"


@pytest.fixture
def audit_file(tmp_path: Path) -> Path:
    """Where answers are recorded."""
    return tmp_path / "answers.jsonl"


@pytest.fixture
def settings(opencode_server: OpenCodeServer, tmp_path: Path, place: Path, policy_file: Path, audit_file: Path) -> Settings:
    """The way to the test server, with a policy that has no rule yet."""
    policy_file.write_text("version: 1\n", encoding="utf-8")
    return settings_of(
        opencode_server,
        tmp_path,
        OPENCODE_DRIVER_DIRECTORY=str(place),
        OPENCODE_DRIVER_POLICY=str(policy_file),
        OPENCODE_DRIVER_AUDIT=str(audit_file),
    )


@pytest.fixture
def rules(policy_file: Path) -> Rules:
    """Write the policy; it is read anew for each turn."""

    def write(*permissions: Json, **more: object) -> None:
        policy_file.write_text(json.dumps({"version": 1, "permissions": list(permissions), **more}), encoding="utf-8")

    return write


@pytest.fixture
def made(place: Path) -> Path:
    """The file that the agent wants to write."""
    found = place / "made.txt"
    found.unlink(missing_ok=True)
    return found


def asking(acting: Acting) -> str:
    """A session in which shell and edits are asked for."""
    return acting.remember(acting.raw.create(permission=ASK))


def answers(result: Json) -> list[tuple[object, ...]]:
    """What was asked, answered, and by whom."""
    return [(item.get("permission", "question"), item["answer"], item["by"], item.get("rule")) for item in result.get("answered", [])]


def audited(audit_file: Path) -> list[Json]:
    """The records of the audit file."""
    return [json.loads(line) for line in audit_file.read_text(encoding="utf-8").splitlines()]


def test_what_the_policy_allows_is_done_and_recorded(acting: Acting, rules: Rules, made: Path, audit_file: Path) -> None:
    """An edit and a command, each allowed once: the turn completes, the file is there, and result and audit tell of both."""
    rules(ALLOW_EDIT, {"permission": "bash", "pattern": "cat *", "answer": "allow_once"})
    acting.raw.model.when("write and read", WRITE, bash("cat made.txt"), Text("done"))
    session_id = asking(acting)
    result = acting.data("send_message", session_id=session_id, prompt="write and read")
    assert (result["text"], made.read_text(encoding="utf-8")) == ("done", "made\n")
    assert answers(result) == [("edit", "allow_once", "policy", 1), ("bash", "allow_once", "policy", 2)]
    assert result["answered"][1]["patterns"] == ["cat made.txt"]
    records = audited(audit_file)
    assert [(item["event"], item["permission"], item["answer"], item["by"]) for item in records] == [
        ("answer", "edit", "allow_once", "policy"),
        ("answer", "bash", "allow_once", "policy"),
    ]
    assert {(item["session_id"], item["message_id"]) for item in records} == {(session_id, result["message_id"])}
    assert audit_file.stat().st_mode & 0o777 == 0o600


def test_an_allowed_request_is_asked_for_again_next_time(acting: Acting, rules: Rules, made: Path) -> None:
    """``allow_once`` is once: the same write later asks again, and a policy that changed meanwhile does not allow it."""
    rules(ALLOW_EDIT)
    acting.raw.model.when("write", WRITE, Text("done"))
    acting.data("send_message", session_id=asking(acting), prompt="write")
    made.unlink()
    rules()
    result = acting.data("send_message", session_id=asking(acting), prompt="write")
    assert (answers(result), made.exists()) == ([("edit", "refuse", "default", None)], False)


def test_a_refusal_with_a_message_goes_back_to_the_agent(acting: Acting, rules: Rules, made: Path) -> None:
    """The turn goes on, the model reads why, and the result says so."""
    rules({"permission": "edit", "pattern": "*", "answer": "refuse", "message": "The tree is frozen today."})
    acting.raw.model.when("write", WRITE, Text("I left it alone."))
    result = acting.data("send_message", session_id=asking(acting), prompt="write")
    assert (result["text"], made.exists()) == ("I left it alone.", False)
    assert answers(result) == [("edit", "refuse", "policy", 1)]
    assert result["answered"][0]["message"] == "The tree is frozen today."
    assert "The tree is frozen today." in acting.raw.model.calls_with("write")[-1].conversation.tool_results[0]


def test_a_refusal_without_a_message_is_explained(acting: Acting, rules: Rules, made: Path) -> None:
    """F60: the agent is told in words of ours that nobody is there, and goes on; the result says who refused what."""
    rules({"permission": "edit", "pattern": "*", "answer": "refuse"})
    acting.raw.model.when("write", WRITE, Text("I did without."))
    result = acting.data("send_message", session_id=asking(acting), prompt="write")
    assert (result["text"], answers(result), made.exists()) == ("I did without.", [("edit", "refuse", "policy", 1)], False)
    assert "Nobody is there to grant this" in acting.raw.model.calls_with("write")[-1].conversation.tool_results[0]


def test_what_no_rule_matches_can_end_the_turn(acting: Acting, rules: Rules, made: Path) -> None:
    """With ``on_request: stop`` the call fails with ``permission_required``, and says what was asked for."""
    rules({"permission": "bash", "pattern": "*", "answer": "allow_once"})
    acting.raw.model.when("write", WRITE, Text("never said"))
    error = acting.error("send_message", session_id=asking(acting), prompt="write", on_request="stop")
    assert (error["code"], error["rule"]) == ("permission_required", "nobody-waits")
    assert answers(error["details"]) == [("edit", "refuse", "default", None)]
    assert (error["details"]["stopped"]["confirmed"], made.exists()) == (True, False)


def test_what_no_rule_matches_is_refused_by_default(acting: Acting, rules: Rules, made: Path, audit_file: Path) -> None:
    """A policy for other things allows nothing: the agent goes on without, and the refusal is recorded as nobody's."""
    rules(
        {"permission": "bash", "pattern": "*", "answer": "allow_once"},
        {"permission": "edit", "pattern": "other.txt", "answer": "allow_once"},
    )
    acting.raw.model.when("write", WRITE, Text("I did without."))
    result = acting.data("send_message", session_id=asking(acting), prompt="write")
    assert answers(result) == [("edit", "refuse", "default", None)] and len(result["refused"]) == 1
    assert [item["by"] for item in audited(audit_file)] == ["default"]
    assert not made.exists()


def test_the_hook_comes_before_the_policy(acting: Acting, rules: Rules, made: Path) -> None:
    """A plugin's answer counts, whichever way the policy would have decided; without one the policy does."""
    acting.raw.model.when("write", WRITE, Text("done"))
    rules({"permission": "edit", "pattern": "*", "answer": "refuse"})
    acting.policy.decide = lambda _request: Decision("once")
    allowed = acting.data("send_message", session_id=asking(acting), prompt="write")
    assert (answers(allowed), made.exists()) == ([("edit", "allow_once", "hook", None)], True)
    made.unlink()
    rules(ALLOW_EDIT)
    acting.policy.decide = lambda _request: Decision("reject", message="The hook says no.")
    refused = acting.data("send_message", session_id=asking(acting), prompt="write")
    assert (answers(refused), made.exists()) == ([("edit", "refuse", "hook", None)], False)
    acting.policy.decide = lambda _request: None
    left = acting.data("send_message", session_id=asking(acting), prompt="write")
    assert (answers(left), made.exists()) == ([("edit", "allow_once", "policy", 1)], True)


def test_a_hook_that_fails_does_not_leave_it_to_the_policy(acting: Acting, rules: Rules, made: Path) -> None:
    """A guard that fails lets nothing through."""

    def fails(_request: PendingRequest) -> Decision:
        raise ValueError("broken")

    rules(ALLOW_EDIT)
    acting.policy.decide = fails
    acting.raw.model.when("write", WRITE, Text("never said"))
    error = acting.error("send_message", session_id=asking(acting), prompt="write")
    assert (error["code"], made.exists()) == ("permission_required", False)
    assert answers(error["details"]) == [("edit", "refuse", "hook", None)]


def test_every_part_of_a_command_must_be_allowed(acting: Acting, rules: Rules, made: Path) -> None:
    """A pipe of an allowed command into another one asks for both: one rule for the first is not enough."""
    rules({"permission": "bash", "pattern": "echo *", "answer": "allow_once"})
    acting.raw.model.when("chain", bash("echo one && touch made.txt"), Text("I did without."))
    result = acting.data("send_message", session_id=asking(acting), prompt="chain")
    assert result["refused"][0]["patterns"] == ["echo one", "touch made.txt"]
    assert not made.exists()


def test_a_path_is_matched_where_it_leads(acting: Acting, rules: Rules, made: Path, place: Path) -> None:
    """Dots in a path do not smuggle a file out of an allowed folder: the server asks for the path as it is."""
    rules({"permission": "edit", "pattern": "*/inside/*", "answer": "allow_once"})
    acting.raw.model.when("smuggle", ToolCall("write", {"filePath": f"{place}/inside/../made.txt", "content": "x"}), Text("I did without."))
    result = acting.data("send_message", session_id=asking(acting), prompt="smuggle")
    (asked,) = result["refused"][0]["patterns"]
    assert ".." not in asked and asked.endswith("made.txt")
    assert not made.exists()


def test_two_requests_at_once_are_answered_each_by_its_rule(acting: Acting, rules: Rules, made: Path) -> None:
    """The allowed one is answered first: a refusal takes everything else with it, and here comes with a message."""
    rules({"permission": "bash", "pattern": "*", "answer": "refuse", "message": "No shell."}, ALLOW_EDIT)
    acting.raw.model.when("both", (bash("true"), WRITE), Text("half of it"))
    result = acting.data("send_message", session_id=asking(acting), prompt="both")
    assert (result["text"], made.exists()) == ("half of it", True)
    assert sorted(answers(result)) == [("bash", "refuse", "policy", 1), ("edit", "allow_once", "policy", 2)]


def test_a_question_is_answered_by_the_policy(acting: Acting, rules: Rules, audit_file: Path) -> None:
    """The first matching rule's labels are chosen; the agent reads them."""
    rules(questions=[{"contains": "which language", "choose": ["Ada"]}, {"header": "database", "choose": ["SQLite"]}])
    acting.raw.model.when("ask me", question("PostgreSQL", "SQLite"), Text("SQLite it is."))
    result = acting.data("send_message", session_id=asking(acting), prompt="ask me")
    assert answers(result) == [("question", "choose", "policy", 2)]
    assert (result["answered"][0]["chosen"], result["answered"][0]["questions"]) == ([["SQLite"]], ["Which database shall I use?"])
    assert '="SQLite"' in acting.raw.model.calls_with("ask me")[-1].conversation.tool_results[0]
    assert audited(audit_file)[0]["chosen"] == [["SQLite"]]


def test_a_label_that_is_not_offered_is_not_chosen(acting: Acting, rules: Rules) -> None:
    """The question is answered by nobody: the agent is told to decide for itself, and the result says which it was."""
    rules(questions=[{"header": "Database", "choose": ["MySQL"]}])
    acting.raw.model.when("ask me", question("PostgreSQL", "SQLite"), Text("I took SQLite."))
    result = acting.data("send_message", session_id=asking(acting), prompt="ask me")
    assert (result["text"], answers(result)) == ("I took SQLite.", [("question", "refuse", "default", None)])
    assert "Decide for yourself" in acting.raw.model.calls_with("ask me")[-1].conversation.tool_results[0]


def test_a_sub_agent_is_under_the_same_policy(acting: Acting, rules: Rules, workdir: Path) -> None:
    """What a sub-agent asks for is answered too, and told with its own session (F36)."""
    (workdir / "opencode.json").write_text(json.dumps({"permission": {"edit": "ask"}}), encoding="utf-8")
    acting.raw.directory = str(workdir)
    rules(ALLOW_EDIT)
    task = ToolCall("task", {"description": "sub work", "prompt": "child: write", "subagent_type": "general"})
    acting.raw.model.when("delegate", task, Text("delegated"))
    acting.raw.model.when("child: write", WRITE, Text("written"))
    session_id = acting.create()
    (answered,) = acting.data("send_message", session_id=session_id, prompt="delegate")["answered"]
    assert (answered["permission"], answered["answer"], answered["session_id"] != session_id) == ("edit", "allow_once", True)
    assert (workdir / "made.txt").read_text(encoding="utf-8") == "made\n"


@pytest.mark.parametrize("action", ["run_task", "send_message", "send_message_async", "run_plan_and_implement"])
@pytest.mark.parametrize("text", ["version: 2\n", "version: 1\npermissions:\n  - {permission: bash, pattern: x, answer: always}\n"])
def test_with_an_invalid_policy_nothing_is_sent(action: str, text: str, acting: Acting, policy_file: Path, requests_sent: Requests) -> None:
    """The error names file, line and column; no session is made and no prompt is posted."""
    session = {"session_id": acting.raw.create()} if action.startswith("send") else {}
    acting.remember(session.get("session_id", "ses_00000000000000000000000000"))
    policy_file.write_text(text, encoding="utf-8")
    error = acting.error(action, prompt="do it", **session)
    assert error["code"] == "invalid_policy"
    assert f"{policy_file}: line {text.count(chr(10))}, column " in error["message"]
    assert error["details"]["problems"][0]["line"] == text.count("\n")
    assert requests_sent.matching(r"(POST|PATCH|DELETE) .*") == []


def test_an_invalid_policy_does_not_stand_in_the_way_of_looking_and_stopping(acting: Acting, policy_file: Path) -> None:
    """Status, result and abort work on without a policy: they answer nothing."""
    session_id = acting.create()
    acting.data("send_message", session_id=session_id, prompt="hello")
    policy_file.unlink()
    assert acting.data("get_session_result", session_id=session_id)["text"] == "hello"
    assert acting.data("get_session_status", session_id=session_id)["sessions"][0]["state"] == "ready"
    assert acting.data("abort_session", session_id=session_id)["confirmed"] is True
    assert "there is no such file" in acting.error("send_message", session_id=acting.create(), prompt="x")["message"]


def test_an_audit_file_that_cannot_be_written_stops_the_call_before_it_sends(
    acting: Acting, audit_file: Path, requests_sent: Requests
) -> None:
    """Who wants a record gets no turn without one."""
    audit_file.touch(mode=0o644)
    audit_file.chmod(0o644)
    error = acting.error("run_task", prompt="do it")
    assert (error["code"], "chmod 600" in error["message"], str(audit_file) in error["message"]) == ("invalid_input", True, True)
    assert requests_sent.matching(r"(POST|PATCH|DELETE) .*") == []


def test_what_cannot_be_recorded_is_not_allowed(acting: Acting, rules: Rules, made: Path, audit_file: Path) -> None:
    """The audit file becomes unusable while the turn runs: the request is refused, and the error says why."""
    rules(ALLOW_EDIT)
    gate = acting.raw.model.gate("before the write")
    acting.raw.model.when("write", (gate, WRITE), Text("never said"))
    call = acting.later("send_message", session_id=asking(acting), prompt="write")
    assert gate.wait_reached(SOON)
    audit_file.chmod(0o644)
    gate.open()
    envelope = call.result(SOON)
    error = envelope["error"]
    assert isinstance(error, dict) and error["code"] == "permission_required"
    assert answers(error["details"]) == [("edit", "refuse", "default", None)]
    assert "audit file" in error["details"]["answered"][0]["message"]
    assert not made.exists()


def test_each_request_is_told_when_asked_and_when_decided(acting: Acting, rules: Rules) -> None:
    """Progress shows the request before its answer, and then the answer with its origin."""
    rules({"permission": "bash", "pattern": "true", "answer": "allow_once"})
    acting.raw.model.when("run it", bash("true"), Text("done"))
    acting.data("send_message", session_id=asking(acting), prompt="run it")
    told = acting.policy.told("permission")
    assert [event.facts["stage"] for event in told] == ["asked", "decided"]
    assert [event.message for event in told] == ["bash true: is asked", "bash true: allow once (by policy)"]
    assert (told[1].facts["by"], told[1].facts["rule"], told[0].facts["id"]) == ("policy", 1, told[1].facts["id"])


@pytest.mark.parametrize("kind", ["permission", "question"])
def test_a_background_turn_is_seen_waiting(kind: str, acting: Acting) -> None:
    """A wait that is on returns at once and not when its time is over, and the status shows id, tool, pattern and options."""
    gate = acting.raw.model.gate("wait for me")
    acting.raw.model.when("wait for me", (gate, bash("true") if kind == "permission" else question("A", "B")), Text("went on"))
    session_id = asking(acting)
    acting.data("send_message_async", session_id=session_id, prompt="wait for me")
    waiting = acting.later("wait_for_session", session_id=session_id, wait_seconds=300)
    assert gate.wait_reached(SOON)
    gate.open()
    waited = data_of(waiting.result(SOON))
    (state,) = acting.data("get_session_status", session_id=session_id)["sessions"]
    assert (waited["done"], waited["state"], state["state"], state["pending"]) == (False, "waiting", "waiting", waited["pending"])
    (request,) = waited["pending"]
    if kind == "permission":
        assert (request["permission"], request["patterns"], bool(request["tool"])) == ("bash", ["true"], True)
        acting.data("reply_permission", permission_id=request["id"], session_id=session_id, answer="once")
    else:
        assert request["questions"][0]["options"] == ["A", "B"]
        acting.data("reply_question", question_id=request["id"], session_id=session_id, answers=[["B"]])
    assert acting.data("wait_for_session", session_id=session_id)["result"]["text"] == "went on"


def test_the_dry_run_says_what_the_turn_then_gets(acting: Acting, rules: Rules) -> None:
    """``check_policy`` and a real turn agree, for an allowed and for a refused command."""
    rules(
        {"permission": "bash", "pattern": "true *", "answer": "allow_once"},
        {"permission": "*", "pattern": "*", "answer": "refuse", "message": "Not here."},
    )
    for command in ("true", "false"):
        acting.raw.model.when(f"run {command}", bash(command), Text("done"))
        said = acting.data("check_policy", permission="bash", pattern=command)
        (got,) = acting.data("send_message", session_id=asking(acting), prompt=f"run {command}")["answered"]
        assert (said["answer"], said["by"], said["rule"]["index"], said.get("message")) == (
            got["answer"],
            got["by"],
            got["rule"],
            got.get("message"),
        )


def test_an_answer_that_comes_too_late_is_not_claimed(
    acting: Acting, rules: Rules, audit_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody else was quicker: the result does not say that we answered, and the audit says that we did not."""
    rules({"permission": "bash", "pattern": "true", "answer": "allow_once"})
    acting.raw.model.when("run it", bash("true"), Text("done"))

    def meanwhile(request: PendingRequest) -> None:
        acting.raw.post(f"/permission/{request.id}/reply", {"reply": "once"}).raise_for_status()

    acting.policy.decide = meanwhile
    result = acting.data("send_message", session_id=asking(acting), prompt="run it")
    assert (result["text"], "answered" in result) == ("done", False)
    assert [item["event"] for item in audited(audit_file)] == ["answer", "too_late"]
    wait_until(lambda: acting.policy.told("permission")[-1].facts["stage"] == "gone", what="the last word on the request")
