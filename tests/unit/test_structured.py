"""Answers that fit a schema: found in the model's text, checked here, and never believed unchecked."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netclaw_opencode.driver.structured_output import extract, instruction
from netclaw_opencode.errors import ActionFailed
from netclaw_opencode.jsontypes import JsonObject

SCHEMA: JsonObject = {
    "type": "object",
    "properties": {"n": {"type": "number"}, "name": {"type": "string"}},
    "required": ["n"],
    "additionalProperties": False,
}


def test_the_model_is_told_the_schema() -> None:
    """The whole schema stands in the instruction, readable as JSON again, letters unescaped."""
    schema = {**SCHEMA, "description": "größe"}
    told = instruction(schema)
    assert json.loads(told[told.index("{") :]) == schema
    assert "größe" in told


@pytest.mark.parametrize(
    "text",
    [
        '{"n": 3}',
        '\n  {"n": 3}  \n',
        'Here it is:\n```json\n{"n": 3}\n```\nDone.',
        '```\n{"n": 3}\n```',
        'First a draft:\n```json\n{"n": 1}\n```\nand the answer:\n```json\n{"n": 3}\n```',
        'The answer is {"n": 3}, as asked.',
        'prose { "n"\n:\n3 } prose',
    ],
)
def test_the_answer_is_found(text: str) -> None:
    """Alone, in a fence (the last one counts), or in the middle of prose."""
    assert extract(text, SCHEMA) == {"n": 3}


def test_any_json_value_may_be_the_answer() -> None:
    """A schema need not describe an object."""
    assert extract("[1, 2]", {"type": "array"}) == [1, 2]
    assert extract("null", {"type": "null"}) is None


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "no JSON"),
        ("I cannot do that.", "no JSON"),
        ('{"n": 3', "no JSON"),
        ("}{", "no JSON"),
        ("{'n': 3}", "no JSON"),
        ("[" * 100_000, "no JSON"),
        ('{"n": "three"}', "n: .three. is not a number"),
        ('{"name": "x"}', "n: is missing"),
        ('{"n": 1, "extra": true}', "extra"),
        ('{"n": NaN}', "not a number"),
        ('{"n": 1e999}', "not a number"),
        ('```json\n{"n": 1}\n```\n```json\n{"n": "last"}\n```', "last"),
        ('"text"', "object"),
    ],
)
def test_what_does_not_fit_is_a_named_failure(text: str, why: str) -> None:
    """The server accepts answers that break the schema; we do not. The error says why and holds the text."""
    with pytest.raises(ActionFailed, match=why) as caught:
        extract(text, SCHEMA)
    assert caught.value.code == "structured_output_failed"
    assert caught.value.details["text"] == text[:2000]


@settings(deadline=None)
@given(
    st.dictionaries(
        st.text(max_size=8), st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=8), st.lists, max_leaves=5)
    )
)
def test_every_object_is_found_again_in_prose(value: dict[str, object]) -> None:
    """Whatever the answer holds, braces and fences in its texts too, as long as the prose has none."""
    assert extract(f"Here you are: {json.dumps(value)} Done.", {"type": "object"}) == value
    assert extract(json.dumps(value, ensure_ascii=False), {"type": "object"}) == value
