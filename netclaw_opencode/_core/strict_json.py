"""Parse JSON strictly: no NaN, no key twice, no endless nesting."""

from __future__ import annotations

import json
from typing import NoReturn

from netclaw_opencode.jsontypes import is_deeper

MAX_DEPTH = 100
"""Lists and objects may stand in one another this often: later readers descend by recursion."""


def parse(content: str | bytes | bytearray) -> object:
    """Parse one JSON document.

    Raises:
        ValueError: It is not JSON, or not JSON that we accept; a ``json.JSONDecodeError`` says where.
    """
    try:
        value: object = json.loads(content, parse_constant=_refuse_constant, object_pairs_hook=_object)
    except RecursionError as error:
        raise ValueError("the JSON is nested too deeply") from error
    # From Python 3.13 on the parser itself goes much deeper.
    if is_deeper(value, MAX_DEPTH):
        raise ValueError("the JSON is nested too deeply")
    return value


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the JSON names the key {twice[:60]!r} twice")
    return found


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


__all__ = ["MAX_DEPTH", "parse"]
