"""What a long task costs: the third part of ``make bench``, as ratios and counts.

Owns three figures: bytes that are read for tasks of 10 to 400 steps, as a share of their message store; requests a minute for one
waiting task and for two hundred in a directory; and the driver's memory for a history of 20 MB, in sizes of its largest message.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import httpx

from netclaw_opencode import Host
from netclaw_opencode.offline import Hang, OfflineModel, Text, ToolCall, Usage
from scripts.bench_turns import Reading

if TYPE_CHECKING:
    from netclaw_opencode.offline import Step

STEPS = (10, 40, 160, 400)
WAITING = 200
WINDOW_SECONDS = 30
KIB = 1024
SMALL = Usage(1000, 10)
"""What a step is said to use, so that the context is not compacted."""
OPEN_HOST = Callable[[Path], Host]

# In a process of its own; the small history first, so that what Python needs anyway is there before.
READER = """
import anyio, json, sys
from pathlib import Path
from netclaw_opencode import Host, Settings

def kib(name):
    return next(int(line.split()[1]) for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(name))

async def main():
    async with Host(Settings.from_environment(), entry_points=False) as host:
        for session_id in sys.argv[1:]:
            before = kib("VmRSS")
            # The peak counts from here on; what the parent process held before is none of ours.
            Path("/proc/self/clear_refs").write_text("5")
            found = await host.invoke("get_session_result", {"session_id": session_id})
            assert found["ok"], found
        print(json.dumps((kib("VmHWM") - before) * 1024))

anyio.run(main)
"""


def _requests(record: Path) -> list[dict[str, object]]:
    lines = [json.loads(line) for line in record.read_text(encoding="utf-8").splitlines()]
    return [line for line in lines if line["kind"] == "request"]


def _store(url: str, password: str, session_id: str) -> bytes:
    return httpx.get(f"{url}/session/{session_id}/message", auth=("opencode", password), trust_env=False, timeout=120).content


async def bytes_read(open_host: OPEN_HOST, model: OfflineModel, folder: Path, *, url: str, password: str) -> list[Reading]:
    """Bytes of messages that are read over whole tasks of so many steps of 20 KiB."""
    readings: list[Reading] = []
    for steps in STEPS:
        prompt = f"print in {steps} steps"
        command = {"command": f"head -c {20 * KIB} /dev/zero | tr '\\0' x", "description": "print"}
        script: list[Step] = [(ToolCall("bash", command), SMALL)] * steps
        model.when(prompt, *script, Text("done"))
        record = folder / f"steps-{steps}.jsonl"
        async with open_host(record) as host:
            envelope = await host.invoke("run_task", {"prompt": prompt, "keep_session": True, "deadline_seconds": 3600})
            assert envelope["ok"], envelope
            session_id = str(envelope["data"]["session_id"])  # type: ignore[index]
            store = len(await anyio.to_thread.run_sync(_store, url, password, session_id))
            await host.invoke("delete_session", {"session_id": session_id})
        read = sum(int(str(line["bytes"])) for line in _requests(record) if str(line["path"]).endswith("/message"))
        name = f"bytes read for a task of {steps} steps : its store of {store / 1e6:.1f} MB"
        readings.append(Reading(name, f"{read / store:.2f} x", "<= 1.3 x", read <= 1.3 * store))
    return readings


async def requests_while_waiting(open_host: OPEN_HOST, model: OfflineModel, folder: Path) -> Reading:
    """Requests a minute while tasks wait for a model that is silent: for one of them, and for two hundred."""
    model.when("wait for ever", Hang())
    counts: dict[int, float] = {}
    for number in (1, WAITING):
        record = folder / f"waiting-{number}.jsonl"
        async with open_host(record) as host:
            made = []
            for index in range(number):
                created = await host.invoke("create_session", {})
                made.append(str(created["data"]["session"]["session_id"]))  # type: ignore[index]
                await host.invoke("send_message_async", {"session_id": made[-1], "prompt": f"wait for ever {index}"})
            async with anyio.create_task_group() as tasks:
                for session_id in made:
                    tasks.start_soon(host.invoke, "wait_for_session", {"session_id": session_id, "wait_seconds": 300})
                await anyio.sleep(WINDOW_SECONDS / 3)
                before = len(_requests(record))
                await anyio.sleep(WINDOW_SECONDS)
                counts[number] = (len(_requests(record)) - before) * 60 / WINDOW_SECONDS
                tasks.cancel_scope.cancel()
            for session_id in made:
                await host.invoke("delete_session", {"session_id": session_id})
    figure = f"{counts[1]:.0f}, {counts[WAITING]:.0f}"
    reached = counts[WAITING] <= 1.2 * counts[1] + 6
    return Reading(f"requests a minute while 1 task waits, while {WAITING} wait in a directory", figure, "equal", reached)


async def memory_of_history(
    host: Host, model: OfflineModel, environ: Mapping[str, str], directory: str, *, url: str, password: str
) -> Reading:
    """The driver's memory for the result of a task that wrote twenty files of 1 MB, in sizes of the largest message."""
    content = "a line of some thirty bytes ...\n" * 32_768
    script: list[Step] = [(ToolCall("write", {"filePath": f"${{directory}}/{each}.txt", "content": content}), SMALL) for each in range(20)]
    model.when("write twenty files", *script, Text("written"))
    made: list[str] = []
    for prompt in ("say little", "write twenty files"):
        envelope = await host.invoke("run_task", {"prompt": prompt, "keep_session": True, "deadline_seconds": 3600})
        assert envelope["ok"], envelope
        made.append(str(envelope["data"]["session_id"]))  # type: ignore[index]
    store = json.loads(await anyio.to_thread.run_sync(_store, url, password, made[1]))
    sizes = [len(json.dumps(message)) for message in store]
    command = [sys.executable, "-c", READER, *made]
    done = await anyio.run_process(command, env=dict(environ), cwd=directory, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr.decode()[-600:])
    for session_id in made:
        await host.invoke("delete_session", {"session_id": session_id})
    share = json.loads(done.stdout) / max(sizes)
    name = f"memory for a history of {sum(sizes) / 1e6:.0f} MB : its largest message ({max(sizes) / 1e6:.1f} MB)"
    return Reading(name, f"{share:.1f} x", "< 3 x", share < 3)


__all__ = ["bytes_read", "memory_of_history", "requests_while_waiting"]
