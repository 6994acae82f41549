"""What is known of a key on this machine: one record, its request, and the first snapshot as it was."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import psutil
import pytest

from netclaw_opencode._core.idempotency import Key, read_key
from netclaw_opencode.errors import ActionFailed, Refused
from netclaw_opencode.work import changes, checking, keyed, snapshots
from netclaw_opencode.work.checking import Check
from netclaw_opencode.work.git import Git, GitError
from netclaw_opencode.work.keyed import Keyed
from netclaw_opencode.work.ledger import Ledger
from netclaw_opencode.work.stores import Home


def key(**more: object) -> Key:
    """A key of run_task."""
    found = read_key({"prompt": "x", "idempotency_key": "k", **more}, action="run_task")
    assert found is not None
    return found


def test_a_key_stands_for_its_request_and_for_its_parts() -> None:
    """The deadline and apply may differ; a part has another digest and the same request."""
    assert key(deadline_seconds=1, apply=True) == key() != key(isolation="copy")
    assert key().part("repair 1").digest not in (key().digest, key().part("repair 2").digest)
    assert key().part("repair 1").request == key().request and read_key({"prompt": "x"}, action="run_task") is None


def test_what_is_written_is_read_by_the_next_call(tmp_path: Path) -> None:
    """Facts are added to what another call has written meanwhile; another request is a conflict, unless the server decides that."""
    first, second = Keyed(tmp_path, key()), Keyed(tmp_path, key())
    first.add_session("ses_1")
    second.note(runs=[{"passed": False}])
    found = Keyed(tmp_path, key())
    assert (found.has_begun, found.record.sessions, found.record.runs) == (True, ["ses_1"], [{"passed": False}])
    with pytest.raises(Refused, match="another request"):
        Keyed(tmp_path, key(title="t"))
    assert not Keyed(tmp_path, key(title="t"), strict=False).has_begun
    (path,) = (tmp_path / "keys").glob("*.json")
    path.write_text("{}")
    with pytest.raises(ActionFailed, match="no record of a task"):
        Keyed(tmp_path, key())
    assert not Keyed(tmp_path, key(), strict=False).has_begun
    keyed.forget(tmp_path, key())
    assert not Keyed(tmp_path, key()).has_begun and keyed.find_work(tmp_path, key()) is None
    work_id = keyed.work_id_of(key())
    Ledger(tmp_path).begin(isolation="copy", source=tmp_path, root=tmp_path, work_id=work_id)
    assert keyed.find_work(tmp_path, key()) == work_id


def test_an_earlier_snapshot_is_recalled_while_its_files_are_kept(tmp_path: Path) -> None:
    """Changed, new, ignored and too large files, and a repository within: the comparison is the one that it would have been."""
    root, home, git = tmp_path / "folder", Home(tmp_path / "state", tmp_path), Git.find(None)
    assert git is not None
    (root / "inner").mkdir(parents=True)
    for name in ("one.txt", "inner/two.txt"):
        (root / name).write_text("old\n")
    (root / ".gitignore").write_text("*.log\n")
    (root / "a.log").write_text("1")
    with (root / "big").open("wb") as big:
        big.truncate(snapshots.BIG_BYTES + 1)
    subprocess.run(["git", "init", "-q", str(root / "inner")], check=True)  # noqa: S607 - git of PATH
    before = snapshots.take(root, home, git, list_ignored=True)
    kept = snapshots.describe(before)
    snapshots.forget(before)
    (root / "one.txt").write_text("new\n")
    (root / "inner" / "two.txt").write_text("new\n")
    (root / "a.log").write_text("longer")
    recalled = snapshots.recall(kept, root, home, git)
    after = snapshots.retake(recalled, home, git)
    found = changes.compare(recalled, after)
    assert [(item.path, item.status) for item in found.files] == [(b"inner/two.txt", "modified"), (b"one.txt", "modified")]
    assert recalled.ignored_files is not None and after.ignored_files is not None
    assert recalled.ignored_files[b"a.log"] != after.ignored_files[b"a.log"]
    _, patch = changes.write_patch(found, tmp_path / "it.patch")
    assert b"-old" in patch.path.read_bytes()
    snapshots.forget(recalled, after)
    assert not list((tmp_path / "state").glob("snapshots/*/indexes/*"))
    with pytest.raises(GitError):
        snapshots.recall({**kept, "tree": "0" * 40}, root, home, git)
    with pytest.raises(GitError, match="it was of /elsewhere"):
        snapshots.recall({**kept, "root": "/elsewhere"}, root, home, git)
    assert not list((tmp_path / "state").glob("snapshots/*/indexes/*"))


def test_a_folder_is_written_by_one_call_at_a_time(tmp_path: Path) -> None:
    """The second one waits as long as it may, and is told what keeps it."""
    ledger = Ledger(tmp_path / "state")
    with ledger.alone_at(tmp_path, until=time.monotonic()):
        with ledger.alone_at(tmp_path / "another", until=time.monotonic()):
            pass
        with pytest.raises(Refused, match="bring work into") as caught, ledger.alone_at(tmp_path, until=time.monotonic() + 0.05):
            pass
        assert caught.value.code == "work_busy"
    assert ledger.works() == ([], []) and not list((tmp_path / "state" / "work").iterdir())


def test_what_a_killed_callers_check_left_is_found_by_its_mark(tmp_path: Path) -> None:
    """Whatever carries the mark is ended, and nothing else."""
    other = subprocess.Popen(["/bin/sleep", "60"], env={checking.MARK: "another"})
    left = subprocess.Popen(["/bin/sleep", "60"], env={checking.MARK: "mine"}, start_new_session=True)
    try:
        assert checking.end_left("mine") == 1 and not psutil.pid_exists(left.pid)
        assert checking.end_left("mine") == 0 and other.poll() is None
    finally:
        for process in (other, left):
            process.kill()
            process.wait()
    done = checking.run(Check(("true",)), tmp_path, environ={}, limit_seconds=10, mark="mine")
    assert done.passed
