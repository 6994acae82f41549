"""S1, S30, S31: which OpenCode, which program, which libraries."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from netclaw_opencode.errors import ServerProblem
from netclaw_opencode.opencode.process.binary import find_binary
from netclaw_opencode.settings import Settings
from netclaw_opencode.testing.binary import opencode_binary
from netclaw_opencode.testing.proxy import edit_json
from tests.faults.bench import Bench, host_to
from tests.faults.guard import Guard
from tests.real.acting import data_of

ROOT = Path(__file__).resolve().parents[2]
REFUSED = ("0.9", "1.0.200", "1.1.9", "1.1.10", "1.17.99", "1.18", "2.0.0-beta", "2.0.12", "", "latest", "1.18.33.1", "1.18.33\n")
WARNED = ("1.18.0", "1.18.4", "1.18.21", "1.18.22-beta")
FINE = ("1.18.22", "v1.18.33", "1.19.0")


def program(folder: Path, version: str) -> Path:
    """A program that says that it is this version, and leaves a trace of everything else it is asked."""
    path = folder / "opencode"
    trace = folder / "started"
    path.write_text(f'#!/bin/sh\n[ "$1" = --version ] && echo {version} || echo "$@" >> {trace}\n', encoding="utf-8")
    path.chmod(0o755)
    return path


@pytest.mark.real
@pytest.mark.parametrize("version", REFUSED)
def test_s01_version_that_is_refused(bench: Bench, version: str) -> None:
    """S1: too old (1.1.9 and 1.0.200 have known holes, nothing below 1.18 can be driven), too new, or no version at all."""
    rule = bench.proxy.on("GET /global/health", edit_json(lambda found: {**found, "version": version}))
    for action in ("check_availability", "create_session"):
        error = bench.error(action, directory=bench.directory)
        assert error["code"] == "unsupported_version" and "1.18 <= version < 2" in error["message"], error
    assert rule.fired and {item.route for item in bench.proxy.seen()} == {"GET /global/health"}


@pytest.mark.real
def test_s01_server_without_a_version(bench: Bench) -> None:
    """S1: whatever names no version is not taken for OpenCode."""
    bench.proxy.on("GET /global/health", edit_json(lambda _: {"healthy": True}))
    assert bench.error("create_session", directory=bench.directory)["code"] == "not_opencode"


@pytest.mark.real
@pytest.mark.parametrize("version", [*WARNED, *FINE])
def test_s01_version_with_a_known_hole_is_told(bench: Bench, version: str) -> None:
    """S1: a running server below 1.18.22 is used, since refusing it would not close the hole, and warned of loudly."""
    bench.proxy.on("GET /global/health", edit_json(lambda found: {**found, "version": version}))
    problems = bench.data("check_availability", directory=bench.directory, start=False)["problems"]
    warned = [item["severity"] for item in problems if item["code"] == "vulnerable_version" and version in item["message"]]
    assert warned == (["warning"] if version in WARNED else []), problems


@pytest.mark.parametrize("version", ["1.18.4", "1.18.21", "1.18.22-beta.1", "1.1.9", "2.0.0"])
def test_s01_version_with_a_known_hole_is_not_started(guard: Guard, tmp_path: Path, version: str) -> None:
    """S1: we start no such server; the program is asked for its version and for nothing else."""
    path = program(tmp_path, version)
    error = guard.called("start_server", {}, OPENCODE_DRIVER_BINARY=str(path))
    assert error["code"] == ("vulnerable_version" if version.startswith("1.18") else "unsupported_version")
    assert version in error["message"] and not (tmp_path / "started").exists()


def test_s30_program_of_the_current_folder_is_never_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """S30: neither by an empty entry of PATH, nor by a dot, nor by a relative one, nor by name."""
    program(tmp_path, "1.18.33")
    (tmp_path / "bin").mkdir()
    program(tmp_path / "bin", "1.18.33")
    monkeypatch.chdir(tmp_path)
    for path in ("", ":", ".", "bin", ":bin:.", "./bin:", "nowhere::"):
        with pytest.raises(ServerProblem) as caught:
            find_binary(None, search_path=path)
        assert caught.value.code == "binary_not_found"
    for configured in ("opencode", "./opencode", "bin/opencode"):
        with pytest.raises(ServerProblem, match="absolute"):
            find_binary(configured)
    assert find_binary(None, search_path=f":bin:{tmp_path / 'bin'}") == str(tmp_path / "bin" / "opencode")


@pytest.mark.real
def test_s30_version_is_told_before_the_first_use(bench: Bench) -> None:
    """S30: the check names the absolute path and the version of the program that would be started."""
    environ = {**bench.settings.environ, "OPENCODE_DRIVER_BINARY": opencode_binary()}
    with host_to(Settings.from_environment(environ)) as host:
        found = data_of(host.call("check_availability", start=False))["binary"]
    assert found["path"] == opencode_binary() and Path(found["path"]).is_absolute()
    assert re.fullmatch(r"1\.\d+\.\d+", found["version"])


def test_s31_dependencies_are_few_bounded_and_pinned_for_the_tests() -> None:
    """S31: each runtime dependency has a minimum version; what `make` installs has exact versions and hashes, all that it brings too."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert len(project["dependencies"]) <= 11 and all(">=" in item for item in project["dependencies"])
    lists = sorted((ROOT / ".ci").glob("requirements-*.txt"))
    assert len(lists) == 5
    pinned = r"[A-Za-z0-9._-]+==[^\s=;]+ (?:; .+ )?\\\n    --hash=sha256:[0-9a-f]{64}\b"
    for path in lists:
        for entry in re.split(r"\n(?=[A-Za-z0-9])", path.read_text(encoding="utf-8"))[1:]:
            assert re.match(pinned, entry), f"{path.name}: {entry[:80]}"


def test_s31_nothing_runs_when_it_is_installed() -> None:
    """S31: the build is declared, by a backend without hooks of ours; there is no setup.py."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["build-system"]["build-backend"] == "hatchling.build"
    assert not (ROOT / "setup.py").exists()
    assert "hooks" not in project["tool"]["hatch"].get("build", {}) and "custom" not in str(project["tool"]["hatch"])


IMPORTING = """
import importlib, pkgutil, sys
seen = []
# croniter, which the library of batches brings, asks the command file what kind of program Python is.
asks = lambda name, args: name == "subprocess.Popen" and args[0] == "file"
watched = ("socket.", "subprocess.", "os.system", "os.exec")
sys.addaudithook(lambda name, args: seen.append(name) if name.startswith(watched) and not asks(name, args) else None)
import netclaw_opencode
for module in pkgutil.walk_packages(netclaw_opencode.__path__, "netclaw_opencode."):
    if not module.name.endswith(".__main__"):
        try:
            importlib.import_module(module.name)
        except ImportError as error:
            print(error, file=sys.stderr)
print(sorted({name for name in seen if name not in ("socket.__new__", "socket.gethostname")}))
"""


def test_s31_no_network_and_no_process_at_import() -> None:
    """S31: importing every module connects to nothing, looks nothing up and starts nothing."""
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", IMPORTING], env=environ, capture_output=True, encoding="utf-8", timeout=240, check=True)
    assert ast.literal_eval(done.stdout.strip()) == []
