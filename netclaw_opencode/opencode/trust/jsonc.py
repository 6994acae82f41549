"""Read JSON with comments as strictly as OpenCode does, or more so: what it would refuse or read otherwise is an error here."""

from __future__ import annotations

import json
from typing import NoReturn

Pairs = tuple[tuple[str, object], ...]
"""An object, with every key as often as it stands there."""

_LINE_ENDS = "\r\n"
_ODD_LINE_ENDS = ("\x85", "\u2028", "\u2029")
_BLANKS = " \t\r\n"


class JsoncError(ValueError):
    """The text is no JSON with comments; ``line`` and ``column`` count from 1."""

    def __init__(self, what: str, text: str, offset: int) -> None:
        before = text[:offset]
        self.line = before.count("\n") + 1
        self.column = offset - (before.rfind("\n") + 1) + 1
        super().__init__(f"{what} (line {self.line}, column {self.column})")


class Members(dict[str, object]):
    """An object: the last value of each key, as the server takes it, and ``pairs`` with all of them."""

    pairs: Pairs = ()


def parse(text: str) -> object:
    """Parse JSON with comments and trailing commas.

    Raises:
        JsoncError: the text is malformed, or nested too deeply.
    """
    text = text.removeprefix("\ufeff")
    plain = _without_trailing_commas(_without_comments(text))
    try:
        return json.loads(plain, object_pairs_hook=_members, parse_constant=_refuse)
    except json.JSONDecodeError as error:
        raise JsoncError(error.msg, text, error.pos) from error
    except (ValueError, RecursionError) as error:
        raise JsoncError(str(error) or "it is nested too deeply", text, 0) from error


def _members(pairs: list[tuple[str, object]]) -> Members:
    found = Members(pairs)
    found.pairs = tuple(pairs)
    return found


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _without_comments(text: str) -> str:
    """Return the text with blanks in place of comments, so that offsets stay."""
    kept: list[str] = []
    at = 0
    while at < len(text):
        char = text[at]
        if char == '"':
            end = _end_of_string(text, at)
        elif text.startswith("//", at):
            end = next((index for index in range(at, len(text)) if text[index] in _LINE_ENDS), len(text))
        elif text.startswith("/*", at):
            closed = text.find("*/", at + 2)
            if closed < 0:
                raise JsoncError("a comment is not closed", text, at)
            end = closed + 2
        else:
            kept.append(char)
            at += 1
            continue
        piece = text[at:end]
        if char == "/" and any(odd in piece for odd in _ODD_LINE_ENDS):
            # Where such a comment ends is a matter of opinion, and what follows must not depend on one.
            raise JsoncError("a comment holds an unusual line separator", text, at)
        kept.append(piece if char == '"' else "".join(each if each in _LINE_ENDS else " " for each in piece))
        at = end
    return "".join(kept)


def _end_of_string(text: str, start: int) -> int:
    at = start + 1
    while at < len(text):
        if text[at] == "\\":
            at += 2
        elif text[at] == '"':
            return at + 1
        else:
            at += 1
    raise JsoncError("a string is not closed", text, start)


def _without_trailing_commas(text: str) -> str:
    kept = list(text)
    comma: int | None = None
    before = ""
    at = 0
    while at < len(text):
        char = text[at]
        if char == '"':
            at, comma, before = _end_of_string(text, at), None, char
            continue
        if char not in _BLANKS:
            if char in "]}" and comma is not None:
                kept[comma] = " "
            # A comma counts only after a value: "[,]" stays an error.
            comma = at if char == "," and before not in ("", ",", "[", "{", ":") else None
            before = char
        at += 1
    return "".join(kept)


__all__ = ["JsoncError", "Members", "parse"]
