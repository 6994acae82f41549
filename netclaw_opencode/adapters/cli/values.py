"""From the text behind a flag to a JSON value.

Owns the reading of numbers, arrays and JSON text. A text that does not read as the schema's type is passed on as it is:
``Registry.invoke`` refuses it with the same words as for every other adapter.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence

from netclaw_opencode._core import strict_json
from netclaw_opencode.errors import InvalidInput

_INTEGER = re.compile(r"[+-]?[0-9]{1,18}")
_NUMBER = re.compile(r"[+-]?[0-9]{1,18}(\.[0-9]{1,18})?([eE][+-]?[0-9]{1,3})?")


def scalar(text: str, schema: Mapping[str, object]) -> object:
    """Return the value of a text under a schema of a scalar type; the text itself where it does not fit."""
    kind = schema.get("type")
    if kind in ("integer", "number") and _INTEGER.fullmatch(text):
        return int(text)
    if kind == "number" and _NUMBER.fullmatch(text):
        value = float(text)
        return value if math.isfinite(value) else text
    if kind == "boolean" and text in ("true", "false"):
        return text == "true"
    return text


def array(texts: Sequence[str], schema: Mapping[str, object], *, flag: str) -> list[object]:
    """Return the array behind a flag that may be repeated: each use is one item, or one use holds the whole as JSON."""
    items = schema.get("items")
    item_schema: Mapping[str, object] = items if isinstance(items, Mapping) else {}
    nested = item_schema.get("type") == "array"
    if len(texts) == 1 and texts[0].lstrip().startswith("["):
        whole = parse_json(texts[0], flag=flag)
        if isinstance(whole, list) and (not nested or all(isinstance(item, list) for item in whole)):
            return whole
    return [_item(text, item_schema, nested=nested, flag=flag) for text in texts]


def _item(text: str, schema: Mapping[str, object], *, nested: bool, flag: str) -> object:
    if nested:
        return parse_json(text, flag=flag) if text.lstrip().startswith("[") else [text]
    if schema.get("type") == "object":
        return parse_json(text, flag=flag)
    return scalar(text, schema)


def parse_json(text: str, *, flag: str) -> object:
    """Strict JSON: no NaN, no key twice, no abyss of brackets.

    Raises:
        InvalidInput: With line and column.
    """
    try:
        return strict_json.parse(text)
    except json.JSONDecodeError as error:
        raise _input_error(flag, f"not JSON: {error.msg} at line {error.lineno}, column {error.colno}") from error
    except ValueError as error:
        raise _input_error(flag, str(error)) from error


def _input_error(flag: str, reason: str) -> InvalidInput:
    return InvalidInput("invalid_input", f"{flag}: {reason}")


__all__ = ["array", "parse_json", "scalar"]
