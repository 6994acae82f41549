"""Facts that travel between the driver and its host: progress, requests of the agent, decisions on them.

Owns three frozen types and nothing else; every layer may import it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

EventKind = Literal[
    "server_started",
    "server_stopped",
    "session_created",
    "session_deleted",
    "status",
    "tool",
    "text",
    "permission",
    "question",
    "deadline",
    "turn_finished",
    "stopping",
    "transcript_written",
    "event",
]


@dataclass(frozen=True, slots=True)
class ProgressEvent:
    """Something happened while an action ran.

    ``message`` is one line of text for people; ``at_seconds`` counts from the start of the turn (or of the call);
    ``facts`` holds JSON values for machines.
    """

    kind: EventKind
    message: str
    session_id: str | None = None
    at_seconds: float = 0.0
    facts: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AgentQuestion:
    """One question of the agent's ``question`` tool."""

    question: str
    header: str
    options: tuple[str, ...]
    multiple: bool


@dataclass(frozen=True, slots=True)
class PendingRequest:
    """A permission or a question that blocks a turn until it is answered (F29)."""

    kind: Literal["permission", "question"]
    id: str
    session_id: str
    directory: str
    permission: str | None = None
    patterns: tuple[str, ...] = ()
    tool: str | None = None
    questions: tuple[AgentQuestion, ...] = ()
    call_id: str | None = None

    def to_wire(self) -> dict[str, object]:
        """The JSON form used in results and errors."""
        wire: dict[str, object] = {"id": self.id, "kind": self.kind, "session_id": self.session_id}
        if self.kind == "permission":
            wire |= {"permission": self.permission or "", "patterns": list(self.patterns)}
            if self.tool is not None:
                wire["tool"] = self.tool
        else:
            wire["questions"] = [
                {"question": item.question, "header": item.header, "options": list(item.options), "multiple": item.multiple}
                for item in self.questions
            ]
        return wire


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer to a pending request.

    For a permission ``answer`` is ``once``, ``always`` or ``reject`` and ``message`` (optional) says why to the agent;
    for a question ``answers`` holds the chosen labels, one tuple a question, or ``answer`` is ``reject``.
    """

    answer: Literal["once", "always", "reject", "answers"]
    message: str | None = None
    answers: tuple[tuple[str, ...], ...] = ()


__all__ = ["AgentQuestion", "Decision", "EventKind", "PendingRequest", "ProgressEvent"]
