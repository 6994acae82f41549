"""Reading YAML and JSON files of strangers: plain data or a named fault, never an object, a guess or a crash."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from netclaw_opencode._core.documents import MAX_BYTES, Document, parse_json, parse_yaml, read_json, read_yaml


def of_yaml(text: str | bytes, folder: Path) -> Document:
    """The document that ``text`` is."""
    path = folder / "file.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_yaml(path)


def of_json(text: str, folder: Path) -> Document:
    """The document that ``text`` is."""
    path = folder / "file.json"
    path.write_text(text, encoding="utf-8")
    return read_json(path)


def test_yaml_becomes_plain_json_values(tmp_path: Path) -> None:
    """Maps, lists, text, numbers, true, false and null, in block and flow style."""
    document = of_yaml("a: {b: [1, -2.5, 1e3, true, null, ~]}\nc: |\n  two\n  lines\nd: >-\n  one\n  line\ne:\n", tmp_path)
    assert document == Document(
        {"a": {"b": [1, -2.5, 1000.0, True, None, None]}, "c": "two\nlines\n", "d": "one line", "e": None}, lines=document.lines
    )


@pytest.mark.parametrize(
    "text", ["yes", "No", "on", "2026-01-01", "0x1F", "017", "1_000", "1:30", ".inf", ".NaN", "1.18.33", "0o7", "TRUE", "='x'"]
)
def test_what_json_does_not_know_is_text(text: str, tmp_path: Path) -> None:
    """No word, date or odd number changes its meaning behind the author's back."""
    assert of_yaml(f"a: {text}", tmp_path).value == {"a": text}


@pytest.mark.parametrize("text", ["'1'", '"true"', '"null"', "'~'"])
def test_quoted_scalars_are_text(text: str, tmp_path: Path) -> None:
    """Quotes make text of anything."""
    assert of_yaml(f"a: {text}", tmp_path).value == {"a": text[1:-1]}


@pytest.mark.parametrize(
    ("text", "what", "line"),
    [
        ("a: 1\nb: 2\na: 3\n", "the key 'a' stands twice in one map (first in line 1)", 3),
        ("x:\n  - {k: 1, k: {deep: 2}}\n", "the key 'k' stands twice in one map (first in line 2)", 2),
        ("a: &name 1\n", "an anchor (&name) is not allowed", 1),
        ("a: !!python/object/apply:os.system [echo]\n", "a tag (!name) is not allowed", 1),
        ("a: !!str 5\n", "a tag (!name) is not allowed", 1),
        ("a: 1\n<<: {b: 2}\n", "the key '<<' is not text", 2),
        ("1: a\n", "the key '1' is not text", 1),
        ("true: a\n", "the key 'true' is not text", 1),
        ("[a]: b\n", "a map or list is used as a key", 1),
        ("{a: b}: c\n", "a map or list is used as a key", 1),
        ("a: 1\n---\nb: 2\n", "a second document begins", 2),
        ("a: [1, 2\nb: 3\n", "not YAML: did not find expected ',' or ']'", 2),
        ("a: b: c\n", "not YAML: mapping values are not allowed in this context", 1),
        ("a: *nothing\n", "an alias (*name) is not allowed", 1),
        ("a: 'x\n", "not YAML: found unexpected end of stream", 2),
    ],
)
def test_what_is_not_plain_data_is_a_fault_with_its_line(text: str, what: str, line: int, tmp_path: Path) -> None:
    """Tags, anchors, aliases, merges, odd keys, duplicates and broken syntax are refused, each with its place."""
    fault = of_yaml(text, tmp_path).faults[0]
    assert (fault.what, fault.line) == (what, line)
    assert fault.fix


def test_every_duplicate_is_reported_and_the_rest_is_read(tmp_path: Path) -> None:
    """A duplicate does not hide the next one; the first value stays."""
    document = of_yaml("a: 1\na: 2\nb: {c: 1, c: [2]}\nd: 4\n", tmp_path)
    assert [fault.line for fault in document.faults] == [2, 3]
    assert document.value == {"a": 1, "b": {"c": 1}, "d": 4}
    assert document.whole


@pytest.mark.parametrize("text", ["[" * 500_000, "- " * 300_000, "{a: " * 100_000, "a: " + "[" * 61 + "]" * 61])
def test_bottomless_nesting_is_a_fault_and_not_the_end_of_the_process(text: str, tmp_path: Path) -> None:
    """The loader's own recursion would end the process at some 60,000 levels; we stop at sixty."""
    document = of_yaml(text, tmp_path)
    assert "nested deeper" in document.faults[0].what
    assert not document.whole


def test_an_alias_bomb_is_not_expanded(tmp_path: Path) -> None:
    """Ten lines that would be a billion values are ten faults."""
    bomb = "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 10))
    document = of_yaml(bomb, tmp_path)
    assert len(document.faults) == 10 + 9 * 9
    assert document.value == {"a0": ["x"]} | {f"a{n}": [None] * 9 for n in range(1, 10)}


def test_places_are_known_down_to_each_value(tmp_path: Path) -> None:
    """A problem of a value is told with the line of that value; where it is missing, of what is around it."""
    document = of_yaml("a: 1\nlist:\n  - x: 1\n    y: 2\n  - 7\n", tmp_path)
    assert [document.line_of(steps) for steps in [("a",), ("list", 0, "y"), ("list", 1), ("list", 0, "none"), ("none",), ()]] == [
        1,
        4,
        5,
        3,
        1,
        1,
    ]


