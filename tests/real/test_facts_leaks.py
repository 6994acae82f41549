"""The leak check itself: on the real server it sees each kind of leak that it exists for."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from netclaw_opencode.offline import Hang, OfflineModel, Text, ToolCall, demo_script
from netclaw_opencode.testing.leaks import LeakCheck
from netclaw_opencode.testing.server import OpenCodeServer
from netclaw_opencode.testing.waiting import SOON, wait_until
from tests.support.raw import RawOpenCode

pytestmark = pytest.mark.real
ASK = [{"permission": "edit", "pattern": "*", "action": "ask"}]
WRITE = ToolCall("write", {"filePath": "${directory}/new.txt", "content": "new"})
QUESTION = ToolCall("question", {"questions": [{"question": "Which?", "header": "W", "options": [{"label": "A", "description": "a"}]}]})


def test_every_kind_of_leak_is_named(raw: RawOpenCode, opencode_server: OpenCodeServer) -> None:
    """A session, a running turn, a permission, a question, a process and an open model call are each found, and gone after the tidying."""
    check = LeakCheck(opencode_server)
    check.watch(raw.directory)
    assert check.left() == []
    raw.model.when("leak hang", Hang())
    raw.model.when("leak shell", ToolCall("bash", {"command": "exec sleep 3600"}))
    raw.model.when("leak permission", WRITE, Text("done"))
    raw.model.when("leak question", QUESTION, Text("done"))
    made = [raw.create(permission=ASK) for _ in range(4)]
    for session_id, text in zip(made, ("leak hang", "leak shell", "leak permission", "leak question"), strict=True):
        raw.prompt_async(session_id, text)
    wait_until(lambda: raw.pending("permission") and raw.pending("question"), what="both requests")
    wait_until(opencode_server.descendants, what="the command's process")
    assert raw.model.wait_until(lambda model: model.open_connections == 1, SOON)
    found = "\n".join(check.left())
    for trace in (*made, "/session/status of", "/permission of", "/question of", "process ", "1 open calls at the model"):
        assert trace in found
    with pytest.raises(AssertionError, match="left behind: session"):
        check.check(timeout=0)
    raw.tidy()
    check.check()


def test_the_demo_script_does_its_task_with_opencodes_own_tools(raw: RawOpenCode, scripted: OfflineModel, workdir: Path) -> None:
    """On the real server the demo's script writes a module with a defect, and mends it when it is told what failed."""
    demo = demo_script(pause_seconds=0.0)
    scripted.when("Write slugify.py", demo.step_for)
    scripted.when("this check fails", demo.step_for)
    session_id = raw.create()
    raw.message(session_id, "Write slugify.py with doctests")
    check = [sys.executable, "slugify.py"]
    red = subprocess.run(check, cwd=workdir, capture_output=True, encoding="utf-8", check=False)
    assert (red.returncode, "2 of 3 doctests pass" in red.stdout) == (1, True)
    raw.message(session_id, "this check fails")
    green = subprocess.run(check, cwd=workdir, capture_output=True, encoding="utf-8", check=False)
    assert (green.returncode, "3 of 3 doctests pass" in green.stdout) == (0, True)
    assert [state["status"] for state in raw.tool_states(session_id)] == ["completed", "completed"]
    assert [path.name for path in workdir.iterdir()] == ["slugify.py"]
