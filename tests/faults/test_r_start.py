"""R1 to R9 and R11 to R17: no server, a server that does not start, and something else at its address."""

from __future__ import annotations

import os
import shlex
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio
import pytest

from netclaw_opencode.errors import DriverError
from netclaw_opencode.offline import OfflineModel
from netclaw_opencode.opencode.process import ports
from netclaw_opencode.opencode.wire.http import HttpClient
from netclaw_opencode.opencode.wire.routes import Route
from netclaw_opencode.settings import Settings
from netclaw_opencode.testing.binary import opencode_binary
from netclaw_opencode.testing.proxy import Fault, FaultProxy, Silence, answer, edit_json
from netclaw_opencode.testing.server import OpenCodeServer, free_port
from tests.faults.bench import Bench, Timed, failed, host_to, litter, settings_to
from tests.faults.own import environment, own_host
from tests.real.acting import data_of
from tests.support.pace import stretched

pytestmark = pytest.mark.real
HEALTH = "GET /global/health"
SEND = {"session_id": "ses_00000000000000000000000000", "prompt": "anybody?"}


def not_started(folder: Path, *, deadline: float = 120, **more: str) -> Timed:
    """The error of a start that must fail; it leaves neither a process nor a state file."""
    with OfflineModel() as model:
        settings = Settings.from_environment(environment(folder, model, **more))
        found = failed(settings, "start_server", within=min(deadline, 15), deadline_seconds=deadline)
    assert not (folder / "state" / "server.json").exists() and litter(folder / "state") == []
    assert process_of(str(folder)) == []
    return found


def process_of(mark: str) -> list[int]:
    """Live processes with the mark in their command line or working directory."""
    import psutil

    return [
        item.pid
        for item in psutil.process_iter(["cmdline", "cwd"])
        if mark in " ".join(item.info["cmdline"] or ()) or (item.info["cwd"] or "").startswith(mark)
    ]


def program(folder: Path, text: str, *, mode: int = 0o755) -> str:
    """A program of this text; its path."""
    path = folder / "opencode-wrapper"
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)
    return str(path)


def test_r01_nothing_listens(tmp_path: Path) -> None:
    """R1: server_unreachable within a second, for a call and for the check."""
    settings = settings_to(f"http://127.0.0.1:{free_port()}", tmp_path, password="", OPENCODE_DRIVER_BINARY=opencode_binary())
    assert failed(settings, "send_message", within=1, **SEND).code == "server_unreachable"
    assert failed(settings, "check_availability", within=1, start=False).code == "server_unreachable"


@contextmanager
def full_backlog() -> Iterator[int]:
    """A port whose queue is full: the kernel drops every further SYN."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port = listener.getsockname()[1]
        waiting = [socket.socket() for _ in range(4)]
        for item in waiting:
            item.setblocking(False)
            item.connect_ex(("127.0.0.1", port))
        try:
            yield port
        finally:
            for item in waiting:
                item.close()


def test_r02_packets_are_dropped(tmp_path: Path) -> None:
    """R2: no answer at all to the connection attempt is server_unreachable, too, with the reason."""
    with full_backlog() as port:
        found = failed(settings_to(f"http://127.0.0.1:{port}", tmp_path, password=""), "send_message", within=3, **SEND)
    assert (found.code, found.details["reason"]) == ("server_unreachable", "timeout")


def test_r03_first_requests_are_swallowed(bench: Bench) -> None:
    """R3, F2: requests that are accepted and never answered cost a short probe each; only silence for all is server_not_ready."""
    swallowed = bench.proxy.on(HEALTH, Silence(), times=2)
    assert bench.data("check_availability", start=False)["available"] is True
    assert swallowed.fired == 2
    with host_to(bench.settings) as other:
        silent = bench.proxy.on(HEALTH, Silence())
        error = other.call("check_availability", start=False, deadline_seconds=5)["error"]
        assert isinstance(error, dict) and error["code"] == "server_not_ready" and silent.fired > 1


@pytest.mark.parametrize("kind", ["missing", "not-executable", "not-a-program", "not-on-path"])
def test_r04_binary_cannot_be_run(tmp_path: Path, kind: str) -> None:
    """R4: binary_not_found with the exact path, at once, and nothing is left."""
    path = str(tmp_path / "opencode-wrapper")
    if kind == "not-executable":
        program(tmp_path, "#!/bin/sh\n", mode=0o600)
    elif kind == "not-a-program":
        program(tmp_path, "this is no program\n")
    if kind == "not-on-path":
        (tmp_path / "empty").mkdir()
        found = not_started(tmp_path, OPENCODE_DRIVER_BINARY="", PATH=str(tmp_path / "empty"))
        assert found.code == "binary_not_found" and "PATH" in found.error["message"]
        return
    found = not_started(tmp_path, OPENCODE_DRIVER_BINARY=path)
    assert found.code == "binary_not_found" and path in found.error["message"], found.error


def test_r05_data_is_corrupt(tmp_path: Path) -> None:
    """R5: server_start_failed with the exit code and the server's last words, as soon as it has ended."""
    data = tmp_path / "home" / "xdg-data" / "opencode"
    data.mkdir(parents=True)
    (data / "opencode.db").write_bytes(os.urandom(8192))
    found = not_started(tmp_path)
    assert (found.code, found.details["exit_code"]) == ("server_start_failed", 1), found.error
    assert "not a database" in found.details["log_tail"]


