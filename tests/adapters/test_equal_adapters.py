"""The same call through every adapter gives the same envelope; and every action runs on the real server by command line.

Adapters are: the host (blocking and async), the Python form (``OpenCode``, ``AsyncOpenCode``), and the command line,
the MCP server and the Hermes plugin as processes of their own, which are told everything by environment variables.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import anyio
import httpx
import pytest

from netclaw_opencode import AsyncOpenCode, OpenCode
from netclaw_opencode._core.validation import find_problems
from netclaw_opencode.adapters.cli import app
from netclaw_opencode.adapters.cli.flags import command_of, flags_of
from netclaw_opencode.errors import CODES, DriverError
from netclaw_opencode.host import Host
from netclaw_opencode.manifest import load_manifest
from netclaw_opencode.offline import Hang, OfflineModel, Text, ToolCall
from netclaw_opencode.settings import Settings
from netclaw_opencode.testing.binary import opencode_binary
from netclaw_opencode.testing.leaks import LeakCheck
from netclaw_opencode.testing.server import OpenCodeServer, free_port, server_environment
from netclaw_opencode.testing.waiting import wait_until
from tests.real.acting import Acting, Json, Policy, data_of
from tests.support.mcp_client import connected
from tests.support.pace import stretched
from tests.support.raw import RawOpenCode

pytestmark = pytest.mark.real

ROOT = Path(__file__).resolve().parents[2]
ENVELOPE = json.loads((ROOT / "schemas" / "result.schema.json").read_text(encoding="utf-8"))
ACTIONS = load_manifest().actions
CALL_SECONDS = 240
QUESTION = ToolCall("question", {"questions": [{"question": "Which?", "header": "W", "options": [{"label": "A", "description": "a"}]}]})
Envelope = dict[str, object]
Typed = Callable[[str, Json], tuple[Envelope, int]]


@pytest.fixture(scope="module")
def workdir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One directory for the module: a directory's first turn costs a second."""
    return tmp_path_factory.mktemp("adapters").resolve()


@pytest.fixture
def environ(opencode_server: OpenCodeServer, tmp_path: Path, workdir: Path) -> dict[str, str]:
    """The settings of every adapter, as environment variables."""
    (tmp_path / "policy.yaml").write_text("version: 1\n", encoding="utf-8")
    return {
        "OPENCODE_API_URL": opencode_server.base_url,
        "OPENCODE_SERVER_PASSWORD": opencode_server.password,
        "OPENCODE_DRIVER_STATE_DIR": str(tmp_path / "state"),
        "OPENCODE_DRIVER_DIRECTORY": str(workdir),
        "OPENCODE_DRIVER_BINARY": opencode_binary(),
        "OPENCODE_DRIVER_POLICY": str(tmp_path / "policy.yaml"),
        # The whole envelope is compared; tests/adapters/test_shell_route.py is about what is printed by default.
        "OPENCODE_DRIVER_MAX_CHARS": "0",
        "HOME": str(tmp_path),
    }


@pytest.fixture
def acting(environ: dict[str, str], wire: httpx.Client, scripted: OfflineModel, workdir: Path, leak_check: LeakCheck) -> Iterator[Acting]:
    """Prepares what a call needs; afterwards nothing may run, and the leak check proves it."""
    leak_check.watch(workdir)
    with Host(Settings.from_environment(environ), entry_points=False) as host:
        calls = Acting(host, RawOpenCode(wire, scripted, workdir), Policy())
        yield calls
        calls.close()


def words_of(action: str, arguments: Json) -> list[str]:
    """What stands behind the program's name."""
    entry = ACTIONS[action]
    flags = shlex.split(command_of(arguments, flags_of(entry.input_schema)))
    return [entry.tier, action.replace("_", "-"), *flags, "--format", "json"]


