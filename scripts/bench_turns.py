"""What a turn costs beyond the model's own time: the second half of ``make bench``.

Owns four figures of this driver alone: how long after a deadline the stop is proved, how long after the server's own "idle" the
result is in the caller's hand, what a waiting task costs in memory, and how many requests a turn makes.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import httpx

from netclaw_opencode import Host
from netclaw_opencode.offline import Hang, OfflineModel, Text, ToolCall

if TYPE_CHECKING:
    from collections.abc import Callable

WAITING = 200
LOOK_SECONDS = 5
"""A turn is looked at this often even where no event comes: one request for its messages, one for the status."""

# In a process of its own, so that neither the model's nor the bench's memory counts.
WAITER = """
import anyio, gc, json, psutil, sys
from netclaw_opencode import Host, Settings

number = int(sys.argv[1])

async def main():
    async with Host(Settings.from_environment(), entry_points=False) as host:
        made = []
        for index in range(number + 1):
            created = await host.invoke("create_session", {})
            made.append(created["data"]["session"]["session_id"])
            sent = await host.invoke("send_message_async", {"session_id": made[-1], "prompt": f"hang {index}", "deadline_seconds": 600})
            assert sent["ok"], sent
        wait = {"wait_seconds": 45}
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(host.invoke, "wait_for_session", {"session_id": made[0], **wait})
            await anyio.sleep(3)
            gc.collect()
            before = psutil.Process().memory_info().rss
            for session_id in made[1:]:
                tasks.start_soon(host.invoke, "wait_for_session", {"session_id": session_id, **wait})
            await anyio.sleep(20)
            gc.collect()
            print(json.dumps((psutil.Process().memory_info().rss - before) / number), flush=True)
            tasks.cancel_scope.cancel()
        for session_id in made:
            await host.invoke("delete_session", {"session_id": session_id})

anyio.run(main)
"""


@dataclass(frozen=True, slots=True)
class Reading:
    """One figure beside its goal."""

    name: str
    figure: str
    goal: str
    reached: bool


class IdleClock:
    """Listens to the server as any client may, and notes when it first says that a session is idle."""

    def __init__(self, url: str, password: str, directory: str) -> None:
        self._client = httpx.Client(base_url=url, auth=("opencode", password), trust_env=False, timeout=httpx.Timeout(5, read=60))
        self._directory = directory
        self._ready = threading.Event()
        self._changed = threading.Condition()
        self.at: dict[str, float] = {}
        self._thread = threading.Thread(target=self._listen, daemon=True)

    def __enter__(self) -> IdleClock:
        self._thread.start()
        self._ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def saw(self, session_id: str) -> None:
        """Wait until the session's idle was heard."""
        with self._changed:
            if not self._changed.wait_for(lambda: session_id in self.at, 10):
                raise TimeoutError(f"no idle of {session_id} was heard")

    def _listen(self) -> None:
        try:
            with self._client.stream("GET", "/event", params={"directory": self._directory}) as answer:
                for line in answer.iter_lines():
                    self._ready.set()
                    if line.startswith("data:"):
                        event = json.loads(line[5:])
                        if event.get("type") == "session.idle":
                            with self._changed:
                                self.at.setdefault(event["properties"]["sessionID"], time.perf_counter())
                                self._changed.notify_all()
        except (httpx.HTTPError, RuntimeError):
            return  # closed by the other thread


async def after_deadline(host: Host, model: OfflineModel, *, turns: int) -> Reading:
    """Seconds from a deadline to the envelope, which says that the stop was proved."""
    model.when("never answered", Hang())
    over: list[float] = []
    for number in range(turns):
        created = await host.invoke("create_session", {})
        session_id = created["data"]["session"]["session_id"]  # type: ignore[index]
        began = time.perf_counter()
        envelope = await host.invoke(
            "send_message", {"session_id": session_id, "prompt": f"never answered {number}", "deadline_seconds": 1}
        )
        over.append(time.perf_counter() - began - 1)
        assert envelope["error"]["details"]["stopped"]["confirmed"], envelope  # type: ignore[index]
        await host.invoke("delete_session", {"session_id": session_id})
    median = statistics.median(over)
    return Reading("deadline -> stop proved, in the caller's hand", f"{median:.2f} s", "< 0.3 s", median < 0.3)


async def after_idle(host: Host, clock: IdleClock, *, turns: int) -> Reading:
    """Milliseconds from the server's "idle" to the result."""
    late: list[float] = []
    for number in range(turns):
        created = await host.invoke("create_session", {})
        session_id = str(created["data"]["session"]["session_id"])  # type: ignore[index]
        envelope = await host.invoke("send_message", {"session_id": session_id, "prompt": f"say {number}"})
        now = time.perf_counter()
        assert envelope["ok"], envelope
        await anyio.to_thread.run_sync(clock.saw, session_id)
        late.append(now - clock.at[session_id])
        await host.invoke("delete_session", {"session_id": session_id})
    median = statistics.median(late) * 1000
    return Reading("server idle -> result in the caller's hand", f"{median:+.0f} ms", "< 20 ms", median < 20)


def per_waiting_task(environ: Mapping[str, str], model: OfflineModel, directory: str) -> Reading:
    """KiB that each further waiting task costs the driver."""
    model.when("hang", Hang())
    command = [sys.executable, "-c", WAITER, str(WAITING)]
    done = subprocess.run(command, env=dict(environ), cwd=directory, capture_output=True, text=True, check=False, timeout=400)
    if done.returncode:
        raise RuntimeError(done.stderr[-600:])
    kib = json.loads(done.stdout) / 1024
    return Reading(f"memory per waiting task, {WAITING} open", f"{kib:.0f} KiB", "< 50 KiB", kib < 50)


async def requests_per_turn(open_host: Callable[[Path], Host], model: OfflineModel, folder: Path) -> Reading:
    """Requests of a whole run_task with one tool call and with twelve."""
    model.when("one tool", ToolCall("bash", {"command": "true", "description": "nothing"}), Text("done"))
    model.when("many tools", *[ToolCall("bash", {"command": f"true {each}", "description": "nothing"}) for each in range(12)], Text("done"))
    counts: dict[str, int] = {}
    looks = 0
    for prompt in ("warm up", "one tool", "many tools"):
        record = folder / f"{prompt.replace(' ', '-')}.jsonl"
        async with open_host(record) as host:
            envelope = await host.invoke("run_task", {"prompt": prompt})
        lines = [json.loads(line) for line in record.read_text(encoding="utf-8").splitlines()]
        counts[prompt] = sum(line["kind"] == "request" for line in lines)
        looks = int(envelope["data"]["elapsed_seconds"] // LOOK_SECONDS)  # type: ignore[index]
    one, many = counts["one tool"], counts["many tools"]
    name = "requests of a whole run_task: 1 tool call, 12 tool calls (+2 every 5 s)"
    return Reading(name, f"{one}, {many}", "constant", many <= one + 2 * looks)


__all__ = ["IdleClock", "Reading", "after_deadline", "after_idle", "per_waiting_task", "requests_per_turn"]
