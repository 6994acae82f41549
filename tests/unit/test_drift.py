"""The server's own API description compared with what we rest on: each kind of difference is found, and named by operation."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from netclaw_opencode.doctor.api_check import ApiCheck, compare
from netclaw_opencode.errors import ActionFailed
from netclaw_opencode.opencode.wire import routes
from tests.support import api_contract as contract
from tests.support.api_contract import Operation
from tests.support.api_drift import Drift, drift

Json = dict[str, Any]
ROW = Operation(
    routes.SESSION_UPDATE,
    "session.update",
    ("directory",),
    sends=("title!", "parts!", "parts[](type=text).type!", "parts[](type=text).text!", "reply>once|reject"),
    answers=("id!", "time.created!", "status(type=retry).next!", "status.type=idle|retry", "status.type>idle", "tags[]", "marks{}.name"),
)
ROWS = (ROW, Operation(routes.SESSION_ABORT, "session.abort"))


def text(*values: str) -> Json:
    """The schema of a text, or of one of some words."""
    return {"type": "string", "enum": list(values)} if values else {"type": "string"}


def thing(properties: Json, *required: str) -> Json:
    """The schema of an object."""
    return {"type": "object", "properties": properties, "required": list(required)}


def answer(schema: Json) -> Json:
    """An answer 200 of that form."""
    return {"200": {"content": {"application/json": {"schema": schema}}}}


@pytest.fixture
def document() -> Json:
    """A description in the server's manner: references, alternatives, parameters by other names than ours."""
    directory = {"name": "directory", "in": "query", "required": False}
    parts = {"anyOf": [{"$ref": "#/components/schemas/Text"}, thing({"type": text("file"), "url": text()}, "type", "url")]}
    body = thing({"title": text(), "parts": {"type": "array", "items": parts}, "reply": text("once", "always", "reject")}, "parts")
    return {
        "openapi": "3.1.0",
        "paths": {
            "/session/{sessionID}": {
                "patch": {
                    "operationId": "session.update",
                    "parameters": [directory, {"name": "sessionID", "in": "path", "required": True}],
                    "requestBody": {"content": {"application/json": {"schema": body}}},
                    "responses": answer({"$ref": "#/components/schemas/Session"}),
                }
            },
            "/session/{sessionID}/abort": {
                "post": {"operationId": "session.abort", "parameters": [directory], "responses": answer({"type": "boolean"})}
            },
        },
        "components": {
            "schemas": {
                "Session": thing(
                    {
                        "id": text(),
                        "time": thing({"created": {"type": "integer"}}, "created"),
                        "status": {
                            "anyOf": [{"$ref": "#/components/schemas/Retry"}, thing({"type": text("idle")}, "type"), {"type": "null"}]
                        },
                        "tags": {"type": "array", "items": text()},
                        "marks": {"type": "object", "additionalProperties": thing({"name": text()})},
                    },
                    "id",
                ),
                "Retry": {"allOf": [thing({"type": text("retry")}, "type"), thing({"next": {"type": "integer"}}, "next")]},
                "Text": thing({"type": text("text"), "text": text()}, "type", "text"),
            }
        },
    }


def update(document: Json) -> Json:
    """The operation that most changes are made to."""
    found: Json = document["paths"]["/session/{sessionID}"]["patch"]
    return found


def body(document: Json) -> Json:
    """Its body's schema."""
    found: Json = update(document)["requestBody"]["content"]["application/json"]["schema"]
    return found


def schema(document: Json, name: str) -> Json:
    """A named schema."""
    found: Json = document["components"]["schemas"][name]
    return found


def whats(document: Json) -> list[str]:
    """The differences of the operation that was changed; the other one has none."""
    found = drift(document, ROWS)
    assert {item.operation for item in found} <= {"PATCH /session/{session_id}"}
    assert not any(item.missing for item in found)
    return [item.what for item in found]


def test_the_description_that_we_rest_on_has_no_drift(document: Json) -> None:
    """References, alternatives, null and unnamed extras are followed or ignored."""
    assert drift(document, ROWS) == ()


CHANGES: dict[str, Callable[[Json], object]] = {
    "it is called session.patch, not session.update": lambda d: update(d).update(operationId="session.patch"),
    "query parameter directory is unknown": lambda d: update(d)["parameters"].pop(0),
    "header parameter x-token is now required": lambda d: update(d)["parameters"].append(
        {"name": "x-token", "in": "header", "required": True}
    ),
    "no answer 200 is described": lambda d: update(d)["responses"].update({"201": update(d)["responses"].pop("200")}),
    "body field title is not described": lambda d: body(d)["properties"].pop("title"),
    "body field parts[](type=text).text is not described": lambda d: schema(d, "Text")["properties"].pop("text"),
    "body field version is now required": lambda d: body(d)["required"].append("version"),
    "body field parts[](type=text).lang is now required": lambda d: schema(d, "Text")["required"].append("lang"),
    "body field reply has no value once any more": lambda d: body(d)["properties"]["reply"].update(enum=["always", "reject"]),
    "field id may be absent": lambda d: schema(d, "Session")["required"].remove("id"),
    "field time.created is not described": lambda d: schema(d, "Session")["properties"]["time"]["properties"].pop("created"),
    "field status(type=retry).next may be absent": lambda d: schema(d, "Retry")["allOf"][1].update(required=[]),
    "field status.type has the new value queued": lambda d: schema(d, "Session")["properties"]["status"]["anyOf"].append(
        thing({"type": text("queued")}, "type")
    ),
    "field tags[] is not described": lambda d: schema(d, "Session")["properties"]["tags"].pop("items"),
    "field marks{}.name is not described": lambda d: schema(d, "Session")["properties"]["marks"].pop("additionalProperties"),
}


