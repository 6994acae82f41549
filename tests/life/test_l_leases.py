"""Calls beside each other: keys with fallbacks, a server that is replaced under a running call, what a host remembers."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from netclaw_opencode.actions.context import ActionContext
from netclaw_opencode.offline import Gated, Status, Text
from netclaw_opencode.offline.conversation import Conversation
from netclaw_opencode.offline.script import Reply
from netclaw_opencode.offline.steps import Step
from netclaw_opencode.opencode import connection
from netclaw_opencode.settings import Settings
from netclaw_opencode.testing.proxy import answer
from netclaw_opencode.testing.server import free_port
from netclaw_opencode.testing.waiting import SOON
from tests.faults.bench import Bench, host_to
from tests.faults.own import Own, environment, own_host
from tests.real.acting import Json, data_of, error_of

pytestmark = pytest.mark.real

MODELS = {"model": "offline/scripted", "fallback_models": ["offline/thinker"]}


def refusing(status: int, then: Step | None = None) -> Reply:
    """The first model refuses, the second one answers."""
    answer = then or Text("rescued")

    def reply(conversation: Conversation) -> Step:
        return answer if conversation.model == "thinker" else Status(status)

    return reply


def keyed(bench: Bench, prompt: str, **more: object) -> Json:
    """A task under a key, with a fallback."""
    arguments = {"prompt": prompt, "directory": bench.directory, "idempotency_key": prompt, **MODELS, **more}
    return data_of(bench.host.call("run_task", **arguments))


def forget(bench: Bench) -> None:
    """Delete what keys kept."""
    for item in bench.data("list_sessions", ours_only=True)["sessions"]:
        bench.raw.delete(item["session_id"])


def test_l15_a_key_with_fallbacks_is_one_task(bench: Bench) -> None:
    """L15: called again it returns what the fallback answered: the agent runs no second time, with neither model."""
    bench.model.when("one task", refusing(401))
    first = keyed(bench, "one task")
    assert (first["text"], [item["code"] for item in first["attempts"]]) == ("rescued", ["provider_auth"])
    asked = len(bench.model.calls_with("one task"))
    again = keyed(bench, "one task")
    assert (again["text"], again["session_id"]) == ("rescued", first["session_id"])
    assert [note for note in again["notes"] if "the same idempotency key" in note]
    assert len(bench.model.calls_with("one task")) == asked
    assert len(bench.data("list_sessions", ours_only=True)["sessions"]) == 2, "one for each model"
    forget(bench)


def test_l15_a_second_call_joins_the_fallback_that_runs(bench: Bench) -> None:
    """L15: while the second model works, the same call waits for that very attempt."""
    gate = bench.model.gate("second model")
    bench.model.when("joined", refusing(401, Gated(gate, "begun ", "and done")))
    first = bench.later("run_task", prompt="joined", directory=bench.directory, idempotency_key="joined", deadline_seconds=60, **MODELS)
    assert gate.wait_reached(SOON)
    second = bench.later("run_task", prompt="joined", directory=bench.directory, idempotency_key="joined", deadline_seconds=60, **MODELS)
    assert bench.model.wait_until(lambda _: bench.proxy.count("POST /session/*/prompt_async") == 2, SOON)
    gate.open()
    results = [data_of(item.result(SOON)) for item in (first, second)]
    assert [item["text"] for item in results] == ["begun and done"] * 2
    assert results[0]["session_id"] == results[1]["session_id"]
    assert [item.model for item in bench.model.calls_with("joined") if item.has_tools and item.model == "thinker"] == ["thinker"]
    forget(bench)


def test_l16_no_fallback_after_a_stop_that_is_not_proved(bench: Bench) -> None:
    """L16: aborts that do nothing leave the first attempt running: its error goes on and says so, the second model is not asked."""
    bench.model.when("not stopped", refusing(429))
    lie = bench.proxy.on("POST /session/*/abort", answer("true"))
    arguments = {"prompt": "not stopped", "directory": bench.directory, "retry_attempts": 1, "deadline_seconds": 60, **MODELS}
    error = error_of(bench.host.call("run_task", **arguments))
    assert (error["code"], error["details"]["stopped"]["confirmed"], lie.fired > 0) == ("provider_retrying", False, True)
    assert "no other model was tried, since this attempt is not seen stopped" in error["message"]
    assert not [item for item in bench.model.calls if item.model == "thinker"]
    bench.proxy.clear()
    assert [(item["reason"], item["deleted"]) for item in bench.data("cleanup")["sessions"]] == [("not_removed", True)]


def test_l16_a_fallback_follows_a_proved_stop(bench: Bench) -> None:
    """L16: where the first model's turn is aborted and seen stopped, the second one has the task."""
    bench.model.when("stopped", refusing(429))
    result = bench.data("run_task", prompt="stopped", directory=bench.directory, retry_attempts=1, deadline_seconds=60, **MODELS)
    assert (result["text"], [item["code"] for item in result["attempts"]]) == ("rescued", ["provider_retrying"])


