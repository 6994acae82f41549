"""What docs/hosts.md tells an operator of OpenClaw to type is true to what there is; tests/docs/test_mcp_page.py has the other hosts."""

from __future__ import annotations

import json
import re
import shlex

from netclaw_opencode.manifest import load_manifest
from tests.docs.pages import page

HOSTS = page("docs/hosts.md")
SECONDS = "OPENCODE_DRIVER_CALL_SECONDS"


def test_the_entries_for_openclaw_stay_below_its_shim() -> None:
    """The JSON given to `openclaw mcp set`, and the command given to the shim, which ends a call after 30 s."""
    (line,) = re.findall(r"\$ (openclaw mcp set .*)", HOSTS)
    entry = json.loads(shlex.split(line)[4])
    assert (entry["command"], entry["args"]) == ("netclaw-opencode", ["mcp"]) and float(entry["env"][SECONDS]) < 30
    (shim,) = re.findall(r"\$ (python3 scripts/mcp-call\.py .*)", HOSTS)
    _, _, server, tool, arguments = shlex.split(shim)
    assert re.fullmatch(rf"{SECONDS}=25 netclaw-opencode mcp", server)
    assert tool in load_manifest().actions and json.loads(arguments) == {}
