"""The state file: how the next process finds a server that we started.

Owns one JSON file, in a folder that only this user may enter. The file holds the server's
password, so it is created 0600 and never printed.
"""

from __future__ import annotations

import errno
import json
import os
import shlex
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

import psutil

from netclaw_opencode.errors import ActionFailed
from netclaw_opencode.opencode.process import identity
from netclaw_opencode.opencode.process.identity import ProcessIdentity
from netclaw_opencode.opencode.process.orphans import mark_of_version_1

_VERSION = 2
_NAME = "server.json"
_TEMPORARY = ".server.json.new"
_TYPES: Mapping[str, tuple[type, ...]] = {"pid": (int,), "version": (int,), "start_ticks": (int,), "without_project_code": (bool,)}
_NOT_RUNNING = -1
"""Start ticks that no process has."""
FULL = (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True, slots=True)
class ServerRecord:
    """A server that we started.

    ``boot_id``, ``pid_namespace`` and ``start_ticks`` tell its process from every other of the same pid; ``mark`` is the
    random one of this start, which stands in the environment of everything below it.
    """

    url: str
    pid: int
    start_ticks: int
    boot_id: str
    pid_namespace: str
    username: str
    password: str = field(repr=False)
    binary: str
    opencode_version: str
    log_file: str
    mark: str = field(repr=False)
    version: int = _VERSION
    without_project_code: bool = False

    @property
    def process(self) -> ProcessIdentity:
        """The server's process."""
        return ProcessIdentity(self.boot_id, self.pid_namespace, self.pid, self.start_ticks)


def read(state_dir: Path) -> ServerRecord | None:
    """The record, or None where there is none.

    Raises ``ActionFailed`` (``state_corrupt``) for a file that is damaged or that others could have written.
    """
    path = state_dir / _NAME
    try:
        _require_own(state_dir, state_dir.lstat())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise corrupt(state_dir, f"the folder cannot be used ({error.strerror})", cause=error) from error
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
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise corrupt(path, "it is not a record of this version") from error
    finally:
        os.close(handle)


def _record(found: dict[str, object]) -> ServerRecord:
    """The record, if every field is there and of its type; raises ``TypeError`` or ``ValueError``."""
    version_1 = found.get("version") == 1
    record = ServerRecord(**(_of_version_1(found) if version_1 else found))  # type: ignore[arg-type]  # checked right below
    if record.version != _VERSION and not version_1:
        raise ValueError("another version")
    for name, value in asdict(record).items():
        wanted = _TYPES.get(name, (str,))
        if not isinstance(value, wanted) or (isinstance(value, bool) and wanted != (bool,)):
            raise TypeError(f"{name} is of another type")
    return record


def _of_version_1(found: Mapping[str, object]) -> dict[str, object]:
    """A record of version 1.0, which knew a process by its start on the wall clock.

    Where that fits the process that has the pid now, it is that one; where it does not (the clock may have been set since), the
    server counts as gone, and nothing is signalled.
    """
    known = {name: value for name, value in found.items() if name != "create_time"}
    pid, create_time = found["pid"], found["create_time"]
    if not isinstance(pid, int) or not isinstance(create_time, int | float) or isinstance(pid, bool) or isinstance(create_time, bool):
        raise TypeError("pid or create_time is of another type")
    fits = False
    with suppress(psutil.Error, OverflowError, ValueError):
        fits = pid > 0 and abs(psutil.Process(pid).create_time() - create_time) < 0.01
    ticks = identity.start_ticks(pid) if fits else None
    return known | {
        "start_ticks": _NOT_RUNNING if ticks is None else ticks,
        "boot_id": identity.boot_id(),
        "pid_namespace": identity.pid_namespace(),
        "mark": mark_of_version_1(str(found["url"]), str(found["password"])),
    }


