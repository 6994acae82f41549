"""R49 to R54: the server dies, hangs or lies while a turn runs. What was stopped is proved; what is not is told."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from netclaw_opencode.actions import attempts
from netclaw_opencode.driver import stopping
from netclaw_opencode.offline import Hang, OfflineModel, Text, ToolCall
from netclaw_opencode.opencode.process import terminating
from netclaw_opencode.settings import Settings
from netclaw_opencode.testing.proxy import Canned, Cut, Fault, FaultProxy, Pause, Silence, answer
from netclaw_opencode.testing.server import OpenCodeServer, kill_server, start_server
from netclaw_opencode.testing.waiting import SOON, wait_until
from tests.faults.bench import Bench, host_to, litter
from tests.faults.own import Own, own_host
from tests.real.acting import Json, data_of, error_of, tool_processes, wait_gone
from tests.support.pace import MACHINE_SECONDS, stretched

pytestmark = pytest.mark.real
T = 1.2
CLEANUP = 15.0
MESSAGES = "GET /session/*/message"


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Own]:
    """A server that the driver started itself, and that the test may break."""
    with own_host(tmp_path) as own:
        yield own


def test_r49_server_is_killed_mid_turn(own: Own) -> None:
    """R49, F5: server_died at once, and the command that its tool left running is ended, found by its mark."""
    own.model.when("die now", ToolCall("bash", {"command": "sleep 5151", "description": "sleep"}), Text("never"))
    sending = own.later("run_task", prompt="die now", deadline_seconds=600)
    wait_until(lambda: tool_processes("sleep 5151"), SOON, what="the command")
    own.process().kill()
    error = error_of(sending.result(5 + MACHINE_SECONDS))
    assert error["code"] == "server_died", error
    assert error["details"]["processes_ended"] >= 1
    wait_gone("sleep 5151")
    assert data_of(own.host.call("stop_server"))["was_running"] is False
    assert litter(own.state) == []


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Less time for stopping and removing, where the fault makes it run out anyway."""
    monkeypatch.setattr(stopping, "STOP_SECONDS", 1.5)
    monkeypatch.setattr(attempts, "_REMOVE_SECONDS", 1.5)
    monkeypatch.setattr(terminating, "TERM_SECONDS", 1.0)


@pytest.mark.usefixtures("short")
def test_r51_server_hangs(own: Own) -> None:
    """R51: a stopped process answers nothing: turn_timeout with an unconfirmed stop; recover kills it, since it is ours."""
    data_of(own.host.call("run_task", prompt="warm up"))
    own.model.when("freeze", Hang())
    deadline = stretched(3)
    sending = own.later("run_task", prompt="freeze", deadline_seconds=deadline)
    assert own.model.wait_until(lambda model: model.calls_with("freeze"), SOON)
    os.kill(own.pid, signal.SIGSTOP)
    error = error_of(sending.result(deadline + CLEANUP + MACHINE_SECONDS))
    assert (error["code"], error["details"]["stopped"]["confirmed"]) == ("turn_timeout", False), error
    assert error["details"]["cleanup"]["session_deleted"] is False and error["details"]["cleanup"]["notes"]
    assert error["message"].endswith("; the turn was not stopped: the server does not answer")
    assert error["next"] == "netclaw-opencode server recover"
    done = data_of(own.host.call("recover"))
    assert (done["server"]["was"], done["server"]["restarted"], done["signal"]) == ("hanging", True, "SIGKILL")
    assert data_of(own.host.call("run_task", prompt="as new"))["text"] == "as new"


def test_r50_server_is_restarted_mid_turn(tmp_path: Path) -> None:
    """R50, F33, F44: idle after a restart is no success: interrupted, with what is left of the turn deleted."""
    home = tmp_path / "home"
    work = tmp_path / "work"
    work.mkdir()
    with OfflineModel() as model:
        first = start_server(home, model, password="")
        second: OpenCodeServer | None = None
        try:
            with FaultProxy(first.base_url) as proxy, host_to(_to(proxy, tmp_path, work)) as host:
                bench = Own(host, model, tmp_path / "state")
                model.when("cut off", Hang())
                sending = bench.later("run_task", prompt="cut off", deadline_seconds=600)
                assert model.wait_until(lambda model: model.calls_with("cut off"), SOON)
                pause = Pause()
                proxy.on("*", pause)
                kill_server(first)
                second = start_server(home, model, password="")
                proxy.aim(second.base_url)
                proxy.clear()
                pause.go.set()
                error = error_of(sending.result(SOON))
                assert error["code"] == "interrupted", error
                assert error["details"]["cleanup"]["session_deleted"] is True
        finally:
            kill_server(first)
            if second is not None:
                kill_server(second)


def _to(proxy: FaultProxy, folder: Path, work: Path) -> Settings:
    return Settings.from_environment(
        {
            "OPENCODE_API_URL": proxy.url,
            "OPENCODE_DRIVER_STATE_DIR": str(folder / "state"),
            "OPENCODE_DRIVER_DIRECTORY": str(work),
            "HOME": str(folder),
        }
    )


