"""What is kept of a task's sessions: prompts, model calls and tool calls, read in pages before the sessions are deleted, in bounded space.

Owns what is taken from a message, and what is left out where there is too much. The form is ``records.trajectory``'s; nothing here decides
anything about a turn.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from netclaw_opencode.jsontypes import is_deeper
from netclaw_opencode.records.trajectory import ModelCall, Prompt, Session, Step, ToolCall, Usage

if TYPE_CHECKING:
    from netclaw_opencode.opencode.connection import Connection
    from netclaw_opencode.opencode.wire import types

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
_SPARE = 1024
"""So much more is cleaned than is kept, so that no secret is cut in two before it is seen."""
_AGENTS = "task"
"""The tool that runs a sub-agent in a session of its own (F36)."""
_STATUSES = frozenset({"completed", "error", "running", "pending"})


@dataclass(slots=True)
class Transcript:
    """The steps of a task's sessions, as far as they were read.

    Attributes:
        sessions: What was read, in the order of reading.
        left_out: What is not in it, in words.
        version: The server's version.
        directory: Where the first session works.
    """

    sessions: list[Session] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    version: str = ""
    directory: str = ""
    _steps: list[Step] = field(default_factory=list)
    _size: int = 0

    @property
    def steps(self) -> tuple[Step, ...]:
        """All steps in the order of time; those of one moment as they were read."""
        return tuple(sorted(self._steps, key=lambda step: step.began_ms))

    async def read(self, connection: Connection, session: types.Session, *, part: str, after: str | None, parent_id: str | None) -> None:
        """Read a session, and those of its sub-agents.

        Args:
            connection: The server.
            session: The session.
            part: What it was for.
            after: The newest message that was copied from the session that it is a fork of; None for no fork.
            parent_id: The session above it.

        Raises:
            DriverError: It cannot be read; what was read of it before stands.
        """
        self.version = connection.health.version
        self.directory = self.directory or session.directory
        place = len(self.sessions)
        self.sessions.append(Session(session.id, parent_id, connection.redact(session.title), session.agent or "", part))
        found, agent = await self._read_steps(connection, session, after)
        self.sessions[place] = replace(self.sessions[place], agent=session.agent or agent)
        if any(isinstance(step, ToolCall) and step.tool == _AGENTS for step in found):
            began_ms = min(step.began_ms for step in found)
            for child in await connection.children(session):
                # A fork's or an earlier turn's sub-agents are older than this prompt.
                if child.created_ms >= began_ms:
                    await self.read(connection, child, part="sub-agent", after=None, parent_id=session.id)

    def add_unread(self, session: types.Session, *, part: str, parent_id: str | None, why: str) -> None:
        """Name a session of which nothing can be read."""
        self.directory = self.directory or session.directory
        self.sessions.append(Session(session.id, parent_id, session.title, session.agent or "", part))
        self.left_out.append(f"session {session.id} could not be read: {why}")

    async def _read_steps(self, connection: Connection, session: types.Session, after: str | None) -> tuple[list[Step], str]:
        newest_first: list[Step] = []
        agent = ""
        size = 0
        try:
            async for page in connection.pages(session):
                for message in reversed(page):
                    if message.id == after:
                        return newest_first, agent
                    agent = agent or message.agent
                    steps = list(_steps_of(message, connection.redact))
                    newest_first += reversed(steps)
                    size += sum(map(_size_of, steps))
                if size > _MOST_CHARS:
                    self.left_out.append(f"older steps of session {session.id}: they were not read")
                    break
            return newest_first, agent
        finally:
            self._steps += reversed(newest_first)
            self._size += size
            self._drop_oldest()

    def _drop_oldest(self) -> None:
        if self._size <= _MOST_CHARS:
            return
        kept: list[Step] = []
        dropped = 0
        for step in self.steps:
            if self._size > _MOST_CHARS and not isinstance(step, Prompt):
                self._size -= _size_of(step)
                dropped += 1
            else:
                kept.append(step)
        self._steps = kept
        self.left_out.append(f"{dropped} of the oldest steps: the transcript would be too large with them")


def _size_of(step: Step) -> int:
    match step:
        case Prompt():
            return _STEP_CHARS + len(step.text)
        case ModelCall():
            return _STEP_CHARS + len(step.text) + len(step.reasoning)
        case ToolCall():
            return _STEP_CHARS + len(step.output) + len(json.dumps(step.input))


def _steps_of(message: types.Message, redact: Callable[[str], str]) -> Iterator[Step]:
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


def _tool_call(message: types.Message, part: types.Part, redact: Callable[[str], str]) -> ToolCall:
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


def _bounded(text: str, most: int, redact: Callable[[str], str]) -> str:
    """Return the text without secrets; of a long one the beginning and the end."""
    if len(text) <= most:
        return redact(text)
    half = most // 2 - 32
    begin, end = redact(text[: half + _SPARE])[:half], redact(text[-half - _SPARE :])[-half:]
    return f"{begin}\n[… {len(text) - 2 * half} characters left out …]\n{end}"


def _bounded_input(given: Mapping[str, object], redact: Callable[[str], str]) -> dict[str, object]:
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
