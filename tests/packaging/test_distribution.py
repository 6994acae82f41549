"""What is in the files of a release, and what is not."""

from __future__ import annotations

import tarfile
import zipfile
from email.message import Message
from email.parser import Parser

import yaml

from netclaw_opencode import __version__
from netclaw_opencode.manifest import load_manifest
from tests.packaging.conftest import ROOT, Built

BUNDLED = [
    *("skill.yaml", "SKILL.md", "references/actions.md", "references/errors.md"),
    *sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "schemas").rglob("*.json")),
]


def metadata(built: Built) -> Message:
    """The METADATA file of the wheel."""
    with zipfile.ZipFile(built.wheel) as wheel:
        name = next(name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
        return Parser().parsestr(wheel.read(name).decode("utf-8"))


def test_the_wheel_holds_the_package_and_nothing_beside_it(built: Built) -> None:
    """Every module and the typing marker are in; no test, no script, no cache is."""
    with zipfile.ZipFile(built.wheel) as wheel:
        names = {name for name in wheel.namelist() if ".dist-info/" not in name}
    source = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "netclaw_opencode").rglob("*")
        if path.is_file() and not {"__pycache__", ".ruff_cache", ".mypy_cache"} & set(path.parts)
    }
    assert names == source | {f"netclaw_opencode/_bundled/{name}" for name in BUNDLED}
    assert "netclaw_opencode/py.typed" in names


def test_the_bundled_files_are_those_of_the_checkout(built: Built) -> None:
    """Manifest, SKILL.md with its references and every schema travel byte for byte."""
    with zipfile.ZipFile(built.wheel) as wheel:
        for name in BUNDLED:
            assert wheel.read(f"netclaw_opencode/_bundled/{name}") == (ROOT / name).read_bytes(), name


def test_the_metadata_says_what_it_needs_and_under_which_licence(built: Built) -> None:
    """Version, Python, licence and its text, run-time dependencies apart from those of the tests."""
    told = metadata(built)
    assert (told["Name"], told["Version"]) == ("netclaw-opencode", __version__)
    assert told["Requires-Python"] == ">=3.11"
    assert told["License-Expression"] == "Apache-2.0"
    assert told["License-File"] == "LICENSE"
    needs: list[str] = told.get_all("Requires-Dist", [])
    assert not [line for line in needs if "extra ==" not in line and line.startswith(("pytest", "mypy", "ruff", "hatchling"))]


def test_the_sdist_is_the_repository_without_what_was_made_in_it(built: Built) -> None:
    """Who gets the source can read the documentation and run the tests; no environment or cache of ours is in it."""
    with tarfile.open(built.sdist) as sdist:
        names = {name.split("/", 1)[1] for name in sdist.getnames() if "/" in name}
    wanted = {"README.md", "LICENSE", "CHANGELOG.md", "CONTRIBUTING.md", "Makefile", "scripts/setup.py", ".ci/run", "docs/architecture.md"}
    assert wanted | set(BUNDLED) | {"tests/packaging/test_distribution.py"} <= names
    made = (".venv/", ".tools/", "build/", ".git/")
    assert not [name for name in names if name.startswith(made) or "__pycache__" in name or name.endswith(".pyc")]


def test_the_version_stands_in_one_place_and_is_repeated_truly() -> None:
    """``skill.yaml``, SKILL.md, CITATION.cff and the changelog tell the version of the package."""
    assert load_manifest().version == __version__
    frontmatter = yaml.safe_load((ROOT / "SKILL.md").read_text(encoding="utf-8").split("---")[1])
    assert frontmatter["metadata"]["version"] == __version__
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))["version"] == __version__
    assert f"## [{__version__}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
