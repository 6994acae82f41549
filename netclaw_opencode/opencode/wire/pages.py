"""The messages of a session in pages, newest page first: for whoever reads a whole history and keeps little of it.

Owns how large a page is made. What a message means is for its reader.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from netclaw_opencode.errors import ActionFailed
from netclaw_opencode.opencode.wire import reading, routes
from netclaw_opencode.opencode.wire.http import HttpNotFoundError

if TYPE_CHECKING:
    from netclaw_opencode.opencode.wire.http import HttpClient
    from netclaw_opencode.opencode.wire.types import Message, Session

_FIRST = 4
"""A prompt, a call of a tool, and the answer; one more for the next."""
_PAGE_BYTES = 256 * 1024
"""About as much as a page of older messages is made to hold; a single message may be larger."""
_MOST_IN_PAGE = 100


def next_page_size(before: int, *, per_message: float) -> int:
    """Return how many messages the next page should have.

    Args:
        before: How many the last one had.
        per_message: The size of one of them, in bytes.
    """
    # Never much more than twice the last one: what comes may be larger than what was seen.
    return max(1, min(int(_PAGE_BYTES / max(per_message, 1.0)), 2 * before, _MOST_IN_PAGE))


async def read_pages(http: HttpClient, session: Session) -> AsyncIterator[tuple[Message, ...]]:
    """Yield the pages of a session's messages, each of them oldest first; none is kept here.

    Raises:
        ActionFailed: ``session_not_found``.
    """
    limit, cursor = _FIRST, None
    while True:
        try:
            answer = await http.page(
                routes.MESSAGES, ids={"session_id": session.id}, directory=session.directory, limit=limit, before=cursor
            )
        except HttpNotFoundError as error:
            raise session_not_found(session.id) from error
        messages = reading.messages(answer.content)
        yield messages
        cursor = answer.next_cursor
        if cursor is None:
            return
        limit = next_page_size(limit, per_message=answer.size / max(len(messages), 1))


def session_not_found(session_id: str) -> ActionFailed:
    """Return the error for a session that is not there; an abort of it would have answered ``true`` (F22)."""
    return ActionFailed("session_not_found", f"the server has no session {session_id}", details={"session_id": session_id})


__all__ = ["next_page_size", "read_pages", "session_not_found"]
