"""Checking JSON values against JSON Schemas, in words that say what to change.

Owns the messages: each names the field, the value (shortened, escaped), the rule and, where the schema has one, an
example. ``jsonschema`` does the walking and is imported when something may be wrong (``fitting``). Nothing here fetches anything: a
reference that leaves its own schema is an error, never a request.
"""

from __future__ import annotations

import math
import re
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import TYPE_CHECKING

from netclaw_opencode._core.validation.fitting import surely_fits
from netclaw_opencode._core.validation.patterns import ecma
from netclaw_opencode._core.validation.wording import SchemaProblem, as_mapping, describe_error, extend_path, shorten
from netclaw_opencode.errors import InvalidInput
from netclaw_opencode.jsontypes import JsonObject

if TYPE_CHECKING:
    from jsonschema.protocols import Validator

MAX_DEPTH = 64
MAX_PROBLEMS = 50
_MAX_INTEGER_BITS = 1024
_FINITE = "a finite number"
_CACHED_VALIDATORS = 256

_MAPS_OF_SCHEMAS = ("properties", "$defs", "patternProperties", "dependentSchemas")
_SCHEMAS = (
    *("items", "additionalProperties", "propertyNames", "contains", "not", "if", "then", "else"),
    *("unevaluatedItems", "unevaluatedProperties", "contentSchema", "oneOf", "anyOf", "allOf", "prefixItems"),
)
_validators: OrderedDict[int, tuple[object, Validator]] = OrderedDict()


def find_problems(instance: object, schema: JsonObject, *, incoming: bool = False, limit: int = MAX_PROBLEMS) -> tuple[SchemaProblem, ...]:
    """Every problem of ``instance`` under ``schema`` (2020-12), at most ``limit``; an empty tuple means that it fits.

    Any ``Mapping`` counts as an object, lists and tuples as arrays. Booleans are no numbers, NaN and infinities are
    nothing, ``5.0`` is no integer. ``incoming`` also refuses text that cannot be written as UTF-8 (an argument with
    broken bytes). Raises ``InvalidInput`` (``invalid_manifest``) if the schema itself cannot be used.
    """
    odd = _find_non_json(instance, incoming=incoming)
    if odd is not None and odd.rule != _FINITE:
        # The walk below may not be given what JSON cannot hold: printing or descending it can fail by itself.
        return (odd,)
    if odd is None and surely_fits(instance, schema):
        return ()
    found = tuple(islice(_walk(instance, _validator(schema)), limit))
    return (odd,) if odd is not None and not found else found


def find_schema_problems(schema: JsonObject, *, patterns: bool = True) -> tuple[SchemaProblem, ...]:
    """Every problem of ``schema`` as a JSON Schema of 2020-12 that stands on its own.

    References must be found within it. ``patterns=False`` refuses regular expressions: one that a stranger wrote can
    keep a processor busy for ever.
    """
    from jsonschema import Draft202012Validator

    odd = _find_non_json(schema, incoming=True)
    if odd is not None:
        return (odd,)
    found = list(islice(_walk(schema, _validator(Draft202012Validator.META_SCHEMA)), MAX_PROBLEMS))
    if not found:
        for path, node in iter_subschemas(schema):
            found += _find_outside_references(node, path, schema)
            found += _searchable(node, path, patterns=patterns)
    return tuple(found)


def iter_subschemas(schema: JsonObject, path: str = "") -> Iterator[tuple[str, JsonObject]]:
    """Return the schema itself and every schema in it, each with its path; values such as those of ``enum`` are not looked into."""
    yield path, schema
    for keyword in _MAPS_OF_SCHEMAS:
        for name, child in as_mapping(schema.get(keyword)).items():
            if isinstance(child, Mapping):
                yield from iter_subschemas(child, extend_path(extend_path(path, keyword), name))
    for keyword in _SCHEMAS:
        child = schema.get(keyword)
        if isinstance(child, Mapping):
            yield from iter_subschemas(child, extend_path(path, keyword))
        elif isinstance(child, (list, tuple)):
            for position, item in enumerate(child):
                if isinstance(item, Mapping):
                    yield from iter_subschemas(item, extend_path(extend_path(path, keyword), position))


