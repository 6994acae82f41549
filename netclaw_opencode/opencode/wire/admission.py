"""Which directory a request makes the server open, asked for before it is sent.

A request with a directory opens that one; one without opens the server's own; and one that names a session opens the
session's, whatever directory stands beside it (all measured on OpenCode 1.18.33).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

from netclaw_opencode.errors import DriverError
from netclaw_opencode.opencode.wire import routes
from netclaw_opencode.opencode.wire.routes import Route

_OPENS_NOTHING = frozenset({"health", "doc", "events"})
_PAGES = (100, 1000, 10_000)
"""Newest sessions that are listed in search of one, until it is among them."""
_SMALL_PAGES = (20, 5, 1)
"""The same where a hundred of them are too large an answer."""


class _Call(Protocol):
    def __call__(self, route: Route, *, query: Mapping[str, str] | None = None) -> Awaitable[object]: ...


class Admission:
    """Asks ``admit`` for every directory that a request opens; ``find`` finds a session's."""

    def __init__(
        self, admit: Callable[[str], None], find: Callable[[str], Awaitable[str | None]], *, own_directory: str | None = None
    ) -> None:
        self._admit = admit
        self._find = find
        self._own_directory = own_directory
        self._sessions: set[str] = set()

    async def require(self, route: Route, ids: Mapping[str, str], directory: str | None) -> None:
        """Raise what ``admit`` raises, before anything is sent."""
        if route.name in _OPENS_NOTHING:
            return
        session_id = ids.get("session_id")
        if directory is None and session_id is not None:
            if session_id in self._sessions:
                return
            directory = await self._find(session_id)
        elif directory is None:
            directory = self._own_directory
        if directory is not None:
            self._admit(directory)
            if session_id is not None:
                self._sessions.add(session_id)


async def directory_of(call: _Call, session_id: str) -> str | None:
    """Return the directory of a session, found by listing: to ask for the session itself would open it. None if there is none."""
    sizes = list(_PAGES)
    while sizes:
        size = sizes.pop(0)
        try:
            found = await call(routes.ALL_SESSIONS, query={"limit": str(size)})
        except DriverError as error:
            if error.code != "response_too_large" or size == _SMALL_PAGES[-1]:
                raise
            sizes = [item for item in _SMALL_PAGES if item < size]
            continue
        sessions = [item for item in found if isinstance(item, Mapping)] if isinstance(found, list) else []
        for item in sessions:
            if item.get("id") == session_id and isinstance(item.get("directory"), str):
                return str(item["directory"])
        if len(sessions) < size:
            return None
    return None


__all__ = ["Admission", "directory_of"]
