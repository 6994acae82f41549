"""Checking JSON values against JSON Schemas, in words that tell the reader what to change.

Owns the messages: each names the field, the value (shortened, escaped), the rule and, where the schema has one, an
example. ``jsonschema`` does the walking and is imported at the first check only. Nothing here fetches anything: a
reference that leaves its own schema is an error, never a request.
"""

from __future__ import annotations

import difflib
import json
import math
import re
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from netclaw_opencode.errors import InvalidInput
from netclaw_opencode.jsontypes import JsonObject

if TYPE_CHECKING:
    from jsonschema import ValidationError
    from jsonschema.protocols import Validator

MAX_DEPTH = 64
MAX_PROBLEMS = 50
_MAX_INTEGER_BITS = 1024
_SHOWN_CHARACTERS = 60
_FINITE = "a finite number"
_CACHED_VALIDATORS = 256

_MAPS_OF_SCHEMAS = ("properties", "$defs", "patternProperties", "dependentSchemas")
_SCHEMAS = (
    *("items", "additionalProperties", "propertyNames", "contains", "not", "if", "then", "else"),
    *("unevaluatedItems", "unevaluatedProperties", "contentSchema", "oneOf", "anyOf", "allOf", "prefixItems"),
)
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

_validators: OrderedDict[int, tuple[object, Validator]] = OrderedDict()


@dataclass(frozen=True, slots=True)
class SchemaProblem:
    """One way in which a value breaks its schema.

    ``path`` is the field (``model.providerID``, ``answers[0]``; empty for the whole value), ``value_shortened`` the value
    made safe to print, ``rule`` what holds instead, ``hint`` an example or the nearest known name. ``message`` says all.
    """

    path: str
    message: str
    value_shortened: str
    rule: str
    hint: str | None = None

    def to_wire(self) -> dict[str, object]:
        """The form used in ``details.problems`` of an error envelope."""
        wire: dict[str, object] = {"field": self.path, "message": self.message, "value": self.value_shortened, "rule": self.rule}
        if self.hint is not None:
            wire["hint"] = self.hint
        return wire


def problems_of(instance: object, schema: JsonObject, *, incoming: bool = False, limit: int = MAX_PROBLEMS) -> tuple[SchemaProblem, ...]:
    """Every problem of ``instance`` under ``schema`` (2020-12), at most ``limit``; an empty tuple means that it fits.

    Any ``Mapping`` counts as an object, lists and tuples as arrays. Booleans are no numbers, NaN and infinities are
    nothing, ``5.0`` is no integer. ``incoming`` also refuses text that cannot be written as UTF-8 (an argument with
    broken bytes). Raises ``InvalidInput`` (``invalid_manifest``) where the schema itself cannot be used.
    """
    odd = _not_json(instance, incoming=incoming)
    if odd is not None and odd.rule != _FINITE:
        # The walk below may not be given what JSON cannot hold: printing or descending it can fail by itself.
        return (odd,)
    found = tuple(islice(_walk(instance, _validator(schema)), limit))
    return (odd,) if odd is not None and not found else found


def problems_of_schema(schema: JsonObject, *, patterns: bool = True) -> tuple[SchemaProblem, ...]:
    """Every problem of ``schema`` as a JSON Schema of 2020-12 that stands on its own.

    References must be found within it. ``patterns=False`` refuses regular expressions: one that a stranger wrote can
    keep a processor busy for ever.
    """
    from jsonschema import Draft202012Validator

    odd = _not_json(schema, incoming=True)
    if odd is not None:
        return (odd,)
    found = list(islice(_walk(schema, _validator(Draft202012Validator.META_SCHEMA)), MAX_PROBLEMS))
    if not found:
        for path, node in subschemas(schema):
            found += _self_contained(node, path, schema)
            found += _searchable(node, path, patterns=patterns)
    return tuple(found)


