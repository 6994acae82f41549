"""cleanup and recover on real servers: what a killed caller left is found by its marks; a server that hangs is replaced."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from netclaw_opencode.driver import driver
from netclaw_opencode.host import Host
from netclaw_opencode.offline import Hang, OfflineModel, Status
from netclaw_opencode.opencode.process import terminating
from netclaw_opencode.settings import Settings
from netclaw_opencode.testing.binary import opencode_binary
from netclaw_opencode.testing.server import OpenCodeServer, server_environment
from netclaw_opencode.testing.waiting import SOON, wait_until
from tests.real.acting import Acting, data_of, error_of, settings_of

ROOT = Path(__file__).resolve().parents[2]


def killed_run(server: OpenCodeServer, folder: Path, directory: str, prompt: str) -> None:
    """Run a task by the command line in another process, and kill -9 that process while the model hangs."""
    environ = settings_of(server, folder, OPENCODE_DRIVER_DIRECTORY=directory).environ
    command = [sys.executable, "-m", "netclaw_opencode", "run", "run-task", "--prompt", prompt]
    caller = subprocess.Popen(command, cwd=ROOT, env={"PATH": os.environ["PATH"], **environ}, stdout=subprocess.DEVNULL)
    server.model.wait_until(lambda model: model.open_connections > 0, SOON)
    caller.kill()
    caller.wait(SOON)


def test_cleanup_finds_what_a_killed_caller_left(acting: Acting, opencode_server: OpenCodeServer, tmp_path: Path) -> None:
    """nothing-left: a dry run tells, the real one stops and deletes; sessions that live on by design and foreign ones stay."""
    kept, foreign = acting.create(), acting.remember(acting.raw.create())
    acting.raw.model.when("hang for cleanup", Hang())
    killed_run(opencode_server, tmp_path, acting.directory, "hang for cleanup")
    told = acting.data("cleanup", dry_run=True)
    assert [(item["reason"], item["was"], item["deleted"]) for item in told["sessions"]] == [("owner_gone", "busy", False)]
    done = acting.data("cleanup")
    assert [(item["session_id"], item["stopped"], item["deleted"]) for item in done["sessions"]] == [
        (told["sessions"][0]["session_id"], True, True)
    ]
    assert acting.data("cleanup")["count"] == 0
    left = {item["session_id"] for item in acting.data("list_sessions")["sessions"]}
    assert left == {kept, foreign}


@pytest.mark.parametrize("host_is", ["fresh", "older"])
def test_the_next_task_sweeps_and_says_so(
    acting: Acting, opencode_server: OpenCodeServer, tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch, host_is: str
) -> None:
    """nothing-left: nobody has to call cleanup; the next task removes the leftover and says so; a host that lives on looks again."""
    monkeypatch.setattr(driver, "_SWEEP_INTERVAL_SECONDS", 0.0)
    # However slow the machine is: what is promised is that a look ends, not that it gets through.
    monkeypatch.setattr(driver, "_SWEEP_MOST_SECONDS", 60.0)
    acting.raw.model.when("hang for sweep", Hang())
    with Host(settings, entry_points=False) as host:
        if host_is == "older":
            assert data_of(host.call("run_task", prompt="before the kill"))["notes"] == []
        killed_run(opencode_server, tmp_path, acting.directory, "hang for sweep")
        notes = data_of(host.call("run_task", prompt="after the kill"))["notes"]
    assert len(notes) == 1
    assert "left behind by a process that is gone, was stopped and removed" in notes[0]
    assert acting.data("list_sessions")["sessions"] == []


def test_an_overdue_task_is_stopped_but_can_still_be_asked_for(acting: Acting) -> None:
    """deadline: a background task beyond its own deadline is stopped by the next cleanup; its session, and the truth, stay."""
    acting.raw.model.when("hang overdue", Hang())
    session_id = acting.started("hang overdue", deadline_seconds=0.001)
    assert acting.error("wait_for_session", session_id=session_id, wait_seconds=SOON)["code"] == "turn_timeout"
    swept = acting.data("cleanup")["sessions"]
    assert [(item["session_id"], item["reason"], item["stopped"], item["deleted"]) for item in swept] == [
        (session_id, "deadline_passed", True, False)
    ]
    assert acting.error("get_session_result", session_id=session_id)["code"] == "turn_aborted"


def test_cleanup_by_age_takes_only_ours_at_rest(acting: Acting) -> None:
    """own-things-only: with older_than_seconds 0 every session of ours at rest goes, and no other."""
    mine, foreign = acting.create(), acting.remember(acting.raw.create())
    swept = acting.data("cleanup", older_than_seconds=0)["sessions"]
    assert [(item["session_id"], item["reason"], item["deleted"]) for item in swept] == [(mine, "old", True)]
    assert [item["session_id"] for item in acting.data("list_sessions")["sessions"]] == [foreign]


def test_recover_never_signals_a_server_of_somebody_else(acting: Acting, opencode_server: OpenCodeServer) -> None:
    """own-things-only: even when forced; the refusal says so, and the server answers as before."""
    error = acting.error("recover", force=True)
    assert (error["code"], error["rule"]) == ("kill_refused", "own-things-only")
    assert psutil.pid_exists(opencode_server.pid)
    assert acting.data("recover")["server"] == {"url": opencode_server.base_url, "was": "answering", "ours": False, "restarted": False}


class OwnServer:
    """A server started by the action start_server, with a model behind it."""

    def __init__(self, host: Host, model: OfflineModel, state: Path) -> None:
        self.host = host
        self.model = model
        self._state = state

    @property
    def pid(self) -> int:
        """The server's process, by the state file."""
        return int(json.loads((self._state / "server.json").read_text(encoding="utf-8"))["pid"])

    def started(self, prompt: str) -> str:
        """A background turn; its session."""
        session_id = str(data_of(self.host.call("create_session"))["session"]["session_id"])
        data_of(self.host.call("send_message_async", session_id=session_id, prompt=prompt))
        return session_id


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[OwnServer]:
    """A server of ours in a private home; it, and everything below it, is gone afterwards."""
    work = tmp_path / "work"
    work.mkdir()
    with OfflineModel() as model:
        environ = server_environment(tmp_path / "home", config=model.provider_config(), password="") | {
            "OPENCODE_DRIVER_BINARY": opencode_binary(),
            "OPENCODE_DRIVER_STATE_DIR": str(tmp_path / "state"),
            "OPENCODE_DRIVER_DIRECTORY": str(work),
        }
        with Host(Settings.from_environment(environ), entry_points=False) as host:
            data_of(host.call("start_server"))
            server = OwnServer(host, model, tmp_path / "state")
            yield server
            data_of(host.call("stop_server"))
    assert {path.name for path in (tmp_path / "state").iterdir()} <= {"snapshots", "trajectories", "keys"}


