"""Where skills lie: the packages below a path, and what surrounds each (its plugin, its repository).

Owns the walk: never through a link, never waiting for a pipe, past the folders of version control and of dependencies. A folder
that cannot be listed is a finding. Of a folder that is a whole project (``skill.yaml``, ``pyproject.toml``, ``package.json``, a
repository) only ``SKILL.md`` and the folders for supporting files are the skill; any other folder is the skill as it lies there.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from netclaw_opencode._core.documents import Fault, read_bytes
from netclaw_opencode.skill.check.findings import Finding, finding
from netclaw_opencode.skill.check.hosts import PLUGIN_MARKS

MANIFEST = "skill.yaml"
PAGE = "SKILL.md"
PROJECT = "pyproject.toml"
PLUGIN = "plugin.json"

NOT_OURS = {
    *(".git", ".hg", ".svn", ".jj", ".venv", "venv", ".tox", ".nox", ".tools"),
    *("node_modules", "bower_components", "site-packages", "__pycache__", ".mypy_cache", ".pytest_cache", ".ruff_cache"),
}
TEMPLATES = {"template", "_template", "skill-template", "template-skill"}
_OUR_MANIFEST = re.compile(rb"^actions[ \t]*:", re.MULTILINE)

Kind = Literal["missing", "file", "folder", "link", "other"]


@dataclass(frozen=True, slots=True)
class Package:
    """A folder with a ``skill.yaml``, a ``SKILL.md`` or both.

    Args:
        folder: The folder itself.
        foreign_manifest: Its ``skill.yaml`` is another tool's, so our contract does not apply.
        root: The folder around it within which links may lead: the one that was named, or its repository.
    """

    folder: Path
    foreign_manifest: bool = False
    root: Path | None = None

    @property
    def has_manifest(self) -> bool:
        """Whether there is a ``skill.yaml`` of ours, readable or not."""
        return not self.foreign_manifest and kind_of(self.folder / MANIFEST) != "missing"

    @property
    def has_page(self) -> bool:
        """Whether there is a ``SKILL.md``, readable or not."""
        return kind_of(self.folder / self.page) != "missing"

    @property
    def page(self) -> str:
        """``SKILL.md``, or ``skill.md`` where only that is there (some readers take it)."""
        return "skill.md" if kind_of(self.folder / PAGE) == "missing" and kind_of(self.folder / "skill.md") != "missing" else PAGE

    @property
    def is_project(self) -> bool:
        """Whether the folder is the source of a skill, and not the skill itself."""
        return self.has_manifest or any(kind_of(self.folder / mark) != "missing" for mark in (PROJECT, "package.json", ".git"))

    @property
    def support(self) -> tuple[str, ...]:
        """The folders of a project that are part of the skill; scripts of a package with a manifest are its developers'."""
        return ("references", "assets") if self.has_manifest else ("references", "assets", "scripts")


def kind_of(path: Path) -> Kind:
    """Return what lies at ``path``, without following a link."""
    try:
        mode = path.lstat().st_mode
    except (OSError, ValueError):
        return "missing"
    if stat.S_ISLNK(mode):
        return "link"
    if stat.S_ISDIR(mode):
        return "folder"
    return "file" if stat.S_ISREG(mode) else "other"


def is_inside(folder: Path, path: Path) -> bool:
    """Return whether ``path`` stays in ``folder``, also where it is a link."""
    try:
        return path.resolve().is_relative_to(folder.resolve())
    except (OSError, ValueError, RuntimeError):  # a loop of links, a NUL in the name
        return False


def repository_of(path: Path) -> Path | None:
    """Return the nearest folder at or around ``path`` that holds a ``.git``; None outside of any repository."""
    return next((folder for folder in (path, *path.parents) if kind_of(folder / ".git") != "missing"), None)


def plugin_of(package: Package) -> Path | None:
    """Return the nearest folder around a skill that is a plugin, within its root."""
    for folder in package.folder.parents:
        if any(kind_of(folder / mark) != "missing" for mark in PLUGIN_MARKS):
            return folder
        if folder == package.root:
            break
    return None


