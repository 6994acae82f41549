"""A stranger's task of two hours' shape, in minutes: everything that may happen to a healthy task, one after the other."""

from __future__ import annotations

import pytest

from netclaw_opencode.offline import Gated, Text, ToolCall, Usage
from netclaw_opencode.testing.proxy import Cut
from netclaw_opencode.testing.waiting import SOON
from tests.faults.bench import Bench
from tests.real.acting import data_of

pytestmark = pytest.mark.real

SMALL, NEARLY_FULL = Usage(1000, 10), Usage(99_000, 100)
STEPS = 200
STRAY = ToolCall("read", {"filePath": "/etc/hostname"})


def shell(command: str) -> ToolCall:
    """A call of the shell tool."""
    return ToolCall("bash", {"command": command, "description": "work"})


def test_l05_a_task_of_two_hours_shape(bench: Bench) -> None:
    """L5: 400 steps, two compactions, a stray read, a file, a lost minute of the wire, an empty last message: completed, with all of it."""
    gate = bench.model.gate("the lost minute")
    bench.model.script.summary = (Text("Half of it is done."), Usage(700, 30))
    write = ToolCall("write", {"filePath": "${directory}/done.txt", "content": "done\n"})
    first = [(shell("true"), SMALL)] * STEPS
    bench.model.when("a long day", (Text("I begin."), STRAY, SMALL), *first, (shell("echo full"), NEARLY_FULL))
    second = [(shell("true"), SMALL)] * STEPS
    third = [(write, SMALL), Gated(gate, "All is done.", shell("true")), (Text(""), SMALL)]
    script = iter([*second, (shell("echo full again"), NEARLY_FULL), *third])
    bench.model.when("Continue if you have next steps", lambda _: next(script))
    running = bench.later("run_task", prompt="a long day", directory=bench.directory, deadline_seconds=3600)
    assert gate.wait_reached(900), running.result(SOON)
    lost = Cut(head=0, reset=True)
    bench.proxy.on("GET /session*", lost, times=12)
    gate.open()
    data = data_of(running.result(600))
    assert (data["text"], data["compactions"], data["empty_final"]) == ("All is done.", 2, True)
    assert [item["text"] for item in data["messages"]] == ["I begin."]
    assert (len(data["tools"]), data["refused"][0]["permission"]) == (2 * STEPS + 5, "external_directory")
    assert [item["path"] for item in data["files_changed"]] == ["done.txt"]
    assert bench.fired(lost) and any("failed while the turn ran" in note for note in data["notes"])
    read, store = (sum(item.received for item in bench.proxy.seen(route)) for route in ("GET /session/*/message", "*"))
    assert read <= store
    assert data["cleanup"]["session_deleted"] is True
