"""The commands ``completion install``, ``uninstall`` and ``show``: Tab completion for bash, zsh and fish.

Owns where the script and the lines in a start-up file go. The script is click's own. A start-up file is changed between two marks
alone, atomically, and only if the shell can still read the result.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from netclaw_opencode.adapters.cli import output
from netclaw_opencode.adapters.cli.terminal import PROGRAM
from netclaw_opencode.errors import DriverError, InvalidInput

if TYPE_CHECKING:
    from click.shell_completion import ShellComplete

SHELLS = ("bash", "zsh", "fish")
BEGIN = f"# >>> {PROGRAM} completion >>>"
END = f"# <<< {PROGRAM} completion <<<"
_BLOCK = re.compile(rb"^" + re.escape(BEGIN.encode()) + rb"\n.*?^" + re.escape(END.encode()) + rb"(?:\n|\Z)", re.DOTALL | re.MULTILINE)
_OLDEST_BASH = (4, 4)
_SHELL_SECONDS = 10.0
"""The last resort for a shell that hangs; a syntax check of a start-up file takes milliseconds."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What an installation consists of.

    Attributes:
        shell: The shell it is for.
        script: Where the completion script goes.
        startup: The file that the shell reads at its start, if it does not find the script by itself.
        lines: What stands between the marks there.
    """

    shell: str
    script: Path
    startup: Path | None
    lines: str


def commands() -> dict[str, click.Command]:
    """Return the commands of the group, by name."""
    shell = click.Option(["--shell"], type=click.Choice(SHELLS), default=None, help="Default: the shell that $SHELL names.")
    startup = click.Option(
        ["--startup-file"], type=click.Path(), default=None, metavar="FILE", help="Instead of .bashrc or .zshrc; fish needs none."
    )
    dry = click.Option(["--dry-run"], is_flag=True, help="Say what would be done, and do nothing.")
    form = click.Option(["--format", "output_format"], type=click.Choice(["json", "text"]), default=None, help="How to print the result.")
    made = [
        click.Command(
            "install",
            callback=_install,
            params=[shell, startup, dry, form],
            help="Write the completion script, and the lines that load it into the shell's start-up file, between two marks. Both are "
            "shown. A second time changes nothing.",
            short_help="Install it for one shell, and say what was written.",
        ),
        click.Command(
            "uninstall",
            callback=_uninstall,
            params=[shell, startup, dry, form],
            help="Remove the script and the marked lines; the rest of the start-up file stays as it is.",
            short_help="Remove it again.",
        ),
        click.Command("show", callback=_show, params=[shell], help="Print the completion script.", short_help="Print the script."),
    ]
    return {str(command.name): command for command in made}


def plan(environ: Mapping[str, str], shell: str | None, startup: str | None) -> Plan:
    """Return where things go for this user.

    Args:
        environ: The variables that say where the user's files are.
        shell: The shell, or None for the one that ``SHELL`` names.
        startup: The start-up file, or None for the usual one.

    Raises:
        InvalidInput: There is no home directory, or no known shell.
    """
    name = shell or Path(environ.get("SHELL", "")).name
    if name not in SHELLS:
        raise InvalidInput(
            "invalid_input", f"completion is there for {', '.join(SHELLS)}, and $SHELL is {name or 'not set'}", next="give --shell"
        )
    home = Path(environ.get("HOME", ""))
    if not home.is_absolute() or not home.is_dir():
        raise InvalidInput("invalid_input", "HOME names no folder, so there is no place for the completion script")
    if name == "fish":
        if startup is not None:
            raise InvalidInput("invalid_input", "--startup-file: fish finds the script by itself", next="leave --startup-file out")
        return Plan(name, _folder(environ, "XDG_CONFIG_HOME", home / ".config") / "fish" / "completions" / f"{PROGRAM}.fish", None, "")
    script = _folder(environ, "XDG_DATA_HOME", home / ".local" / "share") / PROGRAM / f"completion.{name}"
    quoted = shlex.quote(str(script))
    if name == "bash":
        # The file may be shared with a machine whose bash is older.
        usual, lines = (
            home / ".bashrc",
            f"if [ -r {quoted} ] && (( BASH_VERSINFO[0] * 100 + BASH_VERSINFO[1] >= 404 )); then\n  . {quoted}\nfi",
        )
    else:
        usual = _folder(environ, "ZDOTDIR", home) / ".zshrc"
        ready = "(( $+functions[compdef] )) || { autoload -Uz compinit && compinit; }"
        lines = f"if [[ -r {quoted} ]]; then\n  {ready}\n  source {quoted}\nfi"
    return Plan(name, script, Path(startup).expanduser().absolute() if startup else usual, lines)


def install(wanted: Plan, *, dry_run: bool) -> dict[str, object]:
    """Write the script and the marked lines, if they are not there already.

    Args:
        wanted: What goes where.
        dry_run: Only say what would be done.

    Raises:
        InvalidInput: A file cannot be read or written, the start-up file would not be readable by the shell afterwards, or bash is too old.
    """
    _require_version(wanted.shell)
    # The script first: the lines in the start-up file never name a file that is not there yet.
    changes = [(wanted.script, _content(wanted.script), script_of(wanted.shell).encode())]
    if wanted.startup is not None:
        old = _content(wanted.startup)
        new = _with_block(wanted.startup, old or b"", _block(wanted))
        _require_readable(wanted, old or b"", new)
        changes.append((wanted.startup, old, new))
    files: list[dict[str, str]] = []
    for path, before, after in changes:
        if before != after and not dry_run:
            _write(path, after)
        change = "unchanged" if before == after else "created" if before is None else "changed"
        files.append({"path": str(path), "change": change})
    if wanted.startup is not None:
        files[-1]["lines"] = _block(wanted).decode()
    return {"shell": wanted.shell, "dry_run": dry_run, "files": files, "next": "open a new shell"}


def uninstall(wanted: Plan, *, dry_run: bool) -> dict[str, object]:
    """Remove the marked lines and the script, if they are there.

    Raises:
        InvalidInput: A file cannot be read or written.
    """
    files = []
    if wanted.startup is not None:
        old = _content(wanted.startup)
        new = _with_block(wanted.startup, old or b"", b"")
        if old is not None and new != old and not dry_run:
            _write(wanted.startup, new)
        files.append({"path": str(wanted.startup), "change": "unchanged" if new == (old or b"") else "changed"})
    there = _content(wanted.script) is not None
    if there and not dry_run:
        try:
            wanted.script.unlink()
            if wanted.script.parent.name == PROGRAM:
                with suppress(OSError):  # not empty
                    wanted.script.parent.rmdir()
        except OSError as error:
            raise _refused(wanted.script, error) from error
    files.append({"path": str(wanted.script), "change": "removed" if there else "unchanged"})
    return {"shell": wanted.shell, "dry_run": dry_run, "files": files}


def script_of(shell: str) -> str:
    """Return the completion script, which asks the installed command at each Tab."""
    from click.shell_completion import get_completion_class

    kind: type[ShellComplete] | None = get_completion_class(shell)
    assert kind is not None
    variable = f"_{PROGRAM}_complete".replace("-", "_").upper()
    # Not source(): it starts a shell, and complains on stderr about the version; what is needed is checked at the installation.
    made = kind(click.Command(PROGRAM), {}, PROGRAM, variable)
    return (made.source_template % made.source_vars()).strip() + "\n"


def _install(shell: str | None, startup_file: str | None, dry_run: bool, output_format: str | None) -> int:  # noqa: FBT001 - click's names
    try:
        data = install(plan(os.environ, shell, startup_file), dry_run=dry_run)
    except DriverError as error:
        return output.show_error("completion_install", error, output_format)
    return output.show({"ok": True, "action": "completion_install", "data": data}, output_format)


def _uninstall(shell: str | None, startup_file: str | None, dry_run: bool, output_format: str | None) -> int:  # noqa: FBT001 - click's names
    try:
        data = uninstall(plan(os.environ, shell, startup_file), dry_run=dry_run)
    except DriverError as error:
        return output.show_error("completion_uninstall", error, output_format)
    return output.show({"ok": True, "action": "completion_uninstall", "data": data}, output_format)


def _show(shell: str | None) -> int:
    output.write_line(script_of(plan(os.environ, shell, None).shell).rstrip("\n"))
    return 0


def _folder(environ: Mapping[str, str], variable: str, usual: Path) -> Path:
    """Return the folder that a variable names; a relative one counts as none, as the XDG specification says."""
    named = Path(environ.get(variable, ""))
    return named if named.is_absolute() else usual


def _block(wanted: Plan) -> bytes:
    return f"{BEGIN}\n{wanted.lines}\n{END}\n".encode()


def _content(path: Path) -> bytes | None:
    """Return the content of a file, or None if there is none."""
    try:
        if path.exists() and not path.is_file():
            raise InvalidInput("invalid_input", f"{path} is no regular file")
        return path.read_bytes() if path.exists() else None
    except OSError as error:
        raise _refused(path, error) from error


def _with_block(path: Path, old: bytes, block: bytes) -> bytes:
    """Return the text with this block in place of an earlier one, or else at its end; an empty block takes the earlier one away."""
    found = _BLOCK.search(old)
    if old.count(BEGIN.encode()) != (found is not None) or old.count(END.encode()) != (found is not None):
        raise InvalidInput(
            "invalid_input",
            f"{path}: the marks of {PROGRAM} do not stand there as a pair, once",
            next=f"remove the lines {BEGIN!r} and {END!r}, and what stands between them, by hand",
        )
    if found is None:
        # An empty line before it: the last one may end in a backslash, or without a line break.
        gap = b"\n" if old.endswith(b"\n") else b"\n\n" if old else b""
        return old + gap + block if block else old
    before, after = old[: found.start()], old[found.end() :]
    if not block and before.endswith(b"\n\n"):
        before = before[:-1]
    return before + block + after


def _require_version(shell: str) -> None:
    """Refuse a bash that cannot run the script; macOS still brings 3.2."""
    told = _run_shell(shell, "-c", 'echo "${BASH_VERSINFO[0]}.${BASH_VERSINFO[1]}"') if shell == "bash" else None
    numbers = re.match(rb"(\d+)\.(\d+)", told.stdout) if told else None
    if numbers is not None and (int(numbers[1]), int(numbers[2])) < _OLDEST_BASH:
        raise InvalidInput(
            "invalid_input",
            f"the bash on PATH is {numbers[0].decode()}; its completion needs 4.4 or newer",
            next="install a newer bash, or give --shell zsh",
        )


def _require_readable(wanted: Plan, old: bytes, new: bytes) -> None:
    """Refuse what the shell could not read any more; a file that it cannot read as it is now is its user's own matter."""
    if new == old:
        return
    before, after = (_run_shell(wanted.shell, "-n", text=text) for text in (old, new))
    if before is not None and after is not None and after.returncode and not before.returncode:
        raise InvalidInput(
            "invalid_input", f"{wanted.shell} could not read {wanted.startup} with our lines at its end; nothing was changed there"
        )


