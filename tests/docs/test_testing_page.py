"""docs/testing.md tells the truth: every fixture is listed, the example is the file, the host's check prints what is shown."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path

from netclaw_opencode.testing import fixtures

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "testing.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```([a-z]+(?: [a-z]+)?)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def test_every_fixture_is_listed() -> None:
    """The table holds the fixtures of the kit, all of them and nothing else."""
    assert sorted(re.findall(r"^\| `([a-z_]+)` \|", PAGE, re.MULTILINE)) == sorted(fixtures.__all__)


def test_the_example_is_shown_letter_by_letter() -> None:
    """What is shown is what a test of ours runs."""
    example = (ROOT / "examples" / "permission_policy" / "tests" / "test_policy.py").read_text(encoding="utf-8")
    assert [code for kind, code in BLOCKS if kind == "python file"] == [example]


def test_the_check_of_a_host_prints_what_is_shown() -> None:
    """The block is run as it stands."""
    shown = [code for kind, code in BLOCKS if kind == "python run"]
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(shown[0], "testing.md", "exec"), {"__name__": "testing"})  # noqa: S102 - our own documentation
    assert (len(shown), printed.getvalue()) == (1, BLOCKS[-1][1])
