"""The package's own files: found in a checkout and in an installed copy, from anywhere, and nothing else."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from netclaw_opencode._core import resources
from netclaw_opencode._core.resources import find_bundled

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    "relative", ["skill.yaml", "schemas/skill.schema.json", "schemas/result.schema.json", "schemas/actions", "SKILL.md", "references"]
)
def test_what_travels_with_the_package_is_found(relative: str) -> None:
    """Each bundled file is there, by an absolute path."""
    assert find_bundled(relative).is_absolute()
    assert find_bundled(relative).exists()


def test_an_installed_copy_finds_its_own_files(tmp_path: Path) -> None:
    """In a wheel the files stand in ``_bundled``; the working directory and what stands beside the package do not count."""
    package = tmp_path / "site" / "netclaw_opencode"
    (package / "_bundled").mkdir(parents=True)
    (package / "_core").mkdir()
    shutil.copy(resources.__file__, package / "_core")
    (package / "__init__.py").touch()
    for place, text in ((package / "_bundled", "ours"), (tmp_path / "site", "a stranger's"), (tmp_path, "the user's")):
        (place / "skill.yaml").write_text(text, encoding="utf-8")
    code = "from netclaw_opencode._core.resources import find_bundled; print(find_bundled('skill.yaml').read_text(encoding='utf-8'))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env={"PYTHONPATH": str(tmp_path / "site")}, check=True, capture_output=True, text=True
    )
    assert done.stdout == "ours\n"


def test_the_working_directory_does_not_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same file, wherever one stands."""
    before = find_bundled("skill.yaml")
    monkeypatch.chdir(tmp_path)
    assert find_bundled("skill.yaml") == before


@pytest.mark.parametrize("relative", ["", ".", "..", "../pyproject.toml", "/etc/passwd", "schemas/../../x", "schemas\\x.json"])
def test_a_path_that_leads_elsewhere_is_refused(relative: str) -> None:
    """Only paths below the package's own files are asked for."""
    with pytest.raises(ValueError, match="is not a path below"):
        find_bundled(relative)


def test_a_file_that_is_missing_is_named() -> None:
    """A broken installation says what it lacks."""
    with pytest.raises(FileNotFoundError, match=r"schemas/none\.json is missing from this installation"):
        find_bundled("schemas/none.json")
