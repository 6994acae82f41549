"""The table of ``make mutants``: it names what there is, and its tests are fast ones that need no server."""

from __future__ import annotations

import importlib
import json
import tomllib
from pathlib import Path

import pytest

from scripts import mutants
from scripts.mutants import Guard, Score

CONFIGURED = tomllib.loads((mutants.ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["mutmut"]
GUARDS = [guard for guards in mutants.SUBJECTS.values() for guard in guards]


def test_the_five_subjects_are_those_that_cost_most() -> None:
    """Success, deadline, identity, ids, clean-up; mutmut may change their files and no others."""
    assert set(mutants.SUBJECTS) == {"success", "deadline", "identity", "ids", "clean-up"}
    assert {guard.path for guard in GUARDS} == set(CONFIGURED["only_mutate"])


@pytest.mark.parametrize("guard", GUARDS, ids=str)
def test_a_guards_functions_exist(guard: Guard) -> None:
    """A function that was renamed would otherwise drop out of the figure unseen."""
    module = importlib.import_module(f"netclaw_opencode.{guard.module}")
    for name in guard.functions:
        found: object = module
        for part in name.split("."):
            found = getattr(found, part)
        assert callable(found)


def test_no_function_counts_twice() -> None:
    """The total is one of mutants, not of mentions."""
    whole = [guard.module for guard in GUARDS if not guard.functions]
    named = [(guard.module, name) for guard in GUARDS for name in guard.functions]
    assert len(whole) == len(set(whole)) and len(named) == len(set(named))
    assert not {module for module, _ in named} & set(whole)


def test_the_tests_that_judge_need_no_server() -> None:
    """Each file is there, and none drives OpenCode."""
    for name in CONFIGURED["pytest_add_cli_args_test_selection"]:
        text = (mutants.ROOT / name).read_text(encoding="utf-8")
        assert "mark.real" not in text and "opencode_server" not in text


def test_the_figure_counts_what_a_test_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A failed test, an endless loop or a crash is a kill; a survivor, or a mutant that no test reaches, is none."""
    monkeypatch.setattr(mutants, "PLACE", tmp_path)
    guard = Guard("driver.rules", ("deadline",))
    codes = {f"netclaw_opencode.driver.rules.x_deadline__mutmut_{number}": code for number, code in enumerate((1, 24, -11, 0, 33, None))}
    others = {"netclaw_opencode.driver.rules.x_other__mutmut_1": 0, "netclaw_opencode.driver.rules.x_deadlines__mutmut_1": 1}
    meta = tmp_path / "mutants" / f"{guard.path}.meta"
    meta.parent.mkdir(parents=True)
    meta.write_text(json.dumps({"exit_code_by_key": {**codes, **others}}), encoding="utf-8")
    words = {1: "killed", 24: "timeout", -11: "segfault", 0: "survived", 33: "no tests", None: "not checked"}
    monkeypatch.setattr(mutants, "_words", lambda: words)
    assert mutants._told("deadline", (guard, guard)) == Score(6, 12)
    assert capsys.readouterr().out.splitlines()[0].split() == ["deadline", guard.path, "3", "of", "6", "killed", "50.0", "%"]
    assert Guard("client.http", ("HttpClient.call",)).patterns == ("netclaw_opencode.client.http.xǁHttpClientǁcall__mutmut_*",)
