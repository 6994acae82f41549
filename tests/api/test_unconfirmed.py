"""A stream that is left early and whose task is not seen stopped.

A real server that refuses to stop cannot be had on demand, so a plugin plays the action here.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping

import anyio
import pytest

from netclaw_opencode import AbortUnconfirmedError, AsyncOpenCode, OpenCode, Settings
from netclaw_opencode.actions.context import ActionCall
from netclaw_opencode.facts import ProgressEvent
from tests.adapters.host_plugins import hooks


def stubborn(call: ActionCall) -> Awaitable[Mapping[str, object]]:
    """Run for ever, and when cancelled say that the stop could not be seen."""

    async def run() -> Mapping[str, object]:
        call.context.hooks.on_event(ProgressEvent("status", "busy"))
        try:
            await anyio.sleep_forever()
            return {}
        finally:
            call.context.hooks.on_event(ProgressEvent("stopping", "not seen", facts={"confirmed": False, "active": ["ses_1"]}))

    return run()


PLUGINS = {"stubborn": hooks(run_action=stubborn)}


def test_a_block_that_is_left_says_so() -> None:
    """Without an error of the block's own, ``AbortUnconfirmedError`` is raised and names what may still run."""

    async def main() -> None:
        async with AsyncOpenCode(Settings(), plugins=PLUGINS) as oc, oc.stream_task("x") as task:
            async for _ in task:
                break

    with pytest.raises(AbortUnconfirmedError, match="not seen stopped") as caught:
        anyio.run(main)
    assert caught.value.details == {"active": ["ses_1"]}
    with OpenCode(Settings(), plugins=PLUGINS) as oc:
        task = oc.stream_task("x")
        task.__enter__()
        next(iter(task))
        with pytest.raises(AbortUnconfirmedError):
            task.__exit__(None, None, None)


def test_an_error_of_the_block_gets_a_note() -> None:
    """The block's own error is the one that counts; the note tells of the task."""

    async def main() -> None:
        async with AsyncOpenCode(Settings(), plugins=PLUGINS) as oc, oc.stream_task("x") as task:
            async for _ in task:
                raise KeyError("mine")

    with pytest.raises(KeyError, match="mine") as caught:
        anyio.run(main)
    assert caught.value.__notes__ == ["run_task was cancelled, but it is not seen stopped"]
