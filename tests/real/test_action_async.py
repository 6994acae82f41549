"""``send_message_async``, ``wait_for_session``, ``get_session_result``: a turn that outlives the call that began it.

The server is the memory: what one host began, another one (another process's view) follows and reads.
"""

from __future__ import annotations

import math
import os
import stat
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from netclaw_opencode.host import Host
from netclaw_opencode.offline import Attempts, CutStream, Gated, Hang, Status, Text, ToolCall
from netclaw_opencode.settings import Settings
from netclaw_opencode.testing.waiting import SOON, wait_until
from tests.real.acting import UNKNOWN, Acting, Policy, Requests, data_of, error_of
from tests.support.pace import MACHINE_SECONDS, stretched
from tests.support.raw import new_id

pytestmark = pytest.mark.real
QUESTION = ToolCall("question", {"questions": [{"question": "Which?", "header": "W", "options": [{"label": "A", "description": "a"}]}]})
TRUE = ToolCall("bash", {"command": "true", "description": "nothing"})


@pytest.fixture
def second(acting: Acting, settings: Settings) -> Iterator[Acting]:
    """Another host: what another process would know of the same sessions, which is nothing but their ids."""
    with Host(settings, entry_points=False) as host:
        calls = Acting(host, acting.raw, Policy())
        yield calls
        calls.close()


def held(acting: Acting, name: str, **arguments: object) -> str:
    """A background turn that is held in the middle of its stream, at the gate ``name``."""
    gate = acting.raw.model.gate(name)
    acting.raw.model.when(name, Gated(gate, "first ", "second"))
    session_id = acting.started(name, **arguments)
    assert gate.wait_reached(SOON)
    return session_id


