"""How far a batch is, on stderr: a table that is drawn over again on a terminal, quiet lines elsewhere.

Owns both forms. What is drawn is never wider or higher than the terminal, changes once a second at most where nothing happens, and is
taken away at the end.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import TextIO, TypeAlias

from netclaw_opencode.adapters.cli.progress import Size, terminal_size
from netclaw_opencode.adapters.cli.terminal import PROGRAM, columns_of, fit, one_line
from netclaw_opencode.facts import ProgressEvent

Data: TypeAlias = Mapping[str, object]

ACTIONS = frozenset({"run_batch", "wait_for_batch"})
"""Actions that follow a batch."""
_REDRAW_SECONDS = 1.0
_LINE_SECONDS = 5.0
"""Between two lines with counts."""
_FAILURES_A_LINE = 10
"""As many failures as are named between two lines with counts; the rest is counted."""
_BAR = 20
_LONGEST_ID = 40
_NO_STYLE, _DIM, _RED, _GREEN = "", "\x1b[2m", "\x1b[31m", "\x1b[32m"
_ENDED = ("completed", "failed", "cancelled")


class BatchTable:
    """A ``running.View`` that takes as many rows of the terminal as it needs.

    Args:
        stream: The terminal.
        colour: Whether colours are used.
        clock: A clock in seconds.
        size: Returns the terminal's columns and rows.
        in_front: Whether this process may draw: not while it runs in the background of its shell.
    """

    def __init__(
        self,
        stream: TextIO,
        *,
        colour: bool,
        clock: Callable[[], float] = time.monotonic,
        size: Callable[[], Size] | None = None,
        in_front: Callable[[], bool] = lambda: True,
    ) -> None:
        self._stream = stream
        self._colour = colour
        self._clock = clock
        self._size = size or (lambda: terminal_size(stream))
        self._in_front = in_front
        self._utf8 = "utf" in (stream.encoding or "").lower()
        self._batch: Data | None = None
        self._seen_at = 0.0
        self._drawn_at = 0.0
        self._changed = False
        self._problem = ""
        self._drawn: tuple[str, ...] = ()
        self._drawn_size: Size = (0, 0)

    def on_event(self, event: ProgressEvent) -> None:
        """Take note of how far the batch is, or of what went wrong."""
        batch = event.facts.get("batch")
        if isinstance(batch, Mapping):
            self._batch, self._seen_at, self._changed = batch, self._clock(), True
        if event.kind == "stopping" or event.facts.get("problem") is True:
            self._problem, self._changed = one_line(event.message), True

    def tick(self) -> None:
        """Draw the table anew, if it would look otherwise."""
        now, size = self._clock(), self._size()
        if self._batch is None or (size == self._drawn_size and not self._changed and now < self._drawn_at + _REDRAW_SECONDS):
            return
        if not self._in_front():
            self._drawn = ()
            return
        self._changed, self._drawn_at = False, now
        rows = self._rows(self._batch, now - self._seen_at, size)
        shown = tuple(text for text, _ in rows)
        if (shown, size) != (self._drawn, self._drawn_size):
            # After a resize the rows may have been broken anew by the terminal, so all of them are taken away first.
            begin = self._to_top(size) + ("\x1b[J" if size != self._drawn_size else "")
            self._write(begin + "\r\n".join(f"{self._styled(text, style)}\x1b[K" for text, style in rows) + "\x1b[J")
            self._drawn, self._drawn_size = shown, size

    def close(self) -> None:
        """Take the table away."""
        if self._drawn and self._in_front():
            self._write(self._to_top(self._size()) + "\x1b[J")
        self._drawn = ()

    def _to_top(self, size: Size) -> str:
        """Where the table begins, as seen from its end, however the terminal has broken its rows."""
        above = sum(max(1, -(-columns_of(text) // max(1, size[0]))) for text in self._drawn) - 1
        return "\r" + (f"\x1b[{min(above, max(1, size[1] - 1))}A" if above > 0 else "")

    def _rows(self, batch: Data, since_seen: float, size: Size) -> list[tuple[str, str]]:
        columns, most = max(1, size[0] - 1), max(1, size[1] - 1)
        rows = [(line, _NO_STYLE) for line in self._head(batch, columns)[: max(1, most // 3)]]
        below = [(fit(line, columns), _RED) for line in (_failed_by(batch), self._problem) if line]
        running = [each for each in _list(batch, "running") if isinstance(each, Mapping)]
        room = most - len(rows) - len(below) - 1
        if running and room > 0:
            total = max(int(_number(_part(batch, "counts"), "running")), len(running))
            # The last row says how many more there are.
            shown = running[: room if total <= room else max(0, room - 1)]
            header, *lines = _table(shown, since_seen, columns)
            rows += [(header, _DIM), *((line, _NO_STYLE) for line in lines)]
            rows += [(fit(f"+ {total - len(shown)} more", columns), _DIM)] if total > len(shown) else []
        return [*rows, *below][:most]

    def _head(self, batch: Data, columns: int) -> list[str]:
        """How far it is, on as many rows as the words need."""
        counts, total = _part(batch, "counts"), int(_number(batch, "total"))
        done = sum(int(_number(counts, name)) for name in _ENDED)
        parts = [f"{done} of {total}"]
        parts += [f"{int(_number(counts, name))} {name}" for name in ("running", "waiting", "failed", "cancelled") if _number(counts, name)]
        parts += [f"${_number(batch, 'cost_usd'):.2f}"] if _number(batch, "cost_usd") else []
        parts += [f"{_number(batch, 'per_minute'):g} a minute"] if "per_minute" in batch else []
        parts += [f"{duration(_number(batch, 'left_seconds'))} left"] if "left_seconds" in batch else []
        state = one_line(str(batch.get("state", "")))
        parts += [state] if state not in ("running", "done") else []
        if columns > 3 * _BAR:
            full, empty = "━─" if self._utf8 else "#-"
            filled = _BAR * done // total if total else _BAR
            parts[0] = f"{full * filled}{empty * (_BAR - filled)} {parts[0]}"
        rows = [parts[0]]
        for each in parts[1:]:
            longer = f"{rows[-1]}, {each}"
            rows = [*rows[:-1], longer] if columns_of(longer) <= columns else [*rows, each]
        return [fit(row, columns) for row in rows]

    def _styled(self, text: str, style: str) -> str:
        if not self._colour:
            return text
        if style:
            return f"{style}{text}\x1b[0m"
        bar = len(text) - len(text.lstrip("━#"))
        return f"{_GREEN}{text[:bar]}\x1b[0m{text[bar:]}" if bar else text

    def _write(self, text: str) -> None:
        # A terminal that has gone away is no reason to stop following.
        with suppress(OSError):
            self._stream.write(text)
            self._stream.flush()


class BatchLines:
    """A ``running.View`` for a pipe, a file or a dumb terminal: a line when something has ended, seldom; each failure by name."""

    def __init__(self, stream: TextIO, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._clock = clock
        self._batch: Data | None = None
        self._told_done: int | None = None
        self._told_at = clock()
        self._named = 0

    def on_event(self, event: ProgressEvent) -> None:
        """Tell what has failed, and what could not be written; note the rest."""
        batch = event.facts.get("batch")
        if isinstance(batch, Mapping):
            # What had ended before this command began is no news.
            self._told_done = _done(batch) if self._told_done is None else self._told_done
            self._batch = batch
        for each in _list(event.facts, "ended"):
            if isinstance(each, Mapping) and each.get("state") == "failed":
                self._named += 1
                if self._named <= _FAILURES_A_LINE:
                    self._say(f"failed: {each.get('id')} ({each.get('code')})")
        if event.facts.get("problem") is True:
            self._say(event.message)

    def tick(self) -> None:
        """Tell how far it is, if something has ended and the last line is some seconds old."""
        if self._clock() >= self._told_at + _LINE_SECONDS:
            self._tell()

    def close(self) -> None:
        """Tell what was not told yet."""
        self._tell()

    def _tell(self) -> None:
        if self._batch is None or _done(self._batch) == self._told_done:
            return
        if self._named > _FAILURES_A_LINE:
            self._say(f"and {self._named - _FAILURES_A_LINE} more have failed")
        self._named, self._told_at, self._told_done = 0, self._clock(), _done(self._batch)
        counts = _part(self._batch, "counts")
        parts = [f"{int(_number(counts, name))} {name}" for name in (*_ENDED, "running") if _number(counts, name)]
        parts += [f"${_number(self._batch, 'cost_usd'):.2f}"] if _number(self._batch, "cost_usd") else []
        parts += [f"{duration(_number(self._batch, 'left_seconds'))} left"] if "left_seconds" in self._batch else []
        self._say(f"{self._told_done} of {int(_number(self._batch, 'total'))} ended: {', '.join(parts)}")

    def _say(self, line: str) -> None:
        with suppress(OSError):
            self._stream.write(f"{PROGRAM}: {one_line(line)}\n")
            self._stream.flush()


def batch_view() -> BatchTable | BatchLines | None:
    """Return what shows a batch on this process's stderr, if there is one."""
    stream = sys.stderr
    if stream is None:
        return None
    if not stream.isatty() or os.environ.get("TERM") == "dumb":
        return BatchLines(stream)
    return BatchTable(stream, colour=not os.environ.get("NO_COLOR"), in_front=lambda: _is_in_front(stream))


