"""Whether the server's API is the one that we rest on, by its own description.

Owns the reading of ``/doc`` for that. A server whose description cannot be read is not checked, and is no worse for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from netclaw_opencode.errors import DriverError
from netclaw_opencode.opencode.wire import routes
from netclaw_opencode.opencode.wire.contract import OPERATIONS
from netclaw_opencode.opencode.wire.drift import Drift, drift

if TYPE_CHECKING:
    from netclaw_opencode.opencode.connection import Connection


@dataclass(frozen=True, slots=True)
class ApiCheck:
    """``operations`` is how many were compared; ``missing`` and ``changed`` are the differences of the two kinds."""

    checked: bool = False
    operations: int = 0
    missing: tuple[Drift, ...] = ()
    changed: tuple[Drift, ...] = ()

    def to_wire(self) -> dict[str, object]:
        """The form in the report of check_availability."""
        found = (*self.missing, *self.changed)
        return {"checked": self.checked, "operations": self.operations, "drift": [item.to_wire() for item in found]}


async def check_api(connection: Connection) -> ApiCheck:
    """Read the description and compare it. The server makes it when first asked, which takes a second or two."""
    try:
        found = drift(await connection.http.call(routes.DOC))
    except DriverError:
        return ApiCheck()
    missing = tuple(item for item in found if item.missing)
    return ApiCheck(True, len(OPERATIONS), missing, tuple(item for item in found if not item.missing))


__all__ = ["ApiCheck", "check_api"]
