"""``netclaw-opencode skill``: what authors of skill packages need, as a table of commands.

Owns the names, flags and help of the group. A command's module is imported when it is run, so that ``--help`` stays
quick; each has one function that takes its flags by keyword and returns the exit code.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import click

FORMS = ("directory", "feed", "agent-plugin", "hermes", "openclaw")
"""As in ``netclaw_opencode.skill.export``, which is imported only when something is exported."""

SUMMARY = "Check, start and export skill packages."


@dataclass(frozen=True, slots=True)
class SkillCommand:
    """One row: ``function`` is ``module:function``, the module in this package; ``params`` makes its flags anew."""

    name: str
    function: str
    help: str
    params: Callable[[], Sequence[click.Parameter]]


def _validate_params() -> Sequence[click.Parameter]:
    return [
        click.Argument(["paths"], nargs=-1, type=click.Path(), metavar="PATH..."),
        click.Option(
            ["--for", "hosts"],
            multiple=True,
            metavar="HOST",
            help="Whose rules apply: spec (default), claude, hermes, netclaw, openclaw or all; several with commas.",
        ),
        click.Option(
            ["--format", "output_format"],
            type=click.Choice(["text", "json", "github", "sarif"]),
            default=None,
            help="How to print what was found; text on a terminal, otherwise json.",
        ),
        click.Option(["--strict"], is_flag=True, help="Let warnings fail, too."),
        click.Option(["--advice"], is_flag=True, help="Show advice, too; it never fails."),
        click.Option(["--ignore", "ignored"], multiple=True, metavar="CODE", help="Leave a code out; may be repeated."),
        click.Option(["--fix"], is_flag=True, help="Fix what is safe (line ends, BOM, quoting, the folder's name) and check again."),
        click.Option(["--baseline"], type=click.Path(), default=None, metavar="FILE", help="Leave out the findings that FILE knows."),
        click.Option(["--write-baseline"], is_flag=True, help="Write every finding into the baseline, and fail for none."),
        click.Option(["--config"], type=click.Path(), default=None, metavar="FILE", help="The configuration, instead of the nearest one."),
        click.Option(["--import", "import_code"], is_flag=True, help="Also import the handlers: this runs code of the package."),
        click.Option(["--changed"], is_flag=True, help="PATHs are changed files: check the package around each, pass over the others."),
        click.Option(["--jobs"], type=click.IntRange(1, 256), default=None, help="At most so many processes (default: the processors)."),
        click.Option(["--docs"], metavar="URL", default=None, help="In SARIF: where docs/rules.md can be read, for links to the codes."),
        click.Option(["--list-rules"], is_flag=True, help="Show every rule of the chosen hosts, and check nothing."),
        click.Option(["--explain"], metavar="CODE", default=None, help="Explain one code, and check nothing."),
    ]


def _new_params() -> Sequence[click.Parameter]:
    return [
        click.Argument(["name"], metavar="NAME"),
        click.Option(["--to"], type=click.Path(), default=None, metavar="DIR", help="The folder to write it in; default: this one."),
        click.Option(["--format", "output_format"], type=click.Choice(["text", "json"]), default=None, help="How to print the result."),
    ]


def _export_params() -> Sequence[click.Parameter]:
    return [
        click.Option(["--to"], type=click.Path(), required=True, metavar="DIR", help="The folder to write into; it may hold other things."),
        click.Option(["--format", "form"], type=click.Choice(FORMS), default="directory", help="The form (default: directory)."),
        click.Option(["--url-prefix"], default=None, metavar="URL", help="For a feed: what stands before the archive's name in its index."),
    ]


COMMANDS = (
    SkillCommand(
        "validate",
        "validating:validate",
        "Check the skills in and below each PATH, by the rules of the Agent Skills specification or of a host. Nothing of a skill is run.",
        _validate_params,
    ),
    SkillCommand("new", "creating:new", "Write a small valid skill package to start from, in a new folder NAME.", _new_params),
    SkillCommand("export", "exporting:export", "Write the skill opencode-driver in the form that a host takes.", _export_params),
)


def commands() -> list[click.Command]:
    """Return the commands of the group, each of which imports its module when it is called."""
    return [click.Command(row.name, callback=_lazy(row.function), params=list(row.params()), help=row.help) for row in COMMANDS]


def _lazy(function: str) -> Callable[..., int]:
    module, _, name = function.partition(":")

    def call(**given: object) -> int:
        return int(getattr(importlib.import_module(f"{__name__}.{module}"), name)(**given))

    return call


__all__ = ["COMMANDS", "SUMMARY", "SkillCommand", "commands"]
