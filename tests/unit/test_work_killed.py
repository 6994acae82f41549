"""kill -9 at each step of isolated work: it is listed, nothing dirty is removed, what was done can be had, and it can all be removed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.killed_work import PLACES

ELSEWHERE = {
    "worktree": {"half a copy"},
    "copy": {
        "the worktree is registered",
        "objects are written",
        "committed and not on the branch",
        "on the branch",
        "the worktree is gone",
    },
}
"""Places that the other kind of work has."""


def require_sound(told: dict[str, Any]) -> None:
    """What must hold after any killing."""
    step, place = told["step"], told["place"]
    assert told["user"] is True and told["left"] == [], told
    assert told["files"] is True or step == "apply", "only applying touches the user's files"
    ((state, busy, unseen),) = told["listed"]
    assert busy is False, "the kernel let go of its lock"
    expected = {"prepare": "interrupted", "run": "interrupted", "apply": "applying", "discard": "finished"}
    assert state == expected[step], told
    if step in ("prepare", "discard"):
        # Nothing of the agent's is in it yet, or its result was told.
        assert (unseen, told["discard"]) == (False, "done"), told
        return
    assert (unseen, told["discard"], told["still_there"], told["force"]) == (True, "work_dirty", True, "done"), told
    if place == "before its first look":
        assert told["apply"] == "work_not_found" and told["whole"] is True
    else:
        assert (told["apply"], told["applied"]) == ("done", True), told


@pytest.mark.parametrize("kind", ["worktree", "copy"])
def test_a_killed_caller_loses_nothing_at_any_step(tmp_path: Path, kind: str) -> None:
    """Preparing, working, committing, applying, discarding: a process ends at each of these places, and others go on from there."""
    command = [sys.executable, "-m", "tests.support.killed_work", str(tmp_path), kind]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2])
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert {item["place"] for item in found} == {place for places in PLACES.values() for place in places}
    assert {item["place"] for item in found if not item["killed"]} == ELSEWHERE[kind], "each fault did happen"
    for item in found:
        if item["killed"]:
            require_sound(item)