def test_r06_data_folder_cannot_be_written(tmp_path: Path) -> None:
    """R6: the same, for a data folder that cannot be made."""
    found = not_started(tmp_path, XDG_DATA_HOME="/proc/nope")
    assert (found.code, found.details["exit_code"]) == ("server_start_failed", 1)


def test_r07_port_belongs_to_another_opencode(tmp_path: Path, opencode_server: OpenCodeServer, proxy: FaultProxy) -> None:
    """R7: port_in_use; the stranger on it is neither adopted nor asked anything."""
    with OfflineModel() as model:
        settings = Settings.from_environment(environment(tmp_path, model))
        found = failed(settings, "start_server", within=3, port=opencode_server.port)
        assert found.code == "port_in_use"
        assert failed(settings, "start_server", within=3, port=proxy.port).code == "port_in_use"
    assert (proxy.count(), litter(tmp_path / "state")) == (0, [])


def test_r08_port_is_taken_between_choice_and_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """R8, F4: the real server fails to bind; another port is tried, and the one it listens on is proved to be its own."""
    impostors: list[socket.socket] = []
    taken = ports.is_taken

    def taken_right_after(port: int) -> bool:
        answer = taken(port)
        if not impostors:
            impostors.append(socket.create_server(("127.0.0.1", port)))
        return answer

    monkeypatch.setattr(ports, "is_taken", taken_right_after)
    with own_host(tmp_path) as own:
        port = impostors[0].getsockname()[1]
        assert own.process().net_connections(kind="tcp") and all(
            item.laddr.port != port for item in own.process().net_connections(kind="tcp")
        )
        assert data_of(own.host.call("check_availability", start=False))["server"]["ours"] is True
    impostors[0].close()


def test_r08_port_is_the_near_end_of_a_connection(tmp_path: Path) -> None:
    """R8: a port that some program has without listening is taken, too: no connection to it tells that, only a bind."""
    with socket.create_server(("127.0.0.1", 0)) as far, socket.socket() as near:
        near.bind(("127.0.0.1", 0))
        near.connect(far.getsockname())
        with OfflineModel() as model:
            settings = Settings.from_environment(environment(tmp_path, model))
            assert failed(settings, "start_server", within=2, port=near.getsockname()[1]).code == "port_in_use"


def test_r09_never_ready(tmp_path: Path) -> None:
    """R9: a server that says it listens, and stalls, is server_not_ready; the whole tree is ended."""
    real = shlex.quote(opencode_binary())
    stalling = program(
        tmp_path,
        f'#!/bin/sh\n[ "$1" = --version ] && exec {real} --version\necho "opencode server listening on http://127.0.0.1:$5"\n'
        f'{real} "$@" &\nkill -STOP $!\nsleep 6161 & wait\n',
    )
    found = not_started(tmp_path, deadline=stretched(4), OPENCODE_DRIVER_BINARY=stalling)
    assert found.code == "server_not_ready", found.error
    assert process_of("sleep 6161") == []


def test_r11_configuration_is_broken(bench: Bench, tmp_path: Path) -> None:
    """R11, F39: health is fine and no session can run: config_error, naming the file and the line."""
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "opencode.json").write_text('{\n  "model": \n}\n', encoding="utf-8")
    found = bench.failed("check_availability", within=3, directory=str(broken), start=False)
    assert found.code == "config_error" and "opencode.json" in found.error["message"], found.error
    assert "line" in found.error["message"].lower()


@pytest.mark.parametrize("password", ["canary-wrong-password", ""], ids=["wrong", "missing"])
def test_r12_password_is_refused(proxy: FaultProxy, tmp_path: Path, password: str) -> None:
    """R12: auth_failed after one request, and the password stands nowhere."""
    found = failed(settings_to(proxy.url, tmp_path, password=password), "send_message", within=1, **SEND)
    assert (found.code, proxy.count(), "canary" in str(found.error)) == ("auth_failed", 1, False)


