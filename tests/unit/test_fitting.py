"""The short way to "it fits": it never accepts what the library refuses, and knows every schema of ours."""

from __future__ import annotations

import copy
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from netclaw_opencode._core.validation.fitting import surely_fits
from netclaw_opencode._core.validation.problems import _validator, _walk
from netclaw_opencode.manifest import load_manifest

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = [
    pytest.param(value, schema, id=f"{entry.name}-{number}-{side}")
    for entry in load_manifest().actions.values()
    for number, example in enumerate(entry.examples)
    for side, value, schema in (("input", example.input, entry.input_schema), ("output", example.output, entry.output_schema))
]
ODD: tuple[object, ...] = (None, True, 0, -1, 10**9, 0.5, 5.0, "", " ", "x", "x" * 70_000, [], [[]], {}, {"other": 1}, ("x",))


def fits_by_library(value: object, schema: Mapping[str, object]) -> bool:
    """What jsonschema says under our stricter rules."""
    return not list(_walk(value, _validator(schema)))


def spoiled(value: object) -> Iterator[object]:
    """The value with one thing in it changed, left out or added, at every place of it."""
    yield from ODD
    if isinstance(value, Mapping):
        yield {**value, "other": 1}
        for name in value:
            yield {key: kept for key, kept in value.items() if key != name}
            yield from ({**value, name: below} for below in spoiled(value[name]))
    elif isinstance(value, list):
        yield value * 2
        for position in range(len(value)):
            yield from ([*value[:position], below, *value[position + 1 :]] for below in spoiled(value[position]))


@pytest.mark.parametrize(("value", "schema"), EXAMPLES)
def test_it_says_what_the_library_says(value: object, schema: Mapping[str, object]) -> None:
    """Every example fits by both; of every change to it, what one accepts the other accepts."""
    assert surely_fits(value, schema) and fits_by_library(value, schema)
    changed = list(spoiled(copy.deepcopy(value)))
    assert len(changed) >= len(ODD)
    step = len(changed) // 150 + 1
    for other in changed[::step]:
        assert surely_fits(other, schema) == fits_by_library(other, schema), other


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#"},
        {"$ref": "#/$defs/loop", "$defs": {"loop": {"$ref": "#/$defs/loop"}}},
        {"$ref": "known", "$defs": {"known": {}}},
        {"$ref": "https://example.com/schema", "$defs": {}},
        {"$id": "https://example.com/other", "$ref": "#/$defs/known", "$defs": {"known": {}}},
        {"not": {"type": "integer"}},
        {"oneOf": [{"type": "string"}]},
        {"type": "text"},
        {"type": 5},
        {"pattern": "("},
        {"enum": [1.0]},
        {"properties": []},
        {"minLength": "5"},
        {"if": {}, "else": False},
        {"patternProperties": {"x": False}},
        {"properties": {"a": True}},
    ],
)
@pytest.mark.parametrize("value", ["x", {"a": 1}, 1])
def test_what_it_does_not_know_is_left_to_the_library(schema: Mapping[str, object], value: object) -> None:
    """A keyword that is not ours, a reference that leads elsewhere or round in a circle, a schema that is none: never "it fits"."""
    known = {"pattern", "minLength"} & schema.keys() and not isinstance(value, str)
    known = known or ("properties" in schema and not (isinstance(value, dict)))
    assert not surely_fits(value, schema) or known


def test_a_call_with_right_values_imports_no_jsonschema() -> None:
    """The examples of all actions are checked, in and out, without the library: importing it takes longer than a request."""
    code = """
import sys
from netclaw_opencode._core.validation import find_problems
from netclaw_opencode.manifest import own_manifest, read_own_schemas
read_own_schemas()
for entry in own_manifest().actions.values():
    for example in entry.examples:
        assert not find_problems(example.input, entry.input_schema, incoming=True) + find_problems(example.output, entry.output_schema)
sys.exit(" ".join({"jsonschema", "referencing", "yaml"} & set(sys.modules)) or 0)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
