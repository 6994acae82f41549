"""Where a result goes: one JSON envelope or readable text on stdout, text errors on stderr, and the exit code.

Owns the choice of the form, the limit on the JSON's length, and the writing of bytes. How text looks is decided in ``views``,
how an envelope is shortened in ``spill``.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TextIO

import click

from netclaw_opencode.adapters.cli.terminal import PROGRAM, escape_controls, json_text, one_line
from netclaw_opencode.errors import CODES, EXIT_DONE, EXIT_FAILED, EXIT_USAGE, EXIT_WAITING, DriverError, Interrupted, InvalidInput
from netclaw_opencode.settings import SMALLEST_OUTPUT, max_chars, results_dir

MAX_CHARS = 1800
"""As much JSON as is printed by default where stdout is no terminal: hosts show 2,000 characters, some only the last ones."""

_FORMATS = ("json", "text", "lines")


def requested_format(argv: Sequence[str]) -> str | None:
    """Return what ``--format`` asks for, read before the command line is parsed: a usage error needs it too."""
    value = _word_behind("--format", argv)
    return value if value in _FORMATS else None


def requested_max_chars(argv: Sequence[str]) -> int | None:
    """Return what ``--max-chars`` asks for, read before the command line is parsed."""
    text = _word_behind("--max-chars", argv) or ""
    return int(text) if text == "0" or (text.isascii() and text.isdigit() and int(text[:9]) >= SMALLEST_OUTPUT) else None


def _word_behind(flag: str, argv: Sequence[str]) -> str | None:
    for position, word in enumerate(argv):
        name, equals, value = word.partition("=")
        if name == flag:
            return value if equals else next(iter(argv[position + 1 :]), "")
    return None


def format_for(asked: str | None) -> str:
    """``asked``, or text on a terminal and json elsewhere."""
    return asked or ("text" if is_terminal(sys.stdout) else "json")


def is_terminal(stream: TextIO | None) -> bool:
    """Return whether a person looks at the stream."""
    try:
        return stream is not None and stream.isatty()
    except ValueError:  # closed
        return False


def limit_for(given: int | None) -> int:
    """Return the limit on printed JSON in characters, 0 for none: ``--max-chars``, else the setting, else the default."""
    if given is None:
        with suppress(DriverError):  # a setting that is wrong is reported when all of them are read
            given = max_chars(os.environ)
    if given is None:
        return 0 if is_terminal(sys.stdout) else MAX_CHARS
    return given


def show(
    envelope: Mapping[str, object],
    asked: str | None,
    *,
    limit: int | None = None,
    schema: Mapping[str, object] | None = None,
    shown_live: bool = False,
) -> int:
    """Print the envelope in the form asked for and return the exit code.

    ``limit`` is what ``--max-chars`` says, ``schema`` the action's output schema; ``shown_live``: events were printed already.
    """
    if format_for(asked) == "text":
        from netclaw_opencode.adapters.cli.views import print_envelope

        print_envelope(envelope, shown_live=shown_live)
    else:
        pretty = asked != "lines" and is_terminal(sys.stdout)
        write_json(envelope, limit=limit, schema=schema, pretty=pretty)
    return exit_code(envelope)


def write_json(
    envelope: Mapping[str, object], *, limit: int | None = None, schema: Mapping[str, object] | None = None, pretty: bool = False
) -> None:
    """One JSON document and a line break on stdout, in UTF-8, at once; at most as long as ``limit_for`` says."""

    def text(value: object) -> str:
        return json_text(value, indent=2 if pretty else None)

    longest = limit_for(limit)
    line = text(envelope)
    # Imported where it is needed: most envelopes are short.
    if longest and len(line) * 2 >= longest:
        from netclaw_opencode.actions.spill import shorten

        line = text(shorten(envelope, max_chars=longest - 1, folder=results_dir(os.environ), schema=schema, text=text))
    write_line(line)


def write_line(line: str) -> None:
    """One line on stdout, in UTF-8, at once."""
    if sys.stdout is None:
        raise OSError(errno.EBADF, "standard output is closed")
    click.echo((line + "\n").encode("utf-8"), nl=False)


def exit_code(envelope: Mapping[str, object]) -> int:
    """Return the exit code of an envelope (``errors.CODES``); an unknown code counts as a failed action.

    A turn that was to be run and waits is not done; a look that finds one waiting has done what it should.
    """
    if envelope.get("ok") is True:
        data = envelope.get("data")
        waits = isinstance(data, Mapping) and data.get("state") == "waiting" and "done" not in data
        return EXIT_WAITING if waits else EXIT_DONE
    error = envelope.get("error")
    code = CODES.get(str(error.get("code"))) if isinstance(error, Mapping) else None
    return code.exit_code if code is not None else EXIT_FAILED


def show_error(action: str, error: DriverError, asked: str | None, *, limit: int | None = None) -> int:
    """Print the error envelope of a call that was not made."""
    return show({"ok": False, "action": action, "error": error.to_wire()}, asked, limit=limit)


def show_interrupted(asked: str | None) -> int:
    """Ctrl-C before anything was started."""
    return show_error(PROGRAM, Interrupted("cancelled", "cancelled before anything was started"), asked)


def show_usage_error(error: click.UsageError, asked: str | None, *, limit: int | None = None) -> int:
    """Return a command line that cannot be understood: exit code 2, with the nearest valid name."""
    path = error.ctx.command_path if error.ctx is not None else PROGRAM
    if format_for(asked) == "text":
        error.show()
        return EXIT_USAGE
    words = path.split()
    problem = InvalidInput(getattr(error, "error_code", "invalid_input"), escape_controls(error.format_message()), next=f"{path} --help")
    action = words[-1].replace("-", "_") if len(words) == 3 else PROGRAM
    write_json({"ok": False, "action": action, "error": problem.to_wire()}, limit=limit)
    return EXIT_USAGE


def notice(lines: Sequence[str]) -> None:
    """Say on stderr what the envelope has no place for, such as a broken plugin."""
    for line in lines:
        click.echo(f"{PROGRAM}: {one_line(line, 1000)}", err=True)


def reader_left() -> int:
    """Stop writing: the reader of stdout has left."""
    _give_up_stdout()
    return EXIT_FAILED


def report_write_failure(error: OSError) -> int:
    """Return the result could not be written (a full disk): said on stderr, since stdout is what failed."""
    _give_up_stdout()
    click.echo(f"{PROGRAM}: the result could not be written: {error.strerror or error}", err=True)
    return EXIT_FAILED


def _give_up_stdout() -> None:
    # What stands in its buffer would be tried again, and fail again, at the interpreter's end.
    with suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


__all__ = [
    "MAX_CHARS",
    "exit_code",
    "format_for",
    "is_terminal",
    "limit_for",
    "notice",
    "reader_left",
    "report_write_failure",
    "requested_format",
    "requested_max_chars",
    "show",
    "show_error",
    "show_interrupted",
    "show_usage_error",
    "write_json",
    "write_line",
]
