"""Which task is next: the one place where priorities, limits, pauses and back-off are weighed, in one transaction.

Owns the choice. A task that is chosen is handed to the engine in the same transaction, so that it is never lost between the two.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from netclaw_opencode.batch.database import Database, change, now_ms, row, rows, unpacked
from netclaw_opencode.batch.submitting import Options

if TYPE_CHECKING:
    from sqlalchemy import Connection

_MINUTE_MS = 60_000
_MOST = 1_000_000
_BUSY = "('admitted', 'running')"


@dataclass(frozen=True, slots=True)
class Run:
    """One run of an item; ``number`` counts the runs that were handed to the engine."""

    batch: str
    item: str
    number: int

    @property
    def name(self) -> str:
        """The name under which the engine keeps it."""
        return f"{self.batch}/{self.item}/{self.number}"


Enqueue = Callable[["Connection", Run], None]


def may_admit(database: Database, *, machine: str, only: str | None = None) -> bool:
    """Whether anything waits that could start now: a look that blocks nobody, for the many times when there is nothing."""
    mine = "AND batch = :only" if only is not None else ""
    with database.read() as connection:
        found = row(
            connection,
            "SELECT id FROM netclaw_items WHERE state = 'waiting' AND not_before_ms <= :now "  # noqa: S608 - our own condition
            f"AND (machine IS NULL OR machine = :machine) {mine} LIMIT 1",
            now=now_ms(connection),
            machine=machine,
            **({"only": only} if only is not None else {}),
        )
    return found is not None


def admit(database: Database, enqueue: Enqueue, *, worker: str, machine: str, concurrency: int, only: str | None = None) -> int:
    """Choose tasks for the free places of a worker and hand each to the engine; returns how many.

    Args:
        database: Where the batches are.
        enqueue: Hands a run to the engine, in the transaction that it is given.
        worker: The worker.
        machine: Where it is.
        concurrency: How many tasks it runs at once.
        only: The batch that this worker is for; None for all.
    """
    chosen = 0
    with database.write() as connection:
        if row(connection, "SELECT id FROM netclaw_workers WHERE id = :worker AND draining = 0", worker=worker) is None:
            return 0
        places = concurrency - _count(connection, f"worker = :worker AND state IN {_BUSY}", worker=worker)
        if places <= 0:
            return 0
        now = now_ms(connection)
        rooms = _rooms(connection, now, only)
        blocked = [
            str(each["model"]) for each in rows(connection, "SELECT model FROM netclaw_models WHERE blocked_until_ms > :now", now=now)
        ]
        while chosen < places:
            found = _next(connection, rooms, blocked, machine=machine, now=now, only=only)
            if found is None:
                break
            run = Run(str(found["batch"]), str(found["id"]), int(str(found["run"])))
            change(
                connection,
                "UPDATE netclaw_items SET state = 'admitted', worker = :worker, begun_ms = :now WHERE batch = :batch AND id = :item",
                worker=worker,
                now=now,
                batch=run.batch,
                item=run.item,
            )
            enqueue(connection, run)
            if run.batch in rooms and not found["stop"]:
                rooms[run.batch] -= 1
            chosen += 1
    return chosen


def _next(
    connection: Connection, rooms: Mapping[str, int], blocked: list[str], *, machine: str, now: int, only: str | None
) -> Mapping[str, object] | None:
    """The first waiting task that may start now: what was taken over first, then by priority, then by place."""
    open_ = [batch for batch, room in rooms.items() if room > 0]
    names = {f"b{number}": batch for number, batch in enumerate(open_)}
    models = {f"m{number}": model for number, model in enumerate(blocked)}
    allowed = f"batch IN ({', '.join(f':{name}' for name in names)})" if names else "1 = 0"
    if models:
        allowed += f" AND model NOT IN ({', '.join(f':{name}' for name in models)})"
    mine = "AND batch = :only" if only is not None else ""
    return row(
        connection,
        f"SELECT batch, id, run, stop FROM netclaw_items AS i WHERE state = 'waiting' AND not_before_ms <= :now {mine} "  # noqa: S608 - names of parameters
        # What runs on a lost worker's server must be seen stopped, whatever became of its batch.
        f"AND (machine IS NULL OR machine = :machine) AND (stop = 1 OR ({allowed})) "
        f"AND NOT EXISTS (SELECT 1 FROM netclaw_items AS o WHERE o.exclusive = i.exclusive AND o.state IN {_BUSY}) "
        "ORDER BY recovered DESC, priority DESC, seq LIMIT 1",
        now=now,
        machine=machine,
        **({"only": only} if only is not None else {}),
        **names,
        **models,
    )


def _rooms(connection: Connection, now: int, only: str | None) -> dict[str, int]:
    """How many more tasks of each batch may start now; a batch that has reached a limit for good is marked as halted."""
    found = {}
    for batch in rows(connection, "SELECT id, options FROM netclaw_batches WHERE paused = 0 AND cancelled = 0 AND halted IS NULL"):
        name = str(batch["id"])
        if only is not None and name != only:
            continue
        options = Options.from_json(unpacked(batch["options"]))
        halted = _halted(connection, name, options)
        if halted is not None:
            change(connection, "UPDATE netclaw_batches SET halted = :why WHERE id = :batch", why=halted, batch=name)
            continue
        room = _MOST
        if options.concurrency is not None:
            room = options.concurrency - _count(connection, f"batch = :batch AND state IN {_BUSY}", batch=name)
        if options.max_starts_per_minute is not None:
            begun = _count(connection, "batch = :batch AND begun_ms > :since", batch=name, since=now - _MINUTE_MS)
            room = min(room, options.max_starts_per_minute - begun)
        found[name] = room
    return found


def _halted(connection: Connection, batch: str, options: Options) -> str | None:
    """Why nothing more of a batch is to start until it is retried or submitted with other limits, or None."""
    if options.max_cost_usd is not None:
        spent = row(connection, "SELECT COALESCE(SUM(cost_usd), 0) AS spent FROM netclaw_items WHERE batch = :batch", batch=batch)
        if spent is not None and float(str(spent["spent"])) >= options.max_cost_usd:
            return "max_cost_usd"
    if options.stop_after_failures is not None:
        failed = _count(connection, "batch = :batch AND state = 'failed'", batch=batch)
        if failed >= options.stop_after_failures:
            return "stop_after_failures"
    return None


def _count(connection: Connection, where: str, **values: object) -> int:
    found = row(connection, f"SELECT COUNT(*) AS number FROM netclaw_items WHERE {where}", **values)  # noqa: S608 - our own conditions
    return int(str(found["number"])) if found is not None else 0


__all__ = ["Enqueue", "Run", "admit", "may_admit"]
