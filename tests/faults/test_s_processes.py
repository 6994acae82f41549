"""S24, S25, S34: whom we signal, and whom we call. The kernel's own calls are recorded, so that nothing can hide."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import anyio
import psutil
import pytest

from netclaw_opencode.errors import DriverError
from netclaw_opencode.opencode import servers
from netclaw_opencode.opencode.process import identity, inspection, ports, state, terminating
from netclaw_opencode.opencode.process.state import ServerRecord
from netclaw_opencode.settings import Settings
from netclaw_opencode.testing.server import OpenCodeServer, free_port
from netclaw_opencode.testing.waiting import wait_until
from tests.faults.bench import Bench
from tests.support.records import server_record

ROOT = Path(__file__).resolve().parents[2]
Signals = list[tuple[object, ...]]


@pytest.fixture
def signals(monkeypatch: pytest.MonkeyPatch) -> Signals:
    """Every signal that this process would send from now on; none is sent. Signal 0 is a question."""
    sent: Signals = []
    monkeypatch.setattr(os, "kill", lambda *given: sent.append(("kill", *given)) if given[1] else None)
    monkeypatch.setattr(os, "killpg", lambda *given: sent.append(("killpg", *given)))
    monkeypatch.setattr(signal, "pidfd_send_signal", lambda *given: sent.append(("pidfd", *given)))
    return sent


def stopping(folder: Path, record: ServerRecord) -> str:
    """What stop_server makes of this record: a code, or ``forgotten`` where nothing runs."""
    settings = Settings.from_environment({"HOME": str(folder), "OPENCODE_DRIVER_STATE_DIR": str(folder / "state")})
    state.write(settings.state_dir, record)
    try:
        done = anyio.run(servers.stop, settings)
    except DriverError as error:
        return error.code
    return "forgotten" if done.ended is None else "ended"


def ticks_of(pid: int) -> int:
    """When that process started; -1 where it is gone."""
    return identity.identify(pid).start_ticks


def some_record(**changed: object) -> ServerRecord:
    """A record, with these fields."""
    return server_record(**{"url": "http://127.0.0.1:1", "pid": 2, "start_ticks": 1, "log_file": "/nowhere/server.log", **changed})  # type: ignore[arg-type]  # fields


def test_s24_a_thousand_forged_records(tmp_path: Path, signals: Signals, monkeypatch: pytest.MonkeyPatch) -> None:
    """S24: pids, start times, programs and ports of live processes of all kinds, ourselves among them: not one signal."""
    monkeypatch.setattr(os, "fsync", lambda _: None)
    draw = random.Random(24)
    (tmp_path / "precious").write_text("mine", encoding="utf-8")
    # A process of the kernel has no command line, and would be given a second to end.
    found = [(item.pid, ticks_of(item.pid), item.info["cmdline"]) for item in psutil.process_iter(["cmdline"]) if item.info["cmdline"]]
    outcomes: dict[str, int] = {}
    for _ in range(1_000):
        pid, start_ticks, argv = draw.choice(found)
        record = some_record(
            pid=draw.choice((*[pid] * 8, os.getpid(), os.getppid(), 0, 1, -1, -pid, 2**31, 2**70)),
            start_ticks=draw.choice((*[start_ticks] * 4, start_ticks + draw.choice((-1, 2, 100, 360_000)), 0, -1, 2**70)),
            binary=draw.choice((argv[0], argv[0], argv[-1], "/opt/opencode", "", "serve")),
            url=draw.choice(("http://127.0.0.1:1", "http://127.0.0.1", "http://127.0.0.1:4096", "nonsense")),
            log_file=str(tmp_path / "precious"),
        )
        outcome = stopping(tmp_path, record)
        outcomes[outcome] = outcomes.get(outcome, 0) + 1
    assert signals == [] and (tmp_path / "precious").exists(), "nor is a file that a record names removed"
    assert set(outcomes) <= {"forgotten", "kill_refused", "state_corrupt"} and outcomes["kill_refused"] > 100, outcomes


STRANGER = """
import http.server, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.send_header("content-type", "text/html"); self.end_headers(); self.wfile.write(b"<html>")
    def log_message(self, *args): pass
http.server.HTTPServer(("127.0.0.1", int(sys.argv[-1])), Handler).serve_forever()
"""


@contextmanager
def stranger(folder: Path, *, port: int, words: tuple[str, ...]) -> Iterator[tuple[psutil.Process, str]]:
    """A web server in a program that is named opencode, with a command line of one's choice before its port."""
    path = folder / "opencode"
    path.write_text(f"#!{sys.executable}\n{STRANGER}", encoding="utf-8")
    path.chmod(0o755)
    running = subprocess.Popen([str(path), *words, str(port)])
    try:
        wait_until(lambda: ports.is_listening(running.pid, f"http://127.0.0.1:{port}"), what="the stranger")
        yield psutil.Process(running.pid), str(path)
    finally:
        running.kill()
        running.wait()


