"""Races and sudden ends: sends (G9), starts (G10), start and stop (G11), kill -9 of the caller (G12)."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import psutil

from netclaw_opencode.offline import Gate, Gated, Hang, OfflineModel, Text, ToolCall
from netclaw_opencode.opencode.process import state
from netclaw_opencode.settings import Settings
from netclaw_opencode.testing.proxy import Pause
from netclaw_opencode.testing.waiting import SOON, wait_until
from tests.faults.bench import host_to, litter
from tests.faults.own import environment
from tests.real.acting import data_of
from tests.soak.children import callers
from tests.soak.stage import Figure, Stage, clock, code_of, counted, stage

_REFUSALS = frozenset({"session_locked", "session_used", "session_busy"})


def _wire(settings: Settings) -> dict[str, str]:
    return {
        "OPENCODE_API_URL": settings.url,
        "OPENCODE_SERVER_PASSWORD": settings.password or "",
        "OPENCODE_DRIVER_STATE_DIR": str(settings.state_dir),
        "OPENCODE_DRIVER_DIRECTORY": settings.directory,
        "HOME": str(settings.state_dir.parent),
    }


def send_race(folder: Path, share: float) -> Figure:
    """Processes that send to the same fresh session at the same moment."""
    processes, rounds = 50, max(2, round(100 * share))
    wrong: list[str] = []
    codes: list[str] = []
    with stage(folder) as scene, host_to(scene.settings()) as host, callers(processes, _wire(scene.settings())) as everybody:
        leaks = scene.leaks()
        for number in range(rounds):
            session_id = data_of(host.call("create_session"))["session"]["session_id"]
            prompt = f"race {number}"
            for caller in everybody:
                caller.ask("send_message", session_id=session_id, prompt=prompt, deadline_seconds=60)
            found = [code_of(caller.answer()) for caller in everybody]
            codes += found
            calls = len(scene.model.calls_with(prompt))
            if found.count("ok") != 1 or not _REFUSALS.issuperset(set(found) - {"ok"}) or calls != 1:
                wrong.append(f"round {number}: {counted(found)}, {calls} model calls")
            data_of(host.call("delete_session", session_id=session_id))
            scene.model.clear()
        leaks.check()
        left = litter(scene.settings().state_dir)
    return Figure(
        "50 processes send to one session, 100 rounds: one send and 49 named refusals each time",
        f"{rounds} rounds: {counted(codes)}" + (f"; WRONG {wrong[:3]}" if wrong else "; one model call in each"),
        not wrong and not left,
    )


def start_race(folder: Path, share: float) -> Figure:
    """Processes that start the same server at the same moment."""
    processes, rounds = 20, max(2, round(50 * share))
    wrong: list[str] = []
    folder.mkdir(parents=True)
    with OfflineModel() as model:
        environ = environment(folder, model)
        with callers(processes, environ) as everybody:
            for number in range(rounds):
                for caller in everybody:
                    caller.ask("start_server")
                envelopes = [caller.answer() for caller in everybody]
                codes = [code_of(envelope) for envelope in envelopes]
                urls = {str(envelope["data"]["url"]) for envelope in envelopes if envelope["ok"]}
                started = sum(bool(envelope["data"]["started"]) for envelope in envelopes if envelope["ok"])
                running = _servers_in(folder)
                if codes.count("ok") != processes or len(urls) != 1 or started != 1 or len(running) != 1:
                    wrong.append(f"round {number}: {counted(codes)}, {len(urls)} urls, {started} started, {len(running)} processes")
                everybody[number % processes].call("stop_server")
                if _servers_in(folder):
                    wrong.append(f"round {number}: orphans")
    return Figure(
        "20 processes start the server at once, 50 rounds: one server, no orphan",
        f"{rounds} rounds: one started, 19 adopted it, none left" if not wrong else f"WRONG {wrong[:3]}",
        not wrong and not litter(folder / "state"),
    )


def _servers_in(folder: Path) -> list[int]:
    """The processes whose home is in this folder and that serve."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if "serve" in process.cmdline() and process.environ().get("HOME", "").startswith(str(folder)):
                found.append(process.pid)
    return found


