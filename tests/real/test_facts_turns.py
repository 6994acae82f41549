"""Facts of turns, pinned by number: what a prompt takes, ids, busy sessions, clients that leave."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from netclaw_opencode.offline import Gated, Hang, Text, ToolCall
from netclaw_opencode.testing.waiting import SOON, wait_until
from tests.support.event_log import EventLog
from tests.support.raw import RawOpenCode, field, listed, new_id

pytestmark = pytest.mark.real
THINKER = {"providerID": "offline", "modelID": "thinker"}


@pytest.fixture(scope="module")
def workdir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One directory for the module: a directory's first turn costs a second."""
    return tmp_path_factory.mktemp("facts-turns")


def test_f12_a_model_is_named_in_two_ways(raw: RawOpenCode) -> None:
    """F12: ``{id, providerID}`` when a session is created, ``{providerID, modelID}`` when it is sent to."""
    session_id = raw.create(model={"id": "thinker", "providerID": "offline", "variant": "low"})
    assert raw.message(session_id, "F12").json()["info"]["modelID"] == "thinker"
    assert (
        raw.message(session_id, "F12 again", model={"providerID": "offline", "modelID": "scripted"}).json()["info"]["modelID"] == "scripted"
    )


def test_f13_thinking_is_ignored_and_variant_selects_it(raw: RawOpenCode) -> None:
    """F13: a ``thinking`` field changes nothing in the model call; a variant does."""
    thinking = {"type": "enabled", "budgetTokens": 1024}
    raw.message(raw.create(), "F13 field", model=THINKER, thinking=thinking, options={"thinking": thinking})
    raw.message(raw.create(), "F13 variant", model=THINKER, variant="low")
    raw.message(raw.create(), "F13 budget", model={"providerID": "offline", "modelID": "budgeted"}, variant="high")
    by_field, by_variant, by_budget = (raw.model.calls_with(f"F13 {name}")[0].body for name in ("field", "variant", "budget"))
    assert not {"thinking", "reasoning_effort"} & set(by_field)
    assert by_variant["reasoning_effort"] == "low"
    assert by_budget["thinking"] == {"type": "enabled", "budgetTokens": 24576}


def test_f13_variants_stand_in_the_providers_and_unknown_ones_pass_silently(raw: RawOpenCode) -> None:
    """F13: the names are listed; a variant that is not among them is accepted, reported back, and does nothing."""
    models = {item["id"]: item["models"] for item in raw.get("/config/providers").json()["providers"]}["offline"]
    assert {name: list(model["variants"]) for name, model in models.items()} == {
        "scripted": [],
        "thinker": ["low", "medium", "high"],
        "budgeted": ["low", "medium", "high"],
    }
    answer = raw.message(raw.create(), "F13 unknown", model=THINKER, variant="no-such")
    assert (answer.status_code, answer.json()["info"]["variant"]) == (200, "no-such")
    assert "reasoning_effort" not in raw.model.calls_with("F13 unknown")[0].body


def test_f14_errors_come_in_several_shapes(raw: RawOpenCode) -> None:
    """F14: a model given as text, a malformed body here and a malformed body there are told in three ways."""
    session_id = raw.create()
    header = {"content-type": "application/json"}
    as_text = raw.message(session_id, "F14", model="offline/scripted")
    to_session, to_message = (
        raw.wire.post(path, params=raw.here, content=b"{", headers=header) for path in ("/session", f"/session/{session_id}/message")
    )
    assert (as_text.status_code, as_text.json()["name"]) == (400, "BadRequest")
    assert (to_session.status_code, to_session.json()) == (400, {"_tag": "BadRequest"})
    assert (to_message.status_code, to_message.json()["name"]) == (500, "UnknownError")


