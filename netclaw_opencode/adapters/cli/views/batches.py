"""Batches: how far one is, its results, the list of them."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import RenderableType
from rich.text import Text

from netclaw_opencode.adapters.cli.views.reading import Data, facts, headline, listing, number, part, parts, plural, seconds, word, words

_MARKS = {
    "done": ("✓", "green"),
    "cancelled": ("!", "yellow"),
    "halted": ("!", "yellow"),
    "halting": ("!", "yellow"),
    "paused": ("!", "yellow"),
}
_STATES = ("completed", "failed", "cancelled", "running", "waiting")
_SHOWN = 10


def batch(data: Data) -> Iterator[RenderableType]:
    """One batch: what has ended, what runs, what failed by which error."""
    counts, state = part(data, "counts"), word(data, "state")
    failed = number(counts, "failed")
    mark, style = ("✗", "red") if state == "done" and failed else _MARKS.get(state, ("…", "cyan"))
    told = ", ".join(f"{number(counts, name):g} {name}" for name in _STATES if number(counts, name))
    yield headline(mark, style, f"{plural(int(number(data, 'total')), 'task')}: {told}")
    running = parts(data, "running")
    if running:
        table = listing("running", "since", "attempt", "last seen")
        for row in running[:_SHOWN]:
            table.add_row(
                *map(Text, (word(row, "id"), seconds(number(row, "elapsed_seconds")), f"{number(row, 'attempts'):g}", word(row, "doing")))
            )
        yield table
    yield facts(
        ("batch", f"{word(data, 'batch_id')}  {word(data, 'name')}"),
        ("state", f"{state} ({word(data, 'halted')})" if word(data, "halted") else state),
        *(("failed by", f"{name}: {count}") for name, count in part(data, "failures").items()),
        ("cost", f"${number(data, 'cost_usd'):.4f}"),
        ("pace", f"{number(data, 'per_minute'):g} a minute" if "per_minute" in data else ""),
        ("time left", seconds(number(data, "left_seconds")) if "left_seconds" in data else ""),
        ("workers", f"{number(data, 'workers'):g}"),
        *_files(data),
        *(("note", note) for note in words(data, "notes")),
        ("next", word(data, "next")),
    )


def export(data: Data) -> Iterator[RenderableType]:
    """``export_batch``: what was written where."""
    notes = words(data, "notes")
    mark, style = ("!", "yellow") if notes else ("✓", "green")
    yield headline(mark, style, f"{number(data, 'written'):g} of {plural(int(number(data, 'total')), 'task')} written")
    yield facts(("batch", word(data, "batch_id")), *_files(data), *(("note", note) for note in notes))


def _files(data: Data) -> Iterator[tuple[str, str]]:
    yield "results", word(data, "results_file")
    yield "predictions", word(data, "predictions")
    folder = word(data, "results_folder")
    yield "pages", f"{folder}/index.html" if folder else ""


def results(data: Data) -> Iterator[RenderableType]:
    """``get_batch_results``: a line for each task."""
    rows = parts(data, "results")
    if rows:
        table = listing("task", "state", "time", "attempts", "result")
        for row in rows:
            said = word(part(row, "data"), "text") or " ".join((word(part(row, "error"), "code"), word(part(row, "error"), "message")))
            cells = (word(row, "id"), word(row, "state"), seconds(number(row, "elapsed_seconds")), f"{number(row, 'attempts'):g}")
            table.add_row(*map(Text, (*cells, said.strip().split("\n")[0][:120])))
        yield table
    more = f"; more: --after {number(data, 'next_after'):g}" if data.get("more") is True else ""
    yield Text(plural(len(rows), "result") + more)


def batches(data: Data) -> Iterator[RenderableType]:
    """``list_batches``: a line for each batch."""
    rows = parts(data, "batches")
    if rows:
        table = listing("batch", "state", "ended", "failed", "cost", "name")
        for row in rows:
            counts = part(row, "counts")
            ended = sum(number(counts, name) for name in ("completed", "failed", "cancelled"))
            cells = (f"{ended:g} of {number(row, 'total'):g}", f"{number(counts, 'failed'):g}", f"${number(row, 'cost_usd'):.2f}")
            table.add_row(*map(Text, (word(row, "batch_id"), word(row, "state"), *cells, word(row, "name"))))
        yield table
    yield Text("1 batch" if len(rows) == 1 else f"{len(rows)} batches")


__all__ = ["batch", "batches", "export", "results"]
