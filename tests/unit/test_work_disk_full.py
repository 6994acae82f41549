"""The disk is full, for real, at each step of isolated work: a clear error, the user's folder as it was, and the next call can do it.

On a file system of a few mebibytes if this user may mount one, else under a limit on the size of files.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from netclaw_opencode.errors import ActionFailed
from netclaw_opencode.work import copies, isolating, snapshots
from netclaw_opencode.work.git import Git, GitError
from netclaw_opencode.work.ledger import Ledger, Work
from netclaw_opencode.work.stores import Home
from tests.support.small_disk import SmallDisk, small_disk
from tests.unit.test_isolating import Place, write
from tests.unit.test_snapshots import git, state_of

LARGE = 1024 * 1024


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    """A small disk."""
    with small_disk(tmp_path / "disk") as made:
        yield made


def place_of(root: Path, state: Path) -> Place:
    """A repository with a commit whose files take more than a mebibyte."""
    root.mkdir()
    write(root, a__txt="".join(f"{number}\n" for number in range(20)), gone__txt="gone\n")
    (root / "large.bin").write_bytes(os.urandom(LARGE))
    git(root, "init", "-q")
    git(root, "add", "-A")
    git(root, "commit", "-qm", "first")
    return Place(root, state)


def work_done(place: Place, isolation: str) -> Work:
    """Work that is finished, with a large file that is new and one that is not."""
    work = place.prepare(isolation)
    before = place.begin(work)
    write(work.path, a__txt="changed\n", small__txt="new\n")
    (work.path / "more.bin").write_bytes(os.urandom(LARGE))
    (work.path / "gone.txt").unlink()
    return place.finish(work, before)


@pytest.mark.parametrize("isolation", ["worktree", "copy"])
def test_while_a_tree_is_made(disk: SmallDisk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, isolation: str) -> None:
    """What was made is removed again, record and branch included; with room it works."""
    place = place_of(tmp_path / "project", disk.folder / "state")
    (disk.folder / "state").mkdir(mode=0o700)
    # The look at the room would refuse it before anything is written: it is full only by then.
    monkeypatch.setattr(copies, "_require_room", lambda *_arguments: None)
    with disk.full(room=256 * 1024), pytest.raises((ActionFailed, GitError)) as caught:
        place.prepare(isolation)
    assert str(place.root) in str(caught.value) or "git checkout-index" in str(caught.value)
    assert place.bench.ledger.works() == ([], []) and list((disk.folder / "state").glob("work/*")) == []
    assert git(place.root, "branch").strip() == "* main" and git(place.root, "worktree", "list").count("\n") == 1
    assert place.prepare(isolation).path.is_dir()


@pytest.mark.parametrize("many", [0, 200])
def test_while_a_snapshot_is_written(disk: SmallDisk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, many: int) -> None:
    """By our own pack or by git: an error that says so, and a store that the next snapshot can use."""
    monkeypatch.setattr(snapshots, "_MANY", many)
    root = tmp_path / "plain"
    root.mkdir()
    (root / "large.bin").write_bytes(os.urandom(LARGE))
    state, found = disk.folder / "state", Git.find()
    assert found is not None
    home = Home(state)
    state.mkdir(mode=0o700)
    with disk.full(room=64 * 1024), pytest.raises((GitError, OSError)):
        snapshots.take(root, home, found)
    assert [path for path in state.rglob("tmp_pack*") if path.stat().st_size > 64 * 1024] == []
    taken = snapshots.take(root, home, found)
    assert taken.store.run("cat-file", "-s", f"{taken.tree}:large.bin").strip() == str(LARGE).encode()


def test_while_the_result_is_committed(disk: SmallDisk, tmp_path: Path) -> None:
    """The user's repository has no room for it: the branch stays where it was, the files stay, and they can still be applied later."""
    place = place_of(disk.folder / "project", tmp_path / "state")
    work = place.prepare()
    before = place.begin(work)
    (work.path / "more.bin").write_bytes(os.urandom(LARGE))
    after = snapshots.retake(before, place.bench.home_of(work), place.bench.git)
    with disk.full(room=64 * 1024), pytest.raises(GitError):
        isolating.finish(place.bench, work, before, after, message="no room")
    assert git(place.root, "rev-parse", work.branch) == git(place.root, "rev-parse", "HEAD")
    assert (work.path / "more.bin").stat().st_size == LARGE
    git(place.root, "fsck", "--strict")
    done = isolating.finish(place.bench, work, before, after, message="room again")
    assert git(place.root, "cat-file", "-s", f"{done.commit}:more.bin").strip() == str(LARGE)


@pytest.mark.parametrize("isolation", ["worktree", "copy"])
def test_while_it_is_applied(disk: SmallDisk, tmp_path: Path, isolation: str) -> None:
    """Some files are written before the disk is full: every one is put back, and the work is kept."""
    place = place_of(disk.folder / "project", tmp_path / "state")
    work = place.bench.ledger.change(work_done(place, isolation), state="finished")
    before, files = place.files(), state_of(place.root)
    with disk.full(room=256 * 1024), pytest.raises(ActionFailed) as caught:
        isolating.apply(place.bench, work)
    assert caught.value.code == "work_failed" and "all is as it was" in caught.value.message
    assert place.files() == before and {name for name in state_of(place.root) if ".git/" not in name} == {
        name for name in files if ".git/" not in name
    }
    kept = place.bench.ledger.read(work.id)
    assert kept.state == "finished"
    _, applied = isolating.apply(place.bench, kept)
    assert sorted(applied.files) == ["a.txt", "gone.txt", "more.bin", "small.txt"]


def test_while_its_record_is_written(disk: SmallDisk, tmp_path: Path) -> None:
    """The state folder's disk is full to the last byte: nothing is begun, and what was written down before is still whole."""
    ledger = Ledger(disk.folder / "state")
    ledger.state_dir.mkdir(mode=0o700)
    old = ledger.begin(isolation="copy", source=tmp_path, root=tmp_path)
    with disk.full(), pytest.raises((OSError, ActionFailed)):
        ledger.change(old, state="finished", base_tree="0" * 4000)
    assert ledger.read(old.id) == old and ledger.works() == ([old], [])
