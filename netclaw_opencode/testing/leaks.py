"""The leak check: what a test left on the real server, seen by raw HTTP and psutil and not by the driver.

Owns the questions and the comparison with the state before. It repairs nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import httpx

from netclaw_opencode.testing.server import OpenCodeServer, all_sessions
from netclaw_opencode.testing.waiting import SOON, wait_until

_SETTLE_SECONDS = SOON
_ROUTES = ("/session/status", "/permission", "/question")


@dataclass(slots=True)
class LeakCheck:
    """Made before the work; ``check`` afterwards fails with everything that is left, all at once."""

    server: OpenCodeServer
    directories: set[str] = field(default_factory=set)
    sessions_before: frozenset[str] = frozenset()
    processes_before: frozenset[int] = frozenset()

    def __post_init__(self) -> None:
        """Look at the server as it is now."""
        with self.server.client() as client:
            self.sessions_before = frozenset(str(session["id"]) for session in all_sessions(client))
        self.processes_before = frozenset(process.pid for process in self.server.descendants())

    def watch(self, directory: Path | str) -> None:
        """Also look at the status and the pending requests of this directory (F20)."""
        self.directories.add(str(directory))

    def check(self, *, timeout: float = _SETTLE_SECONDS) -> None:
        """Fail with what is left; what is just ending gets ``timeout`` seconds to be gone."""
        try:
            wait_until(lambda: not self.left(), timeout, what="a clean server")
        except AssertionError as late:
            raise AssertionError("left behind: " + "; ".join(self.left())) from late

    def left(self) -> list[str]:
        """One line for everything that was not there before and is there now."""
        found: list[str] = []
        with self.server.client() as client:
            sessions = all_sessions(client)
            found += [f"session {item['id']} ({item.get('title')})" for item in sessions if item["id"] not in self.sessions_before]
            for directory in sorted(self.directories | {str(item["directory"]) for item in sessions}):
                found += _pending(client, directory)
        processes = [process for process in self.server.descendants() if process.pid not in self.processes_before]
        found += [f"process {process.pid}" for process in processes]
        if self.server.model.open_connections:
            found.append(f"{self.server.model.open_connections} open calls at the model")
        return found


def _pending(client: httpx.Client, directory: str) -> list[str]:
    found = []
    for route in _ROUTES:
        answer = client.get(route, params={"directory": directory})
        # A 400 is a finding too: one pending request that cannot be encoded breaks the list of its directory.
        if not answer.is_success or answer.json():
            found.append(f"{route} of {directory}: {answer.text[:300]}")
    return found
