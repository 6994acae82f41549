"""Stopping a server of ours: proved to be ours, ended with what it left, forgotten; anything else is left alone.

The processes here are small scripts that listen and never answer. They stand for processes alone and for none of OpenCode's
behaviour.
"""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path

import anyio
import pytest

from netclaw_opencode._core.private_files import require_private_folder
from netclaw_opencode.errors import DriverError, Refused
from netclaw_opencode.opencode import servers
from netclaw_opencode.opencode.process import inspection, state, terminating
from netclaw_opencode.opencode.process.ports import pick_free_port
from netclaw_opencode.opencode.process.spawning import Spawned, spawn
from netclaw_opencode.opencode.process.state import ServerRecord
from netclaw_opencode.settings import Settings
from tests.support.records import server_record

LISTENS = """
import signal, socket, sys
port = int(sys.argv[sys.argv.index("--port") + 1])
listener = socket.create_server(("127.0.0.1", port))
print(f"opencode server listening on http://127.0.0.1:{port}", flush=True)
while True: signal.pause()
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A state folder."""
    return tmp_path / "state"


def me() -> ServerRecord:
    """A record of a process that is alive and no server: this one."""
    return server_record(os.getpid())


@pytest.fixture
def running(home: Path) -> ServerRecord:
    """A process of ours that listens and never answers, with its note."""
    binary = home.parent / "opencode"
    binary.write_text(f"#!{sys.executable} -SE\n{LISTENS}", encoding="utf-8")
    binary.chmod(0o755)
    log_file = require_private_folder(home) / "server.log"

    async def run() -> Spawned:
        async def ready(_: str) -> bool:
            return True

        return await spawn(
            str(binary),
            port=pick_free_port(),
            environment={},
            directory=str(home),
            log_file=log_file,
            within_seconds=60,
            ready=ready,
        )

    found = anyio.run(run)
    record = server_record(found.process.pid, url=found.url, binary=str(binary), log_file=str(log_file))
    state.write(home, record)
    return record


def test_a_server_that_no_longer_answers_is_stopped_all_the_same(
    home: Path, running: ServerRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The aborts have their time, then the process goes; note, log and lock go with it, and a second stop finds nothing."""
    monkeypatch.setattr(servers, "_ABORT_SECONDS", 0.1)
    done = anyio.run(servers.stop, Settings(state_dir=home))
    assert (done.record, done.sessions_aborted) == (running, ())
    assert done.ended == terminating.Termination("SIGTERM", 1, 0)
    assert not inspection.is_alive(running.pid, running.start_ticks)
    assert list(home.iterdir()) == []
    assert anyio.run(servers.stop, Settings(state_dir=home)) == servers.StopResult(None, None, ())


def test_a_process_that_is_not_provably_ours_is_not_signalled(home: Path, running: ServerRecord) -> None:
    """A forged or stale note: the stranger lives on, and the note stays for a person to look at (S24, R55)."""
    for forged in (replace(running, binary="/opt/other/opencode"), me()):
        state.write(home, forged)
        with pytest.raises(Refused) as caught:
            anyio.run(servers.stop, Settings(state_dir=home))
        assert (caught.value.code, caught.value.rule) == ("kill_refused", "own-things-only")
        assert inspection.is_alive(forged.pid, forged.start_ticks)
        assert state.read(home) == forged
    anyio.run(terminating.terminate_tree, running.pid, running.start_ticks)


def test_the_note_of_an_ended_server_is_removed(home: Path) -> None:
    """Nothing is signalled: whoever has that pid now has another start time."""
    stale = replace(me(), start_ticks=1)
    state.write(home, stale)
    assert anyio.run(servers.stop, Settings(state_dir=home)) == servers.StopResult(stale, None, ())
    assert list(home.iterdir()) == []


def test_a_note_that_cannot_be_trusted_stops_nothing(home: Path) -> None:
    """A damaged file names no process (R63)."""
    state.write(home, me())
    (home / "server.json").write_text("{}", encoding="utf-8")
    with pytest.raises(DriverError) as caught:
        anyio.run(servers.stop, Settings(state_dir=home))
    assert caught.value.code == "state_corrupt"
