"""Isolated work on the real server: the user's folder stays as it is until the work is applied, however its task ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from netclaw_opencode.offline import Gated, Hang, Text, ToolCall
from netclaw_opencode.opencode.trust import Trust
from netclaw_opencode.settings import Settings
from netclaw_opencode.testing.waiting import SOON, wait_until
from tests.real.acting import Acting, Json, Requests
from tests.support.pace import stretched

pytestmark = pytest.mark.real
NAMED = ("-c", "user.name=Test", "-c", "user.email=test@example.invalid")


def bash(command: str) -> ToolCall:
    """A command of the agent."""
    return ToolCall("bash", {"command": command, "description": "work"})


def git(folder: Path, *arguments: str) -> str:
    """The user's git."""
    return subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=True).stdout  # noqa: S607 - git of PATH


def works(acting: Acting) -> list[Json]:
    """What list_work tells."""
    found: list[Json] = acting.data("list_work")["works"]
    return found


def test_a_task_in_a_worktree_is_applied_when_its_caller_says_so(in_git: Acting) -> None:
    """The agent works in a tree that the server was asked for; the branch holds its work; apply brings it in and leaves nothing."""
    repo = Path(in_git.directory)
    in_git.raw.model.when("isolated task", bash("echo more >> kept.txt; echo new > new.txt; pwd"), Text("Done."))
    done = in_git.data("run_task", prompt="isolated task", directory=str(repo), isolation="worktree")
    work = done["work"]
    assert (repo / "kept.txt").read_text() == "kept\n" and git(repo, "status", "--short") == ""
    assert {item["path"] for item in done["files_changed"]} == {"kept.txt", "new.txt"}
    assert git(repo, "show", f"{work['branch']}:kept.txt") == "kept\nmore\n"
    assert (work["state"], Path(work["path"]).name, git(repo, "rev-parse", work["branch"]).strip()) == ("finished", "repo", work["commit"])
    assert [item["work_id"] for item in works(in_git)] == [work["work_id"]]
    applied = in_git.data("apply_work", work_id=work["work_id"])
    assert (sorted(applied["files"]), applied["removed"]) == (["kept.txt", "new.txt"], True)
    assert git(repo, "status", "--short").splitlines() == [" M kept.txt", "?? new.txt"]
    assert works(in_git) == [] and git(repo, "branch", "--list", "netclaw/*") == "" and not Path(work["path"]).exists()


def test_a_task_in_a_copy_is_applied_in_the_same_call(acting: Acting) -> None:
    """A folder without git, one call: done in a private copy, brought in, and nothing is left beside."""
    place = Path(acting.directory)
    (place / "before.txt").write_text("before\n")
    acting.raw.model.when("copied task", bash("rm before.txt; echo after > after.txt"), Text("Done."))
    done = acting.data("run_task", prompt="copied task", isolation="copy", apply=True)
    assert (done["work"]["state"], sorted(done["work"]["applied"]), done["work"]["removed"]) == (
        "applied",
        ["after.txt", "before.txt"],
        True,
    )
    assert (place / "after.txt").exists() and not (place / "before.txt").exists() and works(acting) == []


def test_a_conflict_keeps_the_work_and_the_result(in_git: Acting) -> None:
    """The user changed the same line meanwhile: nothing is written, the error has the conflict and the task's result, the work is kept."""
    repo = Path(in_git.directory)
    gate = in_git.raw.model.gate("user works too")
    in_git.raw.model.when("conflicting", bash("echo agent > kept.txt"), (Gated(gate, "Done."),))
    task = in_git.later("run_task", prompt="conflicting", directory=str(repo), isolation="worktree", apply=True)
    assert gate.wait_reached(SOON)
    (repo / "kept.txt").write_text("user\n")
    gate.open()
    error = task.result(SOON)["error"]
    assert isinstance(error, dict) and error["code"] == "work_conflict"
    assert error["details"]["conflicts"][0]["path"] == "kept.txt" and error["details"]["result"]["text"] == "Done."
    assert (repo / "kept.txt").read_text() == "user\n"
    (left,) = works(in_git)
    assert (left["state"], left["work_id"]) == ("finished", error["details"]["work"]["work_id"])
    in_git.data("discard_work", work_id=left["work_id"])


def test_the_work_of_a_task_that_failed_is_kept(in_git: Acting) -> None:
    """Out of time in the middle: what it had done is committed on its branch, and the error says where."""
    in_git.raw.model.when("half isolated", bash("echo half > half.txt"), Hang())
    error = in_git.error(
        "run_task", prompt="half isolated", directory=in_git.directory, isolation="worktree", deadline_seconds=stretched(4)
    )
    work = error["details"]["work"]
    assert (error["code"], work["state"]) == ("turn_timeout", "failed")
    assert git(Path(in_git.directory), "show", f"{work['branch']}:half.txt") == "half\n"
    in_git.data("discard_work", work_id=work["work_id"])


