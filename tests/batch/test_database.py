"""The tables of batches are brought to a newer version while workers of two versions run, and on several machines nobody is mistaken.

Owns a module's Postgres; the workers are processes of their own, with real OpenCode servers.
"""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa

from netclaw_opencode.batch import claims, leases, looking, submitting
from netclaw_opencode.batch.database import Database, change, checked_url, row, rows
from netclaw_opencode.batch.items import Item
from netclaw_opencode.batch.schema import MIGRATIONS, SCHEMA_VERSION, Migration
from netclaw_opencode.batch.submitting import Options
from netclaw_opencode.errors import ActionFailed, ServerProblem
from netclaw_opencode.offline import Gated
from netclaw_opencode.opencode.process import identity
from netclaw_opencode.testing.waiting import wait_until
from tests.batch.conftest import BEAT_SECONDS, LEASE_SECONDS, ROOT, BatchPlace
from tests.batch.test_flow import DONE, Flow, item
from tests.support.pace import MACHINE_SECONDS
from tests.support.postgres import Postgres

FIRST_VERSION = "28574b5"
"""The last commit whose tables had version 1."""
NEXT = Migration(("ALTER TABLE netclaw_batches ADD COLUMN colour TEXT NOT NULL DEFAULT 'red'",), readable_by=1)
NARROW = Migration(("ALTER TABLE netclaw_items DROP COLUMN doing",), readable_by=SCHEMA_VERSION + 1)


@pytest.fixture(scope="module")
def postgres(shared_postgres: Postgres) -> Postgres:
    """The one of the file."""
    return shared_postgres


@pytest.fixture
def database(empty_database: Database) -> Database:
    """A database of each kind, without tables."""
    return empty_database


def kept(database: Database) -> dict[str, str]:
    """The numbers of the schema."""
    with database.read() as connection:
        return {str(each["name"]): str(each["value"]) for each in rows(connection, "SELECT name, value FROM netclaw_meta")}


def test_tables_of_the_first_version_are_upgraded_and_keep_what_they_hold(database: Database) -> None:
    """The first version wrote one number, which is now the oldest version that may work there: so it goes on, and may start anew."""
    database.prepare(MIGRATIONS[:1])
    with database.write() as connection:
        change(connection, "DELETE FROM netclaw_meta WHERE name = 'made'")
        added = "INSERT INTO netclaw_workers (id, machine, identity, concurrency, pool) VALUES ('old', 'here', '{}', 4, '')"
        change(connection, added)
    batch = submitting.submit(database, "kept", [item("a"), item("b")], Options(), add=False, machine="here").batch
    database.prepare()
    database.prepare()
    assert kept(database) == {"schema": "1", "made": str(SCHEMA_VERSION)}
    assert looking.batch(database, batch)["total"] == 2
    with database.read() as connection:
        assert row(connection, "SELECT knows FROM netclaw_workers WHERE id = 'old'") == {"knows": 1}


def test_an_upgrade_that_only_adds_disturbs_nobody_and_one_that_takes_away_waits(database: Database) -> None:
    """Statements that a worker has prepared go on after a new column; what an older worker could not bear is not done while it lives."""
    database.prepare()
    beside = Database(database.url)
    batch = submitting.submit(database, "kept", [item("a")], Options(), add=False, machine="here").batch
    for _ in range(8):  # Postgres' driver prepares a statement after some uses
        assert looking.every(database, limit=5) and looking.batch(database, batch)
    beside.prepare([*MIGRATIONS, NEXT])
    assert looking.every(database, limit=5)[0]["total"] == 1 and looking.batch(database, batch)["state"] == "running"
    database.prepare()
    with database.write() as connection:
        change(
            connection,
            "INSERT INTO netclaw_workers (id, machine, identity, concurrency, pool, knows) VALUES ('w', 'here', '{}', 4, '', :knows)",
            knows=SCHEMA_VERSION,
        )
    with pytest.raises(ServerProblem, match="1 workers of an earlier version could not go on: w"):
        beside.prepare([*MIGRATIONS, NEXT, NARROW])
    assert kept(database)["made"] == str(SCHEMA_VERSION + 1)
    with database.write() as connection:
        change(connection, "DELETE FROM netclaw_workers")
    beside.prepare([*MIGRATIONS, NEXT, NARROW])
    assert kept(database) == {"schema": str(SCHEMA_VERSION + 1), "made": str(SCHEMA_VERSION + 2)}
    with pytest.raises(ActionFailed, match=f"schema {SCHEMA_VERSION + 2}, here {SCHEMA_VERSION}"):
        database.prepare()
    beside.close()