ABORT = "POST /session/*/abort"


@pytest.mark.parametrize(
    "fault", [answer('{"name":"UnknownError"}', status=500), Silence(), answer("true"), Cut(head=0)], ids=["500", "silence", "lies", "cut"]
)
def test_r52_abort_fails_or_lies(bench: Bench, fault: Fault, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """R52, F22: the abort's own answer proves nothing either way: what still runs is named; where it worked, that is seen."""
    bench.model.when("unstoppable", Hang())
    bench.proxy.on(ABORT, fault)
    session_id = bench.started("unstoppable")
    assert bench.model.wait_until(lambda model: model.calls_with("unstoppable"), SOON)
    if isinstance(fault, Cut):
        assert bench.data("abort_session", session_id=session_id)["confirmed"] is True
        return
    request.getfixturevalue("short")
    error = bench.failed("abort_session", within=2.5, session_id=session_id).error
    assert (error["code"], error["details"]["active"], bench.fired(fault) > 0) == ("abort_unconfirmed", [session_id], True)
    found = bench.task("also unstoppable", Hang(), within=T + CLEANUP, deadline_seconds=stretched(T))
    assert (found.code, found.details["stopped"]["confirmed"]) == ("turn_timeout", False)
    assert found.details["cleanup"]["session_deleted"] is False
    assert "not seen stopped" in found.error["message"]
    assert found.error["next"] == f"netclaw-opencode run abort-session --session-id {found.details['session_id']}"
    bench.proxy.clear()
    monkeypatch.undo()
    # The next changing call removes what the failed one had to leave; the background task is its caller's to stop.
    cleaned = bench.data("cleanup")["sessions"]
    assert [(item["reason"], item["was"], item["deleted"]) for item in cleaned] == [("not_removed", "busy", True)]
    assert bench.data("abort_session", session_id=session_id)["confirmed"] is True


@pytest.mark.parametrize(
    "fault", [answer("{}", status=500), Silence(), answer("true"), Canned(b"")], ids=["500", "silence", "lies", "closed"]
)
@pytest.mark.usefixtures("short")
def test_r53_delete_fails_or_lies(bench: Bench, fault: Fault, monkeypatch: pytest.MonkeyPatch) -> None:
    """R53: the task's own result stands, what could not be removed is told, and the next call removes it."""
    bench.proxy.on("DELETE *", fault)
    data = bench.data("run_task", prompt="stays behind", directory=bench.directory, deadline_seconds=120)
    assert (data["text"], data["cleanup"]["session_deleted"], bench.fired(fault) > 0) == ("stays behind", False, True)
    assert any("could not be removed" in note for note in data["notes"])
    if not isinstance(fault, Silence):
        found = bench.failed("delete_session", within=4, session_id=data["session_id"])
        assert found.code == "cleanup_incomplete"
    bench.proxy.clear()
    monkeypatch.undo()
    after: Json = bench.data("run_task", prompt="next one", directory=bench.directory, deadline_seconds=120)
    assert any(data["session_id"] in note and "removed" in note for note in after["notes"])
    assert bench.raw.get(f"/session/{data['session_id']}").status_code == 404


def test_r54_delete_while_busy(bench: Bench) -> None:
    """R54, F24: the driver stops before it deletes (order in the proxy's log), and refuses the delete where no stop is seen."""
    bench.model.when("still busy", Hang())
    session_id = bench.started("still busy")
    assert bench.model.wait_until(lambda model: model.calls_with("still busy"), SOON)
    bench.proxy.forget()
    assert bench.data("delete_session", session_id=session_id)["stopped"]["confirmed"] is True
    order = [item.route.split()[0] for item in bench.proxy.seen() if item.route.endswith("/abort") or item.route.startswith("DELETE")]
    assert order[0] == "POST" and order[-1] == "DELETE" and order.count("DELETE") == 1
    bench.seen_stopped()


@pytest.mark.usefixtures("short")
def test_r54_delete_is_refused_without_a_stop(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """R54: with an abort that does nothing, no delete goes out: abort_unconfirmed."""
    bench.model.when("busy on", Hang())
    session_id = bench.started("busy on")
    assert bench.model.wait_until(lambda model: model.calls_with("busy on"), SOON)
    lie = bench.proxy.on(ABORT, answer("true"))
    found = bench.failed("delete_session", within=3, session_id=session_id)
    assert (found.code, bench.proxy.count("DELETE *"), lie.fired > 0) == ("abort_unconfirmed", 0, True)
    bench.proxy.clear()
    monkeypatch.undo()
    assert bench.data("abort_session", session_id=session_id)["confirmed"] is True


def test_no_command_is_left_by_these_tests() -> None:
    """Leak check "L": no command that a tool started in this file lives on."""
    assert [item.pid for item in psutil.process_iter(["cmdline"]) if "sleep 5151" in " ".join(item.info["cmdline"] or ())] == []
