"""The plugin in the real Hermes Agent: its own plugin manager and registry, the newest and the oldest published version.

The host's packages are laid down without their dependencies: its plugin manager and registry need none that the tests do not
have. Ours is the wheel that the other tests build. Each test is a process of its own, with a home of its own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from netclaw_opencode._core.validation import find_problems
from netclaw_opencode.manifest import load_manifest
from netclaw_opencode.offline import Hang, OfflineModel
from netclaw_opencode.testing.binary import opencode_binary
from netclaw_opencode.testing.leaks import LeakCheck
from netclaw_opencode.testing.server import OpenCodeServer
from tests.packaging.conftest import ROOT, Built

pytestmark = pytest.mark.real

NEWEST, OLDEST = "0.19.0", "0.13.0"
ENVELOPE = json.loads((ROOT / "schemas" / "result.schema.json").read_text(encoding="utf-8"))
ACTIONS = load_manifest().actions
TOOLS = {f"opencode_{name}" for name in ACTIONS}
SECONDS = 240

BEGIN = """
    import json, logging
    logging.basicConfig(level=logging.WARNING, format="%(name)s: %(message)s")
    from hermes_cli.plugins import PluginManager
    manager = PluginManager()
"""
LOAD = """
    manager.discover_and_load()
    from tools.registry import registry
    loaded = manager._plugins["opencode-driver"]
    def tell(**facts):
        print("TOLD " + json.dumps(facts))
"""


def lay_down(folder: Path, *packages: str) -> Path:
    """Packages in a folder, without what they depend on."""
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--no-compile"]
    done = subprocess.run([*pip, "--target", str(folder), *packages], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="session")
def ours(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Our wheel."""
    return lay_down(tmp_path_factory.mktemp("ours"), str(built.wheel))


@pytest.fixture(scope="session", params=[NEWEST, OLDEST])
def hermes(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The host."""
    return lay_down(tmp_path_factory.mktemp(f"hermes-{request.param}"), f"hermes-agent=={request.param}")


class Hermes:
    """Runs code in a process of the host."""

    def __init__(self, environ: dict[str, str], path: list[Path], home: Path) -> None:
        self.environ = environ
        self.path = path
        self.home = home

    def run(self, *parts: str, enabled: tuple[str, ...] = ("opencode-driver",)) -> tuple[dict[str, Any], str]:
        """What the code tells, and its stderr."""
        (self.home / "config.yaml").write_text(json.dumps({"plugins": {"enabled": enabled}}), encoding="utf-8")
        done = subprocess.run(
            [sys.executable, "-c", "\n".join(textwrap.dedent(part) for part in parts)],
            env={**self.environ, "PYTHONPATH": os.pathsep.join(map(str, self.path))},
            cwd=self.home,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            timeout=SECONDS,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        (told,) = [line.removeprefix("TOLD ") for line in done.stdout.splitlines() if line.startswith("TOLD ")]
        facts: dict[str, Any] = json.loads(told)
        return facts, done.stderr


@pytest.fixture
def host(
    ours: Path, hermes: Path, opencode_server: OpenCodeServer, scripted: OfflineModel, leak_check: LeakCheck, tmp_path: Path
) -> Hermes:
    """The host with our plugin installed; afterwards nothing may be left on the OpenCode server."""
    assert not scripted.calls
    home, work = tmp_path / "home", tmp_path / "work"
    home.mkdir()
    work.mkdir()
    environ = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "HERMES_HOME": str(home),
        "OPENCODE_API_URL": opencode_server.base_url,
        "OPENCODE_SERVER_PASSWORD": opencode_server.password,
        "OPENCODE_DRIVER_STATE_DIR": str(tmp_path / "state"),
        "OPENCODE_DRIVER_DIRECTORY": str(work),
        "OPENCODE_DRIVER_BINARY": opencode_binary(),
    }
    return Hermes(environ, [ours, hermes], home)


def test_the_host_finds_the_plugin_and_dispatches_its_tools(host: Hermes) -> None:
    """Every action is a tool with its schema, the skill and the command are there, and a task runs; all answers are envelopes."""
    told, errors = host.run(
        BEGIN,
        LOAD,
        """
        tools = sorted(name for name in registry.get_all_tool_names() if registry.get_toolset_for_tool(name) == "opencode")
        tell(
            error=loaded.error,
            enabled=loaded.enabled,
            tools=tools,
            offered=[item["function"] for item in registry.get_definitions(set(tools))],
            skill=str(manager.find_plugin_skill("opencode-driver:opencode-driver")),
            commands=sorted(manager._plugin_commands),
            listing=manager._plugin_commands["opencode"]["handler"](""),
            asked=manager._plugin_commands["opencode"]["handler"]("list-sessions {}"),
            done=registry.dispatch("opencode_run_task", {"prompt": "hello"}, task_id="t1"),
            bad=registry.dispatch("opencode_run_task", {"prompt": "", "deadline_seconds": 0}),
            odd=registry.dispatch("opencode_list_sessions", "no object"),
        )
        """,
    )
    assert (told["error"], told["enabled"], set(told["tools"])) == (None, True, TOOLS)
    assert {item["name"] for item in told["offered"]} == TOOLS
    assert all(item["description"] and item["parameters"]["type"] == "object" for item in told["offered"])
    assert Path(told["skill"]).read_text(encoding="utf-8") == (ROOT / "SKILL.md").read_text(encoding="utf-8")
    assert "opencode" in told["commands"] and all(name in told["listing"] for name in ACTIONS)
    done, bad, odd, asked = (json.loads(told[name]) for name in ("done", "bad", "odd", "asked"))
    assert (done["ok"], done["action"], done["data"]["text"]) == (True, "run_task", "hello")
    assert [item["error"]["code"] for item in (bad, odd)] == ["invalid_input", "invalid_input"]
    assert asked["ok"] is True
    assert not [problem for envelope in (done, bad, odd, asked) for problem in find_problems(envelope, ENVELOPE)]
    assert "opencode-driver" not in errors


def test_a_taken_name_is_reported_and_left_to_its_owner(host: Hermes) -> None:
    """Another plugin's tool of the same name keeps working; ours says which one it is, and all the others are there."""
    told, errors = host.run(
        BEGIN,
        """
        from tools.registry import registry
        schema = {"name": "opencode_run_task", "description": "theirs", "parameters": {"type": "object"}}
        registry.register(name="opencode_run_task", toolset="theirs", schema=schema, handler=lambda args, **kw: "theirs")
        """,
        LOAD,
        """
        tell(
            error=loaded.error,
            answer=registry.dispatch("opencode_run_task", {}),
            tools=[name for name in registry.get_all_tool_names() if registry.get_toolset_for_tool(name) == "opencode"],
            listing=manager._plugin_commands["opencode"]["handler"](""),
        )
        """,
    )
    assert (told["error"], told["answer"], set(told["tools"])) == (None, "theirs", TOOLS - {"opencode_run_task"})
    assert "opencode_run_task (toolset theirs)" in errors and "opencode_run_task (toolset theirs)" in told["listing"]


def test_a_broken_installation_costs_the_host_one_plugin(host: Hermes, tmp_path: Path) -> None:
    """Where our package cannot be imported the host says so, registers nothing of it, and loads the next plugin."""
    broken = tmp_path / "broken"
    (broken / "netclaw_opencode").mkdir(parents=True)
    (broken / "netclaw_opencode" / "__init__.py").write_text("raise ImportError('half installed')\n", encoding="utf-8")
    info = broken / "another-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: another\nVersion: 1.0\n", encoding="utf-8")
    (info / "entry_points.txt").write_text("[hermes_agent.plugins]\nanother = another\n", encoding="utf-8")
    (broken / "another.py").write_text("def register(ctx): pass\n", encoding="utf-8")
    host.path.insert(0, broken)
    told, _ = host.run(
        BEGIN,
        LOAD,
        """
        opencode = [name for name in registry.get_all_tool_names() if name.startswith("opencode_")]
        tell(enabled=loaded.enabled, error=loaded.error, tools=opencode, another=manager._plugins["another"].enabled)
        """,
        enabled=("opencode-driver", "another"),
    )
    assert (told["enabled"], told["tools"], told["another"]) == (False, [], True) and "half installed" in told["error"]


