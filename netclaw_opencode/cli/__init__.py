"""The command line, a face: it turns flags into one call of an action, and the envelope into JSON or readable text.

Owns nothing of the driver. Only ``main`` is public; everything is imported when it is needed, so that ``--help`` stays
quick. Shell completion is click's own::

    eval "$(_NETCLAW_OPENCODE_COMPLETE=bash_source netclaw-opencode)"     # or zsh_source, or fish_source piped to source
"""

from __future__ import annotations

PROGRAM = "netclaw-opencode"


def main() -> None:
    """Entry point of the console script; ends the process with one of the exit codes in ``errors``."""
    import sys

    from netclaw_opencode.cli.app import run

    raise SystemExit(run(sys.argv[1:]))


__all__ = ["PROGRAM", "main"]
