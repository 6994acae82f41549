"""What OpenCode's server knows, as frozen types.

Owns the shapes only; ``client.reading`` makes them from the server's JSON.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from netclaw_opencode.jsontypes import JsonObject


@dataclass(frozen=True, slots=True)
class ModelRef:
    """A model, as messages name it (F12)."""

    provider_id: str
    model_id: str
    variant: str | None = None

    def __str__(self) -> str:
        return f"{self.provider_id}/{self.model_id}"

    def to_wire(self) -> dict[str, object]:
        """``{providerID, modelID, variant?}``."""
        wire: dict[str, object] = {"providerID": self.provider_id, "modelID": self.model_id}
        if self.variant is not None:
            wire["variant"] = self.variant
        return wire


@dataclass(frozen=True, slots=True)
class PermissionRule:
    """A rule of an agent; of several that fit, the last one decides."""

    permission: str
    pattern: str
    action: str


@dataclass(frozen=True, slots=True)
class Health:
    """The answer of ``/global/health`` (F3)."""

    healthy: bool
    version: str


@dataclass(frozen=True, slots=True)
class Session:
    """A session as the server lists it; times are epoch milliseconds."""

    id: str
    title: str
    directory: str
    created_ms: int
    updated_ms: int
    parent_id: str | None = None
    agent: str | None = None
    model: ModelRef | None = None
    metadata: JsonObject = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SessionStatus:
    """One entry of the status map. An idle session has no entry (F18)."""

    kind: Literal["busy", "retry", "idle"]
    attempt: int = 0
    message: str = ""
    next_ms: int = 0


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens and cost in US dollars, as the server counts them."""

    input: int = 0
    output: int = 0
    reasoning: int = 0
    cache_read: int = 0
    cache_write: int = 0
    cost: float = 0.0

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.input + other.input,
            self.output + other.output,
            self.reasoning + other.reasoning,
            self.cache_read + other.cache_read,
            self.cache_write + other.cache_write,
            self.cost + other.cost,
        )


@dataclass(frozen=True, slots=True)
class FileChange:
    """A changed file; ``diff`` is unified diff text, empty if the server has none."""

    path: str
    status: Literal["added", "modified", "deleted"]
    additions: int
    deletions: int
    diff: str

    def to_wire(self) -> dict[str, object]:
        return {
            "path": self.path,
            "status": self.status,
            "additions": self.additions,
            "deletions": self.deletions,
            "diff": self.diff,
        }


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a message. Only tool parts have ``tool`` and what follows it; ``files`` are the absolute paths that a step changed.

    ``started_ms`` and ``ended_ms`` are epoch milliseconds, None where they are not told.
    """

    id: str
    type: str
    text: str = ""
    synthetic: bool = False
    tool: str = ""
    call_id: str = ""
    tool_status: str = ""
    title: str = ""
    tool_input: JsonObject = field(default_factory=dict)
    tool_metadata: JsonObject = field(default_factory=dict)
    tool_output: str = ""
    tool_error: str = ""
    started_ms: int | None = None
    ended_ms: int | None = None
    files: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class MessageError:
    """``info.error`` of an assistant message; ``text`` is foreign text."""

    name: str
    text: str
    status_code: int | None = None


@dataclass(frozen=True, slots=True)
class Message:
    """A user or assistant message with its parts; times are epoch milliseconds."""

    id: str
    role: str
    session_id: str
    created_ms: int
    parts: tuple[Part, ...]
    parent_id: str | None = None
    completed_ms: int | None = None
    finish: str | None = None
    error: MessageError | None = None
    model: ModelRef | None = None
    usage: Usage = Usage()
    structured: object = None
    agent: str = ""
    is_summary: bool = False
    """An assistant message that sums up what a compaction takes out of the context (F58)."""

    @property
    def is_continuation(self) -> bool:
        """Whether OpenCode wrote this user message itself, so that the turn goes on below it (F58): a compaction, or synthetic text.

        A message comes into the store before its parts; until they are there, it is its own caller's.
        """
        texts = [part for part in self.parts if part.type == "text"]
        compacts = any(part.type == "compaction" for part in self.parts)
        return self.role == "user" and (compacts or not self.parts or (bool(texts) and all(part.synthetic for part in texts)))

    @property
    def text(self) -> str:
        """The text that the model wrote, parts joined."""
        return "\n".join(part.text for part in self.parts if part.type == "text" and not part.synthetic and part.text)


@dataclass(frozen=True, slots=True)
class Model:
    """A model of a provider; ``variants`` maps a variant's name to its options (F13)."""

    id: str
    provider_id: str
    name: str
    variants: Mapping[str, JsonObject]
    context: int
    output: int
    reasoning: bool
    tool_call: bool
    has_price: bool = False
    """Whether the server knows what its tokens cost."""


@dataclass(frozen=True, slots=True)
class Provider:
    """A model provider, without the key that the server would show (F45)."""

    id: str
    name: str
    models: Mapping[str, Model]


@dataclass(frozen=True, slots=True)
class ServerEvent:
    """One event of the global stream (F31)."""

    type: str
    properties: JsonObject
    directory: str | None = None

    @property
    def parent_id(self) -> str | None:
        """The session above the one that the event is about, where it says so."""
        info = self.properties.get("info")
        found = info.get("parentID") if isinstance(info, Mapping) else None
        return found if isinstance(found, str) else None

    @property
    def session_id(self) -> str | None:
        """The session that the event is about, if any."""
        for holder in (self.properties, self.properties.get("info"), self.properties.get("part")):
            if isinstance(holder, Mapping):
                found = holder.get("sessionID")
                if isinstance(found, str):
                    return found
        info = self.properties.get("info")
        if self.type.startswith("session.") and isinstance(info, Mapping) and isinstance(info.get("id"), str):
            return str(info["id"])
        return None
