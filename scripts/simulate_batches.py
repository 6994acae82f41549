"""Many workers on one Postgres: how many tasks a second its choices, claims and results let through, and how long a choice takes.

The workers are simulated: threads in a few processes that make the calls of real ones (look, choose, hand to the queue, begin, settle,
beat), with DBOS' row for each run; the tasks only wait. Postgres is a private one, as the tests use it.

    python -m scripts.simulate_batches --workers 100 --places 4 --items 100000 --seconds 60 --task-seconds 10

A line for each run: what was asked of the database, what came through, where it stood still.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import queue
import random
import statistics
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import psutil
from dbos import DBOSClient, WorkflowSerializationFormat, run_dbos_database_migrations

from netclaw_opencode.batch import admission, claims, submitting
from netclaw_opencode.batch.database import Database, change, checked_url, row
from netclaw_opencode.batch.items import Item
from netclaw_opencode.errors import DriverError
from tests.support.postgres import running_postgres

if TYPE_CHECKING:
    from multiprocessing.queues import Queue
    from multiprocessing.synchronize import Barrier

    from sqlalchemy import Connection

_RESULT: Mapping[str, object] = {"ok": True, "data": {"text": "x" * 2000, "usage": {"cost_usd": 0.01}}}
_BEAT_SECONDS, _LOOK_SECONDS, _LONGEST_LOOK_SECONDS = 5.0, 0.5, 2.0


@dataclass
class Load:
    """What is simulated.

    Attributes:
        workers: How many.
        places: Tasks that each runs at once.
        items: Tasks in the batch, each tenth in a directory of its own.
        seconds: How long it is watched, once every process is ready.
        task_seconds: How long a task takes on average.
        ramp_seconds: How long before what is watched, while all workers fill their places at once.
    """

    workers: int
    places: int
    items: int
    seconds: float
    task_seconds: float
    ramp_seconds: float


@dataclass
class Seen:
    """What the workers of one process have seen."""

    ended: int = 0
    choices: list[float] = field(default_factory=list)
    writes: list[float] = field(default_factory=list)
    empty: int = 0
    errors: int = 0


class SimulatedWorker:
    """One worker: a thread that chooses and ends tasks, on connections that its process shares."""

    def __init__(self, database: Database, client: DBOSClient, name: str, load: Load, seen: Seen, began: float) -> None:
        self.database, self.client, self.name, self.load, self.seen = database, client, name, load, seen
        self.counts_from = began + load.ramp_seconds
        self.until = self.counts_from + load.seconds
        self.draw = random.Random(name)  # noqa: S311 - the same load each time
        self.admitted: list[admission.Run] = []

    def enqueue(self, connection: Connection, run: admission.Run) -> None:
        """As the engine does."""
        self.client.enqueue_in_transaction(
            connection,
            {
                "workflow_name": "netclaw_item",
                "queue_name": self.name,
                "app_version": "simulated",
                "workflow_id": run.name,
                "serialization_type": WorkflowSerializationFormat.PORTABLE,
            },
            run.batch,
            run.item,
            run.number,
        )
        self.admitted.append(run)

    def work(self) -> None:
        """Choose, wait as long as the tasks would take, settle, beat."""
        running: list[tuple[float, claims.Claim]] = []
        beat, look, idle = 0.0, self.draw.uniform(0, 2), 0
        while time.monotonic() < self.until:
            try:
                now = time.monotonic()
                if now >= beat:
                    beat = now + _BEAT_SECONDS
                    with self.database.write(alone=False) as connection:
                        change(connection, "UPDATE netclaw_workers SET beat = beat + 1 WHERE id = :me", me=self.name)
                for due, claim in [each for each in running if each[0] <= now]:
                    running.remove((due, claim))
                    self._timed(self.seen.writes, lambda claim=claim: claims.settle(self.database, claim, _RESULT))
                    self.seen.ended += time.monotonic() >= self.counts_from
                    look = 0.0
                if len(running) < self.load.places and now >= look:
                    took = self._choose()
                    for run in self.admitted:
                        begun = self._timed(self.seen.writes, lambda run=run: claims.begin(self.database, run, worker=self.name))
                        if isinstance(begun, claims.Claim):
                            running.append((time.monotonic() + self.draw.expovariate(1 / self.load.task_seconds), begun))
                    self.admitted.clear()
                    idle = 0 if took else idle + 1
                    look = time.monotonic() + min(_LOOK_SECONDS * 2.0 ** min(idle, 8), _LONGEST_LOOK_SECONDS)
            except DriverError:
                self.seen.errors += 1
                self.admitted.clear()
            time.sleep(max(0.005, min([beat, look, *(due for due, _ in running)]) - time.monotonic()) if running or idle else 0.005)

    def _choose(self) -> int:
        if not admission.may_admit(self.database, machine="simulated"):
            self.seen.empty += 1
            return 0
        began = time.monotonic()
        took = admission.admit(self.database, self.enqueue, worker=self.name, machine="simulated", concurrency=self.load.places)
        if began >= self.counts_from:
            self.seen.choices.append(time.monotonic() - began)
        return took

    def _timed(self, into: list[float], write: object) -> object:
        began = time.monotonic()
        result = write()  # type: ignore[operator]
        if began >= self.counts_from:
            into.append(time.monotonic() - began)
        return result


def _process(url: str, load: Load, names: list[str], ready: Barrier, out: Queue[Seen]) -> None:
    seen, database = Seen(), Database(url)
    # As many connections as workers: each real one has its own.
    client = DBOSClient(system_database_url=url.replace("postgresql+psycopg:", "postgresql:", 1), application_name="netclaw-opencode")
    ready.wait()
    began = time.monotonic()
    threads = [threading.Thread(target=SimulatedWorker(database, client, name, load, seen, began).work) for name in names]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    client.destroy()
    out.put(seen)


def simulate(load: Load, *, processes: int) -> dict[str, object]:
    """Run one load on a fresh Postgres and tell what came of it."""
    with running_postgres() as server:
        database = Database(checked_url(server.url))
        database.prepare()
        run_dbos_database_migrations(system_database_url=server.url)
        directories = [f"/{number}" for number in range(load.items // 10)]
        items = [
            Item(str(number), {"prompt": "x" * 200, "directory": directories[number % len(directories)]}, 0, "d")
            for number in range(load.items)
        ]
        began = time.monotonic()
        submitting.submit(database, "many", items, submitting.Options(shared_directories=True), add=False, machine="here")
        taken_in = time.monotonic() - began
        names = [f"worker-{number}" for number in range(load.workers)]
        with database.write() as connection:
            for name in names:
                change(
                    connection,
                    "INSERT INTO netclaw_workers (id, machine, identity, concurrency, pool) VALUES (:id, 'simulated', '{}', :places, '')",
                    id=name,
                    places=load.places,
                )
        spawn = multiprocessing.get_context("spawn")
        out: Queue[Seen] = spawn.Queue()
        ready = spawn.Barrier(processes + 1)
        running = [
            spawn.Process(target=_process, args=(database.url, load, names[part::processes], ready, out)) for part in range(processes)
        ]
        for each in running:
            each.start()
        ready.wait(300)
        time.sleep(load.ramp_seconds)
        before, cpu, began = _transactions(database), _cpu(server.process), time.monotonic()
        time.sleep(load.seconds)
        transactions, used, took = _transactions(database) - before, _cpu(server.process) - cpu, time.monotonic() - began
        found: list[Seen] = []
        while len(found) < processes:
            try:
                found.append(out.get(timeout=5))
            except queue.Empty:
                assert any(each.is_alive() for each in running), "the workers have ended without a word"
        for each in running:
            each.join()
        database.close()
    choices = sorted(second for each in found for second in each.choices)
    writes = sorted(second for each in found for second in each.writes)
    return {
        "workers": load.workers,
        "places": load.places,
        "task_seconds": load.task_seconds,
        "wanted_a_second": round(load.workers * load.places / load.task_seconds, 1),
        "ended_a_second": round(sum(each.ended for each in found) / took, 1),
        "transactions_a_second": round(transactions / took),
        "choice_median_ms": _ms(choices, 50),
        "choice_p95_ms": _ms(choices, 95),
        "write_median_ms": _ms(writes, 50),
        "write_p95_ms": _ms(writes, 95),
        "postgres_cores": round(used / took, 2),
        "load_average": round(psutil.getloadavg()[0], 1),
        "taken_in_seconds": round(taken_in, 1),
        "errors": sum(each.errors for each in found),
    }


def _transactions(database: Database) -> int:
    with database.read() as connection:
        found = row(connection, "SELECT xact_commit + xact_rollback AS number FROM pg_stat_database WHERE datname = current_database()")
    return int(str(found["number"])) if found is not None else 0


def _cpu(process: object) -> float:
    """CPU seconds of Postgres and of its backends that still run."""
    root = psutil.Process(process.pid)  # type: ignore[attr-defined]
    total = 0.0
    for each in (root, *root.children(recursive=True)):
        try:
            times = each.cpu_times()
        except psutil.Error:
            continue
        total += times.user + times.system + times.children_user + times.children_system
    return total


def _ms(found: list[float], percent: int) -> float | None:
    return round(1000 * statistics.quantiles(found, n=100)[percent - 1], 1) if len(found) > 1 else None


def main() -> None:
    """Run what was asked for."""
    options = argparse.ArgumentParser(prog="python -m scripts.simulate_batches", description=(__doc__ or "").splitlines()[0])
    options.add_argument("--workers", type=int, default=100)
    options.add_argument("--places", type=int, default=4, help="tasks at once for each worker")
    options.add_argument("--items", type=int, default=100_000)
    options.add_argument("--seconds", type=float, default=60, help="how long it is watched")
    options.add_argument("--ramp-seconds", type=float, default=20, help="before that, for all workers to fill their places")
    options.add_argument("--task-seconds", type=float, nargs="+", default=[60, 10, 4, 1], help="average length of a task; a run for each")
    options.add_argument("--processes", type=int, default=4, help="over which the workers are spread")
    given = options.parse_args()
    for task_seconds in given.task_seconds:
        load = Load(given.workers, given.places, given.items, given.seconds, task_seconds, given.ramp_seconds)
        print(json.dumps(simulate(load, processes=given.processes)), flush=True)


if __name__ == "__main__":
    main()
