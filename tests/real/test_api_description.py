"""The real server's own description of its API is what we rest on; where it is not, check_availability says so."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from netclaw_opencode.errors import CODES
from tests.real.acting import Acting
from tests.support.api_contract import OPERATIONS, Operation
from tests.support.api_drift import _Described, _Field, _followed, _schema_of, drift

pytestmark = pytest.mark.real

Json = dict[str, Any]
Change = Callable[[Json], None]


@pytest.fixture(scope="session")
def description(opencode_server: Any) -> Json:  # noqa: ANN401 - the server of the whole run
    """The server's description."""
    with opencode_server.client() as client:
        read = client.get("/doc").json()
    assert isinstance(read, dict)
    return read


def test_the_real_description_has_no_drift(description: Json) -> None:
    """Every operation, parameter, field and value of the contract is as it says, on the version that we support."""
    assert drift(description) == ()


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.id)
def test_each_line_of_the_contract_is_looked_at(description: Json, operation: Operation) -> None:
    """Take any field away, or let it be absent: the comparison names it under its operation."""
    described = _Described(description)
    entry = described.operation(operation.route.method, operation.route.path)
    assert entry is not None
    answers = described.forms(_schema_of(described.resolved(_part(_part(entry, "responses"), operation.status))))
    sent = described.forms(_schema_of(described.resolved(entry.get("requestBody"))))
    for forms, line in (*((answers, line) for line in operation.answers), *((sent, line) for line in operation.sends)):
        field = _Field.read(line)
        key, places = _places(_followed(described, forms, field.holder), field.name)
        assert places, line
        taken = [(place, place.pop(key)) for place in places]
        assert any(field.name in item.what for item in drift(description, (operation,))), line
        for place, value in taken:
            place[key] = value
    assert drift(description, (operation,)) == ()


def _part(value: Any, key: str) -> Any:  # noqa: ANN401 - JSON
    return value[key]


def _places(holders: list[Any], name: str) -> tuple[str, list[Json]]:
    """Where the schema of that step stands."""
    if name in ("[]", "{}"):
        key = {"[]": "items", "{}": "additionalProperties"}[name]
        return key, [form for form in holders if key in form]
    return name, [form["properties"] for form in holders if name in form.get("properties", {})]


def test_a_server_as_described_is_available(acting: Acting) -> None:
    """The report says how many operations were compared, and that nothing differs."""
    report = acting.data("check_availability", start=False)
    assert report["api"] == {"checked": True, "operations": len(OPERATIONS), "drift": []}
    assert "api_drift" not in [problem["code"] for problem in report["problems"]]


@pytest.fixture
def described_as(monkeypatch: pytest.MonkeyPatch, description: Json) -> Callable[[Change], None]:
    """Let the server describe itself otherwise."""
    send = httpx.AsyncHTTPTransport.handle_async_request

    def describe(change: Change) -> None:
        changed = json.loads(json.dumps(description))
        change(changed)

        async def handle(transport: httpx.AsyncHTTPTransport, request: httpx.Request) -> httpx.Response:
            if request.url.path == "/doc":
                content = json.dumps(changed).encode()
                return httpx.Response(200, headers={"content-type": "application/json"}, stream=httpx.ByteStream(content))
            return await send(transport, request)

        monkeypatch.setattr(httpx.AsyncHTTPTransport, "handle_async_request", handle)

    return describe


def test_a_missing_operation_refuses_clearly(acting: Acting, described_as: Callable[[Change], None]) -> None:
    """The error api_drift (exit code 5) names the operation; the report stands in the details."""

    def without_abort(document: Json) -> None:
        del document["paths"]["/session/{sessionID}/abort"]

    described_as(without_abort)
    error = acting.error("check_availability", start=False)
    assert (error["code"], CODES["api_drift"].exit_code) == ("api_drift", 5)
    assert "POST /session/{session_id}/abort" in error["message"]
    assert error["details"]["available"] is False
    assert error["details"]["api"]["drift"] == [{"operation": "POST /session/{session_id}/abort", "what": "the server does not offer it"}]


def test_what_stands_in_answers_is_not_compared_at_run_time(acting: Acting, described_as: Callable[[Change], None]) -> None:
    """A new status, a renamed field: the tests notice that for each new OpenCode; the report does not warn of it."""

    def other(document: Json) -> None:
        document["components"]["schemas"]["PermissionRequest"]["properties"].pop("permission")

    described_as(other)
    report = acting.data("check_availability", start=False)
    assert report["api"] == {"checked": True, "operations": len(OPERATIONS), "drift": []}
    assert "api_drift" not in [problem["code"] for problem in report["problems"]]


def test_a_server_without_a_description_is_not_worse_for_it(acting: Acting, described_as: Callable[[Change], None]) -> None:
    """Then nothing was checked, and the report says that."""
    described_as(lambda document: document.clear())
    assert acting.data("check_availability", start=False)["api"] == {"checked": False, "operations": 0, "drift": []}
