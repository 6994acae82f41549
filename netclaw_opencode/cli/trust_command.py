"""The command ``server trust``: a person looks at what a folder would run, and says yes.

It is a command and no action, so that no agent trusts a folder on its own.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from netclaw_opencode.cli import output
from netclaw_opencode.cli.terminal import one_line
from netclaw_opencode.errors import DriverError, Refused, ServerProblem

if TYPE_CHECKING:
    from netclaw_opencode.driver.trust import CodeFile, Trust

NAME = "trust"
SUMMARY = "Trust what a folder makes OpenCode run, after a look at it."
_HELP = (
    "Shows the files of DIR that make OpenCode run code when it opens that folder (plugins, tools, MCP servers, formatters, "
    "language servers), and remembers them as trusted by their content: where one changes, or another comes, it asks again. "
    "Asks on a terminal; --yes says yes elsewhere."
)


def command() -> click.Command:
    """The command for the tree."""
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
    try:
        data = _listed() if directory is None else _revoked(directory) if revoke else _granted(directory, yes=yes)
    except DriverError as error:
        return output.show_error(NAME, error, output_format)
    return output.show({"ok": True, "action": NAME, "data": data}, output_format)


def _kept() -> Trust:
    from netclaw_opencode.cli.running import read_settings
    from netclaw_opencode.driver.trust import Trust

    return Trust.of(read_settings())


def _resolved(directory: str) -> str:
    from netclaw_opencode.driver.places import checked_directory

    return checked_directory(str(Path(directory).expanduser().absolute()))


def _listed() -> dict[str, object]:
    folders = [{"directory": item.directory, "trusted_at": item.trusted_at, "files": sorted(item.files)} for item in _kept().folders()]
    return {"folders": folders, "count": len(folders)}


def _revoked(directory: str) -> dict[str, object]:
    # A folder that is gone can still be revoked.
    place = Path(directory).expanduser().absolute()
    resolved = _resolved(directory) if place.is_dir() else str(place)
    return {"directory": resolved, "revoked": _kept().revoke(resolved)}


def _granted(directory: str, *, yes: bool) -> dict[str, object]:
    kept, resolved = _kept(), _resolved(directory)
    found = kept.find(resolved)
    broken = next((item for item in found if item.problem is not None), None)
    if broken is not None:
        raise ServerProblem(
            "config_error",
            f"{broken.path} cannot be read, so it is not known what it would run: {broken.problem}",
            next=f"mend {broken.path}",
            details={"directory": resolved, "file": str(broken.path)},
        )
    wire: dict[str, object] = {"directory": resolved, "files": [item.to_wire() for item in found]}
    if not found:
        return wire | {"trusted": False, "note": "OpenCode would run nothing of this folder, so there is nothing to trust"}
    if not yes and not _agreed(resolved, found):
        raise Refused(
            "untrusted_project",
            f"{resolved} was not trusted: nobody said yes",
            next="look at the files in details, then say yes on a terminal, or call with --yes",
            details=wire,
        )
    kept.grant(resolved, found)
    return wire | {"trusted": True}


def _agreed(directory: str, found: tuple[CodeFile, ...]) -> bool:
    if not (output.is_terminal(sys.stdin) and output.is_terminal(sys.stderr)):
        return False
    click.echo(f"OpenCode would run this when it opens {one_line(directory, 500)}:", err=True)
    for item in found:
        click.echo(f"  {one_line(str(item.path), 500)}", err=True)
        for sentence in item.runs:
            click.echo(f"    {one_line(sentence, 500)}", err=True)
    return click.confirm("Trust these files?", default=False, err=True)


__all__ = ["NAME", "SUMMARY", "command"]
