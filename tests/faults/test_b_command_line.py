"""B12-B14, B38, B39, B41: what is typed. No file and no pipe makes a call hang, and a misspelling is met with the right word."""

from __future__ import annotations

import json
import os
import pty
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from netclaw_opencode.adapters.cli import app, files
from netclaw_opencode.host import Host
from tests.faults.guard import SESSION, Guard

SEND = ("run", "send-message", "--session-id", SESSION)
RUN = ("run", "run-task")


def test_b12_prompt_file_that_is_no_file(guard: Guard, tmp_path: Path) -> None:
    """B12: missing, a folder, a device, a FIFO, a socket: the exact path and the reason, at once."""
    os.mkfifo(tmp_path / "fifo")
    with socket.socket(socket.AF_UNIX) as listening:
        os.chdir(tmp_path)
        listening.bind("sock")
        for path, reason in (
            (tmp_path / "none.md", "does not exist"),
            (tmp_path, "is a folder"),
            (Path("/dev/zero"), "is a device"),
            (tmp_path / "fifo", "is a FIFO"),
            (tmp_path / "sock", "is a socket"),
            (tmp_path / "none" / "x", "does not exist"),
        ):
            error = guard.typed(*SEND, "--prompt-file", str(path))
            assert "--prompt-file" in error["message"] and repr(str(path)) in error["message"] and reason in error["message"]


def test_b12_prompt_file_that_may_not_be_read(guard: Guard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """B12: the permission is named; a relative path is told with where it was looked for."""
    (tmp_path / "secret.md").write_text("x", encoding="utf-8")

    def denied(*_: object, **__: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", denied)  # root may read everything, so a mode alone shows nothing
    assert "permission denied" in guard.typed(*SEND, "--prompt-file", str(tmp_path / "secret.md"))["message"]
    monkeypatch.undo()
    guard_environment(guard, monkeypatch)
    assert str(Path("none.md").absolute()) in guard.typed(*SEND, "--prompt-file", "none.md")["message"]


def guard_environment(guard: Guard, monkeypatch: pytest.MonkeyPatch) -> None:
    """The variables again, after an undo."""
    for name, value in guard.environ.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        (b"caf\xe9 bar", "byte 0xe9 at offset 3"),
        (b"\xef\xbb\xbfok \xff", "byte 0xff at offset 6"),
        (b"\x00\x80", "byte 0x80 at offset 1"),
        ("hello".encode("utf-16"), "byte 0xff at offset 0"),
    ],
)
def test_b13_prompt_file_that_is_not_utf8(guard: Guard, tmp_path: Path, raw: bytes, told: str) -> None:
    """B13: which byte, and where."""
    (tmp_path / "p.md").write_bytes(raw)
    error = guard.typed(*SEND, "--prompt-file", str(tmp_path / "p.md"))
    assert told in error["message"] and "UTF-8" in error["message"]


