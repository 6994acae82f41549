"""Awaiting side by side: results in order, one plain error, and nothing left running."""

from __future__ import annotations

import anyio
import pytest

from netclaw_opencode._core.concurrency import gather
from netclaw_opencode.errors import ActionFailed


async def value(of: object, *, after: anyio.Event | None = None) -> object:
    """``of``, once the event is there."""
    if after is not None:
        await after.wait()
    return of


async def failing(error: Exception) -> object:
    """Fails at its first step."""
    await anyio.lowlevel.checkpoint()
    raise error


def test_results_come_in_the_order_of_the_calls() -> None:
    """Whatever finishes first, the first result belongs to the first awaitable."""

    async def run() -> None:
        gate = anyio.Event()

        async def opens() -> str:
            gate.set()
            return "second"

        assert await gather(value("first", after=gate), opens()) == ("first", "second")
        assert await gather(value(1), value(2), value(3)) == (1, 2, 3)

    anyio.run(run)


def test_a_failure_is_raised_as_itself_and_ends_the_others() -> None:
    """The caller sees the error, never a group, and no other awaitable goes on."""
    ended: list[str] = []

    async def endless() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            ended.append("cancelled")

    async def run() -> None:
        await gather(endless(), failing(ActionFailed("bad_response", "x")), endless())

    with pytest.raises(ActionFailed) as caught:
        anyio.run(run)
    assert caught.value.code == "bad_response"
    assert ended == ["cancelled", "cancelled"]


def test_an_error_from_within_groups_is_still_a_plain_one() -> None:
    """Nested calls do not nest their errors."""

    async def inner() -> object:
        return await gather(value(1), failing(ActionFailed("bad_response", "deep")))

    async def run() -> None:
        await gather(value(1), inner())

    with pytest.raises(ActionFailed, match="deep"):
        anyio.run(run)


def test_cancelling_the_caller_cancels_everything() -> None:
    """A deadline around the call ends all of it, and is seen as a deadline."""
    ended: list[int] = []

    async def endless(number: int) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            ended.append(number)

    async def run() -> bool:
        with anyio.move_on_after(0.01) as scope:
            await gather(endless(1), endless(2))
        return scope.cancelled_caught

    assert anyio.run(run)
    assert sorted(ended) == [1, 2]
