"""The set-up script of ``make``: what it accepts, what it refuses and how it says so."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from scripts import setup


def fake_opencode(folder: Path, says: str, name: str = "opencode") -> Path:
    """A program that prints ``says``, whatever it is asked."""
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / name
    program.write_text(f"#!/bin/sh\n{says}\n", encoding="utf-8")
    program.chmod(0o755)
    return program


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A private place for what the script writes, a PATH with nothing on it, and no OpenCode named."""
    monkeypatch.setattr(setup, "TOOLS", tmp_path / "tools")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.delenv("OPENCODE_DRIVER_BINARY", raising=False)
    return tmp_path / "tools"


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("1.18.22", True),
        ("1.18.33", True),
        ("1.19.0", True),
        ("1.18.21", False),
        ("1.17.99", False),
        ("2.0.0", False),
        ("0.0.0-dev", False),
        ("", False),
        (None, False),
    ],
)
def test_which_versions_are_suitable(version: str | None, expected: bool) -> None:
    """From 1.18.22 to below 2, and only a plain version number."""
    assert setup.suitable(version) is expected


def test_a_suitable_opencode_on_path_is_used(tools: Path, tmp_path: Path) -> None:
    """What the machine has is not fetched again."""
    program = fake_opencode(tmp_path / "bin", "echo 1.18.40")
    assert setup.main(["opencode"]) == 0
    assert (tools / "opencode.path").read_text(encoding="utf-8") == str(program)


def test_an_old_opencode_on_path_gives_way_to_the_pinned_one(tools: Path, tmp_path: Path) -> None:
    """The one that was fetched earlier is used in place of an unsuitable one, without asking npm again."""
    fake_opencode(tmp_path / "bin", "echo 1.2.3")
    own = fake_opencode(tools / "opencode" / "node_modules" / ".bin", f"echo {setup.OPENCODE}")
    assert setup.main(["opencode"]) == 0
    assert (tools / "opencode.path").read_text(encoding="utf-8") == str(own)


def test_a_named_opencode_must_be_suitable(
    tools: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What the user named is never replaced in silence."""
    monkeypatch.setenv("OPENCODE_DRIVER_BINARY", str(fake_opencode(tmp_path, "echo 2.1.0")))
    assert setup.main(["opencode"]) == 1
    assert "OPENCODE_DRIVER_BINARY" in capsys.readouterr().err
    assert not (tools / "opencode.path").exists()


def test_a_named_opencode_may_be_a_word_on_path(tools: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bare name is looked up, since the tests run elsewhere."""
    program = fake_opencode(tmp_path / "bin", "echo 1.18.33", name="my-opencode")
    monkeypatch.setenv("OPENCODE_DRIVER_BINARY", "my-opencode")
    assert setup.main(["opencode"]) == 0
    assert (tools / "opencode.path").read_text(encoding="utf-8") == str(program)


@pytest.mark.usefixtures("tools")
def test_without_npm_the_message_says_what_to_install(capsys: pytest.CaptureFixture[str]) -> None:
    """No opencode and no npm: one line with the way out."""
    assert setup.main(["opencode"]) == 1
    assert "install Node.js with npm" in capsys.readouterr().err


def test_a_failing_command_shows_the_end_of_its_output(tools: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The log is quoted where it matters, and named."""
    fake_opencode(tmp_path / "bin", "echo no route to the registry; exit 3", name="npm")
    fake_opencode(tmp_path / "bin", "exit 0", name="node")
    assert setup.main(["opencode"]) == 1
    shown = capsys.readouterr().err
    assert "no route to the registry" in shown
    assert "failed (3)" in shown
    assert str(tools / "setup.log") in shown


def test_asking_for_the_version_leaves_the_home_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenCode makes folders in HOME whatever it is asked, so it is asked with another one."""
    monkeypatch.setenv("HOME", str(tmp_path))
    program = fake_opencode(tmp_path / "bin", 'mkdir -p "$HOME/.local" && echo 1.18.33')
    assert setup.version_of(str(program)) == "1.18.33"
    assert not (tmp_path / ".local").exists()


def test_a_program_that_is_none_has_no_version(tmp_path: Path) -> None:
    """A missing file, a folder and a failing program all read as no version."""
    assert setup.version_of(str(tmp_path / "missing")) is None
    assert setup.version_of(str(tmp_path)) is None
    assert setup.version_of(str(fake_opencode(tmp_path, "echo 1.18.33; exit 1"))) is None


def test_an_old_python_is_refused_by_name(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The message names the interpreter and how to choose another."""
    monkeypatch.setattr(sys, "version_info", (3, 10, 12))
    assert setup.main(["run"]) == 1
    assert "make PYTHON=" in capsys.readouterr().err


@pytest.mark.parametrize("home", [None, "", "/nonexistent/home"])
def test_without_a_home_the_caches_go_into_the_project(tools: Path, monkeypatch: pytest.MonkeyPatch, home: str | None) -> None:
    """pip and npm get a HOME that can be written, and no caller's option sends the installation elsewhere."""
    if home is None:
        monkeypatch.delenv("HOME", raising=False)
    else:
        monkeypatch.setenv("HOME", home)
    monkeypatch.setenv("PIP_USER", "1")
    given = setup.environment()
    assert given["HOME"] == str(tools / "home")
    assert Path(given["HOME"]).is_dir()
    assert "PIP_USER" not in given


def test_a_browser_is_taken_from_the_machine(tools: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The named one before the one on PATH; nothing is installed."""
    monkeypatch.setattr(setup, "BROWSERS", setup.BROWSERS[:4])
    on_path = fake_opencode(tmp_path / "bin", "exit 0", name="google-chrome")
    fake_opencode(tmp_path / "bin", "exit 3", name="apt-get")
    assert setup.main(["browser"]) == 0 and setup.find_browser() == str(on_path)
    named = fake_opencode(tmp_path, "exit 0", name="mine")
    monkeypatch.setenv("CHROME_PATH", str(named))
    assert setup.find_browser() == str(named)
    assert not tools.exists()


def test_a_browser_comes_from_debian_if_root_may_install_it(
    tools: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The second package where the release lacks the first; for others than root nothing is tried; a failure stops nothing."""
    monkeypatch.setattr(setup, "BROWSERS", setup.BROWSERS[:4])
    monkeypatch.delenv("CHROME_PATH", raising=False)
    browser = tmp_path / "bin" / "chromium"
    made = f"""/bin/echo "$@" >> {tmp_path}/asked; case "$*" in *headless*) exit 100;; *"chromium") /bin/cp "$0" {browser};; esac"""
    fake_opencode(tmp_path / "bin", made, name="apt-get")
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert setup.main(["browser"]) == 0 and setup.find_browser() is None and not tools.exists()
    monkeypatch.setattr("os.geteuid", lambda: 0)
    assert setup.main(["browser"]) == 0 and setup.find_browser() == str(browser)
    asked = (tmp_path / "asked").read_text(encoding="utf-8").splitlines()
    assert [line.split()[-1] for line in asked] == ["update", "chromium-headless-shell", "chromium"]
    browser.unlink()
    fake_opencode(tmp_path / "bin", "exit 100", name="apt-get")
    assert setup.main(["browser"]) == 0 and "failed; the log" in capsys.readouterr().out


def test_a_named_browser_that_is_none_is_refused(tools: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """What the user named is never replaced in silence."""
    monkeypatch.setenv("CHROME_PATH", str(tools / "nothing"))
    assert setup.main(["browser"]) == 1 and "CHROME_PATH" in capsys.readouterr().err
