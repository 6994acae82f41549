"""The live line on stderr: what the agent does now, and how much of the deadline is gone.

Owns one line of a terminal, drawn over again and taken away at the end. It is only made where stderr is a terminal.
"""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TextIO, TypeAlias

from netclaw_opencode.adapters.cli.terminal import fit, one_line
from netclaw_opencode.facts import ProgressEvent

Size: TypeAlias = tuple[int, int]
"""Columns and rows."""

_FRAMES = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_PLAIN_FRAMES = "|/-\\"
_ERASE = "\r\x1b[2K"
_FRAME_SECONDS = 0.1


class LiveLine:
    """A ``running.View`` on one line: spinner, elapsed time, deadline, status, last tool."""

    def __init__(
        self,
        stream: TextIO,
        *,
        deadline_seconds: float | None,
        colour: bool,
        clock: Callable[[], float] = time.monotonic,
        columns: Callable[[], int] | None = None,
    ) -> None:
        self._stream = stream
        self._deadline = deadline_seconds
        self._colour = colour
        self._clock = clock
        self._columns = columns or (lambda: terminal_size(stream)[0])
        self._began = clock()
        self._frames = _FRAMES if "utf" in (stream.encoding or "").lower() else _PLAIN_FRAMES
        self._status = ""
        self._last = ""
        self._drawn = False

    def on_event(self, event: ProgressEvent) -> None:
        """Take note of the status, or of what happened last."""
        if event.kind == "status":
            self._status = one_line(event.message)
        elif event.kind == "deadline":
            limit = event.facts.get("deadline_seconds")
            self._deadline = float(limit) if isinstance(limit, (int, float)) else self._deadline
        elif event.kind not in ("text", "event"):
            self._last = one_line(event.message)

    def tick(self) -> None:
        """Draw the line anew."""
        elapsed = self._clock() - self._began
        frame = self._frames[int(elapsed / _FRAME_SECONDS) % len(self._frames)]
        clock = f"{elapsed:.1f} s" + (f" of {self._deadline:g} s" if self._deadline else "")
        rest = fit(" · ".join(part for part in (clock, self._status, self._last) if part), max(self._columns() - 3, 10))
        self._write(f"{_ERASE}\x1b[36m{frame}\x1b[0m {rest}" if self._colour else f"{_ERASE}{frame} {rest}")
        self._drawn = True

    def restart(self, deadline_seconds: float | None) -> None:
        """Count from now, to this deadline."""
        self._began = self._clock()
        self._deadline = deadline_seconds

    def clear(self) -> None:
        """Take the line away, so that something else can be printed; the next tick draws it again."""
        if self._drawn:
            self._write(_ERASE)
            self._drawn = False

    def close(self) -> None:
        """Take the line away for good."""
        self.clear()

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()


def terminal_size(stream: TextIO) -> Size:
    """Return the columns and rows of the terminal that a stream writes to, which need not be stdout's."""
    with suppress(OSError, ValueError):
        found = os.get_terminal_size(stream.fileno())
        if found.columns > 0 and found.lines > 0:
            return found.columns, found.lines
    found = shutil.get_terminal_size()
    return found.columns, found.lines


def live_line(deadline_seconds: float | None) -> LiveLine | None:
    """Return the live line for this process, or None if it would not be seen."""
    if sys.stderr is None or not sys.stderr.isatty() or os.environ.get("TERM") == "dumb":
        return None
    return LiveLine(sys.stderr, deadline_seconds=deadline_seconds, colour=not os.environ.get("NO_COLOR"))


__all__ = ["LiveLine", "Size", "live_line", "terminal_size"]
