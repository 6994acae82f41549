"""Who runs an item now, and how it ended: each run begins with a new claim, and only the newest claim may write.

Owns the fence. A worker that was taken for dead and comes back has an old claim: what it brings is refused, and it is told so.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from netclaw_opencode.batch.admission import Run
from netclaw_opencode.batch.database import Database, change, now_ms, packed, row, rows, unpacked
from netclaw_opencode.batch.submitting import options_of, required

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from netclaw_opencode.jsontypes import JsonObject

MOST_ATTEMPTS = 5
"""An item whose worker was lost so often is itself the likely cause, and fails (``worker_lost``)."""
FIRST_WAIT_SECONDS = 5.0
LONGEST_WAIT_SECONDS = 300.0
"""Waits between tries begin with the one and double up to the other."""
REFUSED = frozenset({"provider_retrying"})
"""Errors by which a provider says that the model is asked too often: all workers then leave that model alone for a while."""


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to run an item and to write how it ended.

    Attributes:
        run: Which run it is.
        token: Tells this claim from every other one.
        spec: What ``run_task`` is given.
        key: The idempotency key of this try: the same after a take-over, another after a failure.
        attempts: How often the item was begun, this time included.
        stop: Whether it is only to be stopped.
        server: Where it ran before, as kept by ``note_server``.
        shared: Whether another machine may take it over.
    """

    run: Run
    token: str
    spec: JsonObject
    key: str
    attempts: int
    stop: bool
    server: JsonObject
    shared: bool


def begin(database: Database, run: Run, *, worker: str) -> Claim | None:
    """Claim an item for a run that the engine has started; None where the run is not wanted any more."""
    token = secrets.token_hex(12)
    with database.write(alone=False) as connection:
        found = row(
            connection,
            "UPDATE netclaw_items SET state = 'running', claim = :token, attempts = attempts + 1, begun_ms = :now, doing = NULL "
            "WHERE batch = :batch AND id = :item AND run = :run AND worker = :worker AND state = 'admitted' "
            "RETURNING spec, tries, attempts, stop, server, machine",
            token=token,
            now=now_ms(connection),
            batch=run.batch,
            item=run.item,
            run=run.number,
            worker=worker,
        )
    if found is None:
        return None
    return Claim(
        run,
        token,
        spec=unpacked(found["spec"]),
        key=f"{run.batch}/{run.item[:100]}/{found['tries']}",
        attempts=int(str(found["attempts"])),
        stop=bool(found["stop"]),
        server=unpacked(found["server"]),
        shared=found["machine"] is None,
    )


def note_server(database: Database, claim: Claim, server: JsonObject) -> bool:
    """Keep where the item runs, before it does; False where the claim is void."""
    with database.write(alone=False) as connection:
        return _where_claimed(connection, claim, "server = :server", server=packed(server))


def note_progress(database: Database, doing: Mapping[str, str]) -> None:
    """Keep what running items do, by claim, for whoever looks."""
    with database.write(alone=False) as connection:
        for token, text in doing.items():
            change(connection, "UPDATE netclaw_items SET doing = :text WHERE claim = :token AND state = 'running'", text=text, token=token)


def give_back(database: Database, claim: Claim) -> bool:
    """Let another worker have an item that was stopped here, as if it had not begun."""
    with database.write(alone=False) as connection:
        again = "state = 'waiting', run = run + 1, tries = tries + 1, attempts = attempts - 1"
        return _where_claimed(connection, claim, f"{again}, worker = NULL, claim = NULL, server = NULL, doing = NULL")