def test_places_in_json_are_known_where_they_are_asked_for() -> None:
    """Of a key in an object, of an item in a list; tabs, escapes and brackets in text do not confuse them."""
    text = '{\n\t"a\\"{": [1, {"b": "}]"}],\r\n "c"\n:\n null}'
    document = parse_json(text, places=True)
    assert document.value == {'a"{': [1, {"b": "}]"}], "c": None}
    found = {steps: document.place_of(steps) for steps in document.lines}
    assert found == {(): (1, 1), ('a"{',): (2, 2), ('a"{', 0): (2, 11), ('a"{', 1): (2, 14), ('a"{', 1, "b"): (2, 15), ("c",): (3, 2)}
    assert document.place_of(("c", "d")) == (3, 2)
    assert parse_json(text).lines == {}


@pytest.mark.parametrize(
    ("text", "line", "column", "kind"),
    [
        ('{"a": 1,\n "a": 2}', 2, 2, "duplicate_key"),
        ("[1,\n NaN]", 2, 2, "syntax"),
        ("{\n 'a': 1}", 2, 2, "syntax"),
        ("[" * 100_000, None, None, "too_deep"),
    ],
)
def test_a_fault_in_json_has_its_place_and_kind(text: str, line: int | None, column: int | None, kind: str) -> None:
    """Also where nobody asked for places."""
    (fault,) = parse_json(text).faults
    assert (fault.line, fault.column, fault.kind) == (line, column, kind)


@pytest.mark.parametrize(
    ("text", "kind"),
    [("a: 1\na: 2", "duplicate_key"), ("a: &x 1", "not_plain"), ("[" * 100, "too_deep"), ("a: [", "syntax")],
)
def test_a_fault_in_yaml_has_its_kind(text: str, kind: str) -> None:
    """Whoever sorts faults needs no words for it."""
    assert {fault.kind for fault in parse_yaml(text).faults} == {kind}


@pytest.mark.parametrize("read", [read_yaml, read_json])
def test_a_file_that_cannot_be_read_is_a_fault(read: object, tmp_path: Path) -> None:
    """Missing, a folder, a pipe that would hang, too large, not UTF-8: told, not raised."""
    assert callable(read)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    large = tmp_path / "large"
    large.write_bytes(b" " * (MAX_BYTES + 1))
    latin = tmp_path / "latin"
    latin.write_bytes(b'"a\n\xe9"')
    faults = [read(path).faults[0].what for path in (tmp_path / "none", tmp_path, pipe, large, latin)]
    regular = "it is not a regular file"
    assert faults == ["there is no such file", regular, regular, f"it is larger than {MAX_BYTES} bytes", "it is not UTF-8 (byte 3)"]


def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path: Path) -> None:
    """Editors of Windows put one there."""
    assert of_yaml(b"\xef\xbb\xbfa: 1\n", tmp_path).value == {"a": 1}


def test_control_characters_in_yaml_are_a_fault(tmp_path: Path) -> None:
    """The loader refuses them, and so do we, without a crash."""
    assert of_yaml(b"a: \x00\n", tmp_path).faults
    assert of_yaml(b"a: \x1b[31m\n", tmp_path).faults


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ('{"a": 1, "a": 2}', "the key 'a' stands twice in one object"),
        ('{"a": [{"b": 1, "b": 2}]}', "the key 'b' stands twice in one object"),
        ('{"a": NaN}', "NaN is not JSON"),
        ('{"a": -Infinity}', "-Infinity is not JSON"),
        ('{"a": 1,}', "not JSON: Illegal trailing comma before end of object (column 8)"),
        ("[" * 100_000, "it is nested too deeply, or holds a number too large to read"),
        ("1" * 5000, "it is nested too deeply, or holds a number too large to read"),
        ("", "not JSON: Expecting value (column 1)"),
    ],
)
def test_json_is_read_strictly(text: str, what: str, tmp_path: Path) -> None:
    """Duplicate keys, constants of Python, trailing commas and depth bombs are faults."""
    found = of_json(text, tmp_path).faults[0].what
    # The wording for a trailing comma is the standard library's and differs between versions of Python.
    assert found == what or ("trailing comma" in what and found.startswith("not JSON: "))


TEXT = st.text(st.characters(min_codepoint=32, max_codepoint=0x24F, exclude_categories=["Cc"]), max_size=20)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**15), 10**15) | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=15,
)
LOADER = getattr(yaml, "CBaseLoader", yaml.BaseLoader)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=JSON)
def test_whatever_is_written_as_json_is_read_as_it_was_by_both(value: object, tmp_path: Path) -> None:
    """JSON is YAML to us: both readers give the same plain values."""
    text = json.dumps(value, ensure_ascii=False)
    assert of_json(text, tmp_path) == Document(value)
    document = of_yaml(text, tmp_path)
    assert (document.value, document.faults) == (value, ())


@settings(deadline=None, max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(st.sampled_from("ab:-[]{}&*!|>'\"#,?%@` \n\t0.~"), max_size=40))
def test_no_text_makes_the_reader_raise_and_none_is_read_otherwise_than_by_the_loader(text: str, tmp_path: Path) -> None:
    """Any soup of YAML's characters gives a value or faults; a faultless value has the structure that PyYAML sees."""
    document = of_yaml(text, tmp_path)
    if not document.faults:
        assert _shape(document.value) == _shape(yaml.load(text, Loader=LOADER))  # noqa: S506 - text alone


def _shape(value: object) -> object:
    if isinstance(value, dict):
        return {key: _shape(child) for key, child in value.items()}
    if isinstance(value, list):
        return [_shape(child) for child in value]
    return "scalar"
