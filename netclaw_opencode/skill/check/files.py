"""The files of one skill: read once, and what is wrong with them whatever they say.

Owns the reading. Text is kept for the checks of its meaning (links, phrases); a file that is no text is not looked into.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from netclaw_opencode._core.documents import Fault, read_bytes
from netclaw_opencode.skill.check.findings import Edit, Finding, finding, from_faults
from netclaw_opencode.skill.check.hosts import CONTRACT, HOSTS
from netclaw_opencode.skill.check.places import MANIFEST, PLUGIN, PROJECT, Kind, Package, is_inside, kind_of, walk

LARGEST_TEXT = 16 * 1024 * 1024
"""More text than this is reported and not looked into: no agent reads a file of that size."""
_LARGE = {"hermes": 256 * 1024, "openclaw": 1024 * 1024, CONTRACT: 1024 * 1024}  # what each host's document names

_MARKDOWN = (".md", ".markdown", ".mdx")
_NOT_TEXT = {
    *(".png", ".jpg", ".jpeg", ".gif", ".webp", ".ico", ".bmp", ".tiff", ".pdf", ".zip", ".gz", ".tar", ".xz", ".7z", ".whl"),
    *(".ttf", ".otf", ".woff", ".woff2", ".mp3", ".mp4", ".wav", ".webm", ".mov", ".docx", ".xlsx", ".pptx", ".pyc", ".so", ".wasm"),
}
_MARK = b"\xef\xbb\xbf"
# What bends or hides text: zero width, bidi, joiners, tag characters.
_INVISIBLE = re.compile("[\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff\U000e0000-\U000e007f]")
# Joiners and marks of direction are letters of these scripts: Hebrew to Syriac, Thaana, N'Ko, and the Indic ones.
_JOINED = re.compile("[\u0590-\u08ff\u0900-\u0dff\u0f00-\u0fff\u1000-\u109f\u1780-\u17ff\ufb1d-\ufdff\ufe70-\ufeff]")
_EMOJI = re.compile("[\u200d\u2600-\u27bf\u2190-\u21ff\u2300-\u23ff\u2b00-\u2bff\ufe0f\U0001f000-\U0001faff\U000e0020-\U000e007f]")


@dataclass(slots=True)
class SkillFiles:
    """What lies in a skill, and the text of what is text, both by path relative to the package."""

    package: Package
    kinds: dict[str, Kind] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    found: list[Finding] = field(default_factory=list)

    def markdown(self) -> list[str]:
        """Return the Markdown files, the page first."""
        names = [name for name in self.texts if name.lower().endswith(_MARKDOWN)]
        return sorted(names, key=lambda name: (name != self.package.page, name))


def read_files(package: Package) -> SkillFiles:
    """Read every file of a skill once."""
    files = SkillFiles(package)
    seen: dict[str, str] = {}
    for relative, kind in _entries(package):
        if isinstance(kind, Fault):
            files.found.append(finding(relative, "unreadable", f"the folder cannot be listed: {kind.what}"))
            continue
        files.kinds[relative] = kind
        first = seen.setdefault(relative.casefold(), relative)
        if first != relative:
            files.found.append(finding(relative, "case_clash", f"it differs from {first} in case alone"))
        if kind == "link":
            files.found.append(_of_link(package, relative))
        elif kind == "other":
            if relative not in (MANIFEST, package.page):  # those are reported by whoever wants to read them
                files.found.append(finding(relative, "special_file", "it is neither a file nor a folder"))
        elif kind == "file":
            files.found += _read(files, relative)
    files.found += _counted(files)
    return files


def _entries(package: Package) -> Iterator[tuple[str, Kind] | tuple[str, Fault]]:
    if not package.is_project:
        yield from walk(package.folder, package.folder)
        return
    for name in (package.page, MANIFEST, PROJECT, PLUGIN):
        kind = kind_of(package.folder / name)
        if kind != "missing" and not (name == MANIFEST and package.foreign_manifest):
            yield name, kind
    for name in package.support if package.has_page else ():
        top = package.folder / name
        if kind_of(top) == "link":
            yield name, "link"
        elif kind_of(top) == "folder":
            yield from walk(top, package.folder)


def _of_link(package: Package, relative: str) -> Finding:
    path = package.folder / relative
    try:
        there = path.exists()
    except (OSError, RuntimeError):  # a loop of links
        there = False
    if not there:
        return finding(relative, "symlink_broken", "it is a symbolic link that leads nowhere")
    if is_inside(package.folder, path):
        return finding(relative, "symlink", "it is a symbolic link")
    return finding(relative, "symlink_outside", "it is a symbolic link that leads out of the skill")


def _counted(files: SkillFiles) -> Iterator[Finding]:
    number = sum(kind == "file" for kind in files.kinds.values())
    for host in HOSTS.values():
        if host.max_files is not None and number > host.max_files:
            message = f"the skill holds {number} files; {host.title} takes {host.max_files}"
            yield finding(files.package.page, "too_many_files", message, hosts=(host.name,))


def _read(files: SkillFiles, relative: str) -> Iterator[Finding]:
    package, suffix = files.package, Path(relative).suffix.lower()
    path = package.folder / relative
    own = (MANIFEST, package.page, PROJECT, PLUGIN)
    if suffix == ".py" and not package.is_project:
        yield finding(relative, "python_in_skill", "it is Python source")
    if suffix in _NOT_TEXT:
        raw: bytes | Fault = _can_be_read(path)
        if isinstance(raw, Fault):
            yield from from_faults(relative, [raw])
        return
    raw = read_bytes(path, limit=LARGEST_TEXT)
    if isinstance(raw, Fault):
        if raw.what.startswith("it is larger"):
            yield finding(relative, "too_large", f"{raw.what} and was not looked into")
        elif relative not in own:
            yield from from_faults(relative, [raw])
        return
    if b"\0" in raw[:8192]:
        return
    is_markdown = suffix in _MARKDOWN
    if raw.startswith(_MARK) and (is_markdown or suffix == ".yaml"):
        hosts = () if relative == package.page else (CONTRACT,)
        edit = Edit("byte_order_mark")
        yield finding(relative, "byte_order_mark", "it begins with a byte order mark", hosts=hosts, edit=edit)
    yield from _sized(relative, len(raw))
    try:
        text = raw.removeprefix(_MARK).decode("utf-8")
    except UnicodeDecodeError as error:
        if relative not in own:
            line = raw.count(b"\n", 0, error.start) + 1
            hosts = () if is_markdown else (CONTRACT,)
            yield finding(relative, "not_utf8", f"it is not UTF-8 (byte {error.start})", line=line, hosts=hosts)
        return
    if is_markdown and "\r" in text:
        line = text.count("\n", 0, text.index("\r")) + 1
        yield finding(relative, "carriage_return", "it has Windows line ends", line=line, edit=Edit("line_ends"))
    files.texts[relative] = text
    # What no host reads as a skill may speak of anything.
    if relative not in (MANIFEST, PROJECT, PLUGIN):
        yield from _invisible(relative, text)


def _sized(relative: str, size: int) -> Iterator[Finding]:
    hosts = tuple(host for host, limit in _LARGE.items() if size > limit)
    if hosts:
        yield finding(relative, "too_large", f"it has {size:,} bytes of text", hosts=hosts)


def _can_be_read(path: Path) -> bytes | Fault:
    try:
        with path.open("rb") as stream:
            return stream.read(1)
    except OSError as error:
        return Fault(f"it cannot be read: {error.strerror}", "check its permissions", kind="unreadable")


def _invisible(relative: str, text: str) -> Iterator[Finding]:
    if text.isascii():
        return
    for number, line in enumerate(text.split("\n"), 1):
        for odd in _INVISIBLE.finditer(line):
            before, after = line[: odd.start()][-1:], line[odd.end() :][:1]
            hosts: tuple[str, ...] = ()
            if odd[0] in "\u200c\u200d\u200e\u200f" and (_JOINED.match(before) or _JOINED.match(after)):
                continue
            if odd[0] == "\u200d" and _EMOJI.match(before) and _EMOJI.match(after):
                hosts = ("hermes",)  # its scanner knows no exception for the joiner of an emoji
            elif ord(odd[0]) >= 0xE0020 and _EMOJI.match(before):
                continue  # the flag of a region is spelt with tag characters
            message = f"the character U+{ord(odd[0]):04X} cannot be seen"
            yield finding(relative, "invisible_character", message, line=number, column=odd.start() + 1, hosts=hosts)
            break  # one for each line: an editor shows them all


__all__ = ["LARGEST_TEXT", "SkillFiles", "read_files"]
