"""``SKILL.md`` taken apart: the frontmatter with the place of each key, and the body.

Owns the reading. What is wrong with it is said in ``frontmatter`` and ``body``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from netclaw_opencode._core.documents import Document, parse_yaml
from netclaw_opencode.jsontypes import JsonObject
from netclaw_opencode.skill.check.findings import Edit, Finding, finding, from_faults
from netclaw_opencode.skill.check.rules import Severity

_TOP_LINE = re.compile(r"([A-Za-z][\w-]*):[ \t]+(\S.*?)[ \t]*\Z")
_PLAIN_START = re.compile(r"[^\s\"'|>\[\]{}&*!%@`#,?-]")


@dataclass(frozen=True, slots=True)
class Page:
    """A page whose frontmatter is a map; ``front`` keeps the places of its keys, ``body_line`` is the first line of the body."""

    file: str
    front: Document
    keys: JsonObject
    raw: tuple[str, ...]
    body: tuple[str, ...]
    body_line: int

    def text(self, key: str) -> str | None:
        """Return a key's text, if it is text."""
        value = self.keys.get(key)
        return value if isinstance(value, str) else None

    def written(self, key: str) -> str:
        """Return a key's text, also where YAML takes it for a number or the like: then as it is written."""
        value = self.keys.get(key)
        if isinstance(value, str):
            return value
        if isinstance(value, dict | list) or key not in self.keys:
            return ""
        return self.line(self.place(key)[0] or 1).partition(":")[2].partition(" #")[0].strip()

    @property
    def version(self) -> str | None:
        """``metadata.version``, if it is text."""
        metadata = self.keys.get("metadata")
        value = metadata.get("version") if isinstance(metadata, dict) else None
        return value if isinstance(value, str) else None

    def line(self, number: int) -> str:
        """Return a line of the frontmatter; nothing where YAML counts more lines than there are line feeds (it knows other breaks)."""
        return self.raw[number - 1] if number <= len(self.raw) else ""

    def place(self, *steps: str) -> tuple[int | None, int | None]:
        """Line and column of a key."""
        return self.front.place_of(steps)

    def markdown(self) -> str:
        """Return the page with its frontmatter blanked, so that lines count as in the file."""
        return "\n".join(["" for _ in range(self.body_line - 1)] + list(self.body))


def read_page(file: str, text: str) -> tuple[Page | None, list[Finding]]:
    """Take a page apart, or say what keeps it from being one."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    end = next((number for number, line in enumerate(lines[1:], 1) if line.rstrip() == "---"), None)
    if lines[0].rstrip() != "---":
        message = "it does not begin with frontmatter between two lines of ---"
        if next((line.rstrip() for line in lines if line.strip()), "") == "---":
            message = "the frontmatter begins behind empty lines; the first line must be ---"
        return None, [finding(file, "frontmatter_missing", message)]
    if end is None:
        remedy = "add a line of --- behind the last key"
        return None, [finding(file, "frontmatter_missing", "the frontmatter is opened by --- and never closed", remedy)]
    # The empty line stands for the first ---, so that lines count as in the file.
    front = parse_yaml("\n".join(["", *lines[1:end]]))
    found = from_faults(file, front.faults) if front.whole else list(_syntax(file, front, lines[:end]))
    found += _dashes(file, lines[:end])
    if not front.whole or not isinstance(front.value, dict):
        return None, found or [finding(file, "frontmatter_missing", "its frontmatter is not a map", line=2)]
    return Page(file, front, front.value, tuple(lines[:end]), tuple(lines[end + 1 :]), end + 2), found


def _dashes(file: str, lines: list[str]) -> Iterator[Finding]:
    number = next((number for number, line in enumerate(lines[1:], 2) if "---" in line), None)
    if number is None:
        return
    line = lines[number - 1]
    left = parse_yaml("\n".join([*lines[1 : number - 1], line.partition("---")[0]]))
    usable = left.whole and isinstance(left.value, dict) and all(left.value.get(key) for key in ("name", "description"))
    message = "the specification's validator takes the --- in this line for the end of the frontmatter"
    at_most: Severity = "warning" if usable else "error"
    yield finding(file, "frontmatter_dashes", message, line=number, column=line.index("---") + 1, at_most=at_most)


def _syntax(file: str, front: Document, lines: list[str]) -> Iterator[Finding]:
    """Return what YAML stumbles over; with the quoted line where that is all it takes."""
    quoted = {number: text for number, line in enumerate(lines[1:], 2) if (text := quoted_line(line)) is not None}
    changed = ["", *[quoted.get(number, line) for number, line in enumerate(lines[1:], 2)]]
    helps = bool(quoted) and parse_yaml("\n".join(changed)).whole
    for fault in front.faults:
        found = finding(file, fault.kind, fault.what, fault.fix, line=fault.line, column=fault.column)
        number = fault.line or 0
        if fault.kind == "syntax" and helps and quoted:
            number = number if number in quoted else next(iter(quoted))
            remedy = f"quote the value: {quoted[number]}"
            edit = Edit("line", number, quoted[number])
            what = "not YAML: an unquoted value holds a colon and a blank"
            yield finding(file, "syntax", what, remedy, line=number, column=fault.column if number == fault.line else 1, edit=edit)
        else:
            yield found
    if helps:
        reported = {fault.line for fault in front.faults} | {next(iter(quoted))}
        for number, text in quoted.items():
            if number not in reported:
                message = "not YAML: an unquoted value holds a colon and a blank"
                yield finding(file, "syntax", message, f"quote the value: {text}", line=number, edit=Edit("line", number, text))


def without_frontmatter(text: str) -> str:
    """A page that could not be read as one, with what stands between two lines of --- blanked; all of it where the second is missing."""
    lines = text.split("\n")
    if lines[0].rstrip() != "---":
        return text
    end = next((number for number, line in enumerate(lines[1:], 1) if line.rstrip() == "---"), len(lines) - 1)
    return "\n".join([*("" for _ in lines[: end + 1]), *lines[end + 1 :]])


def quoted_line(line: str) -> str | None:
    """Return the line ``key: value`` with its value quoted, where the value holds what YAML does not take unquoted; None otherwise."""
    match = _TOP_LINE.match(line)
    if match is None or not _PLAIN_START.match(match[2]) or not (": " in match[2] or match[2].endswith(":")):
        return None
    return f"{match[1]}: {quote(match[2])}"


def quote(value: str) -> str:
    """Return a value in the double quotes of YAML."""
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


__all__ = ["Page", "quote", "quoted_line", "read_page", "without_frontmatter"]
