"""Check that the server offers every operation that the driver calls, by its own description (``/doc``).

Only methods and paths are compared. What stands in requests and answers is compared by a test, for each new OpenCode.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from netclaw_opencode.errors import DriverError
from netclaw_opencode.opencode.wire import routes

if TYPE_CHECKING:
    from netclaw_opencode.opencode.connection import Connection


@dataclass(frozen=True, slots=True)
class ApiCheck:
    """Result of the check.

    Attributes:
        checked: Whether the description could be read; a server without one is no worse for it.
        operations: Number of operations compared.
        missing: Operations that the server does not offer, as method and path.
    """

    checked: bool = False
    operations: int = 0
    missing: tuple[str, ...] = ()

    def to_wire(self) -> dict[str, object]:
        """Return the form in the report of check_availability."""
        drift = [{"operation": name, "what": "the server does not offer it"} for name in self.missing]
        return {"checked": self.checked, "operations": self.operations, "drift": drift}


async def check_api(connection: Connection) -> ApiCheck:
    """Read the description and compare it. The server makes it when it is first asked, which takes a second or two."""
    try:
        document = await connection.http.call(routes.DOC)
    except DriverError:
        return ApiCheck()
    return compare(document)


def compare(document: object) -> ApiCheck:
    """Compare an OpenAPI document with the routes that the driver calls, whatever their parameters are called."""
    paths = document.get("paths") if isinstance(document, Mapping) else None
    if not isinstance(paths, Mapping):
        return ApiCheck()
    offered = {
        (str(method).upper(), _without_names(str(path)))
        for path, methods in paths.items()
        for method in (methods if isinstance(methods, Mapping) else ())
    }
    # The description does not describe itself.
    called = [route for route in routes.ALL if route is not routes.DOC]
    missing = tuple(f"{route.method} {route.path}" for route in called if (route.method, _without_names(route.path)) not in offered)
    return ApiCheck(checked=True, operations=len(called), missing=missing)


def _without_names(path: str) -> str:
    return re.sub(r"\{\w+\}", "{}", path)


__all__ = ["ApiCheck", "check_api", "compare"]
