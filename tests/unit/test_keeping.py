"""What tasks leave in the state folder stays a week, however much it is; what is kept with it survives calls at the same moment."""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from netclaw_opencode._core import file_lock
from netclaw_opencode._core.private_files import sweep_files
from netclaw_opencode.opencode.trust import Trust
from netclaw_opencode.opencode.trust.project_code import CodeFile
from netclaw_opencode.settings import Settings
from netclaw_opencode.work import statements

DAY = 86400.0


def aged(folder: Path, name: str, days: float) -> Path:
    """A file that is so old."""
    path = folder / name
    path.write_text("")
    os.utime(path, (time.time() - days * DAY,) * 2)
    return path


def test_nothing_goes_within_a_week_however_many_there_are(tmp_path: Path) -> None:
    """A batch of a thousand tasks finds each of its patches; older ones are counted, and go one day in any case."""
    young = [aged(tmp_path, f"{number}.patch", 6.9) for number in range(12)]
    older = [aged(tmp_path, f"older-{number}.patch", 8 + number) for number in range(3)]
    oldest = aged(tmp_path, "oldest.patch", 31)
    sweep_files(tmp_path, "*.patch", most=13, longest_days=30)
    assert all(path.exists() for path in young)
    assert [path.exists() for path in (*older, oldest)] == [True, False, False, False]
    late = aged(tmp_path, "late.patch", 31)
    sweep_files(tmp_path, "*.patch", most=13, longest_days=30)
    assert late.exists()  # the folder was looked through a moment ago
    os.utime(tmp_path / ".swept", (time.time() - DAY,) * 2)
    sweep_files(tmp_path, "*.patch", most=13, longest_days=30)
    assert not late.exists()


def test_a_folder_of_the_server_leaves_everything_else_where_it_is(tmp_path: Path) -> None:
    """By default there is one folder for both."""
    plain = Settings(state_dir=tmp_path / "state")
    assert plain.server_dir == plain.state_dir
    apart = Settings(state_dir=tmp_path / "state", server_folder=tmp_path / "server")
    assert (apart.server_dir, apart.state_dir) == (tmp_path / "server", tmp_path / "state")
    assert Trust.from_settings(apart).state_dir == tmp_path / "state"


def test_calls_at_the_same_moment_do_not_undo_each_others_trust(tmp_path: Path) -> None:
    """Tasks of one batch trust and forget their trees at once: the user's own entries stay, and each of theirs is there."""
    trust = Trust(tmp_path)
    trust.grant("/mine", (CodeFile(Path("/mine/opencode.json"), ("x",), "digest"),))
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda name: trust.grant(f"/{name}", (CodeFile(Path(f"/{name}/opencode.json"), ("x",), "d"),)), range(24)))
    assert {item.directory for item in trust.folders()} == {"/mine", *(f"/{name}" for name in range(24))}
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda name: trust.revoke(f"/{name}"), range(24)))
    assert [item.directory for item in trust.folders()] == ["/mine"] and not list(tmp_path.glob("*.lock"))


def test_calls_at_the_same_moment_make_one_seal(tmp_path: Path) -> None:
    """Each statement of a batch that begins in an empty state folder is sealed with the same key."""
    with ThreadPoolExecutor(8) as threads:
        assert len(set(threads.map(lambda _: statements._key(tmp_path), range(16)))) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["statement.key"]


def test_a_lock_that_is_not_let_go_is_told(tmp_path: Path) -> None:
    """Whoever waits in vain is told so, and leaves the other's lock alone."""
    path = tmp_path / "it.lock"
    with file_lock.hold(path, within_seconds=1) as mine:
        with file_lock.hold(path, within_seconds=0.05) as second:
            assert (mine, second) == (True, False)
        assert path.exists()
    assert not path.exists()
