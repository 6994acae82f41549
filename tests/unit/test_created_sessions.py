"""What a connection remembers of sessions that its own process has just created."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from netclaw_opencode.errors import ServerProblem
from netclaw_opencode.opencode.connection import Connection
from netclaw_opencode.opencode.wire.events import EventHub
from netclaw_opencode.opencode.wire.http import HttpClient
from netclaw_opencode.opencode.wire.types import Health, Session

NOBODY = "http://127.0.0.1:9"


def session(number: int) -> Session:
    """A session as the server returned it."""
    return Session(f"ses_{number:026d}", "", "/project", 0, 0)


async def no_orphans() -> int:
    """Nothing to end."""
    return 0


def test_a_created_session_is_known_once_and_the_oldest_are_forgotten(tmp_path: Path) -> None:
    """The first prompt to a session asks nothing about it, the second does; a host that never sends keeps some hundreds at most."""
    made = [session(number) for number in range(300)]

    async def ask() -> None:
        async with anyio.create_task_group() as tasks, HttpClient(url=NOBODY, username="", password=None) as http:
            connection = Connection(
                http,
                EventHub(http, tasks),
                tasks=tasks,
                health=Health(healthy=True, version="1.18.33"),
                ours=False,
                secrets=(),
                locks_dir=tmp_path,
                clock=anyio.current_time,
                end_orphans=no_orphans,
            )
            for item in made:
                connection.remember_session(item)
            assert await connection.session_for_prompt(made[-1].id) is made[-1]
            # There is no server to ask, so that asking shows.
            for asked in (made[-1], made[0]):
                with pytest.raises(ServerProblem):
                    await connection.session_for_prompt(asked.id)
            assert await connection.session_for_prompt(made[100].id) is made[100]

    anyio.run(ask)
