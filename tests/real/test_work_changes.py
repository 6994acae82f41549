"""What a task changed, on the real server: all of it, by whatever means, in a folder without git too, and nothing of somebody else's."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from netclaw_opencode.offline import Gated, Hang, Text, ToolCall
from netclaw_opencode.testing.waiting import SOON
from tests.real.acting import Acting
from tests.support.pace import stretched

pytestmark = pytest.mark.real


def bash(command: str) -> ToolCall:
    """A command of the agent."""
    return ToolCall("bash", {"command": command, "description": "work"})


def test_what_a_command_changed_is_in_the_result_without_git(acting: Acting, tmp_path: Path) -> None:
    """No repository, no file tool: the result holds every file, and a patch that makes the same change elsewhere."""
    place = Path(acting.directory)
    (place / "old.txt").write_text("one\ntwo\n")
    (place / "gone.txt").write_text("gone\n")
    write = ToolCall("write", {"filePath": "${directory}/tool.txt", "content": "by a tool\n"})
    command = bash("printf 'one\\nTWO\\n' > old.txt; rm gone.txt; mkdir sub; echo new > sub/new.sh; chmod +x sub/new.sh")
    acting.raw.model.when("change by shell", command, write, Text("Done."))
    done = acting.data("run_task", prompt="change by shell")
    assert {(item["path"], item["status"], item["by"]) for item in done["files_changed"]} == {
        ("old.txt", "modified", "command"),
        ("gone.txt", "deleted", "command"),
        ("sub/new.sh", "added", "command"),
        ("tool.txt", "added", "tool"),
    }
    assert [note for note in done["notes"] if "shell" in note] == []
    assert (done["changes"]["method"], done["changes"]["files"]) == ("snapshot", 4)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "old.txt").write_text("one\ntwo\n")
    (elsewhere / "gone.txt").write_text("gone\n")
    subprocess.run(["git", "apply", done["changes"]["patch"]["path"]], cwd=elsewhere, check=True)  # noqa: S607 - git of PATH
    assert sorted(str(path.relative_to(elsewhere)) for path in elsewhere.rglob("*") if path.is_file()) == [
        "old.txt",
        "sub/new.sh",
        "tool.txt",
    ]
    assert (elsewhere / "old.txt").read_text() == "one\nTWO\n" and os.access(elsewhere / "sub/new.sh", os.X_OK)


def test_what_somebody_else_changed_is_named_and_kept_apart(in_git: Acting) -> None:
    """The agent used nothing but a file tool, so another file's change is not its own: it is in ``others``, and not in the patch."""
    gate = in_git.raw.model.gate("meanwhile")
    write = ToolCall("write", {"filePath": "${directory}/mine.txt", "content": "mine\n"})
    in_git.raw.model.when("keep apart", (Gated(gate, ""), write), Text("Done."))
    task = in_git.later("run_task", prompt="keep apart", directory=in_git.directory)
    assert gate.wait_reached(SOON)
    Path(in_git.directory, "theirs.txt").write_text("theirs\n")
    gate.open()
    envelope = task.result(SOON)
    done = envelope["data"]
    assert isinstance(done, dict)
    assert [(item["path"], item["by"]) for item in done["files_changed"]] == [("mine.txt", "tool")]
    assert done["changes"]["others"] == ["theirs.txt"]
    assert b"theirs" not in Path(done["changes"]["patch"]["path"]).read_bytes()


def test_a_task_that_ran_out_of_time_tells_what_it_had_changed(acting: Acting) -> None:
    """Its work is in the directory: the error names each file, and has the patch."""
    acting.raw.model.when("half of it", bash("echo half > half.txt"), Hang())
    error = acting.error("run_task", prompt="half of it", deadline_seconds=stretched(4))
    assert error["code"] == "turn_timeout"
    assert error["details"]["files_changed"] == [{"path": "half.txt", "status": "added", "by": "command"}]
    assert Path(error["details"]["changes"]["patch"]["path"]).stat().st_size > 0


def test_ignored_files_are_counted_and_told_on_request(in_git: Acting) -> None:
    """An ignored file is no change; ``list_ignored`` names it all the same."""
    Path(in_git.directory, ".gitignore").write_text("cache/\n")
    in_git.raw.model.when("fill the cache", bash("mkdir -p cache && echo x > cache/x"), Text("Done."))
    done = in_git.data("run_task", prompt="fill the cache", directory=in_git.directory, list_ignored=True)
    assert (done["files_changed"], done["changes"]["ignored"]) == ([], 1)
    assert done["changes"]["ignored_changed"] == [{"path": "cache/x", "status": "added"}]


def test_what_is_too_large_to_be_looked_at_runs_in_place_and_not_apart(acting: Acting, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the folder itself the task runs, and a note says why its changes are not known; isolated work could not be applied: not sent.

    With a lower limit: what a gigabyte does is shown without a server.
    """
    monkeypatch.setattr("netclaw_opencode.work.snapshots.MOST_FILES", 3)
    names = [f"large{number}.txt" for number in range(5)]
    for name in names:
        Path(acting.directory, name).write_text(name)
    acting.raw.model.when("too large to look at", bash("echo x > x.txt"), Text("Done."))
    done = acting.data("run_task", prompt="too large to look at")
    assert (done["text"], done["changes"]) == ("Done.", {"method": "tools"})
    assert [note for note in done["notes"] if "holds more than a snapshot reads: over 3 new files" in note]
    error = acting.error("run_task", prompt="never sent, too large", isolation="copy")
    assert (error["code"], acting.raw.model.calls_with("never sent, too large")) == ("work_failed", ())
    assert "over 3 new files" in error["message"] and "isolated work needs one; nothing was sent" in error["message"]
    assert acting.data("list_work")["works"] == []
    for name in (*names, "x.txt"):
        Path(acting.directory, name).unlink()


def test_without_git_the_old_form_stands_with_a_note(acting: Acting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without git: what OpenCode tells, and why it is not more."""
    monkeypatch.setattr("netclaw_opencode.work.git.shutil.which", lambda *_arguments, **_named: None)
    write = ToolCall("write", {"filePath": "${directory}/tool.txt", "content": "by a tool\n"})
    acting.raw.model.when("no git here", write, Text("Done."))
    done = acting.data("run_task", prompt="no git here")
    assert ([item["path"] for item in done["files_changed"]], done["changes"]) == (["tool.txt"], {"method": "tools"})
    assert [note for note in done["notes"] if "git was not found on PATH" in note]


def test_an_error_says_that_what_changed_is_not_known(acting: Acting, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a snapshot an error names no files: it does not say that none changed, and says why."""
    monkeypatch.setattr("netclaw_opencode.work.git.shutil.which", lambda *_arguments, **_named: None)
    acting.raw.model.when("no git, no end", bash("echo x > x.txt"), Hang())
    details = acting.error("run_task", prompt="no git, no end", deadline_seconds=stretched(4))["details"]
    assert ("files_changed" in details, details["changes"]) == (False, {"method": "tools"})
    assert [note for note in details["notes"] if "git was not found on PATH" in note]
