"""A call of a flight record as a transcript without texts: its sessions, when the model and the tools ran, and the story in words.

A record knows no text, no token and no price; ``story`` has the words, and the reading of its lines.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

from netclaw_opencode import __version__
from netclaw_opencode.errors import InvalidInput
from netclaw_opencode.jsontypes import JsonObject
from netclaw_opencode.records import story
from netclaw_opencode.records.story import Story
from netclaw_opencode.records.trajectory import ModelCall, Prompt, Session, Step, ToolCall, Trajectory

_LEFT_OUT = "texts, tokens and cost: a flight record holds none"
_OUTCOMES = {"done": "completed", "unknown": "interrupted"}


def read_outline(path: Path, *, call: str | None = None) -> Trajectory:
    """Return one call of a flight record.

    Args:
        path: The record.
        call: The call's id; None: the newest one that sent a prompt, else the newest.

    Raises:
        InvalidInput: ``invalid_input``: the record cannot be read, or has no such call.
    """
    found = story.read(path)
    chosen = [item for item in found.stories if call in (None, item.call)]
    if not chosen:
        which = f"no call {call}" if call is not None else "no call at all"
        raise InvalidInput("invalid_input", f"the flight record {str(path)[:200]!r} holds {which}; explain shows what it holds")
    lines = {item.call: [line for line in story.read_lines(path) if line.get("call") == item.call] for item in chosen[-20:]}
    sent = [item for item in chosen if any(line["kind"] == "send" for line in lines.get(item.call, []))]
    picked = (sent or chosen)[-1]
    return _Outline(picked, lines.get(picked.call, [])).trajectory(tuple(found.notes))


class _Outline:
    """The lines of one call being turned into steps."""

    def __init__(self, told: Story, lines: list[JsonObject]) -> None:
        self._story = told
        self._sessions: dict[str, Session] = {}
        self._steps: list[Step] = []
        self._open: dict[tuple[str, str], int] = {}
        for line in lines:
            self._take(line, _epoch_ms(str(line["at"])))

    def trajectory(self, notes: tuple[str, ...]) -> Trajectory:
        """Return what is known."""
        told = self._story
        outcome = _OUTCOMES.get(told.outcome, told.outcome)
        error = {"code": outcome, "message": f"the record says: {told.outcome}"} if outcome not in ("completed", "cancelled") else None
        began = datetime.fromisoformat(told.began_at)
        return Trajectory(
            action=told.action,
            version=__version__,
            began_at=told.began_at,
            ended_at=(began + timedelta(seconds=told.elapsed_seconds)).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            directory="",
            outcome=outcome,
            sessions=tuple(self._sessions.values()),
            steps=tuple(self._steps),
            left_out=(_LEFT_OUT, *notes),
            result={"story": list(told.lines)},
            error=error,
        )

    def _take(self, line: JsonObject, at_ms: int) -> None:
        session = line.get("session_id")
        if not isinstance(session, str):
            return
        kind = line["kind"]
        if kind == "created":
            parent = line.get("forked_from")
            self._add_session(session, "task", parent if isinstance(parent, str) else None)
        elif kind == "send":
            self._add_session(session, "task")
            self._steps.append(Prompt(session, str(line.get("message_id", "")), at_ms, ""))
        elif kind == "event" and line.get("type") == "message.part.updated":
            self._on_part(session, line, at_ms)

    def _add_session(self, session: str, part: str, parent: str | None = None) -> None:
        self._sessions.setdefault(session, Session(session, parent, part=part))

    def _on_part(self, session: str, line: JsonObject, at_ms: int) -> None:
        first = next(iter(self._sessions), None)
        if first is not None and session != first:
            self._add_session(session, "sub-agent", first)
        match line.get("part"):
            case "step-start":
                self._begin(session, "", ModelCall(session, f"call {len(self._steps)}", at_ms))
            case "step-finish":
                self._end(session, "", at_ms)
            case "tool":
                name, status = str(line.get("tool", "")), str(line.get("status", ""))
                if status in ("pending", "running") and (session, name) not in self._open:
                    self._begin(session, name, ToolCall(session, self._message_of(session), "", name, at_ms, status="running"))
                elif status in ("completed", "error"):
                    self._end(session, name, at_ms, status)

    def _message_of(self, session: str) -> str:
        place = self._open.get((session, ""))
        return self._steps[place].message_id if place is not None else ""

    def _begin(self, session: str, name: str, step: Step) -> None:
        self._open[session, name] = len(self._steps)
        self._steps.append(step)

    def _end(self, session: str, name: str, at_ms: int, status: str = "") -> None:
        place = self._open.pop((session, name), None)
        step = self._steps[place] if place is not None else None
        if place is None or step is None or isinstance(step, Prompt):
            return
        if isinstance(step, ToolCall):
            self._steps[place] = ToolCall(step.session_id, step.message_id, "", step.tool, step.began_ms, at_ms, status=status)
        else:
            self._steps[place] = ModelCall(step.session_id, step.message_id, step.began_ms, at_ms)


def _epoch_ms(text: str) -> int:
    try:
        return int(datetime.fromisoformat(text).timestamp() * 1000)
    except ValueError:
        return 0


__all__ = ["read_outline"]
