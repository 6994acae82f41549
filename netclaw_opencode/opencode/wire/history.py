"""The messages of a session, read in pages and kept small (F56-F58).

A task of some hours has hundreds of messages and many megabytes in the store. While it runs, only its newest messages are looked at; the
older ones are read once, backwards, when it has ended. Of each message only what a verdict and a result need is kept: no output of a
tool, no content of a file.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from netclaw_opencode.errors import ActionFailed
from netclaw_opencode.opencode.wire import reading, routes
from netclaw_opencode.opencode.wire.http import HttpNotFoundError
from netclaw_opencode.opencode.wire.types import FileChange, Message, MessageError, ModelRef, Part, Usage

if TYPE_CHECKING:
    from netclaw_opencode.opencode.wire.http import HttpClient
    from netclaw_opencode.opencode.wire.types import Session

NEWEST = 2
"""As many messages as a look reads: the last step, and a plain answer's prompt."""
_PAGE_BYTES = 256 * 1024
"""About as much as a page of older messages is made to hold; a single message may be larger."""
_MOST_IN_PAGE = 100
LONGEST_DIFF = 256 * 1024
"""A longer diff of one file, in characters, is left out: it is not read, and the file is there."""
_WRITERS = ("write", "edit", "patch", "apply_patch", "multiedit")


@dataclass(frozen=True, slots=True)
class ToolUse:
    """One call of a tool by the agent."""

    tool: str
    status: str
    title: str
    call_id: str = ""

    def to_wire(self) -> dict[str, object]:
        return {"tool": self.tool, "status": self.status, "title": self.title}


@dataclass(frozen=True, slots=True)
class Step:
    """What is kept of one message; times are epoch milliseconds of the server's clock.

    ``changes`` are the files that its tools wrote, ``overwritten`` those of them whose former content is unknown, and
    ``announced`` the absolute paths that the server's own snapshot of the step names.
    """

    id: str
    role: str
    created_ms: int
    parent_id: str | None = None
    completed_ms: int | None = None
    finish: str | None = None
    error: MessageError | None = None
    model: ModelRef | None = None
    usage: Usage = field(default_factory=Usage)
    structured: object = None
    text: str = ""
    tools: tuple[ToolUse, ...] = ()
    changes: tuple[FileChange, ...] = ()
    overwritten: tuple[str, ...] = ()
    announced: tuple[str, ...] = ()
    is_summary: bool = False
    is_continuation: bool = False
    has_parts: bool = True
    """False for a message that has just come into the store, before its parts."""

    @property
    def is_complete(self) -> bool:
        """Whether the message was written to its end, its tools included."""
        return self.completed_ms is not None and not any(item.status in ("running", "pending") for item in self.tools)

    @classmethod
    def from_message(cls, message: Message, *, directory: str) -> Step:
        """Keep what matters of a message; paths become relative to ``directory`` if they lie below it."""
        return cls(
            id=message.id,
            role=message.role,
            created_ms=message.created_ms,
            parent_id=message.parent_id,
            completed_ms=message.completed_ms,
            finish=message.finish,
            error=message.error,
            model=message.model,
            usage=message.usage,
            structured=message.structured,
            text=message.text,
            tools=tuple(ToolUse(part.tool, part.tool_status, part.title, part.call_id) for part in message.parts if part.tool),
            changes=tuple(change for part in message.parts if (change := _read_file_change(part, directory)) is not None),
            overwritten=tuple(relativize(str(part.tool_metadata["filepath"]), directory) for part in message.parts if _overwrote(part)),
            announced=tuple(relativize(path, directory) for part in message.parts for path in part.files),
            is_summary=message.is_summary,
            is_continuation=message.is_continuation,
            has_parts=bool(message.parts),
        )


