"""Isolated work whose caller is killed: each step of it in a process of its own that ends at a given call, by SIGKILL.

Run as ``python -m tests.support.killed_work FOLDER KIND``; prints one JSON line for each place of the killing: what the step left, and what
list, discard and apply made of it. Owns the places; what must hold is the test's.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

from netclaw_opencode.actions import works
from netclaw_opencode.errors import DriverError
from netclaw_opencode.settings import Settings
from netclaw_opencode.work import applying, copies, isolating, snapshots
from netclaw_opencode.work.git import Git
from netclaw_opencode.work.isolating import Bench, Wish
from netclaw_opencode.work.ledger import Ledger, Work
from netclaw_opencode.work.stores import Home

NAMED = {"GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b", "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@b"}


def git(folder: Path, *arguments: str) -> str:
    """The user's git."""
    environ = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "GIT_CONFIG_NOSYSTEM": "1", **NAMED}
    return subprocess.run(["git", *arguments], cwd=folder, env=environ, capture_output=True, text=True, check=True).stdout  # noqa: S607


@dataclass(frozen=True, slots=True)
class Scene:
    """A user's folder, and the steps of one piece of isolated work."""

    root: Path
    bench: Bench
    kind: Literal["worktree", "copy"]

    @classmethod
    def make(cls, folder: Path, kind: Literal["worktree", "copy"]) -> Scene:
        """A repository with a commit, or a plain folder."""
        root, state = folder / "project", folder / "state"
        (root / "inner").mkdir(parents=True)
        for name in ("a", "b", "c", "inner/d", "gone"):
            (root / name).write_text(f"{name}\n")
        if kind == "worktree":
            git(root, "init", "-q", "-b", "main")
            git(root, "add", "-A")
            git(root, "commit", "-qm", "first")
        (root / "mine").write_text("the user's own\n")
        found = Git.find()
        assert found is not None
        return cls(root, Bench(Ledger(state), found, Home(state)), kind)

    def prepare(self) -> None:
        """The tree is made."""
        isolating.prepare(self.bench, self.root, Wish(self.kind))

    def work(self) -> Work:
        """The only work that there is."""
        (found,) = self.bench.ledger.works()[0]
        return found

    def run(self) -> None:
        """The agent has worked, and nothing is committed yet."""
        work = self.work()
        before = snapshots.take(work.path, self.bench.home_of(work), self.bench.git)
        self.bench.ledger.change(work, base_tree=before.tree)
        for name in ("a", "b", "inner/d", "new"):
            (work.path / name).write_text("by the agent\n")
        (work.path / "gone").unlink()
        self.commit(before)

    def commit(self, before: snapshots.Snapshot) -> None:
        """The work is committed, and finished."""
        work = self.work()
        after = snapshots.retake(before, self.bench.home_of(work), self.bench.git)
        done = isolating.finish(self.bench, work, before, after, message="done")
        self.bench.ledger.change(done, state="finished")

    def apply(self) -> None:
        """It is brought in."""
        isolating.apply(self.bench, self.work())

    def discard(self) -> None:
        """It is removed."""
        isolating.discard(self.bench, self.work(), force=True)

    def files(self) -> dict[str, str]:
        """The user's files, ours among them if we left any."""
        found = (path for path in sorted(self.root.rglob("*")) if ".git" not in path.relative_to(self.root).parts)
        return {str(path.relative_to(self.root)): path.read_text() if path.is_file() else "/" for path in found}


def kill(owner: object, name: str, *, at: int = 1, after: bool = False) -> Callable[[], None]:
    """End this process at the so-manieth call of a function, before it or after it."""

    def arm() -> None:
        real = cast("Callable[..., object]", getattr(owner, name))
        calls: list[None] = []

        def deadly(*arguments: object, **named: object) -> object:
            calls.append(None)
            if len(calls) == at and not after:
                os.kill(os.getpid(), signal.SIGKILL)
            result = real(*arguments, **named)
            if len(calls) == at:
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        setattr(owner, name, deadly)

    return arm


def kill_at_git(command: str, *, after: bool = False) -> Callable[[], None]:
    """End this process at the first git command of that name."""

    def arm() -> None:
        real = Git.run

        def deadly(self: Git, *arguments: str, **named: object) -> bytes:
            if command in arguments and not after:
                os.kill(os.getpid(), signal.SIGKILL)
            result = real(self, *arguments, **named)  # type: ignore[arg-type]
            if command in arguments:
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        Git.run = deadly  # type: ignore[method-assign]

    return arm