def test_b13_byte_order_mark_is_removed_with_a_note(
    guard: Guard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """B13: the prompt begins with its first letter, and stderr says what was left out."""
    (tmp_path / "p.md").write_bytes(b"\xef\xbb\xbfhello")
    seen: list[object] = []

    async def invoke(_: Host, action: str, arguments: dict[str, object]) -> dict[str, object]:
        seen.append(arguments["prompt"])
        return {"ok": False, "action": action, "error": {"code": "session_not_found", "message": "x", "next": "y", "retryable": False}}

    monkeypatch.setattr(Host, "invoke", invoke)
    assert app.run([*SEND, "--prompt-file", str(tmp_path / "p.md"), "--format", "json"]) == 1
    assert seen == ["hello"]
    assert "byte order mark" in capsys.readouterr().err
    guard.nothing_sent()


def test_b14_both_prompts_or_neither(guard: Guard, tmp_path: Path) -> None:
    """B14: exactly one; both flags are named."""
    (tmp_path / "p.md").write_text("x", encoding="utf-8")
    for words in ((), ("--prompt", "x", "--prompt-file", str(tmp_path / "p.md"))):
        for command in (SEND, RUN):
            message = guard.typed(*command, *words)["message"]
            assert "exactly one" in message and "--prompt-file" in message and "--prompt " in message


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{"a": 1,}', "line 1, column"),
        ('{\n "a": }', "line 2, column 7"),
        ("type: object\n", "line 1, column 1"),
        ('{"a": 1, "a": 2}', "'a' twice"),
        ("[" * 5_000 + "]" * 5_000, "nested too deeply"),
        ('{"a": NaN}', "NaN is not JSON"),
        ("{" + " " * files.MAX_BYTES + "}", "larger than 1048576 bytes"),
        ('{"a": ' + "9" * 10_000 + "}", ""),
    ],
    ids=["comma", "column", "yaml", "twice", "deep", "nan", "large", "digits"],
)
def test_b38_json_file_that_is_none(guard: Guard, tmp_path: Path, text: str, told: str) -> None:
    """B38: a JSON file behind a flag is read as a batch file would be: line and column, a cap, no key twice, no abyss."""
    (tmp_path / "s.json").write_text(text, encoding="utf-8")
    error = guard.typed(*RUN, "--prompt", "x", "--output-schema-file", str(tmp_path / "s.json"))
    assert "--output-schema-file" in error["message"] and told in error["message"] and len(error["message"]) < 400


def test_b39_unknown_action(guard: Guard) -> None:
    """B39: on the command line and through the host, the nearest name is told."""
    assert "send-message" in guard.typed("run", "send-mesage", exit_code=2)["message"]
    assert "check-availability" in guard.typed("check-availabilty", exit_code=2)["message"]
    assert "send_message" in guard.refused("send_mesage", "'send_mesage'", code="unknown_action", arguments={})


@pytest.mark.parametrize(("typed", "meant"), [("--tiemout", "--"), ("--deadline-secnds", "--deadline-seconds"), ("--promt", "--prompt")])
def test_b39_misspelt_option(guard: Guard, typed: str, meant: str) -> None:
    """B39: a usage error that names the option and, where one is near, the right one."""
    error = guard.typed(*SEND, "--prompt", "x", typed, "5", exit_code=2)
    assert typed in error["message"] and meant in error["message"] + error["next"]


def test_b41_silent_input_is_given_up(guard: Guard, monkeypatch: pytest.MonkeyPatch) -> None:
    """B41: a pipe that never ends and never says anything ends in a clear text after 5 s (a fifth of a second here)."""
    assert files.STDIN_SILENCE_SECONDS == 5
    monkeypatch.setattr(files, "STDIN_SILENCE_SECONDS", 0.2)
    reading, writing = os.pipe()
    try:
        with os.fdopen(reading, encoding="utf-8") as silent:
            monkeypatch.setattr(sys, "stdin", silent)
            assert "gave nothing for 0.2 s" in guard.typed(*SEND, "--prompt-file", "-")["message"]
    finally:
        os.close(writing)


def test_b41_terminal_as_input(guard: Guard, monkeypatch: pytest.MonkeyPatch) -> None:
    """B41: nobody is left sitting before a blank terminal."""
    controlling, terminal = pty.openpty()
    try:
        with os.fdopen(terminal, encoding="utf-8") as stream:
            monkeypatch.setattr(sys, "stdin", stream)
            assert "is a terminal" in guard.typed(*SEND, "--prompt-file", "-")["message"]
    finally:
        os.close(controlling)


def test_b41_closed_input(guard: Guard) -> None:
    """B41: started without standard input, a command that needs none runs, and one that needs it says so."""
    script = "import os, sys; os.close(0); os.execv(sys.executable, [sys.executable, '-m', 'netclaw_opencode', *sys.argv[1:]])"
    root = Path(__file__).resolve().parents[2]
    environ = {**os.environ, **guard.environ, "PYTHONPATH": str(root)}
    done = subprocess.run(
        [sys.executable, "-c", script, *SEND, "--prompt-file", "-"],
        env=environ,
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )
    assert done.returncode == 3 and "standard input is closed" in json.loads(done.stdout)["error"]["message"]
    guard.nothing_sent()
