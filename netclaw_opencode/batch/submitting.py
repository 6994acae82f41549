"""Take a batch into the database, once: all of it or nothing, and the same input again adds nothing.

Owns the batch's id, what may differ between two submissions, and the batch's own limits.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

from netclaw_opencode.batch.database import Database, change, change_many, now_ms, packed, row, rows, unpacked
from netclaw_opencode.errors import ActionFailed, Refused

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from netclaw_opencode.batch.items import Item

RETRY_CODES = ("connection_lost", "provider_retrying", "server_died", "server_not_ready", "server_unreachable")
"""Failures of the surroundings, not of the work: repeated unless the batch says otherwise."""
RETRY_LIMIT = 3
COLUMNS = "id, name, created_ms, options, paused, cancelled, halted"
"""What is read of a batch; by name, since a newer version may add columns while this one runs."""
DEFAULT_MODEL = ""
"""Stands for the server's own default model in the table of models."""


@dataclass(frozen=True, slots=True)
class Options:
    """What a batch as a whole is held to.

    Attributes:
        concurrency: As many of its tasks run at once, on all workers together.
        max_starts_per_minute: No more of its tasks are started within any minute.
        max_cost_usd: Nothing more is started once so much was spent; what runs ends.
        stop_after_failures: Nothing more is started once so many tasks have failed.
        retry_codes: Errors after which a task is tried again.
        retry_limit: How often.
        shared_directories: Whether every machine sees the directories under the same path.
    """

    concurrency: int | None = None
    max_starts_per_minute: int | None = None
    max_cost_usd: float | None = None
    stop_after_failures: int | None = None
    retry_codes: tuple[str, ...] = RETRY_CODES
    retry_limit: int = RETRY_LIMIT
    shared_directories: bool = False

    @classmethod
    def from_json(cls, value: Mapping[str, object]) -> Options:
        """Read what ``packed(asdict(options))`` kept; names of a newer version are passed over."""
        known = {name: value[name] for name in cls.__dataclass_fields__ if name in value}
        codes = known.get("retry_codes")
        return cls(**known | ({"retry_codes": tuple(codes)} if isinstance(codes, list) else {}))  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class Submitted:
    """What a submission did.

    Attributes:
        batch: The batch's id.
        added: Items that are new.
        known: Items that were there, with what they are.
        changed: Items whose content was replaced before they started.
        left: Items of the batch that this input does not name; they stay.
    """

    batch: str
    added: int = 0
    known: int = 0
    changed: int = 0
    left: int = 0
    notes: list[str] = field(default_factory=list)


def batch_id(name: str) -> str:
    """The id of a batch of that name."""
    return f"bat_{hashlib.sha256(name.encode()).hexdigest()[:16]}"


def name_of(items: Sequence[Item]) -> str:
    """The name of a list that was given none: what it is, by content."""
    return "list:" + hashlib.sha256("\n".join(f"{item.id} {item.digest}" for item in items).encode()).hexdigest()[:32]


def submit(database: Database, name: str, items: Sequence[Item], options: Options, *, add: bool, machine: str) -> Submitted:
    """Take the items in; raises ``Refused`` (``batch_changed``) where they are not what the batch holds and ``add`` is not set."""
    batch = batch_id(name)
    with database.write() as connection:
        known = row(connection, "SELECT options FROM netclaw_batches WHERE id = :batch", batch=batch)
        if known is None:
            change(
                connection,
                "INSERT INTO netclaw_batches (id, name, created_ms, options) VALUES (:batch, :name, :now, :options)",
                batch=batch,
                name=name,
                now=now_ms(connection),
                options=packed(asdict(options)),
            )
            _insert(connection, batch, items, options, machine=machine, first=1)
            result = Submitted(batch, added=len(items))
        else:
            result = _continue(connection, batch, name, items, options, add=add, machine=machine)
        if connection.dialect.name == "postgresql" and result.added:
            # Without it the first look for work after a big insert can take minutes: the planner knows of no rows yet.
            connection.exec_driver_sql("ANALYZE netclaw_items")
    return result


