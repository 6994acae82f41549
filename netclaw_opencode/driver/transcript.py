"""What is kept of a task's sessions: prompts, model calls and tool calls, in bounded space.

Owns what is taken from a message, and what is left out where there is too much. The form is ``records.trajectory``'s; nothing here decides
anything about a turn.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeAlias

from netclaw_opencode.jsontypes import is_deeper
from netclaw_opencode.records.trajectory import ModelCall, Prompt, Session, Step, ToolCall, Usage

if TYPE_CHECKING:
    from netclaw_opencode.opencode.connection import Connection
    from netclaw_opencode.opencode.wire import types
    from netclaw_opencode.opencode.wire.history import History

Redact: TypeAlias = Callable[[str], str]

_OUTPUT_CHARS = 16 * 1024
"""Characters of a tool's output, and of each text in its input, that are kept: half from its beginning, half from its end."""
_TEXT_CHARS = 64 * 1024
"""Characters of a prompt, an answer or a thought that are kept."""
_INPUT_CHARS = 64 * 1024
_SHORT_CHARS = 512
_MOST_CHARS = 6 * 1024 * 1024
"""Characters of all steps that are kept; the oldest go first, but never a prompt."""
_STEP_CHARS = 400
"""About what a step takes beside its texts."""
_LEVELS = 20
_MOST_OPEN = 8
"""Messages that are held whole because they are still being written: the newest ones of each session that runs."""
_SPARE = 1024
"""So much more is cleaned than is kept, so that no secret is cut in two before it is seen."""
_SUB_AGENT = "sub-agent"
_AGENTS = "task"
"""The tool that runs a sub-agent in a session of its own (F36)."""
_STATUSES = frozenset({"completed", "error", "running", "pending"})


@dataclass(frozen=True, slots=True)
class _Kept:
    """What is kept of one message."""

    created_ms: int
    agent: str
    steps: tuple[Step, ...]
    size: int
    is_whole: bool
    """Whether the message was written to its end when it was read."""


