"""The server's events, collected in the background over raw HTTP.

Owns one connection to an event route and the record of what came over it. Reads until it is closed; judges nothing.
"""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import httpx

from netclaw_opencode.testing.server import OpenCodeServer
from netclaw_opencode.testing.waiting import SOON


@dataclass(frozen=True, slots=True)
class Event:
    """One event; ``directory`` is known on the global stream only (F31)."""

    type: str
    properties: Mapping[str, object]
    directory: str | None
    raw: Mapping[str, object]

    @property
    def session_id(self) -> str | None:
        """The session that the event speaks of."""
        found = self.properties.get("sessionID")
        return found if isinstance(found, str) else None

    @property
    def info(self) -> Mapping[str, object]:
        """The message or session that the event carries."""
        found = self.properties.get("info")
        return found if isinstance(found, Mapping) else {}

    @property
    def part(self) -> Mapping[str, object]:
        """The message part that the event carries."""
        found = self.properties.get("part")
        return found if isinstance(found, Mapping) else {}


class EventLog:
    """A subscription, ready (``server.connected`` seen) on entry and closed on exit."""

    def __init__(self, server: OpenCodeServer, *, path: str = "/global/event", directory: str | None = None) -> None:
        self._client = server.client()
        self._path = path
        self._params = {} if directory is None else {"directory": directory}
        self._events: list[Event] = []
        self._changed = threading.Condition()
        self._socket: socket.socket | None = None
        self._thread = threading.Thread(target=self._read, name="event-log", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self.wait_for(lambda event: event.type == "server.connected")
        # The global stream loses what happens right after this event (up to 1 in 4); a few round trips later it is complete.
        for _ in range(5):
            self._client.get("/session/status", params=self._params).raise_for_status()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._socket is not None:
            # Closing from here would leave the reader in its read; a shut-down socket ends it.
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join(SOON)
        self._client.close()

    def seen(self, matches: Callable[[Event], bool] = lambda _event: True) -> list[Event]:
        """The events so far that match, in order."""
        with self._changed:
            return [event for event in self._events if matches(event)]

    def of_session(self, session_id: str, *types: str) -> list[Event]:
        """The events so far of one session, all or those of the given types."""
        return self.seen(lambda event: event.session_id == session_id and (not types or event.type in types))

    def wait_for(self, matches: Callable[[Event], bool], timeout: float = SOON) -> Event:
        """The first event that matches, waited for if it has not come yet."""
        with self._changed:
            if not self._changed.wait_for(lambda: any(matches(event) for event in self._events), timeout):
                raise AssertionError(f"no such event within {timeout:g} s; seen: {[event.type for event in self._events][-40:]}")
            return next(event for event in self._events if matches(event))

    def wait_idle(self, session_id: str, timeout: float = SOON) -> Event:
        """The first ``session.idle`` of a session."""
        return self.wait_for(lambda event: event.type == "session.idle" and event.session_id == session_id, timeout)

    def _read(self) -> None:
        with contextlib.suppress(httpx.HTTPError), self._client.stream("GET", self._path, params=self._params, timeout=None) as answer:
            self._socket = answer.extensions["network_stream"].get_extra_info("socket")
            for line in answer.iter_lines():
                if line.startswith("data:"):
                    event = _event(json.loads(line.removeprefix("data:")))
                    with self._changed:
                        self._events.append(event)
                        self._changed.notify_all()


def _event(raw: Mapping[str, object]) -> Event:
    payload = raw.get("payload")
    inner = payload if isinstance(payload, Mapping) else raw
    properties = inner.get("properties")
    directory = raw.get("directory")
    return Event(
        type=str(inner.get("type")),
        properties=properties if isinstance(properties, Mapping) else {},
        directory=directory if isinstance(directory, str) else None,
        raw=raw,
    )
