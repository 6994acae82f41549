"""Idempotency keys: the same key from any process means the same task, never a second one.

Owns how a key and the request under it are written into a session's marks (as digests) and found again. The server is the
memory; a lock of this machine keeps two processes from creating at the same moment.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from netclaw_opencode.driver import sessions
from netclaw_opencode.driver.rules import mark_of
from netclaw_opencode.errors import Refused

if TYPE_CHECKING:
    from netclaw_opencode.client.types import Session
    from netclaw_opencode.driver.connection import Connection
    from netclaw_opencode.jsontypes import JsonObject

_LOCK_SECONDS = 15.0
_NOT_THE_REQUEST = frozenset({"idempotency_key", "deadline_seconds"})
"""Arguments that may differ between two calls for the same task."""


@dataclass(frozen=True, slots=True)
class Key:
    """Digests of a caller's key (with the action's name) and of the request that was made under it."""

    digest: str
    request: str

    def marks(self) -> dict[str, object]:
        """What is written on the session."""
        return {f"key:{self.digest}": self.request}


def key_of(arguments: JsonObject, *, action: str) -> Key | None:
    """The key of a call, or None where it has none."""
    given = arguments.get("idempotency_key")
    if not isinstance(given, str):
        return None
    request = {name: value for name, value in arguments.items() if name not in _NOT_THE_REQUEST}
    return Key(_digest(f"{action}\0{given}"), _digest(json.dumps(request, sort_keys=True, ensure_ascii=False)))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def check(session: Session, key: Key) -> bool:
    """Whether this session carries the key; raises ``Refused`` (``idempotency_conflict``) for another request under it."""
    request = (mark_of(session) or {}).get(f"key:{key.digest}")
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


async def claimed(connection: Connection, key: Key, create: Callable[[], Awaitable[Session]]) -> tuple[Session, bool]:
    """The session of this key: the one that there is, or a new one; and whether it is new."""
    async with connection.locked(f"key-{key.digest[:32]}", within_seconds=_LOCK_SECONDS) as mine:
        if not mine:
            raise Refused("session_locked", "another call with the same idempotency key is being started", rule="send-once")
        # A fork carries a copy of its parent's marks for a moment, so the oldest is the one that was meant.
        for session in reversed(await sessions.listed(connection, directory=None, limit=sessions.MANY)):
            if check(session, key):
                return session, False
        return await create(), True
