"""Run the caller's own check where the work is: bounded in time, in output and in what it sees, and with everything below it ended.

Owns the process. What its exit code means for a task, and what follows a failure, is for the actions.
"""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import IO

import psutil

MARK = "NETCLAW_OPENCODE_CHECK"
"""A variable that everything below a check inherits: what left its process group is found by it."""
KEPT_BYTES = 64 * 1024
"""As much of the end of a check's output as is kept."""
_PASSED_ON = ("PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR", "TERM")
_LOOK_SECONDS = 0.02
_ROUNDS = 20
_DRAIN_SECONDS = 5.0
"""Whatever held the output open was killed: then it ends at once."""


@dataclass(frozen=True, slots=True)
class Check:
    """What a caller wants to be true of the work.

    Attributes:
        command: Program and arguments.
        shell: Whether the command is one text for ``/bin/sh``.
        deadline_seconds: How long a run may take.
        attempts: How many times the agent may mend what a run shows.
        before: Whether it must fail before the task.
        protect: Patterns of files that the agent may not change.
    """

    command: tuple[str, ...]
    shell: bool = False
    deadline_seconds: float = 300.0
    attempts: int = 1
    before: bool = False
    protect: tuple[str, ...] = ()

    def protects(self, path: str) -> bool:
        """Whether a file is one that the agent may not change: ``*`` stands for any text, ``tests/`` for everything below it."""
        return any(fnmatchcase(path, f"{pattern}*" if pattern.endswith("/") else pattern) for pattern in self.protect)

    def shown(self) -> str:
        """The command as a person would read it."""
        return " ".join(self.command)


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a check.

    Attributes:
        exit_code: Its exit code; negative for a signal, None if it could not be started or was ended at its limit.
        seconds: How long it took.
        output: The end of what it printed.
        cut_bytes: How much before that was left out.
        timed_out: Whether it was ended at its limit.
        problem: Why it could not be started.
    """

    exit_code: int | None
    seconds: float
    output: str = ""
    cut_bytes: int = 0
    timed_out: bool = False
    problem: str | None = None

    @property
    def passed(self) -> bool:
        """Whether the check holds."""
        return self.exit_code == 0

    def describe(self) -> str:
        """How it ended, in a few words."""
        if self.problem is not None:
            return f"could not be started: {self.problem}"
        if self.timed_out:
            return f"was ended after {self.seconds:.1f} s"
        return f"ended with exit code {self.exit_code}"

    def to_wire(self, phase: str) -> dict[str, object]:
        """Return its form in results."""
        wire: dict[str, object] = {"phase": phase, "passed": self.passed, "elapsed_seconds": round(self.seconds, 3), "output": self.output}
        if self.exit_code is not None:
            wire["exit_code"] = self.exit_code
        if self.timed_out:
            wire["timed_out"] = True
        if self.problem is not None:
            wire["problem"] = self.problem
        return wire


class _Tail:
    """The end of a stream, read to its end by a thread."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._kept = b""
        self.total = 0
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        with suppress(ValueError, OSError):
            while piece := os.read(self._stream.fileno(), 65536):
                self.total += len(piece)
                self._kept = (self._kept + piece)[-KEPT_BYTES:]

    def end(self) -> tuple[str, int]:
        """Return the text and how many bytes before it were left out."""
        self._thread.join(_DRAIN_SECONDS)
        kept = self._kept
        return kept.decode("utf-8", "replace"), self.total - len(kept)


def run(
    check: Check,
    directory: Path,
    *,
    environ: Mapping[str, str],
    limit_seconds: float,
    stop: threading.Event | None = None,
    mark: str | None = None,
) -> Run:
    """Run the check once; nothing that it started is left.

    Args:
        check: What to run.
        directory: Where.
        environ: The caller's environment, of which only a few variables are passed on.
        limit_seconds: What is left of the task's time.
        stop: Set by whoever does not want the result any more.
        mark: By which ``end_left`` finds what runs, if the caller is killed meanwhile; random if it is left out.
    """
    mark = mark or secrets.token_hex(16)
    seen = {name: environ[name] for name in _PASSED_ON if name in environ} | {MARK: mark}
    seen.setdefault("PATH", os.defpath)
    command: Sequence[str] = ["/bin/sh", "-c", check.shown()] if check.shell else check.command
    began = time.monotonic()
    ends = began + max(0.0, min(check.deadline_seconds, limit_seconds))
    try:
        process = subprocess.Popen(
            command,
            cwd=directory,
            env=seen,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        return Run(None, time.monotonic() - began, problem=f"{check.command[0]}: {getattr(error, 'strerror', None) or error}")
    assert process.stdout is not None  # it is a pipe
    timed_out = False
    try:
        tail = _Tail(process.stdout)
        while process.poll() is None:
            if time.monotonic() >= ends or (stop is not None and stop.is_set()):
                timed_out = True
                break
            with suppress(subprocess.TimeoutExpired):
                process.wait(max(_LOOK_SECONDS, min(0.2, ends - time.monotonic())))
    finally:
        # What it left in the background is ended too: the next run must not meet it.
        _end_all(process, mark)
    output, cut = tail.end()
    process.stdout.close()
    return Run(None if timed_out else process.returncode, time.monotonic() - began, output, cut, timed_out)


def _end_all(process: subprocess.Popen[bytes], mark: str) -> None:
    """Kill the process group, and whatever carries the mark; again, until a look finds nothing more."""
    for _ in range(_ROUNDS):
        if os.name == "posix":
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
        found = [item for item in psutil.process_iter() if item.pid != process.pid and _carries(item, mark)]
        for item in found:
            # psutil compares the creation time first: a reused pid is not signalled.
            with suppress(psutil.Error):
                item.kill()
        if process.poll() is None:
            process.kill()
        with suppress(subprocess.TimeoutExpired):
            process.wait(1.0)
        if not found:
            return
        psutil.wait_procs(found, timeout=1.0)


def end_left(mark: str) -> int:
    """Kill what a run left whose caller was killed; return how many processes it were."""
    count = 0
    for _ in range(_ROUNDS):
        found = [item for item in psutil.process_iter() if _carries(item, mark)]
        count += len(found)
        for item in found:
            with suppress(psutil.Error):
                item.kill()
        if not found:
            break
        psutil.wait_procs(found, timeout=1.0)
    return count


def _carries(item: psutil.Process, mark: str) -> bool:
    with suppress(psutil.Error, OSError):
        if os.name == "posix" and item.uids().real != os.getuid():
            return False
        return item.status() != psutil.STATUS_ZOMBIE and item.environ().get(MARK) == mark
    return False


__all__ = ["KEPT_BYTES", "MARK", "Check", "Run", "end_left", "run"]
