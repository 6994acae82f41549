"""The tree of commands: four tiers of actions made from the manifest, and ``actions``, ``demo``, ``skill``, ``mcp``, ``completion``.

Owns names, help and usage errors. What a command does stands in ``calls``, ``demo`` and ``skill``, imported when it is run.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from typing import IO, TYPE_CHECKING, Any, NoReturn

import click

from netclaw_opencode import __version__
from netclaw_opencode.adapters.cli import catalogue
from netclaw_opencode.adapters.cli.terminal import PROGRAM
from netclaw_opencode.errors import CODES, EXIT_DONE, DriverError

if TYPE_CHECKING:
    from netclaw_opencode.adapters.cli.flags import Flag
    from netclaw_opencode.manifest import ActionEntry

_SETTINGS = {
    "help_option_names": ["-h", "--help"],
    "max_content_width": 100,
    "token_normalize_func": lambda token: token.replace("_", "-"),
}
BESIDE_ACTIONS: Mapping[str, Mapping[str, str]] = {"server": {"trust": "Trust what a folder makes OpenCode run, after a look at it."}}
"""Commands that are no actions: only a person calls them."""
_POSITIONAL = {"report": "file", "verify_work": "statement"}
"""Arguments that may be given without their flag."""
_EPILOG = (
    f"Each action has its own help, such as {PROGRAM} run run-task --help. Unless stdout is a terminal, the output is one JSON envelope. "
    "Exit codes: 0 done, 1 the action failed, 2 usage, 3 invalid input, 4 refused by a safety rule, 5 no server, "
    "6 out of time, 7 waiting for a permission or an answer, 130 interrupted."
)


def run(argv: Sequence[str]) -> int:
    """Run one command line and return its exit code; every ending is shown, none is a traceback."""
    from netclaw_opencode.adapters.cli import output

    try:
        requested = output.requested_format(argv)
        try:
            code = _root().main(list(argv), prog_name=PROGRAM, standalone_mode=False)
            return code if isinstance(code, int) else EXIT_DONE
        except click.UsageError as error:
            return output.show_usage_error(error, requested, limit=output.requested_max_chars(argv))
        except (click.Abort, KeyboardInterrupt):
            return output.show_interrupted(requested)
        except DriverError as error:
            return output.show_error(PROGRAM, error, requested, limit=output.requested_max_chars(argv))
    except BrokenPipeError:
        return output.reader_left()
    except OSError as error:
        return output.report_write_failure(error)


class MissingCommandError(click.UsageError):
    """A group was named, but no command of it: the text form is the group's help."""

    def __init__(self, ctx: click.Context) -> None:
        super().__init__(f"a command is missing after '{ctx.command_path}'; there are: {', '.join(_names(ctx))}", ctx)

    def show(self, file: IO[Any] | None = None) -> None:
        if self.ctx is not None:
            click.echo(self.ctx.get_help(), err=True)


class UnknownCommandError(click.UsageError):
    """There is no such command; the message names the nearest one."""

    error_code = "unknown_action"


class _Group(click.Group):
    """A group whose unknown commands are answered with the nearest one, wherever in the tree it stands."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args and not ctx.resilient_parsing:
            raise MissingCommandError(ctx)
        return super().parse_args(ctx, args)

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        command = self.get_command(ctx, args[0].replace("_", "-"))
        if command is None and not ctx.resilient_parsing and not args[0].startswith("-"):
            _no_such_command(ctx, args[0], self.list_commands(ctx))
        return super().resolve_command(ctx, args)


class _Tier(_Group):
    """The commands of one tier; only the one that is called is built, so only its schema is read."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*(catalogue.command_name(entry.name) for entry in catalogue.actions(self.name)), *BESIDE_ACTIONS.get(self.name or "", ())]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in BESIDE_ACTIONS.get(self.name or "", ()):
            from netclaw_opencode.adapters.cli import trust_command

            return trust_command.command()
        entry = catalogue.action(cmd_name)
        return _Action(entry) if entry is not None and entry.tier == self.name else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Actions"):
            rows = [(catalogue.command_name(entry.name), entry.summary) for entry in catalogue.actions(self.name)]
            formatter.write_dl([*rows, *BESIDE_ACTIONS.get(self.name or "", {}).items()])


