"""docs/host-guide.md tells the truth: its code runs, its output is real, its signatures and codes are the ones in force."""

from __future__ import annotations

import contextlib
import inspect
import io
import itertools
import re
from pathlib import Path
from typing import get_args

from netclaw_opencode import hookspecs
from netclaw_opencode.host import Host
from netclaw_opencode.host.plugin_loader import ProblemCode

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs" / "host-guide.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```([a-z]+(?: [a-z]+)?)\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL)


def test_the_code_of_the_guide_prints_what_the_guide_says() -> None:
    """Each Python block is run in order in one namespace, and prints exactly the text block that follows it."""
    namespace: dict[str, object] = {"__name__": "guide"}
    ran = 0
    for (kind, code), (following, expected) in itertools.pairwise(BLOCKS):
        if kind == "python":
            assert following == "text", f"a Python block without its output:\n{code}"
            printed = io.StringIO()
            with contextlib.redirect_stdout(printed):
                exec(compile(code, "host-guide.md", "exec"), namespace)  # noqa: S102 - our own documentation
            assert printed.getvalue() == expected, code
            ran += 1
    assert ran >= 9


def test_the_smallest_host_of_the_guide_is_the_example() -> None:
    """The whole example is shown, letter by letter, and is as small as it says."""
    shown = [code for kind, code in BLOCKS if kind == "python file"]
    example = (ROOT / "examples" / "smallest_host" / "host.py").read_text(encoding="utf-8")
    assert shown == [example]
    assert len(example.splitlines()) <= 26


def test_every_hook_is_documented_with_its_exact_signature() -> None:
    """The signature blocks are the specifications, all of them and nothing else."""
    shown = [code.strip() for kind, code in BLOCKS if kind == "python signature"]
    hooks = [name for name in hookspecs.__all__ if name.startswith("netclaw_")]
    assert sorted(shown) == sorted(name + str(inspect.signature(getattr(hookspecs, name))).replace("'", "") for name in hooks)


def test_every_problem_code_is_documented() -> None:
    """The table of codes is complete and holds no other."""
    table = GUIDE.split("## What goes wrong with plugins")[1].split("\n## ")[0]
    assert sorted(re.findall(r"^\| `([a-z_]+)` \|", table, re.MULTILINE)) == sorted(get_args(ProblemCode))


def test_every_argument_of_the_host_is_documented() -> None:
    """The table of arguments is complete and holds no other."""
    table = GUIDE.split("## Arguments of the host")[1].split("\n## ")[0]
    arguments = [name for name in inspect.signature(Host.__init__).parameters if name != "self"]
    assert re.findall(r"^\| `([a-z_]+)` \|", table, re.MULTILINE) == arguments


def test_every_link_of_the_guide_leads_to_a_file() -> None:
    """Links are relative and lead somewhere."""
    for link in re.findall(r"\]\(([^)#]+)\)", GUIDE):
        assert (ROOT / "docs" / link).exists(), link