@pytest.mark.parametrize("words", [("serve", "--hostname", "127.0.0.1", "--port"), ("serve",), ("serve", "--port", "1", "--x")])
def test_s24_a_stranger_with_our_name_is_not_signalled(tmp_path: Path, words: tuple[str, ...]) -> None:
    """S24: pid, start time, program and even the whole command line fit; what answers there is not OpenCode."""
    port = free_port()
    with stranger(tmp_path, port=port, words=words) as (running, binary):
        record = some_record(pid=running.pid, start_ticks=ticks_of(running.pid), binary=binary, url=f"http://127.0.0.1:{port}")
        assert stopping(tmp_path, record) == "kill_refused"
        assert running.is_running() and running.status() != psutil.STATUS_ZOMBIE


@pytest.mark.real
@pytest.mark.parametrize(
    "forged",
    [
        lambda true: {"start_ticks": true.start_ticks + 1},
        lambda true: {"url": "http://127.0.0.1:1"},
        lambda true: {"binary": "/opt/other/opencode"},
        lambda true: {"pid": os.getpid(), "start_ticks": ticks_of(os.getpid())},
    ],
    ids=["another start", "another port", "another program", "ourselves"],
)
def test_s24_a_server_of_somebody_else_is_not_signalled(
    tmp_path: Path, opencode_server: OpenCodeServer, signals: Signals, forged: Callable[[ServerRecord], dict[str, object]]
) -> None:
    """S24: a real server, and a record in which one thing is wrong: refused, or taken for gone, without a signal."""
    running = psutil.Process(opencode_server.pid)
    true = some_record(pid=running.pid, start_ticks=ticks_of(running.pid), binary=running.cmdline()[0], url=opencode_server.base_url)
    assert stopping(tmp_path, replace(true, **forged(true))) in ("kill_refused", "forgotten")  # type: ignore[arg-type]  # its fields
    assert signals == [] and running.is_running()


def test_s24_identity_is_looked_at_again_with_the_pid_held(signals: Signals, monkeypatch: pytest.MonkeyPatch) -> None:
    """S24: a process that became another one between the proof and the signal gets none."""
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        seen = psutil.Process(child.pid)
        terminating._signal(seen, kill=False)
        assert len(signals) == 1
        monkeypatch.setattr(psutil.Process, "is_running", lambda _: False)
        terminating._signal(seen, kill=True)
        assert len(signals) == 1
    finally:
        child.communicate()


def test_s25_never_ourselves_our_parents_process_one_or_a_negative_pid(signals: Signals) -> None:
    """S25: neither by ending a server of that pid, nor by the signal itself."""
    us = psutil.Process()
    for pid in (0, 1, -1, -4242, us.pid, -us.pid, *(item.pid for item in us.parents()), 2**31, 2**80):
        for start_ticks in {0, ticks_of(pid)}:
            ended = anyio.run(terminating.terminate_tree, pid, start_ticks)
            assert (ended.signal, ended.processes_ended) == (None, 0)
        assert not inspection.is_alive(pid, 0)
        assert inspection.read_command_line(pid)[0] == () or pid > 0
    for item in (us, *us.parents(), psutil.Process(1)):
        terminating._signal(item, kill=True)
        terminating._signal(item, kill=False)
    assert signals == []


AUDITED = """
import json, sys
seen = []
def hook(name, args):
    if name in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto", "socket.bind"):
        where = args[1] if name in ("socket.connect", "socket.sendto", "socket.bind") else args[0]
        seen.append([name, str(where)])
sys.addaudithook(hook)
from netclaw_opencode.adapters.cli.app import run as main
codes = []
for words in json.loads(sys.argv[1]):
    try:
        code = main(words)
    except SystemExit as ended:
        code = ended.code
    codes.append(code)
print(json.dumps({"seen": seen, "codes": codes}), file=sys.stderr)
"""


@pytest.mark.real
def test_s34_only_the_configured_server_is_contacted(bench: Bench) -> None:
    """S34: an audit hook sees every connection and every look-up of whole calls: one address, the server's, and no name."""
    calls = [
        ["server", "check-availability", "--no-start", "--directory", bench.directory],
        ["run", "run-task", "--prompt", "say something", "--directory", bench.directory],
        ["inspect", "list-providers", "--directory", bench.directory],
        ["inspect", "watch-events", "--wait-seconds", "0.1"],
    ]
    environ = {
        **os.environ,
        **bench.settings.environ,
        "PYTHONPATH": str(ROOT),
        "HTTP_PROXY": "http://127.0.0.1:9",
        "ALL_PROXY": "http://127.0.0.1:9",
    }
    done = subprocess.run(
        [sys.executable, "-c", AUDITED, json.dumps(calls)], env=environ, capture_output=True, encoding="utf-8", timeout=240, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    told = json.loads(done.stderr.strip().splitlines()[-1])
    assert told["codes"] == [0] * len(calls), done.stdout
    connected = {where for name, where in told["seen"] if name == "socket.connect"}
    assert connected == {str(("127.0.0.1", bench.proxy.port))}
    assert {where for name, where in told["seen"] if name not in ("socket.connect", "socket.bind")} <= {"127.0.0.1"}
