"""What is generated is what the manifest says now."""

from __future__ import annotations

import dataclasses
import inspect
from typing import get_type_hints

import pytest

import netclaw_opencode
from netclaw_opencode import AsyncOpenCode, OpenCode, OpenCodeError, errors
from netclaw_opencode.api import exceptions, results
from netclaw_opencode.errors import CODES
from netclaw_opencode.manifest import ActionEntry, load_manifest
from scripts import generate_api

ACTIONS = load_manifest().actions
CLASSES: list[type] = [getattr(results, name) for name in results.__all__]

each_action = pytest.mark.parametrize("entry", ACTIONS.values(), ids=list(ACTIONS))


def test_the_generated_modules_are_up_to_date(capsys: pytest.CaptureFixture[str]) -> None:
    """``make lint`` fails on drift; so does this."""
    assert generate_api.main(["--check"]) == 0, capsys.readouterr().out


@each_action
@pytest.mark.parametrize("client", [OpenCode, AsyncOpenCode])
def test_every_action_is_a_method(entry: ActionEntry, client: type) -> None:
    """Every argument of the action is a parameter, required ones come first and by position, and every hint can be resolved."""
    method = getattr(client, entry.name)
    parameters = list(inspect.signature(method).parameters.values())[1:]
    names = [parameter.name for parameter in parameters]
    properties: dict[str, object] = entry.input_schema["properties"]  # type: ignore[assignment]
    required: list[str] = entry.input_schema.get("required", [])  # type: ignore[assignment]
    assert set(names) - {"on_permission", "on_question"} == {name.removesuffix("_seconds") for name in properties}
    tasks = ["items"] if entry.name in ("run_batch", "submit_batch") else []
    assert [parameter.name for parameter in parameters if parameter.kind is parameter.POSITIONAL_OR_KEYWORD] == required + tasks
    # A batch can be iterated as well as awaited.
    assert inspect.iscoroutinefunction(method) is (client is AsyncOpenCode and entry.name != "run_batch")
    assert "return" in get_type_hints(method)
    assert entry.summary in (method.__doc__ or "")


@each_action
def test_an_example_of_the_manifest_is_a_typed_result(entry: ActionEntry) -> None:
    """Each example's output becomes a result, and ``to_dict`` gives it back."""
    kind = get_type_hints(getattr(OpenCode, entry.name))["return"]
    for example in entry.examples:
        result = kind.from_dict(example.output)
        assert result.to_dict() == example.output
        assert dataclasses.replace(result, _data=None).to_dict().keys() <= {field.name for field in dataclasses.fields(result)}


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_results_are_frozen_and_slotted(kind: type) -> None:
    """No result can be changed, and none takes a field that it does not have."""
    assert kind.__dataclass_params__.frozen  # type: ignore[attr-defined]
    assert "__slots__" in vars(kind)
    assert kind.__doc__ and not kind.__doc__.startswith(kind.__name__)


def test_every_code_has_a_class() -> None:
    """The class of a code stands under the one of its exit code, and tells what the table tells."""
    leaves = {code: kind for code, kind in errors._CLASSES.items() if kind.__module__ == exceptions.__name__}
    assert leaves.keys() == CODES.keys()
    for code, kind in leaves.items():
        assert issubclass(kind, OpenCodeError)
        assert kind.exit_code == CODES[code].exit_code
        assert " ".join(CODES[code].summary.split()) in " ".join((kind.__doc__ or "").split())


def test_the_package_shows_what_it_has() -> None:
    """``dir`` lists every export, and every export exists."""
    assert set(netclaw_opencode.__all__) <= set(dir(netclaw_opencode))
    assert {"OpenCode", "AsyncOpenCode", "RunTaskResult", "DeadlineError", "ToolEvent", "ModelRef"} <= set(netclaw_opencode.__all__)
    for name in netclaw_opencode.__all__:
        assert getattr(netclaw_opencode, name) is not None
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = netclaw_opencode.no_such_name
