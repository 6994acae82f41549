"""``check_availability`` as a check list: what is there, what is missing, and the remedy of each problem."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import RenderableType
from rich.text import Text

from netclaw_opencode.cli.views.reading import Data, number, part, parts, seconds, word, words


def availability(data: Data) -> Iterator[RenderableType]:
    """The report, whether it stands in a result or in the details of an error."""
    binary, server, providers = part(data, "binary"), part(data, "server"), part(data, "providers")
    connected = words(providers, "connected")
    yield _check(binary.get("found"), "OpenCode " + word(binary, "version", "is not installed"), word(binary, "path"))
    yield _check(server.get("reachable"), "server " + _server(server), word(server, "url"))
    if server.get("reachable") is True:
        # What cannot be known without a server is not listed as missing.
        serves = server.get("serves_sessions") is True
        yield _check(serves, "sessions can be run" if serves else "sessions cannot be run")
        secured = server.get("password_set") is True
        yield _check(secured, "password set" if secured else "no password: any local program can use this server", optional=True)
        yield _check(bool(connected), "providers " + (", ".join(connected) if connected else "none connected"))
    if word(providers, "default_model"):
        yield _check(True, "default model " + word(providers, "default_model"))
    for problem in parts(data, "problems"):
        severe = word(problem, "severity") == "error"
        yield Text.assemble(
            ("✗ " if severe else "! ", "bold red" if severe else "bold yellow"), f"{word(problem, 'message')} [{word(problem, 'code')}]"
        )
        if word(problem, "remedy"):
            yield Text("    → " + word(problem, "remedy"), style="cyan")
    if "elapsed_seconds" in data:
        yield Text(f"checked in {seconds(number(data, 'elapsed_seconds'))}", style="dim")


def is_report(details: Data) -> bool:
    """Whether the details of an error hold an availability report."""
    return bool(part(details, "binary") and part(details, "server"))


def _server(server: Data) -> str:
    if server.get("reachable") is not True:
        return "does not answer"
    started = ", just started" if server.get("started") is True else ""
    healthy = "healthy" if server.get("healthy") is True else "not healthy"
    return f"{word(server, 'version')} {healthy}{started}".strip()


def _check(passed: object, what: str, where: str = "", *, optional: bool = False) -> Text:
    mark = ("✓ ", "bold green") if passed is True else ("! ", "bold yellow") if optional else ("✗ ", "bold red")
    return Text.assemble(mark, what, (f"  {where}" if where else "", "dim"))


__all__ = ["availability", "is_report"]
