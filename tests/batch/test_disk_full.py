"""A database whose disk is full takes nothing half, says so, and a result is held until there is room.

SQLite is kept from growing by its own page limit, so that no file system has to be filled; Postgres' code is raised by a trigger. The
server of a task is a stand-in here: what is at fault is the database.
"""

from __future__ import annotations

import contextlib
import logging
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

import anyio
import pytest
import sqlalchemy as sa

from netclaw_opencode.adapters.cli.worker_command import _Warnings
from netclaw_opencode.batch import claims
from netclaw_opencode.batch.database import Database, checked_url, row
from netclaw_opencode.batch.runs import Runs
from netclaw_opencode.errors import ServerProblem
from netclaw_opencode.host import Host
from netclaw_opencode.settings import Settings
from tests.batch.test_flow import Flow, item
from tests.support.postgres import running_postgres

if TYPE_CHECKING:
    from netclaw_opencode.batch.pool import Pool

LONG: Mapping[str, object] = {"ok": True, "data": {"text": "x" * 200_000, "session_id": "ses_1"}}
_NO_LIMIT = 1_073_741_823


class Disk:
    """Room, or none, for every SQLite database of this process."""

    def __init__(self) -> None:
        self.full = False

    def limit(self, connection: object, *_more: object) -> None:
        """Let the file keep its size, or grow."""
        if isinstance(connection, sqlite3.Connection):
            connection.execute(f"PRAGMA max_page_count = {1 if self.full else _NO_LIMIT}").close()


@pytest.fixture
def disk() -> Iterator[Disk]:
    """A disk with room."""
    found = Disk()
    sa.event.listen(sa.Pool, "checkout", found.limit)
    yield found
    sa.event.remove(sa.Pool, "checkout", found.limit)


@dataclass
class OneServer:
    """A pool whose server answers every task with a long result; ``while_running`` happens before it does."""

    disk: Disk
    folder: Path
    settings: Settings
    calls: int = 0

    @property
    def runner(self) -> OneServer:
        """What runs actions."""
        return self

    async def acquire(self) -> OneServer:
        """The server."""
        return self

    async def release(self, _server: object, *, at_rest: bool) -> None:
        """Nothing is left."""
        assert at_rest

    async def invoke(self, action: str, _arguments: object) -> Mapping[str, object]:
        """The disk fills up while the task runs."""
        assert action == "run_task"
        self.calls += 1
        self.disk.full = True
        return LONG


def test_a_submission_says_that_the_disk_is_full_and_leaves_nothing(disk: Disk, tmp_path: Path) -> None:
    """Not one of its tasks; with room again the same call takes all of them in."""
    settings = Settings.from_environment({"HOME": str(tmp_path), "OPENCODE_DRIVER_STATE_DIR": str(tmp_path / "state")})
    (tmp_path / "work").mkdir()
    tasks = [{"id": str(number), "prompt": "x" * 2000, "directory": str(tmp_path / "work")} for number in range(500)]
    with Host(settings, entry_points=False) as host:
        assert host.call("list_batches")["ok"]
        disk.full = True
        error = cast("Mapping[str, str]", host.call("submit_batch", name="many", items=tasks, start_worker=False)["error"])
        assert error["code"] == "database_unavailable" and "disk is full" in error["message"]
        assert error["next"] == "make room on its disk, then try again: nothing was written"
        found = cast("Mapping[str, str]", host.call("get_batch", batch_id="many")["error"])
        assert found["code"] == "batch_not_found"
        disk.full = False
        envelope = host.call("submit_batch", name="many", items=tasks, start_worker=False)
        assert cast("Mapping[str, object]", envelope["data"])["added"] == 500, envelope


def test_a_result_waits_for_room_and_is_written_once(
    disk: Disk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The worker says so once, holds the result, and runs nothing twice."""
    monkeypatch.setattr("netclaw_opencode.batch.runs._AGAIN_SECONDS", 0.01)
    database = Database(checked_url(str(tmp_path / "batches.sqlite3")))
    database.prepare()
    flow = Flow(database)
    batch = flow.submit(item("a"))
    flow.admit()
    server = OneServer(disk, tmp_path, Settings(state_dir=tmp_path / "state"))
    runs = Runs(database, "one", "here", cast("Pool", server), lambda _: contextlib.nullcontext(), changed=lambda: None)
    (run,) = flow.queue
    handler = _Warnings(logging.WARNING)
    logging.getLogger("netclaw_opencode").addHandler(handler)

    async def work() -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(runs.perform, run)
            with anyio.fail_after(30):
                while not disk.full:  # noqa: ASYNC110 - the disk tells nobody
                    await anyio.sleep(0.01)
            await anyio.sleep(0.5)
            assert flow.results(batch) == {} and runs.tasks
            disk.full = False
        assert await runs.perform(run) == "void"

    try:
        anyio.run(work)
    finally:
        logging.getLogger("netclaw_opencode").removeHandler(handler)
    assert server.calls == 1 and flow.results(batch)["a"]["state"] == "completed"
    assert capsys.readouterr().err.count("disk is full; trying again") == 1
    database.close()


def test_postgres_with_a_full_disk_is_one_too() -> None:
    """Its code is 53100; what was begun is taken back, and the same write later is as good."""
    with running_postgres() as server:
        database = Database(checked_url(server.url))
        database.prepare()
        with database.write() as connection:
            connection.exec_driver_sql(
                "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS "
                "$$ BEGIN RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = '53100'; END $$"
            )
            connection.exec_driver_sql("CREATE TRIGGER full_disk BEFORE INSERT ON netclaw_results EXECUTE FUNCTION full_disk()")
        flow = Flow(database)
        batch = flow.submit(item("a"))
        flow.admit()
        claim = flow.begin("a")
        assert claim is not None
        with pytest.raises(ServerProblem, match="No space left on device") as caught:
            claims.settle(database, claim, LONG)
        assert caught.value.next.startswith("make room")
        with database.write() as connection:
            assert row(connection, "SELECT state FROM netclaw_items") == {"state": "running"}
            connection.exec_driver_sql("DROP TRIGGER full_disk ON netclaw_results")
        assert claims.settle(database, claim, LONG) == "completed" and len(flow.results(batch)) == 1
        database.close()