def test_a_task_that_cannot_begin_leaves_no_work(in_git: Acting, requests_sent: Requests) -> None:
    """A model that is not there, a base that is not there, options that do not go together: refused, and nothing was made."""
    for wrong in (
        {"model": "offline/nothing"},
        {"base": "nowhere"},
        {"parent_id": "ses_00000000000000000000000000"},
        {"link_paths": ["../x"]},
    ):
        in_git.error("run_task", prompt="never", directory=in_git.directory, isolation="worktree", **wrong)
    assert in_git.error("run_task", prompt="never", apply=True)["code"] == "invalid_input"
    assert works(in_git) == [] and git(Path(in_git.directory), "branch").strip().count("\n") == 0
    assert requests_sent.prompts == []


def test_plan_and_implementation_share_one_worktree(in_git: Acting) -> None:
    """Both halves work in the same tree; the plan sees no other files than the implementation."""
    model = in_git.raw.model
    model.when("Make a plan for the following task", Text("1. Write x"))
    model.when("Implement the following task", bash("echo x > x.txt"), Text("Implemented."))
    done = in_git.data("run_plan_and_implement", prompt="X", directory=in_git.directory, isolation="worktree", apply=True)
    assert (done["work"]["state"], done["work"]["applied"]) == ("applied", ["x.txt"])
    assert Path(in_git.directory, "x.txt").exists()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_what_a_killed_caller_left_is_listed_and_not_lost(in_git: Acting, settings: Settings, number: signal.Signals) -> None:
    """kill -9 in the middle, or Ctrl-C: the work is interrupted, not removed without force, and its files can still be applied."""
    repo = Path(in_git.directory)
    gate = in_git.raw.model.gate("killed")
    in_git.raw.model.when("killed caller", bash("echo half > half.txt"), (Gated(gate, "Done."),))
    command = [sys.executable, "-m", "netclaw_opencode", "run", "run-task", "--directory", str(repo), "--isolation", "worktree"]
    caller = subprocess.Popen(
        [*command, "--prompt", "killed caller"],
        env={**os.environ, **settings.environ},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        assert gate.wait_reached(SOON)
        (running,) = works(in_git)
        assert (running["state"], running["busy"]) == ("running", True)
        assert in_git.error("discard_work", work_id=running["work_id"], force=True)["code"] == "work_busy"
    finally:
        caller.send_signal(number)
        caller.wait()
    assert caller.returncode == (-signal.SIGKILL if number == signal.SIGKILL else 130)
    gate.open()
    wait_until(lambda: not in_git.raw.model.open_connections, SOON, what="the end of the model call")
    in_git.data("cleanup")
    (left,) = works(in_git)
    assert (left["state"], left["busy"], left["exists"]) == ("interrupted", False, True) and left["unseen"]
    assert in_git.error("discard_work", work_id=left["work_id"])["code"] == "work_dirty"
    assert (Path(left["path"]) / "half.txt").exists() and not (repo / "half.txt").exists()
    assert in_git.data("apply_work", work_id=left["work_id"])["files"] == ["half.txt"]
    assert (repo / "half.txt").read_text() == "half\n" and works(in_git) == []


def test_trust_in_a_project_holds_in_its_tree_for_the_same_content_only(in_git: Acting, settings: Settings) -> None:
    """F61: what would run on opening the tree is what the user has trusted, byte for byte; another version of it is refused."""
    repo = Path(in_git.directory)
    configured = '{"mcp": {"it": {"type": "local", "enabled": false, "command": ["true"]}}}'
    (repo / "opencode.json").write_text(configured)
    git(repo, "add", "-A")
    git(repo, *NAMED, "commit", "-qm", "configured")
    arguments = {"prompt": "trusted task", "directory": str(repo), "isolation": "worktree"}
    assert in_git.error("run_task", **arguments)["code"] == "untrusted_project"
    trust = Trust.from_settings(settings)
    trust.grant(str(repo), trust.find(str(repo)))
    in_git.raw.model.when("trusted task", Text("Done."))
    done = in_git.data("run_task", **arguments)
    in_git.data("discard_work", work_id=done["work"]["work_id"])
    (repo / "opencode.json").write_text(configured.replace("true", "false"))
    git(repo, *NAMED, "commit", "-qam", "another command")
    (repo / "opencode.json").write_text(configured)
    assert in_git.error("run_task", **arguments)["code"] == "untrusted_project"
    assert works(in_git) == []
