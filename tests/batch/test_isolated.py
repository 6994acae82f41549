"""Tasks of a batch in trees of their own, of one repository at once: checked, mended, capped, applied; and what is left afterwards."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from netclaw_opencode.offline import Gated, Status, Text, ToolCall
from netclaw_opencode.offline.conversation import Conversation
from netclaw_opencode.testing.waiting import wait_until
from tests.batch.conftest import BatchPlace, kill
from tests.support.pace import MACHINE_SECONDS

pytestmark = pytest.mark.real
NAMED = ("-c", "user.name=Test", "-c", "user.email=test@example.invalid", "-c", "commit.gpgsign=false")


def bash(command: str) -> ToolCall:
    """A command of the agent."""
    return ToolCall("bash", {"command": command, "description": "work"})


def git(folder: Path, *arguments: str) -> str:
    """The user's git."""
    return subprocess.run(["git", *NAMED, *arguments], cwd=folder, capture_output=True, text=True, check=True).stdout  # noqa: S607 - git of PATH


@pytest.fixture
def repo(place: BatchPlace) -> Path:
    """A repository with one commit."""
    folder = Path(place.directories("repo")[0])
    (folder / "kept.txt").write_text("kept\n")
    git(folder, "init", "-q", "-b", "master")
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "start")
    return folder


def checked(name: str, repo: Path, **more: object) -> dict[str, object]:
    """A task in a worktree, with a check of its own."""
    check = {"command": ["grep", "-q", "right", f"{name}.txt"], "attempts": 1}
    return {"id": name, "prompt": f"task {name}", "directory": str(repo), "isolation": "worktree", "check": check, **more}


def listed(place: BatchPlace) -> dict[str, Mapping[str, Any]]:
    """What list_work tells, by the folder's branch or path."""
    found = place.call("list_work")["works"]
    assert isinstance(found, list)
    return {str(item["work_id"]): item for item in found}


def test_tasks_of_one_repository_run_at_once_and_what_they_leave_outlives_their_worker(place: BatchPlace, repo: Path) -> None:
    """Applied, kept, never green, capped, tried again, each as run_task has it; all of it is there when worker and server are gone."""
    model = place.model
    gates = [model.gate("first"), model.gate("second")]
    model.when("task first", bash("echo right > first.txt"), (Gated(gates[0], "Done."),))
    model.when("task second", bash("echo wrong > second.txt; touch tests/mine"), (Gated(gates[1], "Done."),))
    model.when("-q right second.txt", bash("echo right > second.txt"), Text("Mended."))
    model.when("task third", bash("echo wrong > third.txt"), Text("Done."))
    model.when("-q right third.txt", Text("It is right."))
    model.when("task capped", bash("echo capped > capped.txt"), *(bash("sleep 0.3") for _ in range(9)))
    refusals: list[str] = []

    def refuse_once(conversation: Conversation) -> object:
        if not refusals:
            refusals.append(conversation.prompt)
            return Status(401)
        return Text("Done.") if conversation.step else bash("echo right > again.txt")

    model.when("task again", refuse_once)  # type: ignore[arg-type] # one answer for each call
    (repo / "tests").mkdir()
    (repo / "tests" / "test.sh").write_text("true\n")
    git(repo, "add", "-A")
    git(repo, "commit", "-qm", "tests")
    protected = {"check": {"command": ["grep", "-q", "right", "second.txt"], "attempts": 1, "protect": ["tests/"]}}
    tasks = [
        checked("first", repo, apply=True, agent="build"),
        checked("second", repo, **protected),
        checked("third", repo, apply=True),
        checked("again", repo, apply=True),
        {"id": "capped", "prompt": "task capped", "directory": str(repo), "isolation": "copy", "max_model_calls": 2},
    ]
    batch = str(place.submit("isolated", tasks, retry_codes=["provider_auth"], retry_limit=1, concurrency=4)["batch_id"])
    worker = place.worker(concurrency=4)
    assert all(gate.wait_reached(2 * MACHINE_SECONDS) for gate in gates), place.logs()
    for gate in gates:
        gate.open()
    assert place.ended(worker) == 0, place.logs()
    assert place.servers() == []
    results: dict[str, Any] = place.results(batch)
    outcome = {name: each.get("error", {}).get("code", each["state"]) for name, each in results.items()}
    assert outcome == {
        "first": "completed",
        "second": "completed",
        "third": "check_failed",
        "again": "completed",
        "capped": "budget_exceeded",
    }, results
    assert all((each["attempts"], each["tries"]) == (1, 1) for name, each in results.items() if name != "again")
    assert (results["again"]["tries"], len(refusals)) == (2, 1)
    summary = place.call("get_batch", batch_id=batch)
    assert summary["failures"] == {"check_failed": 1, "budget_exceeded": 1}
    # Applied, one after the other; and nothing else was written.
    assert {path.name for path in repo.iterdir()} == {".git", "kept.txt", "tests", "first.txt", "again.txt"}
    assert (repo / "first.txt").read_text() == "right\n" and [path.name for path in (repo / "tests").iterdir()] == ["test.sh"]
    second = results["second"]["data"]
    assert [run["phase"] for run in second["check"]["runs"]] == ["after", "mended 1"] and second["check"]["put_back"] == ["tests/mine"]
    # The works that are left, and no trees of tries that were repeated.
    capped, third = (results[name]["error"]["details"]["work"]["work_id"] for name in ("capped", "third"))
    assert {name: item["state"] for name, item in listed(place).items()} == {
        second["work"]["work_id"]: "finished",
        third: "failed",
        capped: "failed",
    }
    assert all(Path(item["path"]).is_dir() for item in listed(place).values())
    for data in (second, results["first"]["data"]):
        patch = Path(data["changes"]["patch"]["path"])
        assert patch.is_relative_to(place.settings.state_dir / "patches") and "right" in patch.read_text()
        assert place.call("verify_work", statement=data["statement"]["path"])["holds"] is True
    assert place.call("apply_work", work_id=second["work"]["work_id"])["files"] == ["second.txt"]
    for name in (capped, third):
        place.call("discard_work", work_id=name, force=True)
    assert listed(place) == {} and git(repo, "worktree", "list").count("\n") == 1 and git(repo, "branch").split() == ["*", "master"]
    # What was remembered under the keys of its tasks is forgotten with them.
    assert not list((place.settings.state_dir / "keys").glob("*.json"))


