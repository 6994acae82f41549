"""The database of batches: its address, its tables, its transactions. SQLite in the state folder by default, or one Postgres.

Owns connections and transactions, and when the tables are upgraded; ``schema`` has their form. What the rows mean is written down
in ``submitting``, ``admission`` and ``claims``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, cast
from urllib.parse import urlsplit

from netclaw_opencode._core.private_files import require_private_folder
from netclaw_opencode.batch.schema import MIGRATIONS, Migration
from netclaw_opencode.errors import ActionFailed, InvalidInput, ServerProblem

if TYPE_CHECKING:
    import sqlite3

    from sqlalchemy import Connection, Engine

    from netclaw_opencode.settings import Settings

SETTING = "OPENCODE_DRIVER_BATCH_URL"
_FILE = "batches.sqlite3"
_LOCK_KEY = 0x6E65_7463_6C61_7721
"""Key of the advisory lock that makes Postgres transactions of ours run one after the other, as SQLite does by itself."""
_BUSY_SECONDS = 30.0
"""How long SQLite waits for another writer; a writer of ours is done in milliseconds, a copy of the file may take longer."""
_CONNECT_SECONDS = 10
_POSTGRES_OPTIONS = "-c idle_in_transaction_session_timeout=10000 -c statement_timeout=60000"
"""A worker that is stopped in the middle of a transaction must not hold up all others; none of ours waits for anything but the database."""


class Database:
    """One database of batches; ``url`` is SQLAlchemy's, with the driver in it, and may hold a password."""

    def __init__(self, url: str) -> None:
        self.url = url

    @classmethod
    def of(cls, settings: Settings) -> Database:
        """The database that the settings name; raises ``InvalidInput`` (``extra_missing``) where its library is not installed."""
        _require_extra()
        given = settings.batch_url
        if given is None:
            path = require_private_folder(settings.state_dir / "batches") / _FILE
            return cls(f"sqlite:///{path}")
        return cls(checked_url(given))

    @property
    def is_sqlite(self) -> bool:
        """Whether it is a file of this machine."""
        return self.url.startswith("sqlite")

    @property
    def shown(self) -> str:
        """The address without user name and password."""
        return f"{self.url.partition(':')[0]}://…@{self.url.rsplit('@', 1)[-1]}" if "@" in self.url else self.url

    @cached_property
    def engine(self) -> Engine:
        """SQLAlchemy's engine; SQLite's begins each transaction as a writer, so that none has to start over."""
        import sqlalchemy as sa

        if not self.is_sqlite:
            arguments = {"connect_timeout": _CONNECT_SECONDS, "options": _POSTGRES_OPTIONS}
            return sa.create_engine(self.url, pool_pre_ping=True, connect_args=arguments)
        engine = sa.create_engine(self.url, connect_args={"timeout": _BUSY_SECONDS})

        @sa.event.listens_for(engine, "connect")
        def prepare(connection: object, _record: object) -> None:
            plain = cast("sqlite3.Connection", connection)
            # Transactions are begun below, not by the driver's guess.
            plain.isolation_level = None
            plain.execute("PRAGMA journal_mode=WAL").close()
            plain.execute("PRAGMA synchronous=FULL").close()

        return engine

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """One transaction that no other writer of batches runs beside; an error takes all of it back."""
        with self.reachable(), self.engine.connect() as connection, connection.begin():
            if self.is_sqlite:
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            else:
                connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK_KEY})")
            yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A look that blocks nobody."""
        with self.reachable(), self.engine.connect() as connection:
            yield connection

    @contextmanager
    def reachable(self) -> Iterator[None]:
        """Turn what the database's driver raises where it cannot be used into ``ServerProblem`` (``database_unavailable``)."""
        import sqlalchemy as sa

        try:
            yield
        except sa.exc.OperationalError as error:
            message = f"the database {self.shown} cannot be used: {_reason(error)}"
            # Whatever is written is one transaction: nothing of it is there.
            next_ = "make room on its disk, then try again: nothing was written" if _is_full(error) else None
            raise ServerProblem("database_unavailable", message, next=next_) from error

    def prepare(self, migrations: Sequence[Migration] = MIGRATIONS) -> None:
        """Bring the tables to the form that this version knows; looks only where that has been done.

        Raises:
            ActionFailed: ``state_corrupt``: a newer version made them, and this one must not work beside it.
            ServerProblem: ``database_unavailable``: workers live that could not go on after the upgrade.
        """
        with self.read() as connection:
            if self._has_meta(connection) and self._kept(connection, len(migrations))[0] >= len(migrations):
                return
        with self.write() as connection:
            connection.exec_driver_sql("CREATE TABLE IF NOT EXISTS netclaw_meta (name TEXT PRIMARY KEY, value TEXT NOT NULL)")
            made, readable_by = self._kept(connection, len(migrations))
            for version, migration in enumerate(migrations[made:], made + 1):
                if migration.readable_by > readable_by and made > 0:
                    self._require_no_older_worker(connection, version, migration.readable_by)
                for text in migration.statements:
                    connection.exec_driver_sql(text if isinstance(text, str) else text[0 if self.is_sqlite else 1])
                readable_by = max(readable_by, migration.readable_by)
            for name, value in (("schema", readable_by), ("made", max(made, len(migrations)))):
                change(
                    connection,
                    "INSERT INTO netclaw_meta (name, value) VALUES (:name, :value) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                    name=name,
                    value=str(value),
                )

    @staticmethod
    def _has_meta(connection: Connection) -> bool:
        import sqlalchemy as sa

        return sa.inspect(connection).has_table("netclaw_meta")

    def _kept(self, connection: Connection, known: int) -> tuple[int, int]:
        """To which version the tables were brought, and the oldest version that may work with them; 0 for new ones.

        The first version kept one number, and refuses a greater one: it stands for the second of the two ever since.
        """
        kept = {str(each["name"]): int(str(each["value"])) for each in rows(connection, "SELECT name, value FROM netclaw_meta")}
        readable_by = kept.get("schema", 0)
        made = kept.get("made", readable_by)
        if readable_by > known:
            raise ActionFailed(
                "state_corrupt",
                f"the batches in {self.shown} are a newer version's of netclaw-opencode (schema {made}, here {known})",
                next="use that version, or another database",
            )
        return made, readable_by

    def _require_no_older_worker(self, connection: Connection, version: int, readable_by: int) -> None:
        found = rows(connection, "SELECT id FROM netclaw_workers WHERE knows < :readable_by ORDER BY id", readable_by=readable_by)
        if found:
            names = ", ".join(str(each["id"]) for each in found[:5])
            raise ServerProblem(
                "database_unavailable",
                f"{self.shown} is to be upgraded to schema {version}; {len(found)} workers of an earlier version could not go on: {names}",
                next="end them with SIGTERM, then try again; the row of one that was killed can be deleted from netclaw_workers",
            )

    def close(self) -> None:
        """Close every connection."""
        self.engine.dispose()


