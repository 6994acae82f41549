"""The README keeps what it shows: set-up first, real output, programs that run, rules and exit codes that are in force."""

from __future__ import annotations

import itertools
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator

import pytest

from netclaw_opencode import errors
from netclaw_opencode.driver.rules import RULES
from netclaw_opencode.manifest import load_manifest
from scripts.setup import OPENCODE
from tests.docs.conftest import Run, run_apart
from tests.docs.pages import HOME, LEFT_OUT, ROOT, Names, blocks_of, masked, page
from tests.docs.story import Story

README = page("README.md")
BLOCKS = blocks_of(README)
DEMO = next(block.text for block in BLOCKS if block.text.startswith("$ make demo\n"))
SHELL = next(block.text for block in BLOCKS if "run run-task" in block.text)


def plain(line: str) -> str:
    """A line without what differs from run to run: ids, numbers, the temporary folder, the signal, widths."""
    line = re.sub(r"[^\s,]*netclaw-demo-[\w-]+", "<folder>", line)
    return " ".join(masked(re.sub(r"\bSIG[A-Z]+\b", "<signal>", line)).split())


def missing(shown: str, real: str) -> list[str]:
    """The lines shown that are not printed, in their order; ``…`` stands for any lines."""
    rest: Iterator[str] = iter([plain(line) for line in real.splitlines()])
    return [line for line in shown.splitlines() if line.strip() not in ("", LEFT_OUT) and plain(line) not in rest]


def test_every_make_target_of_the_readme_exists() -> None:
    """What it says to type is in the Makefile."""
    targets = set(re.findall(r"^([a-z-]+):", page("Makefile"), re.MULTILINE))
    named = set(re.findall(r"(?:^    |`|\$ )make ([a-z-]+)", README, re.MULTILINE))
    assert {"demo", "test", "clean"} <= named <= targets


@pytest.mark.real
def test_the_demo_prints_what_the_readme_shows() -> None:
    """Every line shown is printed, in this order, apart from ids and numbers; and all claims at its end hold."""
    code, printed = run_apart(["demo"])
    assert missing(DEMO.removeprefix("$ make demo\n"), printed) == []
    assert code == errors.EXIT_DONE
    assert "session deleted, server stopped, nothing left" in DEMO


@pytest.mark.real
def test_the_shell_form_and_the_python_form_do_what_the_readme_shows(story: Story, names: Names, run: Run) -> None:
    """The commands print what stands under them, and the program prints the block below it."""
    shown = re.findall(r"^\$ (.+)\n((?:(?!\$ ).*\n)*)", SHELL, re.MULTILINE)
    assert len(shown) == 3
    for command, output in shown:
        _, printed = run([*shlex.split(names.in_command(command))[1:], "--format", "text"])
        real = printed.replace(os.environ["OPENCODE_DRIVER_BINARY"], "/usr/local/bin/opencode").replace(str(names.home), HOME)
        assert missing(output, real) == [], printed
    program, prints = next((block, following) for block, following in itertools.pairwise(BLOCKS) if block.kind == "python")
    code = program.text.replace(f"{HOME}/project", str(names.home / "project-tests"))
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environ, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=240, check=False
    )
    assert (done.stdout, done.stderr) == (prints.text, "")


def test_the_table_of_rules_is_the_one_in_force() -> None:
    """Every rule with its sentence, in order, and no other."""
    rows = re.findall(r"^\| `([a-z-]+)` \| (.+) \|$", README, re.MULTILINE)
    assert rows == [(rule.id, rule.sentence) for rule in RULES]
    assert len(RULES) == 12


def test_the_exit_codes_are_those_of_the_table_of_errors() -> None:
    """All of them, and no other."""
    sentence = " ".join(README.split("Exit codes: ")[1].split("\n\n")[0].split())
    named = {int(part.split()[0]) for part in re.split(r", (?=\d)", sentence)}
    assert named == {errors.EXIT_DONE, errors.EXIT_USAGE} | {row.exit_code for row in errors.CODES.values()}


def test_the_versions_asked_for_are_the_manifests() -> None:
    """Python and OpenCode; the pinned OpenCode is the one that the set-up installs."""
    requires = load_manifest().requires
    assert requires["python"] == ">=3.11" and "Python 3.11 or newer" in README
    assert requires["opencode"] == ">=1.18.22,<2" and "(1.18.22 or newer, below 2)" in README
    assert set(re.findall(r"(?:OpenCode |opencode-ai@)(\d+\.\d+\.\d+)", README)) == {OPENCODE}


def test_the_command_for_shell_completion_is_there() -> None:
    """What it says to type installs it: the command line knows it (tests/unit/test_cli_completion.py runs it)."""
    words = re.findall(r"`netclaw-opencode (completion \w+)`", README)
    assert words == ["completion install"]
    code, printed = run_apart([*words[0].split(), "--help"])
    assert code == errors.EXIT_DONE and "Usage: netclaw-opencode completion install" in printed
