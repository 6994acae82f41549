"""Transcripts for tests of what is made from them: one task with everything in it, without a server.

Owns the example; its form is ``netclaw_opencode.records.trajectory``'s.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from netclaw_opencode.records.trajectory import ModelCall, Prompt, Session, ToolCall, Trajectory, Usage

BEGAN_MS = 1_795_701_600_000
"""2026-11-26T14:00:00Z."""
MODEL: Mapping[str, object] = {"providerID": "offline", "modelID": "offline-model"}
ROOT, CHILD, REPAIR = "ses_0000000000000000000000root", "ses_000000000000000000000child", "ses_00000000000000000000repair"


def example() -> Trajectory:
    """Return a task with a thought, a command that fails, a file, a sub-agent, and a repair after a red check; it ends well."""
    steps = (
        Prompt(ROOT, "msg_01", BEGAN_MS, "Write slugify.py & <test> it."),
        ModelCall(
            *(ROOT, "msg_02", BEGAN_MS + 40, BEGAN_MS + 900),
            model=MODEL,
            text="I look at the folder first.",
            reasoning="The folder may hold something already.",
            finish="tool-calls",
            usage=Usage(1200, 40, 12, 800, 100, 0.0031),
        ),
        ToolCall(
            *(ROOT, "msg_02", "call_1", "bash", BEGAN_MS + 300, BEGAN_MS + 880),
            title="List the files",
            status="error",
            input={"command": "ls missing", "description": "List the files"},
            output="ls: cannot access 'missing': No such file or directory\n",
            output_chars=55,
        ),
        ModelCall(*(ROOT, "msg_03", BEGAN_MS + 900, BEGAN_MS + 2400), model=MODEL, finish="tool-calls", usage=Usage(1300, 60, 0, 900)),
        ToolCall(
            *(ROOT, "msg_03", "call_2", "write", BEGAN_MS + 1400, BEGAN_MS + 1430),
            title="slugify.py",
            input={"filePath": "/home/me/project/slugify.py", "content": "def slugify(text):\n    return text\n"},
            output="Wrote file successfully.",
            output_chars=24,
        ),
        ToolCall(
            *(ROOT, "msg_03", "call_3", "task", BEGAN_MS + 1450, BEGAN_MS + 2390),
            title="Review slugify",
            input={"description": "Review slugify", "prompt": "Review it.", "subagent_type": "general"},
            output="It lacks lower case.",
            output_chars=20,
        ),
        Prompt(CHILD, "msg_04", BEGAN_MS + 1460, "Review it."),
        ModelCall(
            *(CHILD, "msg_05", BEGAN_MS + 1480, BEGAN_MS + 2380),
            model=MODEL,
            text="It lacks lower case.",
            finish="stop",
            usage=Usage(500, 20, cost_usd=0.001),
        ),
        ModelCall(
            *(ROOT, "msg_06", BEGAN_MS + 2400, BEGAN_MS + 3000),
            model=MODEL,
            text="Done, but for lower case.",
            finish="stop",
            usage=Usage(1500, 30, 0, 1200, 0, 0.0042),
        ),
        Prompt(REPAIR, "msg_07", BEGAN_MS + 4000, "The task is not done: this check fails."),
        ModelCall(*(REPAIR, "msg_08", BEGAN_MS + 4040, BEGAN_MS + 5000), model=MODEL, finish="tool-calls", usage=Usage(1600, 30)),
        ToolCall(
            *(REPAIR, "msg_08", "call_4", "edit", BEGAN_MS + 4600, BEGAN_MS + 4640),
            title="slugify.py",
            input={"filePath": "/home/me/project/slugify.py", "oldString": "return text", "newString": "return text.lower()"},
            output="Edit applied successfully.",
            output_chars=26,
        ),
        ModelCall(
            *(REPAIR, "msg_09", BEGAN_MS + 5000, BEGAN_MS + 5400), model=MODEL, text="Now it holds.", finish="stop", usage=Usage(1700, 12)
        ),
    )
    run = {"exit_code": 1, "timed_out": False, "elapsed_seconds": 0.4}
    result: dict[str, object] = {
        "session_id": REPAIR,
        "message_id": "msg_07",
        "state": "completed",
        "usage": {
            "input": 7800,
            "output": 192,
            "reasoning": 12,
            "cache_read": 2900,
            "cache_write": 100,
            "total": 11004,
            "cost_usd": 0.0083,
            "sessions": 3,
            "model_calls": 6,
        },
        "files_changed": [
            {
                "path": "slugify.py",
                "status": "added",
                "additions": 2,
                "deletions": 0,
                "by": "tool",
                "diff": "--- /dev/null\n+++ b/slugify.py\n@@ -0,0 +1,2 @@\n+def slugify(text):\n+    return text.lower()\n",
            }
        ],
        "changes": {"method": "snapshot", "root": "/home/me/project", "files": 1, "additions": 2, "deletions": 0, "ignored": 0},
        "check": {
            "command": ["pytest", "-q"],
            "runs": [
                {**run, "phase": "after", "passed": False, "output": "1 failed in 0.02s\n"},
                {**run, "phase": "mended 1", "passed": True, "exit_code": 0, "output": "1 passed in 0.01s\n"},
            ],
            "put_back": [],
        },
        "verified": True,
        "elapsed_seconds": 5.4,
        "evidence": {"finish": "stop", "assistant_messages": 2, "statuses": ["busy", "idle"], "decided_by": "message_store"},
        "notes": ["an example"],
    }
    return Trajectory(
        action="run_task",
        version="1.4.0",
        began_at="2026-11-26T14:00:00.000Z",
        ended_at="2026-11-26T14:00:06.000Z",
        directory="/home/me/project",
        outcome="completed",
        model=MODEL,
        opencode="1.18.32",
        sessions=(
            Session(ROOT, None, "Write slugify.py & <test> it.", "build", "task"),
            Session(CHILD, ROOT, "Review slugify", "general", "sub-agent"),
            Session(REPAIR, ROOT, "Write slugify.py & <test> it.", "build", "repair 1"),
        ),
        steps=steps,
        result=result,
    )


def out_of_time() -> Trajectory:
    """Return the same task, cut off while its command ran."""
    whole = example()
    call, tool = whole.steps[1], whole.steps[2]
    assert isinstance(call, ModelCall) and isinstance(tool, ToolCall)
    broken = replace(call, ended_ms=None, finish="", usage=Usage(), error={"name": "MessageAbortedError", "message": "aborted"})
    running = replace(tool, ended_ms=None, status="running", output="", output_chars=0)
    return replace(
        whole,
        outcome="turn_timeout",
        sessions=whole.sessions[:1],
        steps=(whole.steps[0], broken, running),
        left_out=("the tool's output was not seen",),
        result=None,
        error={
            "code": "turn_timeout",
            "message": "the deadline of 5 s passed; the turn was aborted and is seen stopped",
            "rule": "deadline",
            "next": "Give more time.",
            "retryable": True,
            "details": {"session_id": ROOT, "message_id": "msg_01", "stopped": {"confirmed": True}, "statuses": ["busy", "idle"]},
        },
    )


__all__ = ["BEGAN_MS", "CHILD", "MODEL", "REPAIR", "ROOT", "example", "out_of_time"]
