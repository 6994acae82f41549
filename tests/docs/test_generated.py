"""The pages that are made from the manifest: up to date, complete, and with links and commands that work."""

from __future__ import annotations

import importlib.util
import json
import re
import shlex
from pathlib import Path
from types import ModuleType

import pytest

from netclaw_opencode.cli.flags import flags_of, options_of
from netclaw_opencode.errors import CODES
from netclaw_opencode.manifest import load_manifest

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGES = ("actions.md", "errors.md")
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


def test_a_table_without_its_marks_is_not_passed_over(generate: ModuleType) -> None:
    """A SKILL.md whose marks were edited away would keep an old table for ever."""
    with pytest.raises(SystemExit, match="must stand there once"):
        generate.skill_pages(load_manifest(), "# No marks\n")


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
    assert {path.name for path in (tmp_path / "docs").iterdir()} == set(PAGES)
    assert all((tmp_path / name).is_file() for name in SKILL_PAGES)
    assert (tmp_path / "SKILL.md").read_text(encoding="utf-8") == skill


def test_every_action_has_a_chapter_with_all_its_fields() -> None:
    """Inputs, outputs (as far as they are not those of a turn), errors and examples stand there."""
    chapters = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", page("actions.md"), re.MULTILINE | re.DOTALL))
    for entry in load_manifest().actions.values():
        text = chapters[entry.name]
        assert entry.description in text
        assert [name for name in entry.input_schema["properties"] if f"| `{name}` |" not in text] == []  # type: ignore[attr-defined]
        missing = [name for name in entry.output_schema["properties"] if f"| `{name}`" not in text]  # type: ignore[attr-defined]
        assert not missing or "the fields of [turn](#turn)" in text
        assert [code for code in entry.errors if f"`{code}`" not in text] == []


def test_every_error_code_stands_in_the_table() -> None:
    """With its summary and its remedy."""
    text = page("errors.md")
    for row in CODES.values():
        (line,) = re.findall(rf"^\| `{row.code}` \|.*$", text, re.MULTILINE)
        assert row.summary in line and row.remedy in line


@pytest.mark.parametrize("name", PAGES)
def test_links_lead_somewhere(name: str) -> None:
    """Each link names a file of the documentation, and each anchor a heading."""
    for target in re.findall(r"\]\(([^)]+)\)", page(name)):
        file, _, anchor = target.partition("#")
        path = (DOCS / file) if file else DOCS / name
        assert path.exists(), target
        if anchor:
            assert re.search(rf"^#+ {re.escape(anchor)}$", path.read_text(encoding="utf-8"), re.MULTILINE), target


def test_every_command_in_the_examples_has_flags_that_exist() -> None:
    """What stands behind a dollar sign can be typed."""
    commands = re.findall(r"^\$ (netclaw-opencode .*)$", page("actions.md"), re.MULTILINE)
    assert len(commands) >= len(load_manifest().actions)
    for command in commands:
        _, tier, action, *rest = shlex.split(command)
        entry = load_manifest().actions[action.replace("-", "_")]
        assert entry.tier == tier
        known = {name for option in options_of(flags_of(entry.input_schema)) for name in (*option.opts, *option.secondary_opts)}
        assert {word for word in rest if word.startswith("--")} <= known


@pytest.mark.parametrize("name", PAGES)
def test_every_json_block_is_json(name: str) -> None:
    """An example can be copied."""
    blocks = re.findall(r"^```json\n(.*?)^```", page(name), re.MULTILINE | re.DOTALL)
    assert blocks
    for block in blocks:
        json.loads(block)
