"""Shell completion by one command: what it writes, that it comes and goes without a trace, and that no start-up file breaks."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from netclaw_opencode.adapters.cli import app, completion_command
from netclaw_opencode.adapters.cli.completion_command import BEGIN, END, SHELLS

BASH = shutil.which("bash") or "/bin/bash"
MODERN = subprocess.run([BASH, "-c", "(( BASH_VERSINFO[0] * 100 + BASH_VERSINFO[1] >= 404 ))"], check=False).returncode == 0
"""Whether the bash here can complete as the script does it; the one of macOS cannot."""
SHELL, RC = ("bash", ".bashrc") if MODERN else ("zsh", ".zshrc")
STARTUP = {"zsh": ".zshrc", SHELL: RC}
BEFORE = [b"", b"\n", b"alias a=b\n", b"alias a=b\n\n", b"export A=1 \\\n", b"# caf\xe9, not UTF-8\n", b"cat <<'X'\nX\n"]
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with a space and a quote in its name, and no other place that a shell's files could be in."""
    found = tmp_path / "a home's"
    found.mkdir()
    for name in ("XDG_DATA_HOME", "XDG_CONFIG_HOME", "ZDOTDIR", "BASH_ENV", "SHELL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(found))
    return found


def ran(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, dict[str, object]]:
    """The exit code and the envelope of one command line."""
    code = app.run(["completion", *words, "--format", "json"])
    envelope: dict[str, object] = json.loads(capsys.readouterr().out)
    return code, envelope


def error_in(envelope: dict[str, object]) -> dict[str, str]:
    """The error of an envelope."""
    error = envelope["error"]
    assert isinstance(error, dict)
    return error


def changes(envelope: dict[str, object]) -> dict[str, str]:
    """What happened to each file, by its name."""
    data = envelope["data"]
    assert isinstance(data, dict)
    return {Path(file["path"]).name: file["change"] for file in data["files"]}


def bash(command: str, home: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """An interactive bash of this home; the command of the checkout is on its PATH."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environ = {"HOME": str(home), "PATH": path, "PYTHONPATH": str(ROOT), **variables}
    return subprocess.run([BASH, "-i", "-c", command], env=environ, capture_output=True, text=True, timeout=240, check=False)


@pytest.mark.parametrize("shell", STARTUP)
@pytest.mark.parametrize("before", BEFORE)
def test_it_comes_once_and_goes_without_a_trace(home: Path, shell: str, before: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    """A second installation changes nothing; after the removal every byte of the start-up file is as it was, and the script is gone."""
    startup = home / STARTUP[shell]
    startup.write_bytes(before)
    startup.chmod(0o600)
    assert changes(ran(capsys, "install", "--shell", shell)[1]) == {f"completion.{shell}": "created", startup.name: "changed"}
    installed = startup.read_bytes()
    assert installed.startswith(before) and installed.count(BEGIN.encode()) == 1
    assert set(changes(ran(capsys, "install", "--shell", shell)[1]).values()) == {"unchanged"}
    assert startup.read_bytes() == installed and startup.stat().st_mode & 0o777 == 0o600
    assert changes(ran(capsys, "uninstall", "--shell", shell)[1]) == {f"completion.{shell}": "removed", startup.name: "changed"}
    assert startup.read_bytes() == before
    assert [path.name for path in home.rglob("*") if path.is_file()] == [startup.name]
    assert set(changes(ran(capsys, "uninstall", "--shell", shell)[1]).values()) == {"unchanged"}


def test_what_stands_behind_the_lines_stays_there(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Lines that were added later are kept in their order; old lines of ours are replaced where they stand."""
    startup = home / RC
    startup.write_text(f"first\n\n{BEGIN}\nold\n{END}\nlast", encoding="utf-8")
    ran(capsys, "install", "--shell", SHELL)
    lines = startup.read_text(encoding="utf-8").splitlines()
    assert (lines[:3], lines[-2:]) == (["first", "", BEGIN], [END, "last"])
    assert "old" not in lines
    ran(capsys, "uninstall", "--shell", SHELL)
    assert startup.read_text(encoding="utf-8") == "first\nlast"


def test_a_real_bash_completes_commands_after_it(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A new interactive bash loads it, says nothing, and offers the commands that begin so; one that is too old is told so."""
    (home / ".bashrc").write_text("KEPT=yes", encoding="utf-8")
    code, envelope = ran(capsys, "install", "--shell", "bash")
    if not MODERN:
        assert code == 3 and "4.4 or newer" in error_in(envelope)["message"]
        return
    assert code == 0
    ask = "COMP_WORDS=(netclaw-opencode server st); COMP_CWORD=2; _netclaw_opencode_completion netclaw-opencode"
    done = bash(f'{ask}; echo "$KEPT ${{COMPREPLY[*]}}"', home)
    assert done.stdout.split() == ["yes", "start-server", "stop-server"], done.stderr
    # A shell without a terminal complains about job control, and about nothing else.
    assert [line for line in done.stderr.splitlines() if "job control" not in line and "terminal process group" not in line] == []


def test_without_the_script_the_lines_do_nothing(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Who removes the script by hand still has a shell that starts, under `set -e` too."""
    ran(capsys, "install", "--shell", SHELL)
    (home / f".local/share/netclaw-opencode/completion.{SHELL}").unlink()
    done = subprocess.run(
        [shutil.which(SHELL) or BASH, "-euc", '. "$0"; echo on', str(home / RC)], capture_output=True, text=True, timeout=240, check=False
    )
    assert (done.stdout, done.stderr) == ("on\n", "")


def test_each_shell_that_is_here_can_read_what_is_written_for_it(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Script and lines are the shell's syntax; zsh and fish are asked where they are installed, bash everywhere."""
    asked = []
    for shell, program in ((shell, shutil.which(shell)) for shell in SHELLS):
        if program is None or (shell == "bash" and not MODERN):
            continue
        asked.append(shell)
        _, envelope = ran(capsys, "install", "--shell", shell)
        data = envelope["data"]
        assert isinstance(data, dict)
        for file in data["files"]:
            done = subprocess.run([program, "-n", file["path"]], capture_output=True, text=True, timeout=240, check=False)
            assert (done.returncode, done.stderr) == (0, "")
    assert SHELL in asked and list(home.iterdir()) != []


@pytest.mark.parametrize("shell", SHELLS)
def test_the_script_is_shown_and_is_what_is_installed(home: Path, shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    """For package managers, which put it elsewhere; a dry run writes nothing."""
    assert app.run(["completion", "show", "--shell", shell]) == 0
    shown = capsys.readouterr().out
    assert "_NETCLAW_OPENCODE_COMPLETE" in shown and f"{shell}_complete" in shown
    if shell == "bash" and not MODERN:
        return
    code, envelope = ran(capsys, "install", "--shell", shell, "--dry-run")
    assert code == 0 and "created" in changes(envelope).values() and list(home.iterdir()) == []
    _, envelope = ran(capsys, "install", "--shell", shell)
    data = envelope["data"]
    assert isinstance(data, dict)
    assert Path(data["files"][0]["path"]).read_text(encoding="utf-8") == shown


def test_a_link_stays_a_link(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Who keeps the start-up file in a repository of dotfiles finds the change there."""
    kept = tmp_path / "dotfiles" / "bashrc"
    kept.parent.mkdir()
    kept.write_text("alias a=b\n", encoding="utf-8")
    (home / RC).symlink_to(kept)
    ran(capsys, "install", "--shell", SHELL)
    assert (home / RC).is_symlink() and BEGIN in kept.read_text(encoding="utf-8")
    assert [path.name for path in kept.parent.iterdir()] == ["bashrc"]


@pytest.mark.parametrize("text", [f"{BEGIN}\nx\n", f"x\n{END}\n", f"{BEGIN}\n{BEGIN}\nx\n{END}\n"])
@pytest.mark.parametrize("word", ["install", "uninstall"])
def test_broken_marks_are_left_to_their_owner(home: Path, text: str, word: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The error names the file and what to remove; nothing is written."""
    (home / RC).write_text(text, encoding="utf-8")
    code, envelope = ran(capsys, word, "--shell", SHELL)
    error = error_in(envelope)
    assert code == 3 and RC in error["message"] and "by hand" in error["next"]
    assert (home / RC).read_text(encoding="utf-8") == text and len(list(home.rglob("*"))) == 1


def test_a_file_that_would_break_is_left_as_it_is(home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The shell itself reads the new text before it replaces the old one; here the lines are made unreadable."""
    (home / RC).write_text("alias a=b\n", encoding="utf-8")
    monkeypatch.setattr(completion_command, "_block", lambda wanted: f"{BEGIN}\nif true\n{END}\n".encode())
    code, envelope = ran(capsys, "install", "--shell", SHELL)
    assert code == 3 and "could not read" in error_in(envelope)["message"]
    assert (home / RC).read_text(encoding="utf-8") == "alias a=b\n" and len(list(home.rglob("*"))) == 1


def test_an_old_bash_is_refused(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """macOS brings 3.2, which has no `complete -o nosort`; a stand-in says so here."""
    program = tmp_path / "bin" / "bash"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\necho 3.2\n", encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=os.pathsep)
    code, envelope = ran(capsys, "install", "--shell", "bash")
    assert code == 3 and "4.4 or newer" in error_in(envelope)["message"] and list(home.iterdir()) == []


@pytest.mark.parametrize(
    ("environ", "words", "told"),
    [
        ({"SHELL": "/bin/tcsh"}, (), "$SHELL is tcsh"),
        ({}, (), "$SHELL is not set"),
        ({"HOME": ""}, ("--shell", SHELL), "HOME names no folder"),
        ({}, ("--shell", "fish", "--startup-file", "x"), "--startup-file"),
        ({}, ("--shell", SHELL, "--startup-file", "/dev/null"), "no regular file"),
    ],
)
def test_what_cannot_be_done_is_said(
    home: Path,
    environ: dict[str, str],
    words: tuple[str, ...],
    told: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Another shell, none, no home, a file that is none: what is wrong, and nothing written."""
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    code, envelope = ran(capsys, "install", *words)
    assert code == 3 and told in error_in(envelope)["message"] and list(home.rglob("*")) == []


def test_the_shell_is_the_users_and_the_file_may_be_another(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """$SHELL decides; ZDOTDIR and XDG_DATA_HOME are followed; --startup-file names a file that is made if need be."""
    monkeypatch.setenv("SHELL", "/usr/bin/zsh")
    monkeypatch.setenv("ZDOTDIR", str(home / "zsh"))
    monkeypatch.setenv("XDG_DATA_HOME", str(home / "data"))
    assert changes(ran(capsys, "install")[1]) == {"completion.zsh": "created", ".zshrc": "created"}
    assert (home / "zsh" / ".zshrc").is_file() and (home / "data" / "netclaw-opencode" / "completion.zsh").is_file()
    assert changes(ran(capsys, "install", "--shell", SHELL, "--startup-file", str(home / "mine"))[1])["mine"] == "created"
