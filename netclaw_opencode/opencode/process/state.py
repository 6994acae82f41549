"""The state file: how the next process finds a server that we started.

Owns one JSON file, in a folder that only this user may enter. The file holds the server's
password, so it is created 0600 and never printed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import cast

import psutil

from netclaw_opencode._core import strict_json
from netclaw_opencode._core.private_files import read_private, replace_private, require_own_folder, require_private_folder, state_corrupt
from netclaw_opencode.opencode.process import identity
from netclaw_opencode.opencode.process.identity import ProcessIdentity

_VERSION = 2
_NAME = "server.json"
_TEMPORARY = ".server.json.new"
_TYPES: Mapping[str, tuple[type, ...]] = {"pid": (int,), "version": (int,), "start_ticks": (int,), "without_project_code": (bool,)}
_NOT_RUNNING = -1
"""Start ticks that no process has."""


@dataclass(frozen=True, slots=True)
class ServerRecord:
    """A server that we started.

    ``boot_id``, ``pid_namespace`` and ``start_ticks`` distinguish its process from every other of the same pid; ``mark`` is the
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
    """Return the record, or None if there is none.

    Raises:
        ActionFailed: ``state_corrupt``, for a file that is damaged or that others could have written.
    """
    path = state_dir / _NAME
    try:
        require_own_folder(state_dir, state_dir.lstat())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise state_corrupt(state_dir, f"the folder cannot be used ({error.strerror})", cause=error) from error
    content = read_private(path)
    if content is None:
        return None
    try:
        return _parse_record(cast("dict[str, object]", strict_json.parse(content)))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise state_corrupt(path, "it is not a record of this version") from error


def _parse_record(found: dict[str, object]) -> ServerRecord:
    """Return the record, if every field is there and of its type; raises ``TypeError`` or ``ValueError``."""
    version_1 = found.get("version") == 1
    record = ServerRecord(**(_upgrade_version_1(found) if version_1 else found))  # type: ignore[arg-type]  # checked right below
    if record.version != _VERSION and not version_1:
        raise ValueError("another version")
    for name, value in asdict(record).items():
        wanted = _TYPES.get(name, (str,))
        if not isinstance(value, wanted) or (isinstance(value, bool) and wanted != (bool,)):
            raise TypeError(f"{name} is of another type")
    return record


def _upgrade_version_1(found: Mapping[str, object]) -> dict[str, object]:
    """Return a record of version 1.0, which knew a process by its start on the wall clock.

    Where that fits the process that has the pid now, it is that one; where it does not (the clock may have been set since), the
    server counts as gone, and nothing is signalled.
    """
    from netclaw_opencode.opencode.process.orphans import mark_of_version_1

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
    # One temporary name for all, under the lock: what a killed writer left is replaced, and never adopted with its mode.
    replace_private(require_private_folder(state_dir) / _NAME, json.dumps(asdict(record)).encode(), temporary=_TEMPORARY)


def remove(state_dir: Path) -> None:
    """Forget the server."""
    for name in (_NAME, _TEMPORARY):
        (state_dir / name).unlink(missing_ok=True)
