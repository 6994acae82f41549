"""A flight record read back: what each call did, in plain words with times.

Pure but for the reading of the file. Owns the words for each kind of line (``record`` owns their form); a line that it does
not know is left out, and one that is damaged or foreign is counted, never trusted.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from netclaw_opencode.errors import InvalidInput
from netclaw_opencode.jsontypes import JsonObject
from netclaw_opencode.records.recorder import FIRST_BYTES, LINE_BYTES

_FIRST_LINES, _LAST_LINES = 300, 100
"""Lines of one story; the middle of a call with thousands of events is left out."""
_SLOW_MS = 1000.0
_STATES = {
    "not_started": "the turn has not started yet",
    "running": "the turn runs",
    "waiting": "the turn waits for an answer",
}
_ENDINGS = {
    "turn_timeout": "the deadline passed; the turn is stopped",
    "provider_retrying": "the provider keeps refusing; the turn is stopped",
    "runaway_turn": "the model is called again and again without an end; the turn is stopped",
    "permission_required": "the permission was not granted; the turn is stopped",
    "question_pending": "the question was not answered; the turn is stopped",
}
_STEPS = {"server_started": "the server was started", "server_stopped": "the server was stopped"}


@dataclass(slots=True)
class Story:
    """One call. ``outcome`` is ``done``, an error code, ``cancelled``, or ``unknown`` if the record breaks off."""

    call: str
    action: str
    began_at: str
    began: float
    outcome: str = "unknown"
    elapsed_seconds: float = 0.0
    lines: list[str] = field(default_factory=list)
    sessions: set[str] = field(default_factory=set)

    def to_wire(self) -> dict[str, object]:
        """Return the form of a call in the result."""
        return {
            "call": self.call,
            "action": self.action,
            "began_at": self.began_at,
            "elapsed_seconds": round(self.elapsed_seconds, 3),
            "outcome": self.outcome,
            "story": list(self.lines),
        }


@dataclass(slots=True)
class Reading:
    """The stories of a record, in the order in which the calls began; ``notes`` say what could not be read."""

    stories: list[Story]
    notes: list[str]


def read(path: Path) -> Reading:
    """Read a whole record.

    Raises:
        InvalidInput: If there is no such file, or it is none that can be read.
    """
    tellers: dict[str, _StoryBuilder] = {}
    damaged = foreign = 0
    cut = full = False
    for raw in _raw_lines(path):
        line = _parse_line(raw)
        if line is None:
            # Only a line without its end can still be the half of one; everything else is not what we write.
            cut = not raw.endswith(b"\n")
            damaged += raw.startswith(FIRST_BYTES) and not cut
            foreign += not (raw.startswith(FIRST_BYTES) or cut)
            continue
        full = full or line["kind"] == "full"
        call = line.get("call")
        if isinstance(call, str):
            if call not in tellers:
                tellers[call] = _StoryBuilder(line)
            tellers[call].take(line)
    return Reading([teller.end() for teller in tellers.values()], list(_notes(damaged=damaged, foreign=foreign, cut=cut, full=full)))


def read_lines(path: Path) -> Iterator[JsonObject]:
    """Yield the lines of a record that can be read, in order."""
    for raw in _raw_lines(path):
        line = _parse_line(raw)
        if line is not None:
            yield line


def _notes(*, damaged: int, foreign: int, cut: bool, full: bool) -> Iterator[str]:
    if cut:
        yield "the last line is cut off: the process was ended while it wrote it"
    if damaged:
        yield f"{damaged} damaged line(s) were left out"
    if foreign:
        yield f"{foreign} line(s) are not of a flight record and were left out"
    if full:
        yield "the record became full: what came after that is not in it"


def _raw_lines(path: Path) -> Iterator[bytes]:
    try:
        # Without a writer a pipe would hang the open.
        fd = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))
        with os.fdopen(fd, "rb") as file:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                raise _unreadable(path, "it is not a regular file")
            while line := file.readline(LINE_BYTES * 2):
                yield line
    except OSError as error:
        raise _unreadable(path, error.strerror or str(error)) from error


def _unreadable(path: Path, why: str) -> InvalidInput:
    return InvalidInput("invalid_input", f"the flight record {str(path)[:200]!r} cannot be read: {why}", details={"record": str(path)})


def _parse_line(raw: bytes) -> JsonObject | None:
    if not raw.startswith(FIRST_BYTES):
        return None
    try:
        line = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    if not isinstance(line, Mapping) or not isinstance(line.get("kind"), str) or not isinstance(line.get("at"), str):
        return None
    return line if isinstance(line.get("t"), int | float) and abs(line["t"]) < 1e9 else None


class _StoryBuilder:
    """Build the story of one call, line by line."""

    def __init__(self, first: JsonObject) -> None:
        self._story = Story(_word(first["call"]), _word(first.get("action")), _word(first["at"]), _number(first, "t"))
        self._session: str | None = None
        self._requests: list[tuple[float, str]] = []
        self._count = self._bytes = 0
        self._decided = False
        self._rules: list[str] = []
        self._last = ""
        self._status: dict[object, object] = {}
        self._look = ""
        self._aborted: float | None = None
        self._left_out = 0

    def take(self, line: JsonObject) -> None:
        """Take the next line of the call."""
        story = self._story
        kind, t = str(line["kind"]), _number(line, "t") - story.began
        story.elapsed_seconds = max(story.elapsed_seconds, t)
        session = line.get("session_id")
        if isinstance(session, str):
            story.sessions.add(_word(session))
            if self._session is None and kind != "event":
                self._session = session
        if kind not in ("request", "event", "stream", "result", "call"):
            self._decided = True
        if kind != "rule" or line.get("answer") != "allowed":
            self._flush_rules(t)
        tell = getattr(self, f"_on_{kind}", None)
        if tell is not None:
            tell(line, t)

    def end(self) -> Story:
        """Return the whole story."""
        story = self._story
        if not self._decided:
            # A call that only read: its requests are the whole story.
            lines = [f"{t:.2f} s  {text}" for t, text in self._requests]
            story.lines[:0] = [text for text in lines if text not in story.lines]
            story.lines.sort(key=_seconds_of)
        if story.outcome == "unknown":
            self._add_line(story.elapsed_seconds, "the record of this call ends here: it was killed, or it still runs")
        if self._left_out:
            story.lines.insert(_FIRST_LINES, f"({self._left_out} lines are left out here)")
        return story

    def _add_line(self, t: float, text: str) -> None:
        if len(self._story.lines) >= _FIRST_LINES + _LAST_LINES:
            del self._story.lines[_FIRST_LINES]
            self._left_out += 1
        self._last = text
        self._story.lines.append(f"{t:.2f} s  {text}")

    def _flush_rules(self, t: float) -> None:
        if self._rules:
            self._add_line(t, f"rules asked: {', '.join(self._rules)}: allowed")
            self._rules = []

    def _on_request(self, line: JsonObject, t: float) -> None:
        self._count += 1
        self._bytes += int(_number(line, "bytes"))
        ms, tries = _number(line, "ms"), int(_number(line, "tries"))
        what = f"{_word(line.get('method'))} {_word(line.get('path'))}"
        code, status = line.get("code"), line.get("status")
        answer = _word(code) if code is not None else f"answer {_word(status)}, {int(_number(line, 'bytes'))} bytes"
        text = f"{what}: {answer}, after {ms / 1000:.2f} s" + (f" and {tries} tries" if tries > 1 else "")
        if len(self._requests) < _FIRST_LINES:
            self._requests.append((t, text))
        if ms >= _SLOW_MS or tries > 1 or (code is not None and code != "cancelled") or _number(line, "status") >= 500:
            self._add_line(t, text)

    def _on_preflight(self, line: JsonObject, t: float) -> None:
        count, pending = int(_number(line, "messages")), int(_number(line, "pending"))
        messages = f"{count} message{'' if count == 1 else 's'}" if count else "no messages"
        waits = f", {pending} request(s) pending" if pending else ""
        self._add_line(t, f"looked before the send: {_word(line.get('state'))}, {messages}{waits}")

    def _on_rule(self, line: JsonObject, t: float) -> None:
        rule = _word(line.get("rule"))
        if line.get("answer") == "allowed":
            self._rules.append(rule)
        else:
            self._add_line(t, f"the rule {rule} refuses: {_word(line.get('code'))}")

    def _on_created(self, line: JsonObject, t: float) -> None:
        parent = line.get("forked_from")
        self._add_line(t, f"created session {_word(line.get('session_id'))}" + (f" as a fork of {_word(parent)}" if parent else ""))

    def _on_send(self, line: JsonObject, t: float) -> None:
        attempt = int(_number(line, "attempt"))
        how = "once" if attempt <= 1 else f"again, with the same ids (attempt {attempt})"
        self._add_line(t, f"sent message {_word(line.get('message_id'))} {how}")

    def _on_event(self, line: JsonObject, t: float) -> None:
        text = self._describe_event(line)
        session = line.get("session_id")
        if text is None:
            return
        if session != self._session and self._session is not None:
            text = f"{text} (session {_word(session)})"
        if text != self._last:
            self._add_line(t, text)

    def _describe_event(self, line: JsonObject) -> str | None:
        match line.get("type"):
            case "session.status" if line.get("status") == "retry":
                return f"the provider refuses; the server tries again (attempt {int(_number(line, 'attempt'))})"
            case "session.status" if line.get("status") == "busy":
                return "the session is busy" if self._is_new(line, "busy") else None
            case "session.idle":
                return "the session went idle" if self._is_new(line, "idle") else None
            case "session.error":
                return f"the server reports {_word(line.get('error'))}"
            case "permission.asked":
                return f"the agent asks for the permission {_word(line.get('permission'))}"
            case "question.asked":
                return "the agent asks a question"
            case "message.part.updated" if line.get("part") == "tool" and line.get("status") != "pending":
                return f"tool {_word(line.get('tool'))}: {_word(line.get('status'))}"
        return None

    def _is_new(self, line: JsonObject, status: str) -> bool:
        seen = self._status.get(line.get("session_id"))
        self._status[line.get("session_id")] = status
        return seen != status

    def _on_stream(self, line: JsonObject, t: float) -> None:
        code = line.get("code")
        why = f" ({_word(code)})" if code else ""
        self._add_line(
            t, "the event stream is open" if line.get("state") == "open" else f"the event stream was lost{why}; it is opened again"
        )

    def _on_look(self, line: JsonObject, t: float) -> None:
        state = str(line.get("state"))
        text = _STATES.get(state, _word(state))
        if state == "completed":
            text = f"the message store says: completed (finish {_word(line.get('finish'))})"
        elif state == "failed":
            text = f"the message store says: failed ({_word(line.get('code'))})"
        if text == self._look:
            return
        self._look = text
        if self._last == "the session went idle" and self._story.lines:
            self._story.lines[-1] += f"; {text}"
            self._last = text
        else:
            self._add_line(t, text)

    def _on_ending(self, line: JsonObject, t: float) -> None:
        code = str(line.get("code"))
        self._add_line(t, _ENDINGS.get(code, f"{_word(code)}; the turn is stopped"))

    def _on_abort(self, line: JsonObject, t: float) -> None:
        attempt, sessions = int(_number(line, "attempt")), int(_number(line, "sessions"))
        self._aborted = t if attempt <= 1 or self._aborted is None else self._aborted
        to = f" to {sessions} sessions" if sessions > 1 else ""
        self._add_line(
            t, f"abort sent{to} (it was {_word(line.get('was'))})" if attempt <= 1 else f"abort sent again{to} (attempt {attempt})"
        )

    def _on_stopped(self, line: JsonObject, t: float) -> None:
        refused = int(_number(line, "requests_refused"))
        more = f"; {refused} request(s) of the agent refused" if refused else ""
        if line.get("confirmed") is True:
            self._add_line(t, f"seen idle {t - (self._aborted or 0.0):.2f} s after the abort{more}")
        else:
            self._add_line(t, f"not seen idle after {int(_number(line, 'attempts'))} abort(s){more}")

    def _on_answered(self, line: JsonObject, t: float) -> None:
        what = f"{_word(line.get('request'))} {_word(line.get('permission') or '')}".strip()
        self._add_line(t, f"{what} {_word(line.get('request_id'))} answered: {_word(line.get('answer'))}")

    def _on_deleted(self, line: JsonObject, t: float) -> None:
        how = "was gone already" if line.get("gone_already") is True else "deleted, and seen gone"
        self._add_line(t, f"session {_word(line.get('session_id'))} {how}")

    def _on_ended(self, line: JsonObject, t: float) -> None:
        ended, left = int(_number(line, "processes_ended")), int(_number(line, "processes_left"))
        more = f", {left} left" if left else ""
        self._add_line(t, f"the server's process was ended ({_word(line.get('signal'))}); {ended} process(es) below it were ended{more}")

    def _on_step(self, line: JsonObject, t: float) -> None:
        text = _STEPS.get(str(line.get("what")))
        if text is not None:
            self._add_line(t, text)

    def _on_result(self, line: JsonObject, t: float) -> None:
        outcome = _word(line.get("outcome"))
        self._story.outcome = outcome
        rule = f" (rule {_word(line.get('rule'))})" if line.get("rule") else ""
        ended = {"done": "done", "cancelled": "cancelled"}.get(outcome, f"ended with the error {outcome}{rule}")
        asked = f"after {self._count} request(s) with {self._bytes / 1024:.1f} KiB of answers" if self._count else "and nothing was sent"
        self._add_line(t, f"{ended}, {asked}")


def _word(value: object) -> str:
    """Return a value of the record, harmless in one line."""
    return "".join(char if char.isprintable() else "?" for char in str(value))[:200]


def _number(line: JsonObject, name: str) -> float:
    value = line.get(name)
    return float(value) if isinstance(value, int | float) and abs(value) < 1e15 else 0.0


def _seconds_of(line: str) -> float:
    return float(line.partition(" ")[0])


__all__ = ["Reading", "Story", "read", "read_lines"]
