"""Which agent hosts are on this machine, and which of them have this skill: read from their files.

Owns the places to look, as data. A host's own programs are never run; a file that is large or cannot be read counts as one
that says nothing.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from netclaw_opencode.doctor.facts import Integration

SKILL = "opencode-driver"
PLUGIN = "opencode-driver"
"""The name of our entry point in the group ``hermes_agent.plugins``: by it an operator enables the plugin."""
_COMMAND = "netclaw-opencode"
_MOST_BYTES = 1024 * 1024
_MOST_CATEGORIES = 200


@dataclass(frozen=True, slots=True)
class _Host:
    """Where a host keeps what: ``folder`` is below the home directory, or what ``variable`` says."""

    name: str
    folder: str
    form: str
    configs: tuple[str, ...]
    variable: str | None = None
    plugins: bool = False
    enable: str | None = None
    """How its operator enables a plugin, where that is known."""
    signs: tuple[str, ...] = ()
    """Files of which one must be there, where several hosts use one folder."""


HOSTS = (
    _Host(
        "netclaw-dev",
        ".netclaw",
        "directory",
        ("netclaw.json", "config.json", "config/netclaw.json", "config/config.json", "appsettings.json"),
        signs=("netclaw.json", "config.json", "config", "appsettings.json"),
    ),
    _Host("NetClaw Agent", ".netclaw", "hermes", ("config.yaml",), plugins=True, signs=("config.yaml",)),
    _Host(
        "Hermes Agent",
        ".hermes",
        "hermes",
        ("config.yaml",),
        variable="HERMES_HOME",
        plugins=True,
        enable=f"hermes plugins enable {PLUGIN}",
    ),
    _Host("OpenClaw", ".openclaw", "openclaw", ("openclaw.json",), variable="OPENCLAW_STATE_DIR"),
)


def find_hosts(environ: Mapping[str, str], home: Path) -> tuple[Integration, ...]:
    """Every host whose folder is there."""
    return tuple(item for host in HOSTS if (item := _find_host(host, environ, home)) is not None)


def _find_host(host: _Host, environ: Mapping[str, str], home: Path) -> Integration | None:
    stated = environ.get(host.variable, "") if host.variable else ""
    folder = Path(stated) if Path(stated).is_absolute() else home / host.folder
    if not _is_folder(folder) or (host.signs and not any(os.path.lexists(folder / sign) for sign in host.signs)):
        return None
    texts = [text for name in host.configs if (text := _text(folder / name)) is not None]
    uses_mcp = any(_COMMAND in text for text in texts)
    routes = [*_skills(folder), *(["MCP"] if uses_mcp else []), *_plugin(host, texts)]
    finish = host.enable or f"netclaw-opencode skill export --to {shlex.quote(str(folder / 'skills'))} --format {host.form}"
    return Integration(host.name, folder, tuple(routes), finish, uses_mcp=uses_mcp)


def _skills(folder: Path) -> Iterator[str]:
    """Return the exported skill, directly among the others or in a category of theirs."""
    skills = folder / "skills"
    places = [skills / SKILL]
    with suppress(OSError):
        places += [item / SKILL for item in sorted(skills.iterdir())[:_MOST_CATEGORIES] if _is_folder(item)]
    if any(_COMMAND in (_text(place / "SKILL.md") or "") for place in places):
        yield "skill"


def _plugin(host: _Host, texts: list[str]) -> Iterator[str]:
    from netclaw_opencode._core.documents import parse_yaml

    for text in texts if host.plugins else ():
        value = parse_yaml(text).value
        plugins = value.get("plugins") if isinstance(value, dict) else None
        enabled = plugins.get("enabled") if isinstance(plugins, dict) else None
        if isinstance(enabled, list) and PLUGIN in enabled:
            yield "plugin"


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:
        return False


def _text(path: Path) -> str | None:
    try:
        if not path.is_file() or path.stat().st_size > _MOST_BYTES:
            return None
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None


__all__ = ["HOSTS", "PLUGIN", "SKILL", "find_hosts"]
