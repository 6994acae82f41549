"""Many tasks at once: the fourth part of ``make bench``.

Owns three figures: eight tasks at once beside eight raw requests at once, the database with 100,000 tasks, and what an idle worker takes.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from itertools import count
from pathlib import Path

import anyio
import httpx
import psutil

from netclaw_opencode import Settings
from netclaw_opencode.batch import admission, claims, leases, looking, submitting
from netclaw_opencode.batch.database import Database, change, checked_url, rows
from netclaw_opencode.batch.items import Item, Reader
from scripts.bench_turns import Reading

AT_ONCE = 8
TASKS = 64
MANY = 100_000
IDLE_SECONDS = 15
DONE: Mapping[str, object] = {"ok": True, "data": {"text": "x" * 2000}}


def pace(ends: Sequence[float]) -> float:
    """Tasks a second once every directory is warm: from the end of the first round to the last end."""
    found = sorted(ends)
    return (len(found) - 1 - 2 * AT_ONCE) / (found[-1] - found[2 * AT_ONCE])


async def raw_requests(url: str, password: str, directories: Sequence[Path]) -> float:
    """Sessions and messages by bare HTTP, eight at once, each in a directory of its own."""
    ends: list[float] = []
    numbers = count()

    async def work(client: httpx.AsyncClient, directory: Path) -> None:
        while next(numbers) < TASKS:
            session = (await client.post("/session", json={}, params={"directory": str(directory)})).json()
            parts = [{"type": "text", "text": "say it"}]
            (
                await client.post(f"/session/{session['id']}/message", json={"parts": parts}, params={"directory": str(directory)})
            ).raise_for_status()
            await client.delete(f"/session/{session['id']}")
            ends.append(time.monotonic())

    async with (
        httpx.AsyncClient(base_url=url, auth=("opencode", password), timeout=120, trust_env=False) as client,
        anyio.create_task_group() as tasks,
    ):
        for directory in directories:
            tasks.start_soon(work, client, directory)
    return pace(ends)


def our_tasks(environ: Mapping[str, str], directories: Sequence[Path]) -> float:
    """The same as a batch."""
    settings = Settings.from_environment(environ)
    database = Database.of(settings)
    database.prepare()
    items = [{"prompt": "say it", "directory": str(directories[number % AT_ONCE]), "id": str(number)} for number in range(TASKS)]
    found = Reader(check=lambda spec: spec).read_list(items)
    submitting.submit(database, "bench", found, submitting.Options(), add=False, machine=leases.machine())
    worker = subprocess.Popen([*_worker(), "--until-done", "--concurrency", str(AT_ONCE)], env=environ, stderr=subprocess.DEVNULL)
    assert worker.wait() == 0
    with database.read() as connection:
        ends = [
            float(str(each["ended_ms"])) / 1000 for each in rows(connection, "SELECT ended_ms FROM netclaw_items WHERE state = 'completed'")
        ]
    database.close()
    assert len(ends) == TASKS
    return pace(ends)


def with_many(home: Path) -> list[Reading]:
    """Taking in, choosing and looking with 100,000 tasks, on SQLite."""
    database = Database(checked_url(str(home / "many.sqlite3")))
    database.prepare()
    with database.write() as connection:
        added = "INSERT INTO netclaw_workers (id, machine, identity, concurrency, pool) VALUES ('w', 'here', '{}', 4, '')"
        change(connection, added)
    began = time.monotonic()
    ten = Reader(check=lambda spec: spec).read_list(
        [{"prompt": f"task {number}", "directory": f"/{number % 2000}"} for number in range(10_000)]
    )
    submitting.submit(database, "ten", ten, submitting.Options(), add=False, machine="here")
    taken_in = time.monotonic() - began
    many = [Item(str(number), {"prompt": "x" * 200, "directory": f"/{number % 2000}"}, 0, str(number)) for number in range(MANY)]
    batch = submitting.submit(database, "many", many, submitting.Options(), add=False, machine="here").batch
    queue: list[admission.Run] = []
    began = time.monotonic()
    admission.admit(database, lambda _, run: queue.append(run), worker="w", machine="here", concurrency=4)
    first = time.monotonic() - began
    began = time.monotonic()
    looking.batch(database, batch)
    look = time.monotonic() - began
    began, cpu, number = time.monotonic(), time.process_time(), 0
    while time.monotonic() < began + 3:
        claim = claims.begin(database, queue.pop(0), worker="w")
        assert claim is not None
        claims.settle(database, claim, DONE)
        admission.admit(database, lambda _, run: queue.append(run), worker="w", machine="here", concurrency=4)
        number += 1
    each = (time.process_time() - cpu) * 1000 / number
    database.close()
    return [
        Reading("batch: 10,000 tasks read, checked and taken in", f"{taken_in:.2f} s", "< 8 s", taken_in < 8),
        Reading("batch: the first of 100,000 tasks is chosen", f"{first:.3f} s", "< 3 s", first < 3),
        Reading("batch: get_batch of 100,000 tasks", f"{look:.3f} s", "< 0.3 s", look < 0.3),
        Reading("batch: choosing, beginning and settling a task, CPU", f"{each:.1f} ms", "< 15 ms", each < 15),
    ]


def idle_worker(environ: Mapping[str, str]) -> list[Reading]:
    """CPU and memory of a worker that has nothing to do, its server left out."""
    worker = subprocess.Popen([*_worker(), "--concurrency", "4"], env=environ, stderr=subprocess.DEVNULL)
    try:
        time.sleep(10)  # it starts its server
        process = psutil.Process(worker.pid)
        before = sum(process.cpu_times()[:2])
        time.sleep(IDLE_SECONDS)
        share = 100 * (sum(process.cpu_times()[:2]) - before) / IDLE_SECONDS
        mib = process.memory_info().rss / 1024 / 1024
    finally:
        worker.terminate()
        worker.wait()
    return [
        Reading("batch: an idle worker, share of a core", f"{share:.1f} %", "< 3 %", share < 3),
        Reading("batch: an idle worker, memory", f"{mib:.0f} MiB", "< 120 MiB", mib < 120),
    ]


async def readings(environ: Mapping[str, str], folder: Path, *, url: str, password: str) -> list[Reading]:
    """Every figure; the raw requests go to the server that runs already."""
    directories = [folder / f"batch-{number}" for number in range(AT_ONCE)]
    for directory in directories:
        directory.mkdir()
    own = {**environ, "OPENCODE_DRIVER_STATE_DIR": str(folder / "state-of-batches")}
    own.pop("OPENCODE_API_URL", None)
    own.pop("OPENCODE_SERVER_PASSWORD", None)
    theirs = await raw_requests(url, password, directories)
    ours = await anyio.to_thread.run_sync(our_tasks, own, directories)
    return [
        Reading(
            f"batch: 8 tasks at once ({ours:.1f}/s) : 8 raw requests at once ({theirs:.1f}/s)",
            f"{ours / theirs:.2f} x",
            ">= 0.9 x",
            ours / theirs >= 0.9,
        ),
        *await anyio.to_thread.run_sync(with_many, folder),
        *await anyio.to_thread.run_sync(idle_worker, own),
    ]


def _worker() -> list[str]:
    return [sys.executable, "-m", "netclaw_opencode", "worker"]
