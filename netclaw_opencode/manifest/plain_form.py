"""Schemas in the plain form that every host and every model takes: no reference, no alternative, nothing of ours on top.

Owns the way from the schema files of an action to what a tool says of itself. It reads no file and knows no protocol.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from netclaw_opencode.jsontypes import JsonObject

_OUR_OWN = frozenset({"$schema", "$defs", "title"})
"""Words at the top of a schema file that say nothing about the value."""

_SENTENCE = re.compile(r"(?<=[.;]) (?=[A-Z])")
_LONGEST_DESCRIPTION = 80
"""Characters of a brief description; its first sentence is never left out."""
_CLEAR_PATTERNS = re.compile(r"\^[a-z]")
"""Patterns that show a form, such as that of an id. The others say "one line, not blank", which a reader expects."""

_LEFT_OUT = frozenset({"examples", "maxLength", "maxItems", "maximum"})
"""Words that a model does not need to make a call; a value that is too long or too large is refused with its bound."""

_ERROR = "What went wrong, where ok is false; follow next."


def plain(schema: JsonObject) -> dict[str, object]:
    """Return the schema with each reference replaced by what it names; a description beside the reference wins."""
    made = _resolved({name: value for name, value in schema.items() if name not in _OUR_OWN}, schema)
    return made if isinstance(made, dict) else {}


def brief(schema: JsonObject, *, required: bool = True) -> dict[str, object]:
    """Return a plain schema without examples and upper bounds, with short descriptions: it takes at least what the whole one takes.

    Args:
        schema: A plain schema.
        required: Whether the value must be given: then it is said, too, that it must not be empty.
    """
    made: dict[str, object] = {}
    needed = schema.get("required")
    for word, value in schema.items():
        if word == "properties" and isinstance(value, Mapping):
            names = needed if isinstance(needed, list) else []
            made[word] = {name: brief(item, required=name in names) for name, item in value.items()}
        elif word in ("items", "additionalProperties") and isinstance(value, Mapping):
            made[word] = brief(value, required=False)
        elif word == "description":
            made[word] = first_sentences(str(value), _LONGEST_DESCRIPTION)
        elif word in _LEFT_OUT or (word == "minLength" and not required) or (word == "default" and value is False):
            continue
        elif not (word == "pattern" and not _CLEAR_PATTERNS.match(str(value))):
            made[word] = value
    return made


def first_sentences(text: str, longest: int) -> str:
    """Return the first sentence, and those after it that fit into so many characters."""
    first, *others = _SENTENCE.split(text)
    for sentence in others:
        if len(first) + 1 + len(sentence) > longest:
            break
        first += f" {sentence}"
    return first


def envelope_schema(data: JsonObject, error: JsonObject) -> dict[str, object]:
    """Return the schema of an action's envelope, of a failed call too.

    ``data`` is the action's output schema, ``error`` that of any envelope's error. Which of the two members is there goes
    by ``ok``; to say so would need an alternative.
    """
    return {
        "type": "object",
        "properties": {
            "ok": {"type": "boolean", "description": "Whether the action did what was asked; if so data is given, otherwise error."},
            "action": {"type": "string", "description": "The action that was called."},
            "data": {**plain(data), "description": "What the action returns, where ok is true."},
            # The closed list of codes would stand in every tool; a host that knows an older one must not refuse an answer.
            "error": {**_without_enum(plain(error), "code"), "description": _ERROR},
            "redacted": {"type": "integer", "description": "Number of places where a secret was taken out.", "minimum": 1},
        },
        "required": ["ok", "action"],
        "additionalProperties": False,
    }


def _without_enum(schema: dict[str, object], name: str) -> dict[str, object]:
    properties = schema.get("properties")
    if not isinstance(properties, dict):
        return schema
    free = {word: value for word, value in properties[name].items() if word != "enum"}
    return {**schema, "properties": {**properties, name: free}}


def _resolved(value: object, root: JsonObject) -> object:
    if isinstance(value, list):
        return [_resolved(item, root) for item in value]
    if not isinstance(value, Mapping):
        return value
    reference = value.get("$ref")
    if isinstance(reference, str):
        named: object = root
        for step in reference.removeprefix("#/").split("/"):
            named = named[step] if isinstance(named, Mapping) else {}
        beside = {name: item for name, item in value.items() if name != "$ref"}
        value = {**(named if isinstance(named, Mapping) else {}), **beside}
    made: dict[str, object] = {}
    for word, item in value.items():
        if word == "const":
            # A single allowed value is an enum to everybody; older drafts know no const.
            made["enum"] = [item]
        elif word == "properties" and isinstance(item, Mapping):
            # Its keys are names and no words of a schema.
            made[word] = {name: _resolved(member, root) for name, member in item.items()}
        else:
            made[word] = _resolved(item, root)
    return made


__all__ = ["brief", "envelope_schema", "first_sentences", "plain"]
