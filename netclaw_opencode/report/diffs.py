"""A unified diff as it is read: lines with their numbers, what was added and removed, and the colours of the language."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from xml.etree.ElementTree import Element

from netclaw_opencode.report.colours import Piece, colour_lines, show_code, show_pieces
from netclaw_opencode.report.markup import clean, element

LINES = 3000
"""So many lines of one file are shown."""

_HUNK = re.compile(r"@@ -(\d{1,9})(?:,(\d{1,9}))? \+(\d{1,9})(?:,(\d{1,9}))? @@(.*)")
_KINDS = {"+": "add", "-": "del", " ": "same"}


@dataclass(frozen=True, slots=True)
class _Line:
    """``sign`` is ``+``, ``-``, a space, or ``@`` for the head of a hunk; the numbers are None where the side has no such line."""

    sign: str
    text: str
    old: int | None = None
    new: int | None = None


def show_diff(diff: str, language: str, *, label: str) -> Element:
    """Return the diff of one file. What is no diff is shown as it is.

    Args:
        diff: The unified diff of one file, with or without its head.
        language: The language of the file; empty for none.
        label: What a screen reader calls it.
    """
    lines = list(_read(diff))
    if not lines:
        return show_code(diff)
    pieces = _colour(lines, language)
    digits = len(str(max(line.old or line.new or 0 for line in lines)))
    shown: list[Element] = []
    for line, parts in list(zip(lines, pieces, strict=True))[:LINES]:
        if line.sign == "@":
            shown.append(element("span", line.text, "\n", class_="hunk"))
            continue
        numbers = " ".join(f"{'' if each is None else each:>{digits}}" for each in (line.old, line.new))
        # The numbers are drawn by the style sheet, so that they are not copied with the code.
        sign = element("i", line.sign)
        shown.append(element("span", sign, show_pieces(parts), "\n", class_=_KINDS[line.sign], data_at=numbers))
    if len(lines) > LINES:
        shown.append(element("span", f"… {len(lines) - LINES:,} more lines; the patch has them all\n", class_="hunk"))
    return element("pre", element("code", shown), class_="diff", tabindex="0", role="region", aria_label=label)


def _read(diff: str) -> Iterator[_Line]:
    old = new = old_left = new_left = 0
    for raw in clean(diff).split("\n"):
        if old_left > 0 or new_left > 0:
            sign, text = raw[:1] or " ", raw[1:]
            if sign == "+":
                yield _Line("+", text, None, new)
                new, new_left = new + 1, new_left - 1
            elif sign == "-":
                yield _Line("-", text, old)
                old, old_left = old + 1, old_left - 1
            elif sign == " ":
                yield _Line(" ", text, old, new)
                old, new, old_left, new_left = old + 1, new + 1, old_left - 1, new_left - 1
        elif head := _HUNK.match(raw):
            old, new = int(head[1]), int(head[3])
            old_left, new_left = int(head[2] or 1), int(head[4] or 1)
            yield _Line("@", f"@@ -{old} +{new} @@{head[5]}")
        elif raw.startswith("\\"):
            yield _Line("@", raw)


def _colour(lines: Sequence[_Line], language: str) -> list[list[Piece]]:
    """Colour each side of each hunk as one text, so that what spans lines keeps its colour."""
    found: list[list[Piece]] = [[("", line.text)] for line in lines]
    heads = [place for place, line in enumerate(lines) if line.sign == "@"]
    for begin, end in zip([0, *heads], [*heads, len(lines)], strict=True):
        for signs in ("- ", "+ "):
            side = [place for place in range(begin, end) if lines[place].sign in signs]
            if side:
                coloured = colour_lines("\n".join(lines[place].text for place in side), language)
                for place, parts in zip(side, coloured, strict=True):
                    found[place] = parts
    return found


__all__ = ["LINES", "show_diff"]
