"""R55 to R60, R63, R64: whom a signal may reach, a stream that dies, a state folder that is damaged, a proxy in the environment."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import anyio
import anyio.to_thread
import psutil
import pytest

from netclaw_opencode.actions.context import ActionContext
from netclaw_opencode.offline import Gated, OfflineModel, Text
from netclaw_opencode.opencode.process import identity, state, terminating
from netclaw_opencode.opencode.wire import events
from netclaw_opencode.settings import Settings
from netclaw_opencode.testing.proxy import Stall
from netclaw_opencode.testing.server import OpenCodeServer, free_port
from netclaw_opencode.testing.waiting import SOON, wait_until
from tests.faults.bench import Bench, Timed, failed, host_to, litter
from tests.faults.own import environment, own_host
from tests.real.acting import data_of
from tests.support.records import server_record

pytestmark = pytest.mark.real


def record_of(process: psutil.Process, folder: Path, **more: object) -> state.ServerRecord:
    """A record that names this process as our server."""
    url, log_file = f"http://127.0.0.1:{free_port()}", str(folder / "state" / "server.log")
    return server_record(process.pid, **{"url": url, "binary": sys.executable, "log_file": log_file, **more})


@contextmanager
def stranger(*command: str, **options: object) -> Iterator[psutil.Process]:
    """A program that is none of ours."""
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **options) as process:  # type: ignore[call-overload]
        try:
            yield psutil.Process(process.pid)
        finally:
            process.kill()


def stop_of(folder: Path, record: state.ServerRecord) -> Timed:
    """What stop_server says of this record."""
    state.write(folder / "state", record)
    return failed(settings_in(folder), "stop_server", within=2)


def settings_in(folder: Path) -> Settings:
    """Settings with a state folder there and no address."""
    environ = {"OPENCODE_DRIVER_STATE_DIR": str(folder / "state"), "OPENCODE_DRIVER_DIRECTORY": str(folder), "HOME": str(folder)}
    return Settings.from_environment(environ | {"PATH": os.environ["PATH"]})


def test_r55_pid_was_reused(tmp_path: Path) -> None:
    """R55, S24: a record whose pid is another program now: no signal; by start time it is gone, by command line it is refused."""
    with stranger("sleep", "7171") as process:
        assert stop_of(tmp_path, record_of(process, tmp_path)).code == "kill_refused"
        state.write(tmp_path / "state", record_of(process, tmp_path, start_ticks=identity.identify(process.pid).start_ticks - 100))
        with host_to(settings_in(tmp_path)) as host:
            assert data_of(host.call("stop_server"))["was_running"] is False
        assert process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    assert litter(tmp_path / "state") == []


def test_r56_another_program_has_the_port(tmp_path: Path) -> None:
    """R56: a web server on the recorded port, be it named opencode and told to serve, is not signalled."""
    fake = tmp_path / "opencode"
    fake.write_text(
        "import http.server, sys\nhttp.server.ThreadingHTTPServer(('127.0.0.1', int(sys.argv[-1])), http.server.SimpleHTTPRequestHandler)"
        ".serve_forever()\n",
        encoding="utf-8",
    )
    port = free_port()
    with stranger(sys.executable, str(fake), "serve", "--hostname", "127.0.0.1", "--port", str(port)) as process:
        wait_until(lambda: process.net_connections(kind="tcp"), SOON, what="the web server")
        named = record_of(process, tmp_path, binary=str(fake), url=f"http://127.0.0.1:{port}")
        assert stop_of(tmp_path, named).code == "kill_refused"
        assert stop_of(tmp_path, replace(named, binary="/elsewhere/opencode")).code == "kill_refused"
        assert process.is_running() and process.status() != psutil.STATUS_ZOMBIE


def test_r57_other_user_s_process(tmp_path: Path) -> None:
    """R57: a process of another user is not signalled, whatever the record says."""
    process = next((item for item in psutil.process_iter() if item.pid > 1 and item.uids().real != os.getuid()), None)
    if process is not None:
        assert stop_of(tmp_path, record_of(process, tmp_path)).code == "kill_refused"
        return
    # Root alone sees no other user here, but can be one.
    with stranger("sleep", "7272", user=65534) as other:
        found = stop_of(tmp_path, record_of(other, tmp_path, binary="sleep"))
        assert found.code == "kill_refused" and other.is_running()


def test_r58_server_ignores_sigterm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """R58: a server that does not end by SIGTERM is ended by SIGKILL, which the answer tells; the tree is gone."""
    monkeypatch.setattr(terminating, "TERM_SECONDS", 1.0)
    with own_host(tmp_path) as own:
        process = own.process()
        os.kill(own.pid, signal.SIGSTOP)
        done = data_of(own.host.call("stop_server"))
        assert (done["signal"], done["processes_left"]) == ("SIGKILL", 0)
        assert not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


def test_r59_event_stream_dies_silently(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """R59, F31: a stream without a heartbeat is given up and opened anew; no completion is lost meanwhile."""
    monkeypatch.setattr(events, "_SILENT_SECONDS", 1.0)
    dead = bench.proxy.on("GET /global/event", Stall(body=150), times=1)
    gate = bench.model.gate("unheard")
    bench.model.when("unheard", Gated(gate, "begun ", "and done"))
    sending = bench.later("run_task", prompt="unheard", directory=bench.directory, deadline_seconds=120)
    assert gate.wait_reached(SOON)
    wait_until(lambda: bench.proxy.count("GET /global/event") >= 2, SOON, what="a second stream")
    gate.open()
    assert (data_of(sending.result(SOON))["text"], dead.fired) == ("begun and done", 1)


def test_r60_nobody_reads_the_events(bench: Bench) -> None:
    """R60: events that nobody takes are dropped beyond a bound, and counted; the turn is not disturbed."""
    bench.model.when("flood", Text("x" * 3000, piece_characters=1))

    async def main() -> tuple[int, int]:
        async with ActionContext(bench.settings) as context:
            connection = await context.driver.connect()
            async with connection.events.subscribe(None) as idle:
                await connection.events.wait_ready(within_seconds=SOON)
                sending = bench.later("run_task", prompt="flood", directory=bench.directory, deadline_seconds=120)
                with anyio.fail_after(SOON * 2):
                    envelope = await anyio.to_thread.run_sync(sending.result, SOON * 2)
                assert len(data_of(envelope)["text"]) == 3000
                return idle.received, idle.dropped

    received, dropped = anyio.run(main)
    assert received > events._QUEUE and dropped == received - events._QUEUE


BAD_FILES = {
    "empty": b"",
    "half": b'{"url": "http://127.0.0.1:1", "pid": 1',
    "another-version": b'{"version": 99}',
    "not-json": b"\x00\xff",
    "a-list": b"[]",
    "deep": b"[" * 100_000,
    "pid-1": b"",
}


@pytest.mark.parametrize("kind", [*BAD_FILES, "missing", "folder-of-a-file", "temporary-left"])
def test_r63_state_is_damaged(tmp_path: Path, kind: str) -> None:
    """R63: state_corrupt, naming the file, or as if there were none; never a crash, never a signal."""
    folder = tmp_path / "state"
    folder.mkdir(mode=0o700)
    path = folder / "server.json"
    if kind == "folder-of-a-file":
        folder.rmdir()
        folder.write_text("", encoding="utf-8")
    elif kind == "pid-1":
        state.write(folder, record_of(psutil.Process(1), tmp_path))
    elif kind == "temporary-left":
        (folder / ".server.json.new").write_bytes(b"{")
    elif kind != "missing":
        path.write_bytes(BAD_FILES[kind])
        path.chmod(0o600)
    with host_to(settings_in(tmp_path)) as host:
        envelope = host.call("stop_server")
    if envelope["ok"]:
        # Process 1 is never ours, so a record that names it is one of a server that is gone.
        assert kind in ("missing", "temporary-left", "pid-1") and data_of(envelope)["was_running"] is False
    else:
        error = envelope["error"]
        assert isinstance(error, dict) and error["code"] == "state_corrupt", error
        assert str(folder) in error["message"]


def test_r63_disk_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """R63: a record that cannot be written is a named failure, and the server that would be forgotten does not stay."""

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with OfflineModel() as model:
        settings = Settings.from_environment(environment(tmp_path, model))
        monkeypatch.setattr("os.fsync", full)
        found = failed(settings, "start_server", within=5)
    assert found.code == "state_corrupt" and "No space left" in found.error["message"], found.error
    assert litter(tmp_path / "state") == []
    assert not [item.pid for item in psutil.process_iter(["cwd"]) if (item.info["cwd"] or "").startswith(str(tmp_path))]


def test_r64_proxy_in_the_environment(bench: Bench, opencode_server: OpenCodeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """R64, F53: proxies of the environment are not used for the server."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with host_to(bench.settings) as host:
        assert data_of(host.call("list_sessions"))["count"] == 0
    assert opencode_server.process.poll() is None