def by_command_line(environ: Mapping[str, str], action: str, arguments: Json) -> tuple[Envelope, int]:
    """The envelope that the command line prints, and its exit code; nothing but the envelope may be printed."""
    command = [sys.executable, "-m", "netclaw_opencode", *words_of(action, arguments)]
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("OPENCODE_", "XDG_"))}
    done = subprocess.run(
        command,
        env={**inherited, "PYTHONPATH": str(ROOT), **environ},
        cwd=environ["HOME"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=CALL_SECONDS,
        check=False,
    )
    assert done.stderr == ""
    assert done.stdout.count("\n") == 1
    return json.loads(done.stdout), done.returncode


def by_host(environ: Mapping[str, str], action: str, arguments: Json) -> Envelope:
    """Through the blocking host."""
    with Host(Settings.from_environment(environ), entry_points=False) as host:
        return host.call(action, **arguments)


def by_async_host(environ: Mapping[str, str], action: str, arguments: Json) -> Envelope:
    """Through the host in an event loop."""

    async def main() -> Envelope:
        async with Host(Settings.from_environment(environ), entry_points=False) as host:
            return await host.invoke(action, arguments)

    return anyio.run(main)


def by_python(environ: Mapping[str, str], action: str, arguments: Json) -> Envelope:
    """Through the Python form: data is returned and errors are raised; both tell what the envelope does."""
    with OpenCode(Settings.from_environment(environ)) as opencode:
        try:
            return {"ok": True, "action": action, "data": opencode.call(action, **arguments)}
        except DriverError as error:
            return {"ok": False, "action": action, "error": error.to_wire()}


def by_async_python(environ: Mapping[str, str], action: str, arguments: Json) -> Envelope:
    """Through the async Python form."""

    async def main() -> Envelope:
        async with AsyncOpenCode(Settings.from_environment(environ)) as opencode:
            return await opencode.invoke(action, arguments)

    return anyio.run(main)


def by_mcp(environ: Mapping[str, str], action: str, arguments: Json) -> Envelope:
    """Through the MCP server and its official client, which checks the result against the tool's schema."""

    async def main() -> Envelope:
        async with connected(environ) as client:
            result = await client.call_tool(action, arguments)
        envelope: Envelope = result.structured_content
        assert result.is_error is not envelope["ok"]
        return envelope

    return anyio.run(main)


HERMES = """
import json, sys
from netclaw_opencode import hermes

class Context:
    handlers = {}
    def register_tool(self, *, name, handler, **_): self.handlers[name] = handler
    def register_skill(self, **_): pass
    def register_command(self, **_): pass

hermes.register(Context())
print(Context.handlers[hermes.PREFIX + sys.argv[1]](json.loads(sys.argv[2]), task_id="t1"))
"""


def by_hermes(environ: Mapping[str, str], action: str, arguments: Json) -> Envelope:
    """Through the plugin for Hermes Agent, called as that host does; tests/packaging/test_hermes.py has the real host."""
    done = subprocess.run(
        [sys.executable, "-c", HERMES, action, json.dumps(arguments)],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **environ},
        cwd=environ["HOME"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=CALL_SECONDS,
        check=True,
    )
    envelope: Envelope = json.loads(done.stdout)
    return envelope


OTHERS: tuple[Callable[[Mapping[str, str], str, Json], Envelope], ...]
OTHERS = (by_host, by_async_host, by_python, by_async_python, by_mcp, by_hermes)


def alike(value: object, key: str = "") -> object:
    """The value without what differs from call to call: ids, times, and counts of events (hints, of which some are lost)."""
    if isinstance(value, dict):
        shown = {name: alike(item, name) for name, item in value.items()}
        if "stopped" in value:  # a busy machine may have no time for the snapshots: that it is said is promised
            shown |= {"changes": value["changes"]["method"] in ("snapshot", "tools"), "files_changed": "", "notes": ""}
        return shown
    if isinstance(value, list):
        return "seen" if key == "statuses" else [alike(item, key) for item in value]  # which ones depends on the moment of looking
    if isinstance(value, str):
        return "a file" if key == "trajectory" else re.sub(r"\b(ses|msg|per|que|prt|call)_[0-9A-Za-z_]+", r"\1_…", value)
    return "a number" if isinstance(value, float) or key in ("events", "attempts") else value


@dataclass(frozen=True, slots=True)
class Case:
    """A call and how it ends; ``prepare`` scripts the model and may add to the arguments; ``waits``: the adapters wait side by side."""

    action: str
    code: str | None
    arguments: Json
    prepare: Callable[[Acting, Path], Json]
    waits: bool = False


def finishes(acting: Acting, _folder: Path) -> Json:
    """A turn with a tool, thinking and data."""
    acting.raw.model.when("face to face", ToolCall("bash", {"command": "true", "description": "nothing"}), Text('{"n": 1}'))
    return {}


def used_session(acting: Acting, _folder: Path) -> Json:
    """A session that has done its task."""
    session_id = acting.create()
    acting.data("send_message", session_id=session_id, prompt="first")
    return {"session_id": session_id}


def wants_a_file(acting: Acting, folder: Path) -> Json:
    """The agent reads outside of its directory, for which nobody gives leave."""
    (folder / "notes.txt").write_text("notes\n", encoding="utf-8")
    acting.raw.model.when("read outside", ToolCall("read", {"filePath": str(folder / "notes.txt")}), Text("never"))
    return {}


def hangs(acting: Acting, _folder: Path) -> Json:
    """A model that never answers."""
    acting.raw.model.when("no end", Hang())
    return {"deadline_seconds": stretched(1)}


CASES = {
    "success": Case(
        "run_task",
        None,
        {
            "prompt": "face to face",
            "title": 'Adapters: "alike" & äquivalent',
            "model": "offline/budgeted",
            "thinking": {"type": "enabled", "budget_tokens": 9000},
            "output_schema": {"type": "object", "properties": {"n": {"type": "integer"}}},
            "deadline_seconds": 120.5,
        },
        finishes,
    ),
    "bad-input": Case(
        "run_task", "invalid_input", {"prompt": "never sent", "deadline_seconds": 0, "title": ""}, lambda _acting, _folder: {}
    ),
    "refused": Case("send_message", "session_used", {"prompt": "second"}, used_session),
    "waiting": Case("run_task", "permission_required", {"prompt": "read outside", "on_request": "stop"}, wants_a_file),
    "out-of-time": Case("run_task", "turn_timeout", {"prompt": "no end"}, hangs, waits=True),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_every_face_gives_the_same_envelope(acting: Acting, environ: dict[str, str], tmp_path: Path, case: Case) -> None:
    """Apart from ids and times nothing differs, in success and in each kind of failure; the exit code is the table's."""
    arguments = case.arguments | case.prepare(acting, tmp_path)
    printed, exit_code = by_command_line(environ, case.action, arguments)
    assert (printed["ok"], exit_code) == (case.code is None, 0 if case.code is None else CODES[case.code].exit_code)
    if case.code is not None:
        assert isinstance(printed["error"], dict) and printed["error"]["code"] == case.code
    with ThreadPoolExecutor(len(OTHERS) if case.waits else 1) as threads:
        answers = [(adapter.__name__, threads.submit(adapter, environ, case.action, arguments)) for adapter in OTHERS]
    for name, answer in answers:
        assert alike(answer.result()) == alike(printed), name
    assert acting.raw.statuses() == {}


# --- every action by command line -----------------------------------------------------------------------------------------


def done(acting: Acting) -> Json:
    """The id of a session with a finished turn."""
    return used_session(acting, Path())


def asking_question(acting: Acting) -> Json:
    """A background turn that waits for an answer."""
    acting.raw.model.when("ask", QUESTION, Text("thanks"))
    session_id = acting.started("ask")
    request = wait_until(lambda: acting.raw.pending("question"), what="the question")[0]
    return {"session_id": session_id, "question_id": request["id"], "answers": [["A"]]}


def asking_permission(acting: Acting) -> Json:
    """A background turn that waits for a permission."""
    acting.raw.model.when("look", ToolCall("read", {"filePath": str(Path(__file__))}), Text("seen"))
    session_id = acting.started("look")
    request = wait_until(lambda: acting.raw.pending("permission"), what="the permission")[0]
    return {"session_id": session_id, "permission_id": request["id"], "answer": "once"}


RUNS: dict[str, Callable[[Acting], Json]] = {
    "check_availability": lambda _: {},
    "create_session": lambda acting: {"title": "By command line", "directory": acting.directory},
    "send_message": lambda acting: {"session_id": acting.create()} | {"prompt": "hello"},
    "send_message_async": lambda acting: {"session_id": acting.create()} | {"prompt": "hello"},
    "get_session_status": done,
    "abort_session": lambda acting: {"session_id": acting.create()},
    "delete_session": lambda acting: {"session_id": acting.create()},
    "list_sessions": lambda _: {"all_directories": True},
    "list_providers": lambda _: {"provider": "offline"},
    "wait_for_session": done,
    "get_session_result": done,
    "run_task": lambda _: {"prompt": "hello"},
    "run_plan_and_implement": lambda _: {"prompt": "hello"},
    "watch_events": lambda _: {"wait_seconds": 0.2},
    "reply_permission": asking_permission,
    "reply_question": asking_question,
    "check_policy": lambda _: {"permission": "bash", "pattern": "rm -rf /"},
    "cleanup": lambda _: {"dry_run": True},
    "doctor": lambda _: {},
    "list_work": lambda _: {},
    "recover": lambda _: {},
}
APART = {n for n in ACTIONS if n.endswith(("_server", "_opencode", "_work", "explain", "report")) or "batch" in n}
"""Run by tests of their own: they need a server, a file or a database of this test's making."""
assert set(RUNS) | APART == set(ACTIONS), "no action of the manifest is left out"


def require_sound(envelope: Envelope, action: str, exit_code: int) -> Json:
    """The data of an envelope that fits its schema, and its action's, and came with exit code 0."""
    assert find_problems(envelope, ENVELOPE) == ()
    assert (envelope["action"], exit_code) == (action, 0), envelope
    data = data_of(envelope)
    assert find_problems(data, ACTIONS[action].output_schema) == ()
    return data


@pytest.fixture
def by_typing(environ: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Typed:
    """The command line in this process, which is quicker: what it prints, and its exit code."""
    for name in [name for name in os.environ if name.startswith(("OPENCODE_", "XDG_"))]:
        monkeypatch.delenv(name)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(environ["HOME"])

    def typed(action: str, arguments: Json) -> tuple[Envelope, int]:
        capsys.readouterr()
        exit_code = app.run(words_of(action, arguments))
        printed = capsys.readouterr()
        assert (printed.err, printed.out.count("\n")) == ("", 1)
        return json.loads(printed.out), exit_code

    return typed


@pytest.mark.parametrize("action", RUNS)
def test_an_action_runs_by_command_line(acting: Acting, by_typing: Typed, action: str) -> None:
    """One JSON envelope on stdout that fits its schema, nothing on stderr, exit code 0; by settings from the environment alone."""
    envelope, exit_code = by_typing(action, RUNS[action](acting))
    data = require_sound(envelope, action, exit_code)
    if action == "create_session":
        acting.remember(data["session"]["session_id"])
    if action in ("send_message_async", "reply_permission", "reply_question"):
        acting.data("wait_for_session", session_id=data["session_id"])


@pytest.mark.usefixtures("acting")
def test_a_record_is_explained_by_command_line(by_typing: Typed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A call is recorded because a variable says so, and explained from the file alone."""
    record = tmp_path / "flight.jsonl"
    monkeypatch.setenv("OPENCODE_DRIVER_RECORD", str(record))
    by_typing("list_sessions", {})
    monkeypatch.delenv("OPENCODE_DRIVER_RECORD")
    envelope, exit_code = by_typing("explain", {"record": str(record)})
    require_sound(envelope, "explain", exit_code)
    assert "list_sessions" in json.dumps(envelope)


def test_a_server_s_life_by_command_line(environ: dict[str, str], tmp_path: Path, scripted: OfflineModel) -> None:
    """Started by one process, found by the next, stopped by a third: the state file alone connects them."""
    own = server_environment(tmp_path / "home", config=scripted.provider_config(), password="")
    mine = {name: value for name, value in environ.items() if name not in ("OPENCODE_SERVER_PASSWORD", "HOME")} | own
    mine["OPENCODE_API_URL"] = f"http://127.0.0.1:{free_port()}"
    try:
        envelope, exit_code = by_command_line(mine, "start_server", {})
        started = require_sound(envelope, "start_server", exit_code)
        envelope, exit_code = by_command_line(mine, "run_task", {"prompt": "hello"})
        assert require_sound(envelope, "run_task", exit_code)["text"] == "hello"
    finally:
        envelope, exit_code = by_command_line(mine, "stop_server", {})
    stopped = require_sound(envelope, "stop_server", exit_code)
    assert (started["started"], stopped["stopped"], stopped["pid"]) == (True, True, started["pid"])
