"""Validation: what fits, what does not, and what the message says about it."""

from __future__ import annotations

import copy
import json
import math
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from netclaw_opencode._core.validation import MAX_PROBLEMS, SchemaProblem, find_problems, find_schema_problems, problems, shorten
from netclaw_opencode.errors import InvalidInput

ROOT = Path(__file__).resolve().parents[2]
SESSION = "ses_20340f888001d7RBaaG1oOhjvJ"
LINE = r"^[^\u0000-\u001f\u007f]*[^\u0000-\u0020\u007f][^\u0000-\u001f\u007f]*$"
SCHEMA: Mapping[str, object] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "properties": {
        "session_id": {"type": "string", "pattern": "^ses_[0-9A-Za-z]{10,64}$", "examples": [SESSION]},
        "prompt": {"type": "string", "minLength": 1, "maxLength": 1048576, "pattern": r"\S"},
        "title": {"type": "string", "minLength": 1, "maxLength": 200, "pattern": LINE},
        "deadline_seconds": {"type": "number", "exclusiveMinimum": 0, "maximum": 60, "default": 60},
        "limit": {"type": "integer", "minimum": 1, "maximum": 1000, "default": 50},
        "start": {"type": "boolean", "default": True},
        "answer": {"type": "string", "enum": ["once", "always", "reject"]},
        "answers": {"type": "array", "minItems": 1, "maxItems": 2, "items": {"type": "array", "items": {"type": "string"}}},
        "thinking": {
            "type": "object",
            "properties": {"type": {"type": "string", "enum": ["enabled", "disabled"]}, "budget_tokens": {"type": "integer", "minimum": 1}},
            "required": ["type"],
            "additionalProperties": False,
        },
    },
    "additionalProperties": False,
}


def only(instance: object, schema: Mapping[str, object] = SCHEMA) -> SchemaProblem:
    """The one problem of ``instance``."""
    (problem,) = find_problems(instance, schema)
    return problem


@pytest.mark.parametrize(
    "good",
    [
        {},
        {"session_id": SESSION, "prompt": "x", "deadline_seconds": 0.5, "limit": 1, "start": False},
        {"deadline_seconds": 60, "answers": [["a"], []], "thinking": {"type": "enabled", "budget_tokens": 1}},
        {"prompt": "  Grüße 👋\n\x1b[31m  ", "title": "ß"},
    ],
)
def test_a_value_that_fits_has_no_problems(good: dict[str, object]) -> None:
    """Inside the limits, at their edges and with any text, nothing is reported."""
    assert find_problems(good, SCHEMA) == ()


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"deadline_seconds": 61}, "deadline_seconds: 61 is greater than the maximum of 60 (seconds: 0 < t <= 60), for example 60"),
        ({"deadline_seconds": 0}, "deadline_seconds: 0 is not greater than 0 (seconds: 0 < t <= 60), for example 60"),
        ({"deadline_seconds": -1}, "deadline_seconds: -1 is not greater than 0 (seconds: 0 < t <= 60), for example 60"),
        (
            {"deadline_seconds": 1e9},
            "deadline_seconds: 1000000000.0 is greater than the maximum of 60 (seconds: 0 < t <= 60), for example 60",
        ),
        ({"deadline_seconds": "abc"}, "deadline_seconds: 'abc' is not a number (seconds: 0 < t <= 60), for example 60"),
        ({"deadline_seconds": True}, "deadline_seconds: true is not a number (seconds: 0 < t <= 60), for example 60"),
        ({"deadline_seconds": math.nan}, "deadline_seconds: nan is not a number (seconds: 0 < t <= 60), for example 60"),
        ({"deadline_seconds": math.inf}, "deadline_seconds: inf is not a number (seconds: 0 < t <= 60), for example 60"),
        ({"limit": 0}, "limit: 0 is less than the minimum of 1 (1 <= n <= 1000), for example 50"),
        ({"limit": 10**12}, "limit: 1000000000000 is greater than the maximum of 1000 (1 <= n <= 1000), for example 50"),
        ({"limit": "abc"}, "limit: 'abc' is not an integer (1 <= n <= 1000), for example 50"),
        ({"limit": 5.0}, "limit: 5.0 is not an integer (1 <= n <= 1000), for example 50"),
        ({"limit": False}, "limit: false is not an integer (1 <= n <= 1000), for example 50"),
        ({"start": 1}, "start: 1 is not true or false, for example true"),
        ({"start": None}, "start: null is not true or false, for example true"),
        ({"session_id": 7}, f"session_id: 7 is not text, for example '{SESSION}'"),
        ({"session_id": []}, f"session_id: a list of 0 items is not text, for example '{SESSION}'"),
        ({"session_id": "foo"}, f"session_id: 'foo' is not an id (ses_ and 10 to 64 ASCII letters or digits), for example '{SESSION}'"),
        ({"prompt": ""}, "prompt: '' is empty (1 to 1048576 characters)"),
        ({"prompt": " \n\t\u2003"}, "prompt: ' \\n\\t\\u2003' is blank"),
        ({"title": "a\nb"}, "title: 'a\\nb' is blank or holds a control character"),
        ({"title": "   "}, "title: '   ' is blank or holds a control character"),
        ({"title": "x" * 201}, f"title: '{'x' * 60}'… (201 characters) is longer than 200 characters (1 to 200 characters)"),
        ({"answer": "onc"}, "answer: 'onc' is none of once, always, reject, did you mean 'once'?"),
        ({"answer": True}, "answer: true is not text"),
        ({"answers": []}, "answers: a list of 0 items has fewer than 1 items (1 to 2 items)"),
        ({"answers": [["a"], [2]]}, "answers[1][0]: 2 is not text"),
        ({"thinking": {"budget_tokens": 5}}, "thinking.type: is missing"),
        ({"thinking": {"type": "enabled", "budget_tokens": 0}}, "thinking.budget_tokens: 0 is less than the minimum of 1 (n >= 1)"),
        ({"thinking": {"type": "enabled", "budget": 5}}, "thinking: unknown field 'budget'; did you mean 'budget_tokens'?"),
        ({"deadline-second": 5}, "unknown field 'deadline-second'; did you mean 'deadline_seconds'?"),
        ([], "a list of 0 items is not an object"),
        ("text", "'text' is not an object"),
    ],
)
def test_a_message_names_the_field_the_value_the_rule_and_an_example(bad: object, message: str) -> None:
    """One bad value gives one message, and that says everything."""
    problems = find_problems(bad, SCHEMA)
    assert [problem.message for problem in problems][:1] == [message]


