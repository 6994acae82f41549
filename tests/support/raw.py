"""Raw calls of the real server for tests: the routes as they are, in one directory.

Owns short names for requests and the tidying of what a test created. It checks nothing and decides nothing: what the
server answers is what the test sees.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

import httpx

from netclaw_opencode.offline import OfflineModel
from netclaw_opencode.testing.server import OpenCodeServer
from netclaw_opencode.testing.waiting import wait_until

Json: TypeAlias = Mapping[str, object]
_counter = itertools.count()
_BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


class RawOpenCode:
    """One directory of one server; remembers the sessions that it made, so that ``tidy`` can end and delete them."""

    def __init__(self, wire: httpx.Client, model: OfflineModel, directory: Path) -> None:
        self.wire = wire
        self.model = model
        self.directory = str(directory)
        self._made: list[str] = []

    @property
    def here(self) -> dict[str, str]:
        """The query that names this directory (F20)."""
        return {"directory": self.directory}

    def get(self, path: str, **query: object) -> httpx.Response:
        """GET in this directory."""
        return self.wire.get(path, params={**self.here, **query})  # type: ignore[dict-item]

    def post(self, path: str, body: object = None) -> httpx.Response:
        """POST in this directory."""
        return self.wire.post(path, params=self.here, json=body)

    def create(self, **fields: object) -> str:
        """A new session; its id."""
        answer = self.post("/session", fields)
        answer.raise_for_status()
        session_id = str(answer.json()["id"])
        self._made.append(session_id)
        return session_id

    def remember(self, session_id: str) -> str:
        """Tidy this session too."""
        self._made.append(session_id)
        return session_id

    def message(self, session_id: str, text: str, **fields: object) -> httpx.Response:
        """A prompt by the blocking route."""
        return self.post(f"/session/{session_id}/message", {"parts": [{"type": "text", "text": text}], **fields})

    def prompt_async(self, session_id: str, text: str, **fields: object) -> httpx.Response:
        """A prompt by the route that returns at once."""
        return self.post(f"/session/{session_id}/prompt_async", {"parts": [{"type": "text", "text": text}], **fields})

    def messages(self, session_id: str) -> list[Json]:
        """The whole history."""
        answer = self.get(f"/session/{session_id}/message")
        answer.raise_for_status()
        history: list[Json] = answer.json()
        return history

    def answers(self, session_id: str) -> list[Json]:
        """The ``info`` of every assistant message."""
        infos = [field(item, "info") for item in self.messages(session_id)]
        return [info for info in infos if info["role"] == "assistant"]

    def tool_states(self, session_id: str) -> list[Json]:
        """The state of every tool part."""
        return [field(part, "state") for item in self.messages(session_id) for part in listed(item, "parts") if part["type"] == "tool"]

    def statuses(self) -> Mapping[str, Json]:
        """The status map of this directory."""
        found: Mapping[str, Json] = self.get("/session/status").json()
        return found

    def pending(self, kind: str) -> list[Json]:
        """The pending requests (``permission`` or ``question``) of this directory."""
        answer = self.get(f"/{kind}")
        answer.raise_for_status()
        found: list[Json] = answer.json()
        return found

    def abort(self, session_id: str) -> httpx.Response:
        """Abort in this directory."""
        return self.post(f"/session/{session_id}/abort")

    def delete(self, session_id: str) -> httpx.Response:
        """Delete in this directory."""
        return self.wire.delete(f"/session/{session_id}", params=self.here)

    def wait_idle(self, session_id: str) -> None:
        """Wait until the status map is without the session; the turn must have been seen to start."""
        wait_until(lambda: session_id not in self.statuses(), what=f"the end of the turn of {session_id}")

    def tidy(self) -> None:
        """Abort and delete every session made here, and refuse what is pending."""
        made, self._made = self._made, []
        for session_id in made:
            if session_id in self.statuses():
                self.abort(session_id)
                self.wait_idle(session_id)
            self.delete(session_id)
        for request in self.pending("permission"):
            self.post(f"/permission/{request['id']}/reply", {"reply": "reject"})
        for request in self.pending("question"):
            self.post(f"/question/{request['id']}/reject")


def warm(server: OpenCodeServer, directory: Path) -> None:
    """A first turn in a directory, which costs a second or more, and leaves nothing."""
    with server.client() as client:
        raw = RawOpenCode(client, server.model, directory)
        raw.message(raw.create(), "warm up").raise_for_status()
        raw.tidy()


def field(value: Json, name: str) -> Json:
    """A member that is an object."""
    found = value[name]
    assert isinstance(found, Mapping), f"{name} is no object: {found!r}"
    return found


def listed(value: Json, name: str) -> Sequence[Json]:
    """A member that is a list of objects."""
    found = value[name]
    assert isinstance(found, list), f"{name} is no list: {found!r}"
    return found


def new_id(prefix: str) -> str:
    """A time-ordered id in OpenCode's form (F27), with a counter in place of randomness."""
    number = next(_counter)
    stamp = (time.time_ns() // 1_000_000 * 4096 + number % 4096) & ((1 << 48) - 1)
    tail = "".join(_BASE62[number // 62**place % 62] for place in reversed(range(14)))
    return f"{prefix}_{stamp:012x}{tail}"
