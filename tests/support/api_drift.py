"""Compare the server's own API description (OpenAPI 3.1), field by field, with what the driver rests on.

For each new OpenCode: at run time ``check_availability`` compares only methods and paths.

Pure: a document goes in, differences come out, each with the operation that it belongs to. Owns the reading of schemas
(``$ref``, alternatives, required names, values); what the driver rests on stands in ``api_contract``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from netclaw_opencode.jsontypes import JsonObject
from netclaw_opencode.opencode.wire.reading import bad_response
from tests.support.api_contract import OPERATIONS, Operation

_FIELD = re.compile(r"(?P<path>(?:\(\w+=[^)]*\)|[^!=>(])+)(?P<always>!?)(?:(?P<limit>[=>])(?P<values>[\w|]+))?")
_STEP = re.compile(r"\(\w+=[\w.-]+\)|\[\]|\{\}|[\w-]+")
_DEEPEST = 20
"""So many references in a row lead nowhere."""


@dataclass(frozen=True, slots=True)
class Drift:
    """One difference; ``missing`` where the whole operation is not there."""

    operation: str
    what: str
    missing: bool = False

    def to_wire(self) -> dict[str, object]:
        """``{operation, what}``."""
        return {"operation": self.operation, "what": self.what}


@dataclass(frozen=True, slots=True)
class _Field:
    """One line of the contract, read. ``closed``: no other values than these."""

    steps: tuple[str, ...]
    always: bool
    values: tuple[str, ...]
    closed: bool

    @classmethod
    def read(cls, text: str) -> _Field:
        """Raises ``ValueError`` for what is not written as ``contract`` says."""
        found = _FIELD.fullmatch(text)
        if found is None:
            raise ValueError(f"{text!r} is not a field")
        steps = tuple(_STEP.findall(found["path"]))
        values = tuple(found["values"].split("|")) if found["values"] else ()
        return cls(steps, bool(found["always"]), values, closed=found["limit"] == "=")

    @property
    def holder(self) -> tuple[str, ...]:
        """The path to what holds it."""
        return self.steps[:-1]

    @property
    def name(self) -> str:
        """The last step."""
        return self.steps[-1]


def drift(document: object, operations: Sequence[Operation] = OPERATIONS) -> tuple[Drift, ...]:
    """Every way in which the described API is not the one that we rest on.

    Raises ``ActionFailed`` (``bad_response``) where the document is no API description at all.
    """
    if not isinstance(document, Mapping) or not isinstance(document.get("paths"), Mapping):
        raise bad_response("/doc holds no API description")
    described = _Described(document)
    return tuple(found for operation in operations for found in _of_operation(described, operation))


def _of_operation(described: _Described, operation: Operation) -> Iterator[Drift]:
    name = f"{operation.route.method} {operation.route.path}"
    entry = described.operation(operation.route.method, operation.route.path)
    if entry is None:
        elsewhere = described.place_of(operation.id)
        yield Drift(name, f"{operation.id} is now {elsewhere}" if elsewhere else "the server does not offer it", missing=True)
        return
    yield from (Drift(name, what) for what in dict.fromkeys(_differences(described, operation, entry)))


def _differences(described: _Described, operation: Operation, entry: JsonObject) -> Iterator[str]:
    if entry.get("operationId") != operation.id:
        yield f"it is called {_shown(entry.get('operationId'))}, not {operation.id}"
    yield from _of_parameters(described, operation, entry)
    yield from _of_body(described, operation, entry)
    answer = _object(_object(entry.get("responses")).get(operation.status))
    if not answer:
        yield f"no answer {operation.status} is described"
    elif operation.answers:
        forms = described.forms(_schema_of(described.resolved(answer)))
        for text in operation.answers:
            yield from _of_field(described, forms, _Field.read(text), "field")


def _of_parameters(described: _Described, operation: Operation, entry: JsonObject) -> Iterator[str]:
    listed = [described.resolved(item) for item in _list(entry.get("parameters"))]
    known = [item.get("name") for item in listed if item.get("in") == "query"]
    yield from (f"query parameter {name} is unknown" for name in operation.query if name not in known)
    for item in listed:
        if item.get("required") is True and item.get("in") != "path" and item.get("name") not in operation.query:
            yield f"{_shown(item.get('in'))} parameter {_shown(item.get('name'))} is now required"


def _of_body(described: _Described, operation: Operation, entry: JsonObject) -> Iterator[str]:
    forms = described.forms(_schema_of(described.resolved(entry.get("requestBody"))))
    fields = [_Field.read(text) for text in operation.sends]
    for field in fields:
        # Whether the server asks for what we always send is its own business.
        yield from _of_field(described, forms, replace(field, always=False), "body field")
    for holder in dict.fromkeys(((), *(field.holder for field in fields))):
        sent = {field.name for field in fields if field.holder == holder and field.always}
        required = [name for form in _followed(described, forms, holder) for name in _required(form)]
        yield from (f"body field {_path((*holder, name))} is now required" for name in required if name not in sent)


def _of_field(described: _Described, forms: Sequence[JsonObject], field: _Field, kind: str) -> Iterator[str]:
    what = f"{kind} {_path(field.steps)}"
    found = _followed(described, forms, field.steps)
    if not found:
        yield f"{what} is not described"
        return
    if field.always and not all(field.name in _required(form) for form in _followed(described, forms, field.holder)):
        yield f"{what} may be absent"
    if field.values:
        yield from (f"{what} {text}" for text in _of_values(field, _values(found)))


def _of_values(field: _Field, found: list[object] | None) -> Iterator[str]:
    if found is None:
        if field.closed:
            yield f"is not limited to {', '.join(field.values)}"
        return
    yield from (f"has no value {value} any more" for value in field.values if value not in found)
    if field.closed:
        yield from (f"has the new value {_shown(value)}" for value in found if value not in field.values)


def _path(steps: Sequence[str]) -> str:
    return "".join(step if step[0] in "([{" else f".{step}" for step in steps).lstrip(".")


def _followed(described: _Described, forms: Sequence[JsonObject], steps: Sequence[str]) -> list[JsonObject]:
    """The forms at the end of a path; none where the path leads nowhere."""
    for step in steps:
        if step.startswith("("):
            key, _, value = step[1:-1].partition("=")
            forms = [form for form in forms if _may_be(described, form, key, value)]
        else:
            forms = [inner for form in forms for inner in described.forms(_inner(form, step))]
    return list(forms)


def _inner(form: JsonObject, step: str) -> object:
    if step == "[]":
        return form.get("items")
    if step == "{}":
        return form.get("additionalProperties")
    return _object(form.get("properties")).get(step)


def _may_be(described: _Described, form: JsonObject, key: str, value: str) -> bool:
    inner = described.forms(_object(form.get("properties")).get(key))
    values = _values(inner)
    return bool(inner) and (values is None or value in values)


def _values(forms: Sequence[JsonObject]) -> list[object] | None:
    """The values that the forms allow; None where one of them allows any."""
    found: list[object] = []
    for form in forms:
        if "const" in form:
            found.append(form["const"])
        elif isinstance(form.get("enum"), list):
            found.extend(_list(form["enum"]))
        else:
            return None
    return found


class _Described:
    """A document whose references can be followed."""

    def __init__(self, document: JsonObject) -> None:
        self._document = document
        self._paths = {_plain(str(path)): _object(entry) for path, entry in _object(document["paths"]).items()}
        self._forms: dict[int, list[JsonObject]] = {}

    def operation(self, method: str, path: str) -> JsonObject | None:
        """The entry of a method and path, whatever its parameters are called."""
        entry = self._paths.get(_plain(path), {}).get(method.lower())
        return entry if isinstance(entry, Mapping) else None

    def place_of(self, operation_id: str) -> str | None:
        """Where an operation stands, as method and path."""
        for path, entry in _object(self._document["paths"]).items():
            for method, found in _object(entry).items():
                if _object(found).get("operationId") == operation_id:
                    return _shown(f"{method.upper()} {path}")
        return None

    def resolved(self, schema: object) -> JsonObject:
        """The schema itself, its reference followed; empty where that leads nowhere."""
        for _ in range(_DEEPEST):
            found = _object(schema)
            reference = found.get("$ref")
            if not isinstance(reference, str):
                return found
            schema = self._document if reference.startswith("#/") else None
            for name in reference[2:].split("/"):
                schema = _object(schema).get(name.replace("~1", "/").replace("~0", "~"))
        return {}

    def forms(self, schema: object) -> list[JsonObject]:
        """The alternatives of a schema, without references; nothing for a schema that is not there."""
        if not isinstance(schema, Mapping):
            return []
        if id(schema) not in self._forms:
            self._forms[id(schema)] = []  # what holds itself ends here
            self._forms[id(schema)] = list(self._read(self.resolved(schema)))
        return self._forms[id(schema)]

    def _read(self, schema: JsonObject) -> Iterator[JsonObject]:
        alternatives = [*_list(schema.get("anyOf")), *_list(schema.get("oneOf"))]
        if alternatives:
            yield from (form for item in alternatives for form in self.forms(item))
        elif "allOf" in schema:
            yield _merged([form for item in _list(schema["allOf"]) for form in self.forms(item)])
        elif schema.get("type") != "null":
            yield schema


def _merged(forms: Sequence[JsonObject]) -> JsonObject:
    properties: dict[str, object] = {}
    for form in forms:
        properties |= _object(form.get("properties"))
    required = [name for form in forms for name in _required(form)]
    return {**(forms[0] if forms else {}), "properties": properties, "required": required}


def _schema_of(holder: JsonObject) -> object:
    """The schema of a body or an answer; that of an event stream is the schema of each event."""
    content = _object(holder.get("content"))
    return _object(content.get("application/json") or content.get("text/event-stream")).get("schema")


def _plain(path: str) -> str:
    return re.sub(r"\{\w+\}", "{}", path)


def _object(value: object) -> JsonObject:
    return value if isinstance(value, Mapping) else {}


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _required(form: JsonObject) -> list[str]:
    return [_shown(name) for name in _list(form.get("required"))]


def _shown(value: object) -> str:
    """A word of the document, harmless in one line."""
    return "".join(char if char.isprintable() else "?" for char in str(value))[:80]


__all__ = ["Drift", "drift"]
