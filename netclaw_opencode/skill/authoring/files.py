"""Which files a package consists of, and what is wrong with them whatever they say.

Owns the walk: bounded, never through a link, never waiting for a pipe. A folder with a ``skill.yaml`` (or a
``pyproject.toml``) is a project, of which only ``SKILL.md``, ``references/`` and ``assets/`` become the skill;
any other folder is the skill as it lies there.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from netclaw_opencode._core.documents import Fault, read_bytes
from netclaw_opencode.skill.authoring.findings import Finding, finding, of_faults
from netclaw_opencode.skill.authoring.phrases import findings_in, phrase

MANIFEST = "skill.yaml"
PAGE = "SKILL.md"
PROJECT = "pyproject.toml"
PLUGIN = "plugin.json"
MAX_FILES = 1_000
MAX_OF_A_KIND = 20

_SUPPORT = ("references", "assets")
_NOT_OURS = {".git", ".hg", ".svn", ".venv", ".tools", "node_modules", "__pycache__"}
_TEXTS = {
    "",
    ".md",
    ".txt",
    ".yaml",
    ".yml",
    ".json",
    ".toml",
    ".ini",
    ".cfg",
    ".sh",
    ".bash",
    ".py",
    ".js",
    ".ts",
    ".html",
    ".xml",
    ".css",
}
# What bends or hides text: zero width, bidi, joiners, tag characters.
_INVISIBLE = re.compile("[\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff\U000e0000-\U000e007f]")
_MARK = b"\xef\xbb\xbf"

Kind = Literal["missing", "file", "link", "other"]


@dataclass(frozen=True, slots=True)
class Package:
    """A folder with a ``skill.yaml``, a ``SKILL.md`` or both."""

    folder: Path

    @property
    def has_manifest(self) -> bool:
        """Whether there is a ``skill.yaml``, readable or not."""
        return kind_of(self.folder / MANIFEST) != "missing"

    @property
    def has_page(self) -> bool:
        """Whether there is a ``SKILL.md``, readable or not."""
        return kind_of(self.folder / PAGE) != "missing"

    @property
    def is_project(self) -> bool:
        """Whether the folder is the source of a skill, and not the skill itself."""
        return self.has_manifest or kind_of(self.folder / PROJECT) != "missing"


def kind_of(path: Path) -> Kind:
    """What lies at ``path``, without following a link."""
    try:
        mode = path.lstat().st_mode
    except (OSError, ValueError):
        return "missing"
    if stat.S_ISLNK(mode):
        return "link"
    return "file" if stat.S_ISREG(mode) else "other"


def is_inside(package: Package, path: Path) -> bool:
    """Whether ``path`` stays in the package, also where it is a link."""
    try:
        return ".." not in path.relative_to(package.folder).parts and path.resolve().is_relative_to(package.folder.resolve())
    except (OSError, ValueError, RuntimeError):  # a loop of links, a NUL in the name
        return False


def package_at(path: Path) -> Package | None:
    """The package that ``path`` names: its folder, or one of its files (the nearest folder around it); None without one."""
    folder = path if path.is_dir() and path.name not in (MANIFEST, PAGE) else path.parent
    package = Package(folder)
    if package.has_manifest or package.has_page:
        return package
    if path.is_dir():
        return None
    for parent in (folder, *folder.parents):
        package = Package(parent)
        if package.has_manifest or package.has_page:
            return package
        if kind_of(parent / ".git") != "missing":  # a file belongs to no package outside its repository
            break
    return None


def file_findings(package: Package) -> Iterator[Finding]:
    """What is wrong with the files of the skill, except for what they mean."""
    seen: dict[str, str] = {}
    for count, (relative, kind) in enumerate(_entries(package), 1):
        if count > MAX_FILES:
            yield finding(relative, "too_many_files", f"the skill holds more than {MAX_FILES} files; the rest was not looked at")
            return
        first = seen.setdefault(relative.casefold(), relative)
        if first != relative:
            yield finding(relative, "case_clash", f"it differs from {first} in case alone")
        if kind == "link":
            yield finding(relative, "symlink", "it is a symbolic link")
        elif kind == "other":
            if relative not in (MANIFEST, PAGE):  # those are reported by whoever wants to read them
                yield finding(relative, "special_file", "it is neither a file nor a folder")
        else:
            yield from _of_file(package, relative)


def _entries(package: Package) -> Iterator[tuple[str, Kind]]:
    """Files, links and odd things, with their path in the package, in a stable order."""
    if not package.is_project:
        yield from _below(package.folder, package.folder)
        return
    for name in (PAGE, MANIFEST, PROJECT, PLUGIN):
        kind = kind_of(package.folder / name)
        if kind != "missing":
            yield name, kind
    if package.has_page:
        for name in _SUPPORT:
            top = package.folder / name
            if kind_of(top) == "link":
                yield name, "link"
            elif top.is_dir():
                yield from _below(top, package.folder)


def _below(top: Path, base: Path) -> Iterator[tuple[str, Kind]]:
    for folder, folders, names in os.walk(top):
        here = Path(folder)
        for name in sorted(folders):
            if kind_of(here / name) == "link":
                yield (here / name).relative_to(base).as_posix(), "link"
        folders[:] = sorted(name for name in folders if name not in _NOT_OURS and name != PAGE)
        for name in sorted(names):
            yield (here / name).relative_to(base).as_posix(), kind_of(here / name)


def _of_file(package: Package, relative: str) -> Iterator[Finding]:
    suffix = Path(relative).suffix.lower()
    if suffix == ".py" and not package.is_project:
        yield finding(relative, "python_in_skill", "it is Python source, and the skill has no manifest")
    raw = read_bytes(package.folder / relative)
    if isinstance(raw, Fault):
        if relative not in (MANIFEST, PAGE, PROJECT, PLUGIN):
            yield from of_faults(relative, [raw])
        return
    if b"\0" in raw[:8192]:
        return
    if raw.startswith(_MARK) and suffix in (".md", ".yaml"):
        yield finding(relative, "byte_order_mark", "it begins with a byte order mark")
    try:
        text = raw.removeprefix(_MARK).decode("utf-8")
    except UnicodeDecodeError as error:
        if suffix in _TEXTS and relative not in (MANIFEST, PAGE, PROJECT, PLUGIN):
            line = raw.count(b"\n", 0, error.start) + 1
            yield finding(relative, "not_utf8", f"it is not UTF-8 (byte {error.start})", line=line)
        return
    if suffix == ".md" and "\r" in text:
        yield finding(relative, "carriage_return", "it has Windows line ends", line=text.count("\n", 0, text.index("\r")) + 1)
    # What no host reads as a skill may speak of anything.
    if relative not in (MANIFEST, PROJECT, PLUGIN):
        yield from text_findings(relative, text)


def text_findings(relative: str, text: str) -> Iterator[Finding]:
    """Invisible characters and the phrases of scanners."""
    found = []
    for number, line in enumerate(text.split("\n"), 1):
        odd = _INVISIBLE.search(line)
        if odd is not None:
            what = f"the character U+{ord(odd[0]):04X} cannot be seen"
            found.append(finding(relative, "invisible_character", what, line=number, column=odd.start() + 1))
    yield from found[:MAX_OF_A_KIND]
    for caught in findings_in(text)[:MAX_OF_A_KIND]:
        row = phrase(caught.phrase_id)
        what = f"{caught.matched[:80]!r} ({row.id}): {row.why}"
        yield finding(relative, "scanner_phrase", what, line=caught.line, column=caught.column)


__all__ = [
    "MANIFEST",
    "MAX_FILES",
    "PAGE",
    "PLUGIN",
    "PROJECT",
    "Kind",
    "Package",
    "file_findings",
    "is_inside",
    "kind_of",
    "package_at",
    "text_findings",
]
