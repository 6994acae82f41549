"""The commands as a host with a shell runs them, on the real server.

One simple command behind ``bash -c``, no standard input, no terminal, a TMPDIR of its own that is thrown away, a process
group that is killed as a whole, and of the output only the last 2,000 characters.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import shlex
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import click
import httpx
import pytest

from netclaw_opencode._core.validation import find_problems, iter_subschemas
from netclaw_opencode._core.validation.wording import as_mapping
from netclaw_opencode.adapters.cli import app
from netclaw_opencode.adapters.cli.terminal import PROGRAM
from netclaw_opencode.host import Host
from netclaw_opencode.manifest import ActionEntry, load_manifest
from netclaw_opencode.offline import Gated, Hang, OfflineModel, Text
from netclaw_opencode.settings import Settings
from netclaw_opencode.testing.leaks import LeakCheck
from netclaw_opencode.testing.server import OpenCodeServer
from netclaw_opencode.testing.waiting import SOON, wait_until
from tests.real.acting import Acting, Json, Policy
from tests.support.pace import MACHINE_SECONDS, stretched
from tests.support.raw import RawOpenCode

ROOT = Path(__file__).resolve().parents[2]
ENVELOPE = json.loads((ROOT / "schemas" / "result.schema.json").read_text(encoding="utf-8"))
ACTIONS = load_manifest().actions
SHOWN = 2000
"""A host shows so many characters, and some only the last ones."""
LIMIT = 1800
AXE_SECONDS = 240
BLOTTED = ("token", "secret", "password", "api_key", "apikey", "authorization")
STORY = "A long report. " * 600


@dataclass(slots=True)
class Shell:
    """A host's shell: runs one command after another, each in a group and with a TMPDIR of its own."""

    folder: Path
    environ: dict[str, str]
    calls: int = 0

    def start(self, command: str, **more: str) -> subprocess.Popen[bytes]:
        """The command, running."""
        self.calls += 1
        private = self.folder / f"tmp{self.calls}"
        private.mkdir()
        process = subprocess.Popen(
            ["/bin/bash", "-c", command],
            env={**self.environ, **more, "TMPDIR": str(private)},
            cwd=self.folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        assert process.stdin is not None
        process.stdin.close()
        process.stdin = None
        return process

    def ended(self, process: subprocess.Popen[bytes]) -> tuple[Json, int]:
        """The envelope as a host sees it, and the exit code; the group is killed at the host's limit, with all its output."""
        try:
            out, err = process.communicate(timeout=AXE_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise
        assert err == b""
        assert all(not list(private.iterdir()) for private in self.folder.glob("tmp*"))
        printed = out.decode("utf-8")
        assert printed.count("\n") == 1 and printed.endswith("\n") and len(printed) <= LIMIT
        envelope = json.loads(printed[-SHOWN:])
        assert find_problems(envelope, ENVELOPE) == ()
        if envelope["ok"]:
            assert find_problems(envelope["data"], ACTIONS[envelope["action"]].output_schema) == ()
        return envelope, process.returncode

    def run(self, command: str, **more: str) -> Json:
        """The data of a command that must succeed."""
        envelope, exit_code = self.ended(self.start(command, **more))
        assert (envelope["ok"], exit_code) == (True, 0), envelope
        return dict(envelope)


@pytest.fixture(scope="module")
def workdir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One directory for the module: a directory's first turn costs a second."""
    return tmp_path_factory.mktemp("shell").resolve()


@pytest.fixture
def shell(opencode_server: OpenCodeServer, tmp_path: Path, workdir: Path) -> Shell:
    """A shell whose PATH has the command, and whose environment has the settings and nothing else of ours."""
    program = tmp_path / "bin" / PROGRAM
    program.parent.mkdir()
    program.write_text(f"#!{sys.executable}\nfrom netclaw_opencode.adapters.cli import main\n\nmain()\n", encoding="utf-8")
    program.chmod(0o755)
    environ = {
        "PATH": f"{program.parent}:/usr/bin:/bin",
        "HOME": str(tmp_path),
        "PYTHONPATH": str(ROOT),
        "OPENCODE_API_URL": opencode_server.base_url,
        "OPENCODE_SERVER_PASSWORD": opencode_server.password,
        "OPENCODE_DRIVER_STATE_DIR": str(tmp_path / "s"),
        "OPENCODE_DRIVER_DIRECTORY": str(workdir),
    }
    return Shell(tmp_path, environ)


@pytest.fixture
def acting(shell: Shell, wire: httpx.Client, scripted: OfflineModel, workdir: Path, leak_check: LeakCheck) -> Iterator[Acting]:
    """Prepares what a command needs; afterwards nothing may run, and the leak check proves it."""
    leak_check.watch(workdir)
    with Host(Settings.from_environment(shell.environ), entry_points=False) as host:
        calls = Acting(host, RawOpenCode(wire, scripted, workdir), Policy())
        yield calls
        calls.close()


def whole_of(envelope: Mapping[str, object]) -> Json:
    """The whole envelope of a shortened one, from its file, which is what is said of it and for this user alone."""
    told = envelope["full_result"]
    assert isinstance(told, dict)
    path = Path(told["path"])
    content = path.read_bytes()
    assert (len(content), hashlib.sha256(content).hexdigest()) == (told["bytes"], told["sha256"])
    assert (stat.S_IMODE(path.stat().st_mode), stat.S_IMODE(path.parent.stat().st_mode)) == (0o600, 0o700)
    whole: Json = json.loads(content)
    assert find_problems(whole, ENVELOPE) == () and "full_result" not in whole
    return whole


@pytest.mark.real
def test_a_task_in_the_background_with_a_large_answer(acting: Acting, shell: Shell) -> None:
    """Create, start, wait, read, delete: each prints one document that fits, and a shortened one names the file with the whole."""
    acting.raw.model.when("tell me all", Text(STORY))
    created = shell.run(f"{PROGRAM} run create-session --title 'For a shell'")["data"]["session"]
    session = f"--session-id {acting.remember(created['session_id'])}"
    started = shell.run(f"{PROGRAM} run send-message-async {session} --prompt 'tell me all' --deadline-seconds 600")["data"]
    waited = shell.run(started["next"])
    result = waited["data"]["result"]
    assert (waited["data"]["done"], waited["data"]["state"], result["state"]) == (True, "ready", "completed")
    assert STORY.startswith(result["text"].partition("…[+")[0]) and len(result["text"]) > 200
    assert whole_of(waited)["data"]["result"]["text"].strip() == STORY.strip()
    again = shell.run(f"{PROGRAM} inspect get-session-result {session} --max-chars 1300")
    assert len(json.dumps(again, ensure_ascii=False)) < 1400
    assert whole_of(again)["data"]["text"] == whole_of(waited)["data"]["result"]["text"]
    assert shell.run(f"{PROGRAM} run delete-session {session}")["data"]["deleted"] is True


@pytest.mark.real
def test_a_killed_wait_leaves_the_task_running_and_to_be_found(acting: Acting, shell: Shell) -> None:
    """The axe takes the whole group in the middle of a wait; the task goes on, and the next wait shows time and progress."""
    gate = acting.raw.model.gate("slow work")
    acting.raw.model.when("slow work", Gated(gate, "the beginning ", "and the end"))
    session_id = acting.create()
    wait = shell.run(f"{PROGRAM} run send-message-async --session-id {session_id} --prompt 'slow work'")["data"]["next"]
    assert gate.wait_reached(SOON)
    first = shell.run(f"{wait} --wait-seconds 0.2")["data"]
    doomed = shell.start(wait)
    began = time.monotonic()
    wait_until(lambda: time.monotonic() - began > 0.7 and doomed.poll() is None, what="a wait in progress")
    os.killpg(doomed.pid, signal.SIGKILL)
    out, _ = doomed.communicate(timeout=SOON)
    assert (out, list(acting.raw.statuses())) == (b"", [session_id])
    second = shell.run(f"{wait} --wait-seconds 0.2")["data"]
    assert (first["done"], second["done"], second["state"]) == (False, False, "busy")
    assert second["elapsed_seconds"] > first["elapsed_seconds"] + 0.5
    gate.open()
    last = shell.run(wait)["data"]
    assert (last["done"], last["result"]["text"]) == (True, "the beginning and the end")
    assert last["progress"]["text_chars"] > second["progress"]["text_chars"]


@pytest.mark.real
def test_the_cap_on_calls_ends_a_task_and_a_wait_in_time(acting: Acting, shell: Shell) -> None:
    """OPENCODE_DRIVER_CALL_SECONDS: the document is out within it; the task is stopped and deleted, the wait is cut short; both say why."""
    acting.raw.model.when("no end", Hang())
    background = acting.started("no end in the background")
    seconds = math.ceil(stretched(10))
    cap = {"OPENCODE_DRIVER_CALL_SECONDS": str(seconds)}
    began = time.monotonic()
    running = shell.start(f"{PROGRAM} run run-task --prompt 'no end' --deadline-seconds 600", **cap)
    waiting = shell.start(f"{PROGRAM} inspect wait-for-session --session-id {background}", **cap)
    waited, _ = shell.ended(waiting)
    ended, exit_code = shell.ended(running)
    assert time.monotonic() - began < seconds + MACHINE_SECONDS
    error = ended["error"]
    assert (error["code"], exit_code) == ("turn_timeout", 6)
    assert f"OPENCODE_DRIVER_CALL_SECONDS is {seconds}" in error["message"] and "600 s" in error["message"]
    assert error["details"]["stopped"]["confirmed"] is True and error["details"]["cleanup"]["session_deleted"] is True
    assert (waited["data"]["done"], waited["data"]["state"]) == (False, "busy")
    assert f"OPENCODE_DRIVER_CALL_SECONDS is {seconds}" in waited["data"]["notes"][0]
    assert list(acting.raw.statuses()) == [background], "the cap is on calls: the task in the background goes on"
    acting.data("abort_session", session_id=background)


@pytest.mark.real
def test_lines_of_events_are_bounded_and_the_envelope_comes_last(acting: Acting, shell: Shell) -> None:
    """watch-events --format lines: whoever keeps the last 2,000 characters has the whole envelope."""
    acting.raw.model.when("go on", *(Text(f"{number}") for number in range(3)))
    watching = shell.start(f"{PROGRAM} inspect watch-events --format lines --wait-seconds 4 --until-idle --max-chars 600")
    for _ in range(8):
        acting.data("run_task", prompt="go on")
        if watching.poll() is not None:
            break
    out, err = watching.communicate(timeout=SOON)
    lines = out.decode("utf-8").splitlines()
    assert err == b"" and len(lines) > 1 and all(len(line) < 600 for line in lines)
    last = json.loads(lines[-1])
    assert last["ok"] is True and find_problems(last["data"], ACTIONS["watch_events"].output_schema) == ()
    assert last["data"]["ended"] in ("idle", "time")


@pytest.mark.parametrize("stdin", ["", " <&-"])
def test_no_standard_input_is_needed(shell: Shell, stdin: str) -> None:
    """An end of file at once, or no descriptor at all: the command does not look."""
    envelope = json.loads(
        subprocess.check_output(["/bin/bash", "-c", f"{PROGRAM} actions{stdin}"], env=shell.environ, stdin=subprocess.DEVNULL)
    )
    assert envelope["data"]["count"] == len(whole_of(envelope)["data"]["actions"]) == len(ACTIONS)


def test_the_limit_is_a_setting_too(shell: Shell) -> None:
    """A pipeline takes the limit away for one call or, by the variable, for all; what is no limit is refused."""
    for command, more in ((f"{PROGRAM} actions --max-chars 0", {}), (f"{PROGRAM} actions", {"OPENCODE_DRIVER_MAX_CHARS": "0"})):
        envelope = json.loads(subprocess.check_output(shlex.split(command), env={**shell.environ, **more}))
        assert "full_result" not in envelope and len(envelope["data"]["actions"]) == len(ACTIONS)
    envelope, exit_code = shell.ended(shell.start(f"{PROGRAM} actions", OPENCODE_DRIVER_MAX_CHARS="12"))
    assert (envelope["error"]["code"], exit_code) == ("invalid_input", 3) and "OPENCODE_DRIVER_MAX_CHARS" in envelope["error"]["message"]
    envelope, exit_code = shell.ended(shell.start(f"{PROGRAM} actions --max-chars 499"))
    assert (envelope["error"]["code"], exit_code) == ("invalid_input", 2)


def test_nothing_that_is_needed_stands_under_a_key_that_hosts_blot_out() -> None:
    """No text in any output, nor in the envelope around it, is called token, secret, password, api_key or authorization."""
    schemas = [ENVELOPE, *(entry.output_schema for entry in ACTIONS.values())]
    named = [
        name
        for schema in schemas
        for _, part in iter_subschemas(schema)
        for name, field in as_mapping(part.get("properties")).items()
        if as_mapping(field).get("type") not in ("boolean", "integer", "number")
    ]
    assert len(named) > 100
    assert [name for name in named if name.lower().startswith(BLOTTED)] == []


@pytest.mark.parametrize("entry", ACTIONS.values(), ids=list(ACTIONS))
def test_a_command_has_constant_first_words_and_values_behind_flags(entry: ActionEntry) -> None:
    """What a host remembers of an approval ends at the first flag: program, tier, action; only the file of verify-work is positional."""
    root = app._root()
    context = click.Context(root, info_name=PROGRAM)
    tier = root.get_command(context, entry.tier)
    assert isinstance(tier, click.Group)
    command = tier.get_command(context, entry.name.replace("_", "-"))
    assert command is not None
    parameters = command.get_params(context)
    assert entry.name in ("report", "verify_work") or all(isinstance(parameter, click.Option) for parameter in parameters)
    assert {"--max-chars", "--format"} <= {option for parameter in parameters for option in parameter.opts}
