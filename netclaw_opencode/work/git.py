"""Run git for ourselves: with an environment of our own, and never with anything that a repository or a user has configured to run.

Owns the program, its environment and its errors, and the repositories of our own (``Store``) that hold an index and objects beside
the user's. No hook, filter, fsmonitor, text conversion, external diff, pager or prompt is ever run: a repository's configuration is
not read by the commands here, but for the few plain settings that ``repositories`` copies.
"""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

_SAID = 400
"""Characters of what git said that an error repeats."""
_CONFIG = (
    *("-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false", "-c", "core.pager=cat", "-c", "gc.auto=0"),
    *("-c", "maintenance.auto=false", "-c", "protocol.allow=never", "-c", "advice.addEmbeddedRepo=false"),
)
"""Stands before every command: it wins over any file."""


class GitError(Exception):
    """Git could not do what it was asked for.

    Attributes:
        timed_out: Whether it was ended because its time was over.
        output: What it had written to its standard output.
        status: Its exit status; None if it was not started, or ended.
    """

    def __init__(self, message: str, *, timed_out: bool = False, output: bytes = b"", status: int | None = None) -> None:
        super().__init__(message)
        self.timed_out = timed_out
        self.output = output
        self.status = status


@dataclass(frozen=True, slots=True)
class Git:
    """The git program, and until when it may run.

    Attributes:
        program: Its absolute path.
        ends: When whatever runs is ended, on the monotonic clock; infinity for never.
    """

    program: str
    ends: float = float("inf")
    path: str = field(default=os.defpath, repr=False)

    @classmethod
    def find(cls, environ: Mapping[str, str] | None = None, *, ends: float = float("inf")) -> Git | None:
        """Return the git on PATH, or None if there is none."""
        path = (os.environ if environ is None else environ).get("PATH", os.defpath)
        found = shutil.which("git", path=path)
        return cls(str(Path(found).absolute()), ends, path) if found else None

    def environment(self, more: Mapping[str, str]) -> dict[str, str]:
        """Return all that git sees; nothing of the caller's environment but PATH."""
        return {
            "PATH": self.path,
            "HOME": os.devnull,
            "XDG_CONFIG_HOME": os.devnull,
            "LC_ALL": "C",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_SYSTEM": os.devnull,
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_ATTR_NOSYSTEM": "1",
            "GIT_OPTIONAL_LOCKS": "0",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_NO_REPLACE_OBJECTS": "1",
            "GIT_NO_LAZY_FETCH": "1",
            "GIT_LITERAL_PATHSPECS": "1",
            "GIT_EDITOR": ":",
            "GIT_PAGER": "cat",
            **more,
        }

    def run(
        self,
        *arguments: str,
        cwd: Path,
        environ: Mapping[str, str] | None = None,
        stdin: bytes = b"",
        into: Path | None = None,
        accept: Sequence[int] = (0,),
    ) -> bytes:
        """Run one command and return its output.

        Args:
            arguments: The command, from its name on.
            cwd: Where it runs.
            environ: Variables beyond ``environment``.
            stdin: Its standard input.
            into: A new file of this user alone that gets its output instead.
            accept: Exit statuses that are no failure.

        Raises:
            GitError: It failed, or its time was over.
        """
        name = next(word for place, word in enumerate(arguments) if not (word == "-c" or (place and arguments[place - 1] == "-c")))
        command = [self.program, *_CONFIG, "--no-optional-locks", *arguments]
        sink = os.open(into, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_NOFOLLOW", 0), 0o600) if into is not None else None
        left = None if self.ends == float("inf") else max(0.0, self.ends - time.monotonic())
        try:
            done = subprocess.run(
                command,
                cwd=cwd,
                env=self.environment(environ or {}),
                input=stdin,
                stdout=sink if sink is not None else subprocess.PIPE,
                stderr=subprocess.PIPE,
                timeout=left,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise GitError(f"git {name} was ended after {left:.1f} s, the time that there was for it", timed_out=True) from error
        except OSError as error:
            raise GitError(f"git {name} could not be started in {cwd}: {error.strerror}") from error
        finally:
            if sink is not None:
                os.close(sink)
        if done.returncode not in accept:
            said = done.stderr.decode("utf-8", "backslashreplace").strip()[-_SAID:]
            told = f"git {name} failed in {cwd} with status {done.returncode}: {said or 'nothing said'}"
            raise GitError(told, output=done.stdout or b"", status=done.returncode)
        return done.stdout or b""


@dataclass(frozen=True, slots=True)
class Store:
    """A repository of our own: its objects, and the work tree whose files it reads.

    Attributes:
        folder: The repository itself.
        root: The work tree.
        index: The index that commands use.
        objects: Where new objects go, if not into the store itself.
    """

    git: Git
    folder: Path
    root: Path
    index: Path
    objects: Path | None = None

    def run(
        self, *arguments: str, stdin: bytes = b"", into: Path | None = None, accept: Sequence[int] = (0,), prefix: Path | None = None
    ) -> bytes:
        """Run one command with this repository, work tree and index, at the work tree's top (or in ``prefix``)."""
        environ = {"GIT_DIR": str(self.folder), "GIT_WORK_TREE": str(self.root), "GIT_INDEX_FILE": str(self.index)}
        if self.objects is not None:
            environ["GIT_OBJECT_DIRECTORY"] = str(self.objects)
        return self.git.run(*arguments, cwd=prefix or self.root, environ=environ, stdin=stdin, into=into, accept=accept)

    def line(self, *arguments: str, stdin: bytes = b"") -> str:
        """Run one command and return its output as one line of text."""
        return os.fsdecode(self.run(*arguments, stdin=stdin)).strip()


def write_repository(
    folder: Path, *, settings: Mapping[str, str], alternates: Iterable[Path] = (), excludes: bytes = b"", attributes: bytes = b""
) -> None:
    """Write an empty repository of our own, or bring one up to date: by hand, so that no template and no configuration comes in."""
    for name in ("objects/info", "objects/pack", "refs", "info"):
        (folder / name).mkdir(mode=0o700, parents=True, exist_ok=True)
    is_sha256 = settings.get("extensions.objectformat") == "sha256"
    lines = ["[core]", f"\trepositoryformatversion = {int(is_sha256)}", "\tbare = false", "\tsafecrlf = false", "\tfsmonitor = false"]
    lines += [f"\t{name.removeprefix('core.')} = {_quoted(value)}" for name, value in settings.items() if name.startswith("core.")]
    if is_sha256:
        lines += ["[extensions]", "\tobjectformat = sha256"]
    _write(folder / "config", "\n".join([*lines, ""]).encode())
    _write(folder / "objects/info/alternates", b"".join(_alternate(path) + b"\n" for path in alternates))
    _write(folder / "info/exclude", excludes)
    _write(folder / "info/attributes", attributes)
    # What makes a folder a repository comes last.
    _write(folder / "HEAD", b"ref: refs/heads/none\n")


def _alternate(path: Path) -> bytes:
    """A line of an alternates file: git reads one that begins with a quote as quoted, and ends it at a line break."""
    name = os.fsencode(path)
    if name.startswith(b'"') or b"\n" in name:
        escaped = name.replace(b"\\", b"\\\\").replace(b'"', b'\\"').replace(b"\n", b"\\n")
        return b'"' + escaped + b'"'
    return name


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def _write(path: Path, content: bytes) -> None:
    try:
        if path.read_bytes() == content:
            return
    except FileNotFoundError:
        if not content:
            return
    new = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    new.write_bytes(content)
    new.replace(path)


__all__ = ["Git", "GitError", "Store", "write_repository"]
