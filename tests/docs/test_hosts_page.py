"""What docs/hosts.md tells an operator to write into a host's configuration: read as data, and true to what there is."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping

import yaml

from netclaw_opencode.manifest import load_manifest
from tests.docs.pages import blocks_of, page

HOSTS = page("docs/hosts.md")
VARIABLES = {variable.name for variable in load_manifest().environment}
SECONDS = "OPENCODE_DRIVER_CALL_SECONDS"


def snippets(kind: str) -> list[Mapping[str, Mapping[str, Mapping[str, object]]]]:
    """The blocks of a language, read."""
    read = json.loads if kind == "json" else yaml.safe_load
    return [read(block.text) for block in blocks_of(HOSTS) if block.kind == kind]


def test_the_entry_for_netclaw_dev_has_the_names_that_it_reads() -> None:
    """Capitals included, with the group that its grants go by, and a limit below the 90 s of its MCP calls."""
    ((servers,),) = [snippet.values() for snippet in snippets("json")]
    entry = servers["opencode"]
    assert set(entry) == {"Transport", "Command", "Arguments", "EnvironmentVariables", "Enabled", "GrantCategory"}
    assert (entry["Transport"], entry["Command"], entry["Arguments"]) == ("stdio", "netclaw-opencode", ["mcp"])
    variables = entry["EnvironmentVariables"]
    assert isinstance(variables, dict) and set(variables) <= VARIABLES and float(variables[SECONDS]) < 90


def test_the_entry_for_hermes_has_the_names_that_it_reads() -> None:
    """Its child sees only what is listed, so PATH and HOME are; our limit lies below the one of the host."""
    (snippet,) = snippets("yaml")
    entry = snippet["mcp_servers"]["opencode"]
    assert (entry["command"], entry["args"]) == ("netclaw-opencode", ["mcp"])
    variables, limit = entry["env"], entry["timeout"]
    assert isinstance(variables, dict) and isinstance(limit, int)
    assert set(variables) - VARIABLES == {"PATH", "HOME"} and float(variables[SECONDS]) < limit


def test_the_entries_for_openclaw_stay_below_its_shim() -> None:
    """The JSON given to `openclaw mcp set`, and the command given to the shim, which ends a call after 30 s."""
    (line,) = re.findall(r"\$ (openclaw mcp set .*)", HOSTS)
    entry = json.loads(shlex.split(line)[4])
    assert (entry["command"], entry["args"]) == ("netclaw-opencode", ["mcp"]) and float(entry["env"][SECONDS]) < 30
    (shim,) = re.findall(r"\$ (python3 scripts/mcp-call\.py .*)", HOSTS)
    _, _, server, tool, arguments = shlex.split(shim)
    assert re.fullmatch(rf"{SECONDS}=25 netclaw-opencode mcp", server)
    assert tool in load_manifest().actions and json.loads(arguments) == {}
