"""The command ``mcp``: starts the MCP server where everything for it is there, and says on stderr what is missing otherwise.

Owns its flags and its refusals. Standard output belongs to the protocol from the first byte on, so nothing is printed there.
"""

from __future__ import annotations

import logging
import os
import sys

import click

from netclaw_opencode._core import time_budget
from netclaw_opencode.adapters.cli.terminal import PROGRAM
from netclaw_opencode.adapters.mcp import DEFAULT_CALL_SECONDS, SDK, SDK_MAJOR
from netclaw_opencode.errors import EXIT_DONE, EXIT_USAGE
from netclaw_opencode.settings import SHORTEST_CALL_SECONDS

SUMMARY = "Serve every action as a tool of the Model Context Protocol, on stdin and stdout; a host starts this."
_EXTRA = "pip install 'netclaw-opencode[mcp]'"


def command() -> click.Command:
    """Return the command for the tree."""
    text = (
        "No call takes longer, its clean-up included. Set it below your host's own limit: 25 for a limit of 30 seconds. "
        f"Default: {time_budget.SETTING}, or else {DEFAULT_CALL_SECONDS:g}."
    )
    option = click.Option(["--call-seconds"], type=click.FloatRange(SHORTEST_CALL_SECONDS, 86400), default=None, help=text)
    return click.Command("mcp", callback=_mcp, params=[option], help=SUMMARY)


def _mcp(call_seconds: float | None) -> int:
    problem = _find_missing()
    if problem is not None:
        click.echo(f"{PROGRAM} mcp: {problem}", err=True)
        return EXIT_USAGE
    if sys.stdin.isatty():
        click.echo(f"{PROGRAM} mcp: a host talks to this by the Model Context Protocol; end it with Ctrl-D or Ctrl-C", err=True)
    # What the SDK logs is shown with --debug, as with everything else.
    logging.getLogger(SDK).addHandler(logging.NullHandler())
    from netclaw_opencode.adapters.cli.running import collect_garbage_again
    from netclaw_opencode.adapters.mcp.serving import serve

    collect_garbage_again()
    serve(build_environment(call_seconds))
    return EXIT_DONE


def build_environment(call_seconds: float | None) -> dict[str, str]:
    """Return the environment with the cap that a flag, a variable or else the default sets."""
    asked = {time_budget.SETTING: f"{call_seconds:g}"} if call_seconds is not None else {}
    return time_budget.with_default_cap({**os.environ, **asked}, DEFAULT_CALL_SECONDS)


def _find_missing() -> str | None:
    """Return why the server cannot be started, or None."""
    import importlib.metadata

    try:
        version = importlib.metadata.version(SDK)
    except importlib.metadata.PackageNotFoundError:
        return f"the MCP SDK is not installed; {_EXTRA}"
    if version.split(".")[0] != str(SDK_MAJOR):
        return f"the MCP SDK {version} is installed, and this needs {SDK_MAJOR}.x; {_EXTRA}, best in an environment of its own"
    if sys.stdin is None or sys.stdout is None:
        return "standard input and output must be open: the protocol is spoken there"
    return None


__all__ = ["SUMMARY", "build_environment", "command"]
