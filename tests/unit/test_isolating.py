"""Isolated work without any server: made, committed, applied, discarded; the user's repository and folder are as they were."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from netclaw_opencode.errors import ActionFailed, DriverError
from netclaw_opencode.work import copies, isolating, ledger, snapshots
from netclaw_opencode.work.git import Git
from netclaw_opencode.work.isolating import Bench, Wish
from netclaw_opencode.work.ledger import Ledger, Work
from netclaw_opencode.work.stores import Home
from tests.unit.test_snapshots import git, state_of


class Place:
    """A user's folder, and work that is taken from it."""

    def __init__(self, root: Path, state: Path) -> None:
        found = Git.find()
        assert found is not None
        self.root = root
        self.bench = Bench(Ledger(state), found, Home(state, home=state))

    def prepare(self, isolation: str = "worktree", *, within: str = "", **wish: object) -> Work:
        """New work."""
        return isolating.prepare(self.bench, self.root / within, Wish(isolation, **wish))  # type: ignore[arg-type]

    def begin(self, work: Work) -> snapshots.Snapshot:
        """The look before the agent begins."""
        return snapshots.take(work.path, self.bench.home_of(work), self.bench.git)

    def finish(self, work: Work, before: snapshots.Snapshot) -> Work:
        """The look after it has ended, and the commit."""
        after = snapshots.retake(before, self.bench.home_of(work), self.bench.git)
        done = isolating.finish(self.bench, work, before, after, message="what the agent did")
        return self.bench.ledger.change(done, state="finished")

    def files(self) -> dict[str, bytes]:
        """The user's files."""
        paths = [path for path in sorted(self.root.rglob("*")) if path.is_file() and ".git" not in path.relative_to(self.root).parts]
        return {str(path.relative_to(self.root)): path.read_bytes() for path in paths}


def write(folder: Path, **files: str) -> None:
    """Write files; two underscores in a name stand for a dot."""
    for name, content in files.items():
        (folder / name.replace("__", ".")).write_text(content)


@pytest.fixture
def plain(tmp_path: Path) -> Place:
    """A folder without git."""
    root = tmp_path / "project"
    root.mkdir()
    write(root, a__txt="".join(f"{number}\n" for number in range(20)), gone__txt="gone\n", stays__txt="stays\n")
    return Place(root, tmp_path / "state")


@pytest.fixture
def place(plain: Place) -> Place:
    """The same as a repository with a commit."""
    git(plain.root, "init", "-q")
    (plain.root / "inner").mkdir()
    write(plain.root / "inner", i__txt="i\n")
    write(plain.root, __gitignore="ignored/\n.venv\n")
    git(plain.root, "add", "-A")
    git(plain.root, "commit", "-qm", "first")
    return plain


def change(tree: Path) -> None:
    """What an agent does."""
    text = (tree / "a.txt").read_text().replace("3\n", "three\n", 1)
    write(tree, a__txt=text, new__sh="#!/bin/sh\n")
    (tree / "gone.txt").unlink()
    (tree / "new.sh").chmod(0o755)
    (tree / "link").symlink_to("a.txt")
    (tree / "data.bin").write_bytes(bytes(range(256)))


@pytest.mark.parametrize("isolation", ["worktree", "copy"])
def test_work_is_done_apart_and_brought_in_whole(place: Place, isolation: str) -> None:
    """The user's folder stays as it is until ``apply``; then it holds all of it, and index, HEAD and stash are untouched."""
    before_files, before_git = place.files(), state_of(place.root / ".git")
    work = place.prepare(isolation)
    assert work.path.name == "project" and work.path != place.root
    before = place.begin(work)
    change(work.path)
    work = place.finish(work, before)
    assert place.files() == before_files
    kept = {name: value for name, value in state_of(place.root / ".git").items() if name in before_git and value[1] != before_git[name][1]}
    assert kept == {}, "what was there is there to the byte"
    if isolation == "worktree":
        assert git(place.root, "log", "-1", "--format=%an %s", work.branch).strip() == "netclaw-opencode what the agent did"
        assert git(work.path, "status", "--short") == ""
    index = (place.root / ".git" / "index").read_bytes()
    work, applied = isolating.apply(place.bench, work)
    assert sorted(applied.files) == ["a.txt", "data.bin", "gone.txt", "link", "new.sh"]
    assert "three\n" in (place.root / "a.txt").read_text() and not (place.root / "gone.txt").exists()
    assert os.access(place.root / "new.sh", os.X_OK) and (place.root / "link").is_symlink()
    assert (place.root / ".git" / "index").read_bytes() == index
    isolating.discard(place.bench, work, force=False)
    now = state_of(place.root / ".git")
    assert {name for name in now if not name.startswith("objects")} == {name for name in before_git if not name.startswith("objects")}
    assert place.bench.ledger.works() == ([], []) and not work.path.exists()