def duration(seconds: float) -> str:
    """Return a duration in whole seconds, minutes or hours."""
    if seconds < 60:
        return f"{int(seconds)} s"
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes // 60} h {minutes % 60:02d} min" if minutes >= 60 else f"{minutes} min {rest:02d} s"


def _table(running: Sequence[Data], since_seen: float, columns: int) -> Iterator[str]:
    """The header and a row for each task; on a narrow terminal the last columns are left out."""
    priced = any("cost_usd" in each for each in running)
    names = ["running", "since", "attempt", *(["cost"] if priced else []), "last seen"]
    cells = [
        [
            one_line(str(each.get("id", "")), _LONGEST_ID),
            duration(_number(each, "elapsed_seconds") + since_seen),
            f"{int(_number(each, 'attempts'))}",
            *([f"${_number(each, 'cost_usd'):.2f}"] if priced else []),
            one_line(str(each.get("doing", ""))),
        ]
        for each in running
    ]
    used = len(names) if columns >= 60 else 2 if columns >= 20 else 1
    widths = [max(columns_of(row[place]) for row in (names, *cells)) for place in range(used)]
    widths[0] = min(widths[0], max(8, columns // 3)) if used > 1 else columns
    for row in (names, *cells):
        first, *middle = (fit(text, width) for text, width in zip(row, widths, strict=False))
        aligned = [first + " " * (widths[0] - columns_of(first))]
        # Numbers stand to the right; the last column is text, and takes what room there is.
        aligned += [text if used > 2 and place == used - 1 else text.rjust(widths[place]) for place, text in enumerate(middle, 1)]
        yield fit("  ".join(aligned).rstrip(), columns)


def _failed_by(batch: Data) -> str:
    return ", ".join(f"{one_line(str(code))} {count}" for code, count in _part(batch, "failures").items())


def _done(batch: Data) -> int:
    return sum(int(_number(_part(batch, "counts"), name)) for name in _ENDED)


def _part(data: Data, key: str) -> Data:
    value = data.get(key)
    return value if isinstance(value, Mapping) else {}


def _list(data: Data, key: str) -> Sequence[object]:
    value = data.get(key)
    return value if isinstance(value, list) else ()


def _number(data: Data, key: str) -> float:
    value = data.get(key)
    return float(value) if isinstance(value, int | float) else 0.0


def _is_in_front(stream: TextIO) -> bool:
    """Whether the terminal belongs to this process's group, or is nobody's."""
    with suppress(OSError, ValueError, AttributeError):
        return os.tcgetpgrp(stream.fileno()) in (os.getpgrp(), 0)
    return True


__all__ = ["ACTIONS", "BatchLines", "BatchTable", "batch_view", "duration"]