def _run_shell(shell: str, *arguments: str, text: bytes = b"") -> subprocess.CompletedProcess[bytes] | None:
    """Run the shell without any start-up file; None if it is not there or hangs."""
    program = shutil.which(shell)
    if program is None:
        return None
    bare = ["--norc", "--noprofile"] if shell == "bash" else ["-f"]
    environ = {name: value for name, value in os.environ.items() if name not in ("BASH_ENV", "ENV")}
    try:
        return subprocess.run(
            [program, *bare, *arguments], input=text, env=environ, capture_output=True, timeout=_SHELL_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None


def _write(path: Path, content: bytes) -> None:
    """Replace the whole file at once, with its permissions; a link stays one, and what it leads to is replaced."""
    target = Path(os.path.realpath(path))
    fresh = target.with_name(f".{target.name}.{os.getpid()}.new")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with fresh.open("xb") as file:
            if target.exists():
                shutil.copymode(target, fresh)
                with suppress(PermissionError):
                    os.chown(fresh, target.stat().st_uid, target.stat().st_gid)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(target)
    except OSError as error:
        raise _refused(target, error) from error
    finally:
        fresh.unlink(missing_ok=True)


def _refused(path: Path, error: OSError) -> InvalidInput:
    return InvalidInput("invalid_input", f"{path}: {error.strerror or error}; nothing was changed there")


__all__ = ["BEGIN", "END", "SHELLS", "Plan", "commands", "install", "plan", "script_of", "uninstall"]
