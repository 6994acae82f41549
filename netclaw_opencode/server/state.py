"""The state file: how the next process finds a server that we started.

Owns one JSON file, in a folder that only this user may enter. The file holds the server's
password, so it is created 0600 and never printed.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from netclaw_opencode.errors import ActionFailed

_VERSION = 1
_NAME = "server.json"
_TEMPORARY = ".server.json.new"
_TYPES: Mapping[str, tuple[type, ...]] = {"pid": (int,), "version": (int,), "create_time": (int, float)}


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
        raise corrupt(path, f"it cannot be opened ({error.strerror})") from error
    try:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            raise corrupt(path, "it is not a file")
        if os.name == "posix" and (status.st_uid != os.getuid() or stat.S_IMODE(status.st_mode) & 0o077):
            raise corrupt(path, "it does not belong to this user alone (mode 0600)")
        with os.fdopen(handle, encoding="utf-8", closefd=False) as file:
            return _record(json.load(file))
    except (ValueError, TypeError, RecursionError) as error:
        raise corrupt(path, "it is not a record of this version") from error
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
        raise corrupt(state_dir, f"the folder cannot be made ({error.strerror})") from error
    if os.name == "posix" and (status.st_uid != os.getuid() or stat.S_IMODE(status.st_mode) & 0o022):
        raise corrupt(state_dir, "the folder can be written by others")
    return state_dir


def corrupt(path: Path, why: str) -> ActionFailed:
    """The error for a file or folder that cannot be trusted."""
    return ActionFailed("state_corrupt", f"{path}: {why}", next=f"remove {path}", details={"path": str(path)})
