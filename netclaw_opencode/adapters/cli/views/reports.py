"""What was made of a task to look at."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import RenderableType
from rich.text import Text

from netclaw_opencode.adapters.cli.views.reading import Data, facts, headline, number, part, plural, word, words

_KINDS = {"html": "page", "atif": "ATIF trajectory"}


def report(data: Data) -> Iterator[RenderableType]:
    """Return where it is, and of which task."""
    if data.get("format") == "otel":
        yield headline("✓", "green", f"{plural(number(data, 'spans'), 'span')} sent to {word(data, 'sent_to')}")
    else:
        yield headline("✓", "green", f"{_KINDS[word(data, 'format')]} {word(data, 'path')} ({number(data, 'bytes') / 1024:.0f} KiB)")
    task = part(data, "task")
    yield facts(
        ("task", f"{word(task, 'action')}: {word(task, 'outcome')}"),
        ("began", word(task, "began_at")),
        ("steps", f"{number(task, 'steps'):g} in {plural(number(task, 'sessions'), 'session')}"),
    )
    yield from (Text(f"left out: {note}") for note in words(data, "notes"))


__all__ = ["report"]
