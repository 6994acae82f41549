"""A day in half an hour (G15), and random schedules of faults (G21): nothing left, no success that is none."""

from __future__ import annotations

import random
import shutil
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from netclaw_opencode.host import Host
from netclaw_opencode.offline import Gated
from netclaw_opencode.testing.leaks import LeakCheck
from netclaw_opencode.testing.proxy import FaultProxy
from netclaw_opencode.testing.server import OpenCodeServer, kill_server, start_server
from tests.faults.bench import host_to, litter, settings_to
from tests.soak.faults import ModelFault, model_fault, wire_fault
from tests.soak.stage import Counters, Figure, Json, Stage, code_of, counted, stage
from tests.support.raw import warm

_TURN_SECONDS = 2.0
_BOUND_SECONDS = 15.0
"""What a call may take beyond its deadline: stop, verification and clean-up."""


@dataclass(slots=True)
class Tally:
    """What was seen over many turns."""

    codes: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    overrun: float = 0.0

    def turn(self, name: str, envelope: Json, *, seconds: float, deadline: float, may_succeed: bool, text: str | None) -> None:
        """Judge one ending; ``text`` is the only right answer, if it is known."""
        code = code_of(envelope)
        self.codes.append(code)
        self.overrun = max(self.overrun, seconds - deadline)
        if code == "ok" and (not may_succeed or (text is not None and envelope["data"]["text"] != text)):
            self.note(f"{name}: a success that is none")
        if code == "internal_error":
            self.note(f"{name}: {envelope['error']['message']}")
        if seconds > deadline + _BOUND_SECONDS:
            self.note(f"{name}: {seconds:.1f} s with a deadline of {deadline:g} s")

    def note(self, finding: str) -> None:
        """Keep what is wrong, and show it at once: a run is long."""
        self.wrong.append(finding)
        sys.stderr.write(f"  {finding}\n")

    def clean(self, name: str, leaks: LeakCheck) -> None:
        """Note what is left."""
        try:
            leaks.check()
        except AssertionError as found:
            self.note(f"{name}: {found}")

    @property
    def told(self) -> str:
        """The readings as text."""
        return f"{counted(self.codes)}; worst overrun {self.overrun:.1f} s; " + (
            f"{len(self.wrong)} WRONG, such as {self.wrong[:3]}" if self.wrong else "no false success, nothing left"
        )


