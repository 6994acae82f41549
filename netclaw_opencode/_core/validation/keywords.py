"""JSON Schema 2020-12 as this package means it: the standard's keywords, with the gaps of Python closed.

Owns one validator class. It differs from jsonschema's own in that any ``Mapping`` is an object, a boolean, NaN or infinity
is never a number, ``5.0`` is no integer, ``$`` in a pattern does not match before a final line break, and that each missing
or unknown field is an error of its own, at its own path. Only ``validation`` imports it: importing it costs ``jsonschema``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Protocol

from jsonschema import Draft202012Validator, ValidationError
from jsonschema.validators import extend

from netclaw_opencode._core.validation.patterns import ecma

if TYPE_CHECKING:
    from jsonschema import TypeChecker
    from jsonschema.protocols import Validator

_Schema = Mapping[str, object]


class _Walker(Protocol):
    """The part of a jsonschema validator that its type stubs leave out."""

    def descend(self, instance: object, schema: object, path: str | int | None = None) -> Iterator[ValidationError]: ...


def _is_object(_: TypeChecker, value: object) -> bool:
    return isinstance(value, Mapping)


def _is_array(_: TypeChecker, value: object) -> bool:
    return isinstance(value, (list, tuple))


def _is_number(_: TypeChecker, value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _is_integer(_: TypeChecker, value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _required(_: Validator, names: list[str], instance: object, __: _Schema) -> Iterator[ValidationError]:
    if isinstance(instance, Mapping):
        for name in names:
            if name not in instance:
                yield ValidationError("is missing", path=(name,))


def _additional(validator: _Walker, allowed: object, instance: object, schema: _Schema) -> Iterator[ValidationError]:
    if not isinstance(instance, Mapping) or allowed is True:
        return
    known = schema.get("properties")
    patterns = schema.get("patternProperties")
    for name, value in instance.items():
        if isinstance(known, Mapping) and name in known:
            continue
        if isinstance(patterns, Mapping) and any(ecma(pattern).search(name) for pattern in patterns):
            continue
        if allowed is False:
            yield ValidationError("is unknown", path=(name,), instance=value)
        else:
            yield from validator.descend(value, allowed, path=name)


def _pattern(_: Validator, pattern: str, instance: object, schema: _Schema) -> Iterator[ValidationError]:
    if not isinstance(instance, str):
        return
    shortest, longest = schema.get("minLength", 0), schema.get("maxLength", len(instance))
    # Text that is refused for its length anyway is not searched: its size is not bounded, and one complaint is enough.
    if isinstance(shortest, int) and isinstance(longest, int) and not shortest <= len(instance) <= longest:
        return
    if not ecma(pattern).search(instance):
        yield ValidationError("does not match")


StrictValidator: type[Validator] = extend(  # type: ignore[no-untyped-call]
    Draft202012Validator,
    validators={"required": _required, "additionalProperties": _additional, "pattern": _pattern},
    type_checker=Draft202012Validator.TYPE_CHECKER.redefine_many(
        {"object": _is_object, "array": _is_array, "number": _is_number, "integer": _is_integer}
    ),
)

__all__ = ["StrictValidator"]