def _continue(
    connection: Connection, batch: str, name: str, items: Sequence[Item], options: Options, *, add: bool, machine: str
) -> Submitted:
    found = {
        str(each["id"]): each for each in rows(connection, "SELECT id, digest, state FROM netclaw_items WHERE batch = :batch", batch=batch)
    }
    new = [item for item in items if item.id not in found]
    changed = [item for item in items if item.id in found and found[item.id]["digest"] != item.digest]
    begun = [item.id for item in changed if found[item.id]["state"] != "waiting"]
    left = len(found) - (len(items) - len(new))
    if (new or changed) and not add:
        raise Refused(
            "batch_changed",
            f"the batch {name!r} is there already, and this input differs from it: "
            f"{len(new)} new, {len(changed)} changed, {left} not named; nothing was added",
            details={"batch_id": batch, "new": [item.id for item in new[:20]], "changed": [item.id for item in changed[:20]], "left": left},
        )
    if begun:
        raise Refused(
            "batch_changed",
            f"{len(begun)} changed items of {name!r} have been started as they were: {', '.join(begun[:5])}; nothing was added",
            next="give the changed tasks ids of their own, or another batch a name of its own",
            details={"batch_id": batch, "changed": begun[:20]},
        )
    change(
        connection,
        "UPDATE netclaw_batches SET options = :options, halted = NULL WHERE id = :batch",
        options=packed(asdict(options)),
        batch=batch,
    )
    top = row(connection, "SELECT COALESCE(MAX(seq), 0) AS top FROM netclaw_items WHERE batch = :batch", batch=batch)
    for item in changed:
        change(connection, "DELETE FROM netclaw_items WHERE batch = :batch AND id = :id AND state = 'waiting'", batch=batch, id=item.id)
    _insert(connection, batch, [*new, *changed], options, machine=machine, first=int(str(top["top"])) + 1 if top else 1)
    return Submitted(batch, added=len(new), known=len(items) - len(new) - len(changed), changed=len(changed), left=left)


def _insert(connection: Connection, batch: str, items: Sequence[Item], options: Options, *, machine: str, first: int) -> None:
    change_many(
        connection,
        "INSERT INTO netclaw_items (batch, id, seq, digest, spec, priority, exclusive, machine, model) "
        "VALUES (:batch, :id, :seq, :digest, :spec, :priority, :exclusive, :machine, :model)",
        [
            {
                "batch": batch,
                "id": item.id,
                "seq": seq,
                "digest": item.digest,
                "spec": packed(item.spec),
                "priority": item.priority,
                # A directory that is not shared is another one on each machine, and its tasks stay where it is.
                "exclusive": str(item.spec["directory"]) if options.shared_directories else f"{machine}:{item.spec['directory']}",
                "machine": None if options.shared_directories else machine,
                "model": str(item.spec.get("model") or DEFAULT_MODEL),
            }
            for seq, item in enumerate(items, first)
        ],
    )


def options_of(connection: Connection, batch: str) -> Options:
    """The limits of a batch; raises ``ActionFailed`` (``batch_not_found``)."""
    return Options.from_json(unpacked(required(connection, batch)["options"]))


def required(connection: Connection, batch: str) -> Mapping[str, object]:
    """The row of a batch, by its id or its name; raises ``ActionFailed`` (``batch_not_found``)."""
    found = row(connection, f"SELECT {COLUMNS} FROM netclaw_batches WHERE id = :batch OR name = :batch", batch=batch)  # noqa: S608 - our own names
    if found is None:
        raise ActionFailed("batch_not_found", f"there is no batch {batch[:200]!r} in this database")
    return found


__all__ = [
    "COLUMNS",
    "DEFAULT_MODEL",
    "RETRY_CODES",
    "RETRY_LIMIT",
    "Options",
    "Submitted",
    "batch_id",
    "name_of",
    "options_of",
    "required",
    "submit",
]
