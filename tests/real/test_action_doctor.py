"""``doctor`` on the real server: what is wrong is told by its check, nothing is changed, and it ends in time."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from netclaw_opencode.doctor.probes import SECONDS
from netclaw_opencode.host import Host
from netclaw_opencode.opencode.process import orphans, state
from netclaw_opencode.settings import Settings
from netclaw_opencode.testing.binary import opencode_binary
from netclaw_opencode.testing.server import OpenCodeServer, free_port
from netclaw_opencode.testing.waiting import wait_until
from tests.real.acting import Acting, Json, Requests, data_of, settings_of
from tests.support.pace import MACHINE_SECONDS
from tests.support.records import server_record

pytestmark = pytest.mark.real


def doctor(settings: Settings, **arguments: object) -> Json:
    """What the doctor says with these settings, within its time."""
    began = time.monotonic()
    with Host(settings, entry_points=False) as host:
        data = data_of(host.call("doctor", **arguments))
    assert time.monotonic() - began < SECONDS + MACHINE_SECONDS
    return data


def said(data: Json, name: str) -> tuple[str, str, str]:
    """Status, sentence and remedy of a check."""
    (check,) = [item for item in data["checks"] if item["id"] == name]
    return check["status"], check["seen"], check.get("remedy", "")


def alone(tmp_path: Path, place: Path, **more: str) -> Settings:
    """Settings of somebody with no server: a port at which nothing listens."""
    environ = {
        "OPENCODE_API_URL": f"http://127.0.0.1:{free_port()}",
        "OPENCODE_DRIVER_STATE_DIR": str(tmp_path / "state"),
        "OPENCODE_DRIVER_DIRECTORY": str(place),
        "OPENCODE_DRIVER_BINARY": opencode_binary(),
        "HOME": str(tmp_path),
    }
    return Settings.from_environment(environ | more)


@contextmanager
def pretended_server(name: str, tmp_path: Path, **environ: str) -> Iterator[int]:
    """A process with the command line and the environment of a server; it only sleeps."""
    program = tmp_path / name / "opencode"
    program.parent.mkdir()
    program.symlink_to(sys.executable)
    code = tmp_path / name / "serve"
    code.write_text("import time; time.sleep(60)\n", encoding="utf-8")
    process = subprocess.Popen([str(program), "serve"], cwd=code.parent, env={"PATH": os.defpath, **environ})
    try:
        wait_until(lambda: orphans.VARIABLE not in environ or psutil.Process(process.pid).environ(), what="the process")
        yield process.pid
    finally:
        process.kill()
        process.wait()


def test_a_healthy_server_is_told_so_and_only_read(acting: Acting, requests_sent: Requests, opencode_server: OpenCodeServer) -> None:
    """F29: server, password, provider, model and rules are seen; only reading requests were sent; no secret is told."""
    data = acting.data("doctor")
    assert data["can_run"] is True and data["counts"]["fail"] == 0
    for name, words in {
        "server": "not started by this skill",
        "password": "accepted",
        "sessions": "can serve",
        "providers": "offline",
        "model": "offline/scripted",
        "permissions": "doom_loop, external_directory, read",
        "questions": "question_pending",
        "stuck_sessions": "none hangs",
        "left_sessions": "none",
    }.items():
        status, seen, _ = said(data, name)
        assert (status, words in seen) == ("ok", True), f"{name}: {status}: {seen}"
    assert requests_sent.seen and requests_sent.matching("(?!GET ).*") == []
    assert opencode_server.password not in str(data)


def test_without_a_server_it_says_so_and_starts_none(tmp_path: Path, place: Path) -> None:
    """A run fails; the command that helps is named; no state folder is made and no process started."""
    data = doctor(alone(tmp_path, place))
    status, seen, remedy = said(data, "server")
    assert (status, data["can_run"], remedy) == ("fail", False, data["next"])
    assert "nothing answers" in seen and remedy == "netclaw-opencode server check-availability"
    assert said(data, "program")[0] == "ok"
    assert not (tmp_path / "state").exists()


def test_a_wrong_password_is_told_by_its_own_check(opencode_server: OpenCodeServer, tmp_path: Path, place: Path) -> None:
    """F10: with a wrong one, and with none; the password itself is never shown."""
    for wrong, words in (("wrong-sesame-4711", "is wrong"), ("", "none is set")):
        more = {"OPENCODE_SERVER_PASSWORD": wrong, "OPENCODE_DRIVER_DIRECTORY": str(place)}
        data = doctor(settings_of(opencode_server, tmp_path, **more))
        status, seen, remedy = said(data, "password")
        assert (status, words in seen, "OPENCODE_SERVER_PASSWORD" in remedy) == ("fail", True, True)
        assert opencode_server.password not in str(data) and "wrong-sesame-4711" not in str(data)


def test_a_broken_configuration_is_told_where_sessions_fail(opencode_server: OpenCodeServer, tmp_path: Path) -> None:
    """F39: the server is healthy, and no session can run in that directory."""
    directory = tmp_path / "broken"
    directory.mkdir()
    (directory / "opencode.json").write_text("{", encoding="utf-8")
    data = doctor(settings_of(opencode_server, tmp_path, OPENCODE_DRIVER_DIRECTORY=str(directory)))
    assert said(data, "server")[0] == "ok"
    status, seen, remedy = said(data, "sessions")
    assert (status, data["can_run"], bool(remedy)) == ("fail", False, True) and "opencode.json" in seen


def test_rules_that_ask_are_told_from_the_servers_own_configuration(opencode_server: OpenCodeServer, tmp_path: Path) -> None:
    """The effective rules of the agent, with the command that says what the policy would answer."""
    directory = tmp_path / "asking"
    directory.mkdir()
    (directory / "opencode.json").write_text('{"permission": {"bash": {"git push*": "ask"}, "question": "deny"}}', encoding="utf-8")
    data = doctor(settings_of(opencode_server, tmp_path), directory=str(directory))
    status, seen, remedy = said(data, "permissions")
    assert (status, "bash git push*" in seen) == ("warn", True)
    assert remedy == "netclaw-opencode inspect check-policy --permission bash --pattern 'git push*'"
    assert said(data, "questions") == ("ok", "the agent cannot ask", "")


def test_a_stale_state_file_is_told_and_left(tmp_path: Path, place: Path) -> None:
    """It names a process that is gone; the doctor does not remove it, and does not tell the password in it."""
    settings = alone(tmp_path, place)
    record = server_record(999_999, url="http://127.0.0.1:4711", password="sesame-in-the-file")
    state.write(settings.state_dir, record)
    data = doctor(settings)
    status, seen, remedy = said(data, "state_file")
    assert (status, remedy) == ("warn", "netclaw-opencode server stop-server") and "999999" in seen
    assert state.read(settings.state_dir) == record
    assert record.password not in str(data)
    settings.state_dir.chmod(0o755)
    status, seen, remedy = said(doctor(settings), "state_folder")
    assert (status, remedy) == ("fail", f"chmod 700 {settings.state_dir}")


def test_servers_beside_ours_are_seen(tmp_path: Path, place: Path) -> None:
    """F7: two on one data directory, and one that this skill started and the state folder does not know."""
    mark = orphans.new_mark()
    environ = {"XDG_DATA_HOME": str(tmp_path / "shared"), "HOME": str(tmp_path), orphans.VARIABLE: mark}
    with pretended_server("one", tmp_path, **environ) as one, pretended_server("two", tmp_path, **environ) as two:
        data = doctor(alone(tmp_path, place))
        status, seen, remedy = said(data, "data_directory")
        assert (status, str(tmp_path / "shared") in seen, "XDG_DATA_HOME" in remedy) == ("warn", True, True)
        assert str(one) in seen and str(two) in seen
        assert said(data, "stray_servers")[0] == "warn" and str(one) in said(data, "stray_servers")[1]
        assert psutil.pid_exists(one) and psutil.pid_exists(two)


def test_a_server_that_accepts_and_never_answers_does_not_hold_it_up(tmp_path: Path, place: Path) -> None:
    """F2: bounded in all, and said to hang."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        data = doctor(alone(tmp_path, place, OPENCODE_API_URL=f"http://127.0.0.1:{silent.getsockname()[1]}"))
    status, _, remedy = said(data, "server")
    assert (status, "server recover" in remedy) == ("fail", True)
