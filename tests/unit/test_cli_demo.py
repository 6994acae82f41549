"""The demo shows what happens, leaves nothing behind, and claims only what was looked up."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest

from netclaw_opencode.adapters.cli import running
from netclaw_opencode.adapters.cli.demo import demo, proof
from netclaw_opencode.adapters.cli.demo.private import private_environment, private_settings
from netclaw_opencode.facts import ProgressEvent
from netclaw_opencode.offline import DEMO_PROMPT
from netclaw_opencode.opencode.process.binary import installed_path
from netclaw_opencode.settings import Settings

SESSION = "ses_20340f888001d7RBaaG1oOhjvJ"


def idle_process() -> subprocess.Popen[bytes]:
    """A process that does nothing until its standard input is closed."""
    return subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)


class Theatre:
    """A host whose server is a real, harmless process; each way to go wrong is a switch."""

    problems = ()

    def __init__(self) -> None:
        self.call: running.Call | None = None
        self.asked: list[tuple[str, Mapping[str, object]]] = []
        self.server: subprocess.Popen[bytes] | None = None
        self.adopted = False
        self.refuses_to_stop = False
        self.keeps_session = False
        self.task_error: dict[str, object] | None = None
        self.interrupted = False

    @contextlib.asynccontextmanager
    async def opened(self, call: running.Call) -> AsyncIterator[Theatre]:
        self.call = call
        yield self

    async def invoke(self, action: str, arguments: Mapping[str, object]) -> Mapping[str, object]:
        self.asked.append((action, arguments))
        play = {"start_server": self._start, "run_task": self._task, "list_sessions": self._list, "stop_server": self._stop}
        return {"ok": True, "action": action, "data": await play[action]()} if self._fine(action) else self._failed(action)

    def _fine(self, action: str) -> bool:
        return not (action == "run_task" and self.task_error is not None)

    def _failed(self, action: str) -> Mapping[str, object]:
        return {"ok": False, "action": action, "error": self.task_error}

    async def _start(self) -> dict[str, object]:
        self.end()
        self.server = idle_process()
        return {"url": "http://127.0.0.1:1", "version": "1.18.33", "pid": self.server.pid, "started": not self.adopted}

    async def _task(self) -> dict[str, object]:
        assert self.call is not None
        self.call.netclaw_on_event(ProgressEvent("session_created", f"session {SESSION}", SESSION))
        self.call.netclaw_on_event(ProgressEvent("tool", "write slugify.py \x1b[2J", SESSION))
        if self.interrupted:
            os.kill(os.getpid(), signal.SIGINT)
            await anyio.sleep_forever()
        return {"session_id": SESSION, "text": "I wrote it.", "elapsed_seconds": 1.0}

    async def _list(self) -> dict[str, object]:
        await anyio.lowlevel.checkpoint()
        return {"sessions": [{"session_id": SESSION}] if self.keeps_session else [], "count": 0}

    async def _stop(self) -> dict[str, object]:
        await anyio.lowlevel.checkpoint()
        if not self.refuses_to_stop:
            self.end()
        return {"stopped": True, "was_running": True}

    def end(self) -> None:
        """End the process, as the real action does."""
        if self.server is not None:
            assert self.server.stdin is not None
            self.server.stdin.close()
            self.server.kill()
            self.server.wait()


@pytest.fixture
def theatre(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Theatre]:
    """A host in the place of the real one, and an own folder for temporary files."""
    house = Theatre()
    monkeypatch.setattr(running, "open_host", house.opened)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    yield house
    house.end()


def play(**options: object) -> int:
    """Run the demo with these options and otherwise its defaults."""
    given: dict[str, object] = {"model": None, "directory": None, "keep": False, "deadline_seconds": 120.0, **options}
    return demo(**given)  # type: ignore[arg-type]


def test_the_demo_shows_every_act_and_the_proof(theatre: Theatre, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Server, session, tools with the deadline clock, the outcome, the looked-up sentence, and how to use a real model."""
    assert play() == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    for expected in (
        "scripted stand-in",
        DEMO_PROMPT,
        " of 120 s",
        f"session  {SESSION}",
        "write slugify.py \\x1b[2J",
        "I wrote it.",
        "session deleted, server stopped, nothing left",
        "--model provider/model",
        "--model default",
    ):
        assert expected in captured.out
    assert "\x1b" not in captured.out
    assert [action for action, _ in theatre.asked] == ["start_server", "run_task", "list_sessions", "stop_server"]
    assert not list(tmp_path.iterdir())