@dataclass(slots=True)
class Transcript:
    """The steps of a task's sessions, taken from their messages as these are read for the turn itself: nothing is read twice.

    Attributes:
        sessions: What was read, in the order of reading.
        unread: What could not be read, in words.
        version: The server's version.
        directory: Where the first session works.
    """

    sessions: list[Session] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)
    version: str = ""
    directory: str = ""
    _histories: dict[str, History] = field(default_factory=dict)
    _begins_at: dict[str, str] = field(default_factory=dict)
    """The prompt with which a session's part begins; what a fork has from before it is not told again."""
    _kept: dict[str, dict[str, _Kept]] = field(default_factory=dict)
    """By session and message."""
    _open: dict[str, tuple[types.Message, Redact]] = field(default_factory=dict)
    """Messages that are still being written, as they were read last."""
    _size: int = 0
    _dropped: int = 0

    @property
    def steps(self) -> tuple[Step, ...]:
        """All steps in the order of time; those of one moment as they were written."""
        self._close(most_open=0)
        found: list[_Kept] = []
        for session_id, kept in self._kept.items():
            prompt = kept.get(self._begins_at.get(session_id, ""))
            found += [item for item in kept.values() if prompt is None or item.created_ms >= prompt.created_ms]
        found.sort(key=lambda item: item.created_ms)
        return tuple(sorted((step for item in found for step in item.steps), key=lambda step: step.began_ms))

    @property
    def left_out(self) -> tuple[str, ...]:
        """What is not in it, in words."""
        dropped = (f"the oldest {self._dropped} messages: the transcript would be too large with them",) if self._dropped else ()
        return (*self.unread, *dropped)

    def follow(self, connection: Connection, session: types.Session, *, begins_at: str | None = None) -> History:
        """Return the history of a session, from which everything that is read is kept here, too.

        Args:
            connection: The server.
            session: The session.
            begins_at: The prompt with which its part of the task begins; None for its first message.
        """
        if begins_at is not None:
            self._begins_at[session.id] = begins_at
        history = connection.history(session, on_message=lambda message: self._take(message, connection.redact))
        self._histories[session.id] = history
        return history

    async def read(
        self, connection: Connection, session: types.Session, *, part: str, parent_id: str | None, has_failed: bool = False
    ) -> None:
        """Name a session and those of its sub-agents, and read what has not been read of them yet.

        Args:
            connection: The server.
            session: The session.
            part: What it was for.
            parent_id: The session above it.
            has_failed: Whether its turn has failed: then its end, too, may not have been read.

        Raises:
            DriverError: It cannot be read; what was read of it before stands.
        """
        self.version = connection.health.version
        self.directory = self.directory or session.directory
        place = len(self.sessions)
        self.sessions.append(Session(session.id, parent_id, connection.redact(session.title), session.agent or "", part))
        history = self._histories.get(session.id)
        if history is None and part != _SUB_AGENT:
            return  # nothing was sent
        history = history or self.follow(connection, session)
        if has_failed or not (history.reached_back or history.is_whole):
            await history.read_newest()
            await history.read_back_to(self._begins_at.get(session.id, ""))
        kept = self._kept.get(session.id, {})
        agent = next((item.agent for item in kept.values() if item.agent), "")
        self.sessions[place] = replace(self.sessions[place], agent=session.agent or agent)
        if any(isinstance(step, ToolCall) and step.tool == _AGENTS for item in kept.values() for step in item.steps):
            prompt = kept.get(self._begins_at.get(session.id, ""))
            began_ms = prompt.created_ms if prompt is not None else session.created_ms
            for child in await connection.children(session):
                # A fork's or an earlier turn's sub-agents are older than this prompt.
                if child.created_ms >= began_ms:
                    await self.read(connection, child, part=_SUB_AGENT, parent_id=session.id, has_failed=has_failed)

    def add_unread(self, session: types.Session, *, part: str, parent_id: str | None, why: str) -> None:
        """Name a session of which nothing more can be read."""
        self.directory = self.directory or session.directory
        self.sessions.append(Session(session.id, parent_id, session.title, session.agent or "", part))
        self.unread.append(f"session {session.id} could not be read to its end: {why}")

    def _take(self, message: types.Message, redact: Redact) -> None:
        kept = self._kept.get(message.session_id, {}).get(message.id)
        if kept is not None and kept.is_whole:
            return
        self._open.pop(message.id, None)
        if _is_whole(message):
            self._keep(message, redact)
        else:
            self._open[message.id] = (message, redact)
            self._close(most_open=_MOST_OPEN)

    def _close(self, *, most_open: int) -> None:
        """Keep what there is of the messages that were never seen complete, but for the newest of them."""
        while len(self._open) > most_open:
            self._keep(*self._open.pop(next(iter(self._open))))

    def _keep(self, message: types.Message, redact: Redact) -> None:
        steps = tuple(_steps_of(message, redact))
        size = sum(map(_size_of, steps))
        kept = self._kept.setdefault(message.session_id, {})
        self._size += size - (kept[message.id].size if message.id in kept else 0)
        kept[message.id] = _Kept(message.created_ms, message.agent, steps, size, _is_whole(message))
        if self._size > _MOST_CHARS:
            self._drop_oldest()

    def _drop_oldest(self) -> None:
        """Drop the oldest messages but prompts, a quarter of all at a time."""
        everything = [(item.created_ms, kept, key) for kept in self._kept.values() for key, item in kept.items()]
        for _, kept, key in sorted(everything, key=lambda each: each[0]):
            if self._size <= _MOST_CHARS * 3 // 4:
                return
            item = kept[key]
            if item.size and not any(isinstance(step, Prompt) for step in item.steps):
                kept[key] = replace(item, steps=(), size=0, is_whole=True)
                self._size -= item.size
                self._dropped += 1