def day(folder: Path, share: float) -> Figure:
    """A turn a minute for a day, back to back; one in ten with a fault; the server dies and is started anew twelve times."""
    turns, draw, tally = max(20, round(1440 * share)), random.Random(1440), Tally()
    restarts, before = 0, Counters(0, 0, 0)
    early = max(1, turns // 5)
    with stage(folder) as scene:
        settings, leaks = scene.settings(through_proxy=True), scene.leaks()
        with host_to(settings) as host:
            for number in range(turns):
                if number == early:
                    before = _counters(scene)
                _one_of_the_day(scene, host, number, draw, tally)
                if number % max(2, turns // 12) == 1:
                    _die(scene, host, number, tally)
                    restarts += 1
                if draw.random() < 0.02 or number == turns - 1:
                    host.call("cleanup")
                    tally.clean(f"turn {number}", leaks)
                scene.model.clear()
                scene.proxy.clear()
                scene.proxy.forget()
            after = _counters(scene)
        size = sum(item.stat().st_size for item in settings.state_dir.rglob("*") if item.is_file()) if settings.state_dir.is_dir() else 0
        left = litter(settings.state_dir)
    grown = (after.memory - before.memory) / 2**20
    flat = after.handles <= before.handles + 8 and after.threads <= before.threads + 4
    return Figure(
        "a day condensed: 1,440 turns, one in ten with a fault of R18 to R41, the server killed 12 times: no leak, no false success",
        f"{turns} turns, {restarts} restarts: {tally.told}; over the last four fifths memory {grown:+.1f} MiB (driver, proxy and model "
        f"in one process), descriptors {after.handles - before.handles:+d}, threads {after.threads - before.threads:+d}; "
        f"state folder {size} bytes",
        not tally.wrong and flat and grown <= 24 and size <= 2**20 and not left,
    )


def _counters(scene: Stage) -> Counters:
    scene.model.clear()
    return Counters.now()


def _one_of_the_day(scene: Stage, host: Host, number: int, draw: random.Random, tally: Tally) -> None:
    prompt = f"turn {number} of the day"
    name, may_succeed, text, deadline = "no fault", True, prompt, 30.0
    if draw.random() < 0.1:
        deadline = _TURN_SECONDS
        if draw.random() < 0.5:
            fault = model_fault(draw)
            name, may_succeed, text = fault.name, fault.success, ""
            scene.model.when(prompt, *fault.steps)
        else:
            wire = wire_fault(draw)
            name = wire.name
            scene.proxy.on(wire.route, wire.fault(), times=wire.times)
    began = time.monotonic()
    envelope = host.call("run_task", prompt=prompt, deadline_seconds=deadline)
    seconds = time.monotonic() - began
    tally.turn(f"turn {number}, {name}", envelope, seconds=seconds, deadline=deadline, may_succeed=may_succeed, text=text or None)
    if name == "no fault" and code_of(envelope) != "ok":
        tally.note(f"turn {number} without a fault: {envelope['error']}")


def _die(scene: Stage, host: Host, number: int, tally: Tally) -> None:
    """The server is killed in the middle of a turn, and comes back at the same address with the same data."""
    prompt = f"the server dies {number}"
    gate = scene.model.gate(prompt)
    scene.model.when(prompt, Gated(gate, "begun ", "never"))
    with ThreadPoolExecutor(1) as thread:
        began = time.monotonic()
        running = thread.submit(host.call, "run_task", prompt=prompt, deadline_seconds=10)
        assert gate.wait_reached(30)
        old = scene.server
        kill_server(old)
        envelope = running.result(60)
    tally.turn(f"restart {number}", dict(envelope), seconds=time.monotonic() - began, deadline=10, may_succeed=False, text=None)
    new = start_server(old.home, old.model, port=old.port, password=old.password)
    # The stage's own exit ends whatever process stands here now.
    old.process, old.base_url = new.process, new.base_url
    warm(old, scene.place)


def schedules(folder: Path, share: float) -> Figure:
    """Random faults of wire and model together, eight schedules at a time; the seed tells everything."""
    number, at_once, tally = max(4, round(1000 * share)), 8, Tally()
    with stage(folder) as scene, ExitStack() as stack, ThreadPoolExecutor(at_once) as threads:
        lanes = []
        for index in range(at_once):
            place = folder / f"lane-{index}"
            place.mkdir()
            warm(scene.server, place)
            lanes.append((stack.enter_context(FaultProxy(scene.server.base_url)), place, folder / f"caller-{index}"))
        leaks = LeakCheck(scene.server)
        for _proxy, place, _caller in lanes:
            leaks.watch(place)
        for first in range(0, number, at_once):
            seeds = range(first, min(first + at_once, number))
            done = [threads.submit(_schedule, seed, scene.server, lane, tally) for seed, lane in zip(seeds, lanes, strict=False)]
            for each in done:
                each.result()
            tally.clean(f"seeds {seeds.start} to {seeds.stop - 1}", leaks)
            if tally.wrong:
                # What was left would be found again and again; the schedules before it were clean.
                number = seeds.stop
                break
            scene.model.clear()
    return Figure(
        "1,000 random schedules of faults (seeds 0 to 999): nothing left, no success that is none",
        f"{number} schedules: {tally.told}",
        not tally.wrong,
    )


def _schedule(seed: int, server: OpenCodeServer, lane: tuple[FaultProxy, Path, Path], tally: Tally) -> None:
    proxy, place, caller = lane
    draw = random.Random(seed)
    prompt = f"schedule {seed:04d} asks"
    faults = [wire_fault(draw) for _ in range(draw.choice((1, 1, 2, 3)))]
    behaviour: ModelFault | None = model_fault(draw) if draw.random() < 0.3 else None
    if behaviour is not None:
        server.model.when(prompt, *behaviour.steps)
    for each in faults:
        proxy.on(each.route, each.fault(), times=each.times)
    settings = settings_to(proxy.url, caller, password=server.password, OPENCODE_DRIVER_DIRECTORY=str(place))
    name = f"seed {seed}: {', '.join(each.name for each in faults)}; {behaviour.name if behaviour else 'the model answers'}"
    with host_to(settings) as host:
        began = time.monotonic()
        envelope = host.call("run_task", prompt=prompt, deadline_seconds=_TURN_SECONDS)
        tally.turn(
            name,
            envelope,
            seconds=time.monotonic() - began,
            deadline=_TURN_SECONDS,
            may_succeed=behaviour is None or behaviour.success,
            text=prompt if behaviour is None else None,
        )
        proxy.clear()
        host.call("cleanup")
    proxy.forget()
    if litter(settings.state_dir):
        tally.note(f"{name}: {litter(settings.state_dir)}")
        shutil.rmtree(settings.state_dir)


__all__ = ["day", "schedules"]
