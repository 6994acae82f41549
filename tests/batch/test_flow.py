"""Which task is next, who may write how it ended, and what limits a batch: on SQLite and on Postgres, without any server.

Owns a stand-in for the queue only: what was admitted is a list here. The real one runs in the tests of kills.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Mapping
from pathlib import Path

import anyio
import pytest

from netclaw_opencode.batch import admission, claims, looking, submitting
from netclaw_opencode.batch.admission import Run
from netclaw_opencode.batch.claims import Claim
from netclaw_opencode.batch.database import Database, change, checked_url
from netclaw_opencode.batch.items import Item
from netclaw_opencode.batch.pool import Pool
from netclaw_opencode.batch.runs import Runs
from netclaw_opencode.batch.submitting import Options
from netclaw_opencode.errors import ActionFailed, Refused
from netclaw_opencode.settings import Settings

DONE: Mapping[str, object] = {"ok": True, "data": {"text": "done", "usage": {"cost_usd": 0.5}}}


def failed(code: str) -> Mapping[str, object]:
    """An envelope of a task that failed."""
    return {"ok": False, "error": {"code": code, "message": "it failed"}}


@pytest.fixture
def database(empty_database: Database) -> Database:
    """A database of each kind, with its tables."""
    empty_database.prepare()
    return empty_database


class Flow:
    """Submits, admits, begins and settles."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.queue: list[Run] = []
        for worker in ("one", "two"):
            with database.write() as connection:
                change(
                    connection,
                    "INSERT INTO netclaw_workers (id, machine, identity, concurrency, pool) VALUES (:id, 'here', '{}', 4, '')",
                    id=worker,
                )

    def submit(self, *items: Item, options: Options | None = None, add: bool = False, name: str = "batch") -> str:
        """Submit items from the machine ``here``."""
        return submitting.submit(self.database, name, items, options or Options(), add=add, machine="here").batch

    def admit(self, worker: str = "one", *, concurrency: int = 10, machine: str = "here") -> list[str]:
        """The ids that are admitted now."""
        before = len(self.queue)
        admission.admit(self.database, lambda _, run: self.queue.append(run), worker=worker, machine=machine, concurrency=concurrency)
        return [run.item for run in self.queue[before:]]

    def begin(self, item: str, worker: str = "one") -> Claim | None:
        """Begin the newest run of an item."""
        return claims.begin(self.database, next(run for run in reversed(self.queue) if run.item == item), worker=worker)

    def run(self, item: str, envelope: Mapping[str, object] = DONE) -> str | None:
        """Begin an item and settle it."""
        claim = self.begin(item)
        assert claim is not None
        return claims.settle(self.database, claim, envelope)

    def lose(self, worker: str) -> None:
        """Take a worker for lost."""
        with self.database.write() as connection:
            change(connection, "DELETE FROM netclaw_workers WHERE id = :id", id=worker)
            claims.release(connection, worker)

    def results(self, batch: str) -> dict[str, dict[str, object]]:
        """Results by id, each once."""
        page, _, more = looking.results(self.database, batch, after=0, limit=100)
        found = {str(each["id"]): each for each in page}
        assert len(found) == len(page) and not more
        return found


@pytest.fixture
def flow(database: Database) -> Flow:
    """The flow on a database of each kind."""
    return Flow(database)


def item(name: str, directory: str | None = None, priority: int = 0, model: str = "p/m") -> Item:
    """A task; its directory is its own unless it is named."""
    return Item(name, {"prompt": name, "directory": directory or f"/{name}", "model": model}, priority, f"digest-{name}-{directory}")


def test_priorities_hold_across_directories_and_then_the_order_of_the_input(flow: Flow) -> None:
    """The higher first; of equals the earlier."""
    flow.submit(item("a"), item("b", priority=5), item("c"), item("d", priority=9))
    assert flow.admit(concurrency=3) == ["d", "b", "a"]


