"""Flags made from an input schema, and the arguments made from flags.

Owns how a property looks on the command line: every value stands behind a flag, none is positional, no flag takes a
secret. Whether a value is right is decided by ``Registry.invoke``, alike for every adapter.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import click

from netclaw_opencode.adapters.cli import files, values
from netclaw_opencode.errors import InvalidInput

Schema = Mapping[str, object]
Kind = Literal["scalar", "boolean", "array", "json", "prompt"]
_SCALARS = ("string", "integer", "number", "boolean")


@dataclass(frozen=True, slots=True)
class Flag:
    """One property of the input; ``path`` is where its value goes in the arguments."""

    path: tuple[str, ...]
    schema: Schema
    kind: Kind
    required: bool

    @property
    def name(self) -> str:
        """The long option, such as ``--thinking-budget-tokens``."""
        return "--" + "-".join(self.path).replace("_", "-")

    @property
    def file_name(self) -> str:
        """The option that names a file in place of the value."""
        return self.name + "-file"

    @property
    def key(self) -> str:
        """The name of click's parameter."""
        return "__".join(self.path)

    @property
    def file_key(self) -> str:
        return self.key + "__from_file"


def flags_of(schema: Schema) -> tuple[Flag, ...]:
    """Return the flags of an input schema, required ones first, otherwise in the schema's order."""
    flags = [flag for name, part in _properties(schema) for flag in _flags_of_property(name, part, required=_is_required(schema, name))]
    return tuple(sorted(flags, key=lambda flag: not flag.required))


def options_of(flags: Sequence[Flag]) -> list[click.Parameter]:
    """click's options for the flags."""
    return [option for flag in flags for option in _options(flag)]


def arguments_from(given: Mapping[str, object], flags: Sequence[Flag], *, notices: list[str] | None = None) -> dict[str, object]:
    """Return the action's arguments from click's parameters; flags that were not used are left out.

    ``notices`` gets what the caller should know although the call goes on.

    Raises:
        InvalidInput: If a file cannot be read, JSON is malformed, or not exactly one of the two prompt flags is used.
    """
    arguments: dict[str, object] = {}
    for flag in flags:
        found, value = _value(given, flag, notices)
        if found:
            _put(arguments, flag.path, value)
    for flag in flags:
        _default_kind(arguments, flag)
    return arguments


def command_of(arguments: Mapping[str, object], flags: Sequence[Flag]) -> str:
    """Return the flags, as one would type them, that give these arguments; used to show examples."""
    words: list[str] = []
    for flag in flags:
        value: object = arguments
        for name in flag.path:
            value = value.get(name) if isinstance(value, Mapping) else None
        if value is not None:
            words += _parse_value(flag, value)
    return " ".join(words)


def _properties(schema: Schema) -> Iterator[tuple[str, Schema]]:
    properties = schema.get("properties")
    if isinstance(properties, Mapping):
        for name, part in properties.items():
            yield str(name), part if isinstance(part, Mapping) else {}


def _is_required(schema: Schema, name: str) -> bool:
    required = schema.get("required")
    return isinstance(required, Sequence) and name in required


def _flags_of_property(name: str, schema: Schema, *, required: bool) -> Iterator[Flag]:
    kind = schema.get("type")
    parts = list(_properties(schema))
    if kind == "object" and parts and all(_is_plain(part) for _, part in parts):
        for part_name, part in parts:
            kinds: Mapping[object, Kind] = {"boolean": "boolean", "array": "array"}
            yield Flag((name, part_name), part, kinds.get(part.get("type"), "scalar"), False)
    elif kind == "object":
        yield Flag((name,), schema, "json", required)
    elif kind == "array":
        yield Flag((name,), schema, "array", required)
    elif kind == "boolean":
        yield Flag((name,), schema, "boolean", required)
    else:
        yield Flag((name,), schema, "prompt" if name == "prompt" else "scalar", required)


def _is_plain(schema: Schema) -> bool:
    """Return whether a value can be typed as one word, or as several of them."""
    items = schema.get("items")
    return schema.get("type") in _SCALARS or (isinstance(items, Mapping) and items.get("type") in _SCALARS)


def _options(flag: Flag) -> Iterator[click.Option]:
    text = help_of(flag)
    if flag.kind == "boolean":
        yield click.Option([f"{flag.name}/--no-{flag.name[2:]}", flag.key], default=None, help=text)
        return
    yield click.Option(
        [flag.name, flag.key],
        # Text as it was typed: see ``values`` for why nothing is refused here.
        type=click.UNPROCESSED,
        multiple=flag.kind == "array",
        default=None,
        metavar=_metavar(flag.schema),
        shell_complete=lambda _context, _option, typed: [choice for choice in _choices(flag.schema) if choice.startswith(typed)],
        help=text,
    )
    if flag.kind in ("prompt", "json"):
        what = "UTF-8 text" if flag.kind == "prompt" else "JSON"
        text = f"A file that holds the {what} (at most 1 MiB), in place of {flag.name}; - reads standard input."
        yield click.Option([flag.file_name, flag.file_key], type=click.Path(), default=None, metavar="PATH", help=text)


