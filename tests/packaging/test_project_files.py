"""The files around the code: workflows with pinned actions and few permissions, and a commit hook with the gate's own tools."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.packaging.conftest import ROOT

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
WRITES = {
    # What each job may do beyond reading the repository.
    ("release.yml", "attest"): {"attestations", "id-token"},
    ("release.yml", "publish"): {"id-token"},
    ("release.yml", "announce"): {"contents"},
    ("site.yml", "deploy"): {"pages", "id-token"},
}


def workflow(name: str) -> dict[str, Any]:
    """A workflow; the key ``on`` reads as true in YAML 1.1."""
    found: dict[str, Any] = yaml.safe_load((ROOT / ".github" / "workflows" / name).read_text(encoding="utf-8"))
    return found


@pytest.mark.parametrize("path", [*WORKFLOWS, ROOT / "action.yml"], ids=lambda path: path.name)
def test_every_action_is_pinned_by_its_commit(path: Path) -> None:
    """A tag can be moved; the comment names the version that the commit is."""
    used = re.findall(r"uses: (?!\./)(.+)", path.read_text(encoding="utf-8"))
    assert used and not [line for line in used if not re.fullmatch(r"[\w.-]+/[\w.-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", line)]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_job_may_write_only_what_it_is_for(path: Path) -> None:
    """The workflow as a whole reads at most; checked-out code keeps no credentials, and no value of an event is put into a script."""
    found = workflow(path.name)
    assert set(found["permissions"].values()) <= {"read"} if found["permissions"] else found["permissions"] == {}
    for name, job in found["jobs"].items():
        granted = job.get("permissions", found["permissions"])
        assert {scope for scope, level in granted.items() if level == "write"} == WRITES.get((path.name, name), set())
        for step in job.get("steps", []):
            assert "${{" not in step.get("run", ""), step
            if "actions/checkout" in step.get("uses", ""):
                assert step["with"]["persist-credentials"] is False


def test_the_workflow_runs_the_one_gate_on_each_system_and_python() -> None:
    """Linux and macOS, each Python that the project supports by its tests, and `.ci/run` alone."""
    gate = workflow("ci.yml")["jobs"]["gate"]
    matrix = gate["strategy"]["matrix"]
    assert {name.partition("-")[0] for name in matrix["system"]} == {"ubuntu", "macos"}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    oldest = project["requires-python"].removeprefix(">=")
    assert matrix["python"][0] == oldest and len(matrix["python"]) == 3
    assert {f"Programming Language :: Python :: {each}" for each in matrix["python"]} <= set(project["classifiers"])
    assert [step["run"] for step in gate["steps"] if "run" in step and "if" not in step] == [".ci/run"]


def test_the_commit_hooks_are_the_gates_own_tools() -> None:
    """Each hook is a program of .venv, so that a commit meets the pinned versions; the scripts that they name exist."""
    (repository,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"]
    assert repository["repo"] == "local"
    for hook in repository["hooks"]:
        program, *words = hook["entry"].split()
        assert program.startswith(".venv/bin/") and hook["language"] == "system"
        assert all((ROOT / word).is_file() for word in words if word.endswith(".py"))
