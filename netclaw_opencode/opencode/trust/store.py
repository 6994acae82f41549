"""Remember which files their user has trusted, by content, in a file of this user alone."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, cast

from netclaw_opencode._core import file_lock, strict_json
from netclaw_opencode._core.private_files import read_private, replace_private, require_private_folder, state_corrupt
from netclaw_opencode.errors import Refused, ServerProblem
from netclaw_opencode.opencode.trust.project_code import CodeFile, find_project_code

if TYPE_CHECKING:
    from netclaw_opencode.jsontypes import JsonObject
    from netclaw_opencode.settings import Settings

COMMAND = "netclaw-opencode server trust"
_NAME = "trusted.json"
_LOCK = "trusted.lock"
_LOCK_SECONDS = 10.0
"""Longer than anybody needs to write one small file: whoever waits so long goes on without the lock."""
_VERSION = 1
_SHOWN = 4


@dataclass(frozen=True, slots=True)
class TrustedFolder:
    """What was trusted at one time: the folder that was named, and the files with their digests."""

    directory: str
    files: Mapping[str, str]
    trusted_at: str


@dataclass(frozen=True, slots=True)
class Trust:
    """What this user has trusted.

    ``roots`` are folders below which every file is; ``only_plugins`` is for a server without project code, where nothing but
    a plugin can run.
    """

    state_dir: Path
    roots: tuple[Path, ...] = ()
    home: Path | None = None
    environ: Mapping[str, str] = field(default_factory=dict, repr=False)
    only_plugins: bool = False

    @classmethod
    def from_settings(cls, settings: Settings, *, only_plugins: bool = False) -> Trust:
        """Read the trust of the settings and their state folder."""
        return cls(settings.state_dir, settings.trust, settings.home, settings.environ, only_plugins)

    def find(self, directory: str) -> tuple[CodeFile, ...]:
        """Find the files whose code would run, trusted or not."""
        found = find_project_code(directory, home=self.home, environ=self.environ)
        return tuple(item for item in found if item.plugin or item.problem or not self.only_plugins)

    def require(self, directory: str) -> None:
        """Refuse a directory that runs untrusted code.

        Raises:
            Refused: ``untrusted_project``; nothing was opened.
            ServerProblem: ``config_error``, where a file cannot be read and so cannot be judged.
        """
        found = [item for item in self.find(directory) if not self._below_root(item.path)]
        if not found:
            return
        broken = next((item for item in found if item.problem is not None), None)
        if broken is not None:
            raise ServerProblem(
                "config_error",
                f"{broken.path} cannot be read, so it is not known what it would run: {broken.problem}; nothing was opened",
                next=f"fix {broken.path}",
                details={"directory": directory, "file": str(broken.path)},
            )
        trusted = self.folders()
        unknown = [item for item in found if not any(kept.files.get(str(item.path)) == item.digest for kept in trusted)]
        if unknown:
            changed = any(str(item.path) in kept.files for kept in trusted for item in unknown)
            raise _untrusted_error(directory, unknown, changed=changed)

    def _below_root(self, path: Path) -> bool:
        return any(path.is_relative_to(root.resolve()) for root in self.roots)

    def grant(self, directory: str, files: tuple[CodeFile, ...]) -> None:
        """Remember these files as trusted, with the content that they had when they were shown."""
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        kept = TrustedFolder(directory, {str(item.path): item.digest for item in files}, now)
        with self._locked():
            self._write([*(item for item in self.folders() if item.directory != directory), kept])

    def revoke(self, directory: str) -> bool:
        """Forget what was trusted for a directory, whichever directory it was named for; returns whether there was anything."""
        if not self.folders():
            return False
        names = {str(item.path) for item in self.find(directory)}
        with self._locked():
            before = self.folders()
            after = [
                TrustedFolder(item.directory, files, item.trusted_at)
                for item in before
                if item.directory != directory and (files := {name: digest for name, digest in item.files.items() if name not in names})
            ]
            if after != before:
                self._write(after)
        return after != before

    def _locked(self) -> AbstractContextManager[bool]:
        """Two calls that change what is trusted do it one after the other: none may undo the other's."""
        return file_lock.hold(require_private_folder(self.state_dir) / _LOCK, within_seconds=_LOCK_SECONDS)

    def folders(self) -> list[TrustedFolder]:
        """Read what was trusted, oldest first.

        Raises:
            ActionFailed: ``state_corrupt``.
        """
        path = self.state_dir / _NAME
        content = read_private(path)
        if content is None:
            return []
        try:
            return _parse_folders(cast("JsonObject", strict_json.parse(content)))
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise state_corrupt(path, "it is not a list of trusted folders of this version") from error

    def _write(self, kept: list[TrustedFolder]) -> None:
        wire = {"version": _VERSION, "folders": [{"directory": k.directory, "at": k.trusted_at, "files": dict(k.files)} for k in kept]}
        replace_private(require_private_folder(self.state_dir) / _NAME, json.dumps(wire).encode())


def _parse_folders(wire: Mapping[str, object]) -> list[TrustedFolder]:
    folders = wire["folders"]
    if wire["version"] != _VERSION or not isinstance(folders, list):
        raise ValueError("another version")
    return [
        TrustedFolder(str(item["directory"]), {str(name): str(digest) for name, digest in item["files"].items()}, str(item["at"]))
        for item in folders
    ]


def _untrusted_error(directory: str, files: list[CodeFile], *, changed: bool) -> Refused:
    shown = "; ".join(f"{item.path}: {', '.join(item.runs)}" for item in files[:_SHOWN])
    more = f"; and {len(files) - _SHOWN} more file(s), see details" if len(files) > _SHOWN else ""
    why = "that has changed since it was trusted" if changed else "that the user has not trusted"
    return Refused(
        "untrusted_project",
        f"OpenCode would run code of {directory} {why} ({shown}{more}); nothing was opened",
        next=f"look at these files, then: {COMMAND} {shlex.quote(directory)}",
        details={"directory": directory, "changed": changed, "files": [item.to_wire() for item in files]},
    )


__all__ = ["COMMAND", "Trust", "TrustedFolder"]
