"""What the action commands do: arguments from flags, the call, its progress, its result.

Owns the order of these steps and the streaming of ``watch_events``. Imported when a command runs, never for help.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from netclaw_opencode.adapters.cli import catalogue, output
from netclaw_opencode.adapters.cli.flags import Flag, arguments_from
from netclaw_opencode.adapters.cli.terminal import json_text, one_line
from netclaw_opencode.errors import DriverError, InvalidInput
from netclaw_opencode.facts import ProgressEvent
from netclaw_opencode.settings import max_chars

if TYPE_CHECKING:
    from netclaw_opencode.adapters.cli.progress import LiveLine
    from netclaw_opencode.adapters.cli.running import View
    from netclaw_opencode.manifest import ActionEntry


_PATHS: Mapping[str, tuple[str, ...]] = {
    "explain": ("record",),
    "report": ("file", "record", "output"),
    "verify_work": ("statement",),
}
"""Arguments that are paths, which a shell means from where it stands."""


class EventLines:
    """A ``running.View`` that prints each event as it comes: JSON lines, or lines to read."""

    def __init__(self, *, as_json: bool, live: LiveLine | None, longest: int = 0) -> None:
        self._as_json = as_json
        self._longest = longest
        self._live = live
        self.reader_left = False

    def on_event(self, event: ProgressEvent) -> None:
        """Print it, if it is one of the server's own events."""
        if event.kind != "event" or self.reader_left:
            return
        if self._live is not None:
            self._live.clear()
        try:
            output.write_line(_event_line(event, self._longest) if self._as_json else _event_text(event))
        except BrokenPipeError:
            # `… | head`: the call still ends in order; the envelope's own write then reports it.
            self.reader_left = True

    def tick(self) -> None:
        """Nothing: events are shown when they come."""

    def close(self) -> None:
        """Nothing: what was printed stays."""


def call(entry: ActionEntry, given: Mapping[str, object], flags: Sequence[Flag]) -> int:
    """Run one action and return the exit code."""
    asked = given.get("output_format")
    asked = str(asked) if asked is not None else None
    limit = given.get("max_chars")
    limit = limit if isinstance(limit, int) else None
    notices: list[str] = []
    try:
        arguments = arguments_from(given, flags, notices=notices)
        for name in _PATHS.get(entry.name, ()):
            if name in arguments:
                arguments[name] = str(_absolute(arguments[name]))
        record = _absolute(given["record_to"]) if given.get("record_to") is not None else None
    except DriverError as error:
        return output.show_error(entry.name, error, asked, limit=limit)
    # Imported after the input was read: a missing prompt file is reported at once.
    from netclaw_opencode.adapters.cli import batch_progress, progress, running

    live = None if entry.name in batch_progress.ACTIONS else progress.live_line(_deadline(entry, arguments))
    table = batch_progress.batch_view() if entry.name in batch_progress.ACTIONS else None
    lines = _event_lines(entry, asked, live, longest=output.limit_for(limit))
    views: list[View] = [view for view in (lines, live, table) if view is not None]

    def show(envelope: Mapping[str, object]) -> int:
        for view in views:
            view.close()
        return output.show(envelope, asked, limit=limit, schema=entry.output_schema, shown_live=lines is not None)

    made = running.Call(entry.name, views, record=record)
    envelope = running.run(made, running.one_action(made, arguments), leave=lambda last: running.leave_now(last, show))
    output.notice([*notices, *made.notices])
    return show(envelope)


def _absolute(path: object) -> Path:
    """Return what a shell means by a path: relative to where it stands."""
    try:
        return Path(str(path)).absolute()
    except FileNotFoundError as error:
        raise InvalidInput("invalid_input", "the current folder does not exist any more; name the file by its whole path") from error


def list_actions(asked: str | None, limit: int | None = None) -> int:
    """Print the table of actions.

    Raises:
        DriverError: If the limit's setting is wrong.
    """
    max_chars(os.environ)
    rows = [
        {
            "name": entry.name,
            "command": f"netclaw-opencode {entry.tier} {catalogue.command_name(entry.name)}",
            "tier": entry.tier,
            "summary": entry.summary,
            "deadline_seconds": entry.deadline_seconds,
        }
        for entry in catalogue.actions()
    ]
    return output.show({"ok": True, "action": "actions", "data": {"actions": rows, "count": len(rows)}}, asked, limit=limit)


def _deadline(entry: ActionEntry, arguments: Mapping[str, object]) -> float | None:
    given = arguments.get("deadline_seconds", arguments.get("wait_seconds"))
    if isinstance(given, (int, float)):
        return float(given)
    # A start is bounded by the entry's deadline; the task's own, much longer one is not what is waited for.
    return entry.deadline_seconds


def _event_lines(entry: ActionEntry, asked: str | None, live: LiveLine | None, *, longest: int) -> EventLines | None:
    if entry.name != "watch_events":
        return None
    if asked == "lines":
        return EventLines(as_json=True, live=live, longest=longest)
    if output.format_for(asked) == "text" and output.is_terminal(sys.stdout):
        return EventLines(as_json=False, live=live)
    return None


def _event_wire(event: ProgressEvent) -> dict[str, object]:
    wire: dict[str, object] = {"summary": event.message}
    if event.session_id is not None:
        wire["session_id"] = event.session_id
    return wire | dict(event.facts)


def _event_line(event: ProgressEvent, longest: int) -> str:
    """Return the event as one line of JSON; what is cut of it stands whole in the envelope's data, if anywhere."""
    wire = _event_wire(event)
    line = json_text(wire)
    if not longest or len(line) * 2 < longest:
        return line
    from netclaw_opencode.actions.shortening import Cut, cut_down
    from netclaw_opencode.actions.spill import utf16_length

    def fits(cut: Cut) -> bool:
        return utf16_length(json_text(cut.envelope)) < longest

    return json_text(cut_down(wire, room=longest, fits=fits).envelope)


def _event_text(event: ProgressEvent) -> str:
    facts = event.facts
    parts = (str(facts.get("at", "")), str(facts.get("type", "")), event.session_id or "", event.message)
    return "  ".join(one_line(part) for part in parts if part)


__all__ = ["EventLines", "call", "list_actions"]
