"""Whose a session or server is: neighbours in other namespaces, a stepped clock, forks, restarts."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import anyio
import psutil
import pytest

from netclaw_opencode.offline import Gated, Hang
from netclaw_opencode.opencode import addresses, servers
from netclaw_opencode.opencode.process import orphans, ports, spawning, state
from netclaw_opencode.opencode.process.orphans import VARIABLE
from netclaw_opencode.testing.server import free_port
from netclaw_opencode.testing.waiting import SOON, wait_until
from tests.faults.bench import Bench
from tests.faults.own import Own, own_host
from tests.life.callers import called, calling, namespace
from tests.real.acting import data_of

pytestmark = pytest.mark.real


def test_l19_a_neighbour_in_another_namespace_leaves_a_running_task_alone(bench: Bench, tmp_path: Path) -> None:
    """L19: there our pid is nobody's; neither its cleanup nor the look before its own task takes that for our end."""
    gate = bench.model.gate("ours")
    bench.model.when("ours", Gated(gate, "begun ", "and done"))
    sending = bench.later("run_task", prompt="ours", directory=bench.directory, deadline_seconds=120)
    assert gate.wait_reached(SOON)
    before = tuple(namespace())
    neighbour = called(bench.settings, tmp_path / "there", "cleanup", before=before)
    assert neighbour["me"]["pid"] < 10 and neighbour["me"]["pid_namespace"] != "unknown", "it is in a namespace of its own"
    assert data_of(neighbour["envelope"])["sessions"] == []
    task = called(bench.settings, tmp_path / "there", "run_task", before=before, prompt="theirs", directory=bench.directory)
    assert data_of(task["envelope"])["notes"] == []
    gate.open()
    assert data_of(sending.result(SOON))["text"] == "begun and done"


def test_l19_a_task_of_another_namespace_is_left_alone_here(bench: Bench, tmp_path: Path) -> None:
    """L19: its pid is somebody else's here, or nobody's; running or killed, its session is not ours to judge."""
    bench.model.when("theirs", Hang())
    with calling(bench.settings, tmp_path / "there", "run_task", before=tuple(namespace()), prompt="theirs", directory=bench.directory):
        assert bench.model.wait_until(lambda model: model.open_connections > 0, SOON)
        assert bench.data("cleanup")["sessions"] == []
        assert len(bench.raw.statuses()) == 1
    (left,) = bench.raw.statuses()
    assert bench.data("cleanup")["sessions"] == []
    assert left in bench.raw.statuses()
    assert bench.data("delete_session", session_id=left)["deleted"] is True


@pytest.fixture
def stepped_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """The wall clock is stepped by an hour: to a program that shows as a boot, and so a start of each process, an hour later.

    The machine's own clock is not touched; what psutil reads of it is moved instead, which a look at this process proves.
    """
    before = psutil.Process().create_time()
    booted = psutil.boot_time()
    monkeypatch.setattr("psutil._pslinux.boot_time", lambda: booted + 3600)
    assert psutil.Process().create_time() == pytest.approx(before + 3600, abs=60)