@pytest.mark.parametrize(
    "bad", ["", "ses_", "ses_x/../../config", "..", "//evil.com/x", "ses_20340f888001?directory=/etc", "ses_20340f888001#f"]
)
def test_an_id_that_would_change_the_path_of_a_request_is_refused(bad: str) -> None:
    """Ids are checked before they stand in a URL (F48)."""
    assert only({"session_id": bad}).path == "session_id"


@pytest.mark.parametrize(
    "bad",
    [
        SESSION + "\n",
        "\n" + SESSION,
        "ses_" + "x" * 65,
        "ses_ünïünïünïünï",
        "ses_\uff12\uff10\uff13\uff14\uff10\uff12\uff10\uff13\uff14\uff10\uff12\uff10\uff13\uff14",
        "msg_20340f888001d7RBaaG1",
    ],
)
def test_a_pattern_means_the_whole_text_in_plain_ascii(bad: str) -> None:
    """A line break at the end, look-alike digits and one character too many do not slip through (F48)."""
    assert only({"session_id": bad}).path == "session_id"


def test_a_missing_field_is_named_with_an_example() -> None:
    """Each missing field is a problem of its own, at its own path."""
    schema = {"type": "object", "properties": SCHEMA["properties"], "required": ["session_id", "prompt"]}
    assert [(problem.path, problem.message, problem.rule) for problem in find_problems({}, schema)] == [
        ("session_id", f"session_id: is missing, for example '{SESSION}'", "required"),
        ("prompt", "prompt: is missing", "required"),
    ]


def test_every_problem_is_reported_at_once() -> None:
    """The caller fixes all fields after one call."""
    problems = find_problems({"limit": 0, "answer": "no", "tiemout": 1, "thinking": {}}, SCHEMA)
    assert {problem.path for problem in problems} == {"limit", "answer", "tiemout", "thinking.type"}


def test_an_unknown_field_without_a_near_name_lists_the_known_ones() -> None:
    """Whoever guesses a name sees the real ones."""
    assert only({"zzzzzz": 1}).message.startswith("unknown field 'zzzzzz'; known fields: session_id, prompt, title")


def test_the_number_of_problems_is_bounded() -> None:
    """A hostile value cannot make a message of any size."""
    problems = find_problems({f"field{number}": number for number in range(1000)}, SCHEMA)
    assert len(problems) == MAX_PROBLEMS
    assert all(len(problem.message) < 500 for problem in problems)


