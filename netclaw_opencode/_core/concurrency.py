"""Awaiting several things side by side, with one plain exception when one fails.

Owns the unwrapping of exception groups: callers see the first error of ours, never a group.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TypeVar, overload

import anyio

A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")


@overload
async def gather(first: Awaitable[A], second: Awaitable[B], /) -> tuple[A, B]: ...
@overload
async def gather(first: Awaitable[A], second: Awaitable[B], third: Awaitable[C], /) -> tuple[A, B, C]: ...
async def gather(*awaitables: Awaitable[object]) -> tuple[object, ...]:
    """Return the results in order; the first failure cancels the others and is raised as itself."""
    results: list[object] = [None] * len(awaitables)

    async def keep(index: int, awaitable: Awaitable[object]) -> None:
        results[index] = await awaitable

    try:
        async with anyio.create_task_group() as tasks:
            for index, awaitable in enumerate(awaitables):
                tasks.start_soon(keep, index, awaitable)
    except BaseExceptionGroup as group:
        raise _first_error(group) from None
    return tuple(results)


def _first_error(group: BaseExceptionGroup[BaseException]) -> BaseException:
    error = group.exceptions[0]
    return _first_error(error) if isinstance(error, BaseExceptionGroup) else error
