"""Facts of changed files: what the server tells of them in a git repository and elsewhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from netclaw_opencode.offline import Text, ToolCall
from netclaw_opencode.testing.leaks import LeakCheck
from netclaw_opencode.testing.waiting import wait_until
from tests.support.raw import RawOpenCode, field, listed

pytestmark = pytest.mark.real
STEPS = (
    ToolCall("write", {"filePath": "${directory}/new.txt", "content": "one\ntwo\n"}),
    ToolCall("edit", {"filePath": "${directory}/new.txt", "oldString": "two", "newString": "TWO"}),
    ToolCall("bash", {"command": "echo made > shell.txt; rm kept.txt"}),
    Text("done"),
)


def changed(raw: RawOpenCode) -> tuple[str, str]:
    """A finished turn that writes, edits and changes files by the shell; the ids of session and prompt."""
    raw.model.when("change files", *STEPS)
    session_id = raw.create()
    return session_id, raw.message(session_id, "change files").json()["info"]["parentID"]


def test_in_a_git_repository_the_diff_of_a_prompt_is_complete(raw: RawOpenCode, leak_check: LeakCheck, git_workdir: Path) -> None:
    """The diff by the prompt's id holds the net change of each file, those of the shell included; without the id it is empty."""
    raw.directory = str(git_workdir)
    leak_check.watch(git_workdir)
    session_id, prompt_id = changed(raw)
    by_prompt: list[dict[str, object]] = []

    def all_there() -> bool:
        # It is summed up after each step, and for the last time a moment after the turn's answer.
        by_prompt[:] = raw.get(f"/session/{session_id}/diff", messageID=prompt_id).json()
        return len(by_prompt) == 3

    wait_until(all_there, what="the sum over the whole turn")
    assert {item["file"]: (item["status"], item["additions"], item["deletions"]) for item in by_prompt} == {
        "kept.txt": ("deleted", 0, 1),
        "new.txt": ("added", 2, 0),
        "shell.txt": ("added", 1, 0),
    }
    assert "+TWO" in next(str(item["patch"]) for item in by_prompt if item["file"] == "new.txt")
    assert raw.get(f"/session/{session_id}/diff").json() == []
    patches = [part for item in raw.messages(session_id) for part in listed(item, "parts") if part["type"] == "patch"]
    named = {Path(str(name)).name for part in patches for name in part["files"]}  # type: ignore[attr-defined]
    assert named == {"kept.txt", "new.txt", "shell.txt"}


def test_elsewhere_only_the_tools_tell(raw: RawOpenCode, workdir: Path) -> None:
    """Outside git there is no diff: write tells path and existence, edit a patch, and the shell's changes are told by nobody."""
    (workdir / "kept.txt").write_text("kept\n", encoding="utf-8")
    session_id, prompt_id = changed(raw)
    assert raw.get(f"/session/{session_id}/diff", messageID=prompt_id).json() == []
    write, edit, bash = (field(state, "metadata") for state in raw.tool_states(session_id))
    assert (write["filepath"], write["exists"], "diff" in write) == (f"{workdir}/new.txt", False, False)
    assert field(edit, "filediff")["file"] == f"{workdir}/new.txt"
    assert "+TWO" in str(edit["diff"])
    assert (bash["exit"], "shell.txt" in str(raw.tool_states(session_id)[2]["metadata"])) == (0, False)
    assert not (workdir / "kept.txt").exists()
    assert not [part for item in raw.messages(session_id) for part in listed(item, "parts") if part["type"] == "patch"]
