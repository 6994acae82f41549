"""Careful reading of an envelope's data, and the words for times, numbers and lists.

Owns the step from JSON of unknown shape to harmless text; every view reads through it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

from rich.table import Table
from rich.text import Text

from netclaw_opencode.adapters.cli.terminal import escape_controls, one_line

Data: TypeAlias = Mapping[str, object]

_LONGEST = 2000


def part(data: Data, key: str) -> Data:
    """Return the object under a key; empty if there is none."""
    value = data.get(key)
    return value if isinstance(value, Mapping) else {}


def parts(data: Data, key: str) -> list[Data]:
    """Return the objects in the list under a key."""
    return [item for item in _sequence(data.get(key)) if isinstance(item, Mapping)]


def words(data: Data, key: str) -> list[str]:
    """Return the texts in the list under a key, each on one line."""
    return [one_line(str(item), _LONGEST) for item in _sequence(data.get(key))]


def word(data: Data, key: str, default: str = "") -> str:
    """Return the value under a key as one harmless line."""
    value = data.get(key)
    return default if value is None else one_line(str(value), _LONGEST)


def text(data: Data, key: str) -> str:
    """Return the value under a key as harmless text with its line breaks."""
    value = data.get(key)
    return "" if value is None else escape_controls(str(value))


def number(data: Data, key: str) -> float:
    """Return the number under a key; 0 if there is none."""
    value = data.get(key)
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else 0.0


def seconds(value: float) -> str:
    """Return a duration to read."""
    if value < 60:
        return f"{value:.1f} s" if value < 10 else f"{value:.0f} s"
    minutes, rest = divmod(round(value), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"


def plural(count: float, noun: str) -> str:
    """``1 file``, ``2 files``."""
    return f"{count:,g} {noun}" if count == 1 else f"{int(count):,} {noun}s"


def model_of(data: Data) -> str:
    """``provider/model`` with its variant."""
    name = "/".join(filter(None, (word(data, "providerID"), word(data, "modelID"))))
    return f"{name} ({word(data, 'variant')})" if word(data, "variant") else name


def headline(mark: str, style: str, message: str) -> Text:
    """Return a line that begins with a coloured mark."""
    return Text.assemble((mark, f"bold {style}"), " ", (message, "bold"))


def facts(*rows: tuple[str, str]) -> Table:
    """Labelled lines; those without a value are left out."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for label, value in rows:
        if value:
            table.add_row(label, Text(value))
    return table


def listing(*columns: str) -> Table:
    """Return a table with a head line and no frame."""
    table = Table(box=None, header_style="dim", pad_edge=False, padding=(0, 2, 0, 0))
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _sequence(value: object) -> Sequence[object]:
    return value if isinstance(value, Sequence) and not isinstance(value, str) else ()


__all__ = [
    "Data",
    "facts",
    "headline",
    "listing",
    "model_of",
    "number",
    "part",
    "parts",
    "plural",
    "seconds",
    "text",
    "word",
    "words",
]
