"""What the generator makes of schemas that the manifest may have one day."""

from __future__ import annotations

import pytest

from scripts.api_classes import Classes

WHOLE = {
    "type": "object",
    "description": "A whole.",
    "required": ["text", "parts", "maybe"],
    "properties": {
        "text": {"type": ["string", "null"], "description": "Text."},
        "maybe": {"anyOf": [{"$ref": "#/$defs/part"}, {"type": "null"}], "description": "One or none."},
        "parts": {"type": "array", "items": {"$ref": "#/$defs/part"}, "description": "Parts."},
        "kind": {"enum": ["a", "b"], "description": "Kind."},
        "sizes": {"type": "object", "additionalProperties": {"type": "number"}, "description": "Sizes."},
        "children": {"type": "array", "items": {"type": "object", "properties": {"n": {"type": "integer"}}}, "description": "Children."},
        "more": {"type": "array", "items": {"type": "string"}, "description": "More."},
        "anything": {"description": "Any JSON."},
    },
    "$defs": {"part": {"type": "object", "description": "A part.", "properties": {"name": {"type": "string", "description": "Name."}}}},
}


def test_a_schema_becomes_a_class() -> None:
    """Null, unions, references, enumerations, mappings, lists of objects: each has its annotation and its empty value."""
    classes = Classes(typed_dicts=False)
    assert classes.add("WholeResult", WHOLE, WHOLE, "Whole") == "WholeResult"
    lines = {line.strip() for line in classes.texts["WholeResult"].splitlines()}
    assert lines >= {
        "text: str | None",
        "maybe: Part | None",
        "parts: tuple[Part, ...]",
        'kind: Literal["a", "b"] | None = None',
        "sizes: Mapping[str, float] = field(default_factory=dict)",
        "children: tuple[WholeChild, ...] = ()",
        "more: tuple[str, ...] = ()",
        "anything: Any = None",
    }
    assert list(classes.texts) == ["Part", "WholeChild", "WholeResult"]


def test_two_shapes_of_one_name_are_told_apart() -> None:
    """The same shape is one class; another shape, or a name that is taken, gets the action's name before it."""
    part, other = WHOLE["$defs"]["part"], {"type": "object", "properties": {"size": {"type": "integer", "description": "Size."}}}  # type: ignore[index]
    classes = Classes(typed_dicts=False, taken=frozenset({"Event"}))
    assert classes.add("Part", part, WHOLE, "One") == "Part"
    assert classes.add("Part", {**part, "description": "Other words."}, WHOLE, "Two") == "Part"
    assert classes.add("Part", other, WHOLE, "Two") == "TwoPart"
    assert classes.add("Event", other, WHOLE, "Two") == "TwoEvent"


@pytest.mark.parametrize("name", ["class", "_data"])
def test_a_field_that_python_cannot_have_is_refused(name: str) -> None:
    """The script says which."""
    with pytest.raises(SystemExit, match=f"Odd.{name}"):
        Classes(typed_dicts=False).add("Odd", {"type": "object", "properties": {name: {"type": "string"}}}, {}, "Odd")
