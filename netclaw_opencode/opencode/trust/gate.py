"""Ask for trust in front of each call that makes a server open a directory."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from netclaw_opencode._core.private_files import append_private, require_private_folder
from netclaw_opencode.errors import DriverError
from netclaw_opencode.opencode.trust.store import Trust

if TYPE_CHECKING:
    from netclaw_opencode.opencode.process.state import ServerRecord

_PREFIX = "opened-"


class Gate:
    """Lets a directory through once it was found to be trusted, for the life of the server that has it open then.

    What a server has open runs already what it runs: so a turn can be followed, answered and stopped although its agent has
    just written such a file. New work asks for trust anew (``Trust.require``).

    Args:
        trust: what the user has trusted.
        record: the server, if it is ours; its open directories are then known to other processes, too.
        folder: the server's folder; that of ``trust`` if it has none of its own.
    """

    def __init__(self, trust: Trust, record: ServerRecord | None = None, *, folder: Path | None = None) -> None:
        self._trust = trust
        self._folder = folder or trust.state_dir
        self._admitted: set[str] = set()
        self._file: Path | None = None
        if record is not None:
            self._file = self._folder / f"{_PREFIX}{record.pid}-{record.start_ticks}"

    def __call__(self, directory: str) -> None:
        """Raise ``Refused`` (``untrusted_project``) or ``ServerProblem`` (``config_error``) for a directory that is not trusted."""
        if directory in self._admitted:
            return
        if directory not in self._read_opened():
            self._trust.require(directory)
            self._remember(directory)
        self._admitted.add(directory)

    def admits(self, directory: str) -> bool:
        """Return whether the directory would be let through."""
        try:
            self(directory)
        except DriverError:
            return False
        return True

    def _read_opened(self) -> set[str]:
        if self._file is None:
            return set()
        try:
            lines = self._file.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError):
            return set()
        return {found for line in lines if isinstance(found := _parse_line(line), str)}

    def _remember(self, directory: str) -> None:
        if self._file is None:
            return
        with suppress(OSError):
            path = require_private_folder(self._folder) / self._file.name
            append_private(path, f"{json.dumps(directory)}\n".encode())


def _parse_line(line: str) -> object:
    try:
        found: object = json.loads(line)
    except ValueError:
        return None
    return found


def forget_opened(server_dir: Path) -> None:
    """Remove what was kept of servers that are gone."""
    for path in server_dir.glob(f"{_PREFIX}*"):
        path.unlink(missing_ok=True)


__all__ = ["Gate", "forget_opened"]