def test_a_step_that_fails_leaves_the_version_before(database: Database) -> None:
    """Its statements and the number are one transaction."""
    database.prepare()
    broken = Migration((*NEXT.statements, "ALTER TABLE netclaw_nothing ADD COLUMN x TEXT"), readable_by=1)
    with pytest.raises(Exception, match="netclaw_nothing"):
        database.prepare([*MIGRATIONS, broken])
    assert kept(database)["made"] == str(SCHEMA_VERSION)
    database.prepare([*MIGRATIONS, NEXT])
    assert kept(database)["made"] == str(SCHEMA_VERSION + 1)


def test_no_statement_reads_columns_that_it_does_not_name() -> None:
    """``SELECT *`` would fail on Postgres in a worker that runs while another one adds a column."""
    texts = {path.name: path.read_text("utf-8") for path in (ROOT / "netclaw_opencode" / "batch").glob("*.py")}
    assert [
        name for name, text in texts.items() if re.search(r"(?i)\b(SELECT|RETURNING) (\w+\.)?\*", text.replace("``SELECT *``", ""))
    ] == []


def test_a_process_is_judged_from_its_own_machine_and_namespace_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Machines that were copied with their id, containers of one image on two machines: neither is another one's."""
    mine = json.loads(leases.this_process())
    ended = {**mine, "start_ticks": 1}
    rebooted = {**mine, "boot_id": "another", "machine": "m", "pid_namespace": identity.INITIAL_NAMESPACE}
    monkeypatch.setattr(identity, "machine", lambda: "m")
    monkeypatch.setattr(identity, "pid_namespace", lambda: identity.INITIAL_NAMESPACE)
    here = leases.machine()
    assert leases.is_gone(json.dumps(rebooted)) and not leases.is_gone(json.dumps({**rebooted, "host": "a-copy-of-this-machine"}))
    monkeypatch.setattr(identity, "pid_namespace", lambda: mine["pid_namespace"])
    assert leases.is_gone(json.dumps(ended))
    for other in ({"host": "pod-b"}, {"pid_namespace": "pid:[1]"}, {"boot_id": "another"}):
        assert not leases.is_gone(json.dumps({**ended, **other}))
    monkeypatch.setattr(identity, "pid_namespace", lambda: "pid:[4026532999]")
    one = leases.machine()
    monkeypatch.setattr("platform.node", lambda: "pod-b")
    assert len({here, one, leases.machine()}) == 3


