"""L7, L14, L17, L25 and L36: the time is the caller's, a stop is proved whoever cancels, and what was done is not thrown away."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import anyio
import pytest

from netclaw_opencode.actions.registry import ActionDefinition
from netclaw_opencode.host import Host
from netclaw_opencode.offline import Gated, Hang, Text
from netclaw_opencode.testing.proxy import Pause, Silence, answer
from netclaw_opencode.testing.waiting import SOON, wait_until
from tests.faults.bench import Bench
from tests.life.conftest import OpenHost
from tests.real.acting import data_of

pytestmark = pytest.mark.real
LONG = 1800

SLOW_MCP = """
import sys, time
time.sleep(600)
sys.exit(1)
"""


def test_l07_mcp_server_that_never_answers(bench: Bench, settings_with: OpenHost, workdir: Path) -> None:
    """L7, F59: an MCP server of the folder that never answers holds up the first reading of its configuration; the deadline bounds that."""
    script = workdir / "slow.py"
    script.write_text(SLOW_MCP, encoding="utf-8")
    server = {"type": "local", "command": [sys.executable, str(script)], "enabled": True}
    (workdir / "opencode.json").write_text(json.dumps({"mcp": {"slow": server}}), encoding="utf-8")
    bench.model.when("beside a slow server", Text("in the end"))
    asked = {"prompt": "beside a slow server", "directory": str(workdir), "deadline_seconds": LONG, "model": "offline/scripted"}
    with settings_with(OPENCODE_DRIVER_TRUST=str(workdir)) as host:
        assert data_of(host.call("run_task", **asked))["text"] == "in the end"


def test_l14_output_that_does_not_fit_its_schema(bench: Bench) -> None:
    """L14: what was done and paid for is returned, with a note on what does not fit."""

    async def odd(_arguments: object, _context: object) -> dict[str, object]:
        return {"text": 7, "paid": True}

    schema = {"type": "object", "properties": {"text": {"type": "string"}}, "additionalProperties": False}
    registry = bench.host.registry
    registry.register(ActionDefinition("odd_output", "a-test", "run", "Odd.", {"type": "object"}, schema, odd))
    data = bench.data("odd_output")
    assert (data["text"], data["paid"]) == (7, True)
    assert "breaks its schema" in data["notes"][0]


def test_l17_second_caller_of_a_key_gives_up_sooner(bench: Bench) -> None:
    """L17: the second caller's deadline ends its own waiting; the task of the first goes on to its end."""
    gate = bench.model.gate("one task")
    bench.model.when("one task for two", Gated(gate, "begun, ", "ended"))
    asked = {"prompt": "one task for two", "directory": bench.directory, "idempotency_key": "k-17"}
    first = bench.later("run_task", deadline_seconds=LONG, **asked)
    assert gate.wait_reached(SOON)
    error = bench.error("run_task", deadline_seconds=2, **asked)
    assert (error["code"], "goes on" in error["message"], "stopped" in error["details"]) == ("turn_timeout", True, False), error
    assert len(bench.raw.statuses()) == 1
    gate.open()
    data = data_of(first.result(60))
    assert (data["text"], len(bench.model.calls_with("one task for two"))) == ("begun, ended", 1)
    bench.remember(data["session_id"])


@pytest.mark.anyio
async def test_l17_second_caller_is_cancelled(bench: Bench) -> None:
    """L17: a caller that is cancelled while it waits for another's task stops nothing."""
    gate = bench.model.gate("one task")
    bench.model.when("one task for two", Gated(gate, "begun, ", "ended"))
    asked = {"prompt": "one task for two", "directory": bench.directory, "idempotency_key": "k-18", "deadline_seconds": LONG}
    first = bench.later("run_task", **asked)
    assert await anyio.to_thread.run_sync(gate.wait_reached, SOON)
    async with Host(bench.settings, entry_points=False) as host:
        with anyio.move_on_after(2):
            await host.invoke("run_task", asked)
        assert len(bench.raw.statuses()) == 1
    gate.open()
    data = data_of(await anyio.to_thread.run_sync(first.result, 60))
    assert data["text"] == "begun, ended"
    bench.remember(data["session_id"])


@pytest.mark.anyio
async def test_l25_cancelled_while_the_deadline_stops_the_turn(bench: Bench) -> None:
    """L25: a cancellation that comes in the middle of the deadline's own stop does not keep it from being proved."""
    bench.model.when("stop me twice", Hang())
    pause = Pause()
    bench.proxy.on("POST /session/*/abort", pause, times=1)
    async with Host(bench.settings, entry_points=False) as host, anyio.create_task_group() as tasks:
        tasks.start_soon(host.invoke, "run_task", {"prompt": "stop me twice", "directory": bench.directory, "deadline_seconds": 3})
        assert await anyio.to_thread.run_sync(pause.reached.wait, SOON)
        tasks.cancel_scope.cancel()
        pause.go.set()
    wait_until(lambda: not bench.raw.statuses(), SOON, what="the end of the turn")
    assert bench.model.wait_until(lambda model: model.open_connections == 0, SOON)


def test_l36_prompt_that_may_start_late(bench: Bench) -> None:
    """L36: the prompt is on its way when its time is over: no quiet proves a stop. Its session is deleted: now it is refused for good."""
    bench.model.when("late prompt", Hang())
    silence = Silence()
    bench.proxy.on("POST /session/*/prompt_async", silence)
    error = bench.error("run_task", prompt="late prompt", directory=bench.directory, deadline_seconds=2)
    assert bench.fired(silence)
    details = error["details"]
    assert (details["stopped"]["by"], details["cleanup"]["session_deleted"]) == ("session_deleted", True), error
    assert bench.raw.prompt_async(details["session_id"], "late prompt", messageID=details["message_id"]).status_code == 404
    assert bench.raw.statuses() == {} and not bench.model.calls_with("late prompt")


def test_l36_prompt_that_starts_late_in_a_session_that_stays(bench: Bench) -> None:
    """L36: where the session is kept, an abort without proof says so, and the next one proves it, the prompt having come."""
    bench.model.when("later still", Hang())
    session_id = bench.create()
    silence = Silence()
    bench.proxy.on("POST /session/*/prompt_async", silence)
    error = bench.error("send_message", session_id=session_id, prompt="later still", deadline_seconds=2)
    assert bench.fired(silence)
    assert error["details"]["stopped"]["confirmed"] is False and "abort-session" in error["next"]
    bench.raw.prompt_async(session_id, "later still", messageID=error["details"]["message_id"]).raise_for_status()
    wait_until(lambda: session_id in bench.raw.statuses(), SOON, what="the prompt that starts late")
    assert bench.data("abort_session", session_id=session_id)["confirmed"] is True
    assert bench.raw.statuses() == {}


def test_l36_prompt_that_the_server_refuses(bench: Bench) -> None:
    """L36: what the server refuses for good cannot start late: nothing is waited for."""
    refusal = answer('{"name": "BadRequest", "data": {"message": "no"}}', status=400)
    bench.proxy.on("POST /session/*/prompt_async", refusal, times=1)
    error = bench.error("run_task", prompt="refused", directory=bench.directory, deadline_seconds=LONG)
    assert (error["code"], error["details"]["cleanup"]["session_deleted"]) == ("invalid_input", True)
