"""The page for authors and the two files that it points to: the pre-commit hook and the GitHub action do what they say.

The files are read as data, and the very commands that they hold are run.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import cast

import pytest
import yaml

from docs.generate_codes import author_page
from netclaw_opencode import __version__
from netclaw_opencode.adapters.cli.app import run
from netclaw_opencode.adapters.cli.terminal import PROGRAM
from netclaw_opencode.skill.authoring.codes import CODES
from tests.docs.pages import ROOT, blocks_of, page

PACKAGES = ROOT / "tests" / "packages"
RIGHT = PACKAGES / "valid" / "action-and-page" / "my-skill"
WARNED = PACKAGES / "invalid" / "section_missing--pitfalls" / "my-skill"
PAGE = page("docs/authors.md")
HOOKS = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))
ACTION = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))


def block(kind: str) -> str:
    """The one block of the page whose fence says ``kind``."""
    (found,) = re.findall(rf"^```yaml {kind}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    return str(found)


def test_the_tables_are_up_to_date() -> None:
    """Made by docs/generate.py; each code has an anchor, for the links of SARIF."""
    assert author_page(PAGE) == PAGE
    assert re.findall(r'<a id="(\w+)"></a>`(\w+)`', PAGE) == [(code, code) for code in CODES]


def test_the_workflow_is_three_lines_and_uses_the_action() -> None:
    """A whole workflow: when, where, and two steps of which the second is ours, at our version."""
    text = block("workflow")
    workflow = yaml.safe_load(text)
    steps = workflow["jobs"]["validate"]["steps"]
    assert text.count("\n") == 3
    assert [step["uses"].rpartition("/")[2] for step in steps] == ["checkout@v4", f"{PROGRAM}@v{__version__}"]
    rows = dict(re.findall(r"^\| `([\w-]+)` \| (?:`([\w./]+)` )?\|", PAGE.split("## The command")[0], re.MULTILINE))
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


def test_the_hooks_command_is_one_that_exists(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    """The entry with the files that pre-commit appends, run as it stands: all files at once, several packages."""
    (hook,) = HOOKS
    assert (hook["language"], hook["require_serial"], hook.get("pass_filenames", True)) == ("python", True, True)
    program, *arguments = shlex.split(hook["entry"])
    assert program == PROGRAM
    files = [str(RIGHT / "skill.yaml"), str(RIGHT / "keep.input.json"), str(WARNED / "SKILL.md")]
    assert run([*arguments, *files[:2]]) == 0
    assert capfdbinary.readouterr().out.startswith("✓ my-skill".encode())
    assert run([*arguments, *files]) == 1
    assert b"[section_missing]" in capfdbinary.readouterr().out


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
    environment = os.environ | filled | {"TOOLS": str(tools), "DOCS": "https://example.org/authors.md", "PYTHONPATH": str(ROOT)}
    script = ["/bin/bash", "--noprofile", "--norc", "-e", "-o", "pipefail", "-c", step["run"]]
    return subprocess.run(script, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=240)


def test_the_action_checks_the_folder_that_was_checked_out(tools: Path) -> None:
    """Without any input: the working directory, strictly, with annotations."""
    assert last_step(tools, RIGHT).returncode == 0
    done = last_step(tools, WARNED)
    assert done.returncode == 1
    assert done.stdout.startswith("::warning file=SKILL.md,line=5,col=1,title=section_missing::")
    assert last_step(tools, WARNED, strict="false").returncode == 0


def test_the_action_takes_several_paths_and_runs_none_of_its_inputs(tools: Path, tmp_path: Path) -> None:
    """One path in a line, blanks in it and all; a value that looks like a command stays a value."""
    done = last_step(tools, tmp_path, paths=f"{RIGHT}\n{WARNED}\n", format="sarif", output="a report.sarif", strict="false")
    assert done.returncode == 0
    log = json.loads((tmp_path / "a report.sarif").read_text(encoding="utf-8"))
    assert log == json.loads(done.stdout)
    (rule,) = log["runs"][0]["tool"]["driver"]["rules"]
    assert rule["helpUri"] == "https://example.org/authors.md#section_missing"
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