class Pod:
    """A worker in a PID namespace and with a host name of its own, as in a container; killed with everything below it."""

    def __init__(self, place: BatchPlace, name: str, package: Path) -> None:
        flags = ["--lease-seconds", f"{LEASE_SECONDS:g}", "--beat-seconds", f"{BEAT_SECONDS:g}"]
        worker = ["netclaw_opencode", "worker", "--concurrency", "2", *flags]
        self.log = place.home / f"worker-{name}.log"
        environ = {**place.environ, "OPENCODE_DRIVER_STATE_DIR": str(place.home / name), "PYTHONPATH": str(package)}
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [*namespaces(), "sh", "-c", 'hostname "$0" && exec "$@"', name, sys.executable, "-m", *worker],
                env=environ,
                cwd=place.home,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        place.workers.append(self.process)

    def signal(self, number: int) -> None:
        """Tell the worker, which is the first process of its namespace."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text("ascii").split()
        os.kill(int(children[0]), number)


def namespaces() -> list[str]:
    """How a process gets namespaces of its own here, as root or as anybody."""
    wanted = ["unshare", "--pid", "--fork", "--mount-proc", "--uts", "--kill-child=SIGKILL"]
    for form in (wanted, [*wanted, "--user", "--map-root-user"]):
        if subprocess.run([*form, "true"], capture_output=True, check=False).returncode == 0:
            return form
    raise AssertionError("this test needs util-linux' unshare and the right to make PID namespaces (root, or user namespaces)")


def package_of_the_first_version(folder: Path) -> Path:
    """The code of the first version from the history; where there is none (a release, a shallow clone), the code of today."""
    git = shutil.which("git")
    if git is None or not (ROOT / ".git").exists():
        return ROOT
    found = subprocess.run(
        [git, "-C", str(ROOT), "archive", FIRST_VERSION, "netclaw_opencode", "schemas", "skill.yaml", "SKILL.md"],
        capture_output=True,
        check=False,
    )
    if found.returncode:
        return ROOT
    with tarfile.open(fileobj=io.BytesIO(found.stdout)) as archive:
        archive.extractall(folder, filter="data")
    return folder


@pytest.mark.real
def test_an_old_worker_and_a_new_one_in_containers_of_their_own(postgres: Postgres, place: BatchPlace, tmp_path: Path) -> None:
    """A rolling upgrade on one Postgres: the old worker runs a task while the new one starts and upgrades the tables.

    Both beat for longer than a lease, and neither judges the other lost, though a pid of one means nothing to the other. Then the old
    one is killed with its server: the new one takes the task over after the lease. An old one may start anew.
    """
    database = Database(checked_url(postgres.url))
    with database.engine.begin() as connection:
        connection.exec_driver_sql("DROP SCHEMA public CASCADE; DROP SCHEMA IF EXISTS dbos CASCADE; CREATE SCHEMA public")
    package = package_of_the_first_version(tmp_path / "first")
    gate = place.model.gate("the answer")
    place.model.when("held", Gated(gate, "half", " an answer"))
    (directory,) = place.directories("a")
    if package != ROOT:
        database.prepare(MIGRATIONS[:1])
        with database.write() as connection:
            change(connection, "DELETE FROM netclaw_meta WHERE name = 'made'")
    old = Pod(place, "old", package)
    wait_until(lambda: "worker-" in place.logs() or old.process.poll() is not None, 2 * MACHINE_SECONDS, what="the old worker")
    # Straight into the tables: an action of today would upgrade them before the new worker does.
    held = Item("held", {"prompt": "held", "directory": directory}, 0, "held")
    batch = submitting.submit(database, "roll", [held], Options(shared_directories=True), add=False, machine="elsewhere").batch
    assert gate.wait_reached(2 * MACHINE_SECONDS), place.logs()
    new = Pod(place, "new", ROOT)

    def beats() -> dict[str, int]:
        with database.read() as connection:
            return {str(each["id"]): int(str(each["beat"])) for each in rows(connection, "SELECT id, beat FROM netclaw_workers")}

    wait_until(lambda: len(beats()) == 2, 2 * MACHINE_SECONDS, what="both workers")
    assert kept(database) == {"schema": "1", "made": str(SCHEMA_VERSION)}
    with database.write() as connection:
        # As a newer DBOS would, while both run: this one goes on with tables that are ahead of it.
        connection.exec_driver_sql("ALTER TABLE dbos.workflow_status ADD COLUMN later TEXT")
        connection.exec_driver_sql("UPDATE dbos.dbos_migrations SET version = version + 1")
    before = beats()
    # The names of today begin with a mark of their machine.
    assert {name.count("-") for name in before} == ({1, 2} if package != ROOT else {2})
    time.sleep(LEASE_SECONDS + 2 * BEAT_SECONDS)
    after = beats()
    assert set(after) == set(before) and all(after[name] > before[name] for name in before), (before, after, place.logs())
    running = looking.batch(database, batch)["running"]
    assert isinstance(running, list) and running[0]["attempts"] == 1
    old.process.kill()
    killed_at = time.monotonic()
    assert gate.wait_reached(2 * MACHINE_SECONDS, count=2), place.logs()
    # Not by its pid: a process of another namespace cannot be looked up. One beat of an observer may lie before the last beat.
    assert time.monotonic() - killed_at > LEASE_SECONDS - 2 * BEAT_SECONDS
    # What the recipes' probes look for.
    assert list((place.home / "new").glob("batches/pools/*/*/server.json"))
    gate.open()
    place.when(batch, "done")
    # What an old worker does first when it starts anew: it looks whether it may work with these tables.
    look = [sys.executable, "-m", "netclaw_opencode", "inspect", "list-batches"]
    assert subprocess.run(look, env={**place.environ, "PYTHONPATH": str(package)}, capture_output=True, check=False).returncode == 0
    new.signal(signal.SIGTERM)
    assert place.ended(new.process) == 0, place.logs()
    results = place.results(batch)
    assert (results["held"]["state"], results["held"]["attempts"]) == ("completed", 2)
    assert beats() == {}
    database.close()


def test_a_result_and_a_take_over_at_the_same_moment_are_one_of_both(postgres: Postgres, monkeypatch: pytest.MonkeyPatch) -> None:
    """On Postgres neither waits for the other's lock but for the item's row: who comes second finds what the first has made of it."""
    database = Database(checked_url(postgres.url))
    with database.engine.begin() as connection:
        connection.exec_driver_sql("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    database.prepare()
    flow = Flow(database)
    batch = flow.submit(item("lost"), item("ended"))
    flow.admit("one")
    lost, ended = flow.begin("lost"), flow.begin("ended")
    assert lost is not None and ended is not None
    with ThreadPoolExecutor() as threads:
        with database.write() as connection:
            change(connection, "UPDATE netclaw_items SET state = 'waiting', claim = NULL, worker = NULL WHERE id = 'lost'")
            late = threads.submit(claims.settle, database, lost, DONE)
            with pytest.raises(TimeoutError):
                late.result(0.3)
        assert late.result(MACHINE_SECONDS) is None
        written, go_on, add = threading.Event(), threading.Event(), claims._add_result

        def add_slowly(connection: sa.Connection, name: str, id_: str, told: Mapping[str, object]) -> None:
            add(connection, name, id_, told)
            written.set()
            assert go_on.wait(MACHINE_SECONDS)

        monkeypatch.setattr(claims, "_add_result", add_slowly)
        first = threads.submit(claims.settle, database, ended, DONE)
        assert written.wait(MACHINE_SECONDS)
        taken = threads.submit(flow.lose, "one")
        with pytest.raises(TimeoutError):
            taken.result(0.3)
        go_on.set()
        assert first.result(MACHINE_SECONDS) == "completed"
        taken.result(MACHINE_SECONDS)
    assert {name: each["state"] for name, each in flow.results(batch).items()} == {"ended": "completed"}
    database.close()


def test_a_large_submission_keeps_its_transaction_busy(tmp_path: Path) -> None:
    """It is written in parts: a Postgres that saw the transaction idle while all of it is made ready would end the connection."""
    database = Database(checked_url(str(tmp_path / "batches.sqlite3")))
    database.prepare()
    sizes: list[int] = []

    def count(_connection: object, _cursor: object, statement: str, values: Sequence[object], *_more: object) -> None:
        if statement.startswith("INSERT INTO netclaw_items"):
            sizes.append(len(values))

    sa.event.listen(database.engine, "before_cursor_execute", count)
    submitting.submit(database, "large", [item(str(number)) for number in range(4500)], Options(), add=False, machine="here")
    assert sizes == [2000, 2000, 500]
    database.close()
