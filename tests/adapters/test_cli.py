"""The command line is an adapter: flags in, the host's envelope out, in the form that fits whoever reads it."""

from __future__ import annotations

import contextlib
import io
import json
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest

from netclaw_opencode import __version__
from netclaw_opencode.adapters.cli import app, catalogue, running
from netclaw_opencode.errors import CODES
from netclaw_opencode.facts import ProgressEvent
from netclaw_opencode.manifest import load_manifest

MANIFEST = load_manifest()
SESSION = "ses_20340f888001d7RBaaG1oOhjvJ"


class RecordingHost:
    """Answers every call with one envelope, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, Mapping[str, object]]] = []
        self.error: dict[str, object] | None = None
        self.events: list[ProgressEvent] = []
        self.problems: list[str] = []
        self.call: running.Call | None = None

    @contextlib.asynccontextmanager
    async def opened(self, call: running.Call) -> AsyncIterator[RecordingHost]:
        self.call = call
        yield self

    async def invoke(self, action: str, arguments: Mapping[str, object]) -> Mapping[str, object]:
        self.asked.append((action, arguments))
        assert self.call is not None
        for event in self.events:
            self.call.netclaw_on_event(event)
        if self.error is not None:
            return {"ok": False, "action": action, "error": self.error}
        return {
            "ok": True,
            "action": action,
            "data": {"events": [], "count": 0, "dropped": 0, "ended": "time", "arguments": dict(arguments)},
        }


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> RecordingHost:
    """A host in the place of the real one."""
    recording = RecordingHost()
    monkeypatch.setattr(running, "open_host", recording.opened)
    return recording


def cli(*words: str) -> int:
    """Run the command line in this process."""
    return app.run(list(words))


def envelope(capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    """The one JSON document on stdout; nothing may stand on stderr."""
    captured = capsys.readouterr()
    assert captured.err == ""
    read = json.loads(captured.out)
    assert isinstance(read, dict)
    return read


def error_of(capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    """The error of the envelope on stdout."""
    error = envelope(capsys)["error"]
    assert isinstance(error, dict)
    return error


class Terminal(io.TextIOWrapper):
    """A stream that says it is a terminal, and keeps what was written."""

    def __init__(self) -> None:
        super().__init__(io.BytesIO(), encoding="utf-8", newline="", write_through=True)

    def isatty(self) -> bool:
        return True

    def text(self) -> str:
        """What was written so far."""
        assert isinstance(self.buffer, io.BytesIO)
        return self.buffer.getvalue().decode("utf-8")


def look_at(monkeypatch: pytest.MonkeyPatch) -> tuple[Terminal, Terminal]:
    """Make stdout and stderr a terminal; called by the test itself, since pytest sets both anew after fixtures."""
    out, err = Terminal(), Terminal()
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)
    monkeypatch.setenv("TERM", "xterm-256color")
    return out, err


# --- names ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("action", MANIFEST.actions)
@pytest.mark.parametrize("dashes", [True, False])
def test_every_action_is_a_command_of_its_tier(action: str, dashes: bool, capsys: pytest.CaptureFixture[str]) -> None:
    """Each action of the manifest has a command with help, spelt with - or with _."""
    name = action.replace("_", "-") if dashes else action
    assert cli(MANIFEST.actions[action].tier, name, "--help") == 0
    text = " ".join(capsys.readouterr().out.split())
    assert MANIFEST.actions[action].summary in text
    assert "Default deadline" in text


def test_the_tiers_are_those_of_the_manifest(capsys: pytest.CaptureFixture[str]) -> None:
    """Trusting `netclaw-opencode inspect` never covers what changes something: an action stands in one tier only."""
    assert {entry.tier for entry in MANIFEST.actions.values()} == set(catalogue.TIERS)
    assert cli("inspect", "run-task", "--help") == 2
    assert "did you mean 'netclaw-opencode run run-task'?" in str(error_of(capsys)["message"])


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (("inspekt", "list-sessions"), "'netclaw-opencode inspect'"),
        (("run_task",), "'netclaw-opencode run run-task'"),
        (("inspect", "list-session"), "'netclaw-opencode inspect list-sessions'"),
        (("run", "list_provider"), "'netclaw-opencode inspect list-providers'"),
        (("run", "run-task", "--promt", "x"), "--prompt"),
        (("run", "run-task", "--tiemout", "5"), "run-task --help"),
        (("run", "zzz"), "there are:"),
    ],
)
def test_a_misspelt_name_is_answered_with_the_nearest_one(
    words: tuple[str, ...], hint: str, host: RecordingHost, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2, an envelope that names what was probably meant, and nothing was called."""
    assert cli(*words) == 2
    error = error_of(capsys)
    assert hint in f"{error['message']} {error['next']}"
    assert not host.asked


