"""Isolated work: the list of it, and what became of one."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import RenderableType
from rich.text import Text

from netclaw_opencode.adapters.cli.views.reading import Data, facts, headline, number, part, parts, plural, word, words
from netclaw_opencode.adapters.cli.views.turns import check_line, work_line


def works(data: Data) -> Iterator[RenderableType]:
    """Every work with what it may still hold."""
    found = parts(data, "works")
    if not found:
        yield Text("no isolated work")
    for work in found:
        yield Text(work_line(work))
        yield facts(
            ("  from", word(work, "source")),
            ("  begun", word(work, "created_at")),
            ("  unseen", word(work, "unseen")),
            ("  gone", "" if work.get("exists") is True else "its directory is not there any more"),
        )
    left_out = number(data, "total") - len(found)
    if left_out > 0:
        yield Text(f"and {plural(left_out, 'more')} ", style="dim")
    yield from (Text(f"note: {note}") for note in words(data, "notes"))


def applied(data: Data) -> Iterator[RenderableType]:
    """Return what was brought in."""
    yield headline("✓", "green", f"applied {word(data, 'work_id')} to {word(data, 'source')}: {plural(len(words(data, 'files')), 'file')}")
    yield facts(
        ("files", ", ".join(words(data, "files"))),
        ("merged", ", ".join(words(data, "merged"))),
        ("already there", ", ".join(words(data, "already"))),
        ("work", "removed" if data.get("removed") is True else "kept"),
        *(("note", note) for note in words(data, "notes")),
    )


def discarded(data: Data) -> Iterator[RenderableType]:
    """Return what is gone."""
    branch = f" and the branch {word(data, 'branch')}" if word(data, "branch") else ""
    yield headline("✓", "green", f"removed {word(data, 'path')}{branch}")


def verified(data: Data) -> Iterator[RenderableType]:
    """That a check still holds, and on what."""
    yield headline("✓", "green", f"the check of {word(data, 'statement_id')} holds")
    yield facts(
        ("run", check_line(part(data, "run"))),
        ("tree", f"{word(data, 'final_tree')}, made from {word(data, 'made_from')}"),
        ("patch", word(data, "patch")),
        *(("note", note) for note in words(data, "notes")),
    )


__all__ = ["applied", "discarded", "verified", "works"]
