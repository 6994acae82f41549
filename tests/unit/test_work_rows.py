"""Rows of docs/work.md that need a repository or a file system of a special kind; without any server."""

from __future__ import annotations

import lzma
import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from netclaw_opencode.errors import ActionFailed, DriverError
from netclaw_opencode.work import applying, changes, copies, isolating, snapshots
from netclaw_opencode.work.git import Git, GitError
from netclaw_opencode.work.ledger import Work
from netclaw_opencode.work.snapshots import TooLargeError
from tests.unit.test_isolating import Place, place, plain, write
from tests.unit.test_snapshots import git, seen, state_of

__all__ = ["place", "plain"]

BTRFS = Path(__file__).parents[1] / "support" / "btrfs.img.xz"
"""An empty file system of 16 MiB (``mkfs.btrfs --mixed -m single``)."""
POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:{}\nsize 12\n"


def applied(place: Place, work: Work, before: snapshots.Snapshot) -> isolating.Applied:
    """Finish the work and bring it in."""
    return isolating.apply(place.bench, place.finish(work, before))[1]


# --- names that differ by case alone ---------------------------------------------------------------------------------------


def test_a_file_hidden_by_another_of_its_name_stays_in_the_commit(place: Place) -> None:
    """As on a file system that knows no case: the tree shows one of the two, and the agent removed neither.

    Emulated: the setting that git writes there, and a file that is not there; both ways were seen alike on NTFS without case.
    """
    write(place.root, readme="lower\n", README="upper\n")
    git(place.root, "add", "-A")
    git(place.root, "commit", "-qm", "both")
    git(place.root, "config", "core.ignorecase", "true")
    work = place.prepare()
    (work.path / "README").unlink()
    before = place.begin(work)
    write(work.path, a__txt="agent\n")
    work = place.finish(work, before)
    assert git(place.root, "show", f"{work.branch}:README") == "upper\n", "it was not the agent that removed it"
    assert git(place.root, "diff", "--name-only", "HEAD", work.branch).split() == ["a.txt"]
    assert isolating.apply(place.bench, work)[1].files == ("a.txt",)
    assert (place.root / "README").read_text() == "upper\n"


def test_a_file_that_the_agent_removed_is_no_hidden_one(place: Place) -> None:
    """Both were there when it began: one that is gone at the end was removed."""
    write(place.root, readme="lower\n", README="upper\n")
    git(place.root, "add", "-A")
    git(place.root, "commit", "-qm", "both")
    git(place.root, "config", "core.ignorecase", "true")
    work = place.prepare()
    before = place.begin(work)
    (work.path / "README").unlink()
    work = place.finish(work, before)
    assert git(place.root, "diff", "--name-status", "HEAD", work.branch).split() == ["D", "README"]


