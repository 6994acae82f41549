"""A process started, proved to be ours, and ended with everything below it.

The programs here are small scripts that listen, exit, hang or ignore signals. They stand for the behaviour of *processes*
alone, and for none of OpenCode's: what the real server does is tested in ``tests/real``.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path

import anyio
import psutil
import pytest

from netclaw_opencode.errors import ServerProblem
from netclaw_opencode.opencode.process import identity, inspection, ports, terminating
from netclaw_opencode.opencode.process.inspection import is_alive
from netclaw_opencode.opencode.process.ports import pick_free_port
from netclaw_opencode.opencode.process.spawning import Spawned, read_log_tail, server_environment, spawn
from netclaw_opencode.opencode.process.terminating import Termination, terminate_tree
from netclaw_opencode.testing.waiting import wait_until

PASSWORD = "canary-password"

LISTENS = """
listener = socket.socket()
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listener.bind(("127.0.0.1", port))
listener.listen()
print(f"opencode server listening on http://127.0.0.1:{port}", flush=True)
"""
HAS_A_CHILD = """
child = subprocess.Popen([sys.executable, "-SEc", "import signal; signal.pause()"], start_new_session=True)
print(f"child={child.pid}", flush=True)
"""
IGNORES_TERM = "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
STAYS = "while True: signal.pause()\n"


@pytest.fixture(autouse=True)
def nothing_of_ours_is_left() -> Iterator[None]:
    """After each test no process below this one runs that did not before; what a failed test left is ended."""
    before = set(psutil.Process().children(recursive=True))
    yield
    left = [item for item in psutil.Process().children(recursive=True) if item not in before and item.status() != psutil.STATUS_ZOMBIE]
    for item in left:
        item.kill()
    assert not left


def answers(value: bool) -> Callable[[str], Awaitable[bool]]:
    """A probe that always says the same."""

    async def probe(_: str) -> bool:
        return value

    return probe


class Stage:
    """A folder with a program and its log."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = folder / "server.log"
        self.port = pick_free_port()

    def program(self, *lines: str) -> str:
        """A program that does this; ``port`` is the one that it was told."""
        path = self.folder / "program"
        head = "import os, signal, socket, subprocess, sys\nport = int(sys.argv[sys.argv.index('--port') + 1])\n"
        path.write_text(f"#!{sys.executable} -SE\n{head}{''.join(lines)}", encoding="utf-8")
        path.chmod(0o755)
        return str(path)

    async def start(
        self,
        binary: str,
        ready: Callable[[str], Awaitable[bool]] | None = None,
        *,
        within_seconds: float = 60,
        environment: Mapping[str, str] | None = None,
    ) -> Spawned:
        """Spawn it; ``ready`` is the probe, which else says yes."""
        return await spawn(
            binary,
            port=self.port,
            environment=environment if environment is not None else server_environment(os.environ, password=PASSWORD),
            directory=str(self.folder),
            log_file=self.log,
            within_seconds=within_seconds,
            ready=ready or answers(True),
        )

    def refused(self, binary: str, *, within_seconds: float = 60, ready: bool = True) -> ServerProblem:
        """The error with which a start ends; no process is left after it."""
        with pytest.raises(ServerProblem) as caught:
            anyio.run(lambda: self.start(binary, answers(ready), within_seconds=within_seconds))
        assert not running_from(binary)
        return caught.value

    def child(self) -> int:
        """The pid of the program's child, from its log."""
        return int(re.findall(r"child=(\d+)\n", wait_until(lambda: self.log.read_text(encoding="utf-8"), what="a log"))[-1])


def running_from(binary: str) -> list[int]:
    """Processes of that program that still run."""
    found: list[int] = []
    for item in psutil.process_iter():
        try:
            if binary in item.cmdline() and item.status() != psutil.STATUS_ZOMBIE:
                found.append(item.pid)
        except psutil.Error:
            continue
    return found


