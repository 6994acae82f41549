"""The first look at a folder with many files: the same tree as git's own, in a pack and an index that git accepts to the byte."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from netclaw_opencode.work import changes, packing, snapshots
from netclaw_opencode.work.git import GitError
from tests.unit.test_snapshots import Folder, folder, git, seen

__all__ = ["folder"]


def fill(root: Path) -> None:
    """Files of every kind."""
    (root / "deep" / "er").mkdir(parents=True)
    for number, size in enumerate((0, 1, 15, 16, 2047, 2048, 65535, 65536, 300_000)):
        (root / f"size{number}.bin").write_bytes(os.urandom(1) * size if number % 2 else os.urandom(size))
    for number in range(30):
        (root / "deep" / "er" / f"{number}.txt").write_text(f"{number % 7}\n")
    (root / "run.sh").write_text("#!/bin/sh\n")
    (root / "run.sh").chmod(0o711)
    (root / "link").symlink_to("run.sh")
    (root / "dangling").symlink_to("nowhere/at all")
    (root / "to a folder").symlink_to("deep", target_is_directory=True)
    Path(os.fsdecode(os.fsencode(root) + b"/n\xe4me\nwith\xff")).write_text("odd\n")
    (root / "deep.txt").write_text("sorts between the folder's own files\n")
    (root / "old").write_text("old\n")
    os.utime(root / "old", ns=(0, -1_500_000_000))


@pytest.fixture(autouse=True)
def many(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every first look is one at many files."""
    monkeypatch.setattr(snapshots, "_MANY", 0)


def test_what_is_packed_is_what_git_would_have_written(folder: Folder, tmp_path: Path) -> None:
    """Tree, modes and names are those of ``git add``; git finds nothing wrong with pack and index, and takes the index as up to date."""
    fill(folder.folder)
    taken = snapshots.take(folder.folder, folder.home, folder.git)
    store = taken.store
    assert list((store.folder / "objects" / "pack").glob("*.pack")), "it was this way that it was done"
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    git(theirs, "init", "-q")
    git(theirs, f"--work-tree={folder.folder}", "add", "-A")
    assert taken.tree == git(theirs, "write-tree").strip()
    assert store.run("ls-files", "-s") == git(theirs, "ls-files", "-s").encode()
    store.run("fsck", "--full", "--strict", "--no-dangling", taken.tree)
    packs = [str(path) for path in (store.folder / "objects" / "pack").glob("*.idx")]
    store.run("verify-pack", *packs)
    store.run("update-index", "--refresh")
    again = snapshots.retake(taken, folder.home, folder.git)
    assert again.tree == taken.tree and changes.compare(taken, again).files == ()


def test_every_later_change_is_seen(folder: Folder) -> None:
    """Content, mode, kind, removal, and a change of the same size with the time put back."""
    fill(folder.folder)
    root = folder.folder

    def change() -> None:
        (root / "size1.bin").write_bytes(b"?")
        status = (root / "old").stat()
        (root / "old").write_text("OLD\n")
        os.utime(root / "old", ns=(status.st_atime_ns, status.st_mtime_ns))
        (root / "run.sh").chmod(0o644)
        (root / "link").unlink()
        (root / "link").write_text("no link\n")
        (root / "deep" / "er" / "3.txt").unlink()

    found, patch = folder.changed_by(change)
    assert seen(found) == {
        "size1.bin": "modified",
        "old": "modified",
        "run.sh": "modified",
        "link": "modified",
        "deep/er/3.txt": "deleted",
    }
    assert b"-old\n+OLD\n" in patch.path.read_bytes()


@pytest.mark.parametrize(
    "name", [".gitattributes", "sub/.gitattributes", "sub/.GIT/x", "git~1", "back\\slash", "user/.gitconfig of autocrlf"]
)
def test_what_git_would_keep_in_another_form_is_left_to_git(folder: Folder, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Attributes, line ends by a setting, names that git does not take: then nothing is packed here."""
    monkeypatch.setattr(packing, "add_files", lambda *_arguments: pytest.fail("it was packed"))
    (folder.folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder.folder / name).write_text("x\r\n")
    if "autocrlf" in name:
        folder.home.state_dir.mkdir(mode=0o700)
        (folder.home.state_dir / ".gitconfig").write_text("[core]\n\tautocrlf = input\n")
    snapshots.take(folder.folder, folder.home, folder.git)


def test_a_file_that_goes_while_it_is_read_and_one_that_becomes_a_pipe(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first is not there, the second is told as unread; neither holds anything up."""
    root = folder.folder
    for name in ("goes", "pipe", "stays"):
        (root / name).write_text(name)
    real = packing.can_pack

    def meanwhile(*arguments: object) -> bool:
        (root / "goes").unlink()
        (root / "pipe").unlink()
        os.mkfifo(root / "pipe")
        return real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(packing, "can_pack", meanwhile)
    began = time.monotonic()
    taken = snapshots.take(root, folder.home, folder.git)
    assert taken.unread == (b"pipe",) and taken.store.run("ls-files") == b"stays\n"
    assert time.monotonic() - began < 60


def test_a_failure_in_the_middle_leaves_no_half_pack(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk is full: the error is git's own kind or the system's, and no file of the try is left in the store."""
    fill(folder.folder)
    monkeypatch.setattr(packing, "_object_head", lambda _size: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises((OSError, GitError), match="No space"):
        snapshots.take(folder.folder, folder.home, folder.git)
    assert [path for path in folder.home.state_dir.rglob("*pack*") if path.is_file()] == []
    monkeypatch.undo()
    assert snapshots.take(folder.folder, folder.home, folder.git).unread == ()
