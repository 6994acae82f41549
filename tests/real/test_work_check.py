"""A check of the caller's own judges the work, on the real server: red is mended in a fork, green is proved, never green is an error."""

from __future__ import annotations

from pathlib import Path

import pytest

from netclaw_opencode.offline import Text, ToolCall
from tests.real.acting import Acting
from tests.real.test_action_tasks import sessions_here

pytestmark = pytest.mark.real

HOLDS = {"command": ["grep", "-q", "right", "answer.txt"]}


def bash(command: str) -> ToolCall:
    """A command of the agent."""
    return ToolCall("bash", {"command": command, "description": "work"})


def test_red_is_mended_in_a_fork_and_turns_green(in_git: Acting) -> None:
    """Red before, red after the first try, green when mended: the agent was told what the check said, and knew its task."""
    model = in_git.raw.model
    model.when("answer right", bash("echo wrong > answer.txt"), Text("Done."))
    model.when("this check fails", bash("echo right > answer.txt"), Text("Mended."))
    check = {"command": ["cat answer.txt; grep -q right answer.txt"], "shell": True, "before": True, "attempts": 2}
    done = in_git.data("run_task", prompt="answer right", directory=in_git.directory, isolation="worktree", apply=True, check=check)
    assert (done["verified"], done["text"], [(run["phase"], run["passed"]) for run in done["check"]["runs"]]) == (
        True,
        "Mended.",
        [("before", False), ("after", False), ("mended 1", True)],
    )
    told = model.calls_with("this check fails")[0].conversation
    assert "wrong" in told.prompt and "exit code 1" in told.prompt and "answer right" in str(told.earlier_prompts)
    assert Path(in_git.directory, "answer.txt").read_text() == "right\n" and done["work"]["state"] == "applied"
    assert (done["usage"]["model_calls"], [tool["tool"] for tool in done["tools"]]) == (4, ["bash", "bash"])
    assert [item["path"] for item in done["files_changed"]] == ["answer.txt"]
    assert sessions_here(in_git) == []


def test_what_is_never_green_is_an_error_and_the_work_is_kept(in_git: Acting) -> None:
    """Nothing is applied; the error has each run, what was done, and where it is."""
    in_git.raw.model.when("answer wrong", bash("echo wrong > answer.txt"), Text("Done."))
    in_git.raw.model.when("this check fails", bash("echo still >> answer.txt"), Text("Tried."))
    error = in_git.error("run_task", prompt="answer wrong", directory=in_git.directory, isolation="worktree", apply=True, check=HOLDS)
    assert error["code"] == "check_failed" and [run["exit_code"] for run in error["details"]["check"]["runs"]] == [1, 1]
    work = error["details"]["work"]
    assert Path(work["path"], "answer.txt").read_text() == "wrong\nstill\n"
    assert not Path(in_git.directory, "answer.txt").exists() and sessions_here(in_git) == []
    in_git.data("discard_work", work_id=work["work_id"])


def test_protected_files_are_put_back_before_judging(in_git: Acting) -> None:
    """An agent that mends the test instead of the work is found out; what the check itself left is nobody's work."""
    root = Path(in_git.directory)
    (root / "tests").mkdir()
    (root / "tests" / "test.sh").write_text("touch left-by-check; grep -q right answer.txt\n")
    in_git.raw.model.when("cheat", bash("echo true > tests/test.sh; echo x > tests/more.sh; echo wrong > answer.txt"), Text("Done."))
    in_git.raw.model.when("this check fails", bash("echo right > answer.txt"), Text("Mended."))
    check = {"command": ["sh", "tests/test.sh"], "protect": ["tests/"]}
    done = in_git.data(
        "run_task", prompt="cheat", directory=in_git.directory, isolation="worktree", carry_changes=True, apply=True, check=check
    )
    assert sorted(done["check"]["put_back"]) == ["tests/more.sh", "tests/test.sh"] and done["verified"] is True
    assert [item["path"] for item in done["files_changed"]] == ["answer.txt"]
    assert "grep" in (root / "tests" / "test.sh").read_text() and not (root / "left-by-check").exists()
    assert "was put back" in in_git.raw.model.calls_with("this check fails")[0].conversation.prompt


def test_a_check_that_holds_before_proves_nothing(acting: Acting) -> None:
    """With ``before`` it must be red first: nothing is sent. Without isolation the check runs where the agent worked."""
    error = acting.error("run_task", prompt="never sent", check={"command": ["true"], "before": True})
    assert (error["code"], acting.raw.model.calls_with("never sent")) == ("check_failed", ())
    acting.raw.model.when("in place", bash("echo right > answer.txt"), Text("Done."))
    done = acting.data("run_task", prompt="in place", check=HOLDS)
    assert done["verified"] is True and sessions_here(acting) == []
    Path(acting.directory, "answer.txt").unlink()


def test_mending_is_bound_by_the_caps_of_the_task(acting: Acting) -> None:
    """The fork spends what the first turn left: one budget for all."""
    acting.raw.model.when("spend it", bash("true"), Text("Done."))
    acting.raw.model.when("this check fails", bash("true"))
    error = acting.error("run_task", prompt="spend it", max_model_calls=3, check={"command": ["false"], "attempts": 9})
    assert error["code"] == "budget_exceeded" and error["details"]["spent"]["model_calls"] >= 3
    assert len(acting.raw.model.calls_with("this check fails")) <= 3 and error["details"]["check"]["runs"][0]["passed"] is False
    assert sessions_here(acting) == []