def runs(pid: int) -> bool:
    """Whether a pid is that of a process that has not ended."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    """A fresh folder."""
    return Stage(tmp_path)


def test_a_server_is_started_by_itself_and_ended_by_its_record(stage: Stage) -> None:
    """Address, pid and start time come back; the process has a session of its own, our directory and no open input."""
    says = "print('sid', os.getsid(0), 'cwd', os.getcwd(), 'in', os.path.realpath('/dev/fd/0'), 'umask', oct(os.umask(0)), flush=True)\n"
    binary = stage.program(says, LISTENS, STAYS)
    found = anyio.run(stage.start, binary)
    assert found == Spawned(f"http://127.0.0.1:{stage.port}", identity.identify(found.process.pid))
    assert is_alive(found.process.pid, found.process.start_ticks)
    text = stage.log.read_text(encoding="utf-8")
    assert f"sid {found.process.pid} cwd {stage.folder.resolve()} in /dev/null umask 0o77\n" in text
    assert stat.S_IMODE(stage.log.stat().st_mode) == 0o600
    assert anyio.run(terminate_tree, found.process.pid, found.process.start_ticks) == Termination("SIGTERM", 1, 0)
    assert not is_alive(found.process.pid, found.process.start_ticks)


def test_it_is_told_where_to_listen_and_never_the_password_by_argument(stage: Stage) -> None:
    """Everybody may read a command line, only this user an environment (S2); the caller's other secrets stay out (S26)."""
    binary = stage.program(LISTENS, STAYS)
    environ = {**os.environ, "CANARY_SECRET": "canary-other", "X_API_KEY": "kept", "OPENCODE_DRIVER_MODEL": "a/b"}
    found = anyio.run(lambda: stage.start(binary, environment=server_environment(environ, password=PASSWORD)))
    started = psutil.Process(found.process.pid)
    command, variables = started.cmdline(), started.environ()
    anyio.run(terminate_tree, found.process.pid, found.process.start_ticks)
    assert command[-6:] == [binary, "serve", "--hostname", "127.0.0.1", "--port", str(stage.port)]
    assert "canary" not in " ".join(command)
    assert (variables["OPENCODE_SERVER_PASSWORD"], variables["X_API_KEY"]) == (PASSWORD, "kept")
    assert not {"CANARY_SECRET", "OPENCODE_DRIVER_MODEL"} & set(variables)


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        *((name, True) for name in ("PATH", "HOME", "LANG", "LC_ALL", "XDG_DATA_HOME", "SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS")),
        *((name, True) for name in ("OPENCODE_CONFIG_CONTENT", "OPENCODE_SERVER_USERNAME", "OPENCODE_DISABLE_AUTOUPDATE")),
        *((name, True) for name in ("ANTHROPIC_API_KEY", "GROQ_API_KEY", "CLOUDFLARE_API_TOKEN", "AWS_REGION", "HTTPS_PROXY", "no_proxy")),
        *((name, True) for name in ("MY_EXTRA", "ANOTHER")),
        *(
            (name, False)
            for name in ("CANARY", "DATABASE_URL", "SSH_AUTH_SOCK", "LD_PRELOAD", "PYTHONPATH", "NODE_OPTIONS", "GITHUB_TOKEN", "TMPDIR")
        ),
        *((name, False) for name in ("OPENCODE_API_URL", "OPENCODE_DRIVER_BINARY", "OPENCODE_DRIVER_STATE_DIR", "PATHS", "MY_EXTRA2")),
    ],
)
def test_only_listed_variables_reach_a_server(name: str, *, kept: bool) -> None:
    """The system's basics, the providers' own and what is named as an extra; nothing else (S26)."""
    made = server_environment({name: "value"}, extra=("MY_EXTRA", "ANOTHER", "OPENCODE_DRIVER_BINARY"), password=PASSWORD)
    assert made == ({name: "value"} if kept else {}) | {"OPENCODE_SERVER_PASSWORD": PASSWORD}


def test_the_servers_password_is_always_ours() -> None:
    """One in the caller's environment is that of another server."""
    assert server_environment({"OPENCODE_SERVER_PASSWORD": "theirs"}, password=PASSWORD) == {"OPENCODE_SERVER_PASSWORD": PASSWORD}


def test_one_that_exits_is_told_at_once_with_its_last_words(stage: Stage) -> None:
    """Exit code and log tail, without keys; no waiting for the rest of the time (R5)."""
    binary = stage.program("print('api_key=canary-key-123', flush=True); print('file is not a database', file=sys.stderr); sys.exit(3)\n")
    stage.log.write_text("of the run before\n", encoding="utf-8")
    error = stage.refused(binary, within_seconds=600)
    assert error.code == "server_start_failed"
    assert "exit code 3" in error.message and "file is not a database" in error.message
    assert error.details["exit_code"] == 3
    shown = str(error.details["log_tail"])
    assert "file is not a database" in shown and "canary" not in shown and "run before" not in shown