def test_one_task_in_a_directory_at_a_time(flow: Flow) -> None:
    """The next one in it when the first has ended; others do not wait for it. The database itself refuses a second one."""
    flow.submit(item("a", "/x"), item("b", "/x"), item("c", "/y"))
    assert flow.admit() == ["a", "c"]
    assert flow.admit("two") == []
    assert flow.run("a") == "completed"
    assert flow.admit("two") == ["b"]
    with pytest.raises(Exception, match=r"(?i)unique"), flow.database.write() as connection:
        change(connection, "UPDATE netclaw_items SET state = 'running' WHERE id = 'a'")


def test_isolated_tasks_of_one_directory_run_at_once(flow: Flow) -> None:
    """Each has a tree of its own; one without isolation holds the directory against its like alone, on each machine."""
    apart = [
        Item(name, {"prompt": name, "directory": "/x", "isolation": kind}, 0, name) for name, kind in (("a", "worktree"), ("b", "copy"))
    ]
    plain = Item("c", {"prompt": "c", "directory": "/x", "isolation": "none"}, 0, "c")
    flow.submit(*apart, plain, item("d", "/x"))
    assert flow.admit() == ["a", "b", "c"]
    assert flow.admit("two") == [] and flow.run("c") == "completed"
    assert flow.admit("two") == ["d"]
    flow.submit(*apart, options=Options(shared_directories=True), name="the same ids")
    assert flow.admit("two", machine="elsewhere") == ["a", "b"]


@pytest.mark.parametrize(
    ("details", "cost"),
    [
        ({"usage": {"cost_usd": 0.25}}, 0.25),
        ({"spent": {"cost_usd": 0.5, "tokens": 9}}, 0.5),
        ({"result": {"usage": {"cost_usd": 0.75}}}, 0.75),
        ({}, 0.0),
    ],
)
def test_what_failed_has_cost_something_too(tmp_path: Path, details: Mapping[str, object], cost: float) -> None:
    """A check that failed, a cap that was reached, work that could not be applied: once, and not tried again by itself."""
    database = Database(checked_url(str(tmp_path / "batches.sqlite3")))
    database.prepare()
    flow = Flow(database)
    batch = flow.submit(item("a"))
    flow.admit()
    error = {"code": "check_failed", "message": "it failed", "details": details}
    assert flow.run("a", {"ok": False, "error": error}) == "failed"
    summary = looking.batch(database, batch)
    assert (summary["cost_usd"], summary["failures"]) == (cost, {"check_failed": 1})
    database.close()


def test_only_the_newest_claim_writes(flow: Flow) -> None:
    """A worker that was taken for lost comes back with its result: it is refused, and the item ends once."""
    batch = flow.submit(item("a"))
    flow.admit("one")
    old = flow.begin("a")
    assert old is not None
    flow.lose("one")
    assert flow.admit("two") == ["a"]
    new = flow.begin("a", "two")
    assert new is not None and (new.attempts, new.key) == (2, old.key)
    assert claims.settle(flow.database, old, failed("turn_timeout")) is None
    assert claims.settle(flow.database, new, DONE) == "completed"
    assert claims.settle(flow.database, new, DONE) is None
    assert {name: each["state"] for name, each in flow.results(batch).items()} == {"a": "completed"}


def test_a_lost_workers_tasks_come_first_and_are_queued_once(flow: Flow) -> None:
    """What was admitted and had not begun is queued again, too; the run of before is void."""
    flow.submit(item("a"), item("b"), item("c", priority=9))
    assert flow.admit("one", concurrency=2) == ["c", "a"]
    assert flow.begin("a") is not None
    flow.lose("one")
    assert flow.admit("two", concurrency=3) == ["a", "c", "b"]
    stale = Run(flow.queue[0].batch, "c", flow.queue[0].number)
    assert claims.begin(flow.database, stale, worker="one") is None
    assert flow.begin("c", "two") is not None


def test_tasks_stay_on_the_machine_of_their_directories(flow: Flow) -> None:
    """Another machine takes only what was said to be shared, and then a directory counts on all of them together."""
    flow.submit(item("a"))
    assert flow.admit(machine="elsewhere") == []
    flow.submit(item("b", "/x"), item("c", "/x"), options=Options(shared_directories=True), name="shared")
    assert flow.admit(machine="elsewhere") == ["b"]
    assert flow.admit("two") == ["a"]