def test_recover_replaces_a_server_whose_sessions_hang_in_retry(own_server: OwnServer) -> None:
    """stuck-server: two sessions in retry mean the process has to go; the answer names both as lost, and a new one answers."""
    own_server.model.when("refused", Status(429))
    lost = {own_server.started("refused one"), own_server.started("refused two")}
    before = own_server.pid

    def retrying() -> bool:
        sessions = data_of(own_server.host.call("get_session_status"))["sessions"]
        return [item["state"] for item in sessions] == ["retry", "retry"]

    wait_until(retrying, SOON, what="two sessions in retry")
    done = data_of(own_server.host.call("recover"))
    assert (done["server"]["was"], done["server"]["restarted"]) == ("answering", True)
    assert set(done["retrying"]) == {item["session_id"] for item in done["lost"]} == lost
    assert own_server.pid != before
    assert not psutil.pid_exists(before) or psutil.Process(before).status() == psutil.STATUS_ZOMBIE
    assert data_of(own_server.host.call("run_task", prompt="after"))["text"] == "after"


def test_recover_kills_a_server_that_hangs_and_names_what_it_took_along(own_server: OwnServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """stuck-server, F33: a stopped process ignores SIGTERM, so it is killed; the turn that ran in it is told as lost."""
    monkeypatch.setattr(terminating, "TERM_SECONDS", 1.0)
    own_server.model.when("hang inside", Hang())
    session_id = own_server.started("hang inside")
    own_server.model.wait_until(lambda model: model.open_connections > 0, SOON)
    os.kill(own_server.pid, signal.SIGSTOP)
    done = data_of(own_server.host.call("recover"))
    assert (done["server"]["was"], done["signal"]) == ("hanging", "SIGKILL")
    assert [item["session_id"] for item in done["lost"]] == [session_id]


def test_recover_starts_a_server_that_was_killed(own_server: OwnServer) -> None:
    """stuck-server: whoever killed our server, recover finds it gone by the state file and starts it afresh."""
    psutil.Process(own_server.pid).kill()
    done = data_of(own_server.host.call("recover"))
    assert (done["server"]["was"], done["server"]["restarted"]) == ("gone", True)


def test_recover_with_nothing_running_says_how_to_start(tmp_path: Path) -> None:
    """no-silence: no server at all is no case for recover, and the error names the next command."""
    environ = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "OPENCODE_API_URL": "http://127.0.0.1:9",
        "OPENCODE_DRIVER_DIRECTORY": str(tmp_path),
    }
    with Host(Settings.from_environment(environ), entry_points=False) as host:
        error = error_of(host.call("recover"))
    assert (error["code"], error["next"]) == ("server_unreachable", "netclaw-opencode server check-availability")
