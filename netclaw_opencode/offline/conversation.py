"""What one chat request tells: whose turn it is, how far it has come, and where it works.

Owns the reading of a request's messages. Everything is derived from the request itself, never from an earlier one, so
conversations that run at the same time cannot disturb one another.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

_DIRECTORY = re.compile(r"^\s*Working directory: (.+?)\s*$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Conversation:
    """One model call, read.

    ``step`` counts the model's answers since ``prompt``, ``attempt`` equal requests before;
    ``session_id`` is OpenCode's.
    """

    prompt: str
    step: int
    attempt: int
    session_id: str | None
    system: str = field(repr=False)
    directory: str | None
    model: str
    tool_names: tuple[str, ...] = field(repr=False)
    tool_results: tuple[str, ...]
    earlier_prompts: tuple[str, ...]

    @property
    def is_title_call(self) -> bool:
        """Whether this is the side call that asks for a session title (F9: a call without tools)."""
        return not self.tool_names and "title generator" in self.system

    @property
    def is_summary_call(self) -> bool:
        """Whether this is the call in which a full context is summed up (F58: a call without tools that shows the conversation)."""
        return not self.tool_names and self.prompt.lstrip().startswith("Here is the conversation so far")


def read_conversation(body: Mapping[str, object], *, attempt: int = 0, session_id: str | None = None) -> Conversation:
    """Read a chat request; whatever is missing or of another shape reads as empty."""
    messages = messages_of(body)
    users = [index for index, message in enumerate(messages) if message.get("role") == "user"]
    since = messages[users[-1] + 1 :] if users else []
    system = "\n".join(text_of(message) for message in messages if message.get("role") == "system")
    found = _DIRECTORY.search(system)
    return Conversation(
        prompt=text_of(messages[users[-1]]) if users else "",
        step=sum(1 for message in since if message.get("role") == "assistant"),
        attempt=attempt,
        session_id=session_id,
        system=system,
        directory=found.group(1) if found else None,
        model=str(body.get("model", "")),
        tool_names=tuple(_tool_name(tool) for tool in _sequence(body.get("tools"))),
        tool_results=tuple(text_of(message) for message in since if message.get("role") == "tool"),
        earlier_prompts=tuple(text_of(messages[index]) for index in users[:-1]),
    )


def messages_of(body: Mapping[str, object]) -> tuple[Mapping[str, object], ...]:
    """The messages of a chat request."""
    return tuple(_mapping(item) for item in _sequence(body.get("messages")))


def text_of(message: Mapping[str, object]) -> str:
    """The text of a message whose content is text or a list of content parts."""
    content = message.get("content")
    if isinstance(content, str):
        return content
    parts = (_mapping(part) for part in _sequence(content))
    return "\n".join(str(part.get("text", "")) for part in parts if part.get("type") == "text")


def _tool_name(tool: object) -> str:
    return str(_mapping(_mapping(tool).get("function")).get("name", ""))


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}


def _sequence(value: object) -> Sequence[object]:
    return value if isinstance(value, Sequence) and not isinstance(value, str | bytes) else ()
