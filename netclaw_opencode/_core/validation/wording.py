"""What is wrong with a value, in words: the field, the value (shortened, escaped), the rule and, if there is one, an example.

Owns every message of the validation. ``problems`` finds what there is to say; the words of ``jsonschema`` are not used,
since they print values whole.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from netclaw_opencode.jsontypes import JsonObject

if TYPE_CHECKING:
    from jsonschema import ValidationError

_SHOWN_CHARACTERS = 60
_TYPES = {
    "string": "text",
    "integer": "an integer",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "object": "an object",
    "null": "null",
}
_PATTERNS = {  # the patterns of our schemas that read badly, in words
    r"\S": ("is blank", "must not be blank"),
    r"^[^\u0000-\u001f\u007f]*[^\u0000-\u0020\u007f][^\u0000-\u001f\u007f]*$": (
        "is blank or holds a control character",
        "one line without control characters, not blank",
    ),
}

_PATTERNS |= {
    f"^{prefix}_[0-9A-Za-z]{{10,64}}$": (
        f"is not an id ({prefix}_ and 10 to 64 ASCII letters or digits)",
        f"{prefix}_ and 10 to 64 ASCII letters or digits",
    )
    for prefix in ("ses", "msg", "per", "que")
}


@dataclass(frozen=True, slots=True)
class SchemaProblem:
    """One way in which a value breaks its schema.

    ``path`` is the field (``model.providerID``, ``answers[0]``; empty for the whole value), ``value_shortened`` the value
    made safe to print, ``rule`` what holds instead, ``hint`` an example or the nearest known name. ``message`` says all.
    ``steps`` is the path in its parts and ``keyword`` that of the schema, for code that sorts problems or looks for their place.
    """

    path: str
    message: str
    value_shortened: str
    rule: str
    hint: str | None = None
    steps: tuple[str | int, ...] = field(default=(), compare=False, repr=False)
    keyword: str = field(default="", compare=False, repr=False)

    def to_wire(self) -> dict[str, object]:
        """Return the form used in ``details.problems`` of an error envelope."""
        wire: dict[str, object] = {"field": self.path, "message": self.message, "value": self.value_shortened, "rule": self.rule}
        if self.hint is not None:
            wire["hint"] = self.hint
        return wire


def shorten(value: object) -> str:
    """``value`` for a message: escaped, at most some 60 characters of it, containers by their size only."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case str():
            cut = value[:_SHOWN_CHARACTERS]
            return repr(cut) if cut == value else f"{cut!r}… ({len(value)} characters)"
        case int():
            return str(value) if value.bit_length() <= 128 else f"an integer of {value.bit_length()} bits"
        case float():
            return repr(value)
        case Mapping():
            return f"an object with {pluralize(len(value), 'field')}"
        case list() | tuple():
            return f"a list of {pluralize(len(value), 'item')}"
        case _:
            return f"a Python {type(value).__name__}"


def extend_path(path: str, step: object) -> str:
    """``path`` extended by one step: a field name or a list position."""
    if isinstance(step, int):
        return f"{path}[{step}]"
    name = str(step)
    name = name if name.isprintable() and len(name) <= _SHOWN_CHARACTERS else shorten(name)
    return f"{path}.{name}" if path else name


