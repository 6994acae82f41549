"""R44 to R48: two callers, and callers that are killed, interrupted or cancelled. The next call finds and removes what was theirs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from netclaw_opencode.host import Host
from netclaw_opencode.offline import Gated, Hang
from netclaw_opencode.testing.proxy import Latency, Pause, Silence
from netclaw_opencode.testing.waiting import SOON
from tests.faults.bench import Bench, host_to, litter
from tests.real.acting import Policy, data_of, error_of
from tests.support.pace import MACHINE_SECONDS

pytestmark = pytest.mark.real


def caller(bench: Bench, prompt: str, *more: str) -> subprocess.Popen[str]:
    """The command line as a process of its own, at work on the prompt through the proxy."""
    settings = bench.settings
    environ = {
        "PATH": os.environ["PATH"],
        "HOME": str(settings.state_dir.parent),
        "PYTHONPATH": os.pathsep.join(sys.path),
        "OPENCODE_API_URL": settings.url,
        "OPENCODE_SERVER_PASSWORD": settings.password or "",
        "OPENCODE_DRIVER_STATE_DIR": str(settings.state_dir),
        "OPENCODE_DRIVER_DIRECTORY": bench.directory,
        "OPENCODE_DRIVER_MAX_CHARS": "0",
    }
    command = [sys.executable, "-m", "netclaw_opencode", "run", "run-task", "--prompt", prompt, "--deadline-seconds", "600", *more]
    return subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True)


def test_r44_two_callers_send_together(bench: Bench) -> None:
    """R44; send-once: while one holds its send, the other gets session_locked; one prompt is posted and answered."""
    session_id = bench.create()
    pause = Pause()
    bench.proxy.on("POST */prompt_async", pause)
    first = bench.later("send_message", session_id=session_id, prompt="me first")
    assert pause.reached.wait(SOON)
    with host_to(bench.settings) as other:
        error = error_of(other.call("send_message", session_id=session_id, prompt="no, me"))
    assert (error["code"], error["rule"]) == ("session_locked", "send-once")
    pause.go.set()
    assert data_of(first.result(SOON))["text"] == "me first"
    assert (bench.proxy.count("POST */prompt_async"), litter(bench.settings.state_dir)) == (1, [])


def test_r44_the_other_was_faster(bench: Bench) -> None:
    """R44; fresh-session: what was read before the lock is not believed after it: a session that was used meanwhile is refused."""
    with host_to(bench.settings) as maker:
        # Only who created a session does without the look that is held here.
        created = data_of(maker.call("create_session", directory=bench.directory))["session"]
    session_id = bench.remember(str(created["session_id"]))
    pause = Pause(after=True)
    bench.proxy.on(f"GET /session/{session_id}", pause, times=1)
    slow = bench.later("send_message", session_id=session_id, prompt="too late")
    assert pause.reached.wait(SOON)
    with host_to(bench.settings) as other:
        assert data_of(other.call("send_message", session_id=session_id, prompt="in time"))["text"] == "in time"
    pause.go.set()
    assert error_of(slow.result(SOON))["code"] == "session_used"
    assert bench.model.calls_with("too late") == ()


POINTS: dict[str, tuple[str, bool]] = {
    "in-the-creation": ("POST /session", True),
    "before-the-send": ("POST */prompt_async", False),
    "after-the-send": ("POST */prompt_async", True),
    "before-the-delete": ("DELETE *", False),
    "in-the-delete": ("DELETE *", True),
}


@pytest.mark.parametrize("point", [*POINTS, "mid-turn"])
def test_r45_caller_is_killed(bench: Bench, point: str) -> None:
    """R45: kill -9 at any point: the next call stops and removes what was left, and says so; no lock stays held."""
    prompt = f"killed {point}"
    if point == "mid-turn":
        bench.model.when(prompt, Hang())
        reached: Callable[[], object] = partial(bench.model.wait_until, lambda model: model.calls_with(prompt), SOON)
    else:
        route, after = POINTS[point]
        pause = Pause(after=after)
        bench.proxy.on(route, pause, times=1)
        reached = partial(pause.reached.wait, SOON)
    with caller(bench, prompt) as process:
        assert reached()
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    before = {item["id"] for item in bench.raw.get("/session").json() if item["title"].startswith("killed")}
    assert len(before) == (0 if point == "in-the-delete" else 1)
    began = time.monotonic()
    data = bench.data("run_task", prompt="the next call", directory=bench.directory, deadline_seconds=120)
    assert time.monotonic() - began < 10 + MACHINE_SECONDS
    assert [any(session_id in note for note in data["notes"]) for session_id in before] == [True] * len(before), data["notes"]
    assert not [item for item in bench.raw.get("/session").json() if item["title"].startswith("killed")]
    bench.seen_stopped()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_r46_caller_is_interrupted(bench: Bench, number: signal.Signals) -> None:
    """R46, F25: cancelled, with what was stopped; the turn is over and the session gone before the process ends."""
    bench.model.when("interrupt me", Hang())
    with caller(bench, "interrupt me") as process:
        assert bench.model.wait_until(lambda model: model.calls_with("interrupt me"), SOON)
        began = time.monotonic()
        process.send_signal(number)
        output, _ = process.communicate(timeout=SOON)
    assert time.monotonic() - began < 5 + MACHINE_SECONDS
    error = json.loads(output)["error"]
    assert (error["code"], process.returncode) == ("cancelled", 130)
    told = json.loads(Path(error["details"]["trajectory"]).read_text(encoding="utf-8"))
    assert (told["outcome"], told["steps"][0]["text"]) == ("cancelled", "interrupt me")
    assert bench.proxy.count("POST */abort") >= 1 and bench.proxy.count("DELETE *") == 1
    bench.seen_stopped()


def test_r47_second_signal(bench: Bench) -> None:
    """R47: who insists leaves at once, in the middle of the clean-up; the session's marks keep it for the next call."""
    bench.model.when("leave now", Hang())
    bench.proxy.on("POST */abort", Silence())
    with caller(bench, "leave now") as process:
        assert bench.model.wait_until(lambda model: model.calls_with("leave now"), SOON)
        process.send_signal(signal.SIGINT)
        assert _seen(bench, "POST */abort")
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        process.wait(SOON)
    assert time.monotonic() - began < 1 + MACHINE_SECONDS and process.returncode == 130
    bench.proxy.clear()
    data = bench.data("run_task", prompt="after the leave", directory=bench.directory, deadline_seconds=120)
    assert any("left behind" in note and "removed" in note for note in data["notes"])
    bench.seen_stopped()


