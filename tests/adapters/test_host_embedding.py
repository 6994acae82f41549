"""The Python form: data on success, the very exception of the driver on failure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import anyio
import pytest

from netclaw_opencode import AsyncOpenCode, OpenCode
from netclaw_opencode.actions.context import ActionContext
from netclaw_opencode.errors import InvalidInput, Refused
from netclaw_opencode.hookspecs import hookimpl
from netclaw_opencode.settings import Settings
from tests.adapters.host_plugins import Plugin, action


async def act(arguments: Mapping[str, object], context: ActionContext) -> Mapping[str, object]:
    """Return the arguments, or refuse."""
    if arguments.get("refuse"):
        raise Refused("session_used", "it has prior activity", rule="fresh-session", next="create_session", details={"session_id": "ses_1"})
    return {"got": dict(arguments)}


def skill() -> Plugin:
    """A plugin with one action, ``act``."""
    return Plugin("tested", action("act", "tested", handler=act))


@pytest.fixture
def opencode() -> Iterator[OpenCode]:
    """The Python form with the tested skill."""
    with OpenCode(Settings(), plugins={"tested": skill()}) as entered:
        yield entered


def test_a_call_returns_the_data(opencode: OpenCode) -> None:
    """``call`` takes keywords and gives what the action returned, without the envelope."""
    assert opencode.call("act", text="hi") == {"got": {"text": "hi"}}


def test_a_failed_call_raises_the_typed_error(opencode: OpenCode) -> None:
    """The exception is the one that the handler raised, in type and in content."""
    with pytest.raises(Refused, match="prior activity") as caught:
        opencode.call("act", refuse=True)
    error = caught.value
    assert (error.code, error.rule, error.next, error.details) == (
        "session_used",
        "fresh-session",
        "create_session",
        {"session_id": "ses_1"},
    )


def test_invoke_returns_the_envelope_whatever_it_says(opencode: OpenCode) -> None:
    """``invoke`` takes a mapping and raises nothing."""
    assert opencode.invoke("act", {"text": "hi"})["ok"] is True
    assert opencode.invoke("act", {"refuse": True})["ok"] is False
    assert opencode.invoke("no_such_action")["ok"] is False


def test_async_code_has_the_same_form() -> None:
    """``AsyncOpenCode`` differs in ``await`` only."""

    async def main() -> None:
        async with AsyncOpenCode(Settings(), plugins={"tested": skill()}) as opencode:
            assert await opencode.call("act", text="hi") == {"got": {"text": "hi"}}
            assert (await opencode.invoke("act"))["ok"] is True
            with pytest.raises(Refused):
                await opencode.call("act", refuse=True)

    anyio.run(main)


@pytest.mark.parametrize("kind", [OpenCode, AsyncOpenCode])
def test_a_plugin_that_cannot_be_taken_in_is_raised(kind: type[OpenCode] | type[AsyncOpenCode]) -> None:
    """Who names a plugin in code wants it in force: here a broken one is an error and not a note."""

    class Broken:
        @hookimpl
        def netclaw_befor_action(self) -> None: ...

    with pytest.raises(InvalidInput, match="netclaw_befor_action") as caught:
        kind(Settings(), plugins={"guard": Broken()})
    assert caught.value.code == "invalid_manifest"
    with pytest.raises(InvalidInput) as caught:
        kind(Settings(), plugins={"a": skill(), "b": skill()})
    assert caught.value.code == "name_clash"
