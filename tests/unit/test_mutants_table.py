"""The table of ``make mutants``: it names what there is, and its tests are fast ones that need no server."""

from __future__ import annotations

import importlib
import operator
import tomllib

from scripts import mutants

CONFIGURED = tomllib.loads((mutants.ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["mutmut"]
GUARDS = [guard for guards in mutants.SUBJECTS.values() for guard in guards]


def test_the_functions_of_the_guards_exist() -> None:
    """A function that was renamed would otherwise drop out of the figure unseen."""
    for guard in GUARDS:
        module = importlib.import_module(f"netclaw_opencode.{guard.module}")
        assert all(callable(operator.attrgetter(name)(module)) for name in guard.functions), guard


def test_the_tests_that_judge_need_no_server() -> None:
    """Each file is there, and none drives OpenCode."""
    for name in CONFIGURED["pytest_add_cli_args_test_selection"]:
        text = (mutants.ROOT / name).read_text(encoding="utf-8")
        assert "mark.real" not in text and "opencode_server" not in text
