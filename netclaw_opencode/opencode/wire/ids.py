"""Ids: our own for messages and parts, and the check of everybody else's before a URL is built.

An id goes into the URL path as it is (F48), so nothing unchecked may come near one.
"""

from __future__ import annotations

import re
import secrets
import string
import threading
import time
from collections.abc import Callable

from netclaw_opencode.errors import InvalidInput

_BASE62 = string.digits + string.ascii_uppercase + string.ascii_lowercase
_PREFIXES = {"session_id": "ses", "message_id": "msg", "permission_id": "per", "question_id": "que", "parent_id": "ses"}


class IdMaker:
    """Time-ordered ids as the server makes them (F27): 12 hex digits of time and counter, then 14 random ones.

    The order matters to the server's own loop, so ids of one maker always ascend, whatever the clock does.
    """

    def __init__(self, *, epoch_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000) -> None:
        self._epoch_ms = epoch_ms
        self._last = 0
        self._lock = threading.Lock()

    def message(self) -> str:
        """Return a new message id."""
        return self._make("msg")

    def _make(self, prefix: str) -> str:
        with self._lock:
            self._last = max(self._last + 1, self._epoch_ms() * 4096)
            stamp = self._last & 0xFFFF_FFFF_FFFF
        return f"{prefix}_{stamp:012x}" + "".join(secrets.choice(_BASE62) for _ in range(14))


def part_id_for(message_id: str) -> str:
    """Return the id of a prompt's only part: made from the message's, so that repeating the one repeats the other (F27)."""
    return "prt_" + message_id.removeprefix("msg_")


def check_id(value: object, *, field: str = "session_id") -> str:
    """Return the id, if it is one that may stand in a URL.

    ``field`` names the input and, with it, the id's prefix. Raises ``InvalidInput`` (``invalid_input``).
    """
    prefix = _PREFIXES[field]
    shown = repr(value)[:60]
    if not isinstance(value, str):
        raise InvalidInput("invalid_input", f"{field} must be text such as {prefix}_…, not {shown}")
    if not re.fullmatch(rf"{prefix}_[0-9A-Za-z]{{10,64}}", value):
        raise InvalidInput("invalid_input", f"{field} {shown} must be {prefix}_ and 10 to 64 ASCII letters or digits")
    return value
