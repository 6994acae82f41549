"""The configurations that our pages show for MCP clients, tested as data: they parse, and name what exists."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

import pytest
import yaml

from netclaw_opencode.adapters.cli import mcp_command
from netclaw_opencode.adapters.cli.terminal import PROGRAM
from netclaw_opencode.manifest import load_manifest
from netclaw_opencode.settings import Settings
from tests.docs.pages import blocks_of, page

PAGES = ("docs/mcp.md", "docs/hosts.md")
OURS = {variable.name for variable in load_manifest().environment}
FORMS: Mapping[str, Mapping[str, type]] = {
    # What each host reads, by the key above the servers; the keys beside command, args and env are optional.
    "McpServers": {
        "Transport": str,
        "Command": str,
        "Arguments": list,
        "EnvironmentVariables": dict,
        "Enabled": bool,
        "GrantCategory": str,
    },
    "mcp_servers": {"command": str, "args": list, "env": dict, "timeout": int},
    "mcpServers": {"command": str, "args": list, "env": dict},
}


def configurations() -> Iterator[tuple[str, str, Mapping[str, object]]]:
    """Each server that a JSON or YAML block configures: page, form, entry."""
    for name in PAGES:
        for block in blocks_of(page(name)):
            if block.kind in ("json", "yaml"):
                value = json.loads(block.text) if block.kind == "json" else yaml.safe_load(block.text)
                for form in FORMS:
                    for entry in value.get(form, {}).values():
                        yield name, form, entry


FOUND = list(configurations())


def test_there_is_one_for_each_form() -> None:
    """.NET, YAML and the form of most others."""
    assert {form for _, form, _ in FOUND} == set(FORMS)


@pytest.mark.parametrize(("name", "form", "entry"), FOUND)
def test_a_configuration_starts_our_server(name: str, form: str, entry: Mapping[str, object]) -> None:
    """Its keys are the host's, the command and its words are ours, its variables exist, and its cap is below the host's limit."""
    known = FORMS[form]
    assert set(entry) <= set(known) and all(isinstance(value, known[key]) for key, value in entry.items()), name
    lower = {{"Arguments": "args", "EnvironmentVariables": "env"}.get(key, key.lower()): value for key, value in entry.items()}
    words, environ = lower["args"], lower["env"]
    assert isinstance(words, list) and isinstance(environ, dict)
    assert (lower["command"], words[0]) == (PROGRAM, "mcp")
    given = mcp_command.command().make_context("mcp", list(words[1:])).params["call_seconds"]
    assert set(environ) <= OURS | {"PATH", "HOME"} and all(isinstance(value, str) for value in environ.values())
    cap = given or Settings.from_environment(environ).call_seconds
    assert cap is not None and cap < int(str(lower.get("timeout", 90)))
