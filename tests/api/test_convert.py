"""Types of the caller's: their schema, and JSON as values of them."""

from __future__ import annotations

import enum
import pickle
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal, NotRequired, TypedDict

import pydantic
import pytest

from netclaw_opencode import FileChanged, InvalidInputError, ModelUsed, RunTaskResult
from netclaw_opencode._core.validation import find_problems
from netclaw_opencode.api import _convert


class Colour(enum.Enum):
    """A choice."""

    RED = "red"
    BLUE = "blue"


class Place(TypedDict):
    """A mapping with known keys."""

    file: str
    line: NotRequired[int]


@dataclass
class Finding:
    """A part."""

    title: Annotated[str, "One line."]
    severity: Literal["low", "high"]
    place: Place
    colour: Colour = Colour.RED
    score: float | None = None


@dataclass
class Review:
    """A whole, with everything that has a JSON form."""

    findings: list[Finding]
    counts: dict[str, int] = field(default_factory=dict)
    pair: tuple[int, str] = (0, "")
    words: tuple[str, ...] = ()


class Model(pydantic.BaseModel):
    """A model of pydantic's."""

    name: str
    parts: list[int] = []


@dataclass
class Endless:
    """A type within itself."""

    inner: Endless | None = None


WHOLE: Mapping[str, object] = {
    "findings": [{"title": "t", "severity": "high", "place": {"file": "a.py"}, "colour": "blue", "score": 1}],
    "counts": {"a": 1},
    "pair": [1, "x"],
    "words": ["a", "b"],
}


def test_a_dataclass_has_a_schema_and_takes_what_fits_it() -> None:
    """What the schema allows becomes the type, part by part; descriptions come from annotations."""
    schema = _convert.schema_of(Review)
    assert not find_problems(WHOLE, schema)
    assert find_problems({"findings": [{"title": "t"}]}, schema)
    assert schema["required"] == ["findings"]
    assert "One line." in str(schema)
    review = _convert.parse(WHOLE, Review)
    assert review == Review([Finding("t", "high", {"file": "a.py"}, Colour.BLUE, 1.0)], {"a": 1}, (1, "x"), ("a", "b"))


def test_a_typed_dict_keeps_its_optional_keys_optional() -> None:
    """Also where annotations are kept as text, which hides them from ``__required_keys__``."""
    schema = _convert.schema_of(Place)
    assert schema["required"] == ["file"]
    assert _convert.parse({"file": "a", "line": 2, "more": 1}, Place) == {"file": "a", "line": 2}


def test_a_pydantic_model_brings_both_directions() -> None:
    """Its own schema, its own validation."""
    assert _convert.schema_of(Model) == Model.model_json_schema()
    assert _convert.parse({"name": "n", "parts": [1]}, Model) == Model(name="n", parts=[1])


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        (str, "give a dataclass"),
        (Endless, "within itself"),
        (dataclass(type("Odd", (), {"__annotations__": {"when": bytes}})), "output_schema.when: the type bytes"),
    ],
)
def test_a_type_without_a_json_form_is_refused(kind: type, says: str) -> None:
    """The error names the place and what to do."""
    with pytest.raises(InvalidInputError, match=says):
        _convert.schema_of(kind)


def test_an_annotation_that_cannot_be_resolved_is_told() -> None:
    """Types within a function are out of sight where annotations are kept as text."""

    @dataclass
    class Inner:
        text: str

    @dataclass
    class Outer:
        inner: Inner

    with pytest.raises(InvalidInputError, match=r"annotation of .*Outer cannot be resolved: name 'Inner'"):
        _convert.schema_of(Outer)


def test_a_result_ignores_what_it_does_not_know_and_gives_it_back() -> None:
    """Unknown fields stand in ``to_dict`` alone; missing optional ones are None or empty."""
    data = {"providerID": "p", "modelID": "m", "new_field": [1]}
    used = ModelUsed.from_dict(data)
    assert (used.providerID, used.variant) == ("p", None)
    assert used.to_dict() == data
    assert ModelUsed(providerID="p", modelID="m").to_dict() == {"providerID": "p", "modelID": "m"}
    used.to_dict()["new_field"] = "changed"
    assert used.to_dict() == data


def test_a_result_is_not_lost_over_a_missing_field() -> None:
    """What was done and paid for reaches the caller, also where another version of the skill wrote it."""
    result: RunTaskResult[object] = RunTaskResult.from_dict({"session_id": "ses_1", "text": "done"})
    found: list[object] = [result.text, result.files_changed, result.usage, result.phases]
    assert found == ["done", (), None, {}]


def test_a_result_can_be_compared_and_pickled() -> None:
    """Equality is that of the known fields; a copy in another process keeps the whole."""
    data = {"path": "a", "status": "added", "additions": 1, "deletions": 0, "diff": "", "new_field": 1}
    changed = FileChanged.from_dict(data)
    assert changed == FileChanged(path="a", status="added", additions=1, deletions=0, diff="")
    assert pickle.loads(pickle.dumps(changed)).to_dict() == data  # noqa: S301 - our own
    assert "RunTaskResult" in repr(RunTaskResult)