def test_a_missing_command_lists_what_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    """A tier alone is a usage error that names its actions; as text it is the help."""
    assert cli("reply") == 2
    assert "reply-permission, reply-question" in str(error_of(capsys)["message"])
    assert cli() == 2
    capsys.readouterr()
    assert cli("reply", "--format", "text") == 2


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """--version is the package's version."""
    assert cli("--version") == 0
    assert capsys.readouterr().out == f"netclaw-opencode {__version__}\n"


@pytest.mark.parametrize("example", [(name, item) for name, entry in MANIFEST.actions.items() for item in entry.examples])
def test_every_example_shown_in_help_parses_to_its_input(
    example: tuple[str, object], host: RecordingHost, capsys: pytest.CaptureFixture[str]
) -> None:
    """What --help shows as an example can be typed, and gives the very input of the manifest's example."""
    import shlex

    from netclaw_opencode.adapters.cli.flags import command_of, flags_of
    from netclaw_opencode.manifest import Example

    name, item = example
    assert isinstance(item, Example)
    entry = MANIFEST.actions[name]
    words = shlex.split(command_of(item.input, flags_of(entry.input_schema)))
    assert cli(entry.tier, name, *words) == 0
    model = item.input.get("model")
    expected = dict(item.input)
    if isinstance(model, Mapping):
        expected["model"] = f"{model['providerID']}/{model['modelID']}"
    assert host.asked == [(name, expected)]
    capsys.readouterr()


# --- forms ------------------------------------------------------------------------------------------------------


def test_piped_output_is_one_json_envelope_on_one_line(host: RecordingHost, capsys: pytest.CaptureFixture[str]) -> None:
    """Without a terminal stdout holds exactly the host's envelope, and stderr is silent on success."""
    assert cli("inspect", "get_session_status", "--session_id", SESSION) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    assert captured.out.count("\n") == 1
    assert host.asked == [("get_session_status", {"session_id": SESSION})]
    assert json.loads(captured.out)["data"]["arguments"] == {"session_id": SESSION}


