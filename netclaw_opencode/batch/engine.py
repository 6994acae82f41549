"""DBOS: the durable queue from which a worker takes what was admitted for it. The only module that knows DBOS.

Owns the life of DBOS in this process (there can be one) and the form of its rows. What to run next is ``admission``'s, who may write
a result is ``claims``'s.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread
from dbos import DBOS, DBOSClient, DBOSConfig, WorkflowSerializationFormat, run_dbos_database_migrations

from netclaw_opencode.batch.admission import Run

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from netclaw_opencode.batch.database import Database

Perform = Callable[[Run], Awaitable[str]]

_APPLICATION = "netclaw-opencode"
_VERSION = "batch-1"
"""DBOS starts only what was queued under the same version: so this is the version of the workflow below, not of the package."""
_WORKFLOW = "netclaw_item"
_POLL_SECONDS = 0.2
"""How often a worker looks into its queue: a free place is filled within 0.3 s."""
_perform: Perform | None = None


@DBOS.workflow(name=_WORKFLOW, serialization_type=WorkflowSerializationFormat.PORTABLE)
async def _item(batch: str, item: str, number: int) -> str:
    """One run of an item; what it returns is kept by DBOS, its result by ``claims``."""
    if _perform is None:
        raise RuntimeError("a run was started before the worker was ready")
    return await _perform(Run(batch, item, number))


def prepare(database: Database) -> None:
    """Make or upgrade the tables of DBOS."""
    with database.reachable():
        run_dbos_database_migrations(system_database_url=_url(database))


class Engine:
    """DBOS for one worker, on the running event loop.

    Args:
        database: Where the batches are.
        worker: The worker's id, which is also the name of its queue.
        concurrency: How many runs it takes at once.
        perform: Runs an item to its end; returns a word on how it ended.
    """

    def __init__(self, database: Database, *, worker: str, concurrency: int, perform: Perform) -> None:
        self._database = database
        self._worker = worker
        self._concurrency = concurrency
        self._perform = perform
        self._client: DBOSClient | None = None

    async def start(self) -> None:
        """Begin to take from the queue."""
        global _perform  # noqa: PLW0603 - DBOS knows one set of workflows for each process
        _perform = self._perform
        url = _url(self._database)
        config: DBOSConfig = {
            "name": _APPLICATION,
            "system_database_url": url,
            "executor_id": self._worker,
            "application_version": _VERSION,
            "log_level": "CRITICAL",  # what went wrong is in the results; an ordinary cancellation is an error to it
            "run_migrations": False,
        }
        DBOS(config=config)
        DBOS.listen_queues([self._worker])
        with self._database.reachable():
            # On the running loop, so that runs share it with the hosts.
            DBOS.launch()
            await DBOS.register_queue_async(
                self._worker, worker_concurrency=self._concurrency, polling_interval_sec=_POLL_SECONDS, on_conflict="always_update"
            )
        self._client = await anyio.to_thread.run_sync(partial(DBOSClient, system_database_url=url, application_name=_APPLICATION))

    def enqueue(self, connection: Connection, run: Run) -> None:
        """Put a run into this worker's queue, in the caller's transaction."""
        assert self._client is not None  # started
        self._client.enqueue_in_transaction(
            connection,
            {
                "workflow_name": _WORKFLOW,
                "queue_name": self._worker,
                "app_version": _VERSION,
                "workflow_id": run.name,
                "serialization_type": WorkflowSerializationFormat.PORTABLE,
            },
            run.batch,
            run.item,
            run.number,
        )

    async def forget(self, worker: str) -> None:
        """Cancel what a lost worker had, and remove its queue: should it come back, DBOS takes nothing from it."""
        for status in ("PENDING", "ENQUEUED"):
            found = await DBOS.list_workflows_async(status=status, queue_name=worker, load_input=False, load_output=False)
            if found:
                await DBOS.cancel_workflows_async([each.workflow_id for each in found])
        await DBOS.delete_queue_async(worker)

    async def stop(self) -> None:
        """End DBOS; what still runs is not waited for."""
        with suppress(Exception):  # the database may be away, and its row is a name only
            await DBOS.delete_queue_async(self._worker)
        await anyio.to_thread.run_sync(DBOS.destroy)
        if self._client is not None:
            await anyio.to_thread.run_sync(self._client.destroy)


def _url(database: Database) -> str:
    """The address in the form of DBOS, which names no driver."""
    return database.url.replace("postgresql+psycopg:", "postgresql:", 1)


__all__ = ["Engine", "Perform", "prepare"]
