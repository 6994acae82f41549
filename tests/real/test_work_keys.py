"""Idempotency keys with isolation and check, on the real server: the second call goes on where the first one was lost, in the same tree."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from netclaw_opencode.offline import Gated, Text, ToolCall
from netclaw_opencode.settings import Settings
from netclaw_opencode.testing.waiting import SOON, wait_until
from tests.real.acting import Acting, Json, Requests, data_of, tool_processes

pytestmark = pytest.mark.real


def bash(command: str) -> ToolCall:
    """A command of the agent."""
    return ToolCall("bash", {"command": command, "description": "work"})


def works(acting: Acting) -> list[Json]:
    """What list_work tells."""
    found: list[Json] = acting.data("list_work")["works"]
    return found


@contextmanager
def caller_that_is_killed(settings: Settings, *flags: str) -> Iterator[None]:
    """``run-task`` as a process of its own, killed at the end of the block."""
    command = [sys.executable, "-m", "netclaw_opencode", "run", "run-task", *flags]
    environ = {**os.environ, **settings.environ}
    caller = subprocess.Popen(command, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        caller.send_signal(signal.SIGKILL)
        caller.wait()


def test_a_killed_callers_task_is_followed_judged_mended_and_applied_by_the_next_call(
    in_git: Acting, settings: Settings, requests_sent: Requests
) -> None:
    """kill -9 in the turn: one tree, no prompt twice, no second check before it, the whole change; then the same result, applied once."""
    repo, model = Path(in_git.directory), in_git.raw.model
    gate = model.gate("killed in the turn")
    model.when("keyed work", bash("echo wrong > answer.txt; echo more >> kept.txt"), (Gated(gate, "Done."),))
    model.when("this check fails", bash("echo right > answer.txt"), Text("Mended."))
    command = '["grep", "-q", "right", "answer.txt"]'
    flags = ("--directory", str(repo), "--prompt", "keyed work", "--idempotency-key", "k-1", "--isolation", "worktree")
    with caller_that_is_killed(settings, *flags, "--check-command", command, "--check-before", "--check-protect", "tests/"):
        assert gate.wait_reached(SOON)
        (running,) = works(in_git)
        in_git.remember(running["session_id"])
        asked: Json = {
            "prompt": "keyed work",
            "directory": str(repo),
            "idempotency_key": "k-1",
            "isolation": "worktree",
            "check": {"command": ["grep", "-q", "right", "answer.txt"], "before": True, "protect": ["tests/"]},
        }
        # While the first call lives, the second one waits; and says so when its time is over.
        assert in_git.error("run_task", **asked, deadline_seconds=1)["code"] == "work_busy"
    follower = in_git.later("run_task", **asked)
    wait_until(lambda: works(in_git)[0]["busy"], SOON, what="the second call in the tree of the first")
    gate.open()
    done = data_of(follower.result(SOON))
    in_git.remember(done["session_id"])
    assert (done["verified"], done["text"], done["work"]["work_id"]) == (True, "Mended.", running["work_id"])
    assert [(run["phase"], run["passed"]) for run in done["check"]["runs"]] == [("before", False), ("after", False), ("mended 1", True)]
    assert (done["changes"]["method"], sorted(item["path"] for item in done["files_changed"])) == ("snapshot", ["answer.txt", "kept.txt"])
    assert done["notes"][0].startswith("the same idempotency key") and done["usage"]["model_calls"] == 4
    assert len(model.calls_with("keyed work")) - len(model.calls_with("this check fails")) <= 2
    assert len(requests_sent.prompts) == 1  # the repair; the task's own prompt was the killed caller's
    assert done["statement"]["path"] and not (repo / "answer.txt").exists()
    again = in_git.data("run_task", **asked, apply=True)
    assert (again["statement"], again["check"]) == (done["statement"], done["check"])
    assert (again["work"]["state"], (repo / "answer.txt").read_text(), works(in_git)) == ("applied", "right\n", [])
    (repo / "answer.txt").write_text("mine\n")
    assert in_git.data("run_task", **asked, apply=True)["work"] == again["work"] and (repo / "answer.txt").read_text() == "mine\n"
    assert len(requests_sent.prompts) == 1
    assert in_git.error("run_task", **{**asked, "prompt": "another"})["code"] == "idempotency_conflict"
    for record in (settings.state_dir / "keys").glob("*.json"):
        record.unlink()
    # Only the server remembers it now, and the tree is gone: said, and no second tree is made.
    assert in_git.error("run_task", **asked)["code"] == "work_not_found" and works(in_git) == []


def test_what_a_killed_callers_check_left_is_ended_and_taken_out(acting: Acting, settings: Settings, tmp_path: Path) -> None:
    """kill -9 while the check runs: its processes are ended, its files are nobody's work, and it runs again."""
    place, mark = Path(acting.directory), f"left-{tmp_path.name}"
    (place / "script.sh").write_text(f"touch litter; touch {tmp_path}/began; test -e {tmp_path}/go || exec sh -c 'sleep 900; : {mark}'\n")
    acting.raw.model.when("checked when killed", bash("echo done > done.txt"), Text("Done."))
    flags = ("--directory", str(place), "--prompt", "checked when killed", "--idempotency-key", "k-2", "--isolation", "copy")
    with caller_that_is_killed(settings, *flags, "--check-command", '["sh", "script.sh"]'):
        wait_until(lambda: tool_processes(mark), SOON, what="the check")
    assert tool_processes(mark)
    (tmp_path / "go").touch()
    done = acting.data(
        "run_task",
        prompt="checked when killed",
        directory=str(place),
        idempotency_key="k-2",
        isolation="copy",
        check={"command": ["sh", "script.sh"]},
    )
    acting.remember(done["session_id"])
    assert not tool_processes(mark)
    assert (done["verified"], [run["phase"] for run in done["check"]["runs"]]) == (True, ["after"])
    assert [item["path"] for item in done["files_changed"]] == ["done.txt"]
    assert len(acting.raw.model.calls_with("checked when killed")) == 2
    acting.data("discard_work", work_id=done["work"]["work_id"], force=True)