def test_a_killed_workers_isolated_task_is_taken_over_in_its_tree(place: BatchPlace, repo: Path) -> None:
    """SIGKILL in the middle of the turn: the same tree, one prompt, one result, checked and applied once; nothing is left beside."""
    gate = place.model.gate("killed worker")
    place.model.when("task held", bash("echo wrong > held.txt; echo more >> kept.txt"), (Gated(gate, "Done."),))
    place.model.when("this check fails", bash("echo right > held.txt"), Text("Mended."))
    tasks = [checked("held", repo, apply=True, check={"command": ["grep", "-q", "right", "held.txt"], "before": True})]
    batch = str(place.submit("kill", tasks)["batch_id"])
    first = place.worker(concurrency=1)
    assert gate.wait_reached(2 * MACHINE_SECONDS), place.logs()
    kill(first)
    ((work_id, left),) = listed(place).items()
    assert (left["state"], left["busy"]) == ("interrupted", False)
    second = place.worker(concurrency=1)
    wait_until(lambda: listed(place)[work_id]["busy"], 2 * MACHINE_SECONDS, what="the next worker in the tree")
    gate.open()
    assert place.ended(second) == 0, place.logs()
    result: dict[str, Any] = place.results(batch)["held"]
    assert (result["state"], result["attempts"], result["tries"]) == ("completed", 2, 1), json.dumps(result)
    data = result["data"]
    assert (data["verified"], data["work"]["state"], data["work"]["work_id"]) == (True, "applied", work_id)
    assert [run["phase"] for run in data["check"]["runs"]] == ["before", "after", "mended 1"]
    assert sorted(item["path"] for item in data["files_changed"]) == ["held.txt", "kept.txt"]
    assert (repo / "held.txt").read_text() == "right\n" and (repo / "kept.txt").read_text() == "kept\nmore\n"
    assert place.calls_of("task held") == 2
    assert listed(place) == {} and git(repo, "worktree", "list").count("\n") == 1 and git(repo, "branch").split() == ["*", "master"]
    assert not list((place.settings.state_dir / "keys").glob("*.json"))
