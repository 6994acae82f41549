"""The page for authors and the two files that it points to: the pre-commit hook and the GitHub action do what they say.

The files are read as data, and the very commands that they hold are run.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import cast

import click
import pytest
import yaml

from docs.generate_codes import rule_pages
from netclaw_opencode import __version__
from netclaw_opencode.adapters.cli.app import run
from netclaw_opencode.adapters.cli.skill import COMMANDS
from netclaw_opencode.adapters.cli.terminal import PROGRAM
from netclaw_opencode.skill.check.config import KEYS, TABLE
from netclaw_opencode.skill.check.hosts import HOSTS
from netclaw_opencode.skill.check.rules import RULES
from tests.docs.pages import ROOT, blocks_of, page

PACKAGES = ROOT / "tests" / "packages"
RIGHT = PACKAGES / "valid" / "action-and-page" / "my-skill"
WARNED = PACKAGES / "invalid" / "anchor_missing--below" / "my-skill"
PAGE = page("docs/authors.md")
HOOKS = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))
ACTION = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))


def block(kind: str) -> str:
    """The one block of the page whose fence says ``kind``."""
    (found,) = re.findall(rf"^```yaml {kind}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    return str(found)


def test_the_tables_are_up_to_date() -> None:
    """Made by docs/generate.py, one page for each set of rules; each code has an anchor, for the links of SARIF."""
    made = rule_pages()
    assert {name: page(name) for name in made} == made
    anchors = re.findall(r'<a id="(\w+)"></a>`(\w+)`', made["docs/rules.md"])
    assert sorted(anchors) == sorted((code, code) for code in RULES)
    assert set(made) == {"docs/rules.md", *(f"docs/rules/{host}.md" for host in HOSTS)}


def test_the_workflow_is_three_lines_and_uses_the_action() -> None:
    """A whole workflow: when, where, and two steps of which the second is ours, at our version."""
    text = block("workflow")
    workflow = yaml.safe_load(text)
    steps = workflow["jobs"]["validate"]["steps"]
    assert text.count("\n") == 3
    assert [step["uses"].rpartition("/")[2] for step in steps] == ["checkout@v4", f"{PROGRAM}@v{__version__}"]
    rows = dict(re.findall(r"^\| `([\w-]+)` \| (?:`([\w./]+)` )?\|", PAGE.split("## Whose rules")[0], re.MULTILINE))
    assert rows == {name: each.get("default", "") for name, each in ACTION["inputs"].items()}


def test_the_pre_commit_configuration_names_the_hook() -> None:
    """At our version."""
    (repository,) = yaml.safe_load(block("pre-commit"))["repos"]
    assert repository["rev"] == f"v{__version__}"
    assert repository["hooks"] == [{"id": HOOKS[0]["id"]}]


@pytest.mark.parametrize(
    ("path", "taken"),
    [
        ("skill.yaml", True),
        ("skills/a/SKILL.md", True),
        ("skills/a/schemas/x.input.json", True),
        ("a/references/more.md", True),
        ("pyproject.toml", True),
        ("a/my_skill/actions.py", True),
        ("README.md", False),
        ("a/notskill.yaml", False),
        ("data/x.json", False),
    ],
)
def test_the_hook_runs_for_the_files_of_a_package(path: str, taken: bool) -> None:
    """pre-commit searches the pattern in each path."""
    assert bool(re.search(HOOKS[0]["files"], path)) == taken


def test_the_hooks_command_is_one_that_exists(tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    """The entry with the files that pre-commit appends, run as it stands: all files at once, several packages."""
    right, warned, wrong = (
        shutil.copytree(each, tmp_path / name / "my-skill")
        for name, each in (("a", RIGHT), ("b", WARNED), ("c", PACKAGES / "invalid" / "bad_value--tier" / "my-skill"))
    )
    (hook,) = HOOKS
    assert (hook["language"], hook["require_serial"], hook.get("pass_filenames", True)) == ("python", True, True)
    program, *arguments = shlex.split(hook["entry"])
    assert program == PROGRAM
    files = [str(right / "skill.yaml"), str(right / "keep.input.json"), str(warned / "SKILL.md")]
    assert run([*arguments, *files[:2]]) == 0
    assert capfdbinary.readouterr().out.startswith("✓ my-skill".encode())
    assert run([*arguments, *files]) == 0
    assert b"[anchor_missing]" in capfdbinary.readouterr().out
    assert run([*arguments, str(wrong / "skill.yaml")]) == 1


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    """The folder where the action's second step has installed the command; here the checkout under test."""
    command = tmp_path / "tools" / "bin" / PROGRAM
    command.parent.mkdir(parents=True)
    command.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m netclaw_opencode "$@"\n', encoding="utf-8")
    command.chmod(0o755)
    return command.parent.parent


