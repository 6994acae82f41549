"""docs/work.md and the README's command on work tell the truth: what is shown is printed, and every flag and field exists."""

from __future__ import annotations

import re
import shlex

import pytest

from netclaw_opencode.errors import CODES
from netclaw_opencode.manifest import load_manifest
from netclaw_opencode.work import snapshots
from tests.docs.conftest import Run
from tests.docs.pages import HOME, Names, blocks_of, page
from tests.docs.story import Story
from tests.docs.test_readme import missing

PAGE = page("docs/work.md")
COMMAND = next(block.text for block in blocks_of(page("README.md")) if "--isolation worktree" in block.text)


@pytest.mark.real
def test_one_command_isolates_checks_mends_and_applies(story: Story, names: Names, run: Run) -> None:
    """The README's command, run: red, red, green, applied; every line shown is printed, and the file is in the user's folder."""
    assert run(["server", "check-availability"])[0] == 0
    command, _, output = COMMAND.removeprefix("$ ").partition("\n")
    code, printed = run([*shlex.split(names.in_command(command))[1:], "--format", "text"])
    assert code == 0, printed
    shown = [line for line in output.splitlines() if not line.startswith(("  statement", "  patch"))]
    same, real = (
        re.sub("work_[0-9a-f]{12}", "work_of_this_run", text) for text in ("\n".join(shown), printed.replace(str(names.home), HOME))
    )
    assert missing(same, real) == [], printed
    assert (names.home / "project" / "hi.py").read_text() == 'print("hi")\n'


def test_every_flag_of_the_page_is_one() -> None:
    """What it says to type is taken."""
    inputs = load_manifest().actions["run_task"].input_schema["properties"]
    assert isinstance(inputs, dict)
    flags = {flag.replace("-", "_") for flag in re.findall(r"(?<![-|])--([a-z][a-z-]+)", PAGE)}
    check = {f"check_{name}" for name in inputs["check"]["properties"]}
    assert flags <= {*inputs, *check, "work_id"}


def test_every_code_and_bound_of_the_page_is_the_real_one() -> None:
    """Codes stand in the table, sizes are those of the code."""
    named = {word for word in re.findall(r"`([a-z]+_[a-z_]+)`", PAGE) if word.split("_")[0] in ("work", "statement", "budget", "caps")}
    assert {word for word in named if word in CODES} >= {"work_conflict", "work_dirty", "work_failed", "budget_exceeded"}
    assert f"{snapshots.MOST_FILES:,} files or {snapshots.MOST_BYTES // 1024**2} MiB" in PAGE
    assert f"over {snapshots.BIG_BYTES // 1024**2} MiB" in PAGE
