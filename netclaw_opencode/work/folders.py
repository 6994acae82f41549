"""Folders and files of ours in the state folder: of this user alone, written whole or not at all.

Owns how they are made. The state folder itself is judged where it is first used for a server (``opencode.process.state``); here the
same is asked of it once more, since a snapshot may come first.
"""

from __future__ import annotations

import json
import os
import secrets
import stat
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from netclaw_opencode.errors import ActionFailed


def make_private(state_dir: Path, *names: str) -> Path:
    """Return a folder below the state folder, made 0700 with whatever is missing above it.

    Raises:
        ActionFailed: ``state_corrupt``: it cannot be made, or belongs to somebody else.
    """
    folder = state_dir
    try:
        for missing in reversed([item for item in (state_dir, *state_dir.parents) if not item.exists()]):
            missing.mkdir(mode=0o700, exist_ok=True)
        _require_own(state_dir)
        for name in names:
            folder = folder / name
            folder.mkdir(mode=0o700, exist_ok=True)
            _require_own(folder)
    except OSError as error:
        raise unusable(folder, f"the folder cannot be made ({error.strerror})") from error
    return folder


def _require_own(folder: Path) -> None:
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode):
        raise unusable(folder, "it is no folder")
    if os.name == "posix" and (status.st_uid != os.getuid() or stat.S_IMODE(status.st_mode) & 0o077):
        raise unusable(folder, "others than this user can enter or write it")


def unusable(path: Path, why: str) -> ActionFailed:
    """Return the error for something of ours that cannot be used."""
    return ActionFailed("state_corrupt", f"{path}: {why}", details={"path": str(path)})


def write_private(path: Path, content: bytes) -> None:
    """Write a file of this user alone: whoever reads it sees all of it, or what stood there before.

    Raises:
        ActionFailed: ``state_corrupt``, with the system's reason; nothing is left of it.
    """
    new = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0), 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
    except OSError as error:
        with suppress(OSError):
            new.unlink(missing_ok=True)
        raise unusable(path, f"it cannot be written ({error.strerror})") from error


def write_json(path: Path, value: Mapping[str, object]) -> None:
    """Write a document, as ``write_private`` does."""
    write_private(path, (json.dumps(value, ensure_ascii=True, indent=1) + "\n").encode())


__all__ = ["make_private", "unusable", "write_json", "write_private"]