@pytest.mark.parametrize(
    "fields", [{"model": {"providerID": "offline", "modelID": "no-such"}}, {"agent": "no-such"}], ids=["model", "agent"]
)
def test_f15_an_unknown_model_or_agent_is_told_by_an_event_only(raw: RawOpenCode, events: EventLog, fields: dict[str, object]) -> None:
    """F15, F32: 500 from the blocking route; from the other 204, no answer ever, idle, and a session.error."""
    blocking = raw.message(raw.create(), "F15", **fields)
    assert (blocking.status_code, blocking.json()["name"]) == (500, "UnknownError")
    session_id = raw.create()
    assert raw.prompt_async(session_id, "F15", **fields).status_code == 204
    told = events.wait_for(lambda event: event.type == "session.error" and event.session_id == session_id)
    assert "no-such" in str(told.properties["error"]) and "not found" in str(told.properties["error"])
    wait_until(lambda: session_id not in raw.statuses(), what="idle")
    assert raw.answers(session_id) == []
    assert raw.model.calls_with("F15") == ()


def test_f19_the_answer_204_is_not_yet_busy(raw: RawOpenCode) -> None:
    """F19: right after the 204 the session may stand in the map or not; it does once the model is called."""
    raw.model.when("F19", Hang())
    for number in range(3):
        session_id = raw.create()
        assert raw.prompt_async(session_id, f"F19 {number}").status_code == 204
        assert raw.statuses().get(session_id, {"type": "absent"})["type"] in ("absent", "busy")
        assert raw.model.wait_until(lambda model, text=f"F19 {number}": model.calls_with(text), SOON)  # type: ignore[misc]
        assert raw.statuses()[session_id]["type"] == "busy"


def test_f25_a_client_that_leaves_does_not_stop_the_turn(raw: RawOpenCode) -> None:
    """F25: the blocked caller times out; the turn goes on and completes."""
    gate = raw.model.gate("F25")
    raw.model.when("F25", Gated(gate, "first ", "second"))
    session_id = raw.create()
    body = {"parts": [{"type": "text", "text": "F25"}]}
    with pytest.raises(httpx.ReadTimeout):
        raw.wire.post(f"/session/{session_id}/message", params=raw.here, json=body, timeout=httpx.Timeout(SOON, read=0.2))
    assert gate.wait_reached(SOON)
    assert session_id in raw.statuses()
    gate.open()
    raw.wait_idle(session_id)
    assert raw.answers(session_id)[-1]["finish"] == "stop"


def test_f26_a_prompt_to_a_busy_session_waits_and_an_abort_drops_it(raw: RawOpenCode) -> None:
    """F26: it is accepted, stands in the history, and after an abort it has neither answer nor error."""
    raw.model.when("F26 held", Hang())
    session_id = raw.create()
    raw.prompt_async(session_id, "F26 held")
    assert raw.model.wait_until(lambda model: model.calls_with("F26 held"), SOON)
    assert raw.prompt_async(session_id, "F26 queued").status_code == 204
    wait_until(lambda: len(users(raw, session_id)) == 2, what="the queued prompt in the history")
    raw.abort(session_id)
    raw.wait_idle(session_id)
    held, queued = users(raw, session_id)
    assert [answer["parentID"] for answer in raw.answers(session_id)] == [held]
    assert queued != held
    assert raw.model.calls_with("F26 queued") == ()


def test_f41_two_callers_of_one_busy_session_get_the_same_aborted_message(raw: RawOpenCode) -> None:
    """F41: the second caller's answer is the first one's: only ``parentID`` tells.

    A second prompt that stands in the history but has not joined the running turn yet survives the abort and runs on its own: on a
    busy machine a scene may hit that moment, and is played again.
    """
    raw.model.when("F41 one", Hang())
    scenes = (aborted_together(raw) for _ in range(5))
    one, two, prompt = next(scene for scene in scenes if scene[0]["id"] == scene[1]["id"])
    assert one["error"]["name"] == two["error"]["name"] == "MessageAbortedError"
    assert two["parentID"] == prompt


