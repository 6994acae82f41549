"""docs/workflows.md tells the truth: its commands run one after the other on the real server, and print what it shows."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

from netclaw_opencode.errors import CODES, EXIT_DONE
from netclaw_opencode.manifest import load_manifest
from tests.docs.conftest import Run, envelope
from tests.docs.pages import Block, Names, blocks_of, broken_promises, call_of, commands_of, page
from tests.docs.story import Story

PAGE = page("docs/workflows.md")
HELD = "--wait-seconds 2"


def commands(block: Block) -> list[str]:
    """The commands of a ``console`` block."""
    return [line.removeprefix("$ ") for line in block.text.splitlines()]


@pytest.mark.real
def test_every_command_of_the_workflows_prints_what_the_page_shows(story: Story, names: Names, run: Run) -> None:
    """The page is run from top to bottom on a server of its own; ids, times and numbers aside, nothing is different."""
    blocks = blocks_of(PAGE)
    for block, following in zip(blocks, [*blocks[1:], Block("", "")], strict=True):
        if block.kind != "console":
            continue
        for command in commands(block):
            if HELD in command:
                story.before_wait()
            code, printed = run(shlex.split(names.in_command(command))[1:])
            real = envelope(printed)
            story.after(real)
            if following.kind != "json":
                assert code == EXIT_DONE, printed
                continue
            shown = json.loads(following.text)
            if command.endswith("check-availability"):
                # The one thing that belongs to the machine and not to the run.
                shown["data"]["binary"]["path"] = real["data"]["binary"]["path"]  # type: ignore[index]
            different = names.differences(shown, real)
            assert not different, "\n".join([command, *different, printed])
            assert code == (EXIT_DONE if shown["ok"] else CODES[shown["error"]["code"]].exit_code)


def test_every_output_of_the_workflows_keeps_the_schema_of_its_action() -> None:
    """What is shown of an output has the fields and types that the action promises, and none that it does not."""
    shown = [json.loads(block.text) for block in blocks_of(PAGE) if block.kind == "json"]
    assert len(shown) >= 25
    for output in shown:
        assert broken_promises(output["action"], output) == [], output


def test_the_workflows_cover_what_a_task_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each command parses; the actions around a task are all used, but for those that another one stands for."""
    (tmp_path / "task.md").write_text("a task", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    used = {call.action for call in map(call_of, commands_of(PAGE)) if call is not None}
    around_a_task = {
        entry.name for entry in load_manifest().actions.values() if re.search(r"task|session|message|server|events|plan", entry.name)
    }
    stood_for = {"start_server"}  # check_availability does it
    assert around_a_task - used <= stood_for
    assert used >= {"check_availability", "list_providers", "reply_permission", "cleanup"}
