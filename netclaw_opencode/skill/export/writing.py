"""An export put on disk: whole or not at all, and never over anything but an earlier export.

Owns the look at what is there, the writing beside it and the exchange. It follows no link out of the folder that the
caller named.
"""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from netclaw_opencode.errors import InvalidInput
from netclaw_opencode.skill.export.forms import Export

_MOST_FILES = 100
_MOST_BYTES = 4 * 1024 * 1024


def write(export: Export, to: Path) -> tuple[Path, bool]:
    """Write the export below ``to``, which is made if it is missing; returns its folder and whether it replaced an earlier one.

    Raises ``InvalidInput`` (``invalid_input``) where something else stands in its place, or if it cannot be written;
    then everything is as it was.
    """
    try:
        root = _place(to, export.root)
        earlier = root.exists()
        if earlier:
            _require_earlier(root, export)
        elif root.is_symlink():
            raise _refused(root, "is a link that leads nowhere")
        _exchange(root, export.files, earlier=earlier)
    except OSError as error:
        raise InvalidInput("invalid_input", f"--to {str(to)!r} cannot be written: {error.strerror or error}") from error
    return root, earlier


def _place(to: Path, root: str) -> Path:
    """Return where the export's folder belongs."""
    base = to.expanduser().absolute()
    if base.exists() and not base.is_dir():
        raise InvalidInput("invalid_input", f"--to {str(to)!r} is not a folder")
    # A link to a folder is what its owner calls that folder; below it, nothing may lead away.
    base = base.resolve()
    place = base / root
    for above in reversed(place.parents[: len(Path(root).parts) - 1]):
        if above.is_symlink():
            raise _refused(above, "is a link")
    if place.is_symlink():
        raise _refused(place, "is a link")
    return place


def _require_earlier(root: Path, export: Export) -> None:
    if not root.is_dir():
        raise _refused(root, "is not a folder")
    if not any(root.iterdir()):
        return
    if not export.recognise(_read(root)):
        raise _refused(root, "holds something else than an earlier export as it was written (or somebody has changed that since)")


def _read(root: Path) -> Mapping[str, bytes]:
    """Every file below ``root``; refused as soon as there is more than an export has."""
    found: dict[str, bytes] = {}
    size = 0
    for folder, folders, names in os.walk(root):
        for name in (*folders, *names):
            path = Path(folder, name)
            status = path.lstat()
            if stat.S_ISDIR(status.st_mode):
                continue
            size += status.st_size
            if not stat.S_ISREG(status.st_mode) or len(found) >= _MOST_FILES or size > _MOST_BYTES:
                raise _refused(root, f"holds {path.name}, which is of no export")
            found[path.relative_to(root).as_posix()] = path.read_bytes()
    return found


def _exchange(root: Path, files: Mapping[str, bytes], *, earlier: bool) -> None:
    """The new folder is made beside its place and moved there; the old one waits until it is."""
    root.parent.mkdir(parents=True, exist_ok=True)
    beside = Path(tempfile.mkdtemp(prefix=f".{root.name}-", dir=root.parent))
    try:
        new, old = beside / "new", beside / "old"
        for name, content in files.items():
            _write_file(new, name, content)
        if earlier:
            root.rename(old)
        try:
            new.rename(root)
        except BaseException:  # an interrupt, too: the folder beside is removed with what is in it
            if earlier:
                old.rename(root)
            raise
    finally:
        with suppress(OSError):
            shutil.rmtree(beside)


def _write_file(folder: Path, name: str, content: bytes) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    for above in (path.parent, *path.parent.parents):
        # Whatever the caller's umask: hosts often run as somebody else.
        above.chmod(0o755)
        if above == folder:
            break
    path.write_bytes(content)
    path.chmod(0o644)


def _refused(path: Path, why: str) -> InvalidInput:
    return InvalidInput("invalid_input", f"{path} {why}; it was left as it is", next="name another folder with --to, or move that one away")


__all__ = ["write"]