def settle(database: Database, claim: Claim, envelope: JsonObject, *, elapsed_seconds: float = 0.0, cancelled: bool = False) -> str | None:
    """Write how an item ended, or when it is tried again; returns its state, or None where the claim is void."""
    error = envelope.get("error")
    code = str(error.get("code")) if isinstance(error, Mapping) else None
    with database.write(alone=False) as connection:
        # Whoever takes the item over meanwhile waits, and finds it ended.
        held = "FOR UPDATE" if connection.dialect.name == "postgresql" else ""
        found = row(
            connection,
            f"SELECT tries, model FROM netclaw_items WHERE batch = :batch AND id = :item AND claim = :token AND state = 'running' {held}",  # noqa: S608 - our own words
            batch=claim.run.batch,
            item=claim.run.item,
            token=claim.token,
        )
        if found is None:
            return None
        options, now, tries = options_of(connection, claim.run.batch), now_ms(connection), int(str(found["tries"]))
        _note_model(connection, str(found["model"]), refused=code in REFUSED, worked=code is None, now=now)
        cost = _cost(envelope)
        if code is not None and not cancelled and code in options.retry_codes and tries <= options.retry_limit:
            _where_claimed(
                connection,
                claim,
                "state = 'waiting', run = run + 1, tries = tries + 1, not_before_ms = :later, cost_usd = cost_usd + :cost, code = :code, "
                "worker = NULL, claim = NULL, server = NULL, doing = NULL",
                later=now + int(wait_seconds(tries) * 1000),
                cost=cost,
                code=code,
            )
            return "waiting"
        state = "cancelled" if cancelled else "completed" if code is None else "failed"
        _where_claimed(
            connection,
            claim,
            "state = :state, code = :code, cost_usd = cost_usd + :cost, ended_ms = :now, claim = NULL, worker = NULL, server = NULL, "
            "doing = NULL, recovered = 0",
            state=state,
            code=code,
            cost=cost,
            now=now,
        )
        told = {
            "state": state,
            "attempts": claim.attempts,
            "tries": tries,
            "elapsed_seconds": round(elapsed_seconds, 3),
            **{name: envelope[name] for name in ("data", "error") if name in envelope},
        }
        _add_result(connection, claim.run.batch, claim.run.item, told)
        return state


def stop_requests(database: Database, worker: str) -> set[str]:
    """The claims of running items of this worker that are to be stopped."""
    with database.read() as connection:
        found = rows(connection, "SELECT claim FROM netclaw_items WHERE worker = :worker AND state = 'running' AND stop = 1", worker=worker)
    return {str(each["claim"]) for each in found}


def is_current(database: Database, claim: Claim) -> bool:
    """Whether nobody has taken the item over since."""
    with database.read() as connection:
        found = row(
            connection,
            "SELECT claim FROM netclaw_items WHERE batch = :batch AND id = :item AND claim = :token",
            batch=claim.run.batch,
            item=claim.run.item,
            token=claim.token,
        )
    return found is not None


def release(connection: Connection, worker: str) -> int:
    """Give back whatever a worker that is gone had: it comes first in the next choice. Where it ran stays written down."""
    return change(
        connection,
        "UPDATE netclaw_items SET state = 'waiting', recovered = CASE WHEN state = 'running' THEN 1 ELSE recovered END, run = run + 1, "
        "worker = NULL, claim = NULL, doing = NULL WHERE worker = :worker AND state IN ('admitted', 'running')",
        worker=worker,
    )


def cancel(database: Database, batch: str) -> tuple[int, int]:
    """Cancel what waits, and ask for the stop of what runs; returns how many of each."""
    with database.write() as connection:
        batch = str(required(connection, batch)["id"])
        change(connection, "UPDATE netclaw_batches SET cancelled = 1 WHERE id = :batch", batch=batch)
        found = rows(
            connection,
            "UPDATE netclaw_items SET state = 'cancelled', code = 'cancelled', ended_ms = :now, worker = NULL "
            # What ran on a lost worker may run on: it is stopped first, by whoever takes it over.
            "WHERE batch = :batch AND server IS NULL AND (state = 'admitted' OR (state = 'waiting' AND recovered = 0)) "
            "RETURNING id, attempts, tries",
            now=now_ms(connection),
            batch=batch,
        )
        error = {
            "code": "cancelled",
            "message": "the batch was cancelled before this task began",
            "retryable": False,
            "next": "retry_batch",
        }
        for each in found:
            told = {"state": "cancelled", "attempts": each["attempts"], "tries": each["tries"], "elapsed_seconds": 0, "error": error}
            _add_result(connection, batch, str(each["id"]), told)
        running = change(
            connection,
            "UPDATE netclaw_items SET stop = 1 WHERE batch = :batch AND state IN ('waiting', 'admitted', 'running')",
            batch=batch,
        )
    return len(found), running


