"""The result of a turn, with its evidence.

Owns the gathering of what a finished turn did (text, files, tools, usage with sub-agents' share) and its form in
results. Whether the turn succeeded was decided before, by ``verdict``.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import anyio

from netclaw_opencode import calltime
from netclaw_opencode.client.types import FileChange, Usage

if TYPE_CHECKING:
    from netclaw_opencode.client.types import Message, ModelRef, Part, Session
    from netclaw_opencode.driver.connection import Connection
    from netclaw_opencode.driver.models import ThinkingChoice
    from netclaw_opencode.driver.verdict import Snapshot, Verdict

_SHELL_NOTE = "files_changed leaves out what shell commands changed: OpenCode sees that only inside a git repository"
_OVERWRITTEN_NOTE = "written over, outside a git repository: {}; what was there before is not known, so diff and deletions are missing"
_LATE_NOTE = "the server was too slow to tell everything about the finished turn: files_changed and usage may be incomplete"
_SNAPSHOT_LOOKS = 20
_SNAPSHOT_PAUSE_SECONDS = 0.05
GATHER_SECONDS = 5.0
"""Time for reading what belongs to a finished turn, however near the deadline is, in seconds."""
_WRITERS = ("write", "edit", "patch", "apply_patch", "multiedit")


@dataclass(frozen=True, slots=True)
class UsageSum:
    """Usage of a turn over the session tree (F36: a parent's own figures leave sub-agents out)."""

    usage: Usage
    sessions: int
    model_calls: int

    def to_wire(self) -> dict[str, object]:
        usage = self.usage
        return {
            "input": usage.input,
            "output": usage.output,
            "reasoning": usage.reasoning,
            "cache_read": usage.cache_read,
            "cache_write": usage.cache_write,
            "total": usage.input + usage.output + usage.reasoning + usage.cache_read + usage.cache_write,
            "cost_usd": usage.cost,
            "sessions": self.sessions,
            "model_calls": self.model_calls,
        }


@dataclass(frozen=True, slots=True)
class TurnResult:
    """A turn that succeeded."""

    session_id: str
    message_id: str
    text: str
    structured: object
    final: Message
    replies: tuple[Message, ...]
    verdict: Verdict
    model: ModelRef | None
    usage: UsageSum
    files: tuple[FileChange, ...]
    elapsed_seconds: float
    thinking: ThinkingChoice | None = None
    phases: Mapping[str, float] | None = None
    statuses: tuple[str, ...] = ()
    events: int = 0
    answered: tuple[Mapping[str, object], ...] = ()
    notes: tuple[str, ...] = ()

    def to_wire(self) -> dict[str, object]:
        """The ``TURN`` shape of the output schemas."""
        wire: dict[str, object] = {
            "session_id": self.session_id,
            "message_id": self.message_id,
            "state": "completed",
            "text": self.text,
            "finish": self.final.finish or "",
            "truncated": self.verdict.flag == "truncated",
            "filtered": self.verdict.flag == "filtered",
            "usage": self.usage.to_wire(),
            "files_changed": [item.to_wire() for item in self.files],
            "tools": [_tool_wire(part) for message in self.replies for part in message.parts if part.tool],
            "elapsed_seconds": round(self.elapsed_seconds, 3),
            "phases": {name: round(seconds, 3) for name, seconds in (self.phases or {}).items()},
            "evidence": {
                "assistant_message_id": self.final.id,
                "parent_id": self.final.parent_id or "",
                "finish": self.final.finish or "",
                "assistant_messages": len(self.replies),
                "statuses": list(self.statuses),
                "events": self.events,
                "decided_by": "message_store",
            },
            "notes": list(self.notes),
        }
        if self.answered:
            wire["answered"] = [dict(item) for item in self.answered]
        if self.structured is not None:
            wire["structured"] = self.structured
        if self.model is not None:
            wire["model"] = self.model.to_wire()
        if self.thinking is not None:
            wire["thinking"] = self.thinking.to_wire()
        return wire


def _tool_wire(part: Part) -> dict[str, object]:
    return {"tool": part.tool, "status": part.tool_status, "title": part.title}


async def gather(
    connection: Connection, session: Session, seen: Snapshot, verdict: Verdict, *, within_seconds: float = GATHER_SECONDS
) -> TurnResult:
    """Read what belongs to a finished turn: the files it changed and the usage of its sub-agents.

    What cannot be read in time is left out, and a note says so: the turn itself is known to be complete.
    """
    if verdict.final is None:
        raise ValueError("only a turn with a final message has a result")
    replies = seen.replies
    tools = {part.tool for message in replies for part in message.parts if part.tool}
    # Files change by tools, and sub-agents run by the task tool: a plain answer needs no further reading.
    snapshots: tuple[FileChange, ...] = ()
    usage = _sum(replies)
    with anyio.move_on_after(calltime.within(within_seconds)) as reading:
        snapshots = await _snapshots(connection, session, seen) if tools else ()
        for child in await connection.children(session) if "task" in tools else ():
            # A fork's or an earlier turn's sub-agents are older than this prompt and were counted then.
            if child.created_ms >= min(item.created_ms for item in replies):
                usage = _plus(usage, await _child_usage(connection, child))
    late = (_LATE_NOTE,) if reading.cancelled_caught else ()
    return TurnResult(
        session_id=session.id,
        message_id=seen.message_id,
        text=verdict.final.text,
        structured=verdict.final.structured,
        final=verdict.final,
        replies=replies,
        verdict=verdict,
        model=verdict.final.model,
        usage=usage,
        files=snapshots or _files_of_tools(replies, session.directory),
        elapsed_seconds=_elapsed(seen, verdict.final),
        notes=late if snapshots else (*late, *_notes_of_tools(replies, session.directory)),
    )


async def _child_usage(connection: Connection, child: Session) -> UsageSum:
    usage = _sum(tuple(item for item in await connection.messages(child) if item.role == "assistant"))
    for grandchild in await connection.children(child):
        usage = _plus(usage, await _child_usage(connection, grandchild))
    return usage


def _sum(replies: tuple[Message, ...]) -> UsageSum:
    return UsageSum(sum((item.usage for item in replies), Usage()), sessions=1, model_calls=len(replies))


def _plus(one: UsageSum, other: UsageSum) -> UsageSum:
    return UsageSum(one.usage + other.usage, one.sessions + other.sessions, one.model_calls + other.model_calls)


def _elapsed(seen: Snapshot, final: Message) -> float:
    """Seconds between prompt and completion by the server's clock, for turns that another process began."""
    prompt = next((item for item in seen.messages if item.id == seen.message_id), None)
    return ((final.completed_ms or final.created_ms) - (prompt or final).created_ms) / 1000


async def _snapshots(connection: Connection, session: Session, seen: Snapshot) -> tuple[FileChange, ...]:
    """What the turn changed, by the server's snapshots; empty outside a git repository.

    A ``patch`` part names the files that one step changed. The sum over the turn is made anew after each step, the last time a
    moment after the turn's answer was complete; so it is read until it holds every announced file and, where several steps
    changed the same one, until two looks agree. A file that was made and removed again never comes: the wait has an end.
    """
    steps = [part.files for message in seen.replies for part in message.parts if part.files]
    announced = {_relative(path, session.directory) for files in steps for path in files}
    settled = sum(map(len, steps)) == len(announced)
    found = await connection.diff(session, message_id=seen.message_id)
    for _ in range(_SNAPSHOT_LOOKS):
        if settled and announced <= {change.path for change in found}:
            break
        await anyio.sleep(_SNAPSHOT_PAUSE_SECONDS)
        earlier, found = found, await connection.diff(session, message_id=seen.message_id)
        settled = settled or found == earlier
    return found


def _notes_of_tools(replies: tuple[Message, ...], directory: str) -> tuple[str, ...]:
    """What is not known of a turn without snapshots."""
    done = [part for message in replies for part in message.parts if part.tool and part.tool_status == "completed"]
    over = {_relative(str(part.tool_metadata["filepath"]), directory): None for part in done if _overwrote(part)}
    ran = any(part.tool == "bash" for message in replies for part in message.parts)
    return (*((_SHELL_NOTE,) if ran else ()), *((_OVERWRITTEN_NOTE.format(", ".join(over)),) if over else ()))


def _overwrote(part: Part) -> bool:
    """Whether a tool replaced a file whose former content is told nowhere."""
    told = part.tool_metadata
    return "filediff" not in told and isinstance(told.get("filepath"), str) and told.get("exists") is True


def _files_of_tools(replies: tuple[Message, ...], directory: str) -> tuple[FileChange, ...]:
    """Files changed by tools, for folders without git, where the server keeps no snapshots."""
    found: dict[str, FileChange] = {}
    for message in replies:
        for part in message.parts:
            change = _file_of(part, directory) if part.tool in _WRITERS and part.tool_status == "completed" else None
            if change is None:
                continue
            earlier = found.get(change.path)
            if earlier is not None:
                change = replace(
                    change,
                    status=earlier.status,
                    additions=earlier.additions + change.additions,
                    deletions=earlier.deletions + change.deletions,
                    diff=f"{earlier.diff}{change.diff}",
                )
            found[change.path] = change
    return tuple(found.values())


def _file_of(part: Part, directory: str) -> FileChange | None:
    change = part.tool_metadata.get("filediff")
    if isinstance(change, Mapping):
        from netclaw_opencode.client.reading import file_change

        read = file_change(change)
        return replace(read, path=_relative(read.path, directory), diff=read.diff or str(part.tool_metadata.get("diff", "")))
    path, content = part.tool_metadata.get("filepath"), part.tool_input.get("content")
    if not isinstance(path, str) or not isinstance(content, str):
        return None
    shown = _relative(path, directory)
    lines = content.splitlines(keepends=True)
    existed = part.tool_metadata.get("exists") is True
    # What a file held before an overwrite is told nowhere, so its diff would be a guess.
    diff = "" if existed else "".join(difflib.unified_diff([], lines, "/dev/null", shown))
    return FileChange(shown, "modified" if existed else "added", len(lines), 0, diff)


def _relative(path: str, directory: str) -> str:
    inside = Path(path)
    return str(inside.relative_to(directory)) if inside.is_relative_to(directory) else path
