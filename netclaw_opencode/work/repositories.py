"""Find the user's repository around a folder, and read of it what is plain data.

Owns that reading: which folder it is, where its index and objects are, and the few settings that say how files are compared. Files
are opened, and git reads single configuration files as such: a repository of another owner, or one whose configuration would run
something, is read like any other, and nothing of it runs.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from netclaw_opencode.work.git import Git, GitError

_SETTINGS = (
    *("core.autocrlf", "core.eol", "core.filemode", "core.symlinks", "core.ignorecase", "core.precomposeunicode"),
    *("core.excludesfile", "extensions.objectformat"),
)
"""Settings that say how files are compared; none of them can run anything."""
_LONGEST = 4096


@dataclass(frozen=True, slots=True)
class Repository:
    """A repository of the user.

    Attributes:
        root: The top of its work tree.
        folder: Its own folder: of a linked work tree, the one in ``worktrees/``.
        common: The folder that all its work trees share.
        settings: Those of its settings that are plain data.
    """

    root: Path
    folder: Path
    common: Path
    settings: Mapping[str, str] = field(default_factory=dict)

    @property
    def index(self) -> Path:
        """The user's index; it is copied, never written."""
        return self.folder / "index"

    @property
    def objects(self) -> Path:
        """The user's objects; new work may read them."""
        return self.common / "objects"

    @property
    def excludes(self) -> bytes:
        """What the repository itself leaves out, beyond its ignore files."""
        return _content(self.common / "info/exclude")

    @property
    def attributes(self) -> bytes:
        """Attributes beyond those of its files."""
        return _content(self.common / "info/attributes")

    def environment(self) -> dict[str, str]:
        """Variables by which git takes this very repository, whoever owns it."""
        return {"GIT_DIR": str(self.folder), "GIT_WORK_TREE": str(self.root)}

    def has_submodules(self) -> bool:
        """Whether it has, or had, repositories within it."""
        return (self.root / ".gitmodules").exists() or (self.folder / "modules").exists()


def find(directory: Path, git: Git, *, home: Path | None = None, config_home: Path | None = None) -> Repository | None:
    """Return the repository in which a folder stands, or None: a bare one, or a ``.git`` folder itself, has no files to look at.

    Args:
        directory: An absolute path without links.
        git: Reads the configuration files.
        home: The user's home, for settings of their own.
        config_home: Where the user's configuration stands, if not in ``.config`` of their home.
    """
    for root in (directory, *directory.parents):
        entry = root / ".git"
        if not os.path.lexists(entry):
            continue
        folder = _folder(entry)
        if folder is None or folder in (directory, *directory.parents):
            return None
        common = _common(folder)
        if not (common / "objects").is_dir():
            return None
        return Repository(root, folder, common, _settings(git, common, home, config_home))
    return None


def _folder(entry: Path) -> Path | None:
    """The repository that ``.git`` is or names."""
    if entry.is_dir():
        return entry.resolve() if (entry / "HEAD").exists() else None
    try:
        text = _content(entry)[:_LONGEST]
    except OSError:
        return None
    if not text.startswith(b"gitdir: "):
        return None
    folder = Path(entry.parent, os.fsdecode(text.removeprefix(b"gitdir: ").rstrip(b"\r\n")))
    return folder.resolve() if (folder / "HEAD").exists() else None


def _common(folder: Path) -> Path:
    text = _content(folder / "commondir").rstrip(b"\r\n")
    return Path(folder, os.fsdecode(text)).resolve() if text else folder


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def _settings(git: Git, common: Path, home: Path | None, config_home: Path | None) -> dict[str, str]:
    """Settings of the user, then of the repository, which win; a file that cannot be read says nothing."""
    found = settings_of_user(git, home, config_home)
    if (common / "config").is_file():
        found |= dict(_read(git, common / "config"))
    return _with_paths(found, home)


def settings_of_user(git: Git, home: Path | None, config_home: Path | None = None) -> dict[str, str]:
    """Return the user's own settings, as far as they are plain data."""
    if home is None:
        return {}
    config_home = config_home or home / ".config"
    found: dict[str, str] = {}
    if (config_home / "git/ignore").is_file():
        found["core.excludesfile"] = str(config_home / "git/ignore")
    for path in (config_home / "git/config", home / ".gitconfig"):
        if path.is_file():
            found |= dict(_read(git, path))
    return _with_paths(found, home)


def _with_paths(found: dict[str, str], home: Path | None) -> dict[str, str]:
    excludes = found.get("core.excludesfile", "")
    if excludes.startswith("~/") and home is not None:
        found["core.excludesfile"] = str(home / excludes[2:])
    elif excludes and not Path(excludes).is_absolute():
        del found["core.excludesfile"]
    return found


def _read(git: Git, path: Path) -> Iterator[tuple[str, str]]:
    """The settings that one file holds; what it includes is not followed."""
    try:
        told = git.run("config", "--file", str(path), "--no-includes", "--list", "-z", cwd=path.parent)
    except GitError:
        return
    for entry in told.split(b"\0"):
        name, given, value = os.fsdecode(entry).partition("\n")
        if name in _SETTINGS:
            yield name, value if given else "true"


__all__ = ["Repository", "find", "settings_of_user"]