def pluralize(number: int, noun: str) -> str:
    """``1 item``, ``2 items``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def describe_error(error: ValidationError) -> SchemaProblem:
    """Put one error of jsonschema into our words; its own text is not used, since it prints values whole."""
    steps = list(error.absolute_path)
    path = ""
    for step in steps:
        path = extend_path(path, step)
    schema: JsonObject = error.schema if isinstance(error.schema, Mapping) else {}
    match error.validator:
        case "additionalProperties":
            return _describe_unknown(path, steps, error.instance, schema)
        case "required":
            return _describe_missing(path, steps, schema)
    shown = shorten(error.instance)
    phrase, rule, tell_rule = _broken_rule(error, str(steps[-1]) if steps else "")
    hint = _nearest(error.instance, error.validator_value) if error.validator == "enum" else None
    hint = hint or _example(schema)
    message = f"{path}: " if path else ""
    message += f"{shown} {phrase}" + (f" ({rule})" if tell_rule else "") + (f", {hint}" if hint else "")
    return SchemaProblem(path, message, shown, rule, hint, tuple(steps), str(error.validator))


def _describe_unknown(path: str, steps: list[str | int], value: object, schema: JsonObject) -> SchemaProblem:
    name = str(steps[-1]) if steps else ""
    known = [str(field) for field in as_mapping(schema.get("properties"))]
    near = difflib.get_close_matches(name[:100].replace("-", "_").lower(), known, n=1)
    rule = f"known fields: {_join_names(known)}" if known else "no fields are known here"
    hint = f"did you mean {near[0]!r}?" if near else None
    parent = path.removesuffix(extend_path("", name)).rstrip(".")
    message = f"{parent + ': ' if parent else ''}unknown field {shorten(name)}; {hint or rule}"
    return SchemaProblem(path, message, shorten(value), rule, hint, tuple(steps), "additionalProperties")


def _describe_missing(path: str, steps: list[str | int], schema: JsonObject) -> SchemaProblem:
    hint = _example(as_mapping(as_mapping(schema.get("properties")).get(str(steps[-1])))) if steps else None
    message = f"{path}: is missing" + (f", {hint}" if hint else "")
    return SchemaProblem(path, message, "(missing)", "required", hint, tuple(steps), "required")


def _broken_rule(error: ValidationError, name: str) -> tuple[str, str, bool]:
    """Return the phrase, the rule, and whether the message needs the rule beside the phrase."""
    schema: JsonObject = error.schema if isinstance(error.schema, Mapping) else {}
    value: object = error.validator_value
    match error.validator:
        case "type":
            words = " or ".join(_TYPES.get(str(kind), str(kind)) for kind in (value if isinstance(value, list) else [value]))
            bounds = _range(name, schema)
            return f"is not {words}", bounds or f"must be {words}", bool(bounds)
        case "maximum":
            return f"is greater than the maximum of {value}", _range(name, schema), True
        case "minimum":
            return f"is less than the minimum of {value}", _range(name, schema), True
        case "exclusiveMinimum":
            return f"is not greater than {value}", _range(name, schema), True
        case "exclusiveMaximum":
            return f"is not less than {value}", _range(name, schema), True
        case "minLength" | "maxLength":
            than = f"is {'shorter' if error.validator == 'minLength' else 'longer'} than {value} characters"
            phrase = "is empty" if error.instance == "" else than
            return phrase, _span(schema, "Length", "character"), True
        case "minItems" | "maxItems":
            return f"has {'fewer' if error.validator == 'minItems' else 'more'} than {value} items", _span(schema, "Items", "item"), True
        case "enum" | "const":
            allowed = _join_names([str(item) for item in value] if isinstance(value, list) else [str(value)])
            return f"is none of {allowed}" if error.validator == "enum" else f"is not {allowed}", f"one of {allowed}", False
        case "pattern":
            phrase, rule = _PATTERNS.get(str(value), (f"does not match {value}", f"matches {value}"))
            return phrase, rule, False
        case "uniqueItems":
            return "holds the same item twice", "no item twice", False
        case keyword:
            return f"breaks the rule {keyword!r} of its schema", str(keyword or "never allowed"), False


def _range(name: str, schema: JsonObject) -> str:
    if not {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"} & schema.keys():
        return ""
    letter, unit = ("t", "seconds: ") if name.endswith("_seconds") else ("n", "")
    if not {"maximum", "exclusiveMaximum"} & schema.keys():
        return f"{unit}{letter} >= {schema['minimum']}" if "minimum" in schema else f"{unit}{letter} > {schema['exclusiveMinimum']}"
    low = f"{schema['minimum']} <= " if "minimum" in schema else f"{schema['exclusiveMinimum']} < " if "exclusiveMinimum" in schema else ""
    high = f" <= {schema['maximum']}" if "maximum" in schema else f" < {schema['exclusiveMaximum']}" if "exclusiveMaximum" in schema else ""
    return f"{unit}{low}{letter}{high}"


def _span(schema: JsonObject, kind: str, noun: str) -> str:
    low, high = schema.get(f"min{kind}"), schema.get(f"max{kind}")
    if low is None:
        return f"at most {high} {noun}s"
    return f"at least {low} {noun}{'' if low == 1 else 's'}" if high is None else f"{low} to {high} {noun}s"


def _example(schema: JsonObject) -> str | None:
    examples = schema.get("examples")
    if isinstance(examples, (list, tuple)) and examples:
        shown = examples[0]
    elif "default" in schema:
        shown = schema["default"]
    else:
        return None
    text = repr(shown) if isinstance(shown, str) else json.dumps(shown, ensure_ascii=False)
    return f"for example {text}" if len(text) <= 120 else None


def _nearest(value: object, allowed: object) -> str | None:
    names = [str(item) for item in allowed] if isinstance(allowed, (list, tuple)) else []
    near = difflib.get_close_matches(value[:100].lower(), names, n=1) if isinstance(value, str) else []
    return f"did you mean {near[0]!r}?" if near else None


def _join_names(names: list[str]) -> str:
    return ", ".join(names[:20]) + (f" and {len(names) - 20} more" if len(names) > 20 else "")


def as_mapping(value: object) -> JsonObject:
    """Return the value, if it is a JSON object, else an empty one."""
    return value if isinstance(value, Mapping) else {}
