"""A worker: shows that it lives, takes what is admitted for it, takes over from workers that are lost, and ends in order.

Owns what goes on beside the items. What it runs with is handed in, so it knows neither a host nor a terminal.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import time
from contextlib import suppress
from dataclasses import dataclass, field

import anyio

from netclaw_opencode._core.private_files import require_private_folder
from netclaw_opencode.batch import admission, claims, leases, looking
from netclaw_opencode.batch.database import Database, change, row, rows, unpacked
from netclaw_opencode.batch.engine import Engine, prepare
from netclaw_opencode.batch.pool import MEMORY_BYTES, OpenRunner, Pool, end_left
from netclaw_opencode.batch.runs import Listening, Runs, off_loop
from netclaw_opencode.batch.schema import SCHEMA_VERSION
from netclaw_opencode.errors import DriverError, ServerProblem
from netclaw_opencode.settings import Settings

_LOOK_SECONDS = 0.5
"""How often a worker with free places looks for new tasks; one that has just ended a task looks at once."""
_LONGEST_LOOK_SECONDS = 2.0
"""Looks grow rarer up to this while there is nothing to do."""
_STOP_LOOK_SECONDS = 1.0
"""How often a worker looks whether something of its own is to be stopped."""
_IDLE_LOOKS = 3
"""A worker that ends with its work has seen nothing left so many times."""


@dataclass(frozen=True, slots=True)
class WorkerOptions:
    """How a worker works.

    Attributes:
        concurrency: Tasks at once.
        until_done: Whether it ends when nothing is left for it.
        only: The batch that it is for; None for all.
        lease_seconds: A worker whose beat was not seen for so long is lost.
        beat_seconds: How often it shows that it lives.
        memory_bytes: A server that holds more is replaced between tasks.
    """

    concurrency: int = 4
    until_done: bool = False
    only: str | None = None
    lease_seconds: float = leases.LEASE_SECONDS
    beat_seconds: float = leases.BEAT_SECONDS
    memory_bytes: int = MEMORY_BYTES


def _of_this_machine() -> str:
    """How the names of this machine's workers begin: where machines share a home folder, each sweeps what was its own."""
    return f"worker-{hashlib.sha256(leases.machine().encode()).hexdigest()[:8]}-"


class FencedError(Exception):
    """This worker was taken for lost, and its tasks were taken over."""