def package_at(path: Path) -> Package | None:
    """Return the package that ``path`` names: its folder, or one of its files (the nearest folder around it); None without one."""
    folder = path if path.is_dir() and path.name not in (MANIFEST, PAGE) else path.parent
    for parent in (folder, *folder.parents):
        package = Package(parent, root=repository_of(parent))
        if package.has_manifest or package.has_page:
            return package
        if kind_of(parent / ".git") != "missing" or (parent == path and path.is_dir()):
            break  # a file belongs to no package outside its repository
    return None


@dataclass(frozen=True, slots=True)
class Below:
    """What lies below a folder: packages, folders that could not be listed, and templates, which are copied under another name."""

    packages: list[Package]
    unreadable: list[tuple[Path, Finding]]
    templates: list[Path]


def find_packages(top: Path, *, is_excluded: Callable[[Path], bool]) -> Below:
    """Find every package at and below ``top``.

    Args:
        top: A folder, which may itself be a package.
        is_excluded: Whether the user's configuration leaves a folder out; asked for folders below ``top``.
    """
    root = repository_of(top) or top
    found = Below([], [], [])
    pending = [top]
    while pending:
        folder = pending.pop()
        listed = list_folder(folder)
        if isinstance(listed, Fault):
            found.unreadable.append((folder, finding("", "unreadable", f"the folder cannot be listed: {listed.what}")))
            continue
        names = {name for name, kind in listed}
        if names & {PAGE, "skill.md", MANIFEST}:
            foreign = folder != top and MANIFEST in names and not _is_our_manifest(folder / MANIFEST)
            package = Package(folder, foreign, root)
            if folder != top and folder.name in TEMPLATES:
                found.templates.append(folder)
            elif package.has_manifest or package.has_page:
                found.packages.append(package)
        below = [folder / name for name, kind in listed if kind == "folder" and name not in NOT_OURS]
        pending += reversed([each for each in below if not is_excluded(each)])
    return found


def list_folder(folder: Path) -> list[tuple[str, Kind]] | Fault:
    """Return the names in a folder in a stable order, each with its kind; what keeps it from being listed is the fault."""
    try:
        with os.scandir(folder) as entries:
            return sorted((entry.name, _kind(entry)) for entry in entries)
    except OSError as error:
        return Fault(error.strerror or str(error), "give read permission", kind="unreadable")


def walk(top: Path, base: Path) -> Iterator[tuple[str, Kind] | tuple[str, Fault]]:
    """Everything below ``top`` with its path relative to ``base``: files, links, odd things, and folders that cannot be listed.

    Folders that hold a skill of their own are left to that skill.
    """
    pending = [top]
    while pending:
        folder = pending.pop()
        relative = folder.relative_to(base).as_posix()
        listed = list_folder(folder)
        if isinstance(listed, Fault):
            yield relative, listed
            continue
        if folder != base and any(name in (PAGE, MANIFEST) and kind != "folder" for name, kind in listed):
            continue
        folders = []
        for name, kind in listed:
            if kind != "folder" or name == PAGE:
                yield (f"{relative}/{name}" if relative != "." else name), kind
            elif name not in NOT_OURS:
                folders.append(folder / name)
        pending += reversed(folders)


def _kind(entry: os.DirEntry[str]) -> Kind:
    if entry.is_symlink():
        return "link"
    if entry.is_dir(follow_symlinks=False):
        return "folder"
    return "file" if entry.is_file(follow_symlinks=False) else "other"


def _is_our_manifest(path: Path) -> bool:
    raw = read_bytes(path)
    return isinstance(raw, Fault) or bool(_OUR_MANIFEST.search(raw))


__all__ = [
    "MANIFEST",
    "PAGE",
    "PLUGIN",
    "PROJECT",
    "Below",
    "Kind",
    "Package",
    "find_packages",
    "is_inside",
    "kind_of",
    "list_folder",
    "package_at",
    "plugin_of",
    "repository_of",
    "walk",
]