def test_two_calls_at_the_same_moment_are_one_task_in_one_tree(in_git: Acting, tmp_path: Path) -> None:
    """One works, the other waits and is told the same: one tree, one prompt, one run of the check, applied once."""
    in_git.raw.model.when("two at once", bash("echo x > x.txt"), Text("Done."))
    check = {"command": [f"echo run >> {tmp_path}/runs; test -e x.txt"], "shell": True}
    asked = {"prompt": "two at once", "directory": in_git.directory, "idempotency_key": "k-3", "check": check}
    calls = [in_git.later("run_task", **asked, isolation="worktree", apply=True) for _ in range(3)]
    results = [data_of(call.result(SOON)) for call in calls]
    in_git.remember(results[0]["session_id"])
    assert len({str((item["work"], item["check"], item["message_id"], item["files_changed"])) for item in results}) == 1
    assert (tmp_path / "runs").read_text() == "run\n" and len(in_git.raw.model.calls_with("two at once")) == 2
    assert sum("the same idempotency key" in " ".join(item["notes"]) for item in results) == 2
    assert results[0]["work"]["state"] == "applied" and works(in_git) == []


def test_what_is_over_is_told_again_and_a_conflict_can_be_resolved(in_git: Acting, tmp_path: Path) -> None:
    """A check that never held is not run again; work that did not go together is applied by the next call, when it does."""
    repo, model = Path(in_git.directory), in_git.raw.model
    model.when("never green", bash("true"), Text("Done."))
    never = {"command": [f"echo run >> {tmp_path}/runs; false"], "shell": True, "attempts": 0}
    asked: Json = {"prompt": "never green", "directory": str(repo), "idempotency_key": "k-4", "check": never}
    first, second = (in_git.error("run_task", **asked) for _ in range(2))
    in_git.remember(first["details"]["session_id"])
    assert (second["code"], second["details"]["check"]) == ("check_failed", first["details"]["check"])
    assert second["details"]["statement"] == first["details"]["statement"] and (tmp_path / "runs").read_text() == "run\n"
    gate = model.gate("the user writes, too")
    model.when("conflicting key", bash("echo agent > kept.txt"), (Gated(gate, "Done."),))
    asked = {"prompt": "conflicting key", "directory": str(repo), "idempotency_key": "k-5", "isolation": "worktree", "apply": True}
    task = in_git.later("run_task", **asked)
    assert gate.wait_reached(SOON)
    (repo / "kept.txt").write_text("user\n")
    gate.open()
    error = task.result(SOON)["error"]
    assert isinstance(error, dict) and error["code"] == "work_conflict"
    assert in_git.error("run_task", **asked)["code"] == "work_conflict"
    (repo / "kept.txt").write_text("kept\n")
    done = in_git.data("run_task", **asked)
    in_git.remember(done["session_id"])
    assert (done["work"]["state"], (repo / "kept.txt").read_text(), works(in_git)) == ("applied", "agent\n", [])


def test_a_call_that_joins_a_plain_task_is_told_its_whole_change(in_git: Acting) -> None:
    """Without isolation, too: while it runs and when it has ended, what commands changed is in it, and nothing that came later."""
    gate = in_git.raw.model.gate("joined")
    in_git.raw.model.when("plain and joined", bash("echo by command > made.txt"), (Gated(gate, "Done."),))
    asked = {"prompt": "plain and joined", "directory": in_git.directory, "idempotency_key": "k-6"}
    first = in_git.later("run_task", **asked)
    assert gate.wait_reached(SOON)
    joins = in_git.later("run_task", **asked)
    wait_until(lambda: len(in_git.policy.told("session_created")) == 1, SOON, what="the one session")
    gate.open()
    results = [data_of(call.result(SOON)) for call in (first, joins)]
    in_git.remember(results[0]["session_id"])
    Path(in_git.directory, "later.txt").write_text("by the user\n")
    results.append(in_git.data("run_task", **asked))
    for result in results:
        assert (result["changes"]["method"], [item["path"] for item in result["files_changed"]]) == ("snapshot", ["made.txt"])
    assert len(in_git.raw.model.calls_with("plain and joined")) == 2
