"""Any JSON as indented lines: the view for actions of other skills, and for whatever has no view of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from rich.console import RenderableType
from rich.text import Text

from netclaw_opencode.adapters.cli.terminal import escape_controls, one_line

_DEEPEST = 8
_WIDEST = 120


def anything(value: object, indent: int = 0) -> Iterator[RenderableType]:
    """Return the lines of a JSON value."""
    pad = "  " * indent
    if indent > _DEEPEST:
        yield Text(pad + one_line(str(value)))
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _entry(pad, one_line(str(key)) + ":", item, indent)
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for item in value:
            yield from _entry(pad, "-", item, indent)
    else:
        yield Text(pad + _scalar(value))


def _entry(pad: str, label: str, item: object, indent: int) -> Iterator[RenderableType]:
    text = _scalar(item)
    flat = _flat(item)
    if flat is not None:
        yield Text.assemble((pad + label, "dim"), " ", flat)
    elif isinstance(item, (Mapping, list, tuple)) and item:
        yield Text.assemble((pad + label, "dim"))
        yield from anything(item, indent + 1)
    elif "\n" in text:
        yield Text.assemble((pad + label, "dim"))
        yield Text("\n".join(f"{pad}  {line}" for line in text.splitlines()))
    else:
        yield Text.assemble((pad + label, "dim"), " ", text)


def _flat(item: object) -> str | None:
    """Return a short list or object of plain values on one line."""
    if isinstance(item, Mapping):
        values, pieces = list(item.values()), [f"{one_line(str(key))} {_scalar(value)}" for key, value in item.items()]
    elif isinstance(item, (list, tuple)):
        values, pieces = list(item), [_scalar(value) for value in item]
    else:
        return None
    line = ", ".join(pieces)
    nested = any(isinstance(value, (Mapping, list, tuple)) and value for value in values)
    return None if nested or not pieces or len(line) > _WIDEST or "\n" in line else line


def _scalar(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (Mapping, list, tuple)):
        return "(none)"
    return escape_controls(str(value))


__all__ = ["anything"]
