"""Side by side with the alternatives, in one go, as ratios: ``make bench``.

Both sides run in turn (ours, theirs, ours, theirs …) on one warm server with the offline model, so that a machine whose
speed drifts slows both. What counts is the median of the pairs' ratios; seconds are there for a feeling and do not travel.
A goal that is missed is shown, never an exit code: machines are noisy.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import anyio
import httpx

from netclaw_opencode import Host, Settings
from netclaw_opencode.adapters.mcp.tools import OUTPUT, tools_of
from netclaw_opencode.manifest import own_manifest
from netclaw_opencode.offline import OfflineModel, keep_from_installing
from scripts import bench_batches, bench_life, bench_snapshots, bench_turns

OURS = [sys.executable, "-m", "netclaw_opencode"]


@dataclass(frozen=True, slots=True)
class Pair:
    """One measured pair: seconds, and the peak memory in MiB of each side's largest process where it is a process."""

    ours: float
    theirs: float
    ours_mib: float = 0.0
    theirs_mib: float = 0.0


@dataclass(frozen=True, slots=True)
class Server:
    """The warm server that both sides use."""

    url: str
    password: str
    directory: str
    environ: Mapping[str, str]


def row(name: str, pairs: Sequence[Pair], *, goal: str, reached: bool, figure: str) -> None:
    """Print one line of the result."""
    ours, theirs = (statistics.median(getattr(pair, side) for pair in pairs) for side in ("ours", "theirs"))
    memory = ""
    if pairs[0].ours_mib:
        mine, other = (statistics.median(getattr(pair, side) for pair in pairs) for side in ("ours_mib", "theirs_mib"))
        memory = f"{mine:5.0f} / {other:4.0f} MiB"
    print(f"{name:<58} {ours:7.3f} {theirs:7.3f}  {figure:>10}  {goal:<12} {'met' if reached else 'MISSED':<7} {memory}", flush=True)


def ratio(pairs: Sequence[Pair]) -> float:
    """The median of theirs ÷ ours, pair by pair."""
    return statistics.median(pair.theirs / pair.ours for pair in pairs)


# A process of few pages starts the measured one: a child's peak memory counts what it shares with its parent before exec.
STARTER = """
import json, os, sys, time
sink = os.open(os.devnull, os.O_WRONLY)
actions = [(os.POSIX_SPAWN_DUP2, sink, 1), (os.POSIX_SPAWN_CLOSE, 0)]
began = time.perf_counter()
pid = os.posix_spawnp(sys.argv[1], sys.argv[1:], os.environ, file_actions=actions)
_, status, usage = os.wait4(pid, 0)
print(json.dumps([time.perf_counter() - began, usage.ru_maxrss / 1024, os.waitstatus_to_exitcode(status)]))
"""


def run_process(argv: Sequence[str], environ: Mapping[str, str], directory: str) -> tuple[float, float]:
    """Seconds and peak MiB of one whole process, by the operating system's own account. Raises where it fails."""
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", STARTER, *argv],
        env=dict(environ),
        cwd=directory,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=True,
        encoding="utf-8",
    )
    seconds, mib, code = json.loads(done.stdout)
    if code != 0:
        raise RuntimeError(f"{' '.join(argv[:4])} … ended with {code}: {done.stderr[-400:]}")
    return seconds, mib


def processes(ours: Sequence[str], theirs: Sequence[str], server: Server, *, pairs: int) -> list[Pair]:
    """Whole processes in turn, after one of each that is not counted."""
    found: list[Pair] = []
    for _ in range(pairs + 1):
        mine, mine_mib = run_process(ours, server.environ, server.directory)
        other, other_mib = run_process(theirs, server.environ, server.directory)
        found.append(Pair(mine, other, mine_mib, other_mib))
    return found[1:]


async def timed(call: Callable[[], Awaitable[object]]) -> float:
    """Seconds of one call."""
    began = time.perf_counter()
    await call()
    return time.perf_counter() - began


