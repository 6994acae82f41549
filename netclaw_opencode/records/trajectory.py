"""The transcript of a task: what was asked, what the model answered, which tools ran, when, and at what price.

Owns the document (its form is ``schemas/trajectory.schema.json``) and its file in the state folder. Who reads it: the page, ATIF, spans. It
knows no server and decides nothing.
"""

from __future__ import annotations

import json
import os
import secrets
import stat
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cache
from pathlib import Path
from typing import TypeAlias, cast

from netclaw_opencode._core.documents import read_json
from netclaw_opencode._core.private_files import make_private_folder, replace_private, sweep_files
from netclaw_opencode._core.redaction import redact_json
from netclaw_opencode._core.resources import find_bundled
from netclaw_opencode._core.validation import find_problems
from netclaw_opencode.errors import InvalidInput
from netclaw_opencode.jsontypes import JsonObject

FORM = 1
MOST_BYTES = 16 * 1024 * 1024
"""A larger file is none of ours: documents are made to stay below it."""
_MOST_FILES, _LONGEST_DAYS = 500, 7


@dataclass(frozen=True, slots=True)
class Session:
    """A session of the task; ``part`` is what it was for: ``task``, ``plan``, ``implementation``, ``repair 1``, ``sub-agent``."""

    session_id: str
    parent_id: str | None = None
    title: str = ""
    agent: str = ""
    part: str = "task"


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens and cost in US dollars of one model call."""

    input: int = 0
    output: int = 0
    reasoning: int = 0
    cache_read: int = 0
    cache_write: int = 0
    cost_usd: float = 0.0

    def __add__(self, other: Usage) -> Usage:
        return Usage(*(getattr(self, item.name) + getattr(other, item.name) for item in fields(self)))


@dataclass(frozen=True, slots=True)
class Prompt:
    """What was asked; times are epoch milliseconds of the server's clock, here and below."""

    session_id: str
    message_id: str
    at_ms: int
    text: str

    @property
    def began_ms(self) -> int:
        """When it came, as for the other steps."""
        return self.at_ms


