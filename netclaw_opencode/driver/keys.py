"""Idempotency keys: the same key from any process means the same task, never a second one.

Owns how a key and the request under it are written into a session's tag (as digests) and found again. The server is the
memory of sessions; a lock of this machine keeps two processes from creating at the same moment.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING

from netclaw_opencode.driver import sessions
from netclaw_opencode.driver.tags import SessionTag, own_tags
from netclaw_opencode.errors import Refused

if TYPE_CHECKING:
    from netclaw_opencode._core.idempotency import Key
    from netclaw_opencode.opencode.connection import Connection
    from netclaw_opencode.opencode.wire.types import Session

_LOCK_SECONDS = 15.0
_MOST = 10_000
"""As many sessions as are looked through for a key: more than anybody keeps, and a bound on what is read."""


def has_key(session: Session, key: Key) -> bool:
    """Return whether this session carries the key; raises ``Refused`` (``idempotency_conflict``) for another request under it."""
    request = SessionTag.read(session).keys.get(key.digest)
    if request is None:
        return False
    if request != key.request:
        raise Refused(
            "idempotency_conflict",
            f"the idempotency key was used for another request, in session {session.id}; nothing was sent",
            rule="send-once",
            details={"session_id": session.id},
        )
    return True


async def find_or_create(
    connection: Connection, key: Key, create: Callable[[], Awaitable[Session]], *, attempt: int | None = None
) -> tuple[Session, bool]:
    """Find the session of this key, or create it; returns it, and whether it is new.

    Args:
        connection: The server that remembers.
        key: The key and its request.
        create: Makes the session, with the key in its tag.
        attempt: Which of a task's models it must serve; None for an action that makes one session only.
    """
    async with connection.locked(f"key-{key.digest[:32]}", within_seconds=_LOCK_SECONDS) as mine:
        if not mine:
            raise Refused("session_locked", "another call with the same idempotency key is being started", rule="send-once")
        found = await find_sessions(connection, key)
        number = attempt or 0
        return (found[number], False) if number in found else (await create(), True)


async def find_sessions(connection: Connection, key: Key) -> dict[int, Session]:
    """Return the sessions of this key by number of attempt; raises ``Refused`` (``idempotency_conflict``) for another request under it."""
    (found,) = await find_sessions_of_all(connection, [key])
    return found


async def find_sessions_of_all(connection: Connection, keys: Iterable[Key]) -> list[dict[int, Session]]:
    """Return the same for several keys, with one look at the server's sessions."""
    # Oldest first, and never a fork's copy of the key.
    listed = own_tags(await sessions.list_newest(connection, directory=None, limit=_MOST))
    all_found: list[dict[int, Session]] = []
    for key in keys:
        found: dict[int, Session] = {}
        for session, tag in listed:
            if has_key(session, key):
                found.setdefault(tag.attempt or 0, session)
        all_found.append(found)
    return all_found
