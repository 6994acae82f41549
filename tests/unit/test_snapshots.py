"""Snapshots of folders: every change is seen, the patch applies, and nothing of the user's repository is touched."""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from netclaw_opencode.work import changes, snapshots
from netclaw_opencode.work.changes import Changes, Patch
from netclaw_opencode.work.git import Git
from netclaw_opencode.work.stores import Home


def git(folder: Path, *arguments: str) -> str:
    """Run the user's git, with a name and nothing else of this machine's configuration."""
    environ = {"PATH": os.environ["PATH"], "HOME": str(folder), "GIT_CONFIG_NOSYSTEM": "1"}
    named = ("-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "protocol.file.allow=always", "-c", "init.defaultBranch=main")
    done = subprocess.run(["git", *named, *arguments], cwd=folder, env=environ, capture_output=True, text=True, check=False)  # noqa: S607 - git of PATH
    assert done.returncode == 0, done.stderr
    return done.stdout


def state_of(folder: Path) -> dict[str, tuple[int, str]]:
    """Every file below a folder, with its time of change and its digest."""
    found: dict[str, tuple[int, str]] = {}
    for path in sorted(folder.rglob("*")):
        content = b"" if path.is_dir() else path.read_bytes() if not path.is_symlink() else os.fsencode(path.readlink())
        found[str(path.relative_to(folder))] = (path.lstat().st_mtime_ns, hashlib.sha256(content).hexdigest())
    return found


class Folder:
    """A folder that is watched, and what a change of it looks like."""

    def __init__(self, folder: Path, state: Path) -> None:
        found = Git.find()
        assert found is not None
        self.folder = folder
        self.git = found
        self.home = Home(state, home=state)

    def changed_by(self, change: Callable[[], object], *, within: str = "") -> tuple[Changes, Patch]:
        """What a change does, seen from the folder or from one within it; its patch turns the old folder into the new one."""
        before = snapshots.take(self.folder / within, self.home, self.git)
        change()
        after = snapshots.retake(before, self.home, self.git)
        return changes.write_patch(changes.compare(before, after), self.home.state_dir / f"{secrets.token_hex(8)}.patch")


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """An empty folder."""
    (tmp_path / "work").mkdir()
    return Folder(tmp_path / "work", tmp_path / "state")


@pytest.fixture
def repository(folder: Folder) -> Folder:
    """A repository with a commit."""
    git(folder.folder, "init", "-q")
    (folder.folder / "a.txt").write_text("one\ntwo\n")
    (folder.folder / "inner").mkdir()
    (folder.folder / "inner" / "b.txt").write_text("b\n" * 40)
    (folder.folder / ".gitignore").write_text("ignored/\n*.log\n")
    git(folder.folder, "add", "-A")
    git(folder.folder, "commit", "-qm", "first")
    return folder


def seen(found: Changes) -> dict[str, str]:
    """Path and status of each change."""
    return {changes.shown(item.path): item.status for item in found.files}


def test_every_kind_of_change_is_seen_and_the_patch_makes_it(repository: Folder, tmp_path: Path) -> None:
    """Added, modified, deleted, renamed, mode, binary, link, a link in place of a file, odd names: seen, and applied by ``git apply``."""
    root = repository.folder
    (root / "mode.sh").write_text("#!/bin/sh\n")
    (root / "turned").write_text("a file\n")
    odd = os.fsencode(root) + b'/odd \n\xff"name'
    copy = tmp_path / "copy"

    def change() -> None:
        shutil.copytree(root, copy, symlinks=True)
        (root / "a.txt").write_text("one\nTWO\n")
        (root / "inner" / "b.txt").rename(root / "moved.txt")
        (root / "mode.sh").chmod(0o755)
        (root / "data.bin").write_bytes(bytes(range(256)) * 4)
        (root / "link").symlink_to("a.txt")
        (root / "turned").unlink()
        (root / "turned").symlink_to("moved.txt")
        with open(odd, "wb") as file:  # noqa: PTH123 - a name that is no text
            file.write(b"odd\n")
        (root / "ignored").mkdir()
        (root / "ignored" / "x").write_text("x")

    found, patch = repository.changed_by(change)
    by_path = {changes.shown(item.path): item for item in found.files}
    assert seen(found) == {
        "a.txt": "modified",
        "data.bin": "added",
        "inner/b.txt": "deleted",
        "link": "added",
        "mode.sh": "modified",
        "moved.txt": "added",
        'odd \n\\xff"name': "added",
        "turned": "modified",
    }
    assert (by_path["inner/b.txt"].renamed_to, by_path["moved.txt"].renamed_from) == (b"moved.txt", b"inner/b.txt")
    assert (by_path["mode.sh"].old_mode, by_path["mode.sh"].new_mode) == ("100644", "100755")
    assert (by_path["data.bin"].binary, by_path["data.bin"].diff, by_path["link"].new_mode) == (True, "", "120000")
    assert "-two\n+TWO\n" in by_path["a.txt"].diff and (by_path["a.txt"].additions, by_path["a.txt"].deletions) == (1, 1)
    assert found.after.ignored == 1 and found.before.ignored == 0
    git(copy, "apply", str(patch.path))
    for name in ("a.txt", "moved.txt", "data.bin", "mode.sh"):
        assert (copy / name).read_bytes() == (root / name).read_bytes()
    assert os.access(copy / "mode.sh", os.X_OK) and (copy / "turned").is_symlink() and not (copy / "inner" / "b.txt").exists()
    assert hashlib.sha256(patch.path.read_bytes()).hexdigest() == patch.sha256 and patch.path.stat().st_mode & 0o777 == 0o600


def test_the_users_repository_is_not_touched(repository: Folder) -> None:
    """Index, refs, stash, configuration, hooks, objects: .git is the same to the byte and to its times; no hook, no filter runs."""
    root = repository.folder
    marker = root.parent / "ran"
    (root / ".gitattributes").write_text("*.txt filter=evil diff=evil\n")
    for name, value in {
        "filter.evil.clean": f"touch {marker}; cat",
        "filter.evil.smudge": f"touch {marker}; cat",
        "filter.evil.required": "true",
        "diff.evil.textconv": f"touch {marker}; cat",
        "diff.evil.command": f"touch {marker}",
        "diff.external": f"touch {marker}",
        "core.fsmonitor": f"touch {marker}",
        "core.hooksPath": str(root / "hooks"),
    }.items():
        git(root, "config", name, value)
    (root / "hooks").mkdir()
    for hook in ("post-index-change", "reference-transaction", "post-checkout"):
        (root / "hooks" / hook).write_text(f"#!/bin/sh\ntouch {marker}\n")
        (root / "hooks" / hook).chmod(0o755)
    before = state_of(root / ".git")
    found, _ = repository.changed_by(lambda: (root / "a.txt").write_text("one\nchanged\n"))
    assert seen(found) == {"a.txt": "modified"}
    assert not marker.exists()
    assert state_of(root / ".git") == before


def test_a_folder_within_a_repository_is_seen_with_all_of_it(repository: Folder) -> None:
    """A shell may write anywhere in the repository: the whole of it is looked at, wherever the agent works."""
    found, _ = repository.changed_by(lambda: (repository.folder / "above.txt").write_text("x\n"), within="inner")
    assert seen(found) == {"above.txt": "added"}


def test_what_git_was_told_to_overlook_is_seen(repository: Folder) -> None:
    """assume-unchanged and skip-worktree are for the user's git status, not for what a task changed; absent sparse files are no change."""
    root = repository.folder
    git(root, "update-index", "--assume-unchanged", "a.txt")
    git(root, "update-index", "--skip-worktree", "inner/b.txt")
    (root / "inner" / "b.txt").unlink()
    found, _ = repository.changed_by(lambda: (root / "a.txt").write_text("x\n"))
    assert seen(found) == {"a.txt": "modified"}
    found, _ = repository.changed_by(lambda: (root / "inner" / "b.txt").write_text("new\n"))
    assert seen(found) == {"inner/b.txt": "modified"}


def test_a_change_of_the_same_size_at_the_same_time_is_seen(folder: Folder) -> None:
    """Neither size nor time gives it away: the time of change of the file's entry does."""
    path = folder.folder / "a.txt"
    path.write_text("one\n")

    def change() -> None:
        times = path.stat()
        path.write_text("two\n")
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))

    for _ in range(3):
        path.write_text("one\n")
        assert seen(folder.changed_by(change)[0]) == {"a.txt": "modified"}