def test_nothing_that_the_repository_configures_is_run(place: Place, tmp_path: Path) -> None:
    """Hooks, filters, fsmonitor: not while a worktree is made, committed or removed."""
    marker = tmp_path / "ran"
    write(place.root, __gitattributes="*.txt filter=evil\n")
    git(place.root, "add", "-A")
    git(place.root, "commit", "-qm", "attributes")
    settings = {
        "filter.evil.smudge": f"touch {marker}; cat",
        "filter.evil.clean": f"touch {marker}; cat",
        "filter.evil.required": "true",
        "core.fsmonitor": f"touch {marker}",
        "core.hooksPath": str(tmp_path / "hooks"),
    }
    for name, value in settings.items():
        git(place.root, "config", name, value)
    (tmp_path / "hooks").mkdir()
    for hook in ("post-checkout", "post-commit", "pre-commit", "reference-transaction", "post-index-change"):
        (tmp_path / "hooks" / hook).write_text(f"#!/bin/sh\ntouch {marker}\n")
        (tmp_path / "hooks" / hook).chmod(0o755)
    work = place.prepare()
    before = place.begin(work)
    change(work.path)
    work, _ = isolating.apply(place.bench, place.finish(work, before))
    isolating.discard(place.bench, work, force=False)
    assert not marker.exists()


def test_both_sides_of_a_file_go_together(place: Place) -> None:
    """Other lines of the same file, other files: merged; the user's own changes and untracked files stay."""
    work = place.prepare()
    before = place.begin(work)
    change(work.path)
    work = place.finish(work, before)
    text = (place.root / "a.txt").read_text().replace("15\n", "fifteen\n")
    write(place.root, a__txt=text, mine__txt="mine\n")
    _, applied = isolating.apply(place.bench, work)
    assert applied.merged == ("a.txt",)
    both = (place.root / "a.txt").read_text()
    assert "three\n" in both and "fifteen\n" in both and (place.root / "mine.txt").read_text() == "mine\n"


@pytest.mark.parametrize("theirs", ["lines", "removed", "added", "ignored", "folder"])
def test_a_conflict_leaves_everything_as_it_was(place: Place, theirs: str) -> None:
    """One file that does not go together: nothing is written, and the error says where and why."""
    work = place.prepare()
    before = place.begin(work)
    change(work.path)
    (work.path / "ignored").mkdir()
    if theirs == "ignored":
        write(work.path, __gitignore="other/\n")
        write(work.path / "ignored", x="work\n")
    work = place.finish(work, before)
    if theirs == "lines":
        write(place.root, a__txt=(place.root / "a.txt").read_text().replace("3\n", "drei\n", 1))
    elif theirs == "removed":
        (place.root / "a.txt").unlink()
    elif theirs == "added":
        write(place.root, new__sh="another\n")
    elif theirs == "ignored":
        (place.root / "ignored").mkdir()
        write(place.root / "ignored", x="user\n")
    else:
        (place.root / "new.sh").mkdir()
        write(place.root / "new.sh", x="x")
    files = place.files()
    with pytest.raises(ActionFailed) as caught:
        isolating.apply(place.bench, work)
    assert caught.value.code == "work_conflict" and place.files() == files
    conflicts = caught.value.details["conflicts"]
    assert isinstance(conflicts, list) and len(conflicts) == 1
    conflict = conflicts[0]
    expected = {"lines": "a.txt", "removed": "a.txt", "ignored": "ignored/x"}
    assert conflict["path"] == expected.get(theirs, "new.sh") and conflict["why"]