async def messages(host: Host, server: Server, *, pairs: int) -> list[Pair]:
    """``send_message`` with all rules, beside a bare POST of the same prompt, each to a fresh session."""
    found: list[Pair] = []
    async with httpx.AsyncClient(base_url=server.url, auth=("opencode", server.password), trust_env=False, timeout=60) as bare:
        scope = {"directory": server.directory}
        for number in range(pairs + 5):
            created = await host.invoke("create_session", {"directory": server.directory})
            session_id = created["data"]["session"]["session_id"]  # type: ignore[index]
            other_id = (await bare.post("/session", params=scope, json={})).json()["id"]

            async def ours(session_id: str = session_id, number: int = number) -> None:
                envelope = await host.invoke("send_message", {"session_id": session_id, "prompt": f"say {number}"})
                assert envelope["ok"], envelope

            async def theirs(session_id: str = other_id, number: int = number) -> None:
                body = {"parts": [{"type": "text", "text": f"say {number}"}]}
                answer = await bare.post(f"/session/{session_id}/message", params=scope, json=body)
                assert answer.json()["info"]["finish"] == "stop", answer.text

            if number % 2:
                second = await timed(theirs)
                first = await timed(ours)
            else:
                first = await timed(ours)
                second = await timed(theirs)
            found.append(Pair(first, second))
            # A list of sessions that grows with the pairs would be a part of what is measured later.
            for made in (session_id, other_id):
                await bare.delete(f"/session/{made}", params=scope)
    return found[5:]


@contextmanager
def private_environ() -> Iterator[tuple[dict[str, str], str, OfflineModel]]:
    """The environment of a private server, an empty working directory, and the offline model behind the server."""
    with tempfile.TemporaryDirectory(prefix="netclaw-bench-") as folder, OfflineModel() as model:
        work = Path(folder, "work")
        work.mkdir()
        keep_from_installing(Path(folder, "XDG_CONFIG_HOME"))
        home = {name: str(Path(folder, name)) for name in ("HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_STATE_HOME")}
        own = {name: os.environ[name] for name in ("PATH", "LANG", "OPENCODE_DRIVER_BINARY", "PYTHONPATH") if name in os.environ}
        yield (
            own
            | home
            | {
                "OPENCODE_CONFIG_CONTENT": json.dumps(model.provider_config()),
                "OPENCODE_DISABLE_MODELS_FETCH": "1",
                "OPENCODE_DISABLE_AUTOUPDATE": "1",
                "OPENCODE_DRIVER_STATE_DIR": str(Path(folder, "state")),
                "OPENCODE_DRIVER_DIRECTORY": str(work),
            },
            str(work),
            model,
        )


async def main(pairs: int) -> None:
    """Measure everything and print the table."""
    with private_environ() as (environ, work, model):
        async with Host(Settings.from_environment(environ), entry_points=False) as host:
            started = await host.invoke("start_server", {})
            if not started["ok"]:
                raise SystemExit(json.dumps(started, indent=2))
            try:
                record = json.loads(Path(environ["OPENCODE_DRIVER_STATE_DIR"], "server.json").read_text(encoding="utf-8"))
                client = environ | {"OPENCODE_API_URL": record["url"], "OPENCODE_SERVER_PASSWORD": record["password"]}
                server = Server(record["url"], record["password"], work, client)
                await measure(host, server, record, pairs)
                await measure_turns(host, server, model, turns=pairs * 3)
            finally:
                await host.invoke("stop_server", {})


async def measure(host: Host, server: Server, record: Mapping[str, str], pairs: int) -> None:
    """Every comparison, the in-process one first."""
    print(f"OpenCode {record['opencode_version']}, Python {platform.python_version()}, {os.cpu_count()} cores, medians of {pairs} pairs\n")
    print(f"{'':<58} {'ours s':>7} {'other s':>7}  {'figure':>10}  {'goal':<12} {'':<7} peak memory")
    found = await messages(host, server, pairs=pairs * 3)
    cost = statistics.median(pair.ours / pair.theirs for pair in found)
    row("send_message, all rules : bare POST /message", found, goal="<= 1.15 x", reached=cost <= 1.15, figure=f"{cost:.2f} x")
    # Processes run one at a time while the event loop waits; nothing else is on it.
    await anyio.to_thread.run_sync(measure_processes, server, record["binary"], pairs)


