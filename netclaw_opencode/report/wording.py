"""Careful reading of values of unknown shape, and the words for times, numbers and outcomes that both pages use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from netclaw_opencode.errors import CODES
from netclaw_opencode.jsontypes import JsonObject
from netclaw_opencode.records.trajectory import Trajectory

_ENDINGS = {
    "completed": "Completed",
    "waiting": "Waiting for an answer",
    "cancelled": "Cancelled",
    "running": "Running",
    "unknown": "How it ended is not known",
}


def part(data: JsonObject, *keys: str) -> JsonObject:
    """Return the object under a path of keys; empty if there is none."""
    for key in keys:
        value = data.get(key)
        data = value if isinstance(value, Mapping) else {}
    return data


def parts(data: JsonObject, key: str) -> list[JsonObject]:
    """Return the objects in the list under a key."""
    return [item for item in items(data.get(key)) if isinstance(item, Mapping)]


def items(value: object) -> Sequence[object]:
    """Return a list; empty if it is none."""
    return value if isinstance(value, list | tuple) else ()


def words(data: JsonObject, key: str) -> list[str]:
    """Return the values in the list under a key as texts."""
    return [str(item) for item in items(data.get(key))]


def word(data: JsonObject, key: str) -> str:
    """Return the value under a key as text; empty if there is none."""
    value = data.get(key)
    return "" if value is None else str(value)


def number(data: JsonObject, key: str) -> float:
    """Return the number under a key; 0 if there is none that can be shown."""
    value = data.get(key)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e15 else 0.0


def duration(seconds: float) -> str:
    """``0.4 s``, ``12 s``, ``3 min 05 s``, ``2 h 10 min``."""
    if seconds < 60:
        return f"{seconds:.2f} s" if seconds < 1 else f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:,} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"


def money(dollars: float) -> str:
    """``$1.24``, ``$0.0031``."""
    return f"${dollars:,.2f}" if dollars >= 0.1 or not dollars else f"${dollars:.4f}" if dollars >= 0.00005 else "< $0.0001"


def count(value: float) -> str:
    """``1,234``."""
    return f"{value:,.0f}"


def plural(value: float, noun: str) -> str:
    """``1 file``, ``2 files``."""
    return f"{count(value)} {noun}{'' if value == 1 else 's'}"


def first_line(text: str, longest: int = 200) -> str:
    """Return the first line that says something, cut to ``longest`` characters."""
    # No more is looked at than could be shown: a text may be one line of megabytes.
    found = next((line.strip() for line in text[: longest * 20].splitlines() if line.strip()), "")
    return found if len(found) <= longest else f"{found[: longest - 1]}…"


def outcome_words(outcome: str) -> str:
    """Return how a task ended, in words: the beginning of a sentence."""
    if outcome in _ENDINGS:
        return _ENDINGS[outcome]
    return CODES[outcome].summary.rstrip(".") if outcome in CODES else f"Failed: {outcome}"


def at_time(value: str) -> str:
    """Return a time as people write it; what is no time as it is."""
    try:
        return datetime.fromisoformat(value).astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")
    except (ValueError, OverflowError):
        return value


def elapsed_seconds(trajectory: Trajectory) -> float | None:
    """Return how long the call took; None if its times cannot be read."""
    try:
        began, ended = (datetime.fromisoformat(each) for each in (trajectory.began_at, trajectory.ended_at))
        return max(0.0, (ended - began).total_seconds())
    except (ValueError, TypeError):
        return None


def model_name(model: JsonObject) -> str:
    """Return ``provider/model`` with its variant."""
    name = "/".join(filter(None, (word(model, "providerID"), word(model, "modelID"))))
    return f"{name} ({word(model, 'variant')})" if name and word(model, "variant") else name


__all__ = [
    "at_time",
    "count",
    "duration",
    "elapsed_seconds",
    "first_line",
    "items",
    "model_name",
    "money",
    "number",
    "outcome_words",
    "part",
    "parts",
    "plural",
    "word",
    "words",
]