class _Completion(_Group):
    """The commands about Tab completion; they are loaded when one of them is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(self._loaded())

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        return self._loaded().get(cmd_name)

    def _loaded(self) -> Mapping[str, click.Command]:
        from netclaw_opencode.adapters.cli import completion_command

        return completion_command.commands()


class _Action(click.Command):
    """One action; its schema is read when its flags are needed."""

    def __init__(self, entry: ActionEntry) -> None:
        super().__init__(catalogue.command_name(entry.name), short_help=entry.summary, callback=self._call)
        self._entry = entry
        self._flags: tuple[Flag, ...] | None = None

    @property
    def flags(self) -> tuple[Flag, ...]:
        """The flags of the input schema."""
        if self._flags is None:
            from netclaw_opencode.adapters.cli.flags import flags_of

            self._flags = flags_of(self._entry.input_schema)
        return self._flags

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        if not self.params:
            from netclaw_opencode.adapters.cli.flags import options_of

            self.params = [*options_of(self.flags), *self._format_option(), _limit_option(), *self._record_option()]
            if self._entry.name in _POSITIONAL:
                self.params.append(click.Argument(["positional"], required=False, metavar="[FILE]"))
        return super().get_params(ctx)

    def _format_option(self) -> list[click.Parameter]:
        # Of an action that has a format of its own the flag is that one; its result is text on a terminal, otherwise JSON.
        if any(flag.name == "--format" for flag in self.flags):
            return []
        return [_format_option("lines" if self._entry.name == "watch_events" else None)]

    def _record_option(self) -> list[click.Parameter]:
        # What reads a record has a flag of that name already, and must not write to it.
        if any(flag.name == "--record" for flag in self.flags):
            return []
        text = "Append every request, event and decision of this call to FILE, without texts or secrets; see explain."
        return [click.Option(["--record", "record_to"], type=click.Path(), default=None, metavar="FILE", help=text)]

    def _call(self, **given: object) -> int:
        from netclaw_opencode.adapters.cli import calls

        word = given.pop("positional", None)
        if word is not None:
            key = next(flag.key for flag in self.flags if flag.path == (_POSITIONAL[self._entry.name],))
            given[key] = word
        return calls.call(self._entry, given, self.flags)

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        formatter.write_paragraph()
        with formatter.indentation():
            formatter.write_text(self._entry.summary)
            if self._entry.description and self._entry.description != self._entry.summary:
                formatter.write_paragraph()
                formatter.write_text(self._entry.description)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        from netclaw_opencode.adapters.cli.flags import command_of

        entry = self._entry
        with formatter.section("Limits"):
            formatter.write_text(f"Default deadline: {entry.deadline_seconds:g} seconds.")
        if entry.examples:
            with formatter.section("Examples"):
                for example in entry.examples[:2]:
                    flags = command_of(example.input, self.flags)
                    formatter.write(f"{'':{formatter.current_indent}}{PROGRAM} {entry.tier} {self.name} {flags}".rstrip() + "\n")
        with formatter.section("Errors (exit code)"):
            formatter.write_text(", ".join(_error_name(code) for code in catalogue.manifest().errors_of(entry.name)))


def _root() -> click.Group:
    root = _Group(
        PROGRAM,
        help="Drive the OpenCode coding agent dependably: hand it a task, get back a result that can be trusted.",
        context_settings=_SETTINGS,
        params=[
            click.Option(["--version"], is_flag=True, is_eager=True, expose_value=False, callback=_version, help="Show the version."),
            click.Option(["--debug"], is_flag=True, expose_value=False, callback=_debug, help="Log to stderr, with tracebacks."),
        ],
        epilog=_EPILOG,
    )
    for tier, summary in catalogue.TIERS.items():
        root.add_command(_Tier(tier, help=summary))
    root.add_command(
        click.Command("actions", callback=_list_actions, params=[_format_option(), _limit_option()], help="Show every action in one table.")
    )
    root.add_command(_demo_command())
    root.add_command(_skill_group())
    root.add_command(_mcp_command())
    root.add_command(_worker_command())
    root.add_command(_completion_group())
    return root


def _skill_group() -> click.Group:
    from netclaw_opencode.adapters.cli import skill

    group = _Group("skill", help=skill.SUMMARY)
    for command in skill.commands():
        group.add_command(command)
    return group


def _completion_group() -> click.Group:
    return _Completion("completion", help="Tab completion for bash, zsh or fish: install, uninstall, show.")


def _mcp_command() -> click.Command:
    from netclaw_opencode.adapters.cli import mcp_command

    return mcp_command.command()


def _worker_command() -> click.Command:
    from netclaw_opencode.adapters.cli import worker_command

    return worker_command.command()


def _demo_command() -> click.Command:
    return click.Command(
        "demo",
        callback=_demo,
        help="Run one coding task on a private OpenCode server with a scripted stand-in for the model: no key, no cost, no network.",
        params=[
            click.Option(["--model"], metavar="TEXT", help="provider/model of your own OpenCode set-up, or 'default': its default model."),
            click.Option(["--directory"], type=click.Path(), help="Work in this folder (and leave the files); default: a temporary one."),
            click.Option(["--keep"], is_flag=True, help="Keep the temporary folder with what the agent wrote."),
            click.Option(["--deadline-seconds"], type=click.FloatRange(1, 3600), default=120.0, help="The task's deadline (default: 120)."),
        ],
    )


def _format_option(extra: str | None = None) -> click.Option:
    choices = ["json", "text", *([extra] if extra else [])]
    text = "How to print the result; text on a terminal, otherwise json."
    if extra == "lines":
        text += " lines: each event as a JSON line as it comes, the envelope last."
    return click.Option(["--format", "output_format"], type=click.Choice(choices), default=None, help=text)


def _limit_option() -> click.Option:
    text = (
        "The most JSON to print, in characters; the whole of a longer result goes into a file that is named in its place. "
        "0 stands for no limit. Default: 1800 where stdout is no terminal."
    )
    return click.Option(["--max-chars"], type=click.IntRange(0), callback=_check_limit, default=None, metavar="INTEGER", help=text)


def _check_limit(_ctx: click.Context, _option: click.Parameter, given: int | None) -> int | None:
    from netclaw_opencode.settings import SMALLEST_OUTPUT

    if given and given < SMALLEST_OUTPUT:
        raise click.BadParameter(f"{given} is too small: give 0 (no limit), or {SMALLEST_OUTPUT} or more.")
    return given


def _list_actions(output_format: str | None, max_chars: int | None) -> int:
    from netclaw_opencode.adapters.cli import calls

    return calls.list_actions(output_format, max_chars)


def _demo(model: str | None, directory: str | None, keep: bool, deadline_seconds: float) -> int:  # noqa: FBT001 - click's names
    from netclaw_opencode.adapters.cli.demo import demo

    return demo(model=model, directory=directory, keep=keep, deadline_seconds=deadline_seconds)


def _version(ctx: click.Context, _option: click.Parameter, asked: object) -> None:
    if asked and not ctx.resilient_parsing:
        click.echo(f"{PROGRAM} {__version__}")
        ctx.exit()


def _debug(ctx: click.Context, _option: click.Parameter, asked: object) -> None:
    import logging

    if asked:
        logging.basicConfig(level=logging.DEBUG, format="%(relativeCreated)d ms %(levelname)s %(name)s: %(message)s")
    else:
        # stderr is silent: what matters is in the envelope.
        logging.getLogger("netclaw_opencode").addHandler(logging.NullHandler())


def _no_such_command(ctx: click.Context, name: str, here: Iterable[str]) -> NoReturn:
    wanted = name.replace("_", "-")
    elsewhere = {catalogue.command_name(entry.name): entry for entry in catalogue.actions()}
    if wanted in elsewhere:
        hint = f"did you mean '{PROGRAM} {elsewhere[wanted].tier} {wanted}'?"
    else:
        near_here = difflib.get_close_matches(wanted, list(here), n=1)
        near = difflib.get_close_matches(wanted, list(elsewhere), n=1)
        if near_here:
            hint = f"did you mean '{ctx.command_path} {near_here[0]}'?"
        elif near:
            hint = f"did you mean '{PROGRAM} {elsewhere[near[0]].tier} {near[0]}'?"
        else:
            hint = f"there are: {', '.join(here)}."
    raise UnknownCommandError(f"there is no command {name!r}; {hint}", ctx)


def _names(ctx: click.Context) -> list[str]:
    return ctx.command.list_commands(ctx) if isinstance(ctx.command, click.Group) else []


def _error_name(code: str) -> str:
    known = CODES.get(code)
    return f"{code} ({known.exit_code})" if known is not None else code


__all__ = ["MissingCommandError", "UnknownCommandError", "run"]