def pause(database: Database, batch: str, *, paused: bool) -> None:
    """Start nothing more of a batch, or go on."""
    with database.write() as connection:
        batch = str(required(connection, batch)["id"])
        change(connection, "UPDATE netclaw_batches SET paused = :paused WHERE id = :batch", paused=int(paused), batch=batch)


def retry(database: Database, batch: str, codes: Collection[str]) -> int:
    """Let failed and cancelled items wait again; their earlier results are taken out. Returns how many."""
    with database.write() as connection:
        batch = str(required(connection, batch)["id"])
        change(connection, "UPDATE netclaw_batches SET cancelled = 0, halted = NULL WHERE id = :batch", batch=batch)
        names = {f"c{number}": code for number, code in enumerate(codes)}
        which = f"AND code IN ({', '.join(f':{name}' for name in names)})" if names else ""
        found = rows(
            connection,
            "UPDATE netclaw_items SET state = 'waiting', run = run + 1, tries = tries + 1, stop = 0, not_before_ms = 0, code = NULL, "  # noqa: S608 - names of parameters
            f"ended_ms = NULL, recovered = 0 WHERE batch = :batch AND state IN ('failed', 'cancelled') {which} RETURNING id",
            batch=batch,
            **names,
        )
        for each in found:
            change(connection, "DELETE FROM netclaw_results WHERE batch = :batch AND item = :item", batch=batch, item=each["id"])
    return len(found)


def wait_seconds(tries: int) -> float:
    """How long an item waits after its ``tries``-th failure."""
    return min(LONGEST_WAIT_SECONDS, FIRST_WAIT_SECONDS * 2.0 ** min(tries - 1, 16))


def _where_claimed(connection: Connection, claim: Claim, assignments: str, **values: object) -> bool:
    changed = change(
        connection,
        f"UPDATE netclaw_items SET {assignments} WHERE batch = :batch AND id = :item AND claim = :token AND state = 'running'",  # noqa: S608 - our own assignments
        batch=claim.run.batch,
        item=claim.run.item,
        token=claim.token,
        **values,
    )
    return changed == 1


def _add_result(connection: Connection, batch: str, item: str, told: JsonObject) -> None:
    change(
        connection,
        "INSERT INTO netclaw_results (batch, item, outcome) VALUES (:batch, :item, :outcome)",
        batch=batch,
        item=item,
        outcome=packed(told),
    )


def _note_model(connection: Connection, model: str, *, refused: bool, worked: bool, now: int) -> None:
    """Leave a model alone that refuses, for all workers and twice as long each time; one that answers is free again."""
    if refused:
        before = row(connection, "SELECT refusals FROM netclaw_models WHERE model = :model", model=model)
        refusals = int(str(before["refusals"])) + 1 if before is not None else 1
        change(
            connection,
            "INSERT INTO netclaw_models (model, blocked_until_ms, refusals) VALUES (:model, :until, :refusals) "
            "ON CONFLICT (model) DO UPDATE SET blocked_until_ms = excluded.blocked_until_ms, refusals = excluded.refusals",
            model=model,
            until=now + int(wait_seconds(refusals) * 1000),
            refusals=refusals,
        )
    elif worked:
        change(connection, "DELETE FROM netclaw_models WHERE model = :model", model=model)


def _cost(envelope: JsonObject) -> float:
    """What a run has cost, as far as its result or its error tells."""
    data, error = envelope.get("data"), envelope.get("error")
    details = error.get("details") if isinstance(error, Mapping) else None
    # Of a task that was over when its work could not be applied, the result stands in the error.
    done = details.get("result") if isinstance(details, Mapping) else None
    for place in (data, details, done):
        for name in ("usage", "spent"):
            usage = place.get(name) if isinstance(place, Mapping) else None
            cost = cast("Mapping[str, object]", usage).get("cost_usd") if isinstance(usage, Mapping) else None
            if isinstance(cost, int | float):
                return float(cost)
    return 0.0


__all__ = [
    "MOST_ATTEMPTS",
    "Claim",
    "begin",
    "cancel",
    "give_back",
    "is_current",
    "note_progress",
    "note_server",
    "pause",
    "release",
    "retry",
    "settle",
    "stop_requests",
    "wait_seconds",
]
