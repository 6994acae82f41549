"""The house rules for the schemas of actions.

Owns what is asked of an action's schema beyond being a valid JSON Schema: closed, every field described, references only
within the file; and inputs so plain that a weak model and every host can read them. It reads no file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from netclaw_opencode.jsontypes import JsonObject
from netclaw_opencode.validation import pointed, problems_of, problems_of_schema, subschemas

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

Broken = tuple[str, str, str]


def broken_rules(schema: JsonObject, *, plain: bool) -> list[Broken]:
    """Each broken rule as (place in the schema, what is wrong, how to mend it); ``plain`` adds the rules for inputs."""
    invalid = [(problem.path or "(top)", problem.message, problem.hint or problem.rule) for problem in problems_of_schema(schema)]
    if invalid:
        return invalid
    found = [broken for path, node in subschemas(schema) for broken in _node(node, path, plain=plain)]
    if schema.get("type") != "object":
        found.insert(0, ("(top)", "it does not describe an object", 'begin with "type": "object"'))
    return found


def _node(node: JsonObject, path: str, *, plain: bool) -> Iterator[Broken]:
    here = path or "(top)"
    if plain:
        yield from _plainness(node, here)
    yield from _holding(node, here)
    yield from _closedness(node, here)
    for keyword in ("properties", "$defs"):
        for name, child in _mapping(node.get(keyword)).items():
            yield from _description(child, pointed(pointed(path, keyword), name))
    for keyword in ("items", "additionalProperties"):
        if isinstance(node.get(keyword), Mapping):
            yield from _description(node[keyword], pointed(path, keyword))


def _plainness(node: JsonObject, here: str) -> Iterator[Broken]:
    for keyword in _NOT_PLAIN:
        if keyword in node:
            yield here, f"an input schema holds {keyword}", "inputs are plain: write the schema out, and say conditions in the description"
    for name in _mapping(node.get("properties")):
        if name.lower().startswith(RESERVED_NAMES):
            mend = "rename it, for example wait_seconds or deadline_seconds"
            yield here, f"{name!r}: hosts keep names that begin with {', '.join(RESERVED_NAMES)}", mend
    if isinstance(node.get("type"), list):
        yield here, "an input schema has a list of types", "choose one type, or leave type out and say the forms in the description"
    for keyword in ("default", "examples"):
        values = node.get(keyword, [])
        for value in values if isinstance(values, list) and keyword == "examples" else [values] if keyword in node else []:
            for problem in problems_of(value, node):
                yield here, f"{keyword} breaks its own schema: {problem.message}", "correct the value or the schema"


def _holding(node: JsonObject, here: str) -> Iterator[Broken]:
    if node.get("type") == "array" and "items" not in node and "prefixItems" not in node:
        yield here, "a list does not say what it holds", "add items"


def _closedness(node: JsonObject, here: str) -> Iterator[Broken]:
    if node.get("type") != "object" and "properties" not in node:
        return
    known, extra = node.get("properties"), node.get("additionalProperties")
    if known and extra is not False:
        yield here, "the object is open", 'add "additionalProperties": false'
    if not known and extra is None and not any(keyword in node for keyword in ("$ref", "oneOf", "anyOf", "allOf")):
        yield here, "the object does not say which fields it may hold", 'add properties, or say "additionalProperties": true or false'
    required = node.get("required")
    for name in required if isinstance(required, list) else []:
        if name not in _mapping(known):
            yield here, f"the required field {name!r} is not among its properties", "describe it or do not require it"


def _description(child: object, place: str) -> Iterator[Broken]:
    text = child.get("description") if isinstance(child, Mapping) else None
    if not isinstance(text, str) or not text.strip():
        yield place, "it has no description", "say what it is, with the unit"
    elif len(text) > MAX_DESCRIPTION:
        yield place, f"its description is longer than {MAX_DESCRIPTION} characters", "shorten it"


def _mapping(value: object) -> JsonObject:
    return value if isinstance(value, Mapping) else {}


__all__ = ["MAX_DESCRIPTION", "RESERVED_NAMES", "broken_rules"]
