"""The configuration of a repository: ``[tool.netclaw-skill]`` of ``pyproject.toml``, or ``.netclaw-skill.toml``.

Owns its keys, its errors and the matching of paths. What it says goes for everything below the folder that it stands in.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from netclaw_opencode._core.documents import Fault, read_text
from netclaw_opencode.skill.check.findings import Finding
from netclaw_opencode.skill.check.hosts import CHOICES, expand
from netclaw_opencode.skill.check.places import kind_of
from netclaw_opencode.skill.check.rules import RULES, SEVERITIES, Severity

OWN_FILE = ".netclaw-skill.toml"
TABLE = "netclaw-skill"
KEYS = ("for", "advice", "strict", "exclude", "ignore", "per-path-ignore", "severity", "baseline")


class ConfigurationError(ValueError):
    """A configuration, a code or the name of a host that is none; the message says where and what to do."""


@dataclass(frozen=True, slots=True)
class Config:
    """What a repository asks for.

    Args:
        folder: The folder that paths and globs are relative to; None without a configuration.
        hosts: Whose rules apply; None where it does not say.
        advice: Whether advice is shown.
        strict: Whether warnings fail.
        exclude: Globs of folders that are not looked into.
        ignore: Codes that are left out everywhere.
        per_path: Codes that are left out for the files that a glob matches.
        severity: Another severity for some codes.
        baseline: The file of known findings.
    """

    folder: Path | None = None
    hosts: tuple[str, ...] | None = None
    advice: bool = False
    strict: bool = False
    exclude: tuple[str, ...] = ()
    ignore: frozenset[str] = frozenset()
    per_path: Mapping[str, frozenset[str]] = field(default_factory=dict)
    severity: Mapping[str, Severity] = field(default_factory=dict)
    baseline: Path | None = None

    def is_excluded(self, path: Path, named: Path) -> bool:
        """Return whether a folder is left out; ``named`` was asked for by name, so what leaves that out too does not count."""
        relative, asked = self._relative(path), self._relative(named)
        if relative is None:
            return False
        return any(matches(glob, relative) and not (asked is not None and matches(glob, asked)) for glob in self.exclude)

    def is_ignored(self, found: Finding, path: Path) -> bool:
        """Return whether a finding in the file ``path`` is left out."""
        if found.code in self.ignore:
            return True
        relative = self._relative(path) if self.per_path else None
        return relative is not None and any(found.code in codes and matches(glob, relative) for glob, codes in self.per_path.items())

    def _relative(self, path: Path) -> str | None:
        if self.folder is None or not path.is_relative_to(self.folder):
            return None
        return path.relative_to(self.folder).as_posix()


def find_config(start: Path) -> Config:
    """Return the configuration of the nearest folder at or around ``start`` that has one, within its repository.

    Raises:
        ConfigurationError: It has one that is wrong.
    """
    for folder in (start, *start.parents):
        for name in (OWN_FILE, "pyproject.toml"):
            if kind_of(folder / name) == "file":
                config = read_config(folder / name)
                if config is not None:
                    return config
        if kind_of(folder / ".git") != "missing":
            break
    return Config()


def read_config(path: Path) -> Config | None:
    """Return the configuration in a file; None for a ``pyproject.toml`` without our table.

    Raises:
        ConfigurationError: It cannot be read, or is wrong.
    """
    text = read_text(path)
    ours = path.name != "pyproject.toml"
    if isinstance(text, Fault):
        if ours:
            raise ConfigurationError(f"{path}: {text.what}; {text.fix}")
        return None
    try:
        top = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError, ValueError) as error:
        if ours or f"tool.{TABLE}" in text:
            raise ConfigurationError(f"{path}: not TOML: {error}") from error
        return None
    tool = top.get("tool")
    table: object = top if ours else tool.get(TABLE) if isinstance(tool, dict) else None
    if table is None:
        return None
    return _Reader(path, table).config()


class _Reader:
    """One table of TOML, each value checked as it is taken."""

    def __init__(self, path: Path, table: object) -> None:
        self.path = path
        if not isinstance(table, dict):
            raise self._error("it is not a table")
        self.table: dict[str, object] = table
        for key in table:
            if key not in KEYS:
                near = difflib.get_close_matches(key, KEYS, n=1)
                raise self._error(f"there is no key {key!r}; {f'did you mean {near[0]!r}?' if near else 'use ' + ', '.join(KEYS)}")

    def config(self) -> Config:
        folder = self.path.parent
        baseline = self.table.get("baseline")
        if baseline is not None and not isinstance(baseline, str):
            raise self._error("baseline must be the path of a file")
        return Config(
            folder,
            self._hosts(),
            self._flag("advice"),
            self._flag("strict"),
            tuple(self._texts("exclude", self.table.get("exclude", []))),
            check_codes(self._texts("ignore", self.table.get("ignore", [])), str(self.path)),
            {
                glob: check_codes(self._texts(f"per-path-ignore of {glob!r}", codes), str(self.path))
                for glob, codes in self._map("per-path-ignore").items()
            },
            self._severity(),
            folder / baseline if baseline is not None else None,
        )

    def _hosts(self) -> tuple[str, ...] | None:
        if "for" not in self.table:
            return None
        value = self.table["for"]
        return check_hosts([value] if isinstance(value, str) else self._texts("for", value), str(self.path))

    def _severity(self) -> dict[str, Severity]:
        found: dict[str, Severity] = {}
        for code, value in self._map("severity").items():
            check_codes([code], str(self.path))
            severity = next((each for each in SEVERITIES if each == value), None)
            if severity is None:
                raise self._error(f"the severity of {code} must be one of {', '.join(SEVERITIES)}")
            found[code] = severity
        return found

    def _flag(self, key: str) -> bool:
        value = self.table.get(key, False)
        if not isinstance(value, bool):
            raise self._error(f"{key} must be true or false")
        return value

    def _map(self, key: str) -> dict[str, object]:
        value = self.table.get(key, {})
        if not isinstance(value, dict):
            raise self._error(f"{key} must be a table")
        return value

    def _texts(self, key: str, value: object) -> list[str]:
        if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
            raise self._error(f"{key} must be a list of texts")
        return [str(each) for each in value]

    def _error(self, what: str) -> ConfigurationError:
        return ConfigurationError(f"{self.path}: {what}")


def check_codes(codes: Iterable[str], where: str) -> frozenset[str]:
    """Return the codes as a set.

    Raises:
        ConfigurationError: One of them is none; the nearest is named.
    """
    found = frozenset(codes)
    for code in sorted(found):
        if code not in RULES:
            near = difflib.get_close_matches(code, RULES, n=1)
            raise ConfigurationError(f"{where}: there is no code {code!r}; {f'did you mean {near[0]!r}?' if near else 'see --list-rules'}")
    return found


def check_hosts(names: Iterable[str], where: str) -> tuple[str, ...]:
    """Return the hosts of ``--for``, where each text may hold several with commas between them.

    Raises:
        ConfigurationError: One of them is none.
    """
    parts = [part.strip() for name in names for part in name.split(",") if part.strip()]
    try:
        return expand(parts)
    except KeyError as error:
        raise ConfigurationError(f"{where}: {error.args[0]!r} is none of {', '.join(CHOICES)}, all") from error


def matches(glob: str, path: str) -> bool:
    """Return whether a glob matches a path or a folder above it: ``**`` goes over folders, ``*`` and ``?`` do not."""
    return _pattern(glob).match(path) is not None


@lru_cache(maxsize=256)
def _pattern(glob: str) -> re.Pattern[str]:
    glob = glob.removeprefix("./").rstrip("/").removesuffix("/**")
    regex = ""
    for part in re.findall(r"\*\*/|\*\*|\*|\?|[^*?]+", glob):
        regex += {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}.get(part) or re.escape(part)
    return re.compile(rf"{regex}(?:/|\Z)")


__all__ = [
    "KEYS",
    "OWN_FILE",
    "TABLE",
    "Config",
    "ConfigurationError",
    "check_codes",
    "check_hosts",
    "find_config",
    "matches",
    "read_config",
]
