"""Between JSON and Python types: results, and answers that fit a type of the caller's.

Owns which annotations have a JSON form: texts, numbers, booleans, None, lists, tuples, mappings, literals, enums, unions,
dataclasses, TypedDicts, and pydantic models, which bring both directions themselves.
"""

from __future__ import annotations

import dataclasses
import enum
import functools
import types
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, NotRequired, Required, TypeVar, Union, get_args, get_origin, get_type_hints, is_typeddict

from netclaw_opencode.errors import InvalidInput

_PLAIN: Mapping[object, Mapping[str, object]] = {
    str: {"type": "string"},
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    float: {"type": "number"},
    type(None): {"type": "null"},
    None: {"type": "null"},
    Any: {},
    object: {},
}
_SEQUENCES = (list, Sequence, set, frozenset)
_WRAPPERS = (Required, NotRequired)


def schema_of(kind: type) -> dict[str, object]:
    """Return the JSON Schema of a type that an answer is to have.

    Raises:
        InvalidInput: If the type, or one within it, has no JSON form (``invalid_input``).
    """
    if _is_pydantic(kind):
        schema: dict[str, object] = kind.model_json_schema()  # type: ignore[attr-defined]
        return schema
    if not (dataclasses.is_dataclass(kind) or is_typeddict(kind)):
        raise _unsuitable(kind, "output_schema", "give a dataclass, a TypedDict, a pydantic model, or a JSON Schema as a mapping")
    return _schema(kind, "output_schema", ())


def parse(value: object, kind: Any) -> Any:  # noqa: ANN401 - an annotation in, its value out
    """Return a JSON value as the annotation says; what it does not know stays as it is, and unknown fields are left out."""
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Annotated, *_WRAPPERS):
        return parse(value, arguments[0])
    if origin in (Union, types.UnionType):
        return _parse_union(value, arguments)
    if isinstance(value, Mapping):
        return _parse_object(value, kind, origin, arguments)
    if isinstance(value, list | tuple):
        return _parse_array(value, kind if origin is None else origin, arguments)
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return kind(value)
    return float(value) if kind is float and isinstance(value, int) and not isinstance(value, bool) else value


def _parse_object(value: Mapping[str, object], kind: Any, origin: object, arguments: tuple[Any, ...]) -> object:  # noqa: ANN401
    if isinstance(origin, type) and dataclasses.is_dataclass(origin):
        kind = origin
    if _is_pydantic(kind):
        return kind.model_validate(value)
    if is_typeddict(kind):
        hints = _hints(kind)
        return {name: parse(value[name], hints[name]) for name in hints if name in value}
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        hints = _hints(kind)
        fields = [item for item in dataclasses.fields(kind) if item.init]
        found = {item.name: parse(value[item.name], hints[item.name]) for item in fields if item.name in value}
        if getattr(kind, "KEEPS_DATA", False) is True:
            # A result keeps what it was made of, and is not lost because a field that it should have is missing.
            missing = [item.name for item in fields if item.name not in value and _is_required(item)]
            found |= {name: _empty(hints[name]) for name in missing} | {"_data": value}
        return kind(**found)
    if isinstance(origin, type) and issubclass(origin, Mapping) and len(arguments) == 2:
        return {name: parse(item, arguments[1]) for name, item in value.items()}
    return value


def _empty(kind: Any) -> object:  # noqa: ANN401
    origin = get_origin(kind)
    return () if origin is tuple else {} if isinstance(origin, type) and issubclass(origin, Mapping) else None


def _parse_array(value: Sequence[object], kind: object, arguments: tuple[Any, ...]) -> object:
    if kind is tuple:
        if len(arguments) == 2 and arguments[1] is Ellipsis:
            return tuple(parse(item, arguments[0]) for item in value)
        return tuple(parse(item, hint) for item, hint in zip(value, arguments, strict=False)) if arguments else tuple(value)
    items = [parse(item, arguments[0]) for item in value] if arguments else list(value)
    return kind(items) if kind in (set, frozenset) else items


def _parse_union(value: object, kinds: tuple[Any, ...]) -> object:
    if value is None:
        return None
    for kind in kinds:
        if kind is not type(None) and _fits(value, kind):
            return parse(value, kind)
    return value