def test_one_that_exits_without_a_word_is_told_too(stage: Stage) -> None:
    """And a signal as its end is seen as one."""
    error = stage.refused(stage.program("os.kill(os.getpid(), signal.SIGKILL)\n"))
    assert "printed nothing" in error.message
    assert error.details["exit_code"] == -signal.SIGKILL


@pytest.mark.parametrize(
    ("lines", "ready"),
    [
        ((STAYS,), True),  # never listens
        ((LISTENS, STAYS), False),  # listens, but does not answer as it should (R9)
        (("print('listening on http://127.0.0.1:1', flush=True)\n", STAYS), True),  # says so and does not
        (("print('listening on http://nowhere', flush=True)\n", STAYS), True),
        (("print('listening on http://127.0.0.1:99999999', flush=True)\n", STAYS), True),
        (("sys.stdout.buffer.write(b'listening on http://\\xff\\xfe:\\xff\\n'); sys.stdout.flush()\n", STAYS), True),
    ],
    ids=["silent", "unready", "false", "no-port", "bad-port", "bytes"],
)
def test_one_that_does_not_become_ready_is_ended(lines: tuple[str, ...], ready: bool, stage: Stage) -> None:
    """In time, and with the log so far."""
    error = stage.refused(stage.program(*lines), within_seconds=0.3, ready=ready)
    assert (error.code, error.retryable) == ("server_not_ready", True)
    assert "log_tail" in error.details


