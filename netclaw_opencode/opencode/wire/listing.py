"""Lists of sessions, read in pages: neither many sessions nor large ones make a list unreadable.

Owns the paging. ``GET /experimental/session`` lists what was changed last first; its ``cursor`` is a time: what was changed
before that millisecond follows. So the next page's cursor can be computed from this page's last session.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from netclaw_opencode.errors import DriverError
from netclaw_opencode.opencode.wire import reading, routes

if TYPE_CHECKING:
    from netclaw_opencode.opencode.wire.http import HttpClient
    from netclaw_opencode.opencode.wire.types import Session

PAGE = 100
"""As many sessions as are asked for at once; a session without large metadata takes 1 to 2 KB."""
_NEVER_MS = 1 << 43
"""A moment beyond every session's: the year 2248."""


@dataclass(frozen=True, slots=True)
class Listing:
    """Sessions, newest first; ``unreadable`` counts places where one session alone is larger than an answer may be."""

    sessions: tuple[Session, ...]
    unreadable: int = 0


async def list_sessions(client: HttpClient, *, directory: str | None = None, most: int) -> Listing:
    """Read the sessions that were changed last, of one directory or of all, ``most`` at most."""
    found: dict[str, Session] = {}
    before_ms: int | None = None
    newest_ms: int | None = None
    size, unreadable, pages = min(PAGE, most), 0, 0
    while len(found) < most:
        try:
            page = await _read_page(client, directory, size, {"cursor": before_ms})
        except DriverError as error:
            if error.code != "response_too_large":
                raise
            if size > 1:
                size = max(1, size // 4)
                continue
            unreadable += 1
            before_ms = await _find_cursor_before_large(client, directory, before_ms)
            continue
        pages += 1
        newest_ms = page[0].updated_ms if newest_ms is None and page else newest_ms
        is_new = any(item.id not in found for item in page)
        found |= {item.id: item for item in page}
        if len(page) < size:
            break
        # The same millisecond once more: others may have been changed in it.
        before_ms = page[-1].updated_ms + (1 if is_new else 0)
        size = min(PAGE, size * 2)
    if pages > 1 and newest_ms is not None:
        # What was changed while the pages were read has moved to the front.
        found |= {item.id: item for item in await _read_page(client, directory, PAGE // 4, {"start": newest_ms})}
    # Of one directory: the server may understand it as that of a whole project (F20).
    kept = [item for item in found.values() if directory in (None, item.directory)]
    return Listing(tuple(sorted(kept, key=lambda item: (-item.created_ms, item.id))[:most]), unreadable)


async def _read_page(client: HttpClient, directory: str | None, size: int, times: Mapping[str, int | None]) -> tuple[Session, ...]:
    query = {"limit": str(size)} | {name: str(value) for name, value in times.items() if value is not None}
    return reading.sessions(await client.call(routes.ALL_SESSIONS, directory=directory, query=query))


async def _find_cursor_before_large(client: HttpClient, directory: str | None, before_ms: int | None) -> int:
    """Return a cursor that passes over the session next to ``before_ms``: its own time is in the answer that is too large.

    Looked for by steps that double, since the next session is seldom far, and then by halving.
    """
    large = _NEVER_MS if before_ms is None else before_ms
    step = 1 if before_ms is not None else large // 2
    readable = max(0, large - step)
    while readable and not await _is_readable(client, directory, readable):
        large, step = readable, step * 2
        readable = max(0, large - step)
    while large - readable > 1:
        middle = (readable + large) // 2
        if await _is_readable(client, directory, middle):
            readable = middle
        else:
            large = middle
    return readable


async def _is_readable(client: HttpClient, directory: str | None, before_ms: int) -> bool:
    try:
        await _read_page(client, directory, 1, {"cursor": before_ms})
    except DriverError as error:
        if error.code != "response_too_large":
            raise
        return False
    return True


__all__ = ["PAGE", "Listing", "list_sessions"]
