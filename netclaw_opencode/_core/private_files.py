"""Read and write files of this user alone: folders of mode 0700, files of mode 0600, no link followed.

Everything that this package keeps goes through here: the state file, locks, trusted files, schemas, results, the flight record and the
audit file.
"""

from __future__ import annotations

import errno
import os
import secrets
import shlex
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from netclaw_opencode.errors import ActionFailed

SAFE_DAYS = 7
"""What tasks leave stays so long, however much it is (``sweep_files``)."""
_DAY = 86400.0
_SWEEP_SECONDS = 3600.0
_SWEPT = ".swept"
_FULL = (errno.ENOSPC, errno.EDQUOT)
# A link could lead anywhere, and a pipe without a reader would hang the call.
_CAUTIOUS = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)


def open_private(path: Path, flags: int, *, dir_fd: int | None = None) -> int:
    """Open a file without following a link or waiting for a pipe; a new file gets mode 0600.

    Args:
        path: The file; relative to ``dir_fd`` if that is given.
        flags: Flags of ``os.open``.
        dir_fd: An open folder.

    Raises:
        OSError: The file cannot be opened.
    """
    return os.open(path, flags | _CAUTIOUS, 0o600, dir_fd=dir_fd)


def require_private_file(handle: int) -> None:
    """Raise ``OSError`` if the open file is not a regular one that this user alone can read and write."""
    status = os.fstat(handle)
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "it is not a regular file")
    if os.name == "posix" and (status.st_uid != os.getuid() or stat.S_IMODE(status.st_mode) & 0o077):
        raise OSError(errno.EPERM, "it must belong to this user alone (mode 0600: chmod 600)")


def read_private(path: Path) -> bytes | None:
    """Read a file of this user alone; None if there is none.

    Raises:
        ActionFailed: ``state_corrupt``: others could have written the file, or it cannot be opened.
    """
    try:
        handle = open_private(path, os.O_RDONLY)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise state_corrupt(path, f"it cannot be opened ({error.strerror})") from error
    try:
        require_private_file(handle)
        with os.fdopen(handle, "rb", closefd=False) as file:
            return file.read()
    except OSError as error:
        raise state_corrupt(path, str(error.strerror)) from error
    finally:
        os.close(handle)


