"""``cleanup`` and ``recover``: what was found, what was done about it, and what was lost."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import RenderableType

from netclaw_opencode.adapters.cli.views.reading import Data, facts, headline, number, part, parts, plural, seconds, word, words

_REASONS = {
    "owner_gone": "its caller is gone",
    "deadline_passed": "its deadline has passed",
    "old": "it is old",
}


def cleanup(data: Data) -> Iterator[RenderableType]:
    """One line for each session that no caller waits for."""
    found = parts(data, "sessions")
    if not found:
        yield headline("✓", "green", "nothing was left behind")
        return
    dry_run = data.get("dry_run") is True
    mark = ("!", "yellow", "would be dealt with") if dry_run else ("✓", "green", "dealt with")
    yield headline(mark[0], mark[1], f"{plural(len(found), 'session')} {mark[2]}")
    yield facts(*((word(item, "session_id"), _session(item, dry_run=dry_run)) for item in found))


def _session(item: Data, *, dry_run: bool) -> str:
    about = f"{word(item, 'title')} ({_REASONS.get(word(item, 'reason'), word(item, 'reason'))}, was {word(item, 'was')})"
    if dry_run:
        return about
    if word(item, "problem"):
        return f"{about}: still there: {word(item, 'problem')}"
    return f"{about}: stopped{' and deleted' if item.get('deleted') is True else ', kept'}"


def recovery(data: Data) -> Iterator[RenderableType]:
    """Return what became of the server, and whose turns were given up."""
    server = part(data, "server")
    done = "started afresh" if server.get("restarted") is True else "left as it is"
    yield headline("✓", "green", f"server {word(server, 'url')} was {word(server, 'was')}, {done}")
    yield facts(
        ("ended by", word(data, "signal")),
        ("in retry", ", ".join(words(data, "retrying"))),
        ("stopped", ", ".join(words(data, "sessions_stopped"))),
        ("lost", ", ".join(f"{word(item, 'session_id')} ({word(item, 'title')})" for item in parts(data, "lost")) or "nothing"),
        *(("note", note) for note in words(data, "notes")),
        ("elapsed", seconds(number(data, "elapsed_seconds"))),
    )


__all__ = ["cleanup", "recovery"]
