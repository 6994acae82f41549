"""Loads: many turns at once on one server, by one host (G4, G6, G7)."""

from __future__ import annotations

import time
from pathlib import Path

import anyio

from netclaw_opencode.host import Host
from netclaw_opencode.offline import Hang
from netclaw_opencode.settings import Settings
from tests.soak.stage import Figure, Json, clock, code_of, counted, stage

_HARD_LIMIT_SECONDS = 60.0


async def _many(settings: Settings, calls: list[tuple[str, Json]], *, at_once: int) -> list[tuple[Json, float]]:
    """Each call's envelope and its seconds, so many at the same time."""
    found: list[tuple[Json, float]] = []
    limiter = anyio.CapacityLimiter(at_once)
    async with Host(settings, entry_points=False) as host, anyio.create_task_group() as tasks:

        async def one(action: str, arguments: Json) -> None:
            async with limiter:
                began = time.monotonic()
                envelope = await host.invoke(action, arguments)
                found.append((envelope, time.monotonic() - began))

        for action, arguments in calls:
            tasks.start_soon(one, action, arguments)
    return found


def hard_limit(folder: Path, share: float) -> Figure:
    """Turns against a model that never answers, with the real limit of 60 s."""
    number = max(2, round(100 * share))
    with stage(folder) as scene:
        leaks = scene.leaks()
        scene.model.when("never answered", Hang())
        calls: list[tuple[str, Json]] = [
            ("run_task", {"prompt": f"never answered {index}", "deadline_seconds": _HARD_LIMIT_SECONDS}) for index in range(number)
        ]
        results = anyio.run(lambda: _many(scene.settings(), calls, at_once=number))
        leaks.check()
    seconds = sorted(each for _, each in results)
    codes = [code_of(envelope) for envelope, _ in results]
    held = codes.count("turn_timeout") == number and seconds[0] >= _HARD_LIMIT_SECONDS and seconds[-1] <= 75
    return Figure(
        "100 hanging turns with the real 60 s: each ends in 60 to 75 s, stopped and deleted",
        f"{counted(codes)}; from {seconds[0]:.1f} to {seconds[-1]:.1f} s; nothing left",
        held,
    )


def many_hanging(folder: Path, share: float) -> Figure:
    """Sessions that all hang at the same time."""
    number = max(4, round(200 * share))
    with stage(folder) as scene, clock() as elapsed:
        leaks = scene.leaks()
        before = scene.model.call_count
        scene.model.when("hangs", Hang())
        calls: list[tuple[str, Json]] = [("run_task", {"prompt": f"hangs {index}", "deadline_seconds": 40}) for index in range(number)]
        results = anyio.run(lambda: _many(scene.settings(), calls, at_once=number))
        reached = scene.model.call_count - before
        leaks.check()
        seconds = elapsed()
    codes = [code_of(envelope) for envelope, _ in results]
    return Figure(
        "200 sessions hang at once: all `turn_timeout`, stopped, deleted, in 150 s",
        f"{counted(codes)}; {reached} model calls; {seconds:.0f} s; nothing left",
        codes.count("turn_timeout") == number and seconds <= 150,
    )


def lifecycles(folder: Path, share: float) -> Figure:
    """Whole tasks, eight at a time."""
    number = max(8, round(200 * share))
    with stage(folder) as scene, clock() as elapsed:
        leaks = scene.leaks()
        calls: list[tuple[str, Json]] = [("run_task", {"prompt": f"answer {index}", "deadline_seconds": 60}) for index in range(number)]
        results = anyio.run(lambda: _many(scene.settings(), calls, at_once=8))
        leaks.check()
        seconds = elapsed()
    codes = [code_of(envelope) for envelope, _ in results]
    right = {envelope["data"]["text"] for envelope, _ in results if envelope["ok"]} == {f"answer {index}" for index in range(number)}
    return Figure(
        "200 whole tasks, eight at a time: 200 ok, in 300 s",
        f"{counted(codes)}; {seconds:.0f} s; each with its own answer: {'yes' if right else 'NO'}; nothing left",
        codes.count("ok") == number and right and seconds <= 300,
    )
