"""A terminal as far as our drawing needs one: rows, line breaks at the right edge, and anew after a resize.

Owns what a sequence means. One that is not known here, or a control character that nobody should send, is an error.
"""

from __future__ import annotations

import re

from netclaw_opencode.adapters.cli.terminal import columns_of

_SEQUENCE = re.compile(r"\x1b\[([\d;]*)([A-Za-z])")


class Screen:
    """What stands on a terminal after the bytes that were fed.

    Attributes:
        scrolled: Rows that have left the screen at its top.
        broken: Rows that were broken at the right edge.
    """

    def __init__(self, columns: int, rows: int) -> None:
        self.columns, self.rows = columns, rows
        self.scrolled = self.broken = 0
        self._cells: list[list[str]] = [[]]
        self._continues: list[bool] = [False]
        self._row = self._column = self._top = 0

    def lines(self) -> list[str]:
        """The rows on the screen, without empty ones at the end."""
        shown = ["".join(row).rstrip() for row in self._cells[self._top :]]
        while shown and not shown[-1]:
            shown.pop()
        return shown

    def feed(self, text: str) -> None:
        """Take what a program has written."""
        position = 0
        while position < len(text):
            found = _SEQUENCE.match(text, position)
            if found is not None:
                self._obey(found[1], found[2])
                position = found.end()
            else:
                self._put(text[position])
                position += 1

    def resize(self, columns: int, rows: int) -> None:
        """Break every line anew, as most terminals do; the cursor stays at the end of the last one."""
        whole: list[list[str]] = []
        for row, continues in zip(self._cells, self._continues, strict=True):
            if continues:
                whole[-1] += row
            else:
                whole.append(list(row))
        self.columns, self.rows = columns, rows
        self._cells, self._continues = [], []
        for line in whole:
            pieces = _broken(line, columns)
            self._cells += pieces
            self._continues += [False, *[True] * (len(pieces) - 1)]
        self._row, self._top = len(self._cells) - 1, max(0, len(self._cells) - rows)
        self._column = columns_of("".join(self._cells[-1]))

    def _obey(self, number: str, letter: str) -> None:
        if letter == "A":
            self._row = max(self._top, self._row - int(number or 1))
        elif letter == "J" and not number:
            del self._cells[self._row + 1 :], self._continues[self._row + 1 :]
            self._cut()
        elif letter == "K" and number in ("", "2"):
            if number == "2":
                self._cells[self._row] = []
            self._cut()
        elif letter != "m":
            raise AssertionError(f"nobody should send ESC[{number}{letter}")

    def _cut(self) -> None:
        kept, used = [], 0
        for char in self._cells[self._row]:
            used += columns_of(char)
            if used > self._column:
                break
            kept.append(char)
        self._cells[self._row] = kept

    def _put(self, char: str) -> None:
        if char == "\r":
            self._column = 0
        elif char == "\n":
            self._next_row(continues=False)
        else:
            assert char.isprintable(), f"nobody should send {char!r}"
            if self._column + columns_of(char) > self.columns:
                self.broken += 1
                self._next_row(continues=True)
                self._column = 0
            row, at = self._cells[self._row], self._column
            width = 0
            for place, each in enumerate(row):
                if width >= at:
                    del row[place]
                    row.insert(place, char)
                    break
                width += columns_of(each)
            else:
                row += [" "] * (at - width) + [char]
            self._column += columns_of(char)

    def _next_row(self, *, continues: bool) -> None:
        self._row += 1
        if self._row == len(self._cells):
            self._cells.append([])
            self._continues.append(continues)
            if self._row == self._top + self.rows:
                self._top += 1
                self.scrolled += 1
        elif continues:
            self._continues[self._row] = True


def _broken(line: list[str], columns: int) -> list[list[str]]:
    pieces: list[list[str]] = [[]]
    used = 0
    for char in line:
        if used + columns_of(char) > columns:
            pieces.append([])
            used = 0
        pieces[-1].append(char)
        used += columns_of(char)
    return pieces


__all__ = ["Screen"]