@pytest.mark.parametrize(
    "value",
    [
        "\x1b]0;title\x07",
        "a\u202eb",
        "\x00",
        "\x9b31m",
        pytest.param("x" * 1_000_000, id="long"),
        "\ud800",
        pytest.param(10**5000, id="a huge number"),
        {"a": "\x1b"},
        ["\x1b"],
        b"\x1b",
        {1, 2},
        math.nan,
    ],
)
def test_a_shown_value_is_short_and_harmless(value: object) -> None:
    """No escape sequence, bidi control or flood of text reaches a terminal through a message."""
    text = shorten(value)
    assert len(text) < 420
    assert text.isprintable()


@settings(deadline=None)
@given(st.text())
def test_a_field_name_of_any_text_is_shown_harmlessly(name: str) -> None:
    """The path and the message of an unknown field can be printed, whatever its name is."""
    for problem in find_problems({name: 1}, {"type": "object", "properties": {}, "additionalProperties": False}):
        assert problem.message.isprintable()
        assert problem.path.isprintable()


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(10**400, id="a huge number"),
        object(),
        b"bytes",
        {1: 2},
        {"a": {1, 2}},
        pytest.param(json.loads("[" * 200 + "]" * 200), id="deep"),
        pytest.param({"a": [10**400]}, id="a huge number inside"),
        {("a",): 1},
    ],
)
def test_what_json_cannot_carry_is_a_problem_and_no_crash(value: object) -> None:
    """Values that only Python knows, numbers without end and bottomless nesting are refused."""
    assert len(find_problems(value, {"type": ["object", "array", "number"]})) == 1


def test_nesting_far_beyond_the_recursion_limit_is_a_problem() -> None:
    """The depth is measured without recursion."""
    value: list[object] = []
    for _ in range(100_000):
        value = [value]
    assert "nested deeper" in only(value, {}).message
    while value:  # taken apart by hand: dropping it whole would recurse in the interpreter
        value = value.pop()  # type: ignore[assignment]


def test_numbers_that_are_none_are_refused_even_without_a_type() -> None:
    """NaN has no JSON form, so no schema can allow it."""
    assert only({"a": math.nan}, {}).message == "a: nan is not a finite number"


def test_text_that_cannot_be_utf_8_is_refused_on_the_way_in_only() -> None:
    """An argument with broken bytes stops here; an answer that a model cut in a surrogate pair does not fail a good turn."""
    assert find_problems({"prompt": "a\ud800"}, SCHEMA) == ()
    (problem,) = find_problems({"prompt": "a\ud800"}, SCHEMA, incoming=True)
    assert problem.message == "prompt: 'a\\ud800' is not valid Unicode text (broken bytes?)"


def test_any_mapping_is_an_object_and_any_tuple_a_list() -> None:
    """Handlers may return frozen facts."""
    frozen = MappingProxyType({"answers": (("a",),), "thinking": MappingProxyType({"type": "enabled"})})
    assert find_problems(frozen, SCHEMA) == ()
    assert only(MappingProxyType({"limit": 0})).path == "limit"


def test_a_schema_may_be_any_mapping_and_is_not_changed() -> None:
    """A frozen schema works, and validation leaves it as it was."""
    before = copy.deepcopy(dict(SCHEMA))
    assert only({"limit": 0}, MappingProxyType(dict(SCHEMA))).path == "limit"
    assert before == SCHEMA


def test_the_rules_hold_below_a_reference_to_the_root() -> None:
    """``$ref: #`` does not fall back to the laxer rules of the library."""
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", "properties": {"n": {"type": "integer"}, "next": {"$ref": "#"}}}
    assert only({"next": {"next": {"n": 5.0}}}, schema).path == "next.next.n"


def test_a_reference_within_the_schema_is_followed() -> None:
    """Shared shapes of outputs are checked."""
    schema = {"type": "object", "properties": {"a": {"$ref": "#/$defs/word"}}, "$defs": {"word": {"type": "string"}}}
    assert only({"a": 1}, schema).message == "a: 1 is not text"