def test_a_folder_without_git_and_one_that_becomes_a_repository(folder: Folder) -> None:
    """No git is needed; ``git init`` and a commit by the agent change nothing of what is seen."""
    root = folder.folder
    (root / "a.txt").write_text("a\n")

    def change() -> None:
        git(root, "init", "-q")
        (root / "b.txt").write_text("b\n")
        git(root, "add", "-A")
        git(root, "commit", "-qm", "x")
        (root / "a.txt").unlink()

    assert seen(folder.changed_by(change)[0]) == {"a.txt": "deleted", "b.txt": "added"}
    assert seen(folder.changed_by(lambda: None)[0]) == {}


def test_a_repository_without_a_commit(folder: Folder) -> None:
    """It has no index yet: everything in it counts as there before."""
    git(folder.folder, "init", "-q")
    (folder.folder / "a.txt").write_text("a\n")
    assert seen(folder.changed_by(lambda: (folder.folder / "b.txt").write_text("b\n"))[0]) == {"b.txt": "added"}


def test_repositories_within_are_looked_at_by_themselves(repository: Folder, tmp_path: Path) -> None:
    """A submodule's files and those of a repository that lies in the folder: each change with its path from the top, all in one patch."""
    root, other = repository.folder, tmp_path / "other"
    other.mkdir()
    git(other, "init", "-q")
    (other / "s.txt").write_text("s\n")
    git(other, "add", "-A")
    git(other, "commit", "-qm", "x")
    git(root, "submodule", "add", "-q", str(other), "sub")
    git(root, "commit", "-qm", "sub")
    (root / "plain").mkdir()
    git(root / "plain", "init", "-q")
    (root / "plain" / "p.txt").write_text("p\n")
    before = state_of(root / ".git")
    copy = tmp_path / "copy"

    def change() -> None:
        shutil.copytree(root, copy, symlinks=True)
        (root / "sub" / "s.txt").write_text("changed\n")
        (root / "plain" / "p.txt").unlink()
        (root / "a.txt").write_text("x\n")

    found, patch = repository.changed_by(change)
    assert seen(found) == {"a.txt": "modified", "plain/p.txt": "deleted", "sub/s.txt": "modified"}
    assert "+changed" in found.files[2].diff
    git(copy, "apply", "--exclude=plain/*", str(patch.path))
    assert (copy / "sub" / "s.txt").read_text() == "changed\n"
    assert state_of(root / ".git") == before