def _seen(bench: Bench, pattern: str) -> bool:
    from netclaw_opencode.testing.waiting import wait_until

    return bool(wait_until(lambda: bench.proxy.count(pattern), SOON, what=pattern))


@pytest.mark.parametrize("route", ["POST */abort", "GET /session/*/children", "DELETE *"])
def test_r48_cancelled_again_in_the_clean_up(bench: Bench, route: str) -> None:
    """R48: a cancellation in the middle of the clean-up waits for its end: stopped, deleted, and only then gone."""
    bench.model.when("cancel twice", Hang())
    policy = Policy()
    slow = bench.proxy.on(route, Latency(0.3))

    async def main() -> None:
        async with Host(bench.settings, entry_points=False, plugins={"policy": policy}) as host:
            with anyio.CancelScope() as outer, anyio.CancelScope() as inner:
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(host.invoke, "run_task", {"prompt": "cancel twice"})
                    called = partial(bench.model.wait_until, lambda model: model.calls_with("cancel twice"), SOON)
                    assert await anyio.to_thread.run_sync(called)
                    slow.fired = 0
                    inner.cancel()
                    threading.Timer(0.05, lambda: None).start()
                    outer.cancel()

    anyio.run(main)
    assert slow.fired >= 1
    assert (len(policy.told("stopping")), len(policy.told("session_deleted"))) == (1, 1)
    bench.seen_stopped()


def test_r61_one_of_many_fails(bench: Bench) -> None:
    """R61: background tasks side by side, one failing in each way: each has its own result, and the good ones are untouched."""
    from netclaw_opencode.offline import Empty, Status

    bench.model.when("item refused", Status(401))
    bench.model.when("item empty", Empty())
    bench.model.when("item hanging", Hang())
    prompts = ["item one", "item refused", "item empty", "item hanging", "item five"]
    started = [bench.create() for _ in prompts]
    codes: list[str] = []
    for session_id, prompt in zip(started, prompts, strict=True):
        envelope = bench.host.call("send_message_async", session_id=session_id, prompt=prompt)
        codes.append("ok" if envelope["ok"] else str(error_of(envelope)["code"]))
    for index, session_id in enumerate(started):
        if codes[index] == "ok":
            envelope = bench.host.call("wait_for_session", session_id=session_id, wait_seconds=2 if index == 3 else SOON)
            found = envelope.get("data") or {"error": envelope["error"]}
            assert isinstance(found, dict)
            codes[index] = str(found["error"]["code"]) if "error" in found else ("done" if found["done"] else "running")
    assert codes == ["done", "provider_auth", "empty_output", "running", "done"]
    assert bench.data("abort_session", session_id=started[3])["confirmed"] is True


def test_r62_cancelled_half_way(bench: Bench) -> None:
    """R62: of tasks that are cancelled together the finished one keeps its result, and each running one is stopped and removed."""
    gate = bench.model.gate("many")
    bench.model.when("many", Gated(gate, "begun ", "never"))
    done: list[dict[str, object]] = []
    policy = Policy()

    async def main() -> None:
        async with Host(bench.settings, entry_points=False, plugins={"policy": policy}) as host, anyio.create_task_group() as tasks:
            done.append(await host.invoke("run_task", {"prompt": "the finished one"}))
            for number in range(3):
                tasks.start_soon(host.invoke, "run_task", {"prompt": f"many {number}"})
            assert await anyio.to_thread.run_sync(partial(gate.wait_reached, SOON, count=3))
            tasks.cancel_scope.cancel()

    anyio.run(main)
    assert data_of(done[0])["text"] == "the finished one"
    assert [event.facts["confirmed"] for event in policy.told("stopping")] == [True] * 3
    assert len(policy.told("session_deleted")) == 4
    bench.seen_stopped()
