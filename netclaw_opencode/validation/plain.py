"""The quick yes: a value that plainly fits a plain schema needs no ``jsonschema``, which takes longer to import than to ask a server.

Owns a check that only ever says yes, and only where it knows every keyword that the value meets. Whatever it does not know,
and every refusal, is for ``problems`` and the library: there is one place that says what is wrong.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from functools import lru_cache

from netclaw_opencode.jsontypes import JsonObject

_DEEPEST = 100
_DEFINITION = re.compile(r"#/\$defs/([0-9A-Za-z_-]+)")
_TELLS_NOTHING = frozenset({"title", "description", "examples", "default", "$comment", "$defs"})
"""Keywords that no value can break. ``$schema`` is one at the top only: below it could name other rules."""

_SCALARS = frozenset({str, int, bool, type(None)})
_TYPES: Mapping[str, Callable[[object], bool]] = {
    "object": lambda value: isinstance(value, Mapping),
    "array": lambda value: isinstance(value, list | tuple),
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "null": lambda value: value is None,
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value),
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
}
_LIMITS: Mapping[str, tuple[str, Callable[[float, float], bool]]] = {
    # The type that a limit is for; values of other types it lets pass.
    "minimum": ("number", lambda value, limit: value >= limit),
    "maximum": ("number", lambda value, limit: value <= limit),
    "exclusiveMinimum": ("number", lambda value, limit: value > limit),
    "exclusiveMaximum": ("number", lambda value, limit: value < limit),
    "minLength": ("string", lambda value, limit: value >= limit),
    "maxLength": ("string", lambda value, limit: value <= limit),
    "minItems": ("array", lambda value, limit: value >= limit),
    "maxItems": ("array", lambda value, limit: value <= limit),
}


def plainly_fits(value: object, schema: JsonObject) -> bool:
    """Whether ``value``, which holds nothing but JSON, is seen to fit; False means nothing but "ask the library"."""
    top = {keyword: stated for keyword, stated in schema.items() if keyword != "$schema"}
    try:
        return _fits(value, top, schema, 0)
    except re.error:  # a pattern that cannot be compiled is told in order
        return False


def _fits(value: object, schema: object, root: JsonObject, depth: int) -> bool:
    if schema is True:
        return True
    if not isinstance(schema, Mapping) or depth > _DEEPEST:
        return False
    return all(_keeps(value, keyword, stated, schema, root, depth) for keyword, stated in schema.items() if keyword not in _TELLS_NOTHING)


def _keeps(value: object, keyword: str, stated: object, schema: JsonObject, root: JsonObject, depth: int) -> bool:
    if keyword in _LIMITS:
        kind, holds = _LIMITS[keyword]
        if not _TYPES["number"](stated):
            return False
        return not _TYPES[kind](value) or holds(value if kind == "number" else len(value), stated)  # type: ignore[arg-type]
    match keyword:
        case "type":
            return isinstance(stated, str) and stated in _TYPES and _TYPES[stated](value)
        case "enum":
            return isinstance(stated, list | tuple) and any(_same(value, each) for each in stated)
        case "const":
            return _same(value, stated)
        case "pattern":
            return not isinstance(value, str) or (isinstance(stated, str) and _short(value, schema) and bool(ecma(stated).search(value)))
        case "required":
            if not isinstance(stated, list | tuple) or not all(isinstance(name, str) for name in stated):
                return False
            return not isinstance(value, Mapping) or all(name in value for name in stated)
        case "properties":
            if not isinstance(stated, Mapping):
                return False
            return not isinstance(value, Mapping) or all(
                _fits(child, stated[name], root, depth + 1) for name, child in value.items() if name in stated
            )
        case "additionalProperties":
            return not isinstance(value, Mapping) or all(_fits(value[name], stated, root, depth + 1) for name in _others(value, schema))
        case "items":
            return not isinstance(value, list | tuple) or all(_fits(item, stated, root, depth + 1) for item in value)
        case "$ref":
            named, definitions = _DEFINITION.fullmatch(str(stated)), root.get("$defs")
            return named is not None and isinstance(definitions, Mapping) and _fits(value, definitions.get(named[1]), root, depth + 1)
    return False


def _others(value: JsonObject, schema: JsonObject) -> list[str]:
    """The fields without a schema of their own. Where patterns name some, that keyword itself is not known here."""
    known = schema.get("properties")
    return [name for name in value if not (isinstance(known, Mapping) and name in known)]


def _same(value: object, other: object) -> bool:
    """Whether two scalars are the same; ``True`` is not ``1``, and what is no scalar is not compared here."""
    return type(value) is type(other) and type(value) in _SCALARS and value == other


def _short(value: str, schema: JsonObject) -> bool:
    """Text that is refused for its length anyway is not searched: its size is not bounded."""
    longest = schema.get("maxLength", len(value))
    return isinstance(longest, int) and len(value) <= longest


@lru_cache(maxsize=256)
def ecma(pattern: str) -> re.Pattern[str]:
    """Compile a pattern as JSON Schema means it: ``$`` is the very end of the text. Raises ``re.error``."""
    rewritten: list[str] = []
    inside_class = False
    position = 0
    while position < len(pattern):
        char = pattern[position]
        if char == "\\":
            rewritten.append(pattern[position : position + 2])
            position += 2
            continue
        if char == "[":
            inside_class = True
        elif char == "]":
            inside_class = False
        rewritten.append(r"\Z" if char == "$" and not inside_class else char)
        position += 1
    return re.compile("".join(rewritten))


__all__ = ["ecma", "plainly_fits"]