PLACES: dict[str, dict[str, Callable[[], None]]] = {
    "prepare": {
        "the record is written": kill(isolating, "_make"),
        "the worktree is registered": kill_at_git("worktree", after=True),
        "half a copy": kill(copies, "copy_file", at=2, after=True),
        "all but its state": kill(copies, "bring", after=True),
    },
    "run": {
        "before its first look": kill(snapshots, "take"),
        "the agent has worked": kill(snapshots, "retake"),
        "objects are written": kill_at_git("pack-objects", after=True),
        "committed and not on the branch": kill_at_git("update-ref"),
        "on the branch": kill_at_git("update-ref", after=True),
        "finished and not told": kill(isolating, "finish", after=True),
    },
    "apply": {
        "planned": kill(applying, "write"),
        "contents are staged": kill(applying, "_stage", after=True),
        "half is written": kill(applying, "_replace", at=3, after=True),
        "all is written": kill(applying, "_replace", at=5, after=True),
    },
    "discard": {
        "the worktree is gone": kill_at_git("worktree", after=True),
        "the tree is gone": kill(shutil, "rmtree", after=True),
        "all but the record": kill(shutil, "rmtree", at=3, after=False),
    },
}
STEPS = tuple(PLACES)


def in_a_process(work: Callable[[], None]) -> int:
    """Do it in a fork; the status with which that ended."""
    child = os.fork()
    if child == 0:
        try:
            work()
        finally:
            os._exit(7)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def tried(work: Callable[[], object]) -> str:
    """``done``, or the code of the error."""
    try:
        work()
    except DriverError as error:
        return error.code
    return "done"


def play(folder: Path, kind: Literal["worktree", "copy"], step: str, place: str) -> dict[str, object]:
    """One killing, and what came of it."""
    scene = Scene.make(folder, kind)
    for earlier in STEPS[: STEPS.index(step)]:
        if earlier != "apply":
            getattr(scene, earlier)()
    begun = scene.files()

    def die() -> None:
        PLACES[step][place]()
        getattr(scene, step)()

    status = in_a_process(die)
    if status != -signal.SIGKILL:
        return {"step": step, "place": place, "killed": False}
    settings = Settings.from_environment({"HOME": str(folder), "OPENCODE_DRIVER_STATE_DIR": str(scene.bench.ledger.state_dir)})
    listed = cast("list[dict[str, object]]", works._listed(scene.bench)["works"])
    told: dict[str, object] = {"step": step, "place": place, "killed": True, "files": scene.files() == begun}
    told |= {"listed": [(item["state"], item["busy"], "unseen" in item) for item in listed]}
    if listed:
        work_id = str(listed[0]["work_id"])
        tree = Path(scene.work().tree)
        held = {str(path.relative_to(tree)) for path in tree.rglob("*") if path.is_file() and ".git" not in path.relative_to(tree).parts}
        told["discard"] = tried(lambda: works._discard(scene.bench, work_id, settings, force=False))
        told["agents_files"] = "new" in held
        if told["discard"] != "done":
            told["still_there"] = {"new"} & held <= {path.name for path in tree.rglob("*")}
            told["apply"] = tried(lambda: works._applied(scene.bench, work_id, settings, keep=True))
            now = scene.files()
            told["applied"] = now.get("new") == "by the agent\n" and "gone" not in now and now["mine"] == "the user's own\n"
            told["whole"] = told["applied"] or now == begun
            told["force"] = tried(lambda: works._discard(scene.bench, work_id, settings, force=True))
    left = [str(path) for path in scene.bench.ledger.state_dir.glob("work/*")] + [name for name in scene.files() if "netclaw" in name]
    if kind == "worktree":
        left += git(scene.root, "branch", "--list", "netclaw/*").splitlines()
        left += git(scene.root, "worktree", "list").splitlines()[1:]
        left += git(scene.root, "fsck", "--strict", "--no-dangling").splitlines()
    told["left"], told["user"] = left, scene.files()["mine"] == "the user's own\n"
    return told


if __name__ == "__main__":
    base, wanted = Path(sys.argv[1]), cast("Literal['worktree', 'copy']", sys.argv[2])
    number = 0
    for step in STEPS:
        for place in PLACES[step]:
            number += 1
            (base / str(number)).mkdir(parents=True)
            sys.stdout.write(json.dumps(play(base / str(number), wanted, step, place)) + "\n")
            sys.stdout.flush()