def _fits(value: object, kind: Any) -> bool:  # noqa: ANN401
    """Whether a member of a union is the one that a value was written for."""
    if _is_pydantic(kind):
        try:
            kind.model_validate(value)
        except ValueError:  # pydantic's own error is one
            return False
        return True
    if is_typeddict(kind):
        return isinstance(value, Mapping) and set(_required_keys(kind)) <= value.keys()
    origin = get_origin(kind) or kind
    if origin is Literal:
        return value in get_args(kind)
    if isinstance(origin, type) and dataclasses.is_dataclass(origin):
        required = {item.name for item in dataclasses.fields(origin) if item.init and _is_required(item)}
        return isinstance(value, Mapping) and required <= value.keys()
    if isinstance(origin, type) and issubclass(origin, enum.Enum):
        return value in [member.value for member in origin]
    if origin in (*_SEQUENCES, tuple):
        return isinstance(value, list | tuple)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return isinstance(value, Mapping)
    if origin in (int, float):
        return isinstance(value, int if origin is int else int | float) and not isinstance(value, bool)
    return not isinstance(origin, type) or isinstance(value, origin)


def _schema(kind: Any, where: str, above: tuple[Any, ...]) -> dict[str, object]:  # noqa: ANN401
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in _WRAPPERS:
        return _schema(arguments[0], where, above)
    if origin is Annotated:
        texts = [item for item in arguments[1:] if isinstance(item, str)]
        return _schema(arguments[0], where, above) | ({"description": texts[0]} if texts else {})
    if kind in _PLAIN:
        return dict(_PLAIN[kind])
    if origin is Literal:
        return {"enum": list(arguments)}
    if origin in (Union, types.UnionType):
        return {"anyOf": [_schema(member, where, above) for member in arguments]}
    return _schema_of_container(kind, origin or kind, arguments, where, above)


def _schema_of_container(
    kind: Any,  # noqa: ANN401
    origin: Any,  # noqa: ANN401
    arguments: tuple[Any, ...],
    where: str,
    above: tuple[Any, ...],
) -> dict[str, object]:
    if origin is tuple and arguments and arguments[-1] is not Ellipsis:
        items = [_schema(item, f"{where}[{number}]", above) for number, item in enumerate(arguments)]
        return {"type": "array", "prefixItems": items, "minItems": len(items), "maxItems": len(items)}
    if origin in (*_SEQUENCES, tuple):
        array: dict[str, object] = {"type": "array"}
        return array | ({"items": _schema(arguments[0], f"{where}[]", above)} if arguments else {})
    if isinstance(origin, type) and issubclass(origin, enum.Enum):
        return {"enum": [member.value for member in origin]}
    if kind in above:
        raise _unsuitable(kind, where, "a type within itself has no plain schema: give a JSON Schema as a mapping")
    if _is_pydantic(kind):
        raise _unsuitable(kind, where, "a pydantic model stands for the whole answer: make the outer type one too")
    if is_typeddict(kind) or (isinstance(origin, type) and dataclasses.is_dataclass(origin)):
        return _schema_of_fields(kind if is_typeddict(kind) else origin, where, (*above, kind))
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return {"type": "object"} | ({"additionalProperties": _schema(arguments[1], f"{where}.*", above)} if arguments else {})
    raise _unsuitable(kind, where, "use texts, numbers, booleans, lists, mappings, literals, enums, dataclasses or TypedDicts")


def _schema_of_fields(kind: Any, where: str, above: tuple[Any, ...]) -> dict[str, object]:  # noqa: ANN401
    hints = _hints(kind)
    if is_typeddict(kind):
        names, required = list(hints), _required_keys(kind)
    else:
        fields = [item for item in dataclasses.fields(kind) if item.init]
        names, required = [item.name for item in fields], [item.name for item in fields if _is_required(item)]
    return {
        "type": "object",
        "properties": {name: _schema(hints[name], f"{where}.{name}", above) for name in names},
        "required": required,
        "additionalProperties": False,
    }


def _required_keys(kind: Any) -> list[str]:  # noqa: ANN401
    """The keys that a TypedDict must have; annotations kept as text hide NotRequired from ``__required_keys__``."""
    origins = {name: get_origin(hint) for name, hint in _hints(kind).items()}
    return [
        name for name, origin in origins.items() if origin is Required or (name in kind.__required_keys__ and origin is not NotRequired)
    ]


def _is_required(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _is_pydantic(kind: object) -> bool:
    return isinstance(kind, type) and hasattr(kind, "model_json_schema") and hasattr(kind, "model_validate")


@functools.cache
def _hints(kind: type) -> dict[str, Any]:
    """The annotations of a type, resolved; a type variable stands for anything."""
    try:
        hints = get_type_hints(kind, include_extras=True)
    except NameError as error:
        text = f"output_schema: an annotation of {kind.__qualname__} cannot be resolved: {error}; define its types at the top of a module"
        raise InvalidInput("invalid_input", text) from error
    return {name: Any if isinstance(hint, TypeVar) else hint for name, hint in hints.items()}


def _unsuitable(kind: object, where: str, remedy: str) -> InvalidInput:
    name = getattr(kind, "__qualname__", None) or str(kind)
    return InvalidInput("invalid_input", f"{where}: the type {name} has no JSON Schema; {remedy}")


__all__ = ["parse", "schema_of"]