def test_a_batch_keeps_its_own_concurrency(flow: Flow) -> None:
    """On all workers together."""
    flow.submit(*(item(name) for name in "abcd"), options=Options(concurrency=2))
    assert flow.admit("one") == ["a", "b"]
    assert flow.admit("two") == []
    flow.run("a")
    assert flow.admit("two") == ["c"]


def test_no_more_starts_in_a_minute_than_said(flow: Flow) -> None:
    """However many have ended since."""
    flow.submit(*(item(name) for name in "abc"), options=Options(max_starts_per_minute=2))
    assert flow.admit() == ["a", "b"]
    flow.run("a")
    flow.run("b")
    assert flow.admit() == []


def test_beyond_the_spending_limit_nothing_starts_and_what_runs_ends(flow: Flow) -> None:
    """The batch is halted and says why; the same input with a higher limit goes on."""
    items = [item(name) for name in "abc"]
    batch = flow.submit(*items, options=Options(max_cost_usd=0.4))
    assert flow.admit(concurrency=2) == ["a", "b"]
    flow.run("a")
    assert flow.admit() == []
    assert looking.batch(flow.database, batch)["state"] == "halting"
    flow.run("b")
    found = looking.batch(flow.database, batch)
    assert (found["state"], found["halted"], found["cost_usd"]) == ("halted", "max_cost_usd", 1.0)
    flow.submit(*items, options=Options(max_cost_usd=4))
    assert flow.admit() == ["c"]


def test_after_so_many_failures_nothing_starts(flow: Flow) -> None:
    """Failures that are tried again do not count; retry lets the batch go on."""
    batch = flow.submit(*(item(name) for name in "abc"), options=Options(stop_after_failures=1))
    assert flow.admit(concurrency=1) == ["a"]
    assert flow.run("a", failed("turn_timeout")) == "failed"
    assert flow.admit() == []
    assert looking.batch(flow.database, batch)["halted"] == "stop_after_failures"
    assert claims.retry(flow.database, batch, ["turn_timeout"]) == 1
    assert flow.admit() == ["a", "b", "c"]


def test_a_paused_batch_starts_nothing_and_others_do(flow: Flow) -> None:
    """Until it is resumed."""
    batch = flow.submit(item("a"), item("c"))
    flow.submit(item("b"), name="other")
    assert flow.admit(concurrency=1) == ["a"]
    claims.pause(flow.database, batch, paused=True)
    assert flow.admit() == ["b"]
    assert looking.batch(flow.database, batch)["state"] == "pausing"
    flow.run("a")
    assert looking.batch(flow.database, batch)["state"] == "paused"
    claims.pause(flow.database, batch, paused=False)
    assert flow.admit() == ["c"]


def test_only_stated_failures_are_tried_again_each_time_later(flow: Flow) -> None:
    """A failure of the surroundings waits and has another key; one of the work ends the task."""
    batch = flow.submit(item("a"), item("b"), options=Options(retry_limit=1))
    flow.admit()
    first = flow.begin("a")
    assert first is not None
    assert claims.settle(flow.database, first, failed("server_died")) == "waiting"
    assert flow.run("b", failed("turn_timeout")) == "failed"
    assert flow.admit() == []
    let_time_pass(flow)
    assert flow.admit() == ["a"]
    second = flow.begin("a")
    assert second is not None and second.key != first.key
    assert claims.settle(flow.database, second, failed("server_died")) == "failed"
    assert {name: each["tries"] for name, each in flow.results(batch).items()} == {"a": 2, "b": 1}
    assert [claims.wait_seconds(tries) for tries in (1, 2, 3, 99)] == [5.0, 10.0, 20.0, 300.0]


def test_a_model_that_is_asked_too_often_is_left_alone_by_all_workers(flow: Flow) -> None:
    """Tasks of other models go on; an answer ends it."""
    flow.submit(item("a"), item("b"), item("c", model="p/other"), options=Options(retry_codes=("provider_retrying",)))
    assert flow.admit("one", concurrency=1) == ["a"]
    assert flow.run("a", failed("provider_retrying")) == "waiting"
    assert flow.admit("two") == ["c"]
    let_time_pass(flow)
    assert flow.admit("two") == ["a", "b"]