def test_l20_a_stepped_clock_changes_nothing_for_sessions(bench: Bench, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """L20: a living caller's session is no leftover afterwards, for nobody; a later process of ours sees it so as well."""
    gate = bench.model.gate("stepped")
    bench.model.when("stepped", Gated(gate, "begun ", "and done"))
    sending = bench.later("run_task", prompt="stepped", directory=bench.directory, deadline_seconds=60)
    assert gate.wait_reached(SOON)
    request.getfixturevalue("stepped_clock")
    assert bench.data("cleanup")["sessions"] == []
    assert data_of(called(bench.settings, tmp_path / "there", "cleanup")["envelope"])["sessions"] == []
    gate.open()
    assert data_of(sending.result(SOON))["text"] == "begun and done"


def test_l20_a_stepped_clock_changes_nothing_for_our_server(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """L20: it is still the recorded one, no second one is started, and it can be stopped."""
    with own_host(tmp_path) as own:
        server = own.process()
        request.getfixturevalue("stepped_clock")
        assert data_of(own.host.call("start_server"))["started"] is False
        assert own.pid == server.pid and server.is_running()
        stopped = data_of(own.host.call("stop_server"))
        assert (stopped["stopped"], stopped["pid"]) == (True, server.pid)


def test_l21_a_fork_that_a_person_made_stays(bench: Bench, tmp_path: Path) -> None:
    """L21, F62: the fork bears a copy of our tag; when the caller was killed, its own session goes, and the fork is nobody's of ours."""
    bench.model.when("forked", Hang())
    with calling(bench.settings, tmp_path / "there", "run_task", prompt="forked", directory=bench.directory) as caller:
        assert bench.model.wait_until(lambda model: model.open_connections > 0, SOON)
        (original,) = bench.raw.statuses()
        fork = bench.raw.remember(str(bench.raw.post(f"/session/{original}/fork", {}).json()["id"]))
        caller.kill()
        caller.wait(SOON)
    copied, own = (bench.raw.get(f"/session/{item}").json()["metadata"] for item in (fork, original))
    assert copied == own and own, "the server copies the metadata"
    assert {item["session_id"]: item["ours"] for item in bench.data("list_sessions")["sessions"]} == {fork: False, original: True}
    assert bench.error("delete_session", session_id=fork)["code"] == "not_ours"
    assert [item["session_id"] for item in bench.data("cleanup", older_than_seconds=0)["sessions"]] == [original]
    assert [item["session_id"] for item in bench.data("list_sessions")["sessions"]] == [fork]
    bench.raw.delete(fork)


def test_l21_a_fork_does_not_take_the_key_of_its_original(bench: Bench) -> None:
    """L21: whoever repeats a key gets the original, and a new task when that was deleted; never the fork."""
    first = bench.data("run_task", prompt="keyed", directory=bench.directory, idempotency_key="k")["session_id"]
    fork = bench.remember(str(bench.raw.post(f"/session/{first}/fork", {}).json()["id"]))
    again = bench.data("run_task", prompt="keyed", directory=bench.directory, idempotency_key="k")["session_id"]
    assert again == first
    bench.raw.delete(first)
    third = bench.remember(bench.data("run_task", prompt="keyed", directory=bench.directory, idempotency_key="k")["session_id"])
    assert third not in (first, fork)


def kill_server(own: Own, port: int) -> None:
    """Kill the server and whatever its launcher started, as a machine without memory would, and wait until its port is free."""
    server = own.process()
    below = server.children(recursive=True)
    for item in (server, *below):
        os.kill(item.pid, signal.SIGKILL)
    wait_until(lambda: not ports.is_taken(port), SOON, what="the end of its port")


def test_l22_a_restart_with_the_same_port_and_password_is_no_orphan(tmp_path: Path) -> None:
    """L22: each start has a mark of its own, so a search for what the one before left does not see the server of today."""
    with own_host(tmp_path, OPENCODE_SERVER_PASSWORD="the user's own fixed one") as own:
        data_of(own.host.call("stop_server"))
        port = free_port()
        data_of(own.host.call("start_server", port=port))
        old = state.read(own.state)
        assert old is not None
        kill_server(own, port)
        data_of(own.host.call("start_server", port=port))
        new = state.read(own.state)
        assert new is not None and (new.url, new.password) == (old.url, old.password)
        assert own.process().environ()[VARIABLE] == new.mark != old.mark
        assert anyio.run(servers.terminate_orphans, old) == 0
        assert data_of(own.host.call("list_sessions"))["count"] == 0, "it answers"


def test_l22_a_record_of_version_1_leads_to_no_wrong_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """L22, L20: version 1.0 knew a start by the wall clock and made its mark from address and password: a living server stays."""
    password, port = "the user's own fixed one", free_port()
    mark = orphans.mark_of_version_1(spawning.loopback_url(port), password)
    monkeypatch.setattr(orphans, "new_mark", lambda: mark)
    monkeypatch.setattr(ports, "pick_free_port", lambda: port)
    with own_host(tmp_path, OPENCODE_SERVER_PASSWORD=password) as own:
        record = state.read(own.state)
        assert record is not None
        server = own.process()
        path = own.state / "server.json"
        new = path.read_text(encoding="utf-8")
        kept = ("url", "pid", "username", "password", "binary", "opencode_version", "log_file")
        old = {name: getattr(record, name) for name in kept} | {"version": 1, "create_time": server.create_time()}
        path.write_text(json.dumps(old), encoding="utf-8")
        read = state.read(own.state)
        assert read is not None and (read.pid, read.start_ticks) == (record.pid, record.start_ticks)
        assert data_of(own.host.call("list_sessions"))["count"] == 0, "it is found by the old record"
        path.write_text(json.dumps(old | {"create_time": server.create_time() - 3600}), encoding="utf-8")
        stepped = state.read(own.state)
        assert stepped is not None and not addresses.is_alive(stepped)
        assert stepped.mark == mark == server.environ()[VARIABLE]
        assert anyio.run(servers.terminate_orphans, stepped) == 0 and server.is_running()
        path.write_text(new, encoding="utf-8")
