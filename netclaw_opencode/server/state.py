"""The state file: how the next process finds a server that we started.

Owns one JSON file and one lock beside it, in a folder that only this user may enter. The file holds the server's
password, so it is created 0600 and never printed.
"""

from __future__ import annotations

import json
import os
import stat
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from netclaw_opencode.errors import ActionFailed

_VERSION = 1
_NAME = "server.json"
_TEMPORARY = ".server.json.new"
_TYPES: Mapping[str, tuple[type, ...]] = {"pid": (int,), "version": (int,), "create_time": (int, float)}
_LOCK = "server.lock"


@dataclass(frozen=True, slots=True)
class ServerRecord:
    """A server that we started. ``create_time`` (epoch seconds) tells its process from a later one of the same pid."""

    url: str
    pid: int
    create_time: float
    username: str
    password: str = field(repr=False)
    binary: str
    opencode_version: str
    log_file: str
    version: int = _VERSION


def read(state_dir: Path) -> ServerRecord | None:
    """The record, or None where there is none.

    Raises ``ActionFailed`` (``state_corrupt``) for a file that is damaged or that others could have written.
    """
    path = state_dir / _NAME
    try:
        # Not blocking: somebody may have put a pipe there.
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _corrupt(path, f"it cannot be opened ({error.strerror})") from error
    try:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            raise _corrupt(path, "it is not a file")
        if os.name == "posix" and (status.st_uid != os.getuid() or stat.S_IMODE(status.st_mode) & 0o077):
            raise _corrupt(path, "it does not belong to this user alone (mode 0600)")
        with os.fdopen(handle, encoding="utf-8", closefd=False) as file:
            return _record(json.load(file))
    except (ValueError, TypeError, RecursionError) as error:
        raise _corrupt(path, "it is not a record of this version") from error
    finally:
        os.close(handle)


def _record(found: dict[str, object]) -> ServerRecord:
    """The record, if every field is there and of its type; raises ``TypeError`` or ``ValueError``."""
    record = ServerRecord(**found)  # type: ignore[arg-type]  # checked right below
    if record.version != _VERSION:
        raise ValueError("another version")
    for name, value in asdict(record).items():
        wanted = _TYPES.get(name, (str,))
        if not isinstance(value, wanted) or isinstance(value, bool):
            raise TypeError(f"{name} is of another type")
    return record


def write(state_dir: Path, record: ServerRecord) -> None:
    """Write the record whole or not at all, readable by this user only."""
    folder(state_dir)
    path = state_dir / _NAME
    # One name for all, under the lock: what a killed writer left is replaced, and never adopted with its mode.
    temporary = state_dir / _TEMPORARY
    temporary.unlink(missing_ok=True)
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(asdict(record), file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def remove(state_dir: Path) -> None:
    """Forget the server."""
    for name in (_NAME, _TEMPORARY):
        (state_dir / name).unlink(missing_ok=True)


def folder(state_dir: Path) -> Path:
    """The state folder, made 0700; raises ``ActionFailed`` (``state_corrupt``) where it is not this user's alone."""
    try:
        state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = state_dir.stat()
    except OSError as error:
        raise _corrupt(state_dir, f"the folder cannot be made ({error.strerror})") from error
    if os.name == "posix" and (status.st_uid != os.getuid() or stat.S_IMODE(status.st_mode) & 0o022):
        raise _corrupt(state_dir, "the folder can be written by others")
    return state_dir


@contextmanager
def locked(state_dir: Path) -> Iterator[None]:
    """Hold the lock: one process at a time starts or stops the server. The kernel frees it when a process dies."""
    with (folder(state_dir) / _LOCK).open("a+", encoding="utf-8") as file:
        _lock(file.fileno())
        try:
            yield
        finally:
            _unlock(file.fileno())


if sys.platform != "win32":
    import fcntl

    def _lock(handle: int) -> None:
        fcntl.flock(handle, fcntl.LOCK_EX)

    def _unlock(handle: int) -> None:
        fcntl.flock(handle, fcntl.LOCK_UN)

else:  # pragma: no cover - not tested here; see docs/safety.md
    import msvcrt

    def _lock(handle: int) -> None:
        msvcrt.locking(handle, msvcrt.LK_LOCK, 1)

    def _unlock(handle: int) -> None:
        msvcrt.locking(handle, msvcrt.LK_UNLCK, 1)


def _corrupt(path: Path, why: str) -> ActionFailed:
    return ActionFailed("state_corrupt", f"{path}: {why}", next=f"remove {path}", details={"path": str(path)})
