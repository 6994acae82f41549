"""Schemas in the plain form that every host and every model takes: no reference, no alternative, nothing of ours on top.

Owns the way from the schema files of an action to what a tool says of itself. It reads no file and knows no protocol.
"""

from __future__ import annotations

from collections.abc import Mapping

from netclaw_opencode.jsontypes import JsonObject

_OUR_OWN = frozenset({"$schema", "$defs", "title"})
"""Words at the top of a schema file that say nothing about the value."""

_DESCRIBED = 1
"""Levels of an output whose members are described; docs/actions.md describes them all."""

_ERROR = "What went wrong, where ok is false; follow next."


def plain(schema: JsonObject) -> dict[str, object]:
    """The schema with each reference replaced by what it names; a description beside the reference wins."""
    made = _resolved({name: value for name, value in schema.items() if name not in _OUR_OWN}, schema)
    return made if isinstance(made, dict) else {}


def envelope_schema(data: JsonObject, error: JsonObject) -> dict[str, object]:
    """The schema of an action's envelope, of a failed call too: a client checks both against it.

    ``data`` is the action's output schema, ``error`` that of any envelope's error. Which of the two members is there goes
    by ``ok``; to say so would need an alternative.
    """
    return {
        "type": "object",
        "properties": {
            "ok": {"type": "boolean", "description": "Whether the action did what was asked; if so data is given, otherwise error."},
            "action": {"type": "string", "description": "The action that was called."},
            "data": {**_brief(plain(data), _DESCRIBED), "description": "What the action returns, where ok is true."},
            # The closed list of codes would stand in every tool; a host that knows an older one must not refuse an answer.
            "error": {**_without_enum(plain(error), "code"), "description": _ERROR},
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


def _brief(schema: dict[str, object], levels: int) -> dict[str, object]:
    """The schema with the descriptions of the outer levels alone: all tools travel on one line, which hosts hold to limits."""
    made: dict[str, object] = {}
    for word, value in schema.items():
        if word == "properties" and isinstance(value, dict):
            made[word] = {name: _brief(item, levels - 1) for name, item in value.items()}
        elif word in ("items", "additionalProperties") and isinstance(value, dict):
            made[word] = _brief(value, levels - 1)
        elif word != "description" or levels >= 0:
            made[word] = value
    return made


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


__all__ = ["envelope_schema", "plain"]
