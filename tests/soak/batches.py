"""A batch whose workers and servers are killed and stopped at random: nothing is lost, and nothing ends twice.

Owns the choice of what is killed, from one seed.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path

import psutil

from netclaw_opencode.offline import OfflineModel, Text, ToolCall
from tests.batch.conftest import BatchPlace, kill
from tests.soak.stage import Figure

TASKS, KILLS, DIRECTORIES = 500, 100, 20
_LONGEST_SECONDS = 7200.0


def random_kills(folder: Path, share: float) -> Figure:
    """Two workers, replaced as they die; every few seconds a SIGKILL or a SIGSTOP for one, or a SIGKILL for a server."""
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
            done = _disturb(place, batch, draw, kills)
            results = place.results(batch)
            states = Counter(str(each["state"]) for each in results.values())
            again = sum(int(str(each["attempts"])) > 1 for each in results.values())
            left = len(place.servers()) + len(place.workers_by_themselves())
        finally:
            place.close()
    held = states == {"completed": tasks} and left == 0
    reading = f"{tasks} tasks, {sum(done.values())} kills ({dict(done)}): {dict(states)}, begun again {again}, left running {left}"
    return Figure("every task of a batch ends exactly once, whatever is killed, and nothing is left", reading, held)


def _disturb(place: BatchPlace, batch: str, draw: random.Random, kills: int) -> Counter[str]:
    """Keep two workers at work and kill, until the batch is done."""
    workers = [place.worker(), place.worker()]
    stopped: list[subprocess.Popen[bytes]] = []
    done: Counter[str] = Counter()
    began, next_kill = time.monotonic(), time.monotonic() + 8.0
    while not place.call("get_batch", batch_id=batch)["done"] and time.monotonic() < began + _LONGEST_SECONDS:
        living = [worker for worker in workers if worker.poll() is None and worker not in stopped]
        if time.monotonic() > next_kill and sum(done.values()) < kills and living:
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