def test_whatever_goes_wrong_while_it_starts_nothing_stays(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """A defect in the probe, a program that ignores the polite signal, a child in a session of its own: all gone."""
    monkeypatch.setattr(terminating, "TERM_SECONDS", 0.2)
    binary = stage.program(IGNORES_TERM, HAS_A_CHILD, LISTENS, STAYS)

    async def broken(_: str) -> bool:
        raise RuntimeError("a defect")

    with pytest.raises(RuntimeError, match="a defect"):
        anyio.run(stage.start, binary, broken)
    assert not running_from(binary)
    assert not runs(stage.child())


def test_a_port_of_another_program_is_not_believed(stage: Stage) -> None:
    """An impostor answers there, but the port is not the new process's own (R8)."""
    with socket.create_server(("127.0.0.1", 0)) as impostor:
        taken = impostor.getsockname()[1]
        error = stage.refused(stage.program(f"print('listening on http://127.0.0.1:{taken}', flush=True)\n", STAYS), within_seconds=0.4)
    assert error.code == "server_not_ready"


def test_a_taken_port_is_told_before_anything_is_started(stage: Stage) -> None:
    """The server itself would only say "Unexpected error" (F4)."""
    with socket.create_server(("127.0.0.1", stage.port)):
        error = stage.refused(stage.program(LISTENS, STAYS))
    assert error.code == "port_in_use" and error.details == {"port": stage.port}
    assert not stage.log.exists()


def test_a_port_that_was_taken_in_between_is_told_as_such(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another program was faster: so it is worth trying another port, unlike any other failure."""
    answers = iter((False, True))
    monkeypatch.setattr(ports, "is_taken", lambda _: next(answers))
    assert stage.refused(stage.program("sys.exit(1)\n")).code == "port_in_use"


def test_what_cannot_be_run_is_a_failed_start(stage: Stage) -> None:
    """Missing, no program, or not allowed: the path and the system's reason (R4)."""
    text = stage.folder / "text"
    text.write_text("no program", encoding="utf-8")
    text.chmod(0o755)
    for binary, reason in (
        (str(stage.folder / "none"), "No such file"),
        (str(text), "Exec format"),
        (str(stage.folder), "Permission denied"),
    ):
        error = stage.refused(binary)
        assert error.code == "server_start_failed"
        assert binary in error.message and reason in error.message


def test_cancelling_a_start_ends_the_process(stage: Stage) -> None:
    """Ctrl-C while it starts: the process and its child are gone before the cancellation goes on."""
    binary = stage.program(HAS_A_CHILD, STAYS)

    async def run() -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(stage.start, binary)
            while "child=" not in (stage.log.read_text(encoding="utf-8") if stage.log.exists() else ""):  # noqa: ASYNC110
                await anyio.sleep(0.01)
            tasks.cancel_scope.cancel()
        assert not running_from(binary)

    anyio.run(run)
    assert not runs(stage.child())


def test_whoever_cannot_note_the_process_does_not_get_it(stage: Stage) -> None:
    """The note is made before it is ready, so that a killed caller's server is found; if that fails, it is ended."""
    binary = stage.program(LISTENS, STAYS)
    noted: list[Spawned] = []

    def note(found: Spawned) -> None:
        noted.append(found)
        raise OSError(28, "No space left on device")

    async def run() -> None:
        await spawn(
            binary,
            port=stage.port,
            environment=dict(os.environ),
            directory=str(stage.folder),
            log_file=stage.log,
            within_seconds=60,
            ready=lambda _: pytest.fail("not to be asked"),
            started=note,
        )

    with pytest.raises(OSError, match="No space"):
        anyio.run(run)
    assert noted and not runs(noted[0].process.pid)


def test_tool_children_go_with_their_server(stage: Stage) -> None:
    """They live in sessions of their own and would survive it (F5)."""
    found = anyio.run(stage.start, stage.program(HAS_A_CHILD, LISTENS, STAYS))
    child = stage.child()
    assert runs(child)
    assert anyio.run(terminate_tree, found.process.pid, found.process.start_ticks) == Termination("SIGTERM", 2, 0)
    assert not runs(child)


def test_one_that_ignores_the_polite_signal_is_killed(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """After its time, with its children; the report names the signal that ended it (R58)."""
    monkeypatch.setattr(terminating, "TERM_SECONDS", 0.2)
    found = anyio.run(stage.start, stage.program(IGNORES_TERM, HAS_A_CHILD, LISTENS, STAYS))
    assert anyio.run(terminate_tree, found.process.pid, found.process.start_ticks) == Termination("SIGKILL", 2, 0)
    assert not runs(stage.child())


def test_a_stopped_process_is_killed_too(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """SIGTERM does not reach it until it goes on (R58)."""
    monkeypatch.setattr(terminating, "TERM_SECONDS", 0.2)
    found = anyio.run(stage.start, stage.program(LISTENS, STAYS))
    stopped = psutil.Process(found.process.pid)
    stopped.suspend()
    wait_until(lambda: stopped.status() == psutil.STATUS_STOPPED, what="the stop")
    assert anyio.run(terminate_tree, found.process.pid, found.process.start_ticks) == Termination("SIGKILL", 1, 0)


def test_a_pid_with_another_start_time_is_a_stranger(stage: Stage) -> None:
    """It is neither alive as ours nor signalled: pids are used again (R55)."""
    found = anyio.run(stage.start, stage.program(LISTENS, STAYS))
    for wrong in (found.process.start_ticks + 1, found.process.start_ticks - 1000, 0):
        assert not is_alive(found.process.pid, wrong)
        assert anyio.run(terminate_tree, found.process.pid, wrong) == Termination(None, 0, 0)
    assert runs(found.process.pid)
    anyio.run(terminate_tree, found.process.pid, found.process.start_ticks)


def test_what_has_ended_is_not_alive_even_before_it_was_waited_for() -> None:
    """A zombie has its pid and start time still."""
    child = subprocess.Popen([sys.executable, "-SEc", "pass"])
    start_ticks = identity.identify(child.pid).start_ticks
    wait_until(lambda: not is_alive(child.pid, start_ticks), what="the end")
    argv, _, _ = inspection.read_command_line(child.pid)
    assert argv == ()
    child.wait()
    assert anyio.run(terminate_tree, child.pid, start_ticks) == Termination(None, 0, 0)
    assert inspection.read_command_line(child.pid) == ((), None, False)


def test_a_process_is_described_for_the_proof() -> None:
    """Command line, start, and that it is this user's."""
    argv, start_ticks, same_user = inspection.read_command_line(os.getpid())
    assert argv and same_user
    assert start_ticks == identity.this_process().start_ticks


def test_a_free_port_is_free() -> None:
    """It can be bound, on loopback."""
    with socket.create_server(("127.0.0.1", pick_free_port())):
        pass


def test_the_end_of_a_log_is_short_and_without_secrets(tmp_path: Path) -> None:
    """At most 8 KiB, from the start of this run on, whatever bytes it holds (S16)."""
    log = tmp_path / "log"
    log.write_bytes(b"old password=canary-old\n" + b"x" * 20_000 + b"\xff\xfe api_key=canary-new\nlast line\n")
    assert len(read_log_tail(log)) <= 8 * 1024 and read_log_tail(log).endswith("last line\n")
    assert "canary" not in read_log_tail(log)
    assert read_log_tail(log, log.stat().st_size) == ""
