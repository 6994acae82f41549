"""What the files of a package say about the same thing, and where they differ.

Owns the comparisons: name, description, licence, version, the plugin's entry point, the length of tool names. Each file
was read, and found right or wrong in itself, by somebody else.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from netclaw_opencode._core.documents import Document
from netclaw_opencode.jsontypes import JsonObject
from netclaw_opencode.skill.check.findings import Finding, finding
from netclaw_opencode.skill.check.page import Page
from netclaw_opencode.skill.check.places import MANIFEST, PAGE, PROJECT
from netclaw_opencode.skill.check.project import ENTRY_POINTS, Project, Stated

# An MCP host calls the tool of a server mcp_<server>_<tool>; model providers take names of at most 64 characters.
MAX_TOOL_NAME = 64

_PRE = re.compile(r"[-_.]?(alpha|beta|a|b|c|rc|post|dev)[-_.]?(?=\d)")
_SPELT = {"alpha": "a", "beta": "b", "c": "rc"}


@dataclass(frozen=True, slots=True)
class Declared:
    """What ``skill.yaml`` says, so far as it could be read."""

    document: Document
    top: JsonObject

    def text(self, key: str) -> str | None:
        """Return a key's text, if it is text."""
        value = self.top.get(key)
        return value.strip() if isinstance(value, str) else None


def check_agreement(declared: Declared | None, page: Page | None, project: Project) -> Iterator[Finding]:
    """Every difference."""
    if declared is not None:
        yield from _names(declared, page, project)
        yield from _licenses(declared, page, project)
        yield from _plugin(declared, project)
        yield from _tool_names(declared)
    yield from _versions(declared, page, project)


def _names(declared: Declared, page: Page | None, project: Project) -> Iterator[Finding]:
    name, description = declared.text("name"), declared.text("description")
    stated = [*project.names] + ([_stated(page, "name")] if page is not None and page.text("name") else [])
    for other in stated:
        if name is not None and other.value != name:
            yield _at(other, "name_differs", f"the name is {other.value[:60]!r}, but {MANIFEST} says {name[:60]!r}")
    if page is not None and description and page.text("description"):
        other = _stated(page, "description")
        if not _plain(other.value).startswith(_plain(description).rstrip(".")):
            yield _at(other, "description_differs", f"it does not begin with the description in {MANIFEST}: {description[:80]!r}")


def _licenses(declared: Declared, page: Page | None, project: Project) -> Iterator[Finding]:
    mine = declared.text("license")
    stated = [*project.licenses] + ([_stated(page, "license")] if page is not None and page.text("license") else [])
    for other in stated:
        if mine is not None and other.value.strip() != mine:
            yield _at(other, "license_differs", f"the licence is {other.value[:60]!r}, but {MANIFEST} says {mine[:60]!r}")


def _plugin(declared: Declared, project: Project) -> Iterator[Finding]:
    plugin = declared.text("plugin")
    if plugin is None or project.plugins is None or plugin in {value.partition(":")[0].strip() for value in project.plugins}:
        return
    what = f"no entry point of the group {ENTRY_POINTS} leads to {plugin[:100]}"
    remedy = f'add [project.entry-points."{ENTRY_POINTS}"] with {(declared.text("name") or "my-skill")[:64]} = "{plugin[:100]}"'
    yield finding(PROJECT, "entry_point_missing", what, remedy, line=project.entry_points_line)


def _tool_names(declared: Declared) -> Iterator[Finding]:
    actions = declared.top.get("actions")
    for position, entry in enumerate(actions if isinstance(actions, list) else []):
        name = entry.get("name") if isinstance(entry, dict) else None
        tool = f"mcp_{declared.text('name')}_{name}"
        if isinstance(name, str) and len(name) <= MAX_TOOL_NAME < len(tool):
            line, column = declared.document.place_of(("actions", position, "name"))
            what = f"as the tool of an MCP server it is {tool}: {len(tool)} characters, {MAX_TOOL_NAME} are allowed"
            yield finding(MANIFEST, "tool_name_too_long", what, line=line, column=column)


def _versions(declared: Declared | None, page: Page | None, project: Project) -> Iterator[Finding]:
    stated: list[Stated] = []
    if declared is not None and declared.text("version"):
        line, column = declared.document.place_of(("version",))
        stated.append(Stated(declared.text("version") or "", MANIFEST, line or 1, column or 1))
    if page is not None and page.version:
        line, column = page.front.place_of(("metadata", "version"))
        stated.append(Stated(page.version, PAGE, line or 1, column or 1))
    elif page is not None and declared is not None:
        yield finding(PAGE, "version_missing", "it has no metadata.version", 'add metadata: with "version": "…"')
    stated += project.versions
    for other in stated[1:]:
        if _spelt(other.value) != _spelt(stated[0].value):
            what = f"the version is {other.value[:60]!r}, but {stated[0].file} says {stated[0].value[:60]!r}"
            yield _at(other, "version_differs", what)


def _stated(page: Page, key: str) -> Stated:
    line, column = page.front.place_of((key,))
    return Stated(page.text(key) or "", PAGE, line or 1, column or 1)


def _at(stated: Stated, code: str, what: str) -> Finding:
    return finding(stated.file, code, what, line=stated.line, column=stated.column)


def _plain(text: str) -> str:
    return " ".join(text.split()).lower()


def _spelt(version: str) -> str:
    """Return a version as pip normalizes it, so far as skills use them: 1.0.0-rc.1 is 1.0.0rc1."""
    return _PRE.sub(lambda match: _SPELT.get(match[1], match[1]), version.strip().lower().removeprefix("v"))


__all__ = ["MAX_TOOL_NAME", "Declared", "check_agreement"]