@pytest.mark.parametrize("fault", [answer("<!doctype html><html></html>", kind="text/html")])
def test_r13_web_page(bench: Bench, fault: Fault) -> None:
    """R13, F38: 200 and a page is not_opencode."""
    bench.proxy.on("*", fault)
    assert bench.failed("send_message", within=1, **SEND).code == "not_opencode"


def test_r13_unknown_route_of_the_real_server(opencode_server: OpenCodeServer) -> None:
    """R13, F38: what the real server answers to a route it does not know is no answer, either."""

    async def ask() -> None:
        async with HttpClient(url=opencode_server.base_url, username="opencode", password=opencode_server.password) as client:
            await client.call(Route("nowhere", "GET", "/no/such/route"))

    with pytest.raises(DriverError) as caught:
        anyio.run(ask)
    assert caught.value.code == "not_opencode"


def test_r14_not_http(bench: Bench) -> None:
    """R14: another protocol at the address is not_opencode."""
    from netclaw_opencode.testing.proxy import Canned

    bench.proxy.on("*", Canned(b"SSH-2.0-OpenSSH_9.6\r\n"))
    assert bench.failed("send_message", within=1, **SEND).code == "not_opencode"


def test_r15_redirect(bench: Bench) -> None:
    """R15, F10: a redirect is not followed: its target sees no connection and no credentials."""
    with socket.create_server(("127.0.0.1", 0)) as target:
        target.settimeout(0.2)
        away = answer("", status=302, location=f"http://127.0.0.1:{target.getsockname()[1]}/")
        assert bench.data("list_sessions")["count"] == 0
        bench.proxy.on("POST /session", away)
        assert bench.failed("create_session", within=1).code == "bad_response"
        bench.proxy.on("*", away)
        with host_to(bench.settings) as other:
            error = other.call("list_sessions")["error"]
        assert isinstance(error, dict) and error["code"] == "not_opencode", "nothing that redirects its health is OpenCode"
        with pytest.raises(TimeoutError):
            target.accept()


def version_of(bench: Bench, version: object) -> Timed:
    """The error of a call to a server that says it has this version."""
    bench.proxy.on(HEALTH, edit_json(lambda health: {**health, "version": version} if version is not None else {"healthy": True}))
    return bench.failed("send_message", within=1, **SEND)


@pytest.mark.parametrize("version", ["2.0.12", "2.0.0-beta", "0.9", "1.17.99", "1.18", "latest", ""])
def test_r16_version_is_not_supported(bench: Bench, version: str) -> None:
    """R16, F35: unsupported_version, and no other route is called."""
    assert version_of(bench, version).code == "unsupported_version"
    assert bench.proxy.count() == bench.proxy.count(HEALTH) == 1


def test_r16_version_is_missing(bench: Bench) -> None:
    """R16: a health answer without a version is not OpenCode's."""
    assert version_of(bench, None).code == "not_opencode"


@pytest.mark.parametrize(("version", "code"), [("1.1.9", "unsupported_version"), ("1.0.200", "unsupported_version"), ("1.18.4", None)])
def test_r17_version_is_vulnerable(bench: Bench, version: str, code: str | None) -> None:
    """R17, S1: old ones are refused; a running server with a known hole is used with a warning, since it is not ours to stop."""
    if code is not None:
        assert version_of(bench, version).code == code
        return
    bench.proxy.on(HEALTH, edit_json(lambda health: {**health, "version": version}))
    problems = bench.data("check_availability", start=False)["problems"]
    assert [item["severity"] for item in problems if item["code"] == "vulnerable_version"] == ["warning"], problems


def test_r10_many_start_at_once(tmp_path: Path) -> None:
    """R10: of eight processes that start the server at the same moment one does; the others adopt it; nobody is left over."""
    import json
    import subprocess
    import sys

    with OfflineModel() as model:
        environ = {**environment(tmp_path, model), "PYTHONPATH": os.pathsep.join(sys.path)}
        command = [sys.executable, "-m", "netclaw_opencode", "server", "start-server"]
        racers = [subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL) for _ in range(8)]
        answers = [json.loads(racer.communicate(timeout=240)[0]) for racer in racers]
        with host_to(Settings.from_environment(environ)) as host:
            host.call("stop_server")
    assert [item["ok"] for item in answers] == [True] * 8, answers
    assert sorted(item["data"]["started"] for item in answers) == [False] * 7 + [True]
    assert len({(item["data"]["pid"], item["data"]["url"]) for item in answers}) == 1
    assert litter(tmp_path / "state") == [] and process_of(str(tmp_path)) == []
