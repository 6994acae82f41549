"""Which OpenCode servers run beside ours, and how much room there is: looked at, never touched.

Owns the reading of this user's processes for that, and of the file system's free space.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from netclaw_opencode.opencode.process.orphans import VARIABLE, is_server


@dataclass(frozen=True, slots=True)
class Neighbour:
    """An ``opencode serve`` of this user; ``mark`` is set where this skill started it, with whatever state folder."""

    pid: int
    create_time: float
    data_dir: Path | None
    mark: str | None


def list_servers() -> tuple[Neighbour, ...]:
    """Every one, oldest first. What a launcher started counts as the launcher."""
    found: dict[int, tuple[psutil.Process, Neighbour]] = {}
    for item in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            same_user = os.name != "posix" or item.uids().real == os.getuid()
            if same_user and is_server(item.cmdline()):
                environ = _environ(item)
                found[item.pid] = (item, Neighbour(item.pid, item.create_time(), data_dir(environ), environ.get(VARIABLE)))
    alone = [neighbour for item, neighbour in found.values() if not _parents(item) & found.keys()]
    return tuple(sorted(alone, key=lambda neighbour: neighbour.create_time))


def data_dir(environ: Mapping[str, str]) -> Path | None:
    """Return where a server with that environment keeps its database; None if nothing says it."""
    stated, home = environ.get("XDG_DATA_HOME", ""), environ.get("HOME", "")
    base = Path(stated) if Path(stated).is_absolute() else Path(home, ".local", "share") if home else None
    return base / "opencode" if base is not None else None


def free_bytes(path: Path) -> int | None:
    """Room where ``path`` is, or would be made."""
    for place in (path, *path.parents):
        with suppress(OSError):
            return shutil.disk_usage(place).free
    return None


def _environ(item: psutil.Process) -> Mapping[str, str]:
    with suppress(psutil.Error, OSError):
        return item.environ()
    return {}


def _parents(item: psutil.Process) -> set[int]:
    with suppress(psutil.Error, OSError):
        return {parent.pid for parent in item.parents()}
    return set()


__all__ = ["Neighbour", "data_dir", "free_bytes", "is_server", "list_servers"]
