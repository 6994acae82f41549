"""R26 to R43: what the model, the provider and the agent do to a turn. Each ends by its own name, stopped, with nothing left."""

from __future__ import annotations

import pytest

from netclaw_opencode.offline import (
    CloseSocket,
    ControlCharacters,
    CutStream,
    Drip,
    Empty,
    Garbage,
    Gated,
    Hang,
    HangMidStream,
    Html,
    Huge,
    Part,
    Status,
    Text,
    ToolCall,
    Usage,
)
from netclaw_opencode.testing.proxy import edit_json
from netclaw_opencode.testing.waiting import SOON, wait_until
from tests.faults.bench import Bench, Timed
from tests.real.acting import wait_gone
from tests.support.pace import stretched

pytestmark = pytest.mark.real
T = 1.2
"""The turn's deadline in these tests, in seconds."""
CLEANUP = 15.0
MOST_CALLS = 60
"""Model calls of a runaway on a machine that is busy with something else; without it they stay below ten (G14)."""


def stopped(bench: Bench, found: Timed, code: str) -> None:
    """The turn has this name, was stopped, is seen stopped by the server itself, and its session is gone."""
    assert found.code == code, found.error
    assert found.details["stopped"]["confirmed"] is True
    assert found.details["cleanup"] == {"session_deleted": True, "session_kept": False, "notes": []}
    bench.seen_stopped()


def test_r26_model_hangs_before_its_first_byte(bench: Bench) -> None:
    """R26: turn_timeout at T and not before, aborted and seen idle, the session deleted, the model's connection closed."""
    found = bench.task("silent model", Hang(), within=T + CLEANUP, deadline_seconds=stretched(T))
    assert found.seconds >= T and len(bench.model.calls_with("silent model")) == 1
    stopped(bench, found, "turn_timeout")


def test_r27_model_hangs_mid_stream(bench: Bench) -> None:
    """R27: turn_timeout, and the text so far is told as what it is: partial."""
    found = bench.task("stuck model", HangMidStream("half of it"), within=T + CLEANUP, deadline_seconds=stretched(T))
    stopped(bench, found, "turn_timeout")
    assert found.details["partial_text"] == "half of it"


def test_r28_model_drips_for_ever(bench: Bench) -> None:
    """R28: growing output does not move the deadline."""
    found = bench.task("dripping model", Drip(interval_seconds=0.05), within=T + CLEANUP, deadline_seconds=stretched(T))
    stopped(bench, found, "turn_timeout")
    assert len(found.details["partial_text"]) > 1, "it did drip"


def test_r29_provider_refuses_for_ever(bench: Bench) -> None:
    """R29, F17: provider_retrying with attempt and message; the aborted retry does not become a success."""
    found = bench.task("rate limited", Status(429), within=T + 1 + CLEANUP, deadline_seconds=stretched(T + 1))
    stopped(bench, found, "provider_retrying")
    assert "retry" in found.details["statuses"] and "scripted 429" in found.error["message"] and "attempt" in found.error["message"]


def test_r30_provider_says_in_an_hour(bench: Bench) -> None:
    """R30, F43: what cannot come in time fails when it is seen, not at the deadline."""
    found = bench.task("come back later", Status(429, retry_after_seconds=3600), within=6, deadline_seconds=600)
    stopped(bench, found, "provider_retrying")


@pytest.mark.parametrize("fault", [Status(500), CloseSocket()], ids=["500", "closed-socket"])
def test_r31_provider_is_out_of_order(bench: Bench, fault: Part) -> None:
    """R31: the server would try for ever; the deadline ends it."""
    found = bench.task("out of order", fault, within=T + 1 + CLEANUP, deadline_seconds=stretched(T + 1))
    stopped(bench, found, "provider_retrying")


