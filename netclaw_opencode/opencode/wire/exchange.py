"""What the flight record keeps of the server: one line for each request, one for each event of a followed session.

Owns the choice of the facts: names, ids, states and sizes; never a body's text, a header, a title or a provider's words.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from netclaw_opencode.errors import DriverError
from netclaw_opencode.records.recorder import Note, Recorder

if TYPE_CHECKING:
    from netclaw_opencode.opencode.wire.routes import Route
    from netclaw_opencode.opencode.wire.types import ServerEvent

_DELTA = "message.part.delta"


@dataclass(slots=True)
class Exchange:
    """One request on its way, with its repetitions; sizes are those of the bodies, in bytes."""

    record: Recorder
    route: Route
    path: str
    sent: int
    ids: Mapping[str, str]
    tries: int = 0
    status: int | None = None
    received: int = 0

    @contextmanager
    def note_when_done(self) -> Iterator[None]:
        """Note the request when the block ends, however it ends."""
        began = time.perf_counter()
        code: str | None = "cancelled"
        try:
            yield
            code = None
        except DriverError as error:
            code = error.code
            raise
        finally:
            self.record.note(
                "request",
                route=self.route.name,
                method=self.route.method,
                path=self.path,
                status=self.status,
                code=code if self.status is None or self.status < 300 else None,
                tries=self.tries if self.tries > 1 else None,
                sent=self.sent or None,
                bytes=self.received,
                ms=round((time.perf_counter() - began) * 1000, 1),
                **self.ids,
            )


@dataclass(slots=True, eq=False)
class EventLog:
    """Notes the events of one subscription. Pieces of text come by the hundred, so they are only counted."""

    note: Note
    _deltas: int = field(default=0)

    def take(self, event: ServerEvent) -> None:
        """Note the event, and how many pieces of text came before it."""
        if event.type == _DELTA:
            self._deltas += 1
            return
        self.note("event", type=event.type, session_id=event.session_id, deltas=self._deltas or None, **_words(event))
        self._deltas = 0

    def stream(self, state: str, *, code: str | None = None) -> None:
        """Note that the stream which carries the events was opened or lost."""
        self.note("stream", state=state, code=code)


def _words(event: ServerEvent) -> dict[str, object]:
    """Return what happened, in the server's own words for it."""
    about = event.properties
    status, info, part, error = (_object(about.get(key)) for key in ("status", "info", "part", "error"))
    found: dict[str, object] = {
        "status": status.get("type") or _object(part.get("state")).get("status"),
        "attempt": status.get("attempt"),
        "role": info.get("role"),
        "finish": info.get("finish"),
        "part": part.get("type"),
        "tool": part.get("tool"),
        "error": error.get("name") or _object(info.get("error")).get("name"),
        "permission": about.get("permission"),
        "request_id": about.get("id") or about.get("requestID"),
    }
    return {name: value for name, value in found.items() if isinstance(value, str | int)}


def _object(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}


__all__ = ["EventLog", "Exchange"]