def test_a_failure_in_the_middle_puts_everything_back(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk is full, or a folder may not be written: all is as it was, and the next call can do it."""
    work = place.prepare()
    before = place.begin(work)
    change(work.path)
    work = place.finish(work, before)
    files = place.files()
    copyfile, calls = shutil.copyfile, list[object]()

    def full(source: str, target: str) -> str:
        calls.append(source)
        if len(calls) == 3:
            raise OSError(28, "No space left on device", str(target))
        return copyfile(source, target)

    with monkeypatch.context() as patched:
        patched.setattr(shutil, "copyfile", full)
        with pytest.raises(ActionFailed, match="all is as it was"):
            isolating.apply(place.bench, work)
    assert place.files() == files and not (place.root / "link").is_symlink()
    assert list(place.root.glob(".*netclaw*")) == [] and place.bench.ledger.read(work.id).state == "finished"
    isolating.apply(place.bench, place.bench.ledger.read(work.id))
    assert (place.root / "link").is_symlink()


def test_changes_that_no_commit_holds_are_carried_over_on_request(place: Place) -> None:
    """They are there, uncommitted, and the work's own changes are told apart from them."""
    write(place.root, a__txt="mine\n", extra__txt="untracked\n")
    assert not (place.prepare().path / "extra.txt").exists()
    work = place.prepare(carry_changes=True)
    assert (work.path / "a.txt").read_text() == "mine\n"
    assert git(work.path, "status", "--short").splitlines() == [" M a.txt", "?? extra.txt"]
    before = place.begin(work)
    write(work.path, new__txt="new\n")
    _, applied = isolating.apply(place.bench, place.finish(work, before))
    assert applied.files == ("new.txt",)


def test_needs_of_a_project_are_linked_or_copied_and_no_work(place: Place) -> None:
    """``.venv`` and the like are there for the agent; neither commit nor ``apply`` knows them."""
    (place.root / ".venv").mkdir()
    write(place.root / ".venv", lib="lib\n")
    write(place.root, __env="KEY=1\n")
    work = place.prepare(link=(".venv",), copy=(".env",))
    assert (work.path / ".venv").is_symlink() and (work.path / ".env").read_text() == "KEY=1\n"
    before = place.begin(work)
    write(work.path, new__txt="new\n", __env="KEY=2\n")
    work = place.finish(work, before)
    assert git(place.root, "ls-tree", "--name-only", work.commit).split() == [
        ".gitignore",
        "a.txt",
        "gone.txt",
        "inner",
        "new.txt",
        "stays.txt",
    ]
    _, applied = isolating.apply(place.bench, work)
    assert applied.files == ("new.txt",) and (place.root / ".env").read_text() == "KEY=1\n"
    for wrong in ("/etc", "../x", ".git", "absent", "a.txt"):
        with pytest.raises(DriverError) as caught:
            place.prepare(link=(wrong,))
        assert caught.value.code == "invalid_input"
    assert len(place.bench.ledger.works()[0]) == 1


def test_the_agents_own_commits_stay(place: Place) -> None:
    """What it committed is below the last commit, and its message is its own."""
    work = place.prepare()
    before = place.begin(work)
    write(work.path, one__txt="one\n")
    git(work.path, "add", "-A")
    git(work.path, "commit", "-qm", "by the agent")
    write(work.path, two__txt="two\n")
    work = place.finish(work, before)
    log = git(place.root, "log", "--format=%s", work.branch).splitlines()
    assert log == ["what the agent did", "by the agent", "first"]


def test_a_copy_of_a_folder_without_git(plain: Place) -> None:
    """No git is needed in the folder: a private copy, and its changes come back the same way."""
    (plain.root / "deep").mkdir()
    write(plain.root / "deep", d__txt="d\n")
    work = plain.prepare("copy")
    before = plain.begin(work)
    change(work.path)
    write(plain.root, mine__txt="mine\n")
    _, applied = isolating.apply(plain.bench, plain.finish(work, before))
    assert "new.sh" in applied.files and (plain.root / "mine.txt").exists()


def test_a_copy_of_a_folder_within_a_repository(place: Place) -> None:
    """Only that folder is copied; it comes back to where it was taken from."""
    work = place.prepare("copy", within="inner")
    before = place.begin(work)
    write(work.path, i__txt="changed\n")
    _, applied = isolating.apply(place.bench, place.finish(work, before))
    assert applied.files == ("i.txt",) and (place.root / "inner" / "i.txt").read_text() == "changed\n"


def test_a_worktree_for_a_folder_within_a_repository(place: Place) -> None:
    """The agent works in the same folder of the worktree, and may change what lies above."""
    work = place.prepare(within="inner")
    assert work.path.name == "inner"
    before = place.begin(work)
    write(work.path.parent, above__txt="x\n")
    _, applied = isolating.apply(place.bench, place.finish(work, before))
    assert applied.files == ("above.txt",)


def test_what_cannot_be_isolated_is_refused_and_leaves_nothing(plain: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """No repository, no commit, no such base, no room on the disk: a clear error, and no trace."""
    with pytest.raises(DriverError, match="no git repository"):
        plain.prepare()
    git(plain.root, "init", "-q")
    with pytest.raises(DriverError, match="no commit yet"):
        plain.prepare()
    git(plain.root, "add", "-A")
    git(plain.root, "commit", "-qm", "x")
    with pytest.raises(DriverError, match="names no commit"):
        plain.prepare(base="--upload-pack=x")
    usage = shutil.disk_usage("/")
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage._replace(free=0))
    monkeypatch.setattr(copies, "_shares", lambda _source, _target: False)
    with pytest.raises(DriverError, match="has room for"):
        plain.prepare("copy")
    assert plain.bench.ledger.works() == ([], [])
    assert git(plain.root, "worktree", "list").count("\n") == 1 and git(plain.root, "branch").strip() == "* main"


def test_work_that_holds_something_unseen_is_not_discarded(place: Place) -> None:
    """A killed task's files, later edits, later commits: refused without ``force``."""
    bench = place.bench
    killed = place.prepare()
    before = place.begin(killed)
    killed = bench.ledger.change(killed, base_tree=before.tree)
    write(killed.path, half__txt="half\n")
    edited = place.prepare()
    edited = place.finish(edited, place.begin(edited))
    write(edited.path, later__txt="later\n")
    committed = place.prepare()
    committed = place.finish(committed, place.begin(committed))
    write(committed.path, c__txt="c\n")
    git(committed.path, "add", "-A")
    git(committed.path, "commit", "-qm", "later")
    for work in (killed, edited, committed):
        with pytest.raises(DriverError) as caught:
            isolating.discard(bench, work, force=False)
        assert caught.value.code == "work_dirty" and work.path.is_dir()
        isolating.discard(bench, work, force=True)
    untouched = place.prepare()
    untouched = bench.ledger.change(untouched, base_tree=place.begin(untouched).tree)
    isolating.discard(bench, untouched, force=False)
    assert bench.ledger.works() == ([], [])


def test_a_worktree_that_somebody_removed_can_still_be_applied(place: Place) -> None:
    """Its trees are kept beside it; and it can be discarded, however much of it is gone."""
    work = place.prepare()
    before = place.begin(work)
    write(work.path, new__txt="new\n")
    work = place.finish(work, before)
    git(place.root, "worktree", "remove", "--force", work.tree)
    git(place.root, "branch", "-D", work.branch)
    work, applied = isolating.apply(place.bench, work)
    assert applied.files == ("new.txt",)
    isolating.discard(place.bench, work, force=False)
    assert place.bench.ledger.works() == ([], [])


def test_a_work_tree_that_leads_elsewhere_is_not_committed(place: Place, tmp_path: Path) -> None:
    """The agent can write ``.git``: it may lead to no other repository."""
    other = tmp_path / "other"
    other.mkdir()
    git(other, "init", "-q")
    work = place.prepare()
    before = place.begin(work)
    (work.path / ".git").write_text(f"gitdir: {other / '.git'}\n")
    with pytest.raises(DriverError) as caught:
        place.finish(work, before)
    assert caught.value.code == "work_not_found"


def test_one_call_at_a_time_has_a_work(place: Place) -> None:
    """Whoever comes second is refused, and the kernel lets go for whoever is killed."""
    work = place.prepare()
    with place.bench.ledger.held(work.id):
        assert place.bench.ledger.is_held(work.id)
        with pytest.raises(DriverError) as caught, place.bench.ledger.held(work.id):
            pytest.fail("two have it")
    assert caught.value.code == "work_busy" and not place.bench.ledger.is_held(work.id)


def test_a_record_that_cannot_be_read_is_named(place: Place) -> None:
    """It is listed as broken, and an id is no path."""
    work = place.prepare()
    (place.bench.ledger.folder(work.id) / "work.json").write_text('{"version": 9}')
    assert place.bench.ledger.works() == ([], [work.id])
    for wrong in ("../../etc", "work_", "work_0123456789AB", f"{work.id}/x"):
        with pytest.raises(DriverError) as caught:
            place.bench.ledger.folder(wrong)
        assert caught.value.code == "invalid_input"
    assert ledger.ID.fullmatch(replace(work).id)