def test_the_start_returns_while_the_model_still_thinks(acting: Acting) -> None:
    """The call returns once the turn is *seen* to run (F15, F19); id and deadline are marked on the session itself (F11)."""
    gate = acting.raw.model.gate("in background")
    acting.raw.model.when("in background", Gated(gate, "a", "b"))
    session_id = acting.create()
    started = acting.data(
        "send_message_async", session_id=session_id, prompt="in background", model="offline/thinker", deadline_seconds=600
    )
    assert not gate.is_open
    assert (started["started"], started["state"], started["session_id"]) == (True, "busy", session_id)
    assert started["next"] == f"netclaw-opencode inspect wait-for-session --session-id {session_id}"
    assert started["model"] == {"providerID": "offline", "modelID": "thinker"}
    deadline = datetime.fromisoformat(started["deadline_at"])
    assert 600 - MACHINE_SECONDS < (deadline - datetime.now(UTC)).total_seconds() <= 600
    assert acting.raw.messages(session_id)[0]["info"]["id"] == started["message_id"]  # type: ignore[index]
    marks = acting.raw.get(f"/session/{session_id}").json()["metadata"]["netclaw_opencode"]
    assert (marks["message_id"], marks["deadline_ms"] // 1000) == (started["message_id"], int(deadline.timestamp()))
    gate.open()
    assert acting.data("wait_for_session", session_id=session_id)["result"]["text"] == "ab"


def test_another_process_follows_and_reads_the_turn(acting: Acting, second: Acting) -> None:
    """Status, wait and result through a second host: busy with progress first, then the whole result, and again on asking."""
    session_id = held(acting, "follow me")
    assert second.data("get_session_status", session_id=session_id)["sessions"][0]["state"] == "busy"
    early = second.data("wait_for_session", session_id=session_id, wait_seconds=0.3)
    assert (early["done"], early["state"], early["pending"], early["progress"]["model_calls"]) == (False, "busy", [], 1)
    assert early["next"].endswith(f"--session-id {session_id} --cursor {early['cursor']}")
    assert second.error("get_session_result", session_id=session_id)["code"] == "session_busy"
    waiting = second.later("wait_for_session", session_id=session_id, wait_seconds=SOON)
    acting.raw.model.gate("follow me").open()
    late = data_of(waiting.result(SOON))
    assert (late["done"], late["state"], late["result"]["text"], "next" in late) == (True, "ready", "first second", False)
    assert late["waited_seconds"] < SOON
    again = second.data("get_session_result", session_id=session_id)
    assert (again["text"], again["message_id"], again["usage"]) == ("first second", late["result"]["message_id"], late["result"]["usage"])


def test_a_wait_ends_with_the_turn_and_not_at_the_next_poll(acting: Acting, second: Acting) -> None:
    """F31, F32: the event of the end wakes the wait at once."""
    session_id = held(acting, "end soon")
    waiting = second.later("wait_for_session", session_id=session_id, wait_seconds=300)
    acting.raw.model.gate("end soon").open()
    assert data_of(waiting.result(SOON))["done"] is True


def test_a_cursor_returns_at_the_first_change(acting: Acting) -> None:
    """With the cursor of the last wait the next one ends when a tool or model call did, long before the turn's end."""
    before, after = acting.raw.model.gate("before"), acting.raw.model.gate("after")
    acting.raw.model.when("step by step", (before, TRUE), (Text("almost "), after, Text("done")))
    session_id = acting.started("step by step")
    assert before.wait_reached(SOON)
    first = acting.data("wait_for_session", session_id=session_id, wait_seconds=0.2)
    same = acting.data("wait_for_session", session_id=session_id, wait_seconds=0.4, cursor=first["cursor"])
    assert (same["cursor"], same["done"]) == (first["cursor"], False)
    waiting = acting.later("wait_for_session", session_id=session_id, wait_seconds=SOON, cursor=first["cursor"])
    before.open()
    change = data_of(waiting.result(SOON))
    assert (change["done"], change["cursor"] != first["cursor"]) == (False, True)
    assert after.wait_reached(SOON)
    finished = acting.data("wait_for_session", session_id=session_id, wait_seconds=0.3)
    assert (finished["done"], finished["progress"]["tools_finished"], finished["progress"]["model_calls"]) == (False, 1, 2)
    # A cursor of the past is answered at once.
    stale = acting.data("wait_for_session", session_id=session_id, wait_seconds=300, cursor=first["cursor"])
    assert stale["waited_seconds"] < MACHINE_SECONDS
    after.open()
    assert acting.data("wait_for_session", session_id=session_id)["result"]["text"] == "almost done"


def test_a_turn_that_waits_for_an_answer_says_so(acting: Acting, second: Acting) -> None:
    """F29; rule nobody-waits: the wait returns at once with the request; the result is refused as waiting; nothing is answered."""
    acting.raw.model.when("ask in background", QUESTION, Text("never"))
    session_id = acting.started("ask in background")
    found = second.data("wait_for_session", session_id=session_id, wait_seconds=SOON)
    assert (found["done"], found["state"], len(found["pending"])) == (False, "waiting", 1)
    assert found["pending"][0]["questions"] == [{"question": "Which?", "header": "W", "options": ["A"], "multiple": False}]
    assert second.error("get_session_result", session_id=session_id)["code"] == "session_waiting"
    assert acting.policy.asked == [], "a background turn is answered by reply_question, not by a policy"
    assert acting.data("abort_session", session_id=session_id)["confirmed"] is True
    assert second.error("get_session_result", session_id=session_id)["code"] == "turn_aborted"


def test_a_failed_turn_keeps_its_code(acting: Acting, second: Acting) -> None:
    """F16; rule no-silence: wait and result fail with the turn's own code, and the status names it although it reads ready."""
    acting.raw.model.when("fail now", Status(401))
    session_id = acting.create()
    envelope = acting.host.call("send_message_async", session_id=session_id, prompt="fail now")
    # Where the turn has failed before it is seen to run, the start itself says so.
    failed = error_of(envelope) if not envelope["ok"] else acting.error("wait_for_session", session_id=session_id)
    assert failed["code"] == "provider_auth"
    assert second.error("get_session_result", session_id=session_id)["code"] == "provider_auth"
    status = second.data("get_session_status", session_id=session_id)["sessions"][0]
    assert (status["state"], status["last_turn"]["state"], status["last_turn"]["code"]) == ("ready", "failed", "provider_auth")


def test_a_model_error_that_only_an_event_tells_fails_the_start(acting: Acting) -> None:
    """F15, F32; rule no-silence: 204 and then nothing, ever; the start itself fails by name."""
    session_id = acting.remember(acting.raw.create(model={"id": "gone", "providerID": "offline"}))
    error = acting.error("send_message_async", session_id=session_id, prompt="into the void")
    assert (error["code"], acting.raw.model.calls_with("into the void")) == ("model_not_found", ())


def test_a_prompt_that_has_not_started_is_waited_for_as_long_as_asked(acting: Acting) -> None:
    """F15, F59: a prompt that was taken may start late, so that it has not is no verdict; its task's deadline ends the waiting."""
    session_id = acting.remember(acting.raw.create())
    message_id = new_id("msg")
    unknown = {"providerID": "offline", "modelID": "gone"}
    assert acting.raw.prompt_async(session_id, "void", messageID=message_id, model=unknown).status_code == 204
    waited = acting.data("wait_for_session", session_id=session_id, message_id=message_id, wait_seconds=1)
    assert (waited["done"], waited["state"], waited["progress"]["model_calls"]) == (False, "busy", 0)
    assert acting.error("get_session_result", session_id=session_id, message_id=message_id)["code"] == "session_busy"


def test_a_retry_that_will_succeed_is_waited_for(acting: Acting) -> None:
    """F17: a wait that ends during a provider's retry says ``retry`` and is no verdict on the turn, which succeeds in the end."""
    later = math.ceil(stretched(3))
    limited = Attempts(Status(429, retry_after_seconds=1), Status(429, retry_after_seconds=later), Text("fine now"))
    acting.raw.model.when("limited twice", limited)
    session_id = acting.started("limited twice")
    assert acting.raw.model.wait_until(lambda model: len(model.calls_with("limited twice")) == 2, SOON), "the second refusal"
    early = acting.data("wait_for_session", session_id=session_id, wait_seconds=0.5)
    assert (early["done"], early["state"]) == (False, "retry")
    more = acting.data("wait_for_session", session_id=session_id, wait_seconds=0.5, cursor=early["cursor"])
    assert (more["done"], more["cursor"]) == (False, early["cursor"])
    assert acting.data("wait_for_session", session_id=session_id)["result"]["text"] == "fine now"


def test_a_task_past_its_own_deadline_is_told(acting: Acting, second: Acting) -> None:
    """Rule deadline: whoever waits for an overdue task is told turn_timeout and how to stop it; looking stops nothing."""
    acting.raw.model.when("late task", Hang())
    session_id = acting.started("late task", deadline_seconds=stretched(0.5))
    error = second.error("wait_for_session", session_id=session_id, wait_seconds=SOON)
    assert (error["code"], error["rule"]) == ("turn_timeout", "deadline")
    assert error["next"] == f"netclaw-opencode run abort-session --session-id {session_id}"
    assert second.data("abort_session", session_id=session_id)["was"] == "busy"


def test_a_runaway_in_the_background_is_named(acting: Acting) -> None:
    """F40: nobody follows a background turn's events, but the first wait sees the row of endless calls and says so."""
    acting.raw.model.when("run away", CutStream())
    session_id = acting.started("run away")
    assert acting.error("wait_for_session", session_id=session_id, wait_seconds=SOON)["code"] == "runaway_turn"
    acting.data("abort_session", session_id=session_id)


def test_a_schema_is_remembered_with_the_task(acting: Acting, second: Acting) -> None:
    """The output schema stands on the session too: another process gets checked data."""
    acting.raw.model.when("data later", Text('{"n": 1}'))
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}}
    session_id = acting.started("data later", output_schema=schema)
    assert second.data("wait_for_session", session_id=session_id)["result"]["structured"] == {"n": 1}
    assert second.data("get_session_result", session_id=session_id)["structured"] == {"n": 1}


