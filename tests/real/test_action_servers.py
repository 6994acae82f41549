"""``start_server``, ``stop_server``, and the start by ``check_availability``: private servers of these tests' own."""

from __future__ import annotations

import json
import socket
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

import psutil
import pytest

from netclaw_opencode.host import Host
from netclaw_opencode.offline import OfflineModel, Text, ToolCall
from netclaw_opencode.settings import Settings
from netclaw_opencode.testing.binary import opencode_binary
from netclaw_opencode.testing.server import free_port, server_environment
from netclaw_opencode.testing.waiting import wait_until
from tests.real.acting import Json, data_of, error_of, tool_processes, wait_gone

pytestmark = pytest.mark.real


@pytest.fixture
def model() -> Iterator[OfflineModel]:
    """A model for the servers of one test."""
    with OfflineModel() as running:
        yield running


@pytest.fixture
def environ(tmp_path: Path, workdir: Path, model: OfflineModel) -> Iterator[dict[str, str]]:
    """What a user's environment could be: own HOME, a free port, no server yet. Afterwards none of ours is alive."""
    before = {process.pid for process in servers()}
    yield server_environment(tmp_path / "home", config=model.provider_config(), password="") | {
        "OPENCODE_API_URL": f"http://127.0.0.1:{free_port()}",
        "OPENCODE_DRIVER_BINARY": opencode_binary(),
        "OPENCODE_DRIVER_DIRECTORY": str(workdir),
        "OPENCODE_DRIVER_STATE_DIR": str(tmp_path / "state"),
        # OpenCode's background installation of packages would reach for the network, and a server in it ignores SIGTERM.
        "OPENCODE_DRIVER_SERVER_ENV": "npm_config_registry",
        "npm_config_registry": "http://127.0.0.1:9",
    }
    left = [process for process in servers() if process.pid not in before and str(tmp_path) in str(safe_environ(process))]
    for process in left:
        process.kill()
    psutil.wait_procs(left, timeout=5)
    assert left == [], "a server of ours was left"


def servers() -> list[psutil.Process]:
    """Every ``opencode serve`` on this machine."""
    return [
        item for item in psutil.process_iter(["cmdline"]) if "serve" in (item.info["cmdline"] or ()) and "--port" in item.info["cmdline"]
    ]


def safe_environ(process: psutil.Process) -> Mapping[str, str]:
    """The environment of a process; empty where it may not be read any more."""
    try:
        return process.environ()
    except psutil.Error:
        return {}


def call(environ: Mapping[str, str], action: str, /, **arguments: object) -> dict[str, object]:
    """The envelope of one call of a fresh host: each call is another process's view."""
    with Host(Settings.from_environment(environ), entry_points=False) as host:
        return host.call(action, **arguments)


def data(environ: Mapping[str, str], action: str, /, **arguments: object) -> Json:
    """The data of one call that must succeed."""
    return data_of(call(environ, action, **arguments))


def listens(url: str) -> bool:
    """Whether anything accepts connections there."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", int(url.rpartition(":")[2]))) == 0


def mode(path: Path) -> int:
    """The permission bits of a file."""
    return stat.S_IMODE(path.stat().st_mode)


def test_a_server_is_started_adopted_and_stopped(environ: dict[str, str], tmp_path: Path) -> None:
    """F1, F2, F5, S2: one server for all calls; its password stands in a 0600 file and nowhere else; the stop leaves nothing."""
    state = tmp_path / "state"
    started = data(environ, "start_server")
    process = psutil.Process(started["pid"])
    assert (started["started"], started["url"], started["version"][:5]) == (True, environ["OPENCODE_API_URL"], "1.18.")
    record = json.loads((state / "server.json").read_text(encoding="utf-8"))
    assert (record["pid"], record["url"], len(record["password"]) >= 32) == (process.pid, started["url"], True)
    assert (mode(state), mode(state / "server.json"), mode(Path(started["log_file"]))) == (0o700, 0o600, 0o600)
    assert record["password"] not in " ".join(process.cmdline())
    assert not [name for name in process.environ() if name.startswith("OPENCODE_DRIVER_")], "S26: the caller's own variables stay here"
    again = data(environ, "start_server")
    assert (again["started"], again["pid"], again["url"]) == (False, process.pid, started["url"])
    report = data(environ, "check_availability")
    assert (report["server"]["ours"], report["server"]["started"], report["server"]["password_set"]) == (True, False, True)
    error = error_of(call(environ, "start_server", port=free_port()))
    assert (error["code"], started["url"] in error["message"]) == ("port_in_use", True)
    stopped = data(environ, "stop_server")
    assert (stopped["stopped"], stopped["was_running"], stopped["pid"], stopped["url"]) == (True, True, process.pid, started["url"])
    assert (stopped["processes_left"], stopped["sessions_aborted"], stopped["signal"]) == (0, [], "SIGTERM")
    assert not psutil.pid_exists(process.pid) or process.status() == psutil.STATUS_ZOMBIE
    assert not (state / "server.json").exists() and not Path(started["log_file"]).exists()
    assert [data(environ, "stop_server")[key] for key in ("stopped", "was_running")] == [False, False]


def test_a_missing_server_is_started_and_stopped_with_what_it_runs(environ: dict[str, str], model: OfflineModel) -> None:
    """F5; rule nothing-left: check_availability starts what alone is missing; a stop ends the command that a tool runs there."""
    report = data(environ, "check_availability")
    assert (report["available"], report["server"]["started"], report["server"]["ours"]) == (True, True, True)
    assert report["server"]["url"] == environ["OPENCODE_API_URL"]
    model.when("sleep on", ToolCall("bash", {"command": "sleep 1618", "description": "sleep"}), Text("never"))
    session_id = data(environ, "create_session")["session"]["session_id"]
    data(environ, "send_message_async", session_id=session_id, prompt="sleep on")
    wait_until(lambda: tool_processes("sleep 1618"), what="the command")
    stopped = data(environ, "stop_server")
    assert (stopped["stopped"], stopped["sessions_aborted"], stopped["processes_left"]) == (True, [session_id], 0)
    wait_gone("sleep 1618")
    error = error_of(call(environ, "get_session_status"))
    assert error["code"] in ("server_unreachable", "server_died")


def test_nothing_to_stop_is_no_error(environ: dict[str, str], tmp_path: Path) -> None:
    """Rule own-things-only: without a record there is nothing of ours; nobody else's server is looked for, no state is written."""
    stopped = data(environ, "stop_server")
    assert (stopped["stopped"], stopped["was_running"], stopped["processes_ended"], stopped["processes_left"]) == (False, False, 0, 0)
    assert not (tmp_path / "state" / "server.json").exists()


