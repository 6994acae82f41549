"""Example packages: each right one has nothing to fix, each wrong one gives exactly the code in its folder's name.

A package that is dropped into ``tests/packages/valid`` or ``invalid`` is a test. What no repository can hold (a pipe, names
that differ in case alone, thousands of files) is made here.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from netclaw_opencode.skill.check.config import Config
from netclaw_opencode.skill.check.findings import PackageReport
from netclaw_opencode.skill.check.hosts import CHOICES
from netclaw_opencode.skill.check.package import check_package
from netclaw_opencode.skill.check.places import package_at
from netclaw_opencode.skill.check.repository import check_all, find
from netclaw_opencode.skill.check.rules import RULES

PACKAGES = Path(__file__).resolve().parents[1] / "packages"
VALID = sorted(path for path in (PACKAGES / "valid").iterdir() if path.is_dir())
INVALID = sorted(path for path in (PACKAGES / "invalid").iterdir() if path.is_dir())


def report_of(folder: Path, *, import_code: bool = False, seconds: float = 60.0) -> PackageReport:
    """The report of the one package in an example's folder, by the rules of every host, advice included."""
    package = package_at(folder / "my-skill")
    assert package is not None
    return check_package(package, hosts=CHOICES, import_code=import_code, seconds=seconds)


def checked(example: Path) -> PackageReport:
    """The report of an example, with the flags that it asks for."""
    flags = (example / "expected.txt").read_text(encoding="utf-8").split() if (example / "expected.txt").exists() else []
    assert set(flags) <= {"--import"}
    return report_of(example, import_code="--import" in flags)


@pytest.mark.parametrize("example", VALID, ids=lambda path: path.name)
def test_a_right_package_has_nothing_to_mend(example: Path) -> None:
    """Not even a warning."""
    assert [f"{found.file}:{found.line}: {found.code} {found.message}" for found in checked(example).findings] == []


@pytest.mark.parametrize("example", INVALID, ids=lambda path: path.name)
def test_a_wrong_package_gives_exactly_its_code(example: Path) -> None:
    """One code, at a place that exists, with what is wrong and how to mend it."""
    report = checked(example)
    assert {found.code for found in report.findings} == {example.name.partition("--")[0]}, report.findings
    for found in report.findings:
        path = example / "my-skill" / found.file
        assert os.path.lexists(path) and found.message and found.remedy
        lines = path.read_bytes().split(b"\n") if path.is_file() else [b""]
        assert 1 <= found.line <= len(lines)
        assert 1 <= found.column <= len(lines[found.line - 1]) + 1


@pytest.mark.parametrize("example", [path for path in VALID if (path / "my-skill" / "SKILL.md").exists()], ids=lambda path: path.name)
def test_the_reference_validator_of_agent_skills_agrees(example: Path) -> None:
    """A page that we find right passes the specification's own validator."""
    from skills_ref import validate  # type: ignore[import-untyped]

    assert validate(example / "my-skill") == []


def test_there_are_many_and_each_is_small() -> None:
    """At least forty wrong ones, and none has more files than its point needs."""
    assert len(INVALID) >= 40
    assert all(len([path for path in example.rglob("*") if path.is_file()]) <= 7 for example in INVALID)


# ---- what no repository can hold

PAGE = (PACKAGES / "valid" / "page-only" / "my-skill" / "SKILL.md").read_text(encoding="utf-8")


def _pipe(folder: Path) -> None:
    os.mkfifo(folder / "notes")


def _many(folder: Path) -> None:
    for number in range(60):
        (folder / f"{number}.txt").touch()


def _large(folder: Path) -> None:
    (folder / "notes.txt").write_text("x" * 300_000, encoding="utf-8")


def _reserved(folder: Path) -> None:
    text = PAGE.replace("name: my-skill", "name: claude-notes")
    (folder / "SKILL.md").unlink()
    folder.rmdir()
    (folder.parent / "claude-notes").mkdir()
    (folder.parent / "claude-notes" / "SKILL.md").write_text(text, encoding="utf-8")


def _duplicate(folder: Path) -> None:
    shutil.copytree(folder, folder.parent / "again" / "my-skill")


def _endless(folder: Path) -> None:
    shutil.copytree(PACKAGES / "valid" / "one-action" / "my-skill", folder, dirs_exist_ok=True)
    (folder / "SKILL.md").unlink()
    for name, old, new in [
        ("keep.input.json", '"type": "string",', '"type": "string", "pattern": "^(a+)+$",'),
        ("skill.yaml", "text: milk", f"text: {'a' * 60}b"),
    ]:
        text = (folder / name).read_text(encoding="utf-8")
        assert old in text
        (folder / name).write_text(text.replace(old, new), encoding="utf-8")


MADE: dict[str, Callable[[Path], None]] = {
    "special_file": _pipe,
    "symlink_broken": lambda folder: (folder / "notes.md").symlink_to("gone.md"),
    "too_many_files": _many,
    "too_large": _large,
    "name_reserved": _reserved,
    "duplicate_skill": _duplicate,
    "path_missing": shutil.rmtree,
    "no_skill": lambda folder: (folder / "SKILL.md").unlink(),
}


@pytest.mark.parametrize("code", MADE)
def test_what_is_made_gives_exactly_its_code(code: str, tmp_path: Path) -> None:
    """A pipe is not waited for, a path that is gone is told, and the rest of the check is done."""
    folder = tmp_path / "my-skill"
    folder.mkdir()
    (folder / "SKILL.md").write_text(PAGE, encoding="utf-8")
    MADE[code](folder)
    found = find([str(folder if code == "path_missing" else tmp_path)], config=Config(), changed=False)
    assert {one.code for report in check_all(found, hosts=CHOICES) for one in report.findings} == {code}


def test_a_pattern_that_searches_for_ever_is_ended(tmp_path: Path) -> None:
    """The check of the rest is done."""
    folder = tmp_path / "my-skill"
    folder.mkdir()
    (folder / "SKILL.md").write_text(PAGE, encoding="utf-8")
    _endless(folder)
    assert {found.code for found in report_of(tmp_path, seconds=2.0).findings} == {"took_too_long"}


def test_files_that_differ_in_case_alone_are_told(tmp_path: Path) -> None:
    """Wherever a file system can hold both."""
    folder = tmp_path / "my-skill"
    folder.mkdir()
    for name in ("SKILL.md", "Notes.md", "notes.md"):
        (folder / name).write_text(PAGE, encoding="utf-8")
    both = len(list(folder.iterdir())) == 3
    assert [found.code for found in report_of(tmp_path).findings] == (["case_clash"] if both else [])


def test_every_code_has_an_example() -> None:
    """No row of the table is a promise that nobody has seen kept, and no folder names a code that is none."""
    shown = {example.name.partition("--")[0] for example in INVALID} | MADE.keys() | {"took_too_long"}
    assert shown == RULES.keys()
