"""Each task ends once in the results, whatever is killed: a worker, one that comes back, the submitter, the OpenCode server."""

from __future__ import annotations

import os
import signal

import pytest

from netclaw_opencode.offline import Gated, Hang
from netclaw_opencode.testing.waiting import wait_until
from tests.batch.conftest import BatchPlace, kill
from tests.support.pace import MACHINE_SECONDS
from tests.support.postgres import Postgres

pytestmark = pytest.mark.real


def test_a_killed_workers_turn_is_followed_by_the_next_one_and_not_run_again(place: BatchPlace) -> None:
    """SIGKILL with a turn under way: the next worker finds it on the server that lives on, and the model is not asked twice.

    Before that a worker is told to end twice: it stops the turn, and gives the task back as if it had not begun: its tree is removed.
    """
    gate = place.model.gate("the answer")
    place.model.when("held", Gated(gate, "half", " an answer"))
    directory, other = place.directories("a", "b")
    tasks = [
        {"id": "held", "prompt": "held", "directory": directory, "isolation": "copy"},
        {"id": "quick", "prompt": "quick", "directory": other},
    ]
    batch = str(place.submit("kill", tasks)["batch_id"])
    told_to_end = place.worker(concurrency=1)
    assert gate.wait_reached(2 * MACHINE_SECONDS), place.logs()
    told_to_end.send_signal(signal.SIGTERM)
    wait_until(lambda: "what runs may end" in place.logs(), 2 * MACHINE_SECONDS, what="the first signal's line")
    assert place.call("get_batch", batch_id=batch)["counts"]["running"] == 1  # type: ignore[index]
    told_to_end.send_signal(signal.SIGTERM)
    assert place.ended(told_to_end) == 0, place.logs()
    assert place.servers() == []
    assert place.call("get_batch", batch_id=batch)["counts"]["waiting"] == 2  # type: ignore[index]
    assert place.call("list_work")["works"] == []
    first = place.worker()
    assert gate.wait_reached(2 * MACHINE_SECONDS, count=2), place.logs()
    kill(first)
    second = place.worker()
    place.when(batch, "running")
    gate.open()
    assert place.ended(second) == 0, place.logs()
    results = place.results(batch)
    assert {name: each["state"] for name, each in results.items()} == {"held": "completed", "quick": "completed"}
    assert (results["held"]["attempts"], results["held"]["tries"]) == (2, 2)
    assert place.calls_of("held") == 2
    assert results["held"]["data"]["text"] == "half an answer"  # type: ignore[index]


def test_a_worker_that_was_taken_for_lost_writes_nothing(postgres: Postgres, place: BatchPlace) -> None:
    """SIGSTOP for longer than the lease: the task is taken over and ends once; who comes back sees it and ends. Postgres crashes, too."""
    gate = place.model.gate("the answer")
    place.model.when("held", Gated(gate, "half", " an answer"))
    (directory,) = place.directories("a")
    batch = str(place.submit("stop", [{"id": "held", "prompt": "held", "directory": directory}])["batch_id"])
    first = place.worker()
    assert gate.wait_reached(2 * MACHINE_SECONDS), place.logs()
    os.kill(first.pid, signal.SIGSTOP)
    second = place.worker()

    def taken_over() -> bool:
        running = place.call("get_batch", batch_id=batch)["running"]
        return isinstance(running, list) and bool(running) and running[0]["attempts"] == 2

    wait_until(taken_over, 2 * MACHINE_SECONDS, what="the take-over")
    os.kill(first.pid, signal.SIGCONT)
    assert place.ended(first) == 5, place.logs()
    postgres.crash()
    gate.open()
    # The answer is there before its database is.
    place.model.wait_until(lambda model: not model.open_connections, 2 * MACHINE_SECONDS)
    postgres.start()
    assert place.ended(second) == 0, place.logs()
    results = place.results(batch)
    assert (results["held"]["state"], results["held"]["attempts"]) == ("completed", 2)
    assert place.calls_of("held") == 1


def test_a_killed_server_is_replaced_and_its_task_tried_again(place: BatchPlace) -> None:
    """SIGKILL for the OpenCode server in the middle of a turn: the task waits, and ends on another server.

    Before that another batch is cancelled while it runs: its turn is stopped, and the place is free. Its work is kept and named; that of
    the try which is repeated is not.
    """
    gate = place.model.gate("the answer")
    place.model.when("held", Gated(gate, "half", " an answer"))
    place.model.when("endless", Hang())
    directory, other = place.directories("a", "b")
    held, endless_one = (
        {"id": name, "prompt": name, "directory": folder, "isolation": "copy"} for name, folder in (("held", directory), ("endless", other))
    )
    batch = str(place.submit("server", [held])["batch_id"])
    endless = str(place.submit("endless", [endless_one])["batch_id"])
    worker = place.worker()
    assert gate.wait_reached(2 * MACHINE_SECONDS), place.logs()
    wait_until(lambda: place.calls_of("endless"), 2 * MACHINE_SECONDS, what="the endless turn")
    place.call("cancel_batch", batch_id=endless)
    place.when(endless, "cancelled")
    (server,) = place.servers()
    server.kill()
    gate.open()
    assert place.ended(worker) == 0, place.logs()
    results = {**place.results(batch), **place.results(endless)}
    assert (results["held"]["state"], results["held"]["tries"]) == ("completed", 2)
    assert (results["endless"]["state"], results["endless"]["error"]["code"]) == ("cancelled", "cancelled")  # type: ignore[index]
    assert (place.calls_of("held"), place.calls_of("endless")) == (2, 1)
    kept = {str(work["work_id"]): work["state"] for work in place.call("list_work")["works"]}  # type: ignore[attr-defined]
    assert kept == {
        results["held"]["data"]["work"]["work_id"]: "finished",  # type: ignore[index]
        results["endless"]["error"]["details"]["work"]["work_id"]: "interrupted",  # type: ignore[index]
    }