def write(state_dir: Path, record: ServerRecord) -> None:
    """Write the record whole or not at all, readable by this user only."""
    with _entered(folder(state_dir)) as (inside, at):
        # One name for all, under the lock: what a killed writer left is replaced, and never adopted with its mode.
        _unlink(inside / _TEMPORARY, at)
        try:
            handle = os.open(inside / _TEMPORARY, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0), 0o600, dir_fd=at)
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump(asdict(record), file)
                file.flush()
                os.fsync(file.fileno())
            os.replace(inside / _TEMPORARY, inside / _NAME, src_dir_fd=at, dst_dir_fd=at)
        except OSError as error:
            raise corrupt(state_dir / _NAME, f"it cannot be written ({error.strerror})", cause=error) from error
        finally:
            _unlink(inside / _TEMPORARY, at)


@contextmanager
def _entered(state_dir: Path) -> Iterator[tuple[Path, int | None]]:
    """The folder held open, and the path of its files from there: whoever puts a link in its place afterwards moves nothing."""
    if os.open not in os.supports_dir_fd:  # pragma: no cover - Windows
        yield state_dir, None
        return
    try:
        handle = os.open(state_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError as error:
        raise corrupt(state_dir, f"the folder cannot be entered ({error.strerror})", cause=error) from error
    try:
        _require_own(state_dir, os.fstat(handle))
        yield Path(), handle
    finally:
        os.close(handle)


def _unlink(path: Path, at: int | None) -> None:
    with suppress(FileNotFoundError):
        os.unlink(path, dir_fd=at)


def remove(state_dir: Path) -> None:
    """Forget the server."""
    for name in (_NAME, _TEMPORARY):
        (state_dir / name).unlink(missing_ok=True)


def folder(state_dir: Path) -> Path:
    """The state folder, made 0700 with whatever is missing above it.

    Raises ``ActionFailed`` (``state_corrupt``) where it is not this user's alone: then it is left as it is.
    """
    try:
        for missing in reversed([item for item in (state_dir, *state_dir.parents) if not item.exists()]):
            missing.mkdir(mode=0o700, exist_ok=True)
        for item in (state_dir, *state_dir.parents):
            if item.is_symlink():
                _require_trusted_link(item, is_last=item == state_dir)
        _require_own(state_dir, state_dir.stat())
    except OSError as error:
        raise corrupt(state_dir, f"the folder cannot be made ({error.strerror})", cause=error) from error
    return state_dir


def _require_own(state_dir: Path, status: os.stat_result) -> None:
    if stat.S_ISLNK(status.st_mode):
        raise corrupt(state_dir, "it is a symbolic link, which could lead anywhere")
    if not stat.S_ISDIR(status.st_mode):
        raise corrupt(state_dir, "it is not a folder")
    if state_dir == Path(state_dir.anchor):
        raise corrupt(
            state_dir, "it is the root of the file system; name a folder of your own, for example ~/.local/state/netclaw-opencode"
        )
    if os.name != "posix":
        return
    shown = f"(owner {status.st_uid}, mode {stat.S_IMODE(status.st_mode):04o})"
    if status.st_uid != os.getuid():
        raise corrupt(state_dir, f"the folder {shown} belongs to another user, not to {os.getuid()}")
    if stat.S_IMODE(status.st_mode) & 0o077:
        raise corrupt(state_dir, f"the folder {shown} can be entered or written by others", next=f"chmod 700 {shlex.quote(str(state_dir))}")


def _require_trusted_link(item: Path, *, is_last: bool) -> None:
    """The folder itself may be no link; above it, systems have links of their own (/tmp on macOS), but no stranger's."""
    if is_last or (os.name == "posix" and item.lstat().st_uid not in (0, os.getuid())):
        raise corrupt(item, "it is a symbolic link, which could lead anywhere")


def corrupt(path: Path, why: str, *, next: str | None = None, cause: OSError | None = None) -> ActionFailed:  # noqa: A002 - the field's name
    """The error for a file or folder that cannot be trusted, or (``cause``) cannot be used."""
    return ActionFailed(
        "state_corrupt",
        f"{path}: {why}",
        next=next or _remedy(path, cause),
        details={"path": str(path)},
    )


def _remedy(path: Path, cause: OSError | None) -> str:
    if cause is not None and cause.errno in FULL:
        return "make room there, then call again"
    if cause is not None and cause.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"let this user write to {path.parent}, or set OPENCODE_DRIVER_STATE_DIR to a folder where it can"
    return f"look at {path}, then remove it or set OPENCODE_DRIVER_STATE_DIR"