@dataclass(frozen=True, slots=True)
class ModelCall:
    """One call of the model; ``ended_ms`` is None if its end was not seen; a ``summary`` sums up what a compaction drops."""

    session_id: str
    message_id: str
    began_ms: int
    ended_ms: int | None = None
    model: Mapping[str, object] = field(default_factory=dict)
    text: str = ""
    reasoning: str = ""
    finish: str = ""
    error: Mapping[str, object] | None = None
    usage: Usage = Usage()
    summary: bool = False


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One call of a tool by the model of ``message_id``; of an output longer than ``output`` is, ``output_chars`` is the length."""

    session_id: str
    message_id: str
    call_id: str
    tool: str
    began_ms: int
    ended_ms: int | None = None
    title: str = ""
    status: str = "completed"
    input: Mapping[str, object] = field(default_factory=dict)
    output: str = ""
    output_chars: int = 0


Step: TypeAlias = Prompt | ModelCall | ToolCall
_KINDS: Mapping[type[Step], str] = {Prompt: "prompt", ModelCall: "model_call", ToolCall: "tool"}


@dataclass(frozen=True, slots=True)
class Trajectory:
    """A task from its first prompt to its end.

    Attributes:
        action: The action that ran it.
        version: This program's version.
        began_at: When the call began, in UTC (``2026-11-26T14:00:00Z``).
        ended_at: When it ended.
        directory: Where the agent worked.
        outcome: ``completed``, ``waiting``, ``cancelled`` or the code of the error.
        model: ``providerID`` and ``modelID`` of the last model call; empty if none was seen.
        opencode: The server's version; empty if it is not known.
        sessions: Every session, in the order of their beginning.
        steps: Prompts, model calls and tool calls of all sessions, in the order of time.
        left_out: What is not in it, in words.
        result: The data of the result without the texts that stand in ``steps``; None if it failed.
        error: The error of the envelope; None if it succeeded.
    """

    action: str
    version: str
    began_at: str
    ended_at: str
    directory: str
    outcome: str
    model: Mapping[str, object] = field(default_factory=dict)
    opencode: str = ""
    sessions: tuple[Session, ...] = ()
    steps: tuple[Step, ...] = ()
    left_out: tuple[str, ...] = ()
    result: JsonObject | None = None
    error: JsonObject | None = None

    def to_wire(self) -> dict[str, object]:
        """Return the document."""
        wire = {"form": FORM, **_members(self)}
        wire["sessions"] = [_members(item) for item in self.sessions]
        wire["steps"] = [_step_to_wire(step) for step in self.steps]
        wire["left_out"] = list(self.left_out)
        return wire

    @classmethod
    def from_wire(cls, wire: object, *, source: str = "the document") -> Trajectory:
        """Read a document.

        Args:
            wire: The JSON value.
            source: What an error calls it, such as its path.

        Raises:
            InvalidInput: ``invalid_input``: it is no transcript of a task, one of another version, or damaged.
        """
        if not isinstance(wire, Mapping) or "form" not in wire or "steps" not in wire:
            raise _refuse(source, "it is no transcript of a task (trajectory) of this program")
        if wire["form"] != FORM:
            raise _refuse(source, f"its form is {str(wire['form'])[:40]!r}, and this version reads form {FORM}")
        whole, kinds = _schemas()
        for problem in find_problems(wire, whole, incoming=True):
            raise _refuse(source, f"it is damaged: {problem.message}")
        for place, step in enumerate(wire["steps"]):
            kind = step.get("kind") if isinstance(step, Mapping) else None
            if not isinstance(kind, str) or kind not in kinds:
                raise _refuse(source, f"it is damaged: steps[{place}].kind is none of {', '.join(kinds)}")
            for problem in find_problems(step, kinds[kind]):
                raise _refuse(source, f"it is damaged: steps[{place}]: {problem.message}")
        known = {item.name for item in fields(cls)}
        members = {name: value for name, value in wire.items() if name in known}
        members["sessions"] = tuple(Session(**item) for item in wire["sessions"])
        members["steps"] = tuple(_step_from_wire(item) for item in wire["steps"])
        members["left_out"] = tuple(wire["left_out"])
        return cls(**members)


def _members(item: object) -> dict[str, object]:
    return {member.name: getattr(item, member.name) for member in fields(cast("Trajectory", item))}


def _step_to_wire(step: Step) -> dict[str, object]:
    wire = {"kind": _KINDS[type(step)], **_members(step)}
    if isinstance(step, ModelCall):
        wire["usage"] = _members(step.usage)
    return wire


def _step_from_wire(wire: Mapping[str, object]) -> Step:
    members = cast("dict[str, object]", {name: value for name, value in wire.items() if name != "kind"})
    if wire["kind"] == "prompt":
        return Prompt(**members)  # type: ignore[arg-type]  # checked against the schema
    if wire["kind"] == "tool":
        return ToolCall(**members)  # type: ignore[arg-type]
    usage = Usage(**cast("Mapping[str, int]", members.pop("usage")))
    return ModelCall(**members, usage=usage)  # type: ignore[arg-type]


def _refuse(source: str, why: str) -> InvalidInput:
    return InvalidInput("invalid_input", f"{source}: {why}")


@cache
def _schemas() -> tuple[JsonObject, Mapping[str, JsonObject]]:
    """Return the schema without that of the steps, and that of each kind of step: so an error says what is wrong in which one."""
    schema = cast("dict[str, object]", read_json(find_bundled("schemas/trajectory.schema.json")).value)
    properties = {**cast("JsonObject", schema["properties"]), "steps": {"type": "array"}}
    kinds = {kind: {"$ref": f"#/$defs/{kind}", "$defs": schema["$defs"]} for kind in cast("JsonObject", schema["$defs"])}
    return {**schema, "properties": properties}, kinds


def write_trajectory(state_dir: Path, trajectory: Trajectory, *, hide: tuple[str, ...] = ()) -> Path:
    """Write a transcript into the state folder, whole or not at all, and return where it is; old ones go.

    Args:
        state_dir: The state folder.
        trajectory: The transcript.
        hide: Secrets that must not stand in it.

    Raises:
        ActionFailed: ``state_corrupt``: it cannot be written there.
    """
    folder = make_private_folder(state_dir, "trajectories")
    path = folder / f"trajectory_{time.time_ns() // 10**9}-{secrets.token_hex(4)}.json"
    text = json.dumps(redact_json(trajectory.to_wire(), secrets=hide), ensure_ascii=False, allow_nan=False)
    replace_private(path, text.encode("utf-8", "replace") + b"\n")
    sweep_files(folder, "trajectory_*.json", most=_MOST_FILES, longest_days=_LONGEST_DAYS)
    return path


def read_trajectory(path: Path) -> Trajectory:
    """Read a transcript from its file.

    Raises:
        InvalidInput: ``invalid_input``: it cannot be read, or it is none.
    """
    return Trajectory.from_wire(read_document(path), source=str(path))


def read_document(path: Path) -> object:
    """Read one JSON value from a regular file of a size that ours can have.

    Raises:
        InvalidInput: ``invalid_input``: it cannot be read.
    """
    shown = str(path)[:300]
    try:
        # Without a writer a pipe would hang the open.
        fd = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))
        with os.fdopen(fd, "rb") as file:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                raise _refuse(shown, "it is not a regular file")
            text = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise _refuse(shown, f"it cannot be read: {error.strerror or error}") from error
    if len(text) > MOST_BYTES:
        raise _refuse(shown, f"it is larger than {MOST_BYTES // 1024**2} MiB, so it is none of this program's")
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _refuse(shown, f"it is no JSON ({str(error)[:120]})") from error


__all__ = [
    "FORM",
    "ModelCall",
    "Prompt",
    "Session",
    "Step",
    "ToolCall",
    "Trajectory",
    "Usage",
    "read_document",
    "read_trajectory",
    "write_trajectory",
]