def create_private(path: Path, content: bytes) -> None:
    """Write a new file, whole or not at all.

    Raises:
        OSError: The file exists already, or cannot be written.
    """
    handle = open_private(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
    except OSError:
        path.unlink(missing_ok=True)
        raise


def replace_private(path: Path, content: bytes, *, temporary: str | None = None) -> None:
    """Replace a file whole or not at all; its folder must be private (``require_private_folder``).

    Args:
        path: The file.
        content: What it will hold.
        temporary: Name of the file that is written first. Writers that hold a lock share one name, so that the next one removes what a
            killed one left; by default each writer has its own.

    Raises:
        ActionFailed: ``state_corrupt``: the file cannot be written.
    """
    temporary = temporary or f".{path.name}.{secrets.token_hex(4)}"
    with _open_folder(path.parent) as (inside, at):
        _unlink(inside / temporary, at)
        try:
            handle = open_private(inside / temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, dir_fd=at)
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(inside / temporary, inside / path.name, src_dir_fd=at, dst_dir_fd=at)
        except OSError as error:
            raise state_corrupt(path, f"it cannot be written ({error.strerror})", cause=error) from error
        finally:
            _unlink(inside / temporary, at)


def open_for_appending(path: Path) -> int:
    """Open a private file for appending, and create it if it is missing.

    Raises:
        OSError: It cannot be opened, or is not this user's alone.
    """
    handle = open_private(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        require_private_file(handle)
    except OSError:
        os.close(handle)
        raise
    return handle


def append_private(path: Path, line: bytes) -> None:
    """Append in one write, so that lines of several processes do not mix.

    Raises:
        OSError: The line was not written whole.
    """
    handle = open_for_appending(path)
    try:
        if os.write(handle, line) != len(line):
            raise OSError(errno.EIO, "the record was cut off")
    finally:
        os.close(handle)


def require_private_folder(folder: Path) -> Path:
    """Make a folder 0700, with whatever is missing above it, and return it.

    Raises:
        ActionFailed: ``state_corrupt``: it is not this user's alone; then it is left as it is.
    """
    try:
        for missing in reversed([item for item in (folder, *folder.parents) if not item.exists()]):
            missing.mkdir(mode=0o700, exist_ok=True)
        for item in (folder, *folder.parents):
            if item.is_symlink():
                _require_trusted_link(item, is_last=item == folder)
        require_own_folder(folder, folder.stat())
    except OSError as error:
        raise state_corrupt(folder, f"the folder cannot be made ({error.strerror})", cause=error) from error
    return folder


def make_private_folder(root: Path, *names: str) -> Path:
    """Make a folder below ``root`` and return it; each one on the way from there is this user's alone (``require_private_folder``)."""
    folder = require_private_folder(root)
    for name in names:
        folder = require_private_folder(folder / name)
    return folder


def require_own_folder(folder: Path, status: os.stat_result) -> None:
    """Raise ``ActionFailed`` (``state_corrupt``) if others could enter or replace the folder."""
    if stat.S_ISLNK(status.st_mode):
        raise state_corrupt(folder, "it is a symbolic link, which could lead anywhere")
    if not stat.S_ISDIR(status.st_mode):
        raise state_corrupt(folder, "it is not a folder")
    if folder == Path(folder.anchor):
        raise state_corrupt(
            folder, "it is the root of the file system; name a folder of your own, for example ~/.local/state/netclaw-opencode"
        )
    if os.name != "posix":
        return
    shown = f"(owner {status.st_uid}, mode {stat.S_IMODE(status.st_mode):04o})"
    if status.st_uid != os.getuid():
        raise state_corrupt(folder, f"the folder {shown} belongs to another user, not to {os.getuid()}")
    if stat.S_IMODE(status.st_mode) & 0o077:
        raise state_corrupt(folder, f"the folder {shown} can be entered or written by others", next=f"chmod 700 {shlex.quote(str(folder))}")


def state_corrupt(path: Path, why: str, *, next: str | None = None, cause: OSError | None = None) -> ActionFailed:  # noqa: A002 - the field's name
    """Make the error for a file or folder that cannot be trusted, or (``cause``) cannot be used."""
    return ActionFailed("state_corrupt", f"{path}: {why}", next=next or _remedy(path, cause), details={"path": str(path)})


def is_full(error: OSError) -> bool:
    """Return whether the error means that the disk, or the user's share of it, is full."""
    return error.errno in _FULL


def sweep_files(folder: Path, pattern: str, *, most: int, longest_days: float) -> None:
    """Remove files beyond the newest ``most`` ones, and those older than ``longest_days``; what cannot be removed stays.

    Nothing goes within ``SAFE_DAYS``: a batch may have thousands of tasks, and whoever started it looks at each when all are done. A folder
    is looked through once an hour at most, since it may hold very many files.

    Args:
        folder: The folder.
        pattern: Which of its files, as a shell would say it.
        most: How many may stay beyond ``SAFE_DAYS``.
        longest_days: How long they may stay, in days.
    """
    now = time.time()
    stamp = folder / _SWEPT
    with suppress(OSError):
        if 0 <= now - stamp.stat().st_mtime < _SWEEP_SECONDS:
            return
    with suppress(OSError):
        stamp.touch(mode=0o600)
    found: list[tuple[float, Path]] = []
    for path in folder.glob(pattern):
        with suppress(OSError):  # another process sweeps, too
            found.append((now - path.lstat().st_mtime, path))
    for place, (age, path) in enumerate(sorted(found)):
        if age > longest_days * _DAY or (place >= most and age > SAFE_DAYS * _DAY):
            with suppress(OSError):
                path.unlink()


@contextmanager
def _open_folder(folder: Path) -> Iterator[tuple[Path, int | None]]:
    """Hold the folder open: a link that is put in its place meanwhile moves nothing. Yields the path of its files from there."""
    if os.open not in os.supports_dir_fd:  # pragma: no cover - Windows
        yield folder, None
        return
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError as error:
        raise state_corrupt(folder, f"the folder cannot be entered ({error.strerror})", cause=error) from error
    try:
        require_own_folder(folder, os.fstat(handle))
        yield Path(), handle
    finally:
        os.close(handle)


def _unlink(path: Path, at: int | None) -> None:
    with suppress(FileNotFoundError):
        os.unlink(path, dir_fd=at)


def _require_trusted_link(item: Path, *, is_last: bool) -> None:
    """The folder itself may be no link; above it, only root's (/tmp on macOS) and this user's own are trusted."""
    if is_last or (os.name == "posix" and item.lstat().st_uid not in (0, os.getuid())):
        raise state_corrupt(item, "it is a symbolic link, which could lead anywhere")


def _remedy(path: Path, cause: OSError | None) -> str:
    if cause is not None and is_full(cause):
        return "make room there, then call again"
    if cause is not None and cause.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"let this user write to {path.parent}, or set OPENCODE_DRIVER_STATE_DIR to a folder where it can"
    return f"look at {path}, then remove it or set OPENCODE_DRIVER_STATE_DIR"


__all__ = [
    "SAFE_DAYS",
    "append_private",
    "create_private",
    "is_full",
    "make_private_folder",
    "open_for_appending",
    "open_private",
    "read_private",
    "replace_private",
    "require_own_folder",
    "require_private_file",
    "require_private_folder",
    "state_corrupt",
    "sweep_files",
]