@pytest.mark.parametrize(("fault", "code"), [(401, "provider_auth"), (400, "provider_error")])
def test_r32_provider_refuses_the_request(bench: Bench, fault: int, code: str) -> None:
    """R32, F16: 200 with an error inside is no success, and the provider's words lose their keys."""
    body = '{"error": {"message": "Incorrect API key provided: sk-canary0123456789abcdef"}}'
    found = bench.task("refuse me", Status(fault, body=body), within=5, deadline_seconds=120)
    assert (found.code, "canary" in str(found.error), len(bench.model.calls_with("refuse me"))) == (code, False, 1)
    assert found.details["cleanup"]["session_deleted"] is True


def test_r33_model_s_stream_is_garbage(bench: Bench) -> None:
    """R33: a stream that is no JSON is the provider's error."""
    found = bench.task("garbage", Garbage(), within=5, deadline_seconds=120)
    assert (found.code, len(bench.model.calls_with("garbage"))) == ("provider_error", 1)


def test_r34_stream_without_an_end_runs_away(bench: Bench) -> None:
    """R34, F40, G14: ended after few model calls (a busy machine sees them late), and the model is not called any more."""
    found = bench.task("run away", CutStream(), within=10, deadline_seconds=120)
    stopped(bench, found, "runaway_turn")
    assert 4 <= len(bench.model.calls_with("run away")) <= MOST_CALLS
    assert not bench.model.wait_until(lambda model, calls=bench.model.call_count: model.call_count > calls, 1)


def test_r35_captive_portal_runs_away(bench: Bench) -> None:
    """R35, F40: a web page with 200 in the model's place is a runaway, too."""
    found = bench.task("please sign in", Html(), within=10, deadline_seconds=120)
    stopped(bench, found, "runaway_turn")
    assert 4 <= len(bench.model.calls_with("please sign in")) <= MOST_CALLS


def test_r36_empty_completion(bench: Bench) -> None:
    """R36: finished, 200, and no text: not a success."""
    found = bench.task("say nothing", Empty(), within=5, deadline_seconds=120)
    assert (found.code, len(bench.model.calls_with("say nothing"))) == ("empty_output", 1)


@pytest.mark.parametrize("mib", [1, 17])
def test_r37_huge_answer(bench: Bench, mib: int) -> None:
    """R37: an answer comes whole, whatever its size, and never a part of it."""
    bench.model.when("tell it all", (Huge(mib * 1024 * 1024), Usage(1000, 10)))
    data = bench.data("run_task", prompt="tell it all", directory=bench.directory, deadline_seconds=600)
    assert (data["state"], len(data["text"])) == ("completed", mib * 1024 * 1024)


def test_r38_hostile_text(bench: Bench) -> None:
    """R38, F51: the JSON holds exactly what the model wrote; what a terminal gets is another test's claim (S14)."""
    hostile = ControlCharacters()
    bench.model.when("be hostile", hostile)
    data = bench.data("run_task", prompt="be hostile", directory=bench.directory, deadline_seconds=120)
    assert data["text"] == hostile.text


def test_r39_shell_child_hangs(bench: Bench) -> None:
    """R39, F5: the command that a turn runs is gone with it."""
    command = ToolCall("bash", {"command": "sleep 4711", "description": "sleep"})
    found = bench.task("run a command", command, Text("never"), within=T + 1 + CLEANUP, deadline_seconds=stretched(T + 1))
    assert [item["tool"] for item in found.details.get("tools", [{"tool": "bash"}])] == ["bash"]
    stopped(bench, found, "turn_timeout")
    assert len(bench.model.calls_with("run a command")) == 1, "the tool did not end by itself"
    wait_gone("sleep 4711")


def test_r40_permission_is_asked(bench: Bench) -> None:
    """R40, F29, F60: refused with words, and the agent goes on; the request does not stay listed."""
    bench.model.when("read outside", ToolCall("read", {"filePath": "/etc/hostname"}), Text("went on"))
    data = bench.data("run_task", prompt="read outside", directory=bench.directory, deadline_seconds=120)
    assert (data["text"], data["refused"][0]["permission"]) == ("went on", "external_directory")
    assert bench.raw.pending("permission") == []


