"""Python classes for the objects of JSON Schemas, as source text.

Owns the annotations that stand for schemas. ``generate_api`` makes modules of them.
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from keyword import iskeyword
from typing import cast

Schema = Mapping[str, object]

WIDTH = 120
MADE = "# Made by scripts/generate_api.py from skill.yaml, schemas/ and netclaw_opencode/errors.py. Change those, then run it.\n"


def camel(name: str) -> str:
    """``run_task`` as ``RunTask``."""
    return "".join(part[:1].upper() + part[1:] for part in name.split("_"))


def singular(name: str) -> str:
    """``attempts`` as ``attempt``."""
    if name.lower().endswith("children"):
        return name[: -len("ren")]
    return name[:-1] if name.endswith("s") and not name.endswith("ss") else name


def quoted(text: str, indent: int, *, first: int | None = None) -> str:
    """A text as lines of a docstring; the first line begins where ``first`` says."""
    pad = " " * indent
    lines = textwrap.wrap(
        text.replace("\\", "\\\\").replace('"""', "'''"),
        WIDTH,
        initial_indent=" " * (indent if first is None else first),
        subsequent_indent=pad,
    )
    return "\n".join(lines)


def items(names_and_texts: Iterable[tuple[str, str]], indent: int) -> str:
    """Entries of an ``Args:`` or ``Attributes:`` section."""
    return "\n".join(quoted(f"{name}: {text}", indent + 4, first=indent) for name, text in names_and_texts)


def properties(schema: Schema) -> dict[str, Schema]:
    """The properties of an object."""
    return dict(cast(Mapping[str, Schema], schema.get("properties", {})))


def required(schema: Schema) -> list[str]:
    """Names of the properties that must be there."""
    return list(cast(list[str], schema.get("required", [])))


@dataclass
class Classes:
    """The classes of one module, each once; two of the same name and another shape are told apart by the action's name."""

    typed_dicts: bool
    taken: frozenset[str] = frozenset()
    shapes: dict[str, str] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)

    def annotation(self, schema: Schema, name: str, whole: Schema, prefix: str) -> str:
        """The annotation of a value; an object becomes a class of that name."""
        if "$ref" in schema:
            of = str(schema["$ref"]).removeprefix("#/$defs/")
            return self.annotation(cast(Mapping[str, Schema], whole["$defs"])[of], camel(of), whole, prefix)
        for union in ("anyOf", "oneOf"):
            if union in schema:
                members = [self.annotation(member, name, whole, prefix) for member in cast(list[Schema], schema[union])]
                return " | ".join(dict.fromkeys(members))
        if "enum" in schema:
            return f"Literal[{', '.join(json.dumps(value) for value in cast(list[object], schema['enum']))}]"
        kind = schema.get("type")
        if isinstance(kind, list):
            return " | ".join(self.annotation({**schema, "type": one}, name, whole, prefix) for one in kind)
        if kind == "array":
            item = self.annotation(cast(Schema, schema.get("items", {})), singular(name), whole, prefix)
            return f"Sequence[{item}]" if self.typed_dicts else f"tuple[{item}, ...]"
        if kind == "object":
            return self._of_object(schema, name, whole, prefix)
        return {"string": "str", "integer": "int", "number": "float", "boolean": "bool", "null": "None"}.get(str(kind), "Any")

    def _of_object(self, schema: Schema, name: str, whole: Schema, prefix: str) -> str:
        if "properties" in schema:
            return self.add(name, schema, whole, prefix)
        values = schema.get("additionalProperties")
        inner = self.annotation(cast(Schema, values), singular(name), whole, prefix) if isinstance(values, dict) else "Any"
        return f"Mapping[str, {inner}]"

    def add(self, name: str, schema: Schema, whole: Schema, prefix: str, *, generic: bool = False) -> str:
        """Add a class and return its name."""
        shape = json.dumps(_without_words(schema), sort_keys=True)
        for found in (name, prefix + name):
            if found not in self.taken and self.shapes.setdefault(found, shape) == shape:
                name = found
                break
        else:
            raise SystemExit(f"two classes would be called {prefix + name}: give one of the parts a name of its own")
        if name not in self.texts:
            self.texts[name] = ""
            text = self._class(name, schema, whole, prefix, generic=generic)
            # Parts stand before the whole.
            del self.texts[name]
            self.texts[name] = text
        return name

    def _class(self, name: str, schema: Schema, whole: Schema, prefix: str, *, generic: bool) -> str:
        needed, lines = required(schema), []
        for each, part in properties(schema).items():
            if iskeyword(each) or each.startswith("_"):
                raise SystemExit(f"{name}.{each}: a field cannot be called so in Python")
            annotation = self.annotation(part, self._part_name(name, each, prefix), whole, prefix)
            lines.append(f"    {each}: {self._declaration(annotation, needed=each in needed, generic=generic and each == 'structured')}")
        about = quoted(str(schema.get("description") or schema.get("title")).rstrip(".") + ".", 4, first=0)
        attributes = items(((each, str(part.get("description", "")).strip()) for each, part in properties(schema).items()), 8)
        docstring = f'    """{about}\n\n    Attributes:\n{attributes}\n    """\n\n'
        if self.typed_dicts:
            return f"class {name}(TypedDict):\n{docstring}" + "\n".join(lines) + "\n"
        bases = "Result, Generic[T]" if generic else "Result"
        return f"@dataclass(frozen=True, slots=True, kw_only=True)\nclass {name}({bases}):\n{docstring}" + "\n".join(lines) + "\n"

    def _part_name(self, name: str, each: str, prefix: str) -> str:
        if self.typed_dicts:
            return camel(each)
        return (prefix if name == f"{prefix}Result" else name) + camel(each)

    def _declaration(self, annotation: str, *, needed: bool, generic: bool) -> str:
        if self.typed_dicts:
            return annotation if needed else f"NotRequired[{annotation}]"
        if generic:
            return "T = _NOTHING"
        if needed:
            return annotation
        if annotation.startswith("tuple["):
            return f"{annotation} = ()"
        if annotation.startswith("Mapping["):
            return f"{annotation} = field(default_factory=dict)"
        return f"{annotation} = None" if annotation == "Any" or annotation.endswith("None") else f"{annotation} | None = None"


def _without_words(value: object) -> object:
    if isinstance(value, dict):
        return {
            name: _without_words(part) for name, part in value.items() if not (name in ("description", "title") and isinstance(part, str))
        }
    return [_without_words(part) for part in value] if isinstance(value, list) else value
