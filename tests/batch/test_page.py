"""docs/batches.md: its commands and its program, run as they stand, print what the page shows."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from netclaw_opencode.offline import Text
from tests.batch.conftest import ROOT, BatchPlace

pytestmark = pytest.mark.real

PAGE = (ROOT / "docs" / "batches.md").read_text(encoding="utf-8")


def block(language: str) -> str:
    """The first block of that language."""
    found = re.search(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[1]


def plain(text: str) -> list[str]:
    """Lines without what differs from run to run: numbers, ids, and the pace, which is there once two tasks have ended."""
    lines = [re.sub(r"\d+(\.\d+)?", "0", re.sub(r"bat_\w+", "bat_0", line)).rstrip() for line in text.splitlines()]
    return [line for line in lines if not line.startswith(("pace", "workers"))]


def test_the_page_shows_what_happens(place: BatchPlace) -> None:
    """The table becomes a batch, the command follows it, and the program reads the same batch task by task."""
    place.model.when("Translate the README into", Text("Done."))
    here = place.home / "home"
    (here / "project-de").mkdir()
    (here / "project-fr").mkdir()
    (here / "tasks.csv").write_text(block("csv").replace("/home/me", str(here)), encoding="utf-8")
    command, _, shown = block("console").removeprefix("$ ").partition("\n")
    command = command.replace("netclaw-opencode", f"{sys.executable} -m netclaw_opencode", 1)
    ran = subprocess.run(command, shell=True, cwd=here, env=place.environ, capture_output=True, text=True, check=False)  # noqa: S602 - the page's own line
    assert (plain(ran.stdout.replace(str(here), "/home/me")), ran.returncode) == (plain(shown), 0), ran.stderr
    program = subprocess.run(
        [sys.executable, "-c", block("python")], cwd=here, env=place.environ, capture_output=True, text=True, check=False
    )
    assert sorted(program.stdout.splitlines()) == sorted(block("text").splitlines()), program.stderr
