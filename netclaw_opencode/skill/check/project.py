"""The other files that name a skill: ``pyproject.toml`` and ``plugin.json``, read without running anything.

Owns what is taken from them, with its place. Where a project computes its version, only a file that assigns it is read.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass

from netclaw_opencode._core.documents import Fault, read_json, read_text
from netclaw_opencode.jsontypes import JsonObject
from netclaw_opencode.skill.check.findings import Finding, finding, from_faults
from netclaw_opencode.skill.check.places import PLUGIN, PROJECT, Package, is_inside, kind_of

ENTRY_POINTS = "netclaw.skills"

_TOML_PLACE = re.compile(r"\(at line (\d+), column (\d+)\)")
_ASSIGNED = re.compile(r"^(?:__version__|VERSION|version)\b[^=\n]{0,40}=\s*[\"']([^\"'\n]{1,100})[\"']", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Stated:
    """A text that a file tells about the skill, and where."""

    value: str
    file: str
    line: int = 1
    column: int = 1


@dataclass(frozen=True, slots=True)
class Project:
    """What a package's project files tell; ``plugins`` are the values of its entry points, None without a project."""

    names: tuple[Stated, ...] = ()
    versions: tuple[Stated, ...] = ()
    licenses: tuple[Stated, ...] = ()
    plugins: tuple[str, ...] | None = None
    entry_points_line: int = 1


def read_project(package: Package) -> tuple[Project, list[Finding]]:
    """Both files, so far as they are there and can be read."""
    toml, wrong = _read_toml(package) if kind_of(package.folder / PROJECT) == "file" else (Project(), [])
    plugin, more = _read_plugin(package) if kind_of(package.folder / PLUGIN) == "file" else (Project(), [])
    both = Project(
        plugin.names,
        toml.versions + plugin.versions,
        toml.licenses + plugin.licenses,
        toml.plugins,
        toml.entry_points_line,
    )
    return both, [*wrong, *more]


def _read_toml(package: Package) -> tuple[Project, list[Finding]]:
    text = read_text(package.folder / PROJECT)
    if isinstance(text, Fault):
        return Project(), from_faults(PROJECT, [text])
    try:
        top: JsonObject = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        place = _TOML_PLACE.search(str(error))
        line, column = (int(place[1]), int(place[2])) if place else (None, None)
        what = f"not TOML: {_TOML_PLACE.sub('', str(error)).strip()[:200]}"
        return Project(), [finding(PROJECT, "syntax", what, line=line, column=column)]
    except (RecursionError, ValueError):  # nested too deeply; a number of thousands of digits
        return Project(), [finding(PROJECT, "too_deep", "it is nested too deeply, or holds a number too large to read")]
    project = top.get("project")
    if not isinstance(project, dict):
        return Project(), []
    versions, wrong = _version(package, text, top, project)
    license_ = project.get("license")
    licenses = (Stated(license_, PROJECT, _line(text, "license")),) if isinstance(license_, str) else ()
    points = _map(_map(project.get("entry-points")).get(ENTRY_POINTS))
    plugins = tuple(value for value in points.values() if isinstance(value, str))
    return Project((), versions, licenses, plugins, _line(text, r"\[project\.entry-points", raw=True) or _line(text, "name")), wrong


def _version(package: Package, text: str, top: JsonObject, project: JsonObject) -> tuple[tuple[Stated, ...], list[Finding]]:
    version = project.get("version")
    if isinstance(version, str):
        return (Stated(version, PROJECT, _line(text, "version")),), []
    dynamic = project.get("dynamic")
    if not isinstance(dynamic, list) or "version" not in dynamic:
        return (), []
    relative = _version_file(top)
    assigned = _assigned(package, relative) if relative is not None else None
    if assigned is not None:
        return (assigned,), []
    return (), [finding(PROJECT, "version_unknown", "the version cannot be read without running code", line=_line(text, "dynamic"))]


def _version_file(top: JsonObject) -> str | None:
    """Return the file that hatch or setuptools takes the version from."""
    tool = _map(top.get("tool"))
    hatch = _map(_map(tool.get("hatch")).get("version")).get("path")
    if isinstance(hatch, str):
        return hatch
    attribute = _map(_map(_map(tool.get("setuptools")).get("dynamic")).get("version")).get("attr")
    if isinstance(attribute, str) and re.fullmatch(r"\w+(\.\w+)+", attribute):
        return attribute.rpartition(".")[0].replace(".", "/")
    return None


def _assigned(package: Package, relative: str) -> Stated | None:
    for base in ("", "src/"):
        for name in (relative, f"{relative}.py", f"{relative}/__init__.py"):
            path = package.folder / f"{base}{name}"
            if not is_inside(package.folder, path) or kind_of(path) != "file":
                continue
            text = read_text(path)
            match = None if isinstance(text, Fault) else _ASSIGNED.search(text)
            if match is not None:
                line = match.string.count("\n", 0, match.start()) + 1
                return Stated(match[1], path.relative_to(package.folder).as_posix(), line)
    return None


def _read_plugin(package: Package) -> tuple[Project, list[Finding]]:
    document = read_json(package.folder / PLUGIN, places=True)
    found = from_faults(PLUGIN, document.faults)
    if not document.whole or not isinstance(document.value, dict):
        return Project(), found or [finding(PLUGIN, "syntax", "it is not a JSON object", "begin with {")]
    top: JsonObject = document.value

    def stated(key: str) -> tuple[Stated, ...]:
        value = top.get(key)
        line, column = document.place_of((key,))
        return (Stated(value, PLUGIN, line or 1, column or 1),) if isinstance(value, str) else ()

    return Project(stated("name"), stated("version"), stated("license")), found


def _line(text: str, key: str, *, raw: bool = False) -> int:
    """Return the first line that sets ``key``; 1 where none does."""
    match = re.search(rf"^\s*{key}" if raw else rf"^\s*{re.escape(key)}\s*=", text, re.MULTILINE)
    return 1 if match is None else text.count("\n", 0, match.end()) + 1


def _map(value: object) -> JsonObject:
    return value if isinstance(value, Mapping) else {}


__all__ = ["ENTRY_POINTS", "Project", "Stated", "read_project"]
