"""Short results: a session made, sent to, waited for, stopped or deleted; a server started or stopped; a request answered."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import RenderableType
from rich.text import Text

from netclaw_opencode.adapters.cli.views import lists, turns
from netclaw_opencode.adapters.cli.views.reading import Data, facts, headline, model_of, number, part, parts, plural, seconds, word, words


def created(data: Data) -> Iterator[RenderableType]:
    """``create_session``."""
    session = part(data, "session")
    yield headline("✓", "green", f"session {word(session, 'session_id')}")
    yield facts(
        ("title", word(session, "title")),
        ("directory", word(session, "directory")),
        ("agent", word(session, "agent")),
        ("model", model_of(part(session, "model"))),
        ("forked from", word(data, "forked_from")),
        *(("note", note) for note in words(data, "notes")),
    )
    yield _next(f"netclaw-opencode run send-message --session-id {word(session, 'session_id')} --prompt TEXT")


def sent(data: Data) -> Iterator[RenderableType]:
    """``send_message_async``."""
    verb = "started" if data.get("started") is True else "accepted"
    yield headline("✓", "green", f"{verb} in session {word(data, 'session_id')}")
    thinking = part(data, "thinking")
    yield facts(
        ("message", word(data, "message_id")),
        ("state", word(data, "state")),
        ("model", model_of(part(data, "model"))),
        ("thinking", turns.thinking_line(thinking) if thinking else ""),
        ("deadline", word(data, "deadline_at")),
        *(("note", note) for note in words(data, "notes")),
    )
    yield _next(word(data, "next"))


def waited(data: Data) -> Iterator[RenderableType]:
    """``wait_for_session``: the result, or how far it has come."""
    if data.get("done") is True and part(data, "result"):
        yield from turns.turn(part(data, "result"))
        return
    yield headline("…", "yellow", f"session {word(data, 'session_id')} is {word(data, 'state')}")
    progress = part(data, "progress")
    running = words(progress, "tools_running")
    yield facts(
        ("since", seconds(number(data, "elapsed_seconds"))),
        ("tool calls", f"{number(progress, 'tools_finished'):g} finished"),
        ("text", plural(number(progress, "text_chars"), "character")),
        ("running", ", ".join(running)),
        ("cursor", word(data, "cursor")),
    )
    yield from lists.pending(data)
    yield _next(word(data, "next"))


def aborted(data: Data) -> Iterator[RenderableType]:
    """``abort_session``."""
    yield stopped_line(data, f"session {word(data, 'session_id')}")
    yield facts(
        ("children", ", ".join(f"{word(child, 'session_id')} was {word(child, 'was')}" for child in parts(data, "children"))),
        ("refused", plural(number(data, "requests_refused"), "pending request") if number(data, "requests_refused") else ""),
        ("elapsed", seconds(number(data, "elapsed_seconds"))),
    )


def deleted(data: Data) -> Iterator[RenderableType]:
    """``delete_session``."""
    stopped = part(data, "stopped")
    if stopped.get("aborted") is True:
        yield stopped_line(stopped, "its turn")
    how = "was gone already" if data.get("already_gone") is True else "is deleted"
    confirmed = data.get("confirmed") is True
    yield headline(*(("✓", "green") if confirmed else ("!", "yellow")), f"session {word(data, 'session_id')} {how}")


def stopped_line(stopped: Data, what: str) -> Text:
    """Return whether something was stopped, and whether that was seen."""
    if stopped.get("aborted") is not True:
        return headline("✓", "green", f"{what} was not running ({word(stopped, 'was')})")
    if stopped.get("confirmed") is True:
        attempts = plural(number(stopped, "attempts"), "attempt")
        return headline("✓", "green", f"{what} was {word(stopped, 'was')} and is seen stopped ({attempts})")
    return headline("✗", "red", f"{what} was asked to stop, but is not seen stopped")


def answered(data: Data) -> Iterator[RenderableType]:
    """``reply_permission`` and ``reply_question``."""
    what = word(data, "permission_id") or word(data, "question_id")
    how = word(data, "answered") if "permission_id" in data else "rejected" if data.get("rejected") is True else "answered"
    confirmed = data.get("confirmed") is True
    tail = "" if confirmed else " (not yet seen taken)"
    yield headline(*(("✓", "green") if confirmed else ("!", "yellow")), f"{what}: {how}{tail}")
    yield facts(("session", word(data, "session_id")))


def server_started(data: Data) -> Iterator[RenderableType]:
    """``start_server``."""
    how = "started" if data.get("started") is True else "was running already"
    yield headline("✓", "green", f"OpenCode {word(data, 'version')} {how} at {word(data, 'url')}")
    yield facts(("pid", word(data, "pid")), ("log file", word(data, "log_file")), ("elapsed", seconds(number(data, "elapsed_seconds"))))


def opencode_installed(data: Data) -> Iterator[RenderableType]:
    """``install_opencode``."""
    how = "is installed" if data.get("installed") is True else "was installed already"
    yield headline("✓", "green", f"OpenCode {word(data, 'version')} {how}")
    yield facts(("path", word(data, "path")), ("elapsed", seconds(number(data, "elapsed_seconds"))))


def server_stopped(data: Data) -> Iterator[RenderableType]:
    """``stop_server``."""
    if data.get("was_running") is not True:
        yield headline("✓", "green", "no server of ours was running")
        return
    left = number(data, "processes_left")
    done = data.get("stopped") is True and not left
    how = "is stopped" if done else "is not wholly stopped"
    yield headline(*(("✓", "green") if done else ("✗", "red")), f"server {word(data, 'url')} (pid {word(data, 'pid')}) {how}")
    yield facts(
        ("signal", word(data, "signal")),
        ("aborted", ", ".join(words(data, "sessions_aborted"))),
        ("processes", f"{number(data, 'processes_ended'):g} ended, {left:g} left"),
        ("elapsed", seconds(number(data, "elapsed_seconds"))),
    )


def _next(command: str) -> Text:
    return Text.assemble(("next: ", "dim"), (command, "cyan")) if command else Text("")


__all__ = [
    "aborted",
    "answered",
    "created",
    "deleted",
    "opencode_installed",
    "sent",
    "server_started",
    "server_stopped",
    "stopped_line",
    "waited",
]
