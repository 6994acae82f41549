"""The quick yes of validation: it is never wrong, and it is enough for what actions take and return."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import MappingProxyType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netclaw_opencode.manifest import own_manifest
from netclaw_opencode.validation.keywords import StrictValidator
from netclaw_opencode.validation.plain import plainly_fits

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = [
    pytest.param(value, schema, id=f"{entry.name}-{side}-{number}")
    for entry in own_manifest().actions.values()
    for number, example in enumerate(entry.examples)
    for side, value, schema in (("input", example.input, entry.input_schema), ("output", example.output, entry.output_schema))
]

SCALARS = st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from([0.0, 1.0, 2.5]) | st.sampled_from(["", "a", "ab", "a\n"])
NAMES = st.sampled_from(["a", "b"])
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=2), max_leaves=5)
TYPES = ["object", "array", "string", "boolean", "null", "number", "integer"]
LIMITS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")
SIZES = ("minLength", "maxLength", "minItems", "maxItems", "minProperties")
FLAT: dict[str, st.SearchStrategy[object]] = {
    "type": st.sampled_from(TYPES) | st.lists(st.sampled_from(TYPES), min_size=1, max_size=2),
    "enum": st.lists(SCALARS, max_size=3),
    "const": VALUES,
    "pattern": st.sampled_from(["^a$", "b", "^$"]),
    "required": st.lists(NAMES, max_size=2),
    "$ref": st.sampled_from(["#/$defs/a", "#/$defs/b"]),
    "description": st.just("told"),
    **dict.fromkeys(LIMITS, st.integers(-2, 2) | st.just(1.5)),
    **dict.fromkeys(SIZES, st.integers(0, 2)),
}


@st.composite
def some_of(draw: st.DrawFn, keywords: dict[str, st.SearchStrategy[object]]) -> dict[str, object]:
    """A schema of few keywords, so that one of them decides."""
    names = draw(st.lists(st.sampled_from([*keywords]), max_size=2, unique=True))
    return {name: draw(keywords[name]) for name in names}


def nested(inner: st.SearchStrategy[object]) -> st.SearchStrategy[object]:
    """Schemas whose parts are schemas."""
    deep: dict[str, st.SearchStrategy[object]] = {
        "properties": st.dictionaries(NAMES, inner, max_size=2),
        "patternProperties": st.dictionaries(st.just("^a"), inner, max_size=1),
        "additionalProperties": inner,
        "items": inner,
        "prefixItems": st.lists(inner, min_size=1, max_size=2),
        "anyOf": st.lists(inner, min_size=1, max_size=2),
        "not": inner,
    }
    return some_of(FLAT | deep)


SCHEMAS = st.recursive(some_of(FLAT) | st.booleans(), nested, max_leaves=4)
# Shared shapes hold no reference, so that none goes round for ever.
SHARED = some_of({name: kind for name, kind in FLAT.items() if name != "$ref"})


@settings(max_examples=400, deadline=None)
@given(VALUES, SCHEMAS.filter(lambda schema: isinstance(schema, dict)), SHARED, SHARED)
def test_a_quick_yes_is_never_wrong(value: object, schema: dict[str, object], one: object, other: object) -> None:
    """Whatever the schema says: where the quick check says yes, the library finds nothing either."""
    whole = {**schema, "$defs": {"a": one, "b": other}}
    if plainly_fits(value, whole):
        assert list(StrictValidator(whole).iter_errors(value)) == []  # type: ignore[arg-type]


@pytest.mark.parametrize(("value", "schema"), EXAMPLES)
def test_every_example_of_every_action_fits_at_once(value: object, schema: dict[str, object]) -> None:
    """The schemas of actions keep to keywords that the quick check knows, so that a good call never needs the library."""
    assert plainly_fits(value, schema)


@pytest.mark.parametrize(("value", "schema"), EXAMPLES)
def test_a_spoilt_example_never_fits_unseen(value: object, schema: dict[str, object]) -> None:
    """A field taken away, added, or of another type: the quick check says yes only where the library does."""
    for spoilt in spoilt_ones(value):
        refused = not StrictValidator(dict(schema)).is_valid(spoilt)  # type: ignore[arg-type]
        assert not (refused and plainly_fits(spoilt, schema))


def spoilt_ones(value: object) -> Iterator[object]:
    """``value`` with one thing wrong, or at least different, at every place."""
    yield from ([], {}, "x", 7, -1, None, True)
    if isinstance(value, dict):
        yield {**value, "unknown": 1}
        for name, child in value.items():
            yield {other: kept for other, kept in value.items() if other != name}
            for spoilt in spoilt_ones(child):
                yield {**value, name: spoilt}
    if isinstance(value, list):
        for position, child in enumerate(value):
            for spoilt in spoilt_ones(child):
                yield [*value[:position], spoilt, *value[position + 1 :]]


@pytest.mark.parametrize(
    ("value", "schema"),
    [
        (0, {"minimum": 1}),
        (2, {"maximum": 1}),
        (1, {"exclusiveMinimum": 1}),
        (1, {"exclusiveMaximum": 1}),
        ("", {"minLength": 1}),
        ("ab", {"maxLength": 1}),
        ([], {"minItems": 1}),
        ([1, 2], {"maxItems": 1}),
        ([1, "a"], {"items": {"type": "integer"}}),
        ({"a": "b"}, {"required": ["a", "b"]}),
        (1, {"enum": [True]}),
        (1, {"const": True}),
        (True, {"type": "integer"}),
        (5.0, {"type": "integer"}),
        (math.inf, {"type": "number"}),
        ("a\n", {"pattern": "^a$"}),
        ({"a": 1}, {"additionalProperties": False}),
        ({"a": 1}, {"properties": {"a": {"$schema": "http://json-schema.org/draft-07/schema#"}}}),
        ({"a": 1}, {"properties": {"a": {"$id": "http://example.com/other"}}}),
        ("x", {"$ref": "#/$defs/round", "$defs": {"round": {"$ref": "#/$defs/round"}}}),
        ("x", {"$ref": "#/$defs/none"}),
        ("x", {"$ref": "http://example.com/schema"}),
        ("x", {"pattern": "("}),
        ("x", {"type": "strin"}),
        ({}, {"required": [[]]}),
        ({"a": 1}, {"format": "date"}),
    ],
)
def test_what_is_doubtful_is_left_to_the_library(value: object, schema: dict[str, object]) -> None:
    """Whatever does not fit, cannot be used or is not known here gets no quick yes, and no error either."""
    assert not plainly_fits(value, schema)


def test_frozen_values_fit_as_well() -> None:
    """Any mapping is an object, any tuple an array, as for the library."""
    schema = {"type": "object", "properties": {"a": {"type": "array", "items": {"type": "string"}}}, "additionalProperties": False}
    assert plainly_fits(MappingProxyType({"a": ("b",)}), MappingProxyType(schema))


def test_a_good_value_is_checked_without_the_library() -> None:
    """Importing it takes longer than asking a server, and a good call has no use for it."""
    code = (
        "import sys; from netclaw_opencode.validation import problems_of as ask; s = {'type': 'object', 'required': ['a']}; "
        "assert not ask({'a': 1}, s); assert 'jsonschema' not in sys.modules; assert ask({}, s); assert 'jsonschema' in sys.modules"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