def test_a_server_that_died_is_not_taken_for_one(environ: dict[str, str], tmp_path: Path) -> None:
    """Rule nothing-left: after kill -9 the record is stale: the next start makes a new server, and a stop never signals the old pid."""
    first = data(environ, "start_server")
    psutil.Process(first["pid"]).kill()
    wait_until(lambda: not listens(first["url"]), what="a free port")
    second = data(environ, "start_server")
    assert (second["started"], second["pid"] != first["pid"]) == (True, True)
    psutil.Process(second["pid"]).kill()
    stopped = data(environ, "stop_server")
    assert stopped["processes_left"] == 0
    assert not (tmp_path / "state" / "server.json").exists()


def test_a_port_of_somebody_else_is_left_to_them(environ: dict[str, str], tmp_path: Path) -> None:
    """F4, F49: the reason that the server itself does not tell is told here; the stranger on the port is never adopted."""
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        port = stranger.getsockname()[1]
        error = error_of(call(environ, "start_server", port=port))
        assert (error["code"], str(port) in error["message"]) == ("port_in_use", True)
    assert not (tmp_path / "state" / "server.json").exists()


@pytest.mark.parametrize("port", [80, 65536, -1, "4096"])
def test_a_port_outside_its_range_is_refused(environ: dict[str, str], port: object) -> None:
    """F49: the server would bind 65535 silently; here only 0 and 1024 to 65535 are ports."""
    error = error_of(call(environ, "start_server", port=port))
    assert (error["code"], "port" in error["message"]) == ("invalid_input", True)


def test_a_start_that_fails_says_why(environ: dict[str, str], tmp_path: Path) -> None:
    """The process ends while starting: server_start_failed with exit code and the end of its log; nothing is left behind."""
    error = error_of(call(environ | {"XDG_DATA_HOME": "/proc/nope"}, "start_server"))
    assert (error["code"], error["details"]["exit_code"] != 0) == ("server_start_failed", True)
    assert error["details"]["log_tail"]
    assert not (tmp_path / "state" / "server.json").exists()


@pytest.mark.parametrize("binary", ["/nonexistent/opencode", "opencode", "/etc/hostname"], ids=["missing", "relative", "no-program"])
def test_a_program_that_cannot_be_run_is_named(environ: dict[str, str], binary: str) -> None:
    """The configured path is taken at its word: missing, relative or not executable is binary_not_found, at once."""
    error = error_of(call(environ | {"OPENCODE_DRIVER_BINARY": binary}, "start_server"))
    assert (error["code"], binary in error["message"]) == ("binary_not_found", True)


def test_a_server_on_another_machine_is_not_started(environ: dict[str, str]) -> None:
    """A server is started on this machine only: an address elsewhere is refused before anything is run."""
    error = error_of(call(environ | {"OPENCODE_API_URL": "https://opencode.example.invalid"}, "start_server"))
    assert (error["code"], "another machine" in error["message"]) == ("server_unreachable", True)


def test_a_user_s_password_is_used(environ: dict[str, str], tmp_path: Path) -> None:
    """A password that the user set is the server's; one that was not meant is refused (F10)."""
    with_password = environ | {"OPENCODE_SERVER_PASSWORD": "the user's own: words"}
    data(with_password, "start_server")
    try:
        assert data(with_password, "list_sessions", all_directories=True)["count"] == 0
        assert json.loads((tmp_path / "state" / "server.json").read_text(encoding="utf-8"))["password"] == "the user's own: words"
    finally:
        data(environ, "stop_server")