def test_cancelling_ends_what_waits_and_asks_for_the_stop_of_what_runs(flow: Flow) -> None:
    """What was admitted and not begun does not begin; a lost worker's task is admitted once more, only to be stopped."""
    batch = flow.submit(*(item(name) for name in "abc"))
    flow.admit("one", concurrency=2)
    claim = flow.begin("a")
    assert claim is not None
    assert claims.note_server(flow.database, claim, {"machine": "here", "state_dir": "/pool/1"})
    assert claims.cancel(flow.database, batch) == (2, 1)
    assert flow.begin("b") is None
    assert claims.stop_requests(flow.database, "one") == {claim.token}
    flow.lose("one")
    assert flow.admit("two") == ["a"]
    again = flow.begin("a", "two")
    assert again is not None and again.stop and again.server["state_dir"] == "/pool/1"
    assert claims.settle(flow.database, again, failed("cancelled"), cancelled=True) == "cancelled"
    assert {each["state"] for each in flow.results(batch).values()} == {"cancelled"}
    assert looking.batch(flow.database, batch)["state"] == "cancelled"
    assert claims.retry(flow.database, batch, []) == 3
    assert flow.admit("two") == ["a", "b", "c"] and flow.results(batch) == {}


def test_the_same_input_again_adds_nothing_and_another_one_is_refused(flow: Flow) -> None:
    """New and changed tasks are taken in on purpose only; what has begun is not changed."""
    batch = flow.submit(item("a"), item("b"))
    again = submitting.submit(flow.database, "batch", [item("a"), item("b")], Options(), add=False, machine="here")
    assert (again.batch, again.added, again.known) == (batch, 0, 2)
    with pytest.raises(Refused, match="1 new, 1 changed, 0 not named"):
        flow.submit(item("a"), item("b", "/other"), item("c"))
    assert flow.admit(concurrency=1) == ["a"]
    more = submitting.submit(flow.database, "batch", [item("b", "/other"), item("c")], Options(), add=True, machine="here")
    assert (more.added, more.changed, more.left) == (1, 1, 1)
    with pytest.raises(Refused, match="have been started"):
        flow.submit(item("a", "/other"), add=True)
    assert looking.batch(flow.database, batch)["total"] == 3


def test_an_unknown_batch_has_its_own_error(flow: Flow) -> None:
    """By id or by name."""
    with pytest.raises(ActionFailed) as caught:
        looking.batch(flow.database, "nightly")
    assert caught.value.code == "batch_not_found"


def let_time_pass(flow: Flow) -> None:
    """As if every wait were over."""
    with flow.database.write() as connection:
        change(connection, "UPDATE netclaw_items SET not_before_ms = 0")
        change(connection, "UPDATE netclaw_models SET blocked_until_ms = 0")


def test_a_result_is_written_when_the_database_lets_it_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another program holds SQLite's lock for longer than a write waits: the result of a paid task is not given up."""
    monkeypatch.setattr("netclaw_opencode.batch.database._BUSY_SECONDS", 0.02)
    monkeypatch.setattr("netclaw_opencode.batch.runs._AGAIN_SECONDS", 0.01)
    path = tmp_path / "batches.sqlite3"
    database = Database(checked_url(str(path)))
    database.prepare()
    flow = Flow(database)
    batch = flow.submit(item("a"))
    flow.admit()
    claim = flow.begin("a")
    assert claim is not None
    tries = 0

    def settle() -> str | None:
        nonlocal tries
        tries += 1
        if tries == 3:
            holder.execute("ROLLBACK")
        return claims.settle(database, claim, DONE)

    pool = Pool(Settings(state_dir=tmp_path), tmp_path / "pool", places=1, open_runner=lambda _: pytest.fail("nothing is run here"))
    runs = Runs(database, "one", "here", pool, lambda _: contextlib.nullcontext(), changed=lambda: None)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        assert anyio.run(runs.surely, settle) == "completed"
    assert tries == 3 and flow.results(batch)["a"]["state"] == "completed"
    database.close()
