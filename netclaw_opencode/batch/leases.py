"""Which workers live: each counts its beats in the database, and the others watch the count.

Owns the judgement. No clock is compared with another one: a worker is lost when its count stood still over a whole lease of the
observer's own steady clock, or at once where its process is seen to be gone from this machine.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field

from netclaw_opencode.opencode.process import identity, inspection
from netclaw_opencode.opencode.process.identity import ProcessIdentity

LEASE_SECONDS = 20.0
"""A worker whose beat is not seen for so long is lost."""
BEAT_SECONDS = 5.0
"""How often a worker shows that it lives."""
_LATE = 2.0
"""An observer that comes later than so many beats was held up itself, and begins to watch anew."""


@dataclass(slots=True)
class Watch:
    """What one worker has seen of the others' beats.

    Args:
        lease_seconds: How long a count may stand still.
        beat_seconds: How often ``lost`` is asked.
    """

    lease_seconds: float = LEASE_SECONDS
    beat_seconds: float = BEAT_SECONDS
    _seen: dict[str, tuple[int, float]] = field(default_factory=dict)
    _asked_at: float | None = None

    def lost(self, beats: Mapping[str, int], now: float) -> set[str]:
        """The workers whose count stood still for a whole lease; ``now`` is on the observer's steady clock."""
        if self._asked_at is not None and now - self._asked_at > _LATE * self.beat_seconds:
            # Held up (stopped, suspended, cut off): what was not seen meanwhile proves nothing about the others.
            self._seen.clear()
        self._asked_at = now
        self._seen = {name: self._seen.get(name, (beat, now)) for name, beat in beats.items()}
        for name, beat in beats.items():
            if self._seen[name][0] != beat:
                self._seen[name] = (beat, now)
        return {name for name, (_, since) in self._seen.items() if now - since >= self.lease_seconds}


def machine() -> str:
    """A name for this machine, or this container: what its workers may take over from each other without sharing directories.

    An image may hold a machine's id that every container of it then has, and two machines may number their namespaces alike:
    within a container its host name, which is its own there, belongs to the name.
    """
    namespace = identity.pid_namespace()
    name = f"{identity.machine() or identity.boot_id()}/{namespace}"
    return name if namespace in ("", identity.INITIAL_NAMESPACE) else f"{name}/{platform.node()}"


def this_process() -> str:
    """This process, as it is kept in the database."""
    return json.dumps({**identity.this_process().to_json(), "host": platform.node()})


def is_gone(kept: str) -> bool:
    """Whether a process that was kept by ``this_process`` is proved to have ended; of another machine's nothing is known.

    Machines that were copied together with their id, or a container beside this one, have another host name and are not judged.
    """
    value = json.loads(kept)
    found = ProcessIdentity.from_json(value)
    if found is None or value.get("host") != platform.node():
        return False
    here = identity.this_process()
    if found.shares_namespace(here):
        return not inspection.is_alive(found.pid, found.start_ticks)
    return found.ended_with_boot(here)


__all__ = ["BEAT_SECONDS", "LEASE_SECONDS", "Watch", "is_gone", "machine", "this_process"]