def start_and_stop(folder: Path, share: float) -> Figure:
    """Servers of our own, each stopped while a command of its agent runs."""
    cycles = max(2, round(100 * share))
    starts: list[float] = []
    stops: list[float] = []
    left: list[int] = []
    folder.mkdir(parents=True)
    with OfflineModel() as model:
        settings = Settings.from_environment(environment(folder, model))
        model.when("sleep", ToolCall("bash", {"command": "sleep 600", "description": "sleeps"}), Text("slept"))
        for _ in range(cycles):
            with host_to(settings) as host:
                with clock() as elapsed:
                    data_of(host.call("start_server"))
                    starts.append(elapsed())
                record = state.read(settings.state_dir)
                assert record is not None
                server = psutil.Process(record.pid)
                session_id = data_of(host.call("create_session"))["session"]["session_id"]
                data_of(host.call("send_message_async", session_id=session_id, prompt="sleep"))
                wait_until(partial(_sleepers, server), SOON, what="the agent's command")
                tree = [server, *server.children(recursive=True)]
                with clock() as elapsed:
                    data_of(host.call("stop_server"))
                    stops.append(elapsed())
                left += [process.pid for process in tree if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]
    return Figure(
        "100 servers started and stopped with a command running: ready in 30 s, stopped in 10 s, no process left",
        f"{cycles} cycles: ready after at most {max(starts):.1f} s, stopped after at most {max(stops):.1f} s; {len(left)} processes left",
        not left and max(starts) <= 30 and max(stops) <= 10,
    )


def _sleepers(server: psutil.Process) -> list[psutil.Process]:
    found = []
    for process in server.children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if "600" in process.cmdline():
                found.append(process)
    return found


_ROUTES: dict[str, tuple[str, bool]] = {
    "before the creation": ("POST /session", False),
    "in the creation": ("POST /session", True),
    "before the look at the status": ("GET /session/status", False),
    "before the send": ("POST */prompt_async", False),
    "after the send": ("POST */prompt_async", True),
    "before the delete": ("DELETE *", False),
    "in the delete": ("DELETE *", True),
}
_STEPS = ("before the first word", "in the middle of the answer", "while a command runs")


def killed_callers(folder: Path, share: float) -> Figure:
    """Callers killed at ten points; the next call sweeps what was theirs."""
    repeats = max(1, round(20 * share))
    wrong: list[str] = []
    swept = 0
    with stage(folder) as scene:
        leaks = scene.leaks()
        for point in [*_ROUTES, *_STEPS]:
            for _ in range(repeats):
                prompt = f"killed {point}"
                reached = _prepare(scene, point, prompt)
                _kill_when(reached, _caller(scene.settings(through_proxy=True), prompt))
                scene.proxy.clear()
                scene.model.clear()
                with host_to(scene.settings()) as host:
                    data_of(host.call("run_task", prompt="the next call", deadline_seconds=30))
                try:
                    leaks.check()
                    swept += 1
                except AssertionError as found:
                    wrong.append(f"{point}: {found}")
                if litter(scene.settings().state_dir):
                    wrong.append(f"{point}: {litter(scene.settings().state_dir)}")
    total = repeats * (len(_ROUTES) + len(_STEPS))
    return Figure(
        "callers killed at 10 points, 20 times each: the next call sweeps 200 of 200, no session, no lock",
        f"{swept} of {total} swept" + (f"; WRONG {wrong[:3]}" if wrong else ""),
        not wrong and swept == total,
    )


def _prepare(scene: Stage, point: str, prompt: str) -> Callable[[], object]:
    """Arrange that the caller is held at the point; the answer waits until it is."""
    if point in _ROUTES:
        route, after = _ROUTES[point]
        pause = Pause(after=after)
        scene.proxy.on(route, pause, times=1)
        return partial(pause.reached.wait, SOON)
    if point == "while a command runs":
        scene.model.when(prompt, ToolCall("bash", {"command": "sleep 600", "description": "sleeps"}), Text("slept"))
        return partial(wait_until, lambda: [item for item in scene.server.descendants() if "600" in _words(item)], SOON)
    if point == "in the middle of the answer":
        gate: Gate = scene.model.gate(prompt)
        scene.model.when(prompt, Gated(gate, "begun ", "never"))
        return partial(gate.wait_reached, SOON)
    scene.model.when(prompt, Hang())
    return partial(scene.model.wait_until, lambda model: model.calls_with(prompt), SOON)


def _words(process: psutil.Process) -> list[str]:
    with contextlib.suppress(psutil.Error):
        return process.cmdline()
    return []


def _caller(settings: Settings, prompt: str) -> subprocess.Popen[bytes]:
    environ = {"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(sys.path), **_wire(settings)}
    command = [sys.executable, "-m", "netclaw_opencode", "run", "run-task", "--prompt", prompt, "--deadline-seconds", "60"]
    return subprocess.Popen(command, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)


def _kill_when(reached: Callable[[], object], process: subprocess.Popen[bytes]) -> None:
    try:
        assert reached(), "the point was not reached"
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait(SOON)