def _find_non_json(instance: object, *, incoming: bool) -> SchemaProblem | None:
    """Return the first thing in ``instance`` that JSON (or we) cannot carry. A loop, since the point is depth."""
    pending: list[tuple[object, str, int]] = [(instance, "", 1)]
    while pending:
        value, path, depth = pending.pop()
        rule = _unfit(value, depth, incoming=incoming)
        if rule is not None:
            shown = shorten(value)
            kind = _FINITE if isinstance(value, float) else "a JSON value"
            return SchemaProblem(path, f"{path + ': ' if path else ''}{shown} {rule}", shown, kind)
        if isinstance(value, Mapping):
            for name, child in value.items():
                if not isinstance(name, str) or _unfit(name, depth, incoming=incoming):
                    shown = shorten(name)
                    return SchemaProblem(path, f"{path or 'the value'}: the field name {shown} is not text", shown, "a JSON value")
                if isinstance(child, (str, int, float, bool, type(None))) and _unfit(child, depth, incoming=incoming) is None:
                    continue
                pending.append((child, extend_path(path, name), depth + 1))
        elif isinstance(value, (list, tuple)):
            pending.extend((child, extend_path(path, position), depth + 1) for position, child in enumerate(value))
    return None


def _unfit(value: object, depth: int, *, incoming: bool) -> str | None:
    if depth > MAX_DEPTH:
        return f"is nested deeper than {MAX_DEPTH} levels"
    match value:
        case None | bool() | Mapping() | list() | tuple():
            return None
        case str():
            return "is not valid Unicode text (broken bytes?)" if incoming and not value.isascii() and _has_lone_surrogate(value) else None
        case int():
            return "is too large a number" if value.bit_length() > _MAX_INTEGER_BITS else None
        case float():
            return None if math.isfinite(value) else "is not a finite number"
        case _:
            return "is not a JSON value"


def _has_lone_surrogate(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return True
    return False


def _validator(schema: JsonObject) -> Validator:
    """Return the compiled validator of this very schema object; the cache keeps the object alive, so its id stays its own."""
    cached = _validators.get(id(schema))
    if cached is not None:
        _validators.move_to_end(id(schema))
        return cached[1]
    from referencing import Registry

    from netclaw_opencode._core.validation.keywords import StrictValidator

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
            yield describe_error(error)
    except Unresolvable as error:
        raise InvalidInput("invalid_manifest", f"the schema refers to {shorten(error.ref)}, which it does not hold") from error
    except (UnknownType, RecursionError, re.error) as error:
        raise InvalidInput("invalid_manifest", f"the schema cannot be used: {type(error).__name__}") from error


def _find_outside_references(node: JsonObject, path: str, root: JsonObject) -> Iterator[SchemaProblem]:
    for keyword in ("$ref", "$dynamicRef"):
        reference = node.get(keyword)
        if isinstance(reference, str) and not _leads_somewhere(reference, root):
            place, shown = extend_path(path, keyword), shorten(reference)
            yield SchemaProblem(
                place, f"{place}: {shown} names nothing in this schema", shown, "refer to #/$defs/<name>; nothing is fetched"
            )


def _leads_somewhere(reference: str, root: JsonObject) -> bool:
    if not reference.startswith("#/"):
        return reference == "#"
    node: object = root
    for step in reference[2:].split("/"):
        node = as_mapping(node).get(step.replace("~1", "/").replace("~0", "~"))
    return isinstance(node, (Mapping, bool))


def _searchable(node: JsonObject, path: str, *, patterns: bool) -> Iterator[SchemaProblem]:
    for keyword, found in (
        ("pattern", [node.get("pattern")]),
        ("patternProperties", list(as_mapping(node.get("patternProperties")))),
    ):
        place = extend_path(path, keyword)
        for pattern in found:
            if not isinstance(pattern, str):
                continue
            shown = shorten(pattern)
            if not patterns:
                yield SchemaProblem(place, f"{place}: {shown} is a regular expression", shown, "say the form in the description instead")
                continue
            try:
                ecma(pattern)
            except re.error as error:
                yield SchemaProblem(place, f"{place}: {shown} cannot be compiled: {error.msg}", shown, "a regular expression")
