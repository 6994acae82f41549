"""Which call uses which connection: no call can close what another one uses.

A call holds the connection that it got first until it ends or lets go of it; a connection that was retired is
closed when its last call has ended.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import anyio

if TYPE_CHECKING:
    from netclaw_opencode.opencode.addresses import Address
    from netclaw_opencode.opencode.connection import Connection


@dataclass(slots=True, eq=False)
class Line:
    """A connection, the address that it leads to, and how many calls use it."""

    connection: Connection
    address: Address
    users: int = 0
    retired: bool = False


@dataclass(slots=True, eq=False)
class Lease:
    """What one call uses of one ``Leases``; nothing until it connects."""

    of: Leases
    line: Line | None = None


_current: ContextVar[Lease | None] = ContextVar("netclaw_opencode_lease", default=None)


@dataclass(slots=True, eq=False)
class Leases:
    """The lines of one driver: at most one that new calls get, and retired ones that are still in use."""

    current: Line | None = None
    _lines: list[Line] = field(default_factory=list)

    @contextmanager
    def call(self) -> Iterator[Lease]:
        """Open the time of one call; the caller calls ``release`` at its end."""
        lease = Lease(self)
        token = _current.set(lease)
        try:
            yield lease
        finally:
            _current.reset(token)

    def mine(self) -> Lease | None:
        """Return the lease of the call that runs here; None outside of calls."""
        lease = _current.get()
        return lease if lease is not None and lease.of is self else None

    def add(self, connection: Connection, address: Address) -> None:
        """From now on this is the connection that calls get."""
        self.current = Line(connection, address)
        self._lines.append(self.current)

    def take(self) -> Connection:
        """Return the current connection, leased to the call that runs here."""
        assert self.current is not None  # the caller has just looked
        lease = self.mine()
        if lease is not None and lease.line is None:
            lease.line = self.current
            self.current.users += 1
        return self.current.connection

    async def release(self, lease: Lease) -> None:
        """Let go of what the call uses."""
        line, lease.line = lease.line, None
        if line is not None:
            line.users -= 1
            await self._close_unused(line)

    async def retire(self) -> None:
        """No later call gets the current connection."""
        line, self.current = self.current, None
        if line is not None:
            line.retired = True
            await self._close_unused(line)

    async def close(self) -> None:
        """Close every connection, used or not."""
        self.current = None
        for line in tuple(self._lines):
            await self._close(line)

    async def _close_unused(self, line: Line) -> None:
        if line.retired and line.users == 0:
            await self._close(line)

    async def _close(self, line: Line) -> None:
        if line in self._lines:
            self._lines.remove(line)
            with anyio.CancelScope(shield=True):
                await line.connection.close()


__all__ = ["Lease", "Leases", "Line"]