@pytest.mark.parametrize("beside", ["recover", "start_server", "check_availability", "cleanup"])
def test_l18_what_leaves_the_server_alone_leaves_the_running_call_alone(tmp_path: Path, beside: str) -> None:
    """L18: the call beside it looks for the server anew; the running one keeps its connection and completes."""
    with own_host(tmp_path) as own:
        gate = own.model.gate("running")
        own.model.when("running", Gated(gate, "begun ", "and done"))
        running = own.later("run_task", prompt="running", deadline_seconds=60)
        assert gate.wait_reached(SOON)
        data_of(own.host.call(beside))
        gate.open()
        assert data_of(running.result(SOON))["text"] == "begun and done"


@pytest.mark.parametrize("beside", ["stop_server", "recover"])
def test_l18_what_ends_the_server_ends_the_running_call_with_its_own_error(tmp_path: Path, beside: str) -> None:
    """L18: its turn was aborted and its server ended: an error of the table that says so, and nothing runs any more."""
    with own_host(tmp_path) as own:
        gate = own.model.gate("ended")
        own.model.when("ended", Gated(gate, "begun ", "and done"))
        running = own.later("run_task", prompt="ended", deadline_seconds=60)
        assert gate.wait_reached(SOON)
        data_of(own.host.call(beside, **({"force": True} if beside == "recover" else {})))
        error = error_of(running.result(60))
        assert error["code"] in ("turn_aborted", "interrupted", "server_died", "turn_incomplete"), error
        assert own.model.wait_until(lambda model: model.open_connections == 0, SOON)
        own.host.call("start_server")
        assert data_of(own.host.call("run_task", prompt="after it"))["text"]


def test_l18_stops_and_starts_beside_many_calls(tmp_path: Path) -> None:
    """L18: whatever comes of calls beside a server that is replaced again and again, it is an error of the table."""
    with own_host(tmp_path) as own:
        calls = [own.later("list_sessions") for _ in range(10)]
        for _ in range(2):
            data_of(own.host.call("recover", force=True))
            calls += [own.later("list_sessions") for _ in range(10)]
        envelopes = [item.result(60) for item in calls]
    wrong = [item for item in envelopes if not item["ok"] and error_of(item)["code"] not in ("server_unreachable", "connection_lost")]
    assert not wrong


def test_l29_a_restart_on_the_same_port_with_a_new_password_is_found(tmp_path: Path) -> None:
    """L29: another host of this user restarts the server; ours, connected before, looks it up again by whole value."""
    with own_host(tmp_path) as own:
        # Another program of the machine may take the port in the moment between: then it is another one's turn.
        for port in (free_port() for _ in range(5)):
            data_of(own.host.call("stop_server"))
            if not own.host.call("start_server", port=port)["ok"]:
                continue
            assert data_of(own.host.call("list_sessions"))["count"] == 0
            with host_to(Settings.from_environment(environment(tmp_path, own.model))) as other:
                data_of(other.call("stop_server"))
                if other.call("start_server", port=port)["ok"]:
                    break
        else:
            pytest.fail("no port could be had twice")
        assert data_of(own.host.call("list_sessions"))["count"] == 0
        assert data_of(own.host.call("run_task", prompt="as before"))["text"]
        assert leaves_no_password(own)


def leaves_no_password(own: Own) -> bool:
    """The new password, too, is hidden in what this host returns."""
    return "password" not in str(own.host.call("list_sessions"))


def test_l34_catalogues_of_many_directories_are_bounded(bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """L34: only those used last are kept."""
    monkeypatch.setattr(connection, "_CATALOGUES", 3)
    places = [tmp_path / f"place{number}" for number in range(5)]
    for place in places:
        place.mkdir()

    async def main() -> list[str]:
        async with ActionContext(bench.settings) as context:
            found = await context.driver.connect()
            for place in places:
                await found.catalogue(str(place))
            return list(found._catalogues)

    assert anyio.run(main) == [str(place) for place in places[-3:]]
