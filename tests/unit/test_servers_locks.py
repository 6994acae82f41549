"""Locks between processes: one holder at a time, bounded waiting, nothing left, and no stale lock ever."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import anyio
import pytest

from netclaw_opencode._core import file_lock
from netclaw_opencode.errors import ActionFailed
from netclaw_opencode.opencode.process import locks

ROOT = Path(__file__).resolve().parents[2]

HOLDER = """
import anyio, pathlib, sys
from netclaw_opencode.opencode.process.locks import hold

async def main():
    async with hold(pathlib.Path(sys.argv[1]), "server", within_seconds=60) as mine:
        print(mine, flush=True)
        await anyio.to_thread.run_sync(sys.stdin.read)

anyio.run(main)
"""


def holder(folder: Path) -> subprocess.Popen[bytes]:
    """Another process that holds the lock until its input ends."""
    process = subprocess.Popen([sys.executable, "-c", HOLDER, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT)
    assert process.stdout is not None
    assert process.stdout.readline() == b"True\n"
    return process


async def tried(folder: Path, *, within_seconds: float = 0) -> bool:
    """Whether the lock could be had."""
    async with locks.hold(folder, "server", within_seconds=within_seconds) as mine:
        return mine


def test_one_holds_and_then_the_other(tmp_path: Path) -> None:
    """In one process: a second call is refused while the first holds, waits if it may, and gets its turn."""
    order: list[str] = []

    async def run() -> None:
        async def second() -> None:
            async with locks.hold(tmp_path, "server", within_seconds=60) as mine:
                order.append(f"second {mine}")

        # The lock is let go before the group waits for the second one.
        async with anyio.create_task_group() as tasks, locks.hold(tmp_path, "server", within_seconds=0) as mine:
            assert mine
            assert not await tried(tmp_path)
            tasks.start_soon(second)
            await anyio.lowlevel.checkpoint()
            order.append("first")
        assert await tried(tmp_path)

    anyio.run(run)
    assert order == ["first", "second True"]


def test_different_names_are_different_locks(tmp_path: Path) -> None:
    """The server's start and a session's send do not stop each other."""

    async def run() -> None:
        async with locks.hold(tmp_path, "server", within_seconds=0) as one, locks.hold(tmp_path, "ses_1", within_seconds=0) as other:
            assert one and other

    anyio.run(run)


def test_waiting_is_bounded_and_can_be_cancelled(tmp_path: Path) -> None:
    """Whoever waits for another process gets an answer in time; Ctrl-C ends the waiting, too."""
    process = holder(tmp_path)

    async def run() -> None:
        assert not await tried(tmp_path, within_seconds=0.1)
        with anyio.move_on_after(0.1) as scope:
            await tried(tmp_path, within_seconds=60)
        assert scope.cancelled_caught

    with process:
        anyio.run(run)
        process.kill()


def test_a_killed_holder_holds_nothing(tmp_path: Path) -> None:
    """The kernel frees its lock, and the file that it left is adopted: no stale lock can stop the next start (G12)."""
    with holder(tmp_path) as process:
        process.kill()
    assert [path.name for path in tmp_path.iterdir()] == ["server.lock"]
    assert anyio.run(tried, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_left_and_the_file_is_private(tmp_path: Path) -> None:
    """The file is 0600 while it is held and gone afterwards, after an error too; who was refused removes nothing."""

    async def run() -> None:
        async with locks.hold(tmp_path, "server", within_seconds=0):
            (path,) = tmp_path.iterdir()
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
            assert not await tried(tmp_path)
            assert path.exists()
            raise RuntimeError("work failed")

    with pytest.raises(RuntimeError, match="work failed"):
        anyio.run(run)
    assert list(tmp_path.iterdir()) == []


def test_a_lock_whose_file_was_taken_away_is_not_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between opening and locking the last holder may remove the file: that lock is nobody's, so it is tried again."""
    real = file_lock.try_lock
    removed: list[int] = []

    def locked_too_late(handle: int) -> bool:
        if not removed:
            removed.append(handle)
            (tmp_path / "server.lock").unlink()
        return real(handle)

    monkeypatch.setattr(file_lock, "try_lock", locked_too_late)

    async def run() -> None:
        async with locks.hold(tmp_path, "server", within_seconds=60) as mine:
            assert mine and (tmp_path / "server.lock").exists()

    anyio.run(run)
    assert removed


def test_a_link_in_its_place_is_refused(tmp_path: Path) -> None:
    """It is not followed, and what it points to is not touched."""
    victim = tmp_path / "victim"
    victim.write_text("mine", encoding="utf-8")
    place = tmp_path / "state"
    place.mkdir(mode=0o700)
    (place / "server.lock").symlink_to(victim)
    with pytest.raises(ActionFailed) as caught:
        anyio.run(tried, place)
    assert caught.value.code == "state_corrupt"
    assert caught.value.message == f"{place / 'server.lock'}: the lock cannot be opened (Too many levels of symbolic links)"
    assert victim.read_text(encoding="utf-8") == "mine"


def test_a_sweep_takes_what_nobody_holds_and_nothing_else(tmp_path: Path) -> None:
    """Names of killed holders go; a held lock, and every other file, stays."""
    for name in ("ses_gone.lock", "server.json", "lock"):
        (tmp_path / name).touch()

    async def run() -> None:
        async with locks.hold(tmp_path, "server", within_seconds=0):
            locks.remove_stale(tmp_path)
            assert sorted(path.name for path in tmp_path.iterdir()) == ["lock", "server.json", "server.lock"]
            assert not await tried(tmp_path)

    anyio.run(run)
    lowest = os.dup(0)
    os.close(lowest)
    for _ in range(3):
        (tmp_path / "ses_gone.lock").touch()
        locks.remove_stale(tmp_path)
    again = os.dup(0)
    os.close(again)
    assert again == lowest
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lock", "server.json"]


def test_no_open_file_is_left(tmp_path: Path) -> None:
    """A hundred tries, refused or not, leave no descriptor behind."""

    async def run() -> None:
        async with locks.hold(tmp_path, "server", within_seconds=0):
            lowest = os.dup(0)
            os.close(lowest)
            for _ in range(100):
                await tried(tmp_path)
            again = os.dup(0)
            os.close(again)
            assert again == lowest

    anyio.run(run)
