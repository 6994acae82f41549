"""``skill new``: what it writes validates, loads in the reference host, and passes its own test; it never overwrites."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from netclaw_opencode import __version__
from netclaw_opencode.adapters.cli.app import run
from netclaw_opencode.errors import InvalidInput
from netclaw_opencode.host import OWN_PLUGIN, Host
from netclaw_opencode.settings import Settings
from netclaw_opencode.skill.check.package import check_package
from netclaw_opencode.skill.check.places import Package
from netclaw_opencode.skill.new.package import MAX_NAME, create_package

ROOT = Path(__file__).resolve().parents[2]
NAME = "word-counter"


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Path]:
    """A new package; its modules are forgotten after the test."""
    yield create_package(NAME, tmp_path, version=__version__).folder
    for name in [name for name in sys.modules if name.startswith("word_counter")]:
        del sys.modules[name]


def test_it_validates(made: Path) -> None:
    """With --strict and --import: not a warning."""
    assert check_package(Package(made), import_code=True).findings == ()


@pytest.mark.parametrize("name", ["a", "x" * MAX_NAME, "a-1-b"])
def test_every_name_that_is_taken_validates(name: str, tmp_path: Path) -> None:
    """The shortest, the longest and one with digits."""
    assert check_package(Package(create_package(name, tmp_path, version=__version__).folder)).findings == ()


def test_it_loads_in_the_reference_host(made: Path) -> None:
    """From its directory, without a problem; its action answers."""
    with Host(Settings(), exclude=(OWN_PLUGIN,), entry_points=False, directories=[made]) as host:
        assert (host.problems, list(host.skills), list(host.registry.actions)) == ((), [NAME], ["count_words"])
        assert host.call("count_words", text="one two")["data"] == {"words": 2}


def test_its_test_passes(made: Path) -> None:
    """As its author runs it, with warnings as errors."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTEST_ADDOPTS": ""}
    command = [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider"]
    done = subprocess.run(command, cwd=made, env=environment, capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, "5 passed" in done.stdout) == (0, True), done.stdout


def test_its_python_is_as_strict_as_ours(made: Path) -> None:
    """ruff and mypy --strict have nothing to say."""
    for tool in (["ruff", "check", "--isolated", "--select", "E,F,I,UP,B", "--line-length", "140"], ["mypy", "--strict", "word_counter"]):
        environment = os.environ | {"MYPYPATH": str(ROOT)}
        command = [sys.executable, "-m", *tool]
        done = subprocess.run(command, cwd=made, env=environment, capture_output=True, text=True, check=False, timeout=300)
        assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("", "is not made of small letters"),
        ("Word-Counter", "is not made of small letters"),
        ("word_counter", "is not made of small letters"),
        ("-a", "is not made of small letters"),
        ("a--b", "is not made of small letters"),
        ("../a", "is not made of small letters"),
        ("a\n", "is not made of small letters"),
        ("9lives", "begins with a digit"),
        ("x" * (MAX_NAME + 1), "at most 40"),
        ("class", "the Python module 'class', which is taken"),
        ("json", "the Python module 'json', which is taken"),
        ("netclaw-opencode", "'netclaw_opencode', which is taken"),
        ("opencode-driver", "every host has already"),
    ],
)
def test_a_bad_name_is_refused_with_the_reason(name: str, why: str, tmp_path: Path) -> None:
    """And nothing is written."""
    with pytest.raises(InvalidInput, match=why):
        create_package(name, tmp_path / "to", version=__version__)
    assert not (tmp_path / "to").exists()


@pytest.mark.parametrize("kind", ["file", "folder", "empty", "link"])
def test_nothing_is_overwritten(kind: str, tmp_path: Path) -> None:
    """Neither a file nor a folder, an empty one, or a link that leads nowhere."""
    there = tmp_path / NAME
    if kind == "file":
        there.write_text("mine", encoding="utf-8")
    elif kind == "link":
        there.symlink_to("nowhere")
    else:
        there.mkdir()
        if kind == "folder":
            (there / "mine").touch()
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(InvalidInput, match="is there already"):
        create_package(NAME, tmp_path, version=__version__)
    assert sorted(tmp_path.rglob("*")) == before


def test_it_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that is full in the middle leaves nothing behind."""
    real = Path.write_text

    def full(path: Path, text: str, **how: str) -> int:
        if path.name == "skill.yaml":
            raise OSError(28, "No space left on device")
        return real(path, text, **how)

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(InvalidInput, match="No space left"):
        create_package(NAME, tmp_path, version=__version__)
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_is_no_folder_is_told(tmp_path: Path) -> None:
    """As invalid input, not as a traceback."""
    (tmp_path / "file").touch()
    with pytest.raises(InvalidInput, match="cannot be written"):
        create_package(NAME, tmp_path / "file" / "below", version=__version__)


def test_the_command_tells_what_it_wrote(tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    """One JSON document with the files and the next steps; the second time it is refused with exit code 3."""
    assert run(["skill", "new", NAME, "--to", str(tmp_path)]) == 0
    told = json.loads(capfdbinary.readouterr().out)
    files = sorted(path.relative_to(tmp_path / NAME).as_posix() for path in (tmp_path / NAME).rglob("*") if path.is_file())
    assert (told["ok"], told["name"], told["path"]) == (True, NAME, str(tmp_path / NAME))
    assert sorted(told["files"]) == files and "skill.yaml" in files and told["next"]
    assert run(["skill", "new", NAME, "--to", str(tmp_path)]) == 3
    assert json.loads(capfdbinary.readouterr().out)["error"]["code"] == "invalid_input"