def test_a_busy_or_used_session_is_refused(acting: Acting) -> None:
    """Rules status-first and fresh-session hold for the background form as well; reuse_session aborts first (abort-first)."""
    session_id = held(acting, "occupied")
    assert acting.error("send_message_async", session_id=session_id, prompt="me too")["code"] == "session_busy"
    started = acting.data("send_message_async", session_id=session_id, prompt="instead", reuse_session=True)
    assert acting.data("wait_for_session", session_id=session_id)["result"]["message_id"] == started["message_id"]
    assert acting.error("send_message_async", session_id=session_id, prompt="again")["code"] == "session_used"


@pytest.mark.parametrize("action", ["wait_for_session", "get_session_result"])
def test_where_there_is_no_turn_nothing_is_waited_for(acting: Acting, action: str) -> None:
    """An unknown session, one without a message, and an unknown message are failures at once."""
    session_id = acting.create()
    assert acting.error(action, session_id=UNKNOWN)["code"] == "session_not_found"
    assert acting.error(action, session_id=session_id)["code"] == "turn_incomplete"
    assert acting.error(action, session_id=session_id, message_id=new_id("msg"))["code"] == "turn_incomplete"


def test_the_whole_change_of_a_turn_that_nobody_waited_for(acting: Acting, second: Acting, settings: Settings) -> None:
    """Another process tells every file, by commands too, and the same again later; what somebody wrote after the end is kept apart."""
    place = Path(acting.directory)
    (place / "old.txt").write_text("old\n")
    command = "echo new > new.txt; echo more >> old.txt"
    acting.raw.model.when("change things unattended", ToolCall("bash", {"command": command, "description": "x"}), Text("Done."))
    acting.raw.model.when("fail unattended", ToolCall("bash", {"command": "echo half > half.txt", "description": "x"}), Status(401))
    session_id, failing = acting.started("change things unattended"), acting.create()
    wait_until(lambda: not acting.running(), SOON, what="the end of the turn")
    later_ms = time.time_ns() + 10**9
    (place / "later.txt").write_text("by the user, afterwards\n")
    os.utime(place / "later.txt", ns=(later_ms, later_ms))
    done = second.data("wait_for_session", session_id=session_id)["result"]
    assert [(item["path"], item["status"], item["by"]) for item in done["files_changed"]] == [
        ("new.txt", "added", "command"),
        ("old.txt", "modified", "command"),
    ]
    assert (done["changes"]["method"], done["changes"]["others"]) == ("snapshot", ["later.txt"])
    assert b"later" not in Path(done["changes"]["patch"]["path"]).read_bytes()
    (place / "new.txt").write_text("by the user, much later\n")
    again = acting.data("get_session_result", session_id=session_id)
    assert (again["files_changed"], again["changes"]) == (done["files_changed"], done["changes"])
    assert stat.S_IMODE(next((settings.state_dir / "keys").glob("*.json")).stat().st_mode) == 0o600
    acting.data("send_message_async", session_id=failing, prompt="fail unattended")
    wait_until(lambda: not acting.running(), SOON, what="the end of the turn")
    details = second.error("get_session_result", session_id=failing)["details"]
    assert [item["path"] for item in details["files_changed"]] == ["half.txt"]
    for name in ("old.txt", "new.txt", "later.txt", "half.txt"):
        (place / name).unlink()


def test_what_needs_a_caller_that_waits_is_refused_with_the_way_to_it(acting: Acting, requests_sent: Requests) -> None:
    """Isolation, checks and caps in a call need somebody who finishes, judges and stops."""
    error = acting.error("send_message_async", session_id=acting.create(), prompt="x", isolation="worktree", max_model_calls=3)
    assert error["code"] == "invalid_input" and "isolation, max_model_calls: nobody follows" in error["message"]
    assert "run_task" in error["next"] and "submit_batch" in error["next"] and requests_sent.prompts == []
    # Nothing was sent, so nothing is remembered of a prompt either.
    error = acting.error("send_message_async", session_id=acting.create(), prompt="x", agent="nobody-of-that-name")
    assert error["code"] == "agent_not_found"
