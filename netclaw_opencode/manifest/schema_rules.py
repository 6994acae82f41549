"""The house rules for the schemas of actions.

Owns what is asked of an action's schema beyond being a valid JSON Schema: closed, every field described, references only
within the file; and inputs so plain that a weak model and every host can read them. It reads no file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from netclaw_opencode._core.validation import extend_path, find_problems, find_schema_problems, iter_subschemas
from netclaw_opencode.jsontypes import JsonObject

MAX_DESCRIPTION = 2048
# Hosts take these argument names for themselves (as options of the call), so an action would never see them.
RESERVED_NAMES = ("timeout", "background", "rationale")
_NOT_PLAIN = (
    "$ref",
    "$dynamicRef",
    "$defs",
    "oneOf",
    "anyOf",
    "allOf",
    "not",
    "if",
    "then",
    "else",
    "patternProperties",
    "dependentSchemas",
)

# Hosts show no text under such a name, and needed text would be lost on its way.
REDACTED_NAMES = ("token", "secret", "password", "api_key", "authorization")


class Broken(NamedTuple):
    """A broken rule: the place in the schema, what is wrong, how to fix it, and its code in the table of ``skill.check.rules``."""

    place: str
    what: str
    fix: str
    code: str


def broken_rules(schema: JsonObject, *, plain: bool) -> list[Broken]:
    """Each broken rule; ``plain`` adds the rules for inputs."""
    invalid = [
        Broken(problem.path or "(top)", problem.message, problem.hint or problem.rule, "schema_invalid")
        for problem in find_schema_problems(schema)
    ]
    if invalid:
        return invalid
    found = [broken for path, node in iter_subschemas(schema) for broken in _node(node, path, plain=plain)]
    if schema.get("type") != "object":
        found.insert(0, Broken("(top)", "it does not describe an object", 'begin with "type": "object"', "schema_not_object"))
    return found


def _node(node: JsonObject, path: str, *, plain: bool) -> Iterator[Broken]:
    here = path or "(top)"
    if plain:
        yield from _plainness(node, here)
    yield from _holding(node, here)
    yield from _closedness(node, here)
    for keyword in ("properties", "$defs"):
        for name, child in _mapping(node.get(keyword)).items():
            yield from _description(child, extend_path(extend_path(path, keyword), name))
    for keyword in ("items", "additionalProperties"):
        if isinstance(node.get(keyword), Mapping):
            yield from _description(node[keyword], extend_path(path, keyword))


def _plainness(node: JsonObject, here: str) -> Iterator[Broken]:
    for keyword in _NOT_PLAIN:
        if keyword in node:
            fix = "inputs are plain: write the schema out, and say conditions in the description"
            yield Broken(here, f"an input schema holds {keyword}", fix, "schema_not_plain")
    for name in _mapping(node.get("properties")):
        if name.lower().startswith(RESERVED_NAMES):
            fix = "rename it, for example wait_seconds or deadline_seconds"
            what = f"{name!r}: hosts keep names that begin with {', '.join(RESERVED_NAMES)}"
            yield Broken(here, what, fix, "reserved_parameter")
    if isinstance(node.get("type"), list):
        fix = "choose one type, or leave type out and say the forms in the description"
        yield Broken(here, "an input schema has a list of types", fix, "schema_not_plain")
    for keyword in ("default", "examples"):
        values = node.get(keyword, [])
        for value in values if isinstance(values, list) and keyword == "examples" else [values] if keyword in node else []:
            for problem in find_problems(value, node):
                what = f"{keyword} breaks its own schema: {problem.message}"
                yield Broken(here, what, "correct the value or the schema", "schema_value_mismatch")


def _holding(node: JsonObject, here: str) -> Iterator[Broken]:
    if node.get("type") == "array" and "items" not in node and "prefixItems" not in node:
        yield Broken(here, "a list does not say what it holds", "add items", "schema_open")


def _closedness(node: JsonObject, here: str) -> Iterator[Broken]:
    if node.get("type") != "object" and "properties" not in node:
        return
    known, extra = node.get("properties"), node.get("additionalProperties")
    if known and extra is not False:
        yield Broken(here, "the object is open", 'add "additionalProperties": false', "schema_open")
    if not known and extra is None and not any(keyword in node for keyword in ("$ref", "oneOf", "anyOf", "allOf")):
        fix = 'add properties, or say "additionalProperties": true or false'
        yield Broken(here, "the object does not say which fields it may hold", fix, "schema_open")
    required = node.get("required")
    for name in required if isinstance(required, list) else []:
        if name not in _mapping(known):
            what = f"the required field {name!r} is not among its properties"
            yield Broken(here, what, "describe it or do not require it", "required_unknown")


def _description(child: object, place: str) -> Iterator[Broken]:
    text = child.get("description") if isinstance(child, Mapping) else None
    if not isinstance(text, str) or not text.strip():
        yield Broken(place, "it has no description", "say what it is, with the unit", "no_description")
    elif len(text) > MAX_DESCRIPTION:
        yield Broken(place, f"its description is longer than {MAX_DESCRIPTION} characters", "shorten it", "description_too_long")


def doubtful_names(schema: JsonObject) -> Iterator[Broken]:
    """Names that are allowed, but that some hosts do not carry as they are; for a schema that breaks no rule."""
    for path, node in iter_subschemas(schema):
        here, seen = path or "(top)", dict[str, str]()
        for name, child in _mapping(node.get("properties")).items():
            place = extend_path(extend_path(path, "properties"), name)
            if name.lower().startswith(REDACTED_NAMES) and isinstance(child, Mapping) and child.get("type", "string") == "string":
                what = f"{name!r}: hosts black out text under names that begin with {', '.join(REDACTED_NAMES)}"
                yield Broken(place, what, "rename it where the text is needed, or make it a number", "redacted_name")
            first = seen.setdefault(name.lower(), name)
            if first != name:
                yield Broken(place, f"{name!r} and {first!r} differ in case alone ({here})", "rename one of them", "case_clash")


def _mapping(value: object) -> JsonObject:
    return value if isinstance(value, Mapping) else {}


__all__ = ["MAX_DESCRIPTION", "REDACTED_NAMES", "RESERVED_NAMES", "Broken", "broken_rules", "doubtful_names"]
