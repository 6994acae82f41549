"""What events say while a turn runs: progress for people, and when a look at the message store is worth it.

Owns the reading of event types. It never says that a turn is done: events are hints, and some are lost.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from netclaw_opencode.driver.verdict import NO_ENDS, RUNAWAY_CALLS
from netclaw_opencode.errors import DriverError
from netclaw_opencode.facts import EventKind, ProgressEvent
from netclaw_opencode.opencode.wire import reading

if TYPE_CHECKING:
    from netclaw_opencode.jsontypes import JsonObject
    from netclaw_opencode.opencode.wire.types import ServerEvent

_TEXT_STEP = 400
"""Characters of new text between two progress events."""


class Progress:
    """Reads the events of one turn, emits progress, and says when a look at the message store is worth it."""

    def __init__(self, emit: Callable[[ProgressEvent], None], session_id: str, message_id: str, *, clock: Callable[[], float]) -> None:
        self._emit = emit
        self._session_id = session_id
        self._prompts = {message_id}
        self._clock = clock
        self._started = clock()
        self._told_chars = 0
        self._tools: dict[str, str] = {}
        self._endless: set[str] = set()
        self.text_chars = 0
        self.statuses: list[str] = []
        self.announced: list[str] = []

    def handle(self, event: ServerEvent) -> bool:
        """Note one event of the turn's session tree."""
        try:
            return self._handle(event)
        except DriverError:
            # A hint that cannot be read says at least that something happened; the store shows what.
            return True

    def _handle(self, event: ServerEvent) -> bool:
        match event.type:
            case "session.status":
                return self._status(event)
            case "session.idle":
                return event.session_id == self._session_id
            case "session.error":
                return self._error(event)
            case "permission.asked" | "question.asked":
                return True
            case "message.updated":
                return self._message(event.properties.get("info"))
            case "message.part.updated":
                self._part(event.properties.get("part"))
            case "message.part.delta":
                self._text(event.properties.get("delta"))
        return False

    def add_prompt(self, message_id: str) -> None:
        """Know a further prompt as ours."""
        self._prompts.add(message_id)

    def set_status(self, status: str) -> None:
        """Emit the session's status if it has changed; events of it may be lost, and looks show it too."""
        if not self.statuses or self.statuses[-1] != status:
            self.statuses.append(status)
            self.emit("status", status)

    def emit(self, kind: EventKind, message: str, facts: JsonObject | None = None) -> None:
        """Emit a progress event of this turn."""
        self._emit(ProgressEvent(kind, message, self._session_id, self._clock() - self._started, facts or {}))

    def _status(self, event: ServerEvent) -> bool:
        if event.session_id != self._session_id:
            return False
        status = reading.status(event.properties.get("status"))
        self.set_status(status.kind)
        if status.kind == "retry":
            self.emit("status", f"retry {status.attempt}: {status.message[:200]}", {"attempt": status.attempt})
        return status.kind != "busy"

    def _error(self, event: ServerEvent) -> bool:
        error = event.properties.get("error")
        if isinstance(error, Mapping) and event.session_id == self._session_id:
            details = error.get("data")
            text = reading.optional_text(details, "message") if isinstance(details, Mapping) else None
            if error.get("name") != "MessageAbortedError":
                self.announced.append(text or str(error.get("name", "UnknownError")))
        return True

    @property
    def may_run_away(self) -> bool:
        """Whether so many model calls in a row had no usable end that the turn may be a runaway (F40)."""
        return len(self._endless) >= RUNAWAY_CALLS

    def _message(self, info: object) -> bool:
        if not isinstance(info, Mapping):
            return False
        if info.get("role") == "user":
            # Another caller's prompt, or one of OpenCode's own after a compaction: the store shows which.
            message_id, known = str(info.get("id")), len(self._prompts)
            self._prompts.add(message_id)
            return len(self._prompts) > known
        if info.get("role") != "assistant":
            return False
        # A provider whose stream is cut makes the server call the model for ever while it stays busy (F40).
        # Each of its messages comes several times, first of all empty: only one that ended well breaks the row.
        finish = reading.optional_text(info, "finish")
        if finish in NO_ENDS:
            self._endless.add(str(info.get("id")))
        elif finish is not None:
            self._endless.clear()
        return self.may_run_away or info.get("error") is not None

    def _part(self, part: object) -> None:
        if not isinstance(part, Mapping) or part.get("type") != "tool":
            return
        read = reading.part(part)
        if self._tools.get(read.call_id) == read.tool_status or read.tool_status == "pending":
            return
        self._tools[read.call_id] = read.tool_status
        subject = _subject(read.tool_input) or read.title
        facts = {"tool": read.tool, "status": read.tool_status, "subject": subject}
        self.emit("tool", " ".join(filter(None, (read.tool, subject, read.tool_status))), facts)

    def _text(self, delta: object) -> None:
        if not isinstance(delta, str):
            return
        self.text_chars += len(delta)
        if self.text_chars - self._told_chars >= _TEXT_STEP:
            self._told_chars = self.text_chars
            self.emit("text", f"{self.text_chars} characters written", {"text_chars": self.text_chars})


def _subject(tool_input: JsonObject) -> str:
    """Return what a tool works on, in a few words."""
    for key in ("filePath", "command", "pattern", "path", "url", "description"):
        value = tool_input.get(key)
        if isinstance(value, str):
            return value.rsplit("/", 1)[-1][:60] if key == "filePath" else value[:60]
    return ""
