"""The lists of pinned packages that ``make`` installs: they agree with ``pyproject.toml``, and pip takes nothing else."""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from scripts import lock, setup

PROJECT = tomllib.loads((lock.ROOT / "pyproject.toml").read_text(encoding="utf-8"))
EXTRAS: dict[str, list[str]] = PROJECT["project"]["optional-dependencies"]
PINS = {
    level: [Requirement(re.split(r" *\\\n", block)[0]) for block in lock.blocks_of(path.read_text(encoding="utf-8")).values()]
    for level, path in setup.REQUIREMENTS.items()
}
AGAIN = "run: make lock"


def wanted(level: str) -> list[Requirement]:
    """What ``pyproject.toml`` asks for at this level."""
    lines = [*PROJECT["project"]["dependencies"], *PROJECT["build-system"]["requires"], lock.INSTALLED_IN_PLACE]
    return [Requirement(line) for line in [*lines, *(line for name in lock.EXTRAS[level] for line in EXTRAS[name])]]


@pytest.mark.parametrize("level", setup.LEVELS)
def test_each_level_pins_what_the_project_asks_for(level: str) -> None:
    """Every dependency has a pinned version that fits its bounds, in the list of its level or of one before."""
    levels = list(setup.LEVELS)
    pins = {canonicalize_name(pin.name): pin for name in levels[: levels.index(level) + 1] for pin in PINS[name]}
    for each in wanted(level):
        pin = pins.get(canonicalize_name(each.name))
        assert pin is not None, f"{each} is not pinned; {AGAIN}"
        (version,) = [part.version for part in pin.specifier]
        assert each.specifier.contains(version, prereleases=True), f"{pin} does not fit {each}; {AGAIN}"


def test_no_package_stands_in_two_lists() -> None:
    """A level adds to the one before, so that there is one version of each package."""
    names = [canonicalize_name(pin.name) for pins in PINS.values() for pin in pins]
    assert sorted(set(names)) == sorted(names)


def test_extras_of_ours_are_all_pinned_or_for_users() -> None:
    """A new extra is either installed by `make`, or one that users ask for, whose packages the tests have too."""
    assert set(EXTRAS) == {name for names in lock.EXTRAS.values() for name in names} | {"batch", "mcp", "otel", "testing"}
    tests = {Requirement(line).name for line in EXTRAS["dev"]}
    assert {Requirement(line).name for name in ("batch", "mcp", "otel", "testing") for line in EXTRAS[name]} <= tests


def test_a_package_with_another_hash_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The set-up stops before it installs something that is not what the list names; here a package made on the spot."""
    (tmp_path / "wheels").mkdir()
    (tmp_path / "wheels" / "netclaw_probe-1.0-py3-none-any.whl").write_bytes(b"not the one that was pinned")
    listed = tmp_path / "requirements.txt"
    listed.write_text(f"netclaw-probe==1.0 --hash=sha256:{'0' * 64}\n", encoding="utf-8")
    # This Python in place of a new environment: nothing is installed into it.
    python = tmp_path / "venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n', encoding="utf-8")
    python.chmod(0o755)
    (tmp_path / "venv" / "made-for").write_text(str(setup.ROOT), encoding="utf-8")
    monkeypatch.setattr(setup, "VENV", tmp_path / "venv")
    monkeypatch.setattr(setup, "TOOLS", tmp_path / "tools")
    monkeypatch.setattr(setup, "REQUIREMENTS", dict.fromkeys(setup.LEVELS, listed))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "wheels"))
    assert setup.main(["run"]) == 1
    assert "DO NOT MATCH THE HASHES" in capsys.readouterr().err
    assert not list((tmp_path / "venv").glob("ready-*"))
