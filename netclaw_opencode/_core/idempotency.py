"""Idempotency keys: a caller's name for one request, as digests.

Owns what of a request belongs to it, and the digests. Where they are remembered is ``driver.keys``' (the server) and ``work.keyed``'s
(this machine).
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from netclaw_opencode.jsontypes import JsonObject

_NOT_THE_REQUEST = frozenset({"idempotency_key", "deadline_seconds", "apply"})
"""Arguments that may differ between two calls for the same task: work that is done can still be applied."""


@dataclass(frozen=True, slots=True)
class Key:
    """Digests of a caller's key (with the action's name) and of the request that was made under it."""

    digest: str
    request: str

    def marks(self) -> dict[str, object]:
        """Return what is written on the session."""
        return {f"key:{self.digest}": self.request}

    def part(self, name: str) -> Key:
        """Return the key of a part of the same task."""
        return replace(self, digest=_digest(f"{self.digest}\0{name}"))


def read_key(arguments: JsonObject, *, action: str) -> Key | None:
    """Return the key of a call, or None where it has none."""
    given = arguments.get("idempotency_key")
    if not isinstance(given, str):
        return None
    request = {name: value for name, value in arguments.items() if name not in _NOT_THE_REQUEST}
    return Key(_digest(f"{action}\0{given}"), _digest(json.dumps(request, sort_keys=True, ensure_ascii=False)))


def key_of_prompt(message_id: str) -> Key:
    """Return the key under which this machine remembers a prompt that nobody waits for."""
    return Key(_digest(f"prompt\0{message_id}"), _digest(message_id))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


__all__ = ["Key", "key_of_prompt", "read_key"]