def test_two_files_that_are_one_where_they_come_to_are_a_conflict(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """The agent's file system knows case and the user's does not: nothing is written, and the error says what they are there.

    Emulated: the second name leads to the file that was written under the first.
    """
    work = place.prepare()
    before = place.begin(work)
    write(work.path, guide="one\n", Guide="two\n")
    work = place.finish(work, before)
    files, real = place.files(), applying._replace

    def without_case(root: Path, path: bytes, *arguments: object, **named: object) -> None:
        real(root, path, *arguments, **named)  # type: ignore[arg-type]
        if path == b"Guide":
            os.link(root / "Guide", root / "guide")
            named["done"].append((root / "guide", None))  # type: ignore[attr-defined]

    monkeypatch.setattr(applying, "_replace", without_case)
    with pytest.raises(ActionFailed) as caught:
        isolating.apply(place.bench, work)
    assert caught.value.code == "work_conflict" and "Guide and guide are one file" in caught.value.message
    assert place.files() == files


# --- copies by reference ------------------------------------------------------------------------------------------------------


def test_a_copy_shares_blocks_where_it_can_and_is_made_whole_where_it_cannot(
    plain: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The system is asked to share each file; one that it refuses is copied byte by byte, with its times and mode."""
    (plain.root / "large").write_bytes(os.urandom(3 << 20))
    os.utime(plain.root / "large", ns=(1, 1_000_000_000))
    asked: list[int] = []

    def clone(source: int, target: int) -> bool:
        """Share, but not the third file."""
        asked.append(source)
        if len(asked) == 4:
            return False
        os.sendfile(target, source, 0, os.fstat(source).st_size)
        return True

    monkeypatch.setattr(copies, "_clone", clone)
    monkeypatch.setattr(copies, "_require_room", lambda *_arguments: pytest.fail("what is shared needs no room"))
    target = tmp_path / "copy"
    assert copies.copy_folder(plain.root, target) is True
    assert len(asked) == 1 + len(plain.files()), "the file system is tried once, then each file"
    assert {path.name: path.read_bytes() for path in target.iterdir()} == plain.files()
    assert (target / "large").stat().st_mtime_ns == 1_000_000_000
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy", "project"], "no probe is left"


def test_blocks_are_really_shared(tmp_path: Path) -> None:
    """On Btrfs, if this user may mount a file of it: a copy takes no room; else, whatever this file system does is right or refused."""
    image, folder = tmp_path / "btrfs.img", tmp_path / "disk"
    image.write_bytes(lzma.decompress(BTRFS.read_bytes()))
    folder.mkdir()
    mounted = subprocess.run(["mount", "-o", "loop", str(image), str(folder)], capture_output=True, check=False).returncode == 0  # noqa: S607
    try:
        source = folder / "source"
        source.mkdir()
        (source / "large").write_bytes(os.urandom(2 << 20))
        os.sync()
        free = shutil.disk_usage(folder).free
        with (source / "large").open("rb") as old, (folder / "clone").open("xb") as new:
            shared = copies._clone(old.fileno(), new.fileno())
        assert (folder / "clone").read_bytes() == ((source / "large").read_bytes() if shared else b"")
        if mounted:
            assert copies.copy_folder(source, folder / "copy") is True
            assert (folder / "copy" / "large").read_bytes() == (source / "large").read_bytes()
            os.sync()
            assert shared and free - shutil.disk_usage(folder).free < 1 << 20
    finally:
        if mounted:
            subprocess.run(["umount", str(folder)], check=True)  # noqa: S607


# --- submodules and LFS -------------------------------------------------------------------------------------------------------


@pytest.fixture
def with_submodule(place: Place, tmp_path: Path) -> Place:
    """A repository with a submodule."""
    other = tmp_path / "other"
    other.mkdir()
    git(other, "init", "-q")
    write(other, s__txt="s\n")
    git(other, "add", "-A")
    git(other, "commit", "-qm", "sub")
    git(place.root, "submodule", "--quiet", "add", str(other), "sub")
    git(place.root, "commit", "-qm", "with a submodule")
    return place


def test_a_worktree_has_no_submodules_and_leaves_them_alone(with_submodule: Place) -> None:
    """Its folder is there and empty; commit and apply do not touch the user's."""
    work = with_submodule.prepare()
    assert list((work.path / "sub").iterdir()) == []
    before = with_submodule.begin(work)
    write(work.path, a__txt="agent\n")
    work = with_submodule.finish(work, before)
    assert git(with_submodule.root, "diff", "--name-only", "HEAD", work.branch).split() == ["a.txt"]
    assert isolating.apply(with_submodule.bench, work)[1].files == ("a.txt",)
    assert (with_submodule.root / "sub" / "s.txt").read_text() == "s\n"
    assert git(with_submodule.root, "status", "--short").split() == ["M", "a.txt"]


def test_a_copy_has_the_files_of_submodules(with_submodule: Place) -> None:
    """They can be read and changed there, and the changes come back into the user's submodule; its repository is not touched."""
    root = with_submodule.root
    work = with_submodule.prepare("copy")
    assert (work.path / "sub" / "s.txt").read_text() == "s\n" and not (work.path / "sub" / ".git").exists()
    before = with_submodule.begin(work)
    write(work.path, a__txt="agent\n")
    write(work.path / "sub", s__txt="agent\n", n__txt="new\n")
    work = with_submodule.finish(work, before)
    assert isolating.unseen(with_submodule.bench, work) is None
    inner = state_of(root / ".git" / "modules")
    assert isolating.apply(with_submodule.bench, work)[1].files == ("a.txt", "sub/n.txt", "sub/s.txt")
    assert git(root / "sub", "status", "--short").split() == ["M", "s.txt", "??", "n.txt"]
    assert {name: found[1] for name, found in state_of(root / ".git" / "modules").items()}.keys() == inner.keys()


def test_a_conflict_in_a_submodule_is_one(with_submodule: Place) -> None:
    """The user changed the same file of it meanwhile: nothing is written. Files in an empty submodule of a worktree are not lost either."""
    copied, tree = with_submodule.prepare("copy"), with_submodule.prepare()
    begun, before = with_submodule.begin(copied), with_submodule.begin(tree)
    write(copied.path / "sub", s__txt="agent\n")
    write(tree.path / "sub", other__txt="agent\n")
    write(with_submodule.root / "sub", s__txt="user\n")
    files = with_submodule.files()
    for work, look, path in ((copied, begun, "sub/s.txt"), (tree, before, "sub")):
        done = with_submodule.finish(work, look)
        with pytest.raises(ActionFailed) as caught:
            isolating.apply(with_submodule.bench, done)
        assert (caught.value.code, caught.value.details["conflicts"][0]["path"]) == ("work_conflict", path)  # type: ignore[index]
    assert with_submodule.files() == files


@pytest.mark.parametrize("isolation", ["worktree", "copy"])
def test_lfs_pointers_and_real_files_are_not_mixed_up(place: Place, tmp_path: Path, isolation: str) -> None:
    """No filter is run: a worktree has the pointer, a copy the real file; a change elsewhere leaves the user's real file as it is."""
    marker = tmp_path / "ran"
    write(place.root, __gitattributes="*.psd filter=lfs diff=lfs merge=lfs -text\n", image__psd=POINTER.format("a" * 64))
    git(place.root, "add", "-A")
    git(place.root, "commit", "-qm", "a pointer")
    for name in ("smudge", "clean", "process"):
        git(place.root, "config", f"filter.lfs.{name}", f"touch {marker}; cat")
    git(place.root, "config", "filter.lfs.required", "true")
    write(place.root, image__psd="real content")
    work = place.prepare(isolation)
    assert (work.path / "image.psd").read_text() == (POINTER.format("a" * 64) if isolation == "worktree" else "real content")
    before = place.begin(work)
    write(work.path, a__txt="agent\n")
    assert applied(place, work, before).files == ("a.txt",)
    assert (place.root / "image.psd").read_text() == "real content"
    # What the agent makes of it is brought in as it stands, unless the user's own file is another than the agent began with.
    again = place.prepare(isolation)
    begun = place.begin(again)
    write(again.path, image__psd="by the agent")
    if isolation == "worktree":
        with pytest.raises(ActionFailed, match=r"image\.psd"):
            applied(place, again, begun)
        assert (place.root / "image.psd").read_text() == "real content"
    else:
        assert applied(place, again, begun).files == ("image.psd",)
    assert not marker.exists()


# --- broken git ---------------------------------------------------------------------------------------------------------------


def test_an_index_that_cannot_be_read_is_not_needed(place: Place) -> None:
    """It only saves time: changes are found, and the broken file is left to its owner."""
    (place.root / ".git" / "index").write_bytes(b"DIRC broken")
    work = place.prepare()
    assert (work.path / "a.txt").exists()
    before = snapshots.take(place.root, place.bench.home, place.bench.git)
    write(place.root, a__txt="changed\n")
    after = snapshots.retake(before, place.bench.home, place.bench.git)
    assert seen(changes.compare(before, after)) == {"a.txt": "modified"}
    assert (place.root / ".git" / "index").read_bytes() == b"DIRC broken"


def test_objects_that_are_missing_are_named_and_nothing_is_made(place: Place) -> None:
    """A repository that lost its contents has no worktree: git's own words say what is missing. A copy of its files can be made."""
    for pack in (place.root / ".git" / "objects").glob("??"):
        shutil.rmtree(pack)
    with pytest.raises((DriverError, GitError), match=r"no commit|failed"):
        place.prepare()
    assert place.bench.ledger.works() == ([], [])
    work = place.prepare("copy")
    before = place.begin(work)
    write(work.path, a__txt="agent\n")
    assert applied(place, work, before).files == ("a.txt",)
    assert (place.root / "a.txt").read_text() == "agent\n"


@pytest.mark.parametrize("content", ["gitdir: /nowhere/at/all\n", "", "no repository", "gitdir: .git\n"])
def test_a_git_file_that_leads_nowhere_is_no_repository(plain: Place, content: str) -> None:
    """The folder is one without git: its changes are seen, a copy can be made, and a worktree is refused."""
    write(plain.root, __git=content)
    with pytest.raises(DriverError, match="no git repository"):
        plain.prepare()
    work = plain.prepare("copy")
    before = plain.begin(work)
    write(work.path, a__txt="agent\n")
    assert applied(plain, work, before).files == ("a.txt",)


def test_a_git_that_hangs_is_ended(place: Place, tmp_path: Path) -> None:
    """The time that there is for it is over: an error that says so, and nothing is left of the work."""
    program = tmp_path / "bin" / "git"
    program.parent.mkdir()
    program.write_text('#!/bin/sh\ncase "$*" in *checkout-index*|*ls-files*) exec sleep 2239;; esac\nexec git "$@"\n')
    program.chmod(0o755)
    ends = time.monotonic() + 2
    slow = Place(place.root, tmp_path / "state")
    slow.bench = isolating.Bench(slow.bench.ledger, Git(str(program), ends, os.environ["PATH"]), slow.bench.home)
    with pytest.raises(GitError) as caught:
        slow.prepare()
    assert caught.value.timed_out and "was ended" in str(caught.value)
    assert slow.bench.ledger.works() == ([], []) and git(place.root, "branch").strip() == "* main"
    with pytest.raises(GitError) as caught:
        snapshots.take(place.root, slow.bench.home, slow.bench.git)
    assert caught.value.timed_out
    assert subprocess.run(["pgrep", "-f", "sleep 2239"], capture_output=True, check=False).stdout == b""  # noqa: S607


# --- large folders ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("in_git", [True, False])
def test_a_gigabyte_that_git_does_not_know_is_not_read(place: Place, tmp_path: Path, in_git: bool) -> None:
    """Refused by a listing, in a moment; with a few files of that size among others, those are told by their times."""
    root = place.root if in_git else tmp_path / "plain"
    (root / "data").mkdir(parents=True)
    for number in range(64):
        with (root / "data" / f"{number}.bin").open("wb") as file:
            file.truncate(16 << 20)
    read = time.process_time()
    with pytest.raises(TooLargeError, match="512 MiB"):
        snapshots.take(root, place.bench.home, place.bench.git)
    assert time.process_time() - read < 2
    shutil.rmtree(root / "data")
    with (root / "disk.img").open("wb") as file:
        file.truncate(1 << 30)
    before = snapshots.take(root, place.bench.home, place.bench.git)
    with (root / "disk.img").open("r+b") as file:
        file.write(b"x")
    after = snapshots.retake(before, place.bench.home, place.bench.git)
    found = changes.compare(before, after)
    assert seen(found) == {"disk.img": "modified"} and found.files[0].kept is False


def test_a_first_look_ends_when_its_time_is_over(plain: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Many files that are read by ourselves: the time given to git holds for that, too."""
    monkeypatch.setattr(snapshots, "_MANY", 0)
    real = Git.run

    def late(self: Git, *arguments: str, **named: object) -> bytes:
        return real(Git(self.program, path=self.path), *arguments, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(Git, "run", late)
    with pytest.raises(GitError) as caught:
        snapshots.take(plain.root, plain.bench.home, Git(plain.bench.git.program, time.monotonic() - 1, plain.bench.git.path))
    assert caught.value.timed_out and "could not be read in the time" in str(caught.value)
    assert list(plain.bench.home.state_dir.rglob("tmp_pack*")) == []
