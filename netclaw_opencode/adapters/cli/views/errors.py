"""An error as a person reads it: what happened, why, what helps."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import RenderableType
from rich.text import Text

from netclaw_opencode.adapters.cli.views import checks, plain
from netclaw_opencode.adapters.cli.views.reading import Data, facts, headline, part, parts, text, word
from netclaw_opencode.errors import CODES

_SHOWN_APART = frozenset({"problems", "binary", "server", "providers", "elapsed_seconds", "log_tail", "partial_text"})


def error(action: str, problem: Data) -> Iterator[RenderableType]:
    """Return the ``error`` object of an envelope."""
    code = word(problem, "code")
    details = part(problem, "details")
    if checks.is_report(details):
        yield from checks.availability(details)
        yield Text("")
    yield headline("✗", "red", f"{action}: {text(problem, 'message').removeprefix(f'{action}: ')}")
    known = CODES.get(code)
    # Whether what ran was stopped stands in the message of a cancelled call; the table can only hope.
    apart = _SHOWN_APART | {"cause", "stopped"} if code == "cancelled" else _SHOWN_APART
    why = known.summary if known is not None and code != "cancelled" else ""
    again = "the same call may succeed later" if problem.get("retryable") is True else ""
    yield facts(("why", f"{why} [{code}]" if why else f"[{code}]"), ("rule", word(problem, "rule")), ("retry", again))
    if not checks.is_report(details):
        for item in parts(details, "problems"):
            line = word(item, "message") or f"{word(item, 'where')}: {word(item, 'what')}"
            if line not in text(problem, "message"):
                yield Text("  - " + line)
        rest = {key: value for key, value in details.items() if key not in apart and value not in (None, [], {}, "")}
        if rest:
            yield from plain.anything(rest)
    for key in ("partial_text", "log_tail"):
        if text(details, key):
            yield Text(f"{key.replace('_', ' ')}:", style="dim")
            yield Text(text(details, key), style="dim")
    if word(problem, "next"):
        yield Text.assemble(("next: ", "bold"), (text(problem, "next"), "cyan"))


__all__ = ["error"]