def last_step(tools: Path, folder: Path, **inputs: str) -> subprocess.CompletedProcess[str]:
    """The action's last step, its script as it stands, with the inputs as GitHub would fill them in."""
    step = ACTION["runs"]["steps"][-1]
    given = {name: each.get("default", "") for name, each in ACTION["inputs"].items()} | inputs
    filled = {
        name: re.sub(r"\$\{\{ inputs\.([\w-]+) \}\}", lambda match: str(given[match[1]]), value) for name, value in step["env"].items()
    }
    assert filled["TOOLS"].startswith("${{ runner.temp }}")
    environment = os.environ | filled | {"TOOLS": str(tools), "DOCS": "https://example.org/rules.md", "PYTHONPATH": str(ROOT)}
    script = ["/bin/bash", "--noprofile", "--norc", "-e", "-o", "pipefail", "-c", step["run"]]
    return subprocess.run(script, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=240)


def test_the_action_checks_the_folder_that_was_checked_out(tools: Path) -> None:
    """Without any input: the working directory by the specification; errors fail, warnings annotate at their path in the repository."""
    assert last_step(tools, RIGHT).returncode == 0
    done = last_step(tools, WARNED)
    assert done.returncode == 0
    place = (WARNED / "SKILL.md").relative_to(ROOT).as_posix()
    assert done.stdout.startswith(f"::warning file={place},line=14,col=13,title=anchor_missing::")
    assert last_step(tools, WARNED, strict="true").returncode == 1


def test_the_action_takes_several_paths_and_runs_none_of_its_inputs(tools: Path, tmp_path: Path) -> None:
    """One path in a line, blanks in it and all; a value that looks like a command stays a value."""
    done = last_step(tools, tmp_path, paths=f"{RIGHT}\n{WARNED}\n", format="sarif", output="a report.sarif", strict="false")
    assert done.returncode == 0
    log = json.loads((tmp_path / "a report.sarif").read_text(encoding="utf-8"))
    assert log == json.loads(done.stdout)
    rule, _ = log["runs"][0]["tool"]["driver"]["rules"]
    assert rule["helpUri"] == "https://example.org/rules.md#anchor_missing"
    done = last_step(tools, tmp_path, paths="$(touch was-run); touch was-run")
    assert (done.returncode, (tmp_path / "was-run").exists()) == (2, False)


def test_the_action_installs_the_checker_of_its_own_version() -> None:
    """From the action's folder, not from a registry's newest; inputs reach a shell through the environment alone."""
    steps = cast("list[dict[str, dict[str, str]]]", ACTION["runs"]["steps"])
    assert ACTION["runs"]["using"] == "composite"
    assert steps[1]["env"]["SOURCE"] == "${{ github.action_path }}"
    assert str(steps[1]["run"]).rstrip().endswith('install --quiet --disable-pip-version-check "$SOURCE"')
    assert not [step for step in steps if "${{" in str(step.get("run", ""))]


def test_what_the_page_shows_of_skill_new_is_what_comes(tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    """The list of files, line by line."""
    shown = next(each.text for each in blocks_of(PAGE) if "skill new" in each.text).splitlines()
    words = shlex.split(shown[0].removeprefix("$ "))
    assert run([*words[1:], "--to", str(tmp_path), "--format", "text"]) == 0
    assert capfdbinary.readouterr().out.decode().splitlines()[: len(shown) - 2] == shown[1:-1]


def test_the_configuration_on_the_page_is_one() -> None:
    """Every key that there is, each with a value that is taken."""
    (found,) = re.findall(r"^```toml config\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    table = tomllib.loads(found)["tool"][TABLE]
    assert set(table) == set(KEYS)


@pytest.mark.parametrize("flag", [param.opts[-1] for param in COMMANDS[0].params() if isinstance(param, click.Option)])
def test_every_flag_stands_on_the_page(flag: str) -> None:
    """Under the heading of the command."""
    assert f"{flag}" in PAGE.partition("## The command")[2].partition("## What is looked at")[0]