def test_an_operator_has_to_enable_it(host: Hermes) -> None:
    """Installed alone it is found and not imported; what the host says then is what docs/hosts.md says."""
    told, _ = host.run(BEGIN, LOAD, """tell(enabled=loaded.enabled, error=loaded.error, imported=loaded.module is not None)""", enabled=())
    assert (told["enabled"], told["imported"]) == (False, False) and "hermes plugins enable opencode-driver" in told["error"]


def test_a_driver_that_cannot_be_made_is_an_answer(host: Hermes) -> None:
    """A bad setting is the envelope of each call, not an exception; the tools that need a server are hidden where there can be none."""
    host.environ["OPENCODE_API_URL"] = "ftp://nowhere"
    told, _ = host.run(BEGIN, LOAD, """tell(answer=registry.dispatch("opencode_list_sessions", {}))""")
    assert json.loads(told["answer"])["error"]["code"] == "invalid_url"
    del host.environ["OPENCODE_API_URL"]
    host.environ["OPENCODE_DRIVER_BINARY"] = str(host.home / "nowhere")
    told, _ = host.run(
        BEGIN,
        LOAD,
        """
        names = {name for name in registry.get_all_tool_names() if name.startswith("opencode_")}
        tell(offered=[item["function"]["name"] for item in registry.get_definitions(names)])
        """,
    )
    assert "opencode_check_availability" in told["offered"] and "opencode_run_task" not in told["offered"]


def test_the_end_of_the_host_stops_what_runs(host: Hermes, scripted: OfflineModel) -> None:
    """A call in a thread of the host, in the middle of a turn, when the process ends: the turn is stopped, its session is gone."""
    scripted.when("no end", Hang())
    told, _ = host.run(
        BEGIN,
        LOAD,
        """
        import threading, time
        def call():
            registry.dispatch("opencode_run_task", {"prompt": "no end"})
        threading.Thread(target=call, daemon=True).start()
        limit = time.monotonic() + 120
        while time.monotonic() < limit:
            states = json.loads(registry.dispatch("opencode_get_session_status", {}))
            if any(item["state"] == "busy" for item in states.get("data", {}).get("sessions", [])):
                break
        tell(states=states)
        """,
    )
    assert [item["state"] for item in told["states"]["data"]["sessions"]] == ["busy"]
