"""A task whose every text is hostile, and one with everything that a page can show; no server is needed."""

from __future__ import annotations

from dataclasses import replace

from netclaw_opencode.jsontypes import JsonObject
from netclaw_opencode.records.trajectory import ModelCall, Prompt, Session, ToolCall, Trajectory
from netclaw_opencode.report.wording import parts
from tests.support.trajectories import BEGAN_MS, CHILD, MODEL, ROOT, example

HOSTILE = (
    "</script></style></title><script>window.boom = 1</script><img src=x onerror='window.boom=2'>\"'><svg onload=window.boom=3>"
    "[a](javascript:window.boom=4) ![b](http://evil.test/x.png) <http://evil.test/> \x1b[31mred\x1b]8;;http://evil.test\x07link\x1b]8;;\x07"
    "\u202eabc\u202c\x00\x9b31m\udc80\u200b\U000e0041\rend"
)
LONG = "x" * 1_000_000


def hostile() -> Trajectory:
    """Return a task in which each text, name, path and output is hostile, or a megabyte long, or both."""
    h = HOSTILE
    file: JsonObject = {
        "path": f"{h}.py",
        "status": h,
        "additions": 2,
        "deletions": 1,
        "diff": f"--- a\n+++ b\n@@ -1,2 +1,3 @@ {h}\n-{h.replace(chr(13), '')}\n+{LONG}\n+{h.replace(chr(13), '')}\n same\n",
        "old_mode": h,
        "new_mode": h,
        "renamed_from": h,
    }
    asked: JsonObject = {
        "id": h,
        "kind": h,
        "session_id": h,
        "permission": h,
        "patterns": [h],
        "answer": h,
        "by": h,
        "rule": h,
        "message": h,
    }
    pending: JsonObject = {"id": h, "kind": h, "questions": [{"question": h}]}
    run: JsonObject = {"phase": h, "passed": False, "problem": h, "elapsed_seconds": 1e300, "output": f"{h}\n{LONG}\n"}
    result: JsonObject = {
        "files_changed": [file, {**file, "diff": LONG}, {**file, "diff": ""}, "no object"],
        "changes": {"method": h, "patch": {"path": h, "sha256": h}, "others": [h], "not_in_patch": [h], "base_tree": h},
        "check": {"command": [h, LONG[:500]], "runs": [run, run], "put_back": [h]},
        "statement": {"path": h, "sha256": h},
        "work": {"isolation": h, "state": h, "branch": h, "path": h},
        "evidence": {"finish": h, "statuses": [h], "parent_id": h},
        "answered": [asked],
        "pending": [pending],
        "next": h,
        "attempts": [{"model": h, "code": h, "message": h}],
        "notes": [h, LONG[:5000]],
        "phases": {h: 1.0},
        "session_id": h,
        "elapsed_seconds": float("nan"),
    }
    markdown = f"# {h}\n\n{h}\n\n- {h}\n\n> {h}\n\n| {h} | b |\n|---|---|\n| {LONG[:3000]} | 2 |\n\n```python\n{h}\n```\n\n`{h}`"
    steps = (
        Prompt(ROOT, "m1", BEGAN_MS, f"{h}\n{LONG}"),
        ModelCall(ROOT, "m2", BEGAN_MS, BEGAN_MS - 5000, {h: h}, markdown, h, h, {"name": h, "message": h}),
        ToolCall(
            ROOT, "m2", h, h, BEGAN_MS + 1, None, h, h, {h: h, "filePath": f"{h}.js", "a": [h], "b": LONG, "command": h}, f"{LONG}\n{h}", 9
        ),
        Prompt(CHILD, "m3", BEGAN_MS + 2, h),
        ModelCall(CHILD, "m4", BEGAN_MS + 2, BEGAN_MS + 9, MODEL, LONG),
    )
    sessions = (Session(ROOT, CHILD, h, h, h), Session(CHILD, ROOT, h, h, "sub-agent"))
    return Trajectory(h, h, h, h, h, h, {"providerID": h, "modelID": h}, h, sessions, steps, (h,), result, None)


def everything() -> Trajectory:
    """Return the example of a task with requests, a rename, a long diff and a statement besides."""
    whole = example()
    assert whole.result is not None
    (file,) = parts(whole.result, "files_changed")
    old = "".join(f" line {number}\n" for number in range(40))
    more: list[JsonObject] = [
        {"path": "web/app.ts", "status": "modified", "additions": 2, "deletions": 1, "by": "tool", "diff": _TYPESCRIPT},
        {"path": "docs/new.md", "status": "added", "additions": 1, "deletions": 1, "renamed_from": "docs/old.md", "diff": _RENAMED + old},
        {"path": "logo.png", "status": "added", "additions": 0, "deletions": 0, "binary": True, "diff": "", "by": "command"},
    ]
    answered: list[JsonObject] = [
        {"id": "per_1", "kind": "permission", "session_id": ROOT, "permission": "bash", "patterns": ["curl *"], "answer": "refuse",
         "by": "default", "message": "Nobody may grant it."},
        {"id": "per_2", "kind": "permission", "session_id": ROOT, "permission": "edit", "patterns": ["src/*"], "answer": "allow_once",
         "by": "policy", "rule": 3},
    ]  # fmt: skip
    result = {
        **whole.result,
        "files_changed": [file, *more],
        "answered": answered,
        "work": {"isolation": "worktree", "state": "applied", "branch": "netclaw/5f0c", "path": "/home/me/.local/state/work_5f0c"},
        "statement": {"path": "/home/me/.local/state/statement_5f0c.json", "sha256": "ab" * 32},
        "cleanup": {"session_deleted": True, "stopped_confirmed": True},
    }
    return replace(whole, result=result)


_TYPESCRIPT = """--- a/web/app.ts
+++ b/web/app.ts
@@ -1,4 +1,5 @@ export function title(text: string): string {
 // A title for people.
-const limit = 40;
+const limit: number = 60;
+const more = `…`;
 export function title(text: string): string {
   return text.slice(0, limit);
"""
_RENAMED = "--- a/docs/old.md\n+++ b/docs/new.md\n@@ -1,41 +1,41 @@\n-# Old\n+# New\n"

__all__ = ["HOSTILE", "LONG", "everything", "hostile"]
