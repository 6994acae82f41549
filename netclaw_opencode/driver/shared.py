"""One read for many who ask at the same moment.

Owns the sharing of reads that answer for a whole directory, such as the status map: two hundred turns that end at the same deadline
must not ask two hundred times. Whoever asks gets an answer to a read that *began after the asking*, as if the read were its own.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import anyio

from netclaw_opencode.errors import DriverError, error_of

T = TypeVar("T")


@dataclass(slots=True)
class _Entry(Generic[T]):
    lock: anyio.Lock = field(default_factory=anyio.Lock)
    users: int = 0
    begun: int = 0
    done: int = 0
    """The newest read that has an answer: ``value``, or the failure ``error``."""
    value: T | None = None
    error: DriverError | None = None


class SharedReads(Generic[T]):
    """Reads by key. A failure is shared as well; a cancelled reader leaves its turn to the next who waits."""

    def __init__(self) -> None:
        self._entries: dict[str, _Entry[T]] = {}

    async def read(self, key: str, make: Callable[[], Awaitable[T]]) -> T:
        """The answer of ``make()``, made here or by another who waits for the same key; raises what it raised."""
        entry = self._entries.setdefault(key, _Entry())
        entry.users += 1
        wanted = entry.begun + 1
        try:
            async with entry.lock:
                if entry.done < wanted:
                    await _make(entry, make)
                if entry.error is not None:
                    # Each one's own: callers add to the error that they pass on.
                    raise _copy(entry.error)
                assert entry.value is not None  # a read without an error has an answer
                return entry.value
        finally:
            entry.users -= 1
            if not entry.users:
                self._entries.pop(key, None)


async def _make(entry: _Entry[T], make: Callable[[], Awaitable[T]]) -> None:
    entry.begun += 1
    number = entry.begun
    try:
        entry.value, entry.error = await make(), None
    except DriverError as error:
        entry.error = error
    entry.done = number


def _copy(error: DriverError) -> DriverError:
    return error_of(error.code, error.message, rule=error.rule, next=error.next, details=dict(error.details))


__all__ = ["SharedReads"]
