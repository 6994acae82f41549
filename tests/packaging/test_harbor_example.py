"""The example for Harbor is sound: what can be seen of it without Harbor, which needs another Python (`make harbor` runs it)."""

from __future__ import annotations

import ast
import importlib
import json
import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

from netclaw_opencode.errors import CODES
from scripts import lock, setup
from tests.docs.pages import call_of

EXAMPLE = lock.ROOT / "examples" / "harbor"
TASKS = sorted(path.parent for path in EXAMPLE.glob("tasks/*/task.toml"))
ADAPTER = (EXAMPLE / "netclaw_agent.py").read_text(encoding="utf-8")
PAGE = (lock.ROOT / "docs" / "harbor.md").read_text(encoding="utf-8")


def read_constant(name: str) -> ast.expr:
    """Return the expression that the adapter gives to a constant."""
    for node in ast.parse(ADAPTER).body:
        targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        if any(isinstance(target, ast.Name) and target.id == name for target in targets):
            assert isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None
            return node.value
    raise AssertionError(f"the adapter has no {name}")


def lay_out(task: Path, folder: Path, *, solved: bool) -> Path:
    """Make the folders that a container would have, with the task in them; run its solution if asked."""
    (folder / "logs" / "verifier").mkdir(parents=True)
    shutil.copytree(task / "environment", folder / "app")
    shutil.copytree(task / "solution", folder / "solution")
    if solved:
        subprocess.run([str(folder / "solution" / "solve.sh")], check=True)
    shutil.copytree(task / "tests", folder / "tests")
    return folder


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_each_task_has_harbors_form(task: Path) -> None:
    """Name, times, a prebuilt image (so that no Docker is needed to try it) and an instruction; the agent does not see the verifier."""
    settings = tomllib.loads((task / "task.toml").read_text(encoding="utf-8"))
    assert settings["task"]["name"] == f"netclaw-opencode/{task.name}"
    assert settings["agent"]["timeout_sec"] > settings["verifier"]["timeout_sec"] > 0
    assert settings["environment"]["docker_image"] and settings["environment"]["workdir"] == "/app"
    assert "python3 -m unittest" in (task / "instruction.md").read_text(encoding="utf-8")
    assert not (task / "environment" / "Dockerfile").exists()
    assert list((task / "environment").glob("test_*.py")) and not list((task / "environment").rglob("hidden_*"))
    for script in (task / "tests" / "test.sh", task / "solution" / "solve.sh"):
        assert os.access(script, os.X_OK), script


@pytest.mark.parametrize("solved", [False, True])
@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_the_verifier_tells_a_solved_task_from_one_that_is_not(task: Path, *, solved: bool, tmp_path: Path) -> None:
    """The task as it is given earns 0, its solution 1; the script finds its places wherever it lies."""
    folder = lay_out(task, tmp_path / "trial", solved=solved)
    subprocess.run([str(folder / "tests" / "test.sh")], cwd=folder / "app", capture_output=True, check=True)
    assert (folder / "logs" / "verifier" / "reward.txt").read_text(encoding="utf-8").strip() == str(int(solved))


def test_what_the_runner_expects_is_of_these_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every task is run by the oracle, by nobody and by the driver, and each ending of the driver is a code of ours."""
    monkeypatch.syspath_prepend(str(EXAMPLE))
    offline_model = importlib.import_module("offline_model")
    names = {task.name for task in TASKS}
    assert len(names) >= 3
    assert {(name, agent) for name in names for agent in ("oracle", "nop", "driver")} <= offline_model.EXPECTED.keys()
    assert {task for task, _ in offline_model.EXPECTED} == names
    endings = {expected.ending for expected in offline_model.EXPECTED.values()} - {None, "completed"}
    assert endings <= CODES.keys()
    rewards = {expected.reward for (_, agent), expected in offline_model.EXPECTED.items() if agent == "driver"}
    assert rewards == {0.0, 1.0}


def test_the_adapter_calls_what_there_is() -> None:
    """Its commands, its options and the error codes that it knows exist."""
    commands = re.findall(r"\b((?:server|inspect) [a-z-]+(?: --[^>&\"]+)?)", re.sub(r"\{self\._place\('([\w.]+)'\)\}", r"\1", ADAPTER))
    assert {command.split()[1] for command in commands} == {"install-opencode", "start-server", "stop-server", "report"}
    for command in commands:
        call_of(f"netclaw-opencode {command}")
    options = set(re.findall(r"--([a-z]+(?:-[a-z]+)+)", ADAPTER[ADAPTER.index("class NetclawOptions") :]))
    fields = json.loads((lock.ROOT / "schemas" / "actions" / "run_task.input.json").read_text(encoding="utf-8"))["properties"]
    known = {name.replace("_", "-") for name in fields} | {f"check-{name}".replace("_", "-") for name in fields["check"]["properties"]}
    assert {"max-cost-usd", "check-command", "deadline-seconds"} <= options
    assert options - {"max-chars", "prompt-file"} <= known
    errors, out_of_time, with_work = read_constant("ERRORS"), read_constant("OUT_OF_TIME"), read_constant("ENDED_WITH_WORK")
    assert isinstance(errors, ast.Dict)
    codes = {key.value for key in errors.keys if isinstance(key, ast.Constant)} | {
        *ast.literal_eval(out_of_time),
        *ast.literal_eval(with_work),
    }
    assert len(codes) >= 8 and codes <= CODES.keys()


def test_the_page_names_options_that_there_are() -> None:
    """Each `--ak` of docs/harbor.md is a field of the adapter's options, and each of those is in the page."""
    (options,) = [node for node in ast.parse(ADAPTER).body if isinstance(node, ast.ClassDef) and node.name == "NetclawOptions"]
    fields = {node.target.id for node in options.body if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)}
    inherited = {"skip_install", "config", "prompt_template_path"}
    assert set(re.findall(r"--ak (\w+)=", PAGE)) <= fields | inherited
    assert fields <= set(re.findall(r"`(\w+)`", PAGE))


def test_harbor_is_pinned_and_stays_out_of_the_gate() -> None:
    """The list holds the version that is asked for, every package with its hashes; `make test` does not need it."""
    (asked,) = [line for line in (EXAMPLE / "requirements.in").read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    blocks = lock.blocks_of(lock.HARBOR.read_text(encoding="utf-8"))
    assert blocks["harbor"].startswith(asked), "run: make lock"
    assert asked in setup.MODELS.read_text(encoding="utf-8"), "the models that the gate reads ATIF with are of another version"
    assert all("--hash=sha256:" in block for block in blocks.values())
    rules = dict(re.findall(r"^([a-z]+):(.*)$", (lock.ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert "ready-opencode" in rules["harbor"] and "harbor" not in rules["test"] + rules["suite"] + rules["lint"]
    project = (lock.ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert not re.search(r'^ *"harbor', project, re.MULTILINE)