def aborted_together(raw: RawOpenCode) -> tuple[Any, Any, object]:
    """The answers to two callers of one session that is aborted, and the id of the first one's prompt."""
    session_id = raw.create()
    held = len(raw.model.calls_with("F41 one"))
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(raw.message, session_id, "F41 one")
        assert raw.model.wait_until(lambda model: len(model.calls_with("F41 one")) > held, SOON)
        second = pool.submit(raw.message, session_id, "F41 two")
        wait_until(lambda: len(users(raw, session_id)) == 2, what="the second prompt in the history")
        raw.abort(session_id)
        one, two = (item.result(SOON).json()["info"] for item in (first, second))
    return one, two, users(raw, session_id)[0]


def test_f27_the_same_ids_run_the_model_once(raw: RawOpenCode) -> None:
    """F27: repeated while it runs and after it ended, a prompt with the same message and part id gives the same answer."""
    gate = raw.model.gate("F27")
    raw.model.when("F27", Gated(gate, "one ", "answer"))
    session_id = raw.create()
    body = {"messageID": new_id("msg"), "parts": [{"id": new_id("prt"), "type": "text", "text": "F27"}]}
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(raw.post, f"/session/{session_id}/message", body)
        assert gate.wait_reached(SOON)
        during = pool.submit(raw.post, f"/session/{session_id}/message", body)
        gate.open()
        ids = [item.result(SOON).json()["info"]["id"] for item in (first, during)]
    ids.append(raw.post(f"/session/{session_id}/message", body).json()["info"]["id"])
    assert len(set(ids)) == 1
    assert len(raw.model.calls_with("F27")) == 1
    assert users(raw, session_id) == [body["messageID"]]


def test_f27_without_a_part_id_the_text_is_appended(raw: RawOpenCode) -> None:
    """F27: only the message id repeated: one user message with the text twice."""
    session_id = raw.create()
    body = {"messageID": new_id("msg"), "parts": [{"type": "text", "text": "F27 text"}]}
    for _ in range(2):
        raw.post(f"/session/{session_id}/message", body)
    user = next(item for item in raw.messages(session_id) if field(item, "info")["role"] == "user")
    assert [part["text"] for part in listed(user, "parts")] == ["F27 text", "F27 text"]


def test_f27_after_an_abort_the_same_ids_run_the_model_again(raw: RawOpenCode) -> None:
    """F27 has a limit: a turn that did not end by itself is taken up again by a repetition."""
    raw.model.when("F27 aborted", Hang())
    session_id = raw.create()
    body = {"messageID": new_id("msg"), "parts": [{"id": new_id("prt"), "type": "text", "text": "F27 aborted"}]}
    raw.post(f"/session/{session_id}/prompt_async", body)
    assert raw.model.wait_until(lambda model: model.calls_with("F27 aborted"), SOON)
    raw.abort(session_id)
    raw.wait_idle(session_id)
    raw.model.when("F27 aborted", Text("again"))
    assert raw.post(f"/session/{session_id}/message", body).json()["info"]["finish"] == "stop"
    assert len(raw.model.calls_with("F27 aborted")) == 2


def test_each_model_call_is_a_message_of_its_own(raw: RawOpenCode) -> None:
    """A turn with a tool has two assistant messages, both with the prompt as parent; only the last one has ended the turn."""
    raw.model.when("steps", ToolCall("bash", {"command": "echo hi"}), Text("done"))
    session_id = raw.create()
    raw.message(session_id, "steps")
    answers = raw.answers(session_id)
    assert [answer["finish"] for answer in answers] == ["tool-calls", "stop"]
    assert [answer["parentID"] for answer in answers] == users(raw, session_id) * 2


def users(raw: RawOpenCode, session_id: str) -> list[object]:
    """The ids of the prompts in a session's history."""
    infos = [field(item, "info") for item in raw.messages(session_id)]
    return [info["id"] for info in infos if info["role"] == "user"]