@pytest.mark.parametrize(
    "reference", ["http://127.0.0.1:9/schema.json", "https://example.com/s", "file:///etc/passwd", "other.json", "#/$defs/none"]
)
def test_a_reference_that_leads_out_is_an_error_and_fetches_nothing(reference: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """No schema makes this process open a file or a connection."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("something was opened")

    monkeypatch.setattr("urllib.request.urlopen", refuse)
    monkeypatch.setattr("socket.socket.connect", refuse)
    schema = {"properties": {"a": {"$ref": reference}}}
    assert find_schema_problems(schema)[0].path == "properties.a.$ref"
    with pytest.raises(InvalidInput) as caught:
        find_problems({"a": 1}, schema)
    assert caught.value.code == "invalid_manifest"


@pytest.mark.parametrize("schema", [{"$ref": "#"}, {"type": "strin"}, {"pattern": "("}])
def test_a_schema_that_cannot_be_used_is_a_typed_error(schema: dict[str, object]) -> None:
    """Endless references, unknown types and broken patterns end as invalid_manifest."""
    with pytest.raises(InvalidInput):
        find_problems("text", schema)


@pytest.mark.parametrize(
    ("schema", "path"),
    [
        ({"type": "strin"}, "type"),
        ({"properties": {"a": {"minimum": "x"}}}, "properties.a.minimum"),
        ({"required": "a"}, "required"),
        ({"properties": {"a": {"pattern": "("}}}, "properties.a.pattern"),
        ({"items": {"anyOf": [{}, {"$ref": "#/$defs/none"}]}}, "items.anyOf[1].$ref"),
    ],
)
def test_a_bad_schema_is_told_where_it_is_bad(schema: dict[str, object], path: str) -> None:
    """A caller's output_schema is refused before anything is sent."""
    assert path in {problem.path for problem in find_schema_problems(schema)}


def test_values_that_look_like_references_are_left_alone() -> None:
    """What stands in const, enum, default or examples is data; a property may be called $ref or pattern."""
    data = {"$ref": "http://example.com", "pattern": "("}
    assert find_schema_problems({"const": data, "enum": [data], "default": data, "properties": {"$ref": {}, "pattern": {}}}) == ()


def test_patterns_of_strangers_can_be_refused() -> None:
    """A regular expression that never ends is not run on a model's answer."""
    schema = {"properties": {"pattern": {"type": "string", "pattern": "(a+)+$"}}, "patternProperties": {"^x": {}}}
    assert [problem.path for problem in find_schema_problems(schema, patterns=False)] == ["patternProperties", "properties.pattern.pattern"]
    assert find_schema_problems(schema) == ()


def test_validators_are_kept_for_each_schema_but_not_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same schema object is compiled once; a thousand others do not stay in memory."""
    find_problems({"limit": 0}, SCHEMA)
    first = problems._validators[id(SCHEMA)]
    find_problems({"limit": 0}, SCHEMA)
    assert problems._validators[id(SCHEMA)] is first
    for number in range(300):
        find_problems({}, {"minProperties": number, "type": "object"})
    assert len(problems._validators) <= 256


def test_the_wire_form_has_all_parts() -> None:
    """``details.problems`` of an envelope carries field, message, value, rule and hint."""
    assert only({"limit": 0}).to_wire() == {
        "field": "limit",
        "message": "limit: 0 is less than the minimum of 1 (1 <= n <= 1000), for example 50",
        "value": "0",
        "rule": "1 <= n <= 1000",
        "hint": "for example 50",
    }


def test_importing_it_costs_no_jsonschema() -> None:
    """The library is loaded at the first check, so that --help does not pay for it."""
    code = "import sys; import netclaw_opencode._core.validation; sys.exit('jsonschema' in sys.modules or 'referencing' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


SCALARS = st.none() | st.booleans() | st.integers(-100, 2000) | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3), max_leaves=8
)
NAMES = st.sampled_from([*SCHEMA["properties"], "other"])  # type: ignore[misc]


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(NAMES, VALUES, max_size=4))
def test_it_agrees_with_the_library_but_for_whole_floats(instance: dict[str, object]) -> None:
    """Where the standard's own validator refuses, so do we; where it accepts, only ``5.0`` for an integer differs."""
    ours = bool(find_problems(instance, SCHEMA))
    theirs = not Draft202012Validator(dict(SCHEMA)).is_valid(instance)
    whole_float = any(isinstance(value, float) and value.is_integer() for value in _leaves(instance))
    assert ours == theirs or (ours and whole_float)


def _leaves(value: object) -> list[object]:
    if isinstance(value, dict):
        return [leaf for child in value.values() for leaf in _leaves(child)]
    if isinstance(value, list):
        return [leaf for child in value for leaf in _leaves(child)]
    return [value]