@dataclass(eq=False)
class Worker:
    """One worker of the batches in a database.

    Args:
        settings: The user's.
        database: Where the batches are.
        options: How it works.
        open_runner: Opens a host on a server.
        listen: Binds a function to the events of the calls that are made in its block.
    """

    settings: Settings
    database: Database
    options: WorkerOptions
    open_runner: OpenRunner
    listen: Listening
    name: str = field(default_factory=lambda: f"{_of_this_machine()}{secrets.token_hex(6)}")
    _draining: bool = False
    _beaten_at: float = 0.0

    def __post_init__(self) -> None:
        self._machine = leases.machine()
        self._pools = require_private_folder(self.settings.state_dir / "batches" / "pools")
        home = self._pools / self.name
        places, memory = self.options.concurrency, self.options.memory_bytes
        self._pool = Pool(self.settings, home, places=places, open_runner=self.open_runner, memory_bytes=memory)
        self._news = asyncio.Event()
        self._ended = asyncio.Event()
        self._runs = Runs(self.database, self.name, self._machine, self._pool, self.listen, changed=self._news.set)
        self._engine = Engine(self.database, worker=self.name, concurrency=self.options.concurrency, perform=self._runs.perform)
        self._watch = leases.Watch(self.options.lease_seconds, self.options.beat_seconds)

    async def run(self) -> None:
        """Work until drained, or until nothing is left; raises ``DriverError`` where no server can be had, and ``FencedError``."""
        await off_loop(self.database.prepare)
        await off_loop(prepare, self.database)
        await off_loop(self._register)
        try:
            await self._engine.start()
            self._beaten_at = time.monotonic()
            # asyncio's own group: runs are tasks that DBOS makes, and none of them is this one's to cancel.
            loops = [asyncio.create_task(self._beat_forever())]
            try:
                await self._bury_gone()
                loops += [asyncio.create_task(each()) for each in (self._admit_forever, self._watch_stops)]
                warming = asyncio.create_task(self._warm())
                ended = asyncio.create_task(self._ended.wait())
                done, _ = await asyncio.wait([ended, *loops], return_when=asyncio.FIRST_COMPLETED)
                for each in done:
                    each.result()
                await warming
            finally:
                for each in loops:
                    each.cancel()
        except FencedError:
            # What another worker of this machine follows now must go on; the rest is nobody's, and is stopped.
            await self._pool.close(keep=await off_loop(self._in_use))
            raise
        except BaseException:
            with anyio.CancelScope(shield=True):
                await self._leave()
            raise
        await self._leave()
        if self._runs.problem is not None:
            raise self._runs.problem

    async def drain(self) -> None:
        """Take nothing more; ``run`` ends when what runs has ended."""
        self._draining = True
        self._news.set()
        with suppress(DriverError):
            await off_loop(self._take_back)

    def give_back(self) -> None:
        """Stop what runs, verified, and let other workers have it."""
        self._draining = True
        for task in self._runs.tasks.values():
            task.giving_back = True
            task.scope.cancel()
        self._news.set()

    async def _leave(self) -> None:
        await self._engine.stop()
        await self._pool.close()
        with suppress(DriverError):
            await self._sweep()
            await off_loop(self._unregister)

    # --- what goes on beside the items

    async def _warm(self) -> None:
        """Start the servers ahead; where that fails, nothing more is taken."""
        try:
            await self._pool.warm()
        except DriverError as error:
            self._runs.problem = error
            self._news.set()

    async def _admit_forever(self) -> None:
        idle = 0
        while True:
            self._news.clear()
            if self._draining or self._runs.problem is not None:
                if not self._runs.tasks:
                    self._ended.set()
                    return
            elif len(self._runs.tasks) < self.options.concurrency:
                with suppress(DriverError):
                    took = await off_loop(self._admit)
                    left = took or self._runs.tasks or (self.options.until_done and await off_loop(self._unfinished))
                    idle = 0 if left else idle + 1
                    if self.options.until_done and idle >= _IDLE_LOOKS:
                        self._ended.set()
                        return
            with suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), min(_LOOK_SECONDS * 2.0 ** min(idle, 8), _LONGEST_LOOK_SECONDS))

    def _admit(self) -> int:
        if not admission.may_admit(self.database, machine=self._machine, only=self.options.only):
            return 0
        return admission.admit(
            self.database,
            self._engine.enqueue,
            worker=self.name,
            machine=self._machine,
            concurrency=self.options.concurrency,
            only=self.options.only,
        )

    async def _watch_stops(self) -> None:
        while True:
            with suppress(DriverError):
                if self._runs.tasks:
                    for token in await off_loop(claims.stop_requests, self.database, self.name):
                        task = self._runs.tasks.get(token)
                        if task is not None:
                            task.scope.cancel()
                    await self._tell_progress()
            await anyio.sleep(_STOP_LOOK_SECONDS)

    async def _tell_progress(self) -> None:
        news = {token: task.doing for token, task in self._runs.tasks.items() if task.doing != task.told}
        if news:
            await off_loop(claims.note_progress, self.database, news)
            for token, text in news.items():
                if token in self._runs.tasks:
                    self._runs.tasks[token].told = text

    async def _beat_forever(self) -> None:
        while True:
            try:
                beats = await off_loop(self._beat)
                now = time.monotonic()
                self._beaten_at = now
                for worker in self._watch.lost(beats, now) - {self.name}:
                    await self._bury(worker, beats[worker])
                await self._bury_gone()
                await self._sweep()
            except ServerProblem:
                # The database is away. Where another machine could take the work over, it must not go on here.
                if time.monotonic() - self._beaten_at > self.options.lease_seconds:
                    for task in self._runs.tasks.values():
                        if task.claim.shared:
                            task.giving_back = True
                            task.scope.cancel()
            await anyio.sleep(self.options.beat_seconds)

    def _beat(self) -> dict[str, int]:
        with self.database.write() as connection:
            if change(connection, "UPDATE netclaw_workers SET beat = beat + 1 WHERE id = :me", me=self.name) == 0:
                raise FencedError
            return {str(each["id"]): int(str(each["beat"])) for each in rows(connection, "SELECT id, beat FROM netclaw_workers")}

    async def _bury_gone(self) -> None:
        """Bury the workers of this machine whose process is seen to be gone, without waiting for their lease."""
        for worker, beat in (await off_loop(self._gone)).items():
            await self._bury(worker, beat)

    def _gone(self) -> dict[str, int]:
        with self.database.read() as connection:
            found = rows(connection, "SELECT id, beat, identity FROM netclaw_workers WHERE id <> :me", me=self.name)
        return {str(each["id"]): int(str(each["beat"])) for each in found if leases.is_gone(str(each["identity"]))}

    async def _bury(self, worker: str, beat: int) -> None:
        """Take over from a lost worker, unless it has shown meanwhile that it lives."""

        def bury() -> str | None:
            with self.database.write() as connection:
                found = row(
                    connection, "DELETE FROM netclaw_workers WHERE id = :id AND beat = :beat RETURNING machine, pool", id=worker, beat=beat
                )
                if found is None:
                    return None
                claims.release(connection, worker)
                return str(found["pool"]) if found["machine"] == self._machine else ""

        pool = await off_loop(bury)
        if pool is None:
            return
        self._news.set()
        with suppress(Exception):  # what DBOS remembers of it is only a name; the claim decides
            await self._engine.forget(worker)

    async def _sweep(self) -> None:
        """End the servers of lost workers of this machine on which nothing can run any more."""
        if not any(path.name != self.name for path in self._pools.glob(f"{_of_this_machine()}*")):
            return
        living, keep = await off_loop(self._living_pools), await off_loop(self._in_use)
        for home in [path for path in self._pools.glob(f"{_of_this_machine()}*") if str(path) not in living]:
            await end_left(self.settings, home, keep=keep)

    def _living_pools(self) -> set[str]:
        with self.database.read() as connection:
            return {str(each["pool"]) for each in rows(connection, "SELECT pool FROM netclaw_workers")}

    def _in_use(self) -> frozenset[str]:
        """The folders of servers of this machine on which an item runs, or may run on."""
        with self.database.read() as connection:
            found = rows(
                connection, "SELECT server FROM netclaw_items WHERE server IS NOT NULL AND state IN ('waiting', 'admitted', 'running')"
            )
        places = [unpacked(each["server"]) for each in found]
        return frozenset(str(each.get("state_dir")) for each in places if each.get("machine") == self._machine)

    def _unfinished(self) -> int:
        return looking.unfinished(self.database, machine=self._machine, only=self.options.only)

    def _register(self) -> None:
        with self.database.write() as connection:
            change(
                connection,
                "INSERT INTO netclaw_workers (id, machine, identity, concurrency, pool, only_batch, knows) "
                "VALUES (:id, :machine, :identity, :concurrency, :pool, :only, :knows)",
                id=self.name,
                machine=self._machine,
                identity=leases.this_process(),
                concurrency=self.options.concurrency,
                pool=str(self._pools / self.name),
                only=self.options.only,
                knows=SCHEMA_VERSION,
            )

    def _take_back(self) -> None:
        with self.database.write() as connection:
            change(connection, "UPDATE netclaw_workers SET draining = 1 WHERE id = :me", me=self.name)
            change(
                connection,
                "UPDATE netclaw_items SET state = 'waiting', run = run + 1, worker = NULL WHERE worker = :me AND state = 'admitted'",
                me=self.name,
            )

    def _unregister(self) -> None:
        with self.database.write() as connection:
            claims.release(connection, self.name)
            change(connection, "DELETE FROM netclaw_workers WHERE id = :me", me=self.name)


__all__ = ["FencedError", "Worker", "WorkerOptions"]