async def measure_turns(host: Host, server: Server, model: OfflineModel, *, turns: int) -> None:
    """The figures of this driver alone."""
    print()

    def recorded(file: Path) -> Host:
        return Host(Settings.from_environment({**server.environ, "OPENCODE_DRIVER_RECORD": str(file)}), entry_points=False)

    with bench_turns.IdleClock(server.url, server.password, server.directory) as clock, tempfile.TemporaryDirectory() as folder:
        readings = [
            await bench_turns.after_idle(host, clock, turns=turns),
            await bench_turns.after_deadline(host, model, turns=turns),
            await anyio.to_thread.run_sync(bench_turns.per_waiting_task, server.environ, model, server.directory),
            await bench_turns.requests_per_turn(recorded, model, Path(folder)),
            *await bench_life.bytes_read(recorded, model, Path(folder), url=server.url, password=server.password),
            size_of_tools(),
            await bench_life.requests_while_waiting(recorded, model, Path(folder)),
            await bench_life.memory_of_history(host, model, server.environ, server.directory, url=server.url, password=server.password),
            *await bench_batches.readings(server.environ, Path(folder), url=server.url, password=server.password),
            *await anyio.to_thread.run_sync(bench_snapshots.readings),
        ]
    for reading in readings:
        print(f"{reading.name:<75}  {reading.figure:>10}  {reading.goal:<12} {'met' if reading.reached else 'MISSED'}")


def size_of_tools() -> bench_turns.Reading:
    """Bytes of the list of tools, which most hosts of the Model Context Protocol put before the model in every turn."""
    tools = [asdict(tool) | {"output_schema": OUTPUT} for name, tool in tools_of(own_manifest()).items() if "batch" not in name]
    size = len(json.dumps(tools, separators=(",", ":"), ensure_ascii=False).encode()) / 1000
    return bench_turns.Reading("list of MCP tools, without those of batches", f"{size:.0f} kB", "< 40 kB", size < 40)


def measure_processes(server: Server, binary: str, pairs: int) -> None:
    """The comparisons of whole processes."""
    task = [*OURS, "run", "run-task", "--prompt", "say it"]
    found = processes(task, [binary, "run", "--attach", server.url, "--dir", server.directory, "say it"], server, pairs=pairs)
    row("run run-task : opencode run --attach", found, goal=">= 3 x", reached=ratio(found) >= 3, figure=f"{ratio(found):.1f} x less")
    found = processes(task, [binary, "run", "say it"], server, pairs=max(3, pairs // 2))
    row("run run-task : opencode run", found, goal=">= 8 x", reached=ratio(found) >= 8, figure=f"{ratio(found):.1f} x less")
    request = "httpx.get(e['OPENCODE_API_URL'] + '/session/status', auth=('opencode', e['OPENCODE_SERVER_PASSWORD']))"
    script = f"import httpx; from os import environ as e; {request}"
    found = processes([*OURS, "inspect", "get-session-status"], [sys.executable, "-c", script], server, pairs=pairs * 2)
    cost = statistics.median(pair.ours / pair.theirs for pair in found)
    row("inspect get-session-status : import httpx, one request", found, goal="<= 1.3 x", reached=cost <= 1.3, figure=f"{cost:.2f} x")
    found = processes([*OURS, "--help"], [sys.executable, "-c", "pass"], server, pairs=pairs * 2)
    more = statistics.median((pair.ours - pair.theirs) * 1000 for pair in found)
    row("--help : python -c pass", found, goal="< 80 ms more", reached=more < 80, figure=f"+{more:.0f} ms")
    found = processes(
        [sys.executable, "-c", "from netclaw_opencode import OpenCode"], [sys.executable, "-c", "import httpx"], server, pairs=pairs
    )
    cost = statistics.median(pair.ours / pair.theirs for pair in found)
    row("from netclaw_opencode import OpenCode : import httpx", found, goal="<= 1 x", reached=cost <= 1, figure=f"{cost:.2f} x")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=6, help="pairs of each comparison of processes (three times as many messages)")
    anyio.run(main, parser.parse_args().pairs)