def subschemas(schema: JsonObject, path: str = "") -> Iterator[tuple[str, JsonObject]]:
    """The schema itself and every schema in it, each with its path; values such as those of ``enum`` are not looked into."""
    yield path, schema
    for keyword in _MAPS_OF_SCHEMAS:
        for name, child in _mapping(schema.get(keyword)).items():
            if isinstance(child, Mapping):
                yield from subschemas(child, pointed(pointed(path, keyword), name))
    for keyword in _SCHEMAS:
        child = schema.get(keyword)
        if isinstance(child, Mapping):
            yield from subschemas(child, pointed(path, keyword))
        elif isinstance(child, (list, tuple)):
            for position, item in enumerate(child):
                if isinstance(item, Mapping):
                    yield from subschemas(item, pointed(pointed(path, keyword), position))


def shortened(value: object) -> str:
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
            return f"an object with {_count(len(value), 'field')}"
        case list() | tuple():
            return f"a list of {_count(len(value), 'item')}"
        case _:
            return f"a Python {type(value).__name__}"


def pointed(path: str, step: object) -> str:
    """``path`` extended by one step: a field name or a list position."""
    if isinstance(step, int):
        return f"{path}[{step}]"
    name = str(step)
    name = name if name.isprintable() and len(name) <= _SHOWN_CHARACTERS else shortened(name)
    return f"{path}.{name}" if path else name


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _not_json(instance: object, *, incoming: bool) -> SchemaProblem | None:
    """The first thing in ``instance`` that JSON (or we) cannot carry. A loop, since the point is depth."""
    pending: list[tuple[object, str, int]] = [(instance, "", 1)]
    while pending:
        value, path, depth = pending.pop()
        rule = _unfit(value, depth, incoming=incoming)
        if rule is not None:
            shown = shortened(value)
            kind = _FINITE if isinstance(value, float) else "a JSON value"
            return SchemaProblem(path, f"{path + ': ' if path else ''}{shown} {rule}", shown, kind)
        if isinstance(value, Mapping):
            for name, child in value.items():
                if not isinstance(name, str) or _unfit(name, depth, incoming=incoming):
                    shown = shortened(name)
                    return SchemaProblem(path, f"{path or 'the value'}: the field name {shown} is not text", shown, "a JSON value")
                if isinstance(child, (str, int, float, bool, type(None))) and _unfit(child, depth, incoming=incoming) is None:
                    continue
                pending.append((child, pointed(path, name), depth + 1))
        elif isinstance(value, (list, tuple)):
            pending.extend((child, pointed(path, position), depth + 1) for position, child in enumerate(value))
    return None


def _unfit(value: object, depth: int, *, incoming: bool) -> str | None:
    if depth > MAX_DEPTH:
        return f"is nested deeper than {MAX_DEPTH} levels"
    match value:
        case None | bool() | Mapping() | list() | tuple():
            return None
        case str():
            return "is not valid Unicode text (broken bytes?)" if incoming and not value.isascii() and _broken(value) else None
        case int():
            return "is too large a number" if value.bit_length() > _MAX_INTEGER_BITS else None
        case float():
            return None if math.isfinite(value) else "is not a finite number"
        case _:
            return "is not a JSON value"