def test_a_terminal_gets_text_and_a_live_line(host: RecordingHost, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal the result is text in colour; progress stands on stderr and is taken away at the end."""
    out, err = look_at(monkeypatch)
    monkeypatch.delenv("NO_COLOR", raising=False)
    host.events = [ProgressEvent("status", "busy", SESSION)]
    assert cli("inspect", "list-sessions") == 0
    assert "0 sessions" in out.text()
    assert "\x1b[2m" in out.text()
    assert "s of" in err.text()
    assert err.text().endswith("\r\x1b[2K")


def test_no_color_takes_the_colour_away(host: RecordingHost, monkeypatch: pytest.MonkeyPatch) -> None:
    """With NO_COLOR no colour is used, on stdout or stderr."""
    out, err = look_at(monkeypatch)
    monkeypatch.setenv("NO_COLOR", "1")
    assert cli("actions") == 0
    assert cli("inspect", "list-sessions") == 0
    assert not [code for code in ("\x1b[3", "\x1b[9") if code in out.text() + err.text()]
    assert host.asked


def test_json_on_a_terminal_is_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """A person can scroll: the limit is for hosts, unless it is asked for."""
    out, _ = look_at(monkeypatch)
    assert cli("actions", "--format", "json") == 0
    assert len(json.loads(out.text())["data"]["actions"]) == len(MANIFEST.actions)


def test_json_on_a_terminal_is_indented_and_harmless(host: RecordingHost, monkeypatch: pytest.MonkeyPatch) -> None:
    """--format json on a terminal is the same envelope, easier to read, with no character that the terminal obeys."""
    out, _ = look_at(monkeypatch)
    assert cli("run", "create-session", "--title", "a\u202eb\x9b", "--format", "json") == 0
    text = out.text()
    assert text.startswith('{\n  "ok": true')
    assert "\\u202e" in text
    assert "\u202e" not in text
    assert json.loads(text)["data"]["arguments"] == {"title": "a\u202eb\x9b"}
    assert host.asked


def test_text_errors_stand_on_stderr(host: RecordingHost, capsys: pytest.CaptureFixture[str]) -> None:
    """--format text: the sentence, the reason and the next step, and an empty stdout."""
    host.error = {"code": "session_busy", "message": "it is busy", "retryable": True, "next": "wait"}
    assert cli("run", "abort-session", "--session-id", SESSION, "--format", "text") == 4
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("✗ abort_session: it is busy\n")


@pytest.mark.parametrize("code", CODES)
def test_the_exit_code_is_the_error_codes_own(code: str, host: RecordingHost, capsys: pytest.CaptureFixture[str]) -> None:
    """Every error code ends the process with the exit code of the table."""
    host.error = {"code": code, "message": "m", "retryable": False, "next": "n"}
    assert cli("inspect", "list-sessions") == CODES[code].exit_code
    assert error_of(capsys)["code"] == code


def test_a_code_of_another_skill_counts_as_a_failed_action(host: RecordingHost, capsys: pytest.CaptureFixture[str]) -> None:
    """A plugin's own code is passed on, with exit code 1."""
    host.error = {"code": "flat_tyre", "message": "m", "retryable": False, "next": "n"}
    assert cli("inspect", "list-sessions") == 1
    assert error_of(capsys)["code"] == "flat_tyre"


def test_a_broken_plugin_is_named_on_stderr(host: RecordingHost, capsys: pytest.CaptureFixture[str]) -> None:
    """The host goes on without a broken plugin; whoever relies on it is told, and the envelope stays as it is."""
    host.problems = ["plugin guard: cannot be imported [import_failed] -> fix it"]
    assert cli("inspect", "list-sessions") == 0
    captured = capsys.readouterr()
    assert captured.err == "netclaw-opencode: plugin guard: cannot be imported [import_failed] -> fix it\n"
    assert json.loads(captured.out)["ok"] is True


def test_the_table_of_actions_has_them_all(capsys: pytest.CaptureFixture[str]) -> None:
    """`netclaw-opencode actions` lists each action with its command, tier, summary and deadline."""
    assert cli("actions", "--max-chars", "0") == 0
    data = envelope(capsys)["data"]
    assert isinstance(data, dict)
    assert [row["name"] for row in data["actions"]] == list(MANIFEST.actions)
    assert all(row["command"].startswith(f"netclaw-opencode {row['tier']} ") for row in data["actions"])
    assert cli("actions", "--format", "text") == 0
    text = capsys.readouterr().out
    assert all(name in text for name in MANIFEST.actions)


# --- events -----------------------------------------------------------------------------------------------------

EVENT = ProgressEvent("event", "role=user\x1b[2J", SESSION, facts={"at": "2026-01-01T00:00:00Z", "type": "message.updated"})


def test_events_come_line_by_line_and_the_envelope_last(host: RecordingHost, capsys: pytest.CaptureFixture[str]) -> None:
    """--format lines: each event is one JSON line as it comes, and the last line is the envelope."""
    host.events = [EVENT, ProgressEvent("status", "busy"), EVENT]
    assert cli("inspect", "watch-events", "--format", "lines") == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(lines) == 3
    assert lines[0] == {"summary": "role=user\x1b[2J", "session_id": SESSION, "at": "2026-01-01T00:00:00Z", "type": "message.updated"}
    assert lines[-1]["action"] == "watch_events"


def test_events_on_a_terminal_are_lines_to_read(host: RecordingHost, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal each event is one harmless line as it comes, and the end says why it ended."""
    host.events = [EVENT]
    out, _ = look_at(monkeypatch)
    assert cli("inspect", "watch-events") == 0
    text = out.text()
    assert "2026-01-01T00:00:00Z  message.updated" in text
    assert "role=user\\x1b[2J" in text
    assert "ended because the asked time is over" in text


def test_lines_are_a_form_of_watch_events_only(capsys: pytest.CaptureFixture[str]) -> None:
    """Other actions have no stream of events to print."""
    assert cli("inspect", "list-sessions", "--format", "lines") == 2
    assert "lines" in capsys.readouterr().out


# --- input ------------------------------------------------------------------------------------------------------


def test_a_bad_prompt_file_is_refused_before_anything_is_called(
    host: RecordingHost, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """The envelope carries invalid_input, exit code 3, and the host was not even opened."""
    assert cli("run", "run-task", "--prompt-file", str(tmp_path)) == 3
    error = error_of(capsys)
    assert error["code"] == "invalid_input"
    assert str(tmp_path) in str(error["message"])
    assert not host.asked


def test_stdin_is_not_touched_unless_asked(
    host: RecordingHost, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without --prompt-file - standard input is never read: a host that leaves it open cannot hang the command."""

    class Untouchable:
        def __getattr__(self, name: str) -> object:
            raise AssertionError(f"stdin.{name} was used")

    monkeypatch.setattr(sys, "stdin", Untouchable())
    assert cli("run", "run-task", "--prompt", "x") == 0
    assert host.asked == [("run_task", {"prompt": "x"})]
    capsys.readouterr()


def test_wrong_values_are_passed_to_the_one_door(host: RecordingHost, capsys: pytest.CaptureFixture[str]) -> None:
    """A number that is none is not refused by the command line but by the dispatcher, with the same words as everywhere."""
    cli("run", "send-message", "--session-id", "x", "--prompt", "y", "--deadline-seconds", "nan")
    assert host.asked == [("send_message", {"session_id": "x", "prompt": "y", "deadline_seconds": "nan"})]
    capsys.readouterr()
