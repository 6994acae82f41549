"""A statement of checked work, on the real server: what it holds, and the repetition of its check on a clean checkout."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from netclaw_opencode._core.validation import find_problems
from netclaw_opencode.offline import Text, ToolCall
from netclaw_opencode.settings import Settings
from tests.real.acting import Acting

pytestmark = pytest.mark.real
SCHEMA = json.loads((Path(__file__).parents[2] / "schemas" / "statement.schema.json").read_text(encoding="utf-8"))


def test_a_statement_is_made_and_its_check_can_be_repeated(in_git: Acting, settings: Settings) -> None:
    """From kept objects, and from base and patch when the work is gone; from the command line; never for a statement that was changed."""
    command = {"command": "grep -q right answer.txt && test ! -e untracked && echo fine", "description": "x"}
    write = ToolCall("bash", {"command": "echo right > answer.txt", "description": "write"})
    in_git.raw.model.when("make a statement", write, Text("Done."))
    check = {"command": [command["command"]], "shell": True, "deadline_seconds": 60}
    done = in_git.data("run_task", prompt="make a statement", directory=in_git.directory, isolation="worktree", check=check)
    path = Path(done["statement"]["path"])
    statement = json.loads(path.read_text())
    assert find_problems(statement, SCHEMA) == () and hashlib.sha256(path.read_bytes()).hexdigest() == done["statement"]["sha256"]
    assert (statement["verified"], statement["subject"]["commit"]) == (True, done["work"]["commit"])
    assert statement["subject"]["patch"]["sha256"] == done["changes"]["patch"]["sha256"]
    assert statement["usage"] == done["usage"] and statement["versions"]["opencode"].startswith("1.")
    first = in_git.data("verify_work", statement=str(path))
    assert (first["holds"], first["made_from"], first["patch"], first["run"]["output"]) == (True, "objects", "matches", "fine\n")
    in_git.data("discard_work", work_id=done["work"]["work_id"], force=True)
    subprocess.run(["git", "gc", "-q", "--prune=now"], cwd=in_git.directory, check=True)  # noqa: S607 - git of PATH
    (Path(in_git.directory) / "untracked").write_text("no part of it")
    call = [sys.executable, "-m", "netclaw_opencode", "inspect", "verify-work", path.name]
    shell = subprocess.run(call, cwd=path.parent, env={**os.environ, **settings.environ}, capture_output=True, text=True, check=False)
    again = json.loads(shell.stdout)
    assert (shell.returncode, again["data"]["holds"], again["data"]["made_from"]) == (0, True, "base and patch")
    statement["check"]["command"] = ["touch /tmp/never"]
    changed = path.with_name("changed.json")
    changed.write_text(json.dumps(statement))
    assert in_git.error("verify_work", statement=str(changed))["code"] == "statement_unsealed"
    Path(done["changes"]["patch"]["path"]).write_text("another\n")
    assert in_git.error("verify_work", statement=str(path))["code"] == "work_failed"


@pytest.mark.parametrize("content", ["", "{}", "[1]", '{"form": "netclaw-opencode/statement"}', "\x00"])
def test_what_is_no_statement_is_refused(acting: Acting, tmp_path: Path, content: str) -> None:
    """Said what is wrong with it; nothing is run."""
    path = tmp_path / "statement.json"
    path.write_text(content)
    error = acting.error("verify_work", statement=str(path))
    assert error["code"] == "invalid_input" and str(path) in error["message"]


def test_a_check_that_failed_has_a_statement_too(acting: Acting) -> None:
    """It says that nothing is verified, and its repetition fails as it did."""
    acting.raw.model.when("fail with a statement", ToolCall("bash", {"command": "true", "description": "x"}), Text("Done."))
    error = acting.error("run_task", prompt="fail with a statement", check={"command": ["false"], "attempts": 0})
    path = error["details"]["statement"]["path"]
    assert json.loads(Path(path).read_text())["verified"] is False
    assert acting.error("verify_work", statement=path)["code"] == "check_failed"
