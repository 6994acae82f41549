"""The command ``server trust``: a person looks at what a folder would run, and says yes.

It is a command and no action, so that no agent trusts a folder on its own.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from netclaw_opencode.adapters.cli import output
from netclaw_opencode.adapters.cli.terminal import one_line
from netclaw_opencode.errors import DriverError

if TYPE_CHECKING:
    from netclaw_opencode.actions.trusting import Shown

NAME = "trust"
SUMMARY = "Trust what a folder makes OpenCode run, after a look at it."
_HELP = (
    "Shows the files of DIR that make OpenCode run code when it opens that folder (plugins, tools, MCP servers, formatters, "
    "language servers), and remembers them as trusted by their content: where one changes, or another comes, it asks again. "
    "Asks on a terminal; --yes says yes elsewhere."
)


def command() -> click.Command:
    """Return the command for the tree."""
    return click.Command(
        NAME,
        callback=_trust,
        help=_HELP,
        short_help=SUMMARY,
        params=[
            click.Argument(["directory"], required=False, type=click.Path(), metavar="[DIR]"),
            click.Option(["--yes"], is_flag=True, help="Trust without a question."),
            click.Option(["--list", "list_all"], is_flag=True, help="Show what is trusted."),
            click.Option(["--revoke"], is_flag=True, help="Trust DIR no longer."),
            click.Option(["--format", "output_format"], type=click.Choice(["json", "text"]), default=None, help="How to print the result."),
        ],
    )


def _trust(directory: str | None, yes: bool, list_all: bool, revoke: bool, output_format: str | None) -> int:  # noqa: FBT001 - click's names
    if list_all == (directory is not None) or (list_all and (yes or revoke)) or (yes and revoke):
        raise click.UsageError("give a directory (with --yes or --revoke), or --list alone")
    # Imported when it is called: --help needs none of it.
    from netclaw_opencode.actions import trusting
    from netclaw_opencode.adapters.cli.running import read_settings

    try:
        settings = read_settings()
        if directory is None:
            data = trusting.trusted_folders(settings)
        elif revoke:
            data = trusting.revoke_trust(settings, directory)
        else:
            data = trusting.grant_trust(settings, directory, _say_yes if yes else _ask)
    except DriverError as error:
        return output.show_error(NAME, error, output_format)
    return output.show({"ok": True, "action": NAME, "data": data}, output_format)


def _say_yes(_directory: str, _found: Shown) -> bool:
    return True


def _ask(directory: str, found: Shown) -> bool:
    if not (output.is_terminal(sys.stdin) and output.is_terminal(sys.stderr)):
        return False
    click.echo(f"OpenCode would run this when it opens {one_line(directory, 500)}:", err=True)
    for path, runs in found:
        click.echo(f"  {one_line(path, 500)}", err=True)
        for sentence in runs:
            click.echo(f"    {one_line(sentence, 500)}", err=True)
    return click.confirm("Trust these files?", default=False, err=True)


__all__ = ["NAME", "SUMMARY", "command"]
