"""The plugin for Hermes Agent without that host: cheap to load, never an exception, and what its command says."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from netclaw_opencode import hermes
from netclaw_opencode.errors import ServerProblem
from netclaw_opencode.manifest import own_manifest

ROOT = Path(__file__).resolve().parents[2]
HEAVY = ("httpx", "jsonschema", "rich", "anyio", "pluggy", "asyncio", "psutil", "mcp", "click")


@dataclass(slots=True)
class Context:
    """What the host hands over, keeping what it is given."""

    tools: dict[str, dict[str, object]] = field(default_factory=dict)
    handlers: dict[str, Callable[..., str]] = field(default_factory=dict)
    skills: list[Path] = field(default_factory=list)
    commands: dict[str, Callable[[str], str]] = field(default_factory=dict)

    def register_tool(self, *, name: str, schema: dict[str, object], handler: Callable[..., str], **more: object) -> None:
        """Keep a tool."""
        self.tools[name] = {"schema": schema, **more}
        self.handlers[name] = handler

    def register_skill(self, *, name: str, path: Path, description: str) -> None:
        """Keep a skill."""
        assert name and description
        self.skills.append(path)

    def register_command(self, *, name: str, handler: Callable[[str], str], description: str, args_hint: str) -> None:
        """Keep a command."""
        assert description and args_hint
        self.commands[name] = handler


@pytest.fixture
def context() -> Context:
    """A host with the plugin."""
    made = Context()
    hermes.register(made)
    return made


def test_every_action_is_a_tool_of_one_toolset(context: Context) -> None:
    """Named after the action, with its plain schema; the skill's file exists."""
    assert set(context.tools) == {hermes.PREFIX + name for name in own_manifest().actions}
    for name, tool in context.tools.items():
        schema = tool["schema"]
        assert isinstance(schema, Mapping) and schema["name"] == name and "$ref" not in json.dumps(schema)
        assert (tool["toolset"], tool["is_async"]) == (hermes.TOOLSET, False)
    assert [path.name for path in context.skills] == ["SKILL.md"] and context.skills[0].is_file()


def test_registering_imports_nothing_heavy() -> None:
    """A host loads every enabled plugin when it starts: no HTTP client, no event loop, no validator until a tool is called."""
    code = (
        "import sys\nfrom netclaw_opencode import hermes\n"
        "class Any:\n    def __getattr__(self, name): return lambda **_: None\n"
        f"hermes.register(Any())\nprint([name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize("failure", [ServerProblem("server_unreachable", "nobody there"), RuntimeError("a defect"), TypeError("odd")])
def test_a_handler_answers_whatever_happens(context: Context, monkeypatch: pytest.MonkeyPatch, failure: Exception) -> None:
    """An error on the way is an envelope with a code; so is a call with arguments that are no object."""

    def fails(self: object) -> object:
        raise failure

    monkeypatch.setattr("netclaw_opencode.hermes._Calls._open_host", fails)
    handle = context.handlers["opencode_list_sessions"]
    code = failure.code if isinstance(failure, ServerProblem) else "internal_error"
    assert json.loads(handle({}, task_id="t1"))["error"]["code"] == code
    assert json.loads(handle())["error"]["code"] == code
    assert json.loads(handle(["no", "object"]))["error"]["code"] == "invalid_input"


def test_the_command_lists_the_actions_and_says_what_is_wrong(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a name, with an unknown one, with arguments that are no JSON: text to read; otherwise the envelope."""

    class Echo:
        def run(self, action: str, arguments: Mapping[str, object]) -> dict[str, object]:
            return {"ok": True, "action": action, "data": dict(arguments)}

    monkeypatch.setattr("netclaw_opencode.hermes._Calls._open_host", lambda self: Echo())
    command = context.commands[hermes.COMMAND]
    assert all(name in command("") for name in own_manifest().actions)
    assert "'dance'" in command("dance") and "must be a JSON object" in command("list_sessions {")
    assert json.loads(command('list-sessions {"count": 1}')) == {"ok": True, "action": "list_sessions", "data": {"count": 1}}


def test_a_tool_is_hidden_only_where_there_can_be_no_server(tmp_path: Path) -> None:
    """An address, or a program: found by a look at the file system, without starting anything."""
    program = tmp_path / "opencode"
    program.write_text("#!/bin/sh\n", encoding="utf-8")
    program.chmod(0o755)
    assert hermes.is_ready({"OPENCODE_API_URL": "http://localhost:1"})
    assert hermes.is_ready({"PATH": str(tmp_path)}) and hermes.is_ready({"OPENCODE_DRIVER_BINARY": str(program)})
    assert not hermes.is_ready({"PATH": str(tmp_path / "empty")})
    assert not hermes.is_ready({"PATH": str(tmp_path), "OPENCODE_DRIVER_BINARY": str(tmp_path / "gone")})


def test_calls_end_below_the_host_s_limit_unless_the_operator_says_otherwise() -> None:
    """280 s, or what the variable says."""
    assert hermes.build_environment({})["OPENCODE_DRIVER_CALL_SECONDS"] == "280"
    assert hermes.build_environment({"OPENCODE_DRIVER_CALL_SECONDS": "50"})["OPENCODE_DRIVER_CALL_SECONDS"] == "50"