@pytest.mark.parametrize("what", CHANGES)
def test_each_kind_of_difference_is_told(document: Json, what: str) -> None:
    """By operation and in words that name the field, the parameter or the value."""
    CHANGES[what](document)
    assert whats(document) == [what]


def test_an_alternative_that_is_gone_takes_its_fields_and_values_with_it(document: Json) -> None:
    """Every consequence is told, each once."""
    schema(document, "Session")["properties"]["status"]["anyOf"].pop(0)
    assert whats(document) == ["field status(type=retry).next is not described", "field status.type has no value retry any more"]


def test_a_value_that_may_be_anything_is_told(document: Json) -> None:
    """Then it may also be the form that we look for, without what that form always has."""
    schema(document, "Session")["properties"]["status"]["anyOf"].append(thing({"type": text()}, "type"))
    assert whats(document) == ["field status(type=retry).next may be absent", "field status.type is not limited to idle, retry"]


def test_a_missing_operation_is_told_apart_from_one_that_moved(document: Json) -> None:
    """Both are missing where we call it; where it stands now is said."""
    moved = document["paths"].pop("/session/{sessionID}/abort")
    operation = "POST /session/{session_id}/abort"
    assert drift(document, ROWS) == (Drift(operation, "the server does not offer it", missing=True),)
    document["paths"]["/api/session/{sessionID}/stop"] = moved
    assert drift(document, ROWS) == (Drift(operation, "session.abort is now POST /api/session/{sessionID}/stop", missing=True),)


@pytest.mark.parametrize("other", [None, [], "<html>", {}, {"openapi": "3.1.0"}, {"paths": []}])
def test_what_is_no_description_is_an_error(other: object) -> None:
    """It must not look like a server without any operation."""
    with pytest.raises(ActionFailed, match="API description"):
        drift(other)


@pytest.mark.parametrize(
    "value", [None, 7, "x", [], [None], {"$ref": 7}, {"$ref": "#/nowhere"}, {"$ref": "http://127.0.0.1:9/x"}, {"anyOf": 3}]
)
def test_a_description_of_any_shape_is_compared_without_falling_over(document: Json, value: object) -> None:
    """In every place of the document; nothing is fetched from anywhere."""
    for place in _places(document):
        changed = copy.deepcopy(document)
        holder: Any = changed
        for key in place[:-1]:
            holder = holder[key]
        holder[place[-1]] = value
        if isinstance(changed.get("paths"), dict):
            drift(changed, ROWS)


def _places(value: object, above: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = list(value.items()) if isinstance(value, dict) else list(enumerate(value)) if isinstance(value, list) else []
    return [place for key, part in inner for place in ((*above, key), *_places(part, (*above, key)))]


def test_a_schema_that_holds_itself_ends(document: Json) -> None:
    """Reference loops and alternatives of themselves are no forms."""
    document["components"]["schemas"]["Session"] = {"anyOf": [{"$ref": "#/components/schemas/Session"}]}
    assert "field id is not described" in whats(document)
    document["components"]["schemas"]["Session"] = {"$ref": "#/components/schemas/Session"}
    assert "field id is not described" in whats(document)


def test_every_route_that_may_be_called_stands_in_the_contract() -> None:
    """Once; but for the description itself, which does not describe itself."""
    assert sorted(row.route.name for row in contract.OPERATIONS) == sorted(route.name for route in routes.ALL if route is not routes.DOC)


def test_every_line_of_the_contract_is_written_as_it_says() -> None:
    """A misspelt line would be compared as something else."""
    from tests.support.api_drift import _Field

    for row in contract.OPERATIONS:
        for line in (*row.sends, *row.answers):
            field = _Field.read(line)
            rest = line.removeprefix("".join(step if step[0] in "([{" else f".{step}" for step in field.steps).lstrip("."))
            assert rest in ("", "!") or rest[0] in "=>", line
    with pytest.raises(ValueError, match="is not a field"):
        _Field.read("a=b=c")


def test_at_run_time_methods_and_paths_are_compared() -> None:
    """Parameters may have other names; an operation that is missing is named; what is no description is not checked."""
    called = [route for route in routes.ALL if route is not routes.DOC]
    paths: Json = {}
    for route in called:
        paths.setdefault(re.sub(r"\{\w+\}", "{anyName}", route.path), {})[route.method.lower()] = {}
    assert compare({"paths": paths}) == ApiCheck(checked=True, operations=len(called))
    del paths["/session/{anyName}/abort"]
    assert compare({"paths": paths}).missing == ("POST /session/{session_id}/abort",)
    for text in ("null", "[]", "{}", '{"paths": []}'):
        assert compare(json.loads(text)) == ApiCheck()
