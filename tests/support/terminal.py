"""A program on a pseudo terminal of its own, and what its screen shows.

Owns the terminal, the process and the thread that reads.
"""

from __future__ import annotations

import codecs
import contextlib
import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import termios
import threading
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Self

from netclaw_opencode.testing.waiting import wait_until
from tests.support.screen import Screen

_CUT_OFF = re.compile(r"\x1b(\[[\d;]*)?$")


class Terminal:
    """Runs a command as a shell would: on a terminal that it owns, in the foreground."""

    def __init__(self, command: Sequence[str], *, environ: Mapping[str, str], columns: int, rows: int) -> None:
        self.screen = Screen(columns, rows)
        self._lock = threading.Lock()
        self._problem: AssertionError | None = None
        self._master, child = pty.openpty()
        self._set_size(columns, rows)
        self._process = subprocess.Popen(
            command,
            env=dict(environ),
            stdin=child,
            stdout=child,
            stderr=child,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(child, termios.TIOCSCTTY, 0),  # noqa: PLW1509 - the child makes it its own terminal
        )
        os.close(child)
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        self._reader.join()
        os.close(self._master)

    def wait_for(self, condition: Callable[[list[str]], bool]) -> list[str]:
        """Wait until the screen shows something that fits, and return its rows."""

        def shown() -> list[str]:
            with self._lock:
                lines = self.screen.lines()
            if self._problem is not None:
                raise self._problem
            return lines if lines and condition(lines) else []

        try:
            return wait_until(shown, what="what the screen should show")
        except AssertionError as error:
            raise AssertionError("\n".join([str(error), *self.screen.lines()])) from error

    def resize(self, columns: int, rows: int) -> None:
        """Change the size, as a window does."""
        with self._lock:
            self.screen.resize(columns, rows)
            self._set_size(columns, rows)

    def exit_code(self, limit_seconds: float) -> int:
        """Wait for the end of the program and of what it has written."""
        code = self._process.wait(limit_seconds)
        self._reader.join()
        if self._problem is not None:
            raise self._problem
        return code

    def interrupt(self) -> None:
        """Press Ctrl-C."""
        os.killpg(self._process.pid, signal.SIGINT)

    def _set_size(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def _read(self) -> None:
        decoder, held = codecs.getincrementaldecoder("utf-8")(), ""
        # The end of the program is an error of the terminal (EIO).
        with contextlib.suppress(OSError):
            while new := os.read(self._master, 65536):
                text = held + decoder.decode(new)
                cut = _CUT_OFF.search(text)
                held = cut[0] if cut is not None else ""
                with self._lock:
                    try:
                        self.screen.feed(text.removesuffix(held))
                    except AssertionError as error:
                        self._problem = self._problem or error


__all__ = ["Terminal"]