class History:
    """What was read of one session's messages so far, oldest first in ``steps``.

    ``newest`` is the last page that was read; ``reached_back`` says whether everything from the asked message on is known.
    ``on_message`` is called with each message as it is read, so that nobody has to read it again for what is not kept here.
    """

    def __init__(self, http: HttpClient, session: Session, *, on_message: Callable[[Message], None] | None = None) -> None:
        self._http = http
        self._session = session
        self._on_message = on_message
        self._steps: dict[str, Step] = {}
        self._gap_ends_at: str | None = None
        """The oldest message above which everything is known, once a reading back has reached its goal."""
        self._next_cursor: str | None = None
        self._per_message = 0.0
        self.newest: tuple[Step, ...] = ()
        self.reached_back = False
        self.is_whole = False
        """Whether a reading back came to the session's first message."""

    @property
    def steps(self) -> tuple[Step, ...]:
        """Everything that is known, oldest first by the server's clock."""
        return tuple(sorted(self._steps.values(), key=lambda step: (step.created_ms, step.id)))

    @property
    def last(self) -> Step | None:
        """The newest message, if there is any."""
        return self.newest[-1] if self.newest else None

    def get(self, message_id: str) -> Step | None:
        """Return a message that was read."""
        return self._steps.get(message_id)

    async def read_newest(self, limit: int = NEWEST, *, limit_seconds: float | None = None) -> tuple[Step, ...]:
        """Read the newest messages, oldest first.

        Raises:
            ActionFailed: ``session_not_found``.
        """
        self.newest = await self._read_page(limit, None, limit_seconds=limit_seconds)
        return self.newest

    async def read_one(self, message_id: str) -> Step | None:
        """Read one message by id; None if the store has none of that id (yet)."""
        known = self._steps.get(message_id)
        if known is not None and known.has_parts:
            return known
        ids = {"session_id": self._session.id, "message_id": message_id}
        try:
            answer = await self._http.call(routes.MESSAGE, ids=ids, directory=self._session.directory)
        except HttpNotFoundError:
            return None
        return self._keep(reading.message(answer))

    async def read_back_to(self, message_id: str) -> bool:
        """Read older pages until everything from this message on is known; returns whether it was found.

        Starts below the page that was read last, so call ``read_newest`` before. What an earlier reading back has covered is not
        read again.
        """
        page, limit = self.newest, NEWEST
        while not self._closes_gap(page, message_id):
            if self._next_cursor is None:
                self.is_whole = True
                return self.reached_back
            limit = self._page_size(limit)
            page = await self._read_page(limit, self._next_cursor)
        self.reached_back = True
        if self.newest:
            self._gap_ends_at = self.newest[0].id
        return True

    def _closes_gap(self, page: Sequence[Step], message_id: str) -> bool:
        ids = {step.id for step in page}
        return message_id in ids or (self._gap_ends_at is not None and self._gap_ends_at in ids)

    def _page_size(self, before: int) -> int:
        # Never much more than twice the last one: what comes may be larger than what was seen.
        fitting = int(_PAGE_BYTES / max(self._per_message, 1.0))
        return max(1, min(fitting, 2 * before, _MOST_IN_PAGE))

    async def _read_page(self, limit: int, before: str | None, *, limit_seconds: float | None = None) -> tuple[Step, ...]:
        try:
            answer = await self._http.page(
                routes.MESSAGES,
                ids={"session_id": self._session.id},
                directory=self._session.directory,
                limit=limit,
                before=before,
                limit_seconds=limit_seconds,
            )
        except HttpNotFoundError as error:
            raise session_not_found(self._session.id) from error
        steps = tuple(self._keep(message) for message in reading.messages(answer.content))
        self._next_cursor = answer.next_cursor
        self._per_message = answer.size / max(len(steps), 1)
        return steps

    def _keep(self, message: Message) -> Step:
        if self._on_message is not None:
            self._on_message(message)
        step = Step.from_message(message, directory=self._session.directory)
        self._steps[step.id] = step
        return step


def session_not_found(session_id: str) -> ActionFailed:
    """Return the error for a session that is not there; an abort of it would have answered ``true`` (F22)."""
    return ActionFailed("session_not_found", f"the server has no session {session_id}", details={"session_id": session_id})


def relativize(path: str, directory: str) -> str:
    """Return the path as people of that directory say it."""
    inside = Path(path)
    return str(inside.relative_to(directory)) if inside.is_relative_to(directory) else path


def drop_long_diff(change: FileChange) -> FileChange:
    """Return the change without its diff where that is too long."""
    return change if len(change.diff) <= LONGEST_DIFF else replace(change, diff="")


def _overwrote(part: Part) -> bool:
    """Return whether a tool replaced a file whose former content is unknown."""
    told = part.tool_metadata
    done = part.tool_status == "completed"
    return done and "filediff" not in told and isinstance(told.get("filepath"), str) and told.get("exists") is True


def _read_file_change(part: Part, directory: str) -> FileChange | None:
    """Return the file that a tool wrote, for folders without git, where the server keeps no snapshots."""
    if part.tool not in _WRITERS or part.tool_status != "completed":
        return None
    change = part.tool_metadata.get("filediff")
    if isinstance(change, Mapping):
        read = reading.file_change(change)
        return drop_long_diff(
            replace(read, path=relativize(read.path, directory), diff=read.diff or str(part.tool_metadata.get("diff", "")))
        )
    path, content = part.tool_metadata.get("filepath"), part.tool_input.get("content")
    if not isinstance(path, str) or not isinstance(content, str):
        return None
    shown = relativize(path, directory)
    existed = part.tool_metadata.get("exists") is True
    # Not splitlines: a file of a megabyte would be held once more, line by line.
    additions = content.count("\n") + (bool(content) and not content.endswith("\n"))
    # What a file held before an overwrite is unknown, so its diff would be a guess.
    told = not existed and len(content) <= LONGEST_DIFF
    diff = "".join(difflib.unified_diff([], content.splitlines(keepends=True), "/dev/null", shown)) if told else ""
    return FileChange(shown, "modified" if existed else "added", additions, 0, diff)


__all__ = ["LONGEST_DIFF", "NEWEST", "History", "Step", "ToolUse", "drop_long_diff", "relativize", "session_not_found"]
