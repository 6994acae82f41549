"""What the offline model can answer, as data: parts, faults and gates.

Owns the vocabulary of scripts. A *step* answers one model call and is one part or a sequence of parts; the parts are
streamed in order. Nothing here reads a request, opens a socket or waits, except ``Gate.wait_reached`` for the test.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

CONTROL_TEXT = "red \x1b[31m link \x1b]8;;http://x.test\x07y\x1b]8;;\x07 bidi \u202eabc\u202c c1 \x9b31m nul \x00 crlf\r\nend"


@dataclass(frozen=True, slots=True)
class Text:
    """Answer text, streamed in pieces of ``piece_characters`` with ``pause_seconds`` after each."""

    text: str
    piece_characters: int = 400
    pause_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Reasoning:
    """Thinking text (``reasoning_content``), shown by OpenCode as a part of type ``reasoning``."""

    text: str


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call of one of the agent's tools; ``${directory}`` in text arguments becomes the session's directory.

    ``pause_seconds`` holds the call back, so that a person who watches sees it come.
    """

    name: str
    arguments: Mapping[str, object]
    pause_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Usage:
    """The token counts that the model reports; without it a step reports counts made from its lengths."""

    prompt_tokens: int
    completion_tokens: int
    reasoning_tokens: int = 0
    cached_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Finish:
    """An explicit finish reason (``length``, ``content_filter``, …) in place of ``stop`` or ``tool_calls``."""

    reason: str


@dataclass(frozen=True, slots=True)
class Hang:
    """Nothing more is sent; the connection stays open until the caller leaves or the model is stopped."""


@dataclass(frozen=True, slots=True)
class HangMidStream:
    """Some text, then nothing more."""

    text: str = "the first words"


@dataclass(frozen=True, slots=True)
class Drip:
    """One piece of text every ``interval_seconds``, for ever unless ``count`` is given."""

    interval_seconds: float = 0.2
    count: int | None = None
    text: str = "."

    def __post_init__(self) -> None:
        """Refuse a drip without pauses: it would never let go of the model's thread."""
        if self.interval_seconds <= 0:
            raise ValueError("interval_seconds must be greater than 0")


@dataclass(frozen=True, slots=True)
class Status:
    """An HTTP error in place of an answer, for example ``Status(429, retry_after_seconds=3600)``."""

    code: int
    body: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    retry_after_seconds: int | None = None


@dataclass(frozen=True, slots=True)
class Html:
    """200 and a web page, as a captive portal answers."""

    body: str = "<!doctype html><html><body><h1>Please sign in to the network</h1></body></html>"


@dataclass(frozen=True, slots=True)
class CloseSocket:
    """The connection is reset, without an answer or in the middle of one."""


@dataclass(frozen=True, slots=True)
class Garbage:
    """A stream whose data is not JSON."""

    body: str = 'data: {"id": not json at all\n\n'


@dataclass(frozen=True, slots=True)
class CutStream:
    """Some text, then a proper end of the HTTP body, but no finish reason and no ``[DONE]``."""

    text: str = "half an ans"


@dataclass(frozen=True, slots=True)
class Empty:
    """A complete answer without any content."""


@dataclass(frozen=True, slots=True)
class Huge:
    """An answer of ``size_bytes`` ASCII characters."""

    size_bytes: int


@dataclass(frozen=True, slots=True)
class ControlCharacters:
    """Text with escape sequences, bidi controls, NUL and CRLF."""

    text: str = CONTROL_TEXT


@dataclass(eq=False, slots=True)
class Gate:
    """A place in a stream where the model holds until the test opens it.

    ``reached`` counts the calls that have come to the gate; an open gate holds nobody.
    """

    name: str
    reached: int = 0
    _opened: bool = False
    _changed: threading.Condition = field(default_factory=threading.Condition)
    _wakers: list[Callable[[], None]] = field(default_factory=list)

    @property
    def is_open(self) -> bool:
        """Whether the gate lets through."""
        return self._opened

    def open(self) -> None:
        """Let every held call go on, and every later one pass."""
        with self._changed:
            self._opened = True
            wakers, self._wakers = self._wakers, []
        for wake in wakers:
            wake()

    def wait_reached(self, timeout: float, *, count: int = 1) -> bool:
        """Wait at most ``timeout`` seconds until ``count`` calls have come to the gate; tell whether they have."""
        with self._changed:
            return self._changed.wait_for(lambda: self.reached >= count, timeout)

    def arrive(self, wake: Callable[[], None]) -> bool:
        """Note an arrival (the model calls this); true when it must hold until ``wake`` is called."""
        with self._changed:
            self.reached += 1
            self._changed.notify_all()
            if not self._opened:
                self._wakers.append(wake)
            return not self._opened


@dataclass(frozen=True, slots=True)
class Gated:
    """Streams the first chunk, holds at the gate, then streams the rest."""

    gate: Gate
    chunks: tuple[Part | str, ...]

    def __init__(self, gate: Gate, *chunks: Part | str) -> None:
        object.__setattr__(self, "gate", gate)
        object.__setattr__(self, "chunks", chunks)


@dataclass(frozen=True, slots=True)
class Attempts:
    """The first sending of a request takes the first step, its repetition the next; the last step repeats."""

    steps: tuple[Step, ...]

    def __init__(self, *steps: Step) -> None:
        if not steps:
            raise ValueError("Attempts needs at least one step")
        for step in steps:
            parts_of(step, attempt=0)
        object.__setattr__(self, "steps", steps)


Part = (
    Text
    | Reasoning
    | ToolCall
    | Usage
    | Finish
    | Hang
    | HangMidStream
    | Drip
    | Status
    | Html
    | CloseSocket
    | Garbage
    | CutStream
    | Empty
    | Huge
    | ControlCharacters
    | Gate
    | Gated
)
Step = Part | Attempts | Sequence[Part]


def parts_of(step: Step, *, attempt: int) -> tuple[Part, ...]:
    """The parts of a step for the given attempt (0 is the first sending), composed ones taken apart."""
    if isinstance(step, Attempts):
        return parts_of(step.steps[min(attempt, len(step.steps) - 1)], attempt=attempt)
    sequence = step if isinstance(step, Sequence) else (step,)
    parts: list[Part] = []
    for part in sequence:
        if isinstance(part, HangMidStream):
            parts += [Text(part.text), Hang()]
        elif isinstance(part, ControlCharacters):
            parts.append(Text(part.text))
        elif isinstance(part, Gated):
            chunks = [Text(chunk) if isinstance(chunk, str) else chunk for chunk in part.chunks]
            parts += [*chunks[:1], part.gate, *chunks[1:]]
        elif isinstance(part, Part):
            parts.append(part)
        else:
            raise TypeError(f"not a part of an answer: {part!r}")
    return tuple(parts)