def test_line_ends_by_attribute_and_by_setting_are_no_change(repository: Folder) -> None:
    """A file that is only written anew with the line ends that git gave it is not changed."""
    root = repository.folder
    git(root, "config", "core.autocrlf", "true")
    (root / "a.txt").write_bytes(b"one\r\ntwo\r\n")
    git(root, "add", "a.txt")
    found, _ = repository.changed_by(lambda: (root / "a.txt").write_bytes(b"one\r\ntwo\r\n"))
    assert seen(found) == {}
    found, _ = repository.changed_by(lambda: (root / "a.txt").write_bytes(b"one\r\nTWO\r\n"))
    assert "-two\n+TWO\n" in found.files[0].diff


def test_a_large_file_is_told_by_its_times_and_left_out_of_the_patch(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond ``BIG_BYTES`` nothing is read: changed, added and removed files are told all the same."""
    monkeypatch.setattr(snapshots, "BIG_BYTES", 1000)
    root = folder.folder
    for name in ("kept", "changed", "gone", "shrunk"):
        (root / name).write_bytes(b"x" * 2000)

    def change() -> None:
        (root / "changed").write_bytes(b"y" * 2000)
        (root / "gone").unlink()
        (root / "new").write_bytes(b"z" * 3000)
        (root / "shrunk").write_bytes(b"s")

    found, patch = folder.changed_by(change)
    assert seen(found) == {"changed": "modified", "gone": "deleted", "new": "added", "shrunk": "modified"}
    assert patch.left_out == (b"changed", b"gone", b"new", b"shrunk") and patch.size == 0


def test_too_much_is_refused_before_it_is_read(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder beyond the stated size costs a listing, no reading."""
    monkeypatch.setattr(snapshots, "MOST_FILES", 3)
    for number in range(5):
        (folder.folder / f"{number}").write_text("x")
    with pytest.raises(snapshots.TooLargeError, match="more than a snapshot reads"):
        snapshots.take(folder.folder, folder.home, folder.git)


def test_pipes_and_unreadable_files_are_passed_over(folder: Folder) -> None:
    """What cannot be read is told, and stops nothing."""
    os.mkfifo(folder.folder / "pipe")
    (folder.folder / "a.txt").write_text("a\n")
    taken = snapshots.take(folder.folder, folder.home, folder.git)
    assert taken.unread == ()
    assert seen(folder.changed_by(lambda: (folder.folder / "a.txt").write_text("b\n"))[0]) == {"a.txt": "modified"}


def test_a_sha256_repository_and_a_linked_work_tree(folder: Folder, tmp_path: Path) -> None:
    """Other forms of repositories are looked at as they are."""
    root = folder.folder
    git(root, "init", "-q", "--object-format=sha256")
    (root / "a.txt").write_text("a\n")
    git(root, "add", "-A")
    git(root, "commit", "-qm", "x")
    assert seen(folder.changed_by(lambda: (root / "a.txt").unlink())[0]) == {"a.txt": "deleted"}
    git(root, "worktree", "add", "-q", str(tmp_path / "linked"))
    linked = Folder(tmp_path / "linked", folder.home.state_dir)
    assert seen(linked.changed_by(lambda: (linked.folder / "b").write_text("b\n"))[0]) == {"b": "added"}


def test_a_repository_of_somebody_else_is_read_as_data(repository: Folder) -> None:
    """Git itself refuses it (safe.directory); here its files are compared, and its configuration is not obeyed."""
    if os.getuid() != 0:
        pytest.skip("only root can give a folder away")
    for path in (repository.folder, *repository.folder.rglob("*")):
        os.chown(path, 12345, 12345)
    assert seen(repository.changed_by(lambda: (repository.folder / "a.txt").write_text("x\n"))[0]) == {"a.txt": "modified"}


def test_a_bare_repository_is_a_folder_like_any_other(folder: Folder) -> None:
    """It has no work tree: its own files are what an agent there would change."""
    git(folder.folder, "init", "-q", "--bare")
    assert seen(folder.changed_by(lambda: (folder.folder / "description").write_text("x\n"))[0]) == {"description": "modified"}


def test_a_sparse_checkout_and_a_split_index(repository: Folder) -> None:
    """Forms of the index that our own repository is not configured for: files that are left out are no deletions."""
    root = repository.folder
    git(root, "update-index", "--split-index")
    (root / "outer").mkdir()
    (root / "outer" / "o.txt").write_text("o\n")
    git(root, "add", "-A")
    git(root, "commit", "-qm", "outer")
    git(root, "sparse-checkout", "set", "--cone", "inner")
    assert not (root / "outer").exists()
    assert seen(repository.changed_by(lambda: (root / "inner" / "b.txt").write_text("x\n"))[0]) == {"inner/b.txt": "modified"}


def test_a_conflict_that_is_not_settled_is_compared_by_its_files(repository: Folder) -> None:
    """An index with three versions of a file: what stands in the work tree counts, before and after."""
    root = repository.folder
    git(root, "checkout", "-qb", "other")
    (root / "a.txt").write_text("other\n")
    git(root, "commit", "-qam", "other")
    git(root, "checkout", "-q", "main")
    (root / "a.txt").write_text("main\n")
    git(root, "commit", "-qam", "main")
    with pytest.raises(AssertionError):
        git(root, "merge", "-q", "other")
    before = state_of(root / ".git")
    assert seen(repository.changed_by(lambda: None)[0]) == {}
    assert seen(repository.changed_by(lambda: (root / "a.txt").write_text("settled\n"))[0]) == {"a.txt": "modified"}
    now = state_of(root / ".git")
    assert {name: digest for name, (_, digest) in now.items()} == {name: digest for name, (_, digest) in before.items()}
    # What is read anew and stands in the user's objects already gets a new time there: that is git's own protection against pruning.
    assert {name for name in now if now[name] != before[name] and not name.startswith("objects/")} == set()


def test_a_file_that_becomes_a_folder_and_a_folder_that_becomes_a_file(repository: Folder, tmp_path: Path) -> None:
    """Both are seen, and the patch makes them."""
    root, copy = repository.folder, tmp_path / "copy"

    def change() -> None:
        shutil.copytree(root, copy, symlinks=True)
        (root / "a.txt").unlink()
        (root / "a.txt").mkdir()
        (root / "a.txt" / "x").write_text("x\n")
        shutil.rmtree(root / "inner")
        (root / "inner").write_text("a file now\n")

    found, patch = repository.changed_by(change)
    assert seen(found) == {"a.txt": "deleted", "a.txt/x": "added", "inner": "added", "inner/b.txt": "deleted"}
    git(copy, "apply", str(patch.path))
    assert (copy / "inner").read_text() == "a file now\n" and (copy / "a.txt" / "x").exists()
