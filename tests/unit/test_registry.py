"""Dispatching: the time that a call has, and what becomes of an output that is not what was promised."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anyio
import pytest

from netclaw_opencode._core import time_budget
from netclaw_opencode.actions import registry
from netclaw_opencode.actions.context import ActionContext
from netclaw_opencode.actions.registry import ActionDefinition, Handler, Registry
from netclaw_opencode.settings import Settings

OPEN: Mapping[str, object] = {"type": "object"}
CLOSED: Mapping[str, object] = {"type": "object", "properties": {"text": {"type": "string"}}, "additionalProperties": False}


def taking(name: str, default: float) -> Mapping[str, object]:
    """The input schema of an action with that limit."""
    return {"type": "object", "properties": {name: {"type": "number", "default": default}}}


def invoked(
    handler: Handler,
    folder: Path,
    *,
    states: float = 60.0,
    input_schema: Mapping[str, object] = OPEN,
    output_schema: Mapping[str, object] = OPEN,
    **arguments: object,
) -> dict[str, Any]:
    """The envelope of one call of an action with that handler; ``states`` is the deadline in its manifest."""
    actions = Registry()
    actions.register(ActionDefinition("try_it", "a-test", "run", "Try.", input_schema, output_schema, handler, deadline_seconds=states))

    async def run() -> dict[str, Any]:
        async with ActionContext(Settings(state_dir=folder)) as context:
            return await actions.invoke("try_it", arguments, context=context)

    return anyio.run(run)


async def times(_arguments: object, _context: object) -> dict[str, object]:
    """What is left to the deadline, and in all."""
    return {"work": time_budget.remaining_to_deadline(-1.0), "all": time_budget.remaining(-1.0)}


def test_the_manifest_s_deadline_holds_for_an_action_without_one_of_its_own(tmp_path: Path) -> None:
    """L33: it is cancelled then, and says so."""

    async def endless(_arguments: object, _context: object) -> dict[str, object]:
        await anyio.sleep_forever()
        raise AssertionError

    envelope = invoked(endless, tmp_path, states=0.05)
    assert envelope["error"]["code"] == "request_timeout"
    assert "try_it did not end within" in envelope["error"]["message"]


def test_an_action_with_a_deadline_may_stop_what_it_started_after_it(tmp_path: Path) -> None:
    """The limit that was given is the work's; stopping and proving it come after."""
    data = invoked(times, tmp_path, input_schema=taking("deadline_seconds", 60), states=60, deadline_seconds=20)["data"]
    assert 10 < data["work"] <= 20 < data["all"] <= 20 + registry.STOP_SECONDS


def test_a_limit_that_was_not_given_is_the_manifest_s(tmp_path: Path) -> None:
    """As the schema says."""
    data = invoked(times, tmp_path, input_schema=taking("wait_seconds", 45), states=45)["data"]
    assert 35 < data["work"] <= 45


def test_the_deadline_of_a_task_in_the_background_is_no_bound_of_the_call(tmp_path: Path) -> None:
    """The call that sends it ends long before: their defaults differ."""
    schema = taking("deadline_seconds", 3600)
    data = invoked(times, tmp_path, input_schema=schema, states=30, deadline_seconds=7200)["data"]
    assert data["work"] <= 30


def test_an_output_that_breaks_its_schema_is_returned_with_a_note(tmp_path: Path) -> None:
    """L14: what was done and paid for is not thrown away."""

    async def odd(_arguments: object, _context: object) -> dict[str, object]:
        return {"text": 7, "notes": ["first"]}

    envelope = invoked(odd, tmp_path, output_schema=CLOSED)
    assert (envelope["ok"], envelope["data"]["text"], envelope["data"]["notes"][0]) == (True, 7, "first")
    assert "the output breaks its schema" in envelope["data"]["notes"][-1]


@pytest.mark.parametrize("output", [None, "text", [1]])
def test_an_output_that_is_no_object_is_a_defect(tmp_path: Path, output: object) -> None:
    """There is nothing to add a note to."""

    async def odd(_arguments: object, _context: object) -> Any:  # noqa: ANN401 - the claim
        return output

    assert invoked(odd, tmp_path, output_schema=CLOSED)["error"]["code"] == "internal_error"