def help_of(flag: Flag) -> str:
    """Return the property's description with its limits, default and whether it is needed."""
    schema = flag.schema
    notes = []
    if flag.required:
        notes.append("required")
    if flag.kind == "array":
        notes.append("may be repeated, or once as JSON")
    low, high = schema.get("minimum", schema.get("exclusiveMinimum")), schema.get("maximum")
    if low is not None and high is not None:
        notes.append(f"{'more than ' if 'minimum' not in schema else ''}{low} to {high}")
    if "default" in schema:
        notes.append(f"default: {_display(schema['default'])}")
    description = str(schema.get("description", "")).strip()
    return f"{description}  [{'; '.join(notes)}]" if notes else description


def _metavar(schema: Schema) -> str:
    choices = _choices(schema)
    if choices:
        return "[" + "|".join(choices) + "]"
    return {"integer": "INTEGER", "number": "NUMBER", "object": "JSON"}.get(str(schema.get("type")), "TEXT")


def _display(value: object) -> str:
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)


def _choices(schema: Schema) -> list[str]:
    choices = schema.get("enum")
    return [str(choice) for choice in choices] if isinstance(choices, Sequence) and not isinstance(choices, str) else []


def _value(given: Mapping[str, object], flag: Flag, notices: list[str] | None) -> tuple[bool, object]:
    value = given.get(flag.key)
    if flag.kind == "prompt":
        return _prompt(value, given.get(flag.file_key), flag, notices)
    if flag.kind == "json":
        return _json(value, given.get(flag.file_key), flag, notices)
    if flag.kind == "array":
        texts = [str(item) for item in value] if isinstance(value, Sequence) and not isinstance(value, str) else []
        return (True, values.array(texts, flag.schema, flag=flag.name)) if texts else (False, None)
    return value is not None, values.scalar(value, flag.schema) if isinstance(value, str) else value


def _prompt(text: object, path: object, flag: Flag, notices: list[str] | None) -> tuple[bool, object]:
    if text is not None and path is not None:
        raise InvalidInput("invalid_input", f"{flag.name} and {flag.file_name} were both given; exactly one is needed")
    if path is not None:
        return True, files.read_text(str(path), flag=flag.file_name, notices=notices)
    if text is None and flag.required:
        raise InvalidInput("invalid_input", f"exactly one of {flag.name} and {flag.file_name} is needed")
    return text is not None, text


def _json(text: object, path: object, flag: Flag, notices: list[str] | None) -> tuple[bool, object]:
    if text is not None and path is not None:
        raise InvalidInput("invalid_input", f"{flag.name} and {flag.file_name} were both given; one is enough")
    if path is not None:
        return True, values.parse_json(files.read_text(str(path), flag=flag.file_name, notices=notices), flag=flag.file_name)
    return (True, values.parse_json(str(text), flag=flag.name)) if text is not None else (False, None)


def _put(arguments: dict[str, object], path: tuple[str, ...], value: object) -> None:
    target = arguments
    for name in path[:-1]:
        inner = target.setdefault(name, {})
        assert isinstance(inner, dict)  # only this function fills it
        target = inner
    target[path[-1]] = value


def _default_kind(arguments: dict[str, object], flag: Flag) -> None:
    # A budget without a type can only mean the first kind, "enabled": one flag should be enough.
    choices = _choices(flag.schema)
    if len(flag.path) == 2 and flag.path[1] == "type" and choices:
        parent = arguments.get(flag.path[0])
        if isinstance(parent, dict):
            parent.setdefault("type", choices[0])


def _parse_value(flag: Flag, value: object) -> list[str]:
    if flag.kind == "boolean":
        return [flag.name if value else f"--no-{flag.name[2:]}"]
    if flag.kind == "array" and isinstance(value, Sequence):
        items = [item[0] if isinstance(item, list) and len(item) == 1 else item for item in value]
        return [word for item in items for word in (flag.name, _word(item))]
    return [flag.name, _word(value)]


def _word(value: object) -> str:
    from netclaw_opencode.adapters.cli.terminal import json_text

    if isinstance(value, Mapping) and set(value) == {"providerID", "modelID"}:
        return shlex.quote(f"{value['providerID']}/{value['modelID']}")
    return shlex.quote(value if isinstance(value, str) else json_text(value))


__all__ = ["Flag", "arguments_from", "command_of", "flags_of", "help_of", "options_of"]
