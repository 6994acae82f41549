"""The pages that are made from the manifest, and from the tests, are up to date."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

from netclaw_opencode.manifest import load_manifest

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGES = ("actions.md", "errors.md", "facts.md")
SKILL_PAGES = ("SKILL.md", "references/actions.md", "references/errors.md")


@pytest.fixture(scope="module")
def generate() -> ModuleType:
    """The generator, as a module."""
    spec = importlib.util.spec_from_file_location("docs_generate", DOCS / "generate.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def page(name: str) -> str:
    """The text of a page."""
    return (DOCS / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", PAGES)
def test_a_generated_page_is_up_to_date(name: str, generate: ModuleType) -> None:
    """`python docs/generate.py` would change nothing."""
    assert page(name) == generate.pages(load_manifest())[name], "run: python docs/generate.py"


@pytest.mark.parametrize("name", SKILL_PAGES)
def test_a_generated_part_of_the_skill_is_up_to_date(name: str, generate: ModuleType) -> None:
    """The tables of SKILL.md and its references are those of the manifest and of the error codes."""
    skill = (DOCS.parent / "SKILL.md").read_text(encoding="utf-8")
    text = (DOCS.parent / name).read_text(encoding="utf-8")
    assert text == generate.skill_pages(load_manifest(), skill)[name], "run: python docs/generate.py"


def test_check_says_what_is_out_of_date_and_writes_nothing(
    generate: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """``--check`` ends with 1 and names the pages; without it they are written, and then there is nothing to do."""
    (tmp_path / "docs").mkdir()
    skill = (DOCS.parent / "SKILL.md").read_text(encoding="utf-8")
    (tmp_path / "SKILL.md").write_text(skill.replace("| `inspect` |", "| `old` |"), encoding="utf-8")
    monkeypatch.setattr(generate, "ROOT", tmp_path)
    assert generate.main(["--check"]) == 1
    told = capsys.readouterr().err
    assert "docs/actions.md is out of date" in told and "SKILL.md is out of date" in told
    assert list((tmp_path / "docs").iterdir()) == []
    assert generate.main([]) == 0
    assert generate.main(["--check"]) == 0
    assert {path.name for path in (tmp_path / "docs").iterdir()} == {*PAGES, "rules", "rules.md"}
    assert all((tmp_path / name).is_file() for name in SKILL_PAGES)
    assert (tmp_path / "SKILL.md").read_text(encoding="utf-8") == skill


def test_each_fact_has_a_test_or_says_that_it_was_measured(generate: ModuleType) -> None:
    """Each number stands on the page, in order; a fact that a test pins is not called unpinned as well."""
    text = page("facts.md")
    assert re.findall(r'<a id="f(\d+)">', text) == [str(number) for number in range(1, generate.facts.LAST + 1)]
    assert {int(number) for number in re.findall(r'id="f(\d+)"></a>F\d+ \|.*measured by hand', text)} == set(generate.facts.UNPINNED)
