"""What became of batches so far: counts, what runs, results in pages. Reads only."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from netclaw_opencode.batch.database import Database, now_ms, row, rows, unpacked
from netclaw_opencode.batch.leases import is_gone
from netclaw_opencode.batch.submitting import COLUMNS, required

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Connection

STATES = ("waiting", "running", "completed", "failed", "cancelled")
ENDED = ("completed", "failed", "cancelled")
_SHOWN_RUNNING = 50
_RECENT_MS = 600_000
"""The estimate rests on the last ten minutes."""


def batch(database: Database, name: str) -> dict[str, object]:
    """One batch, by its id or its name; raises ``ActionFailed`` (``batch_not_found``)."""
    with database.read() as connection:
        return _summary(connection, required(connection, name))


def id_of(database: Database, name: str) -> str:
    """The id of a batch, by its id or its name; raises ``ActionFailed`` (``batch_not_found``)."""
    with database.read() as connection:
        return str(required(connection, name)["id"])


def every(database: Database, *, limit: int) -> list[dict[str, object]]:
    """The batches, the newest first."""
    with database.read() as connection:
        found = rows(connection, f"SELECT {COLUMNS} FROM netclaw_batches ORDER BY created_ms DESC, id LIMIT :limit", limit=limit)  # noqa: S608 - our own names
        return [_summary(connection, each) for each in found]


def results(
    database: Database, name: str, *, after: int, limit: int, state: str | None = None
) -> tuple[list[dict[str, object]], int, bool]:
    """A page of results in the order in which the items ended; the number to go on after; whether there are more."""
    with database.read() as connection:
        batch_id = required(connection, name)["id"]
        which = "AND i.state = :state" if state is not None else ""
        found = rows(
            connection,
            "SELECT r.number, r.item, r.outcome FROM netclaw_results AS r "  # noqa: S608 - our own condition
            f"JOIN netclaw_items AS i ON i.batch = r.batch AND i.id = r.item WHERE r.batch = :batch AND r.number > :after {which} "
            "ORDER BY r.number LIMIT :limit",
            batch=batch_id,
            after=after,
            limit=limit + 1,
            **({"state": state} if state is not None else {}),
        )
    page = [{"id": str(each["item"]), **unpacked(each["outcome"])} for each in found[:limit]]
    return page, int(str(found[:limit][-1]["number"])) if found else after, len(found) > limit


def unfinished(database: Database, *, machine: str, only: str | None) -> int:
    """How many items are left that a worker of this machine may have to do with."""
    mine = "AND i.batch = :only" if only is not None else ""
    with database.read() as connection:
        found = row(
            connection,
            "SELECT COUNT(*) AS number FROM netclaw_items AS i JOIN netclaw_batches AS b ON b.id = i.batch "  # noqa: S608 - our own condition
            f"WHERE i.state IN ('waiting', 'admitted', 'running') AND (i.machine IS NULL OR i.machine = :machine) {mine} "
            # A batch that is paused or halted is no reason to stay.
            "AND (i.state <> 'waiting' OR i.stop = 1 OR (b.paused = 0 AND b.cancelled = 0 AND b.halted IS NULL))",
            machine=machine,
            **({"only": only} if only is not None else {}),
        )
    return int(str(found["number"])) if found is not None else 0


def workers(database: Database, *, machine: str | None = None) -> int:
    """How many workers live and take tasks of every batch, as far as can be seen from here."""
    with database.read() as connection:
        return len([each for each in _living(connection, machine) if not each["draining"] and each["only_batch"] is None])


def _living(connection: Connection, machine: str | None = None) -> list[Mapping[str, object]]:
    where = "WHERE machine = :machine" if machine is not None else ""
    named = {"machine": machine} if machine is not None else {}
    found = rows(connection, f"SELECT id, identity, draining, only_batch FROM netclaw_workers {where}", **named)  # noqa: S608 - our own condition
    return [each for each in found if not is_gone(str(each["identity"]))]


def _summary(connection: Connection, found: Mapping[str, object]) -> dict[str, object]:
    batch_id, now = str(found["id"]), now_ms(connection)
    counts = dict.fromkeys(STATES, 0)
    failures: dict[str, int] = {}
    cost, in_flight = 0.0, 0
    for each in rows(
        connection,
        "SELECT state, code, COUNT(*) AS number, SUM(cost_usd) AS cost FROM netclaw_items WHERE batch = :batch GROUP BY state, code",
        batch=batch_id,
    ):
        state, number = str(each["state"]), int(str(each["number"]))
        # One that was handed to the engine and has not begun is still waiting, for whoever looks.
        in_flight += number if state in ("admitted", "running") else 0
        counts["waiting" if state == "admitted" else state] += number
        cost += float(str(each["cost"] or 0))
        if state in ("failed", "cancelled"):
            failures[str(each["code"])] = failures.get(str(each["code"]), 0) + number
    total, done = sum(counts.values()), sum(counts[state] for state in ENDED)
    running = rows(
        connection,
        "SELECT id, doing, attempts, begun_ms FROM netclaw_items WHERE batch = :batch AND state = 'running' ORDER BY begun_ms LIMIT :limit",
        batch=batch_id,
        limit=_SHOWN_RUNNING,
    )
    summary: dict[str, object] = {
        "batch_id": batch_id,
        "name": str(found["name"]),
        "state": _state(found, total=total, done=done, in_flight=in_flight),
        **({"halted": str(found["halted"])} if found["halted"] else {}),
        "done": done == total,
        "total": total,
        "counts": counts,
        "failures": failures,
        "cost_usd": round(cost, 6),
        "workers": len(_living(connection)),
        "running": [
            {
                "id": str(each["id"]),
                "attempts": int(str(each["attempts"])),
                "elapsed_seconds": round(max(0, now - int(str(each["begun_ms"] or now))) / 1000, 1),
                **({"doing": str(each["doing"])} if each["doing"] else {}),
            }
            for each in running
        ],
        "options": json.loads(str(found["options"])),
    }
    estimate = _estimate(connection, batch_id, now=now, left=total - done)
    return summary if estimate is None else {**summary, **estimate}


def _state(found: Mapping[str, object], *, total: int, done: int, in_flight: int) -> str:
    if done == total:
        return "cancelled" if found["cancelled"] else "done"
    if found["cancelled"]:
        return "cancelling"
    if found["halted"]:
        return "halting" if in_flight else "halted"
    if found["paused"]:
        return "pausing" if in_flight else "paused"
    return "running"


def _estimate(connection: Connection, batch_id: str, *, now: int, left: int) -> dict[str, object] | None:
    """Throughput of the last minutes and the time left by it, or None before the second item has ended."""
    found = row(
        connection,
        "SELECT COUNT(*) AS number, MIN(begun_ms) AS first FROM netclaw_items "
        "WHERE batch = :batch AND ended_ms > :since AND state IN ('completed', 'failed')",
        batch=batch_id,
        since=now - _RECENT_MS,
    )
    number = int(str(found["number"])) if found is not None else 0
    if found is None or number < 2:
        return None
    per_minute = number / max(0.001, (now - int(str(found["first"]))) / 60_000)
    return {"per_minute": round(per_minute, 2), **({"left_seconds": round(60 * left / per_minute)} if left else {})}


__all__ = ["ENDED", "STATES", "batch", "every", "id_of", "results", "unfinished", "workers"]
