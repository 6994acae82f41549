"""Text from models, servers and files made safe to show, and JSON made safe to print.

Owns the list of characters that a terminal or a reader could be tricked with. Everything a person sees passes through
``escape_controls``; nothing is removed silently, each such character is shown as its escape.
"""

from __future__ import annotations

import json
import re
import unicodedata

PROGRAM = "netclaw-opencode"

# C0 without LF and TAB, DEL, C1 (a terminal may read 0x9b as ESC [), bidi controls and marks, invisible separators and
# the tag characters that can hide text; lone surrogates cannot be encoded at all.
_HARMFUL = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff\ufff9-\ufffb\U000e0000-\U000e007f]"
)
_LINE_BREAKS = re.compile(r"\s*[\n\t]\s*")


def escape_controls(text: str) -> str:
    """Return the text with every control, bidi and invisible character shown as an escape; line breaks and tabs stay."""
    return _HARMFUL.sub(_escape, text.replace("\r\n", "\n"))


def one_line(text: str, limit: int = 200) -> str:
    """``escape_controls`` text on a single line of at most ``limit`` characters."""
    line = escape_controls(_LINE_BREAKS.sub(" ", text.strip()))
    return line if len(line) <= limit else line[: limit - 1] + "…"


def json_text(value: object, *, indent: int | None = None) -> str:
    """Strict JSON that reads back to the same value, with the characters that ``escape_controls`` escapes as JSON escapes."""
    separators = (",", ":") if indent is None else None
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, indent=indent, separators=separators)
    # Outside strings JSON holds none of these characters but the line breaks of ``indent``, which stay.
    return _HARMFUL.sub(_json_escape, text)


def columns_of(text: str) -> int:
    """Return how many terminal columns the text takes."""
    return sum(_columns(char) for char in text)


def fit(text: str, columns: int) -> str:
    """Return the beginning of the text that fits, with an ellipsis where it was cut."""
    if columns_of(text) <= columns:
        return text
    used = 0
    for position, char in enumerate(text):
        used += _columns(char)
        if used > columns - 1:
            return text[:position] + "…"
    return text


def _columns(char: str) -> int:
    if unicodedata.combining(char):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _json_escape(match: re.Match[str]) -> str:
    return json.dumps(match[0])[1:-1] if match[0] != "\x7f" else "\\u007f"


__all__ = ["columns_of", "escape_controls", "fit", "json_text", "one_line"]
