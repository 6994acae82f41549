"""Every result and every error can be read by a person, whatever is in it."""

from __future__ import annotations

import io
from collections.abc import Mapping

import pytest
from rich.console import Console

from netclaw_opencode.adapters.cli import views
from netclaw_opencode.adapters.cli.views.reading import plural, seconds
from netclaw_opencode.errors import CODES
from netclaw_opencode.manifest import load_manifest

MANIFEST = load_manifest()
TURN: Mapping[str, object] = {
    "session_id": "ses_20340f888001d7RBaaG1oOhjvJ",
    "message_id": "msg_1",
    "state": "completed",
    "text": "Done \x1b[2J it.",
    "finish": "length",
    "truncated": True,
    "filtered": False,
    "model": {"providerID": "acme", "modelID": "m1", "variant": "high"},
    "thinking": {"requested_budget_tokens": 9000, "variant": "high"},
    "usage": {
        "input": 2400,
        "output": 6,
        "reasoning": 3,
        "cache_read": 0,
        "cache_write": 0,
        "total": 2409,
        "cost_usd": 0.0123,
        "sessions": 2,
        "model_calls": 1,
    },
    "files_changed": [
        {
            "path": "a.py",
            "status": "modified",
            "additions": 1,
            "deletions": 1,
            "diff": "Index: a.py\n--- a.py\n+++ a.py\n@@ -1 +1 @@\n-old\n+new \u202e",
        }
    ],
    "tools": [{"tool": "bash", "status": "error", "title": "run\nit"}],
    "elapsed_seconds": 61.2,
    "phases": {"send": 0.1, "turn": 61},
    "evidence": {
        "assistant_message_id": "msg_2",
        "parent_id": "msg_1",
        "finish": "length",
        "assistant_messages": 1,
        "statuses": ["busy", "idle"],
        "events": 3,
        "decided_by": "message_store",
    },
    "notes": ["a note"],
    "session_kept": False,
    "cleanup": {"session_deleted": True, "stopped_confirmed": True},
}


def shown(envelope: Mapping[str, object], *, colour: bool = False) -> str:
    """The text of an envelope."""
    stream = io.StringIO()
    console = Console(file=stream, width=200, markup=False, highlight=False, force_terminal=colour, no_color=not colour)
    for piece in views.render(envelope):
        console.print(piece)
    return stream.getvalue()


def result(action: str, data: Mapping[str, object]) -> str:
    """The text of a successful result."""
    return shown({"ok": True, "action": action, "data": data})


def error(**problem: object) -> str:
    """The text of an error."""
    return shown({"ok": False, "action": "run_task", "error": {"retryable": False, **problem}})


def test_every_action_has_a_view() -> None:
    """No action of the manifest falls back to the plain view, and there is no view for an action that is gone."""
    assert set(views.VIEWS) - {"actions"} == set(MANIFEST.actions)


def test_a_turn_shows_what_happened_on_its_way() -> None:
    """Earlier texts, compactions and refusals are counted; an empty last message is told."""
    request = {"id": "per_1", "kind": "permission", "permission": "bash", "patterns": ["ls"], "answer": "refuse", "by": "default"}
    more = {"messages": [{"message_id": "msg_0", "text": "I look."}], "compactions": 2, "refused": [request], "empty_final": True}
    text = result("run_task", {**TURN, **more})
    for expected in ("1 text (--format json has them)", "summed up 2 times", "1 request", "the last message is empty"):
        assert expected in text


def test_a_turn_that_waits_shows_what_it_asks_and_the_next_step() -> None:
    """Nobody takes it for a finished one."""
    asked = {"id": "per_1", "kind": "permission", "session_id": "ses_1", "permission": "bash", "patterns": ["ls"]}
    text = result("run_task", {**TURN, "state": "waiting", "pending": [asked], "next": "netclaw-opencode reply it"})
    assert "waits for an answer" in text and "finished" not in text
    assert "ses_1 asks: bash ls" in text and "next: netclaw-opencode reply it" in text