def test_the_task_runs_in_a_folder_of_its_own_with_the_deadline(theatre: Theatre, capsys: pytest.CaptureFixture[str]) -> None:
    """run_task is given the demo's prompt, folder, deadline and check, and no model: the private server has one default."""
    assert play(deadline_seconds=30.0) == 0
    task = dict(theatre.asked[1][1])
    assert Path(str(task.pop("directory"))).name.startswith("netclaw-demo-")
    check = {"command": ["python3", "slugify.py"], "attempts": 2}
    assert task == {"prompt": DEMO_PROMPT, "deadline_seconds": 30.0, "check": check}
    capsys.readouterr()


@pytest.mark.parametrize("switch", ["refuses_to_stop", "keeps_session"])
def test_what_is_left_is_told_and_makes_the_demo_fail(theatre: Theatre, switch: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A server that still runs, or a session that is still listed, is found by looking: no success is claimed."""
    setattr(theatre, switch, True)
    assert play() == 1
    out = capsys.readouterr().out
    assert "session deleted, server stopped, nothing left" not in out
    assert "✗ not" in out


def test_a_failed_task_is_shown_with_its_exit_code_and_the_server_is_stopped(theatre: Theatre, capsys: pytest.CaptureFixture[str]) -> None:
    """The task's own error decides the exit code; the clean-up is done and shown all the same."""
    theatre.task_error = {"code": "turn_timeout", "message": "too slow", "retryable": False, "next": "n"}
    assert play() == 6
    out = capsys.readouterr().out
    assert "✗ run_task: too slow" in out
    assert "✓ server stopped" in out


def test_a_server_that_does_not_start_is_the_only_thing_told(
    theatre: Theatre, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Without a server there is no claim about one; the error's next step is shown, and the folders are gone."""

    async def missing(action: str, _arguments: Mapping[str, object]) -> Mapping[str, object]:
        error = {"code": "binary_not_found", "message": "not installed", "retryable": False, "next": "npm install -g opencode-ai"}
        return {"ok": False, "action": action, "error": error}

    monkeypatch.setattr(theatre, "invoke", missing)
    assert play() == 5
    captured = capsys.readouterr()
    assert "next: npm install -g opencode-ai" in captured.out
    assert "session deleted" not in captured.out
    assert "server stopped" not in captured.out
    assert not list(tmp_path.iterdir())


def test_an_interrupted_demo_leaves_no_server(theatre: Theatre, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """After Ctrl-C the server is stopped in the shielded clean-up, exit code 130, nothing is left."""
    theatre.interrupted = True
    assert play() == 130
    out = capsys.readouterr().out
    assert "cancelled by Ctrl-C" in out
    assert "session deleted, server stopped, nothing left" in out
    assert not list(tmp_path.iterdir())


def test_a_model_of_ones_own_uses_the_users_own_set_up(theatre: Theatre, capsys: pytest.CaptureFixture[str]) -> None:
    """--model runs with the user's environment, and a server that ran before is left running."""
    theatre.adopted = True
    assert play(model="acme/m1") == 0
    assert theatre.call is not None
    assert theatre.call.settings is not None
    assert theatre.call.settings.environ.get("HOME") == os.environ.get("HOME")
    assert theatre.asked[1][1]["model"] == "acme/m1"
    assert "stop_server" not in [action for action, _ in theatre.asked]
    assert "scripted" not in capsys.readouterr().out
    assert play(model="default") == 0
    assert "model" not in theatre.asked[-2][1]


def test_files_stay_where_they_are_asked_to(theatre: Theatre, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """--keep keeps the temporary folder, --directory works in a given one; the way to them is told."""
    assert play(keep=True) == 0
    kept = list(tmp_path.iterdir())
    assert len(kept) == 1
    assert f"files kept in  {kept[0]}" in capsys.readouterr().out
    given = tmp_path / "mine"
    given.mkdir()
    assert play(directory=str(given)) == 0
    assert theatre.asked[-3][1]["directory"] == str(given)
    assert given.is_dir()
    capsys.readouterr()


def test_a_missing_directory_is_refused(theatre: Theatre, capsys: pytest.CaptureFixture[str]) -> None:
    """--directory must exist; nothing is started otherwise."""
    assert play(directory="/does/not/exist") == 3
    assert "is not an existing folder" in capsys.readouterr().err
    assert not theatre.asked


def test_the_private_world_shares_only_the_program(tmp_path: Path) -> None:
    """No key, proxy, address or configuration of the user's reaches the private server; its folders are closed to others."""
    canary = {"ANTHROPIC_API_KEY": "s", "HTTP_PROXY": "s", "OPENCODE_API_URL": "s", "OPENCODE_CONFIG": "s", "OPENCODE_SERVER_PASSWORD": "s"}
    environment = private_environment({"PATH": "/bin", "HOME": "/elsewhere", **canary}, tmp_path, config={"a": 1})
    assert not set(canary) & set(environment)
    assert environment["PATH"] == "/bin"
    places = {name: value for name, value in environment.items() if "elsewhere" in value or value.startswith(str(tmp_path))}
    assert set(places) >= {"HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME", "TMPDIR"}
    assert not [value for value in places.values() if "elsewhere" in value]
    folders = [Path(value) for name, value in places.items() if name not in ("HOME", "OPENCODE_MODELS_PATH")]
    assert all(folder.stat().st_mode & 0o077 == 0 for folder in folders)


def test_private_settings_point_nowhere_of_the_users() -> None:
    """The settings name no address and no password, keep their state below the temporary HOME, and vanish with it."""
    with private_settings() as settings:
        home = Path(settings.environ["HOME"])
        assert isinstance(settings, Settings)
        assert (settings.url_given, settings.password) == (False, None)
        assert settings.state_dir.is_relative_to(home)
        assert "offline" in settings.environ["OPENCODE_CONFIG_CONTENT"]
    assert not home.exists()


def test_the_demo_uses_the_opencode_that_its_own_advice_installs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What `server install-opencode` put into the user's state folder is found; a program that was named goes before it."""
    program = installed_path(tmp_path)
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\n", encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.delenv("OPENCODE_DRIVER_BINARY", raising=False)
    monkeypatch.setenv("OPENCODE_DRIVER_STATE_DIR", str(tmp_path))
    with private_settings() as settings:
        assert settings.binary == str(program)
    monkeypatch.setenv("OPENCODE_DRIVER_BINARY", "/named/opencode")
    with private_settings() as settings:
        assert settings.binary == "/named/opencode"
    monkeypatch.delenv("OPENCODE_DRIVER_BINARY")
    monkeypatch.setenv("OPENCODE_DRIVER_STATE_DIR", "no absolute path")
    with private_settings() as settings:
        assert settings.binary is None


def test_a_claim_about_processes_needs_a_look_at_them() -> None:
    """A running process is found running, an ended one gone, and one that was never seen proves nothing."""
    child = idle_process()
    family = proof.family_of(child.pid)
    assert not proof.check_server_stopped(family).holds
    assert child.stdin is not None
    child.stdin.close()
    child.wait()
    assert proof.check_server_stopped(family).holds
    assert not proof.check_server_stopped([]).holds
    assert proof.family_of(None) == []


@pytest.mark.parametrize(
    ("listed", "session_id", "private", "holds"),
    [
        ([], SESSION, True, True),
        (["other"], SESSION, True, False),
        (["other"], SESSION, False, True),
        ([SESSION], SESSION, False, False),
        (None, SESSION, True, False),
        ([], None, True, True),
        (["other"], None, True, False),
    ],
)
def test_a_claim_about_sessions_rests_on_a_list(listed: list[str] | None, session_id: str | None, private: bool, holds: bool) -> None:
    """On a private server none may be left; on the user's own only ours must be gone; not asked is not gone."""
    assert proof.check_session_deleted(listed, session_id, private=private).holds is holds