def test_r40_permission_is_asked_and_the_turn_is_stopped(bench: Bench) -> None:
    """R40, F29, F42: with on_request stop permission_required with tool and pattern; the request does not stay listed."""
    outside = ToolCall("read", {"filePath": "/etc/hostname"})
    found = bench.task("read outside", outside, Text("never"), within=6, deadline_seconds=120, on_request="stop")
    assert (found.code, found.error["rule"]) == ("permission_required", "nobody-waits")
    assert found.details["pending"][0]["permission"] == "external_directory" and found.details["pending"][0]["patterns"]
    assert (bench.raw.pending("permission"), found.details["cleanup"]["session_deleted"]) == ([], True)
    bench.seen_stopped()


@pytest.mark.parametrize(
    ("arguments", "code"),
    [({"model": "offline/gone"}, "model_not_found"), ({"model": "gone/x"}, "model_not_found"), ({"agent": "gone"}, "agent_not_found")],
)
def test_r41_unknown_model_or_agent(bench: Bench, arguments: dict[str, object], code: str) -> None:
    """R41, F15: refused before anything is sent, with near names."""
    found = bench.task("nobody there", within=3, deadline_seconds=120, **arguments)
    assert (found.code, bench.proxy.count("POST *")) == (code, 0)


def test_r41_unknown_model_that_slips_through(bench: Bench) -> None:
    """R41, F15, F32: where the session itself carries a model that is gone, the 204 is not believed: it fails by name."""
    session_id = bench.remember(bench.raw.create(model={"id": "gone", "providerID": "offline"}))
    assert bench.failed("send_message_async", within=4, session_id=session_id, prompt="into the void").code == "model_not_found"
    assert bench.proxy.count("POST *") == 0, "seen before the send"
    # The name comes by an event alone, and a stream that has just opened may lose its first ones (F31).
    bench.data("run_task", prompt="the stream is open", directory=bench.directory)
    bench.proxy.forget()
    hidden = bench.proxy.on(f"GET /session/{session_id}", edit_json(lambda session: session.pop("model") and session))
    found = bench.failed("send_message_async", within=4, session_id=session_id, prompt="into the void")
    assert (found.code, bench.proxy.count("POST */prompt_async"), hidden.fired) == ("model_not_found", 1, 1)


def test_r42_session_is_busy(bench: Bench) -> None:
    """R42, F26: session_busy, and not one prompt is posted; the turn of the other goes on untouched."""
    gate = bench.model.gate("theirs")
    bench.model.when("theirs", Gated(gate, "first ", "second"))
    session_id = bench.started("theirs")
    assert gate.wait_reached(SOON)
    bench.proxy.forget()
    found = bench.failed("send_message", within=3, session_id=session_id, prompt="me too")
    assert (found.code, bench.proxy.count("POST *"), bench.raw.statuses()[session_id]) == ("session_busy", 0, {"type": "busy"})
    gate.open()
    assert bench.data("wait_for_session", session_id=session_id)["result"]["text"] == "first second"


def test_r43_session_was_used(bench: Bench) -> None:
    """R43: refused as session_used; for whoever insists, the abort goes out before the message (order in the proxy's log)."""
    session_id = bench.create()
    bench.data("send_message", session_id=session_id, prompt="once")
    bench.proxy.forget()
    assert bench.failed("send_message", within=3, session_id=session_id, prompt="twice").code == "session_used"
    assert bench.proxy.count("POST *") == 0
    bench.data("send_message", session_id=session_id, prompt="twice", reuse_session=True)
    posts = [item.route.rsplit("/", 1)[1] for item in bench.proxy.seen("POST *")]
    assert (posts[0], posts[-1], posts.count("prompt_async")) == ("abort", "prompt_async", 1)
    wait_until(lambda: not bench.raw.statuses(), what="idle")
