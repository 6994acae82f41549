"""Envelopes as results of a tool call: all of it as structured content, and a text that is enough on its own.

Owns the length and the form of that text. Hosts differ in which of the two they show to the model, so neither needs the other.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from netclaw_opencode.actions.shortening import cut_text
from netclaw_opencode.actions.spill import shorten, to_compact_json, utf16_length

TEXT_CHARS = 1800
"""Some hosts show 2,000 characters of a result, and some of those only the end."""

_LONGEST_MESSAGE = 700
_LONGEST_REMEDY = 450


@dataclass(frozen=True, slots=True)
class Answer:
    """The result of a call, as far as the protocol is concerned."""

    text: str
    structured: dict[str, object]
    is_error: bool


def answer_of(envelope: Mapping[str, object], *, folder: Path, output_schema: Mapping[str, object] | None = None) -> Answer:
    """Return the answer that an envelope makes; what does not fit into the text goes into a file in ``folder``."""
    whole = _encodable(dict(envelope))
    error = whole.get("error")
    if isinstance(error, Mapping):
        return Answer(_text_of_error(whole, error, folder), whole, is_error=True)
    text = to_compact_json(shorten(whole, max_chars=TEXT_CHARS, folder=folder, schema=output_schema))
    return Answer(text, whole, is_error=False)


def _text_of_error(envelope: Mapping[str, object], error: Mapping[str, object], folder: Path) -> str:
    """``code: message``, the remedy, and the rest of the envelope if there is more to report."""
    lines = [_cut(f"{error.get('code')}: {error.get('message')}", _LONGEST_MESSAGE)]
    if error.get("next"):
        lines.append(_cut(f"Next: {error['next']}", _LONGEST_REMEDY))
    if error.get("details"):
        # Message and remedy stand above it already.
        rest = {**envelope, "error": {name: value for name, value in error.items() if name not in ("message", "next")}}
        room = TEXT_CHARS - utf16_length("\n".join(lines)) - 1
        lines.append(to_compact_json(shorten(rest, max_chars=room, folder=folder)))
    return "\n".join(lines)


def _cut(text: str, longest: int) -> str:
    cut = text
    while utf16_length(cut) > longest:
        cut = cut_text(text, len(cut) * 3 // 4)
    return cut


def _encodable(value: dict[str, object]) -> dict[str, object]:
    """Return the same; half of a surrogate pair, which UTF-8 cannot carry and a model can send, becomes the replacement character."""
    text = json.dumps(value, ensure_ascii=False)
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        made: dict[str, object] = json.loads(text.encode("utf-16", "surrogatepass").decode("utf-16", "replace"))
        return made
    return value


__all__ = ["TEXT_CHARS", "Answer", "answer_of"]