def _broken(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return True
    return False


def _validator(schema: JsonObject) -> Validator:
    """The compiled validator of this very schema object; the cache keeps the object alive, so its id stays its own."""
    cached = _validators.get(id(schema))
    if cached is not None:
        _validators.move_to_end(id(schema))
        return cached[1]
    from referencing import Registry

    from netclaw_opencode.schema_keywords import StrictValidator

    # A "$schema" left in place would make jsonschema fall back to its own, laxer class whenever it descends to the root.
    validator: Validator = StrictValidator({name: value for name, value in schema.items() if name != "$schema"}, registry=Registry())
    _validators[id(schema)] = (schema, validator)
    if len(_validators) > _CACHED_VALIDATORS:
        _validators.popitem(last=False)
    return validator


def _walk(instance: object, validator: Validator) -> Iterator[SchemaProblem]:
    from jsonschema.exceptions import UnknownType
    from referencing.exceptions import Unresolvable

    try:
        for error in validator.iter_errors(instance):  # type: ignore[arg-type]  # _not_json() proved it
            yield _problem(error)
    except Unresolvable as error:
        raise InvalidInput("invalid_manifest", f"the schema refers to {shortened(error.ref)}, which it does not hold") from error
    except (UnknownType, RecursionError, re.error) as error:
        raise InvalidInput("invalid_manifest", f"the schema cannot be used: {type(error).__name__}") from error


def _self_contained(node: JsonObject, path: str, root: JsonObject) -> Iterator[SchemaProblem]:
    for keyword in ("$ref", "$dynamicRef"):
        reference = node.get(keyword)
        if isinstance(reference, str) and not _leads_somewhere(reference, root):
            place, shown = pointed(path, keyword), shortened(reference)
            yield SchemaProblem(
                place, f"{place}: {shown} names nothing in this schema", shown, "refer to #/$defs/<name>; nothing is fetched"
            )


def _leads_somewhere(reference: str, root: JsonObject) -> bool:
    if not reference.startswith("#/"):
        return reference == "#"
    node: object = root
    for step in reference[2:].split("/"):
        node = _mapping(node).get(step.replace("~1", "/").replace("~0", "~"))
    return isinstance(node, (Mapping, bool))


def _searchable(node: JsonObject, path: str, *, patterns: bool) -> Iterator[SchemaProblem]:
    from netclaw_opencode.schema_keywords import ecma

    for keyword, found in (("pattern", [node.get("pattern")]), ("patternProperties", list(_mapping(node.get("patternProperties"))))):
        place = pointed(path, keyword)
        for pattern in found:
            if not isinstance(pattern, str):
                continue
            shown = shortened(pattern)
            if not patterns:
                yield SchemaProblem(place, f"{place}: {shown} is a regular expression", shown, "say the form in the description instead")
                continue
            try:
                ecma(pattern)
            except re.error as error:
                yield SchemaProblem(place, f"{place}: {shown} cannot be compiled: {error.msg}", shown, "a regular expression")


def _problem(error: ValidationError) -> SchemaProblem:
    """Put one error of jsonschema into our words; its own text is not used, since it prints values whole."""
    steps = list(error.absolute_path)
    path = ""
    for step in steps:
        path = pointed(path, step)
    schema: JsonObject = error.schema if isinstance(error.schema, Mapping) else {}
    match error.validator:
        case "additionalProperties":
            return _unknown(path, steps, error.instance, schema)
        case "required":
            return _missing(path, steps, schema)
    shown = shortened(error.instance)
    phrase, rule, tell_rule = _broken_rule(error, str(steps[-1]) if steps else "")
    hint = _nearest(error.instance, error.validator_value) if error.validator == "enum" else None
    hint = hint or _example(schema)
    message = f"{path}: " if path else ""
    message += f"{shown} {phrase}" + (f" ({rule})" if tell_rule else "") + (f", {hint}" if hint else "")
    return SchemaProblem(path, message, shown, rule, hint)


def _unknown(path: str, steps: list[str | int], value: object, schema: JsonObject) -> SchemaProblem:
    name = str(steps[-1]) if steps else ""
    known = [str(field) for field in _mapping(schema.get("properties"))]
    near = difflib.get_close_matches(name[:100].replace("-", "_").lower(), known, n=1)
    rule = f"known fields: {_listed(known)}" if known else "no fields are known here"
    hint = f"did you mean {near[0]!r}?" if near else None
    parent = path.removesuffix(pointed("", name)).rstrip(".")
    message = f"{parent + ': ' if parent else ''}unknown field {shortened(name)}; {hint or rule}"
    return SchemaProblem(path, message, shortened(value), rule, hint)


def _missing(path: str, steps: list[str | int], schema: JsonObject) -> SchemaProblem:
    hint = _example(_mapping(_mapping(schema.get("properties")).get(str(steps[-1])))) if steps else None
    return SchemaProblem(path, f"{path}: is missing" + (f", {hint}" if hint else ""), "(missing)", "required", hint)


def _broken_rule(error: ValidationError, name: str) -> tuple[str, str, bool]:
    """The phrase, the rule, and whether the message needs the rule beside the phrase."""
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
            allowed = _listed([str(item) for item in value] if isinstance(value, list) else [str(value)])
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


def _listed(names: list[str]) -> str:
    return ", ".join(names[:20]) + (f" and {len(names) - 20} more" if len(names) > 20 else "")


def _mapping(value: object) -> JsonObject:
    return value if isinstance(value, Mapping) else {}


__all__ = ["MAX_DEPTH", "MAX_PROBLEMS", "SchemaProblem", "pointed", "problems_of", "problems_of_schema", "shortened", "subschemas"]
