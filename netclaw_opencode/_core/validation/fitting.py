"""The short way to "it fits": the few keywords that our own schemas use, for values that are right.

Owns no message and no verdict of "wrong". It answers only whether a value surely fits; whatever it does not know, or does not find
right, is left to ``jsonschema``, which takes longer to import than a request to the server takes (docs/decisions/0011-quick-start.md).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import cast

from netclaw_opencode._core.validation.patterns import ecma
from netclaw_opencode.jsontypes import JsonObject

_MAX_STEPS = 200
"""Steps down a value and through references; deeper is left to the library. The value itself has at most 64 levels."""
_REFERENCE = re.compile(r"#/\$defs/(\w+)", re.ASCII)
_SAYS_NOTHING = frozenset({"$schema", "$defs", "title", "description", "default", "examples"})


def surely_fits(instance: object, schema: JsonObject) -> bool:
    """Return whether the value fits the schema; False means "no", or "not known here"."""
    try:
        return _fits(instance, schema, schema, 0)
    except (re.error, TypeError, AttributeError):
        return False  # the schema is not one; the library says what is wrong with it


def _fits(instance: object, schema: object, root: JsonObject, step: int) -> bool:
    if not isinstance(schema, Mapping) or step > _MAX_STEPS:
        return False
    for keyword, value in schema.items():
        if keyword in _SAYS_NOTHING:
            continue
        check = _SIMPLE.get(keyword)
        if check is not None:
            if not check(instance, value):
                return False
        elif not _fits_deeply(instance, keyword, schema, root, step):
            return False
    return True


def _fits_deeply(instance: object, keyword: str, schema: JsonObject, root: JsonObject, step: int) -> bool:
    """Check a keyword that leads to other schemas, or needs its neighbours."""
    value = schema[keyword]
    match keyword:
        case "properties":
            return not isinstance(instance, Mapping) or all(
                _fits(instance[name], below, root, step + 1) for name, below in cast("JsonObject", value).items() if name in instance
            )
        case "additionalProperties":
            if not isinstance(instance, Mapping) or value is True:
                return True
            known = cast("JsonObject", schema.get("properties", {}))
            others = [below for name, below in instance.items() if name not in known]
            return not others or (value is not False and all(_fits(below, value, root, step + 1) for below in others))
        case "items":
            return not _is_array(instance) or all(_fits(below, value, root, step + 1) for below in cast("list[object]", instance))
        case "pattern":
            # Text of a wrong length is not searched.
            longest = cast("int", schema.get("maxLength", math.inf))
            return not isinstance(instance, str) or (len(instance) <= longest and ecma(cast("str", value)).search(instance) is not None)
        case "$ref":
            below = _definition(str(value), root)
            return below is not None and _fits(instance, below, root, step + 1)
        case _:
            return False


def _definition(reference: str, root: JsonObject) -> object:
    plain = _REFERENCE.fullmatch(reference)
    return cast("JsonObject", root.get("$defs", {})).get(plain[1]) if plain else None


def _is_array(value: object) -> bool:
    return isinstance(value, (list, tuple))


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


_TYPES: Mapping[str, Callable[[object], bool]] = {
    "string": lambda value: isinstance(value, str),
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "number": _is_number,
    "boolean": lambda value: isinstance(value, bool),
    "array": _is_array,
    "object": lambda value: isinstance(value, Mapping),
    "null": lambda value: value is None,
}


def _has_type(instance: object, names: object) -> bool:
    return any(name in _TYPES and _TYPES[name](instance) for name in ([names] if isinstance(names, str) else cast("list[str]", names)))


def _is_one_of(instance: object, allowed: object) -> bool:
    # What equals what among numbers is the library's to say.
    if isinstance(instance, str):
        return instance in cast("list[object]", allowed)
    return (instance is None or isinstance(instance, bool)) and any(instance is value for value in cast("list[object]", allowed))


_SIMPLE: Mapping[str, Callable[[object, object], bool]] = {
    "type": _has_type,
    "enum": _is_one_of,
    "const": lambda instance, value: _is_one_of(instance, [value]),
    "required": lambda instance, names: not isinstance(instance, Mapping) or all(name in instance for name in cast("list[str]", names)),
    "minimum": lambda instance, bound: not _is_number(instance) or cast("float", instance) >= cast("float", bound),
    "maximum": lambda instance, bound: not _is_number(instance) or cast("float", instance) <= cast("float", bound),
    "exclusiveMinimum": lambda instance, bound: not _is_number(instance) or cast("float", instance) > cast("float", bound),
    "minLength": lambda instance, bound: not isinstance(instance, str) or len(instance) >= cast("int", bound),
    "maxLength": lambda instance, bound: not isinstance(instance, str) or len(instance) <= cast("int", bound),
    "minItems": lambda instance, bound: not _is_array(instance) or len(cast("list[object]", instance)) >= cast("int", bound),
    "maxItems": lambda instance, bound: not _is_array(instance) or len(cast("list[object]", instance)) <= cast("int", bound),
}

__all__ = ["surely_fits"]
