"""``check_availability``, ``doctor`` and ``check_policy`` as check lists: what is there, what is missing, and what helps."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import RenderableType
from rich.text import Text

from netclaw_opencode.adapters.cli.views.reading import Data, facts, headline, number, part, parts, plural, seconds, word, words


def availability(data: Data) -> Iterator[RenderableType]:
    """Return the report, whether it stands in a result or in the details of an error."""
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
    api = part(data, "api")
    if api.get("checked") is True:
        fits = not parts(api, "drift")
        text = f"API as described: {number(api, 'operations'):g} operations"
        yield _check(fits, text if fits else f"{text}, {plural(len(parts(api, 'drift')), 'difference')}", optional=True)
    for problem in parts(data, "problems"):
        severe = word(problem, "severity") == "error"
        yield Text.assemble(
            ("✗ " if severe else "! ", "bold red" if severe else "bold yellow"), f"{word(problem, 'message')} [{word(problem, 'code')}]"
        )
        if word(problem, "remedy"):
            yield Text("    → " + word(problem, "remedy"), style="cyan")
    for note in words(data, "notes"):
        yield Text(note, style="dim")
    if "elapsed_seconds" in data:
        yield Text(f"checked in {seconds(number(data, 'elapsed_seconds'))}", style="dim")


_MARKS = {"fail": ("✗ ", "bold red"), "warn": ("! ", "bold yellow"), "unknown": ("? ", "dim"), "ok": ("✓ ", "bold green")}


def doctor(data: Data) -> Iterator[RenderableType]:
    """One line for each check, the graver the earlier, with the remedy below what is wrong; then the sum."""
    for check in parts(data, "checks"):
        mark = _MARKS.get(word(check, "status"), _MARKS["unknown"])
        yield Text.assemble(mark, f"{word(check, 'title'):<16}", word(check, "seen"))
        if word(check, "remedy"):
            yield Text("    → " + word(check, "remedy"), style="cyan")
    counts = part(data, "counts")
    summary = ", ".join(f"{number(counts, name):g} {name}" for name in ("fail", "warn", "unknown", "ok") if number(counts, name))
    able = data.get("can_run") is True
    yield headline(*(("✓", "green") if able else ("✗", "red")), "a task can run here" if able else "a task cannot run here now")
    yield Text(f"{summary}; looked for {seconds(number(data, 'elapsed_seconds'))}", style="dim")


def policy(data: Data) -> Iterator[RenderableType]:
    """``check_policy``: the answer, the rule that decides, and every pattern."""
    refused = word(data, "answer") == "refuse"
    said = ", ".join(words(data, "chosen")) or word(data, "answer").replace("_", " ")
    whose = "by the policy file" if word(data, "by") == "policy" else "by default: no rule allows it"
    yield headline(*(("✗", "red") if refused else ("✓", "green")), f"{said} ({whose})")
    rule = part(data, "rule")
    of_rule = ", ".join(f"{name} {word(rule, name)}" for name in ("permission", "pattern", "header", "contains") if name in rule)
    several = parts(data, "by_pattern")
    yield facts(
        ("rule", f"{word(rule, 'index')}, in line {word(rule, 'line')}: {of_rule}" if rule else ""),
        *(
            (f"pattern {place}", f"{word(item, 'pattern')}: {word(item, 'answer').replace('_', ' ')}{_of_rule(item)}")
            for place, item in enumerate(several if len(several) > 1 else (), 1)
        ),
        ("told", word(data, "message")),
        ("then", "the agent works on" if data.get("turn_goes_on") is True else "the agent's turn ends"),
        ("file", word(data, "policy_file", "none (OPENCODE_DRIVER_POLICY is not set)")),
    )


def is_report(details: Data) -> bool:
    """Return whether the details of an error hold an availability report."""
    return bool(part(details, "binary") and part(details, "server"))


def _of_rule(item: Data) -> str:
    return f" (rule {word(item, 'index')})" if "index" in item else " (no rule)"


def _server(server: Data) -> str:
    if server.get("reachable") is not True:
        return "does not answer"
    started = ", just started" if server.get("started") is True else ""
    healthy = "healthy" if server.get("healthy") is True else "not healthy"
    return f"{word(server, 'version')} {healthy}{started}".strip()


def _check(passed: object, what: str, where: str = "", *, optional: bool = False) -> Text:
    mark = ("✓ ", "bold green") if passed is True else ("! ", "bold yellow") if optional else ("✗ ", "bold red")
    return Text.assemble(mark, what, (f"  {where}" if where else "", "dim"))


__all__ = ["availability", "doctor", "is_report", "policy"]