@pytest.mark.parametrize("action", MANIFEST.actions)
def test_every_example_of_the_manifest_is_readable(action: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each documented output is rendered by its own view without a stumble, and holds what identifies it."""
    monkeypatch.setenv("PYTHONDEVMODE", "1")  # a stumble is raised, not papered over
    for example in MANIFEST.actions[action].examples:
        text = result(action, example.output)
        assert text.strip()
        for key in ("session_id", "url"):
            value = example.output.get(key)
            if isinstance(value, str) and example.output.get("done") is not True:
                assert value in text


def test_a_turn_shows_text_files_tools_and_why_it_can_be_believed() -> None:
    """Text, diff, tools, model, thinking, usage, times, evidence, session and notes stand there in words."""
    text = result("run_task", TURN)
    for expected in (
        "M a.py  +1 -1",
        "    -old",
        "✗ bash run it",
        "finished in 1 min 01 s",
        "acme/m1 (high)",
        "variant high for a budget of 9,000 tokens",
        "2,400 in, 6 out, 3 reasoning; $0.0123; 1 model call; 2 sessions",
        "message msg_2 answers msg_1 and ended with 'length'; status busy → idle; decided by the message store",
        "ses_20340f888001d7RBaaG1oOhjvJ (deleted)",
        "the model hit its output limit",
        "a note",
    ):
        assert expected in text
    assert "Index:" not in text


def test_nothing_from_the_model_can_drive_the_terminal() -> None:
    """Escape sequences and bidi controls in text, diffs and tool titles are shown, not sent."""
    text = result("run_task", TURN)
    assert "Done \\x1b[2J it." in text
    assert "+new \\u202e" in text
    assert "\x1b" not in text


def test_colour_marks_added_and_removed_lines() -> None:
    """On a terminal the diff is coloured."""
    text = shown({"ok": True, "action": "run_task", "data": TURN}, colour=True)
    assert "\x1b[32m    +new" in text
    assert "\x1b[31m    -old" in text


def test_a_structured_answer_is_shown_as_data() -> None:
    """With an output schema the data is what counts, not the text around it."""
    text = result("send_message", {**TURN, "text": '{"a":1}', "structured": {"a": 1}})
    assert text.startswith('{\n  "a": 1\n}')


def test_a_long_diff_is_cut_and_says_so() -> None:
    """A diff of thousands of lines does not bury the outcome."""
    diff = "\n".join(f"+line {number}" for number in range(1000))
    text = result(
        "run_task", {**TURN, "files_changed": [{"path": "b", "status": "added", "additions": 1000, "deletions": 0, "diff": diff}]}
    )
    assert "920 more lines" in text
    assert len(text.splitlines()) < 120


def test_what_waits_is_shown_with_the_command_that_answers_it() -> None:
    """A pending permission or question stands in the status with the literal reply."""
    pending = [
        {"id": "per_1", "kind": "permission", "session_id": "ses_1", "permission": "bash", "patterns": ["rm *"]},
        {"id": "que_1", "kind": "question", "session_id": "ses_1", "questions": [{"question": "Which?", "options": ["A", "B"]}]},
    ]
    row = {"session_id": "ses_1", "directory": "/x", "state": "waiting", "pending": pending}
    text = result("get_session_status", {"sessions": [row], "count": 1})
    assert "ses_1 asks: bash rm *" in text
    assert "netclaw-opencode reply reply-permission --permission-id per_1 --session-id ses_1 --answer once" in text
    assert "Which? [A / B]" in text


def test_a_retry_shows_attempt_and_reason() -> None:
    """A session whose provider refuses says how often it tried and when it tries again."""
    row = {"session_id": "s", "state": "retry", "attempt": 3, "retry_message": "rate limit", "next_attempt_in_seconds": 8}
    assert "retry (attempt 3, next in 8.0 s: rate limit)" in result("get_session_status", {"sessions": [row], "count": 1})


@pytest.mark.parametrize("code", CODES)
def test_every_error_says_what_why_and_what_next(code: str) -> None:
    """One clear sentence, the reason with the code, and a next step for each code of the table."""
    text = error(code=code, message="It went wrong.", next=CODES[code].remedy, retryable=CODES[code].retryable)
    assert text.startswith("✗ run_task: It went wrong.\n")
    assert f"[{code}]" in text
    assert f"next: {CODES[code].remedy}" in text
    assert ("may succeed later" in text) is CODES[code].retryable


def test_an_error_of_availability_is_the_check_list() -> None:
    """What is missing is ticked off, each problem with its remedy, before the error itself."""
    report = {
        "available": False,
        "binary": {"found": False},
        "server": {"url": "http://localhost:4096", "reachable": False},
        "providers": {"connected": []},
        "problems": [{"code": "binary_not_found", "severity": "error", "message": "not installed", "remedy": "npm install -g opencode-ai"}],
    }
    text = error(code="binary_not_found", message="OpenCode is not installed", details=report)
    assert "✗ OpenCode is not installed" in text
    assert "✗ server does not answer  http://localhost:4096" in text
    assert "→ npm install -g opencode-ai" in text


def test_details_of_an_error_are_compact_but_complete() -> None:
    """Short lists and objects stand on one line, nested ones below each other, partial text apart; empty ones are left out."""
    details = {"statuses": ["busy"], "phases": {"send": 0.1}, "nested": [{"a": {"b": 1}}], "empty": [], "partial_text": "so far\x07"}
    text = error(code="turn_timeout", message="m", rule="deadline", details=details)
    assert "statuses: busy\n" in text
    assert "phases: send 0.1\n" in text
    assert "b 1" in text
    assert "empty" not in text
    assert "partial text:\nso far\\x07\n" in text
    assert "rule  deadline" in text


def test_an_unknown_action_and_odd_data_are_still_shown() -> None:
    """Actions of other skills, and data of an unexpected shape, get the plain view: nothing is lost."""
    assert "wheels: 4" in result("count_wheels", {"wheels": 4, "multi": "a\nb", "none": None, "on": True})
    assert "sessions" in result("list_sessions", {"sessions": [1, 2], "count": "many"}) or "0 sessions" in result(
        "list_sessions", {"sessions": [1]}
    )
    deep: dict[str, object] = {"x": [1, {"y": [1, 2, {"z": {"w": [[[[[[[["deep"]]]]]]]]}}]}]}
    assert "deep" in result("count_wheels", deep)


def test_piped_text_has_no_trailing_blanks_and_no_wrapping(capsys: pytest.CaptureFixture[str]) -> None:
    """Text that goes into a file is as wide as its content, and nothing is filled up with blanks."""
    note = "word " * 100
    views.print_envelope({"ok": True, "action": "run_task", "data": {**TURN, "notes": [note.strip()]}})
    lines = capsys.readouterr().out.splitlines()
    assert any(note.strip() in line for line in lines)
    assert all(line == line.rstrip() for line in lines)


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0.0 s"), (9.94, "9.9 s"), (10, "10 s"), (59.4, "59 s"), (61, "1 min 01 s"), (3600, "1 h 00 min")]
)
def test_durations_are_readable(value: float, text: str) -> None:
    """Seconds, minutes and hours, never a row of digits."""
    assert seconds(value) == text


def test_counts_have_the_right_form() -> None:
    """One file, two files."""
    assert (plural(1, "file"), plural(1234, "file")) == ("1 file", "1,234 files")


def test_what_the_agent_asked_for_is_shown_with_its_answer() -> None:
    """A permission and a question, each with who decided, by which rule and with which words."""
    answered = [
        {"id": "per_1", "kind": "permission", "permission": "bash", "patterns": ["git push"], "answer": "refuse", "by": "policy", "rule": 2}
        | {"message": "A person does that."},
        {"id": "que_1", "kind": "question", "questions": ["Which?"], "answer": "choose", "by": "hook", "chosen": [["A", "B"]]},
    ]
    text = result("run_task", {**TURN, "answered": answered})
    assert "bash git push → refuse (by policy, rule 2): A person does that." in text
    assert "Which? → A, B (by hook)" in text
