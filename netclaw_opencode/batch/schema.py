"""The tables of batches, as the steps that have made them: one for each version, in order, never changed once it was released.

Workers of two versions work on one database while one takes the place of the other. So a step only adds: a table, an index, a column
with a default. Statements name their columns: after a new one Postgres refuses a prepared ``SELECT *``. A step that takes away or gives
a column another meaning says by ``readable_by`` who may go on; it is not taken while an older worker lives.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

_FIRST = (
    """CREATE TABLE netclaw_batches (
        id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, created_ms BIGINT NOT NULL, options TEXT NOT NULL,
        paused INTEGER NOT NULL DEFAULT 0, cancelled INTEGER NOT NULL DEFAULT 0, halted TEXT)""",
    """CREATE TABLE netclaw_items (
        batch TEXT NOT NULL, id TEXT NOT NULL, seq INTEGER NOT NULL, digest TEXT NOT NULL, spec TEXT NOT NULL,
        priority INTEGER NOT NULL, exclusive TEXT NOT NULL, machine TEXT, model TEXT NOT NULL,
        state TEXT NOT NULL DEFAULT 'waiting', recovered INTEGER NOT NULL DEFAULT 0, stop INTEGER NOT NULL DEFAULT 0,
        run INTEGER NOT NULL DEFAULT 1, tries INTEGER NOT NULL DEFAULT 1, attempts INTEGER NOT NULL DEFAULT 0,
        not_before_ms BIGINT NOT NULL DEFAULT 0, worker TEXT, claim TEXT, server TEXT, doing TEXT,
        begun_ms BIGINT, ended_ms BIGINT, code TEXT, cost_usd DOUBLE PRECISION NOT NULL DEFAULT 0,
        PRIMARY KEY (batch, id))""",
    # One task in a directory at a time, held by the database itself.
    "CREATE UNIQUE INDEX netclaw_exclusive ON netclaw_items (exclusive) WHERE state IN ('admitted', 'running')",
    "CREATE INDEX netclaw_waiting ON netclaw_items (recovered DESC, priority DESC, seq) WHERE state = 'waiting'",
    "CREATE INDEX netclaw_counts ON netclaw_items (batch, state, code, cost_usd)",
    "CREATE INDEX netclaw_begun ON netclaw_items (batch, begun_ms)",
    "CREATE INDEX netclaw_owned ON netclaw_items (worker) WHERE state IN ('admitted', 'running')",
    (
        """CREATE TABLE netclaw_results (
            number INTEGER PRIMARY KEY AUTOINCREMENT, batch TEXT NOT NULL, item TEXT NOT NULL, outcome TEXT NOT NULL,
            UNIQUE (batch, item))""",
        """CREATE TABLE netclaw_results (
            number BIGSERIAL PRIMARY KEY, batch TEXT NOT NULL, item TEXT NOT NULL, outcome TEXT NOT NULL,
            UNIQUE (batch, item))""",
    ),
    "CREATE INDEX netclaw_result_pages ON netclaw_results (batch, number)",
    """CREATE TABLE netclaw_workers (
        id TEXT PRIMARY KEY, machine TEXT NOT NULL, identity TEXT NOT NULL, concurrency INTEGER NOT NULL,
        beat BIGINT NOT NULL DEFAULT 0, draining INTEGER NOT NULL DEFAULT 0, pool TEXT NOT NULL, only_batch TEXT)""",
    "CREATE TABLE netclaw_models (model TEXT PRIMARY KEY, blocked_until_ms BIGINT NOT NULL, refusals INTEGER NOT NULL)",
)

Statement = str | tuple[str, str]
"""One for both databases, or one for SQLite and one for Postgres."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One version of the tables.

    Attributes:
        statements: What makes it of the one before, run in one transaction.
        readable_by: The oldest version whose workers can go on with it.
    """

    statements: Sequence[Statement]
    readable_by: int


MIGRATIONS: Sequence[Migration] = (
    Migration(_FIRST, readable_by=1),
    # Which version of the tables a worker was written for.
    Migration(("ALTER TABLE netclaw_workers ADD COLUMN knows INTEGER NOT NULL DEFAULT 1",), readable_by=1),
)
SCHEMA_VERSION = len(MIGRATIONS)

__all__ = ["MIGRATIONS", "SCHEMA_VERSION", "Migration", "Statement"]
