"""Lists as tables: sessions, their states, providers, events, actions."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import RenderableType
from rich.text import Text

from netclaw_opencode.adapters.cli.views.reading import Data, facts, listing, number, part, parts, plural, seconds, word, words

_STATE_STYLES = {"ready": "green", "busy": "yellow", "retry": "red", "waiting": "magenta"}


def sessions(data: Data) -> Iterator[RenderableType]:
    """``list_sessions``."""
    rows = parts(data, "sessions")
    if rows:
        table = listing("session", "title", "updated", "ours", "directory")
        for row in rows:
            ours = "yes" if row.get("ours") is True else ""
            cells = (word(row, "session_id"), word(row, "title"), word(row, "updated_at"), ours, word(row, "directory"))
            table.add_row(*map(Text, cells))
        yield table
    yield _count(data, "session", more=data.get("truncated") is True)


def statuses(data: Data) -> Iterator[RenderableType]:
    """``get_session_status``."""
    rows = parts(data, "sessions")
    if rows:
        table = listing("session", "state", "last turn", "directory")
        for row in rows:
            table.add_row(Text(word(row, "session_id")), state(row), Text(last_turn(row)), Text(word(row, "directory")))
        yield table
        for row in rows:
            yield from pending(row)
    yield _count(data, "session")


def state(row: Data) -> Text:
    """Return the state of a session with what it waits for."""
    name = word(row, "state")
    shown = Text(name, style=_STATE_STYLES.get(name, ""))
    if name == "retry":
        next_in = f", next in {seconds(number(row, 'next_attempt_in_seconds'))}" if "next_attempt_in_seconds" in row else ""
        shown.append(f" (attempt {number(row, 'attempt'):g}{next_in}: {word(row, 'retry_message')})")
    return shown


def last_turn(row: Data) -> str:
    """Return how the last turn of a session ended."""
    turn = part(row, "last_turn")
    code = word(turn, "code")
    return word(turn, "state") + (f" ({code})" if code else "")


def pending(row: Data) -> Iterator[RenderableType]:
    """Return the permissions and questions that block a session, with the command that answers each."""
    for request in parts(row, "pending"):
        session = word(request, "session_id") or word(row, "session_id")
        if word(request, "kind") == "permission":
            asked = " ".join((word(request, "permission"), *words(request, "patterns")))
            command = f"reply-permission --permission-id {word(request, 'id')} --session-id {session} --answer once"
        else:
            asked = "; ".join(_question(question) for question in parts(request, "questions"))
            command = f"reply-question --question-id {word(request, 'id')} --session-id {session} --answers LABEL"
        yield Text.assemble(("? ", "bold magenta"), f"{session} asks: {asked}")
        yield Text(f"  netclaw-opencode reply {command}", style="dim")


def providers(data: Data) -> Iterator[RenderableType]:
    """``list_providers``: one line for each model."""
    table = listing("model", "connected", "context", "output", "variants", "name")
    for provider in parts(data, "providers"):
        connected = Text("✓", style="green") if provider.get("connected") is True else Text("✗", style="red")
        for model in parts(provider, "models"):
            table.add_row(
                Text(f"{word(provider, 'id')}/{word(model, 'id')}"),
                connected,
                *map(Text, (f"{number(model, 'context'):,.0f}", f"{number(model, 'output'):,.0f}")),
                Text(" ".join(words(model, "variants"))),
                Text(word(model, "name")),
            )
    if table.rows:
        yield table
    yield facts(("default model", word(data, "default_model")))
    yield _count(data, "provider")


def events(data: Data) -> Iterator[RenderableType]:
    """``watch_events`` after its end."""
    rows = parts(data, "events")
    if rows:
        table = listing("at", "type", "session", "what")
        for row in rows:
            table.add_row(*(Text(word(row, key)) for key in ("at", "type", "session_id", "summary")))
        yield table
    yield from events_end(data)


def events_end(data: Data) -> Iterator[RenderableType]:
    """Return how a watch ended; the events themselves were shown as they came."""
    ends = {"limit": "the asked number is reached", "time": "the asked time is over", "idle": "the session is idle"}
    line = f"{plural(number(data, 'count'), 'event')}; ended because {ends.get(word(data, 'ended'), word(data, 'ended'))}"
    dropped = number(data, "dropped")
    yield Text(line + (f"; {dropped:g} dropped" if dropped else ""), style="dim")


def actions(data: Data) -> Iterator[RenderableType]:
    """``netclaw-opencode actions``."""
    table = listing("action", "tier", "deadline", "what it does")
    for row in parts(data, "actions"):
        table.add_row(
            Text(word(row, "name"), style="bold"), word(row, "tier"), seconds(number(row, "deadline_seconds")), Text(word(row, "summary"))
        )
    yield table
    yield Text("Run one: netclaw-opencode <tier> <action> --help", style="dim")


def _question(question: Data) -> str:
    options = " / ".join(words(question, "options"))
    return word(question, "question") + (f" [{options}]" if options else "")


def stories(data: Data) -> Iterator[RenderableType]:
    """``explain``."""
    for call in parts(data, "calls"):
        outcome = word(call, "outcome")
        style = {"done": "green", "unknown": "yellow"}.get(outcome, "red")
        title = f"{word(call, 'action')} {word(call, 'call')} began {word(call, 'began_at')}: "
        yield Text.assemble((title, "bold"), (outcome, style))
        yield from (Text("  " + line) for line in words(call, "story"))
        yield Text("")
    yield from (Text("! " + note, style="yellow") for note in words(data, "notes"))
    yield Text(plural(number(data, "count"), "call") + (" (older ones are left out)" if data.get("truncated") is True else ""), style="dim")


def _count(data: Data, noun: str, *, more: bool = False) -> Text:
    line = plural(number(data, "count"), noun)
    return Text(line + (" (there are more: raise --limit)" if more else ""), style="dim")


__all__ = ["actions", "events", "events_end", "last_turn", "pending", "providers", "sessions", "state", "statuses", "stories"]