def _is_whole(message: types.Message) -> bool:
    """Return whether nothing of the message can change any more: its tools may still run where it is completed itself."""
    runs = any(part.tool and part.tool_status in ("running", "pending") for part in message.parts)
    return bool(message.parts) and (message.role != "assistant" or (message.completed_ms is not None and not runs))


def _size_of(step: Step) -> int:
    match step:
        case Prompt():
            return _STEP_CHARS + len(step.text)
        case ModelCall():
            return _STEP_CHARS + len(step.text) + len(step.reasoning)
        case ToolCall():
            return _STEP_CHARS + len(step.output) + len(json.dumps(step.input))


def _steps_of(message: types.Message, redact: Redact) -> Iterator[Step]:
    """Yield what a message holds, in order."""
    if message.role != "assistant":
        text = message.text or "\n".join(part.text for part in message.parts if part.text)
        if text or not message.is_continuation:
            yield Prompt(message.session_id, message.id, message.created_ms, _bounded(text, _TEXT_CHARS, redact))
        return
    usage, error = message.usage, message.error
    yield ModelCall(
        message.session_id,
        message.id,
        message.created_ms,
        message.completed_ms,
        model=message.model.to_wire() if message.model is not None else {},
        text=_bounded(message.text, _TEXT_CHARS, redact),
        reasoning=_bounded("\n".join(part.text for part in message.parts if part.type == "reasoning" and part.text), _TEXT_CHARS, redact),
        finish=message.finish or "",
        error={"name": error.name, "message": _bounded(error.text, _OUTPUT_CHARS, redact)} if error is not None else None,
        usage=Usage(usage.input, usage.output, usage.reasoning, usage.cache_read, usage.cache_write, usage.cost),
        summary=message.is_summary,
    )
    for part in message.parts:
        if part.tool:
            yield _tool_call(message, part, redact)


def _tool_call(message: types.Message, part: types.Part, redact: Redact) -> ToolCall:
    output = part.tool_output
    if not output:
        # Of a command that was ended early, what it had printed stands in the metadata.
        printed = part.tool_metadata.get("output")
        output = "\n".join(text for text in (part.tool_error, printed if isinstance(printed, str) else "") if text)
    return ToolCall(
        message.session_id,
        message.id,
        part.call_id,
        part.tool,
        part.started_ms if part.started_ms is not None else message.created_ms,
        part.ended_ms,
        title=_bounded(part.title, _SHORT_CHARS, redact),
        status=part.tool_status if part.tool_status in _STATUSES else "pending",
        input=_bounded_input(part.tool_input, redact),
        output=_bounded(output, _OUTPUT_CHARS, redact),
        output_chars=len(output),
    )


def _bounded(text: str, most: int, redact: Redact) -> str:
    """Return the text without secrets; of a long one the beginning and the end."""
    if len(text) <= most:
        return redact(text)
    half = most // 2 - 32
    begin, end = redact(text[: half + _SPARE])[:half], redact(text[-half - _SPARE :])[-half:]
    return f"{begin}\n[… {len(text) - 2 * half} characters left out …]\n{end}"


def _bounded_input(given: Mapping[str, object], redact: Redact) -> dict[str, object]:
    """Return a tool's arguments without secrets, their texts bounded one by one and together."""
    if is_deeper(given, _LEVELS):
        return {"left_out": f"nested deeper than {_LEVELS} levels"}

    def walk(value: object, most: int) -> object:
        if isinstance(value, str):
            return _bounded(value, most, redact)
        if isinstance(value, Mapping):
            return {_bounded(name, _SHORT_CHARS, redact): walk(inner, most) for name, inner in value.items()}
        return [walk(inner, most) for inner in value] if isinstance(value, list) else value

    for most in (_OUTPUT_CHARS, _SHORT_CHARS):
        found = {name: walk(value, most) for name, value in given.items()}
        size = len(json.dumps(found, ensure_ascii=False))
        if size <= _INPUT_CHARS:
            return found
    return {"left_out": f"{size} characters"}


__all__ = ["Transcript"]
