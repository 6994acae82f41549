"""A private copy of a folder.

Owns the copying: by reference where the file system can (a reflink takes no room and no time), else byte by byte; times, modes and links as
they are. What it cannot make whole it does not leave behind.
"""

from __future__ import annotations

import os
import shutil
import stat
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from netclaw_opencode.errors import ActionFailed, InvalidInput

_FICLONE = 0x40049409
"""Linux's request to share a file's blocks."""
_SPARE_BYTES = 64 * 1024 * 1024
"""So much room is left on the disk."""
_PIECE = 1 << 20


def copy_folder(source: Path, target: Path, *, leave_out: frozenset[Path] = frozenset()) -> bool:
    """Copy a folder to a new place; return whether files are shared by reference.

    Args:
        source: An absolute path without links.
        target: Where nothing is yet.
        leave_out: Absolute paths below the source that are not copied.

    Raises:
        ActionFailed: ``work_failed``: no room, or something cannot be read; the target is gone then.
    """
    shares = _shares(source, target.parent)
    if not shares:
        _require_room(source, target.parent, leave_out)
    try:
        _copy(source, target, leave_out, shares=shares)
    except OSError as error:
        with suppress(OSError):
            shutil.rmtree(target)
        why = f"{error.filename or source}: {error.strerror}"
        raise ActionFailed("work_failed", f"{source} could not be copied to {target} ({why}); the copy was removed again") from error
    return shares


def _copy(source: Path, target: Path, leave_out: frozenset[Path], *, shares: bool) -> None:
    target.mkdir(mode=0o700)
    with os.scandir(source) as entries:
        for entry in entries:
            path, new = Path(entry.path), target / entry.name
            if path in leave_out or (entry.name == ".git" and not entry.is_dir(follow_symlinks=False)):
                # A .git file leads into somebody's repository: what is done in a copy must not be done there.
                continue
            status = entry.stat(follow_symlinks=False)
            if stat.S_ISLNK(status.st_mode):
                new.symlink_to(path.readlink())
            elif stat.S_ISDIR(status.st_mode):
                _copy(path, new, leave_out, shares=shares)
            elif stat.S_ISREG(status.st_mode):
                copy_file(path, new, shares=shares)
    # Last: a folder that may not be written could not be filled.
    shutil.copystat(source, target, follow_symlinks=False)


def copy_file(source: Path, target: Path, *, shares: bool = True) -> None:
    """Copy one file with its times and mode; ``shares``: by reference, if the file system can."""
    with source.open("rb") as old, target.open("xb") as new:
        if not (shares and _clone(old.fileno(), new.fileno())):
            while piece := old.read(_PIECE):
                new.write(piece)
    shutil.copystat(source, target)


def _shares(source: Path, target: Path) -> bool:
    """Whether files can be shared by reference between the two: tried with an empty one, which tells it on every system."""
    if source.stat().st_dev != target.stat().st_dev:
        return False
    probe, clone = target / ".probe", target / ".probe-clone"
    try:
        probe.write_bytes(b"x" * 4096)
        with probe.open("rb") as old, clone.open("xb") as new:
            return _clone(old.fileno(), new.fileno())
    except OSError:
        return False
    finally:
        probe.unlink(missing_ok=True)
        clone.unlink(missing_ok=True)


def _clone(source: int, target: int) -> bool:
    if sys.platform != "linux":
        return False
    import fcntl

    try:
        fcntl.ioctl(target, _FICLONE, source)
    except OSError:
        return False
    return True


def _require_room(source: Path, target: Path, leave_out: frozenset[Path]) -> None:
    needed = sum(_sizes(source, leave_out))
    free = shutil.disk_usage(target).free
    if needed + _SPARE_BYTES > free:
        raise ActionFailed(
            "work_failed",
            f"{source} takes {needed // 1024**2} MiB, and {target} has room for {max(0, free - _SPARE_BYTES) // 1024**2} MiB; "
            "nothing was copied",
            next="make room, link large folders (link_paths), or set OPENCODE_DRIVER_STATE_DIR to a larger disk",
        )


def _sizes(folder: Path, leave_out: frozenset[Path]) -> Iterator[int]:
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if Path(entry.path) in leave_out:
                    continue
                if entry.is_dir(follow_symlinks=False):
                    yield from _sizes(Path(entry.path), leave_out)
                elif entry.is_file(follow_symlinks=False):
                    yield entry.stat(follow_symlinks=False).st_size
    except OSError as error:
        raise ActionFailed("work_failed", f"{folder} cannot be read ({error.strerror}); nothing was copied") from error


def bring(root: Path, tree: Path, *, link: list[str], copy: list[str]) -> tuple[str, ...]:
    """Link and copy untracked needs of a project (``.venv``, ``node_modules``, ``.env``) into the tree; return their paths.

    Raises:
        InvalidInput: A path is not one below the root, is not there, or stands in the tree already.
        ActionFailed: ``work_failed``: it could not be copied.
    """
    for name, given in (("link_paths", link), ("copy_paths", copy)):
        for text in given:
            _bring_one(root, tree, name, text, links=given is link)
    return (*link, *copy)


def _bring_one(root: Path, tree: Path, name: str, text: str, *, links: bool) -> None:
    path = Path(text)
    if path.is_absolute() or ".." in path.parts or not path.parts or path.parts[0] == ".git":
        raise InvalidInput("invalid_input", f"{name}: {text[:200]!r} must be a path below {root}, such as .venv")
    source, target = root / path, tree / path
    if not os.path.lexists(source):
        raise InvalidInput("invalid_input", f"{name}: there is no {text[:200]!r} in {root}")
    if os.path.lexists(target):
        raise InvalidInput("invalid_input", f"{name}: {text[:200]!r} is in the tree already (git knows it); leave it out")
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.parent.resolve() != tree.resolve() / path.parent:
        raise InvalidInput("invalid_input", f"{name}: {text[:200]!r} lies behind a link")
    try:
        if links:
            target.symlink_to(source)
        elif source.is_symlink() or not source.is_dir():
            copy_file(source.resolve(strict=True), target)
        else:
            copy_folder(source.resolve(), target)
    except OSError as error:
        raise ActionFailed("work_failed", f"{name}: {text[:200]!r} could not be brought ({error.strerror})") from error


__all__ = ["bring", "copy_file", "copy_folder"]
