"""Batches over a long time: killed at random, nothing is lost and nothing ends twice; left in peace, nothing grows.

Owns the choice of what is killed, from one seed, and what is read of a worker at work.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import psutil

from netclaw_opencode.offline import OfflineModel, Text, ToolCall
from tests.batch.conftest import BatchPlace, kill
from tests.soak.stage import Figure

TASKS, KILLS, DIRECTORIES = 500, 100, 20
_LONGEST_SECONDS = 7200.0
MANY, EVERY = 1000, 50
_WARM = 200
"""Tasks before the first reading that counts: by then each directory and each part of the program has been used, and a server replaced."""
_MOST_WORKER_MIB, _MOST_FILES, _MOST_ITEM_KIB = 16.0, 8, 16.0
_MOST_SERVER_MIB = 1536.0


def random_kills(folder: Path, share: float) -> Figure:
    """Two workers, replaced as they die; every few tasks a SIGKILL or a SIGSTOP for one, or a SIGKILL for a server."""
    draw, tasks, kills = random.Random(11), max(20, round(TASKS * share)), max(4, round(KILLS * share))
    folder.mkdir(parents=True)
    with OfflineModel() as model:
        model.when("task", ToolCall("bash", {"command": "sleep 1; echo done >> out.txt", "description": "Do it"}), Text("done"))
        place = BatchPlace(folder, model)
        try:
            directories = place.directories(*(f"d{number}" for number in range(DIRECTORIES)))
            items = [
                {"id": f"t{number}", "prompt": f"task {number}", "directory": directories[number % DIRECTORIES]} for number in range(tasks)
            ]
            batch = str(place.submit("soak", items, retry_limit=100)["batch_id"])
            done = _disturb(place, batch, draw, kills, tasks_for_each=tasks / kills)
            results = place.results(batch)
            states = Counter(str(each["state"]) for each in results.values())
            again = sum(int(str(each["attempts"])) > 1 for each in results.values())
            left = len(place.servers()) + len(place.workers_by_themselves())
        finally:
            place.close()
    held = states == {"completed": tasks} and left == 0
    reading = f"{tasks} tasks, {sum(done.values())} kills ({dict(done)}): {dict(states)}, begun again {again}, left running {left}"
    return Figure("every task of a batch ends exactly once, whatever is killed, and nothing is left", reading, held)


def _disturb(place: BatchPlace, batch: str, draw: random.Random, kills: int, *, tasks_for_each: float) -> Counter[str]:
    """Keep two workers at work and kill, until the batch is done; on a slow machine, where a task takes long, as rarely as tasks end.

    Otherwise the worker of one task would be lost more often than a task may bear, and that it then fails is no defect.
    """
    workers = [place.worker(), place.worker()]
    stopped: list[subprocess.Popen[bytes]] = []
    done: Counter[str] = Counter()
    began, next_kill = time.monotonic(), time.monotonic() + 8.0
    while not (look := place.call("get_batch", batch_id=batch))["done"] and time.monotonic() < began + _LONGEST_SECONDS:
        ended = sum(int(number) for state, number in dict(look["counts"]).items() if state in ("completed", "failed"))  # type: ignore[misc, call-overload]
        living = [worker for worker in workers if worker.poll() is None and worker not in stopped]
        if time.monotonic() > next_kill and sum(done.values()) < min(kills, 1 + ended / tasks_for_each) and living:
            next_kill = time.monotonic() + draw.uniform(3.0, 8.0)
            done[_kill_one(place, draw, living, stopped)] += 1
        if stopped and draw.random() < 0.2:
            stopped.pop(0).send_signal(signal.SIGCONT)
        workers += [place.worker() for _ in range(2 - len([each for each in living if each.poll() is None and each not in stopped]))]
        time.sleep(1.0)
    for worker in stopped:
        worker.send_signal(signal.SIGCONT)
    for worker in workers:
        place.ended(worker)
    return done


def _kill_one(place: BatchPlace, draw: random.Random, living: list[subprocess.Popen[bytes]], stopped: list[subprocess.Popen[bytes]]) -> str:
    what, worker = draw.choice(("kill", "kill", "stop", "server")), draw.choice(living)
    if what == "kill":
        kill(worker)
    elif what == "stop":
        os.kill(worker.pid, signal.SIGSTOP)
        stopped.append(worker)
    else:
        with contextlib.suppress(psutil.Error, IndexError):
            draw.choice(place.servers()).kill()
    return what


@dataclass(frozen=True, slots=True)
class _Look:
    """What a worker and its servers hold once so many tasks have ended."""

    done: int
    worker_mib: float
    files: int
    server_mib: float
    store_kib: float


def many_in_peace(folder: Path, share: float) -> Figure:
    """1,000 tasks of no length through one worker: neither it, nor its server, nor its open files grow with their number."""
    tasks = max(_WARM + 4 * EVERY, round(MANY * share))
    folder.mkdir(parents=True)
    looks: list[_Look] = []
    began = time.monotonic()
    with OfflineModel() as model:
        model.when("quick", Text("done"))
        place = BatchPlace(folder, model)
        try:
            directories = place.directories(*(f"d{number}" for number in range(8)))
            items = [{"id": f"t{number}", "prompt": f"quick {number}", "directory": directories[number % 8]} for number in range(tasks)]
            batch = str(place.submit("peace", items, concurrency=4)["batch_id"])
            worker = place.worker(concurrency=4)
            while worker.poll() is None and time.monotonic() < began + _LONGEST_SECONDS:
                counts = place.call("get_batch", batch_id=batch)["counts"]
                done = int(counts["completed"]) if isinstance(counts, dict) else 0
                if done >= (looks[-1].done if looks else 0) + EVERY:
                    with contextlib.suppress(psutil.Error):
                        looks.append(_look(place, worker.pid, done))
                time.sleep(0.5)
            exit_code, results = place.ended(worker), place.call("get_batch", batch_id=batch)["counts"]
            left = len(place.servers())
        finally:
            place.close()
    first, last = next(each for each in looks if each.done >= _WARM), looks[-1]
    grown = last.worker_mib - first.worker_mib
    store = (last.store_kib - first.store_kib) / max(1, last.done - first.done)
    most = max(each.server_mib for each in looks)
    servers, workers = (", ".join(f"{getattr(each, name):.0f}" for each in looks) for name in ("server_mib", "worker_mib"))
    reading = (
        f"{results} in {time.monotonic() - began:.0f} s; from {first.done} to {last.done} tasks: worker {first.worker_mib:.0f} to "
        f"{last.worker_mib:.0f} MiB ({workers}), open files {first.files} to {last.files}, server at most {most:.0f} MiB ({servers}), "
        f"store {store:.1f} KiB for each task; left running {left}"
    )
    held = (
        exit_code == 0
        and isinstance(results, dict)
        and results["completed"] == tasks
        and left == 0
        and grown <= _MOST_WORKER_MIB
        and last.files - first.files <= _MOST_FILES
        and most <= _MOST_SERVER_MIB
        and store <= _MOST_ITEM_KIB
    )
    goal = (
        f"{tasks} tasks through one worker: it grows by at most {_MOST_WORKER_MIB:g} MiB and {_MOST_FILES} open files, "
        f"its server stays below {_MOST_SERVER_MIB:g} MiB, the store takes at most {_MOST_ITEM_KIB:g} KiB for each task"
    )
    return Figure(goal, reading, held)


def _look(place: BatchPlace, pid: int, done: int) -> _Look:
    worker = psutil.Process(pid)
    store = sum(path.stat().st_size for path in (place.home / "state" / "batches").glob("batches.sqlite3*"))
    servers = [server.memory_info().rss for server in place.servers()]
    return _Look(done, worker.memory_info().rss / 2**20, worker.num_fds(), max(servers, default=0) / 2**20, store / 1024)
