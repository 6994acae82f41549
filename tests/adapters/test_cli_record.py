"""``--record FILE`` on the command line: on every action, for that call alone; where a record is read, it is the input."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest

from netclaw_opencode import host
from netclaw_opencode.adapters.cli import app
from netclaw_opencode.manifest import load_manifest
from netclaw_opencode.records.recorder import FileRecorder, RecordFile
from netclaw_opencode.settings import Settings

MANIFEST = load_manifest()
EVERY = [(entry.tier, entry.name.replace("_", "-")) for entry in MANIFEST.actions.values()]


class Opened:
    """Stands for the host: remembers the settings that it was opened with, and what it was asked."""

    settings: Settings
    asked: Mapping[str, object]
    problems = ()

    @property
    def record(self) -> Path | None:
        """The record that the host would write."""
        return self.settings.record

    @contextlib.asynccontextmanager
    async def open(self, settings: Settings, **_: object) -> AsyncIterator[Opened]:
        self.settings = settings
        yield self

    async def invoke(self, action: str, arguments: Mapping[str, object]) -> Mapping[str, object]:
        self.asked = arguments
        return {"ok": True, "action": action, "data": {}}


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Opened:
    """A host in the place of the real one; the shell stands in an empty folder and sets nothing."""
    found = Opened()
    monkeypatch.setattr(host, "Host", found.open)
    monkeypatch.delenv("OPENCODE_DRIVER_RECORD", raising=False)
    monkeypatch.chdir(tmp_path)
    return found


@pytest.mark.parametrize(("tier", "command"), EVERY)
def test_every_action_can_be_recorded(tier: str, command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The flag stands in the help of each action, once."""
    assert app.run([tier, command, "--help"]) == 0
    kinds = re.findall(r"^  --record (\w+) ", capsys.readouterr().out, re.MULTILINE)
    assert kinds == ["TEXT" if command in ("explain", "report") else "FILE"]


def test_the_flag_sets_the_record_of_that_call(opened: Opened, tmp_path: Path) -> None:
    """A relative path is meant from where the shell stands; the action's own input does not change."""
    assert app.run(["inspect", "list-sessions", "--record", "flight.jsonl", "--limit", "3"]) == 0
    assert opened.record == tmp_path / "flight.jsonl"
    assert opened.asked == {"limit": 3}


def test_the_flag_comes_before_the_variable(opened: Opened, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it the variable holds; with neither there is no record."""
    seen = []
    for variable, flag in (("", []), ("always.jsonl", []), ("always.jsonl", ["--record", "once.jsonl"])):
        monkeypatch.setenv("OPENCODE_DRIVER_RECORD", str(tmp_path / variable) if variable else "")
        assert app.run(["inspect", "list-sessions", *flag]) == 0
        seen.append(opened.record)
    assert seen == [None, tmp_path / "always.jsonl", tmp_path / "once.jsonl"]


def test_where_a_record_is_read_the_flag_is_its_input(opened: Opened, tmp_path: Path) -> None:
    """explain reads the file that it names and does not write to it; a relative path is made whole too."""
    assert app.run(["inspect", "explain", "--record", "flight.jsonl"]) == 0
    assert opened.record is None
    assert opened.asked == {"record": str(tmp_path / "flight.jsonl")}


@pytest.mark.parametrize("name", ["", ".", "nowhere/flight.jsonl"])
def test_a_record_that_cannot_be_written_stops_the_call(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever asks for a record gets one, or is told why not before anything is sent."""
    monkeypatch.chdir(tmp_path)
    assert app.run(["inspect", "list-sessions", "--record", name]) == 3
    error = json.loads(capsys.readouterr().out)["error"]
    assert error["code"] == "invalid_input"
    assert "flight record" in error["message"]


def test_a_story_is_readable_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """One heading for each call, its lines below, what could not be read, and the count; no server is asked."""
    path = tmp_path / "flight.jsonl"
    recorder = FileRecorder(RecordFile(path), clock=lambda: 1.0)
    with recorder.call("send_message"):
        recorder.note("rule", rule="fresh-session", answer="refused", code="session_used")
        recorder.result({"ok": False, "error": {"code": "session_used", "rule": "fresh-session"}})
    recorder.close()
    with path.open("ab") as file:
        file.write(b"something else\n")
    monkeypatch.setenv("OPENCODE_API_URL", "http://127.0.0.1:9")
    assert app.run(["inspect", "explain", "--record", str(path), "--format", "text"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("send_message ") and lines[0].endswith(": session_used")
    assert lines[1:] == [
        "  0.00 s  the rule fresh-session refuses: session_used",
        "  0.00 s  ended with the error session_used (rule fresh-session), and nothing was sent",
        "",
        "! 1 line(s) are not of a flight record and were left out",
        "1 call",
    ]