def rows(connection: Connection, sql: str, /, **values: object) -> list[Mapping[str, object]]:
    """The rows of a statement, by column name."""
    import sqlalchemy as sa

    return [dict(found) for found in connection.execute(sa.text(sql), values).mappings()]


def row(connection: Connection, sql: str, /, **values: object) -> Mapping[str, object] | None:
    """The first row of a statement, or None."""
    return next(iter(rows(connection, sql, **values)), None)


def change(connection: Connection, sql: str, /, **values: object) -> int:
    """Run a statement and return how many rows it changed."""
    import sqlalchemy as sa

    return connection.execute(sa.text(sql), values).rowcount


def change_many(connection: Connection, sql: str, values: Sequence[Mapping[str, object]]) -> None:
    """Run one statement for each set of values."""
    import sqlalchemy as sa

    if values:
        connection.execute(sa.text(sql), [dict(each) for each in values])


def now_ms(connection: Connection) -> int:
    """The database's wall clock, in milliseconds: one clock for all machines. No lease rests on it."""
    if connection.dialect.name == "sqlite":
        found = row(connection, "SELECT CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER) AS now")
    else:
        found = row(connection, "SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT) AS now")
    assert found is not None  # a SELECT without a table has one row
    return int(str(found["now"]))


def packed(value: object) -> str:
    """A value as it is kept in a column."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def unpacked(text: object) -> dict[str, object]:
    """An object that was kept by ``packed``; an empty one for nothing."""
    value = json.loads(text) if isinstance(text, str) else {}
    return value if isinstance(value, dict) else {}


def checked_url(given: str) -> str:
    """An address from the settings as SQLAlchemy's; raises ``InvalidInput`` that shows nothing of it, since it may hold a password."""
    scheme = given.partition(":")[0]
    if scheme in ("postgresql", "postgres"):
        try:
            host = urlsplit(given).path.strip("/")
        except ValueError:
            host = ""
        if host:
            return f"postgresql+psycopg:{given.partition(':')[2]}"
    if Path(given).is_absolute() and not given.endswith("/"):
        return f"sqlite:///{given}"
    raise InvalidInput(
        "invalid_input",
        f"{SETTING} must be postgresql://user:password@host:port/database, or the absolute path of a file for SQLite",
        next=f"correct {SETTING}, or unset it: then the batches are kept in the state folder",
    )


def _require_extra() -> None:
    """Say what is missing before anything of it is imported."""
    import importlib.util

    missing = [name for name in ("dbos", "sqlalchemy") if importlib.util.find_spec(name) is None]
    if missing:
        raise InvalidInput(
            "extra_missing",
            f"batches need the extra 'batch', and {' and '.join(missing)} is not installed",
            next="pip install 'netclaw-opencode[batch]'",
            details={"extra": "batch", "missing": missing},
        )


def _is_full(error: Exception) -> bool:
    """Whether the disk of the database is full: SQLite's words, or Postgres' code."""
    cause = getattr(error, "orig", None)
    return getattr(cause, "sqlstate", None) == "53100" or "disk is full" in str(cause)


def _reason(error: Exception) -> str:
    """The driver's own words, without the statement and its values."""
    cause = getattr(error, "orig", None) or error
    return str(cause).strip().splitlines()[0][:300] if str(cause).strip() else type(cause).__name__


__all__ = ["SETTING", "Database", "change", "change_many", "checked_url", "now_ms", "packed", "row", "rows", "unpacked"]
