"""What is kept of a task's messages: in bounded space, without secrets, whole where there is room.

The messages are made here: no real task of a test is as long as these must be.
"""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, cast

import anyio

from netclaw_opencode._core.redaction import redact
from netclaw_opencode.driver.transcript import Transcript
from netclaw_opencode.opencode.connection import Connection
from netclaw_opencode.opencode.wire.types import Health, Message, Part, Session
from netclaw_opencode.records.trajectory import ModelCall, Prompt, ToolCall

SESSION = Session("ses_1", "A title", "/p", 1, 1)


@dataclass(slots=True)
class Store:
    """A connection with one session in it: pages are made when they are asked for, as a server does."""

    messages: int
    output_chars: int = 100
    secret: str = "the-server-password"
    after_secret: str = ""
    input: dict[str, Any] = field(default_factory=dict)
    pages_read: int = 0
    health: Health = field(default_factory=lambda: Health(healthy=True, version="1.18.33"))

    def redact(self, text: str) -> str:
        """Take secrets out."""
        return redact(text, secrets=(self.secret,))

    async def children(self, _session: Session) -> tuple[Session, ...]:
        """Return none."""
        return ()

    async def pages(self, _session: Session) -> AsyncIterator[tuple[Message, ...]]:
        """Yield ten messages at a time, newest page first."""
        for end in range(self.messages, 0, -10):
            self.pages_read += 1
            yield tuple(self.message(number) for number in range(max(0, end - 10), end))

    def message(self, number: int) -> Message:
        """The prompt first, then steps with one tool each."""
        if number == 0:
            return Message("msg_0", "user", "ses_1", 1000, (Part("p", "text", text=f"The prompt, {self.secret}"),))
        output = f"{number} " + "x" * self.output_chars + self.secret + self.after_secret
        told = {"tool": "bash", "tool_status": "completed", "tool_input": self.input, "tool_output": output, "started_ms": 1000 + number}
        tool = Part("t", "tool", call_id=f"call_{number}", **told)  # type: ignore[arg-type]
        return Message(f"msg_{number}", "assistant", "ses_1", 1000 + number, (tool,), completed_ms=1001 + number)


def read(store: Store, *, after: str | None = None) -> Transcript:
    """The transcript of the session."""
    found = Transcript()
    anyio.run(lambda: found.read(cast(Connection, store), SESSION, part="task", after=after, parent_id=None))
    return found


def test_a_long_task_is_kept_in_bounded_space_the_newest_first() -> None:
    """Sixty megabytes of outputs: reading ends where there is no more room, and what is missing is said."""
    store = Store(messages=3000, output_chars=20_000)
    tracemalloc.start()
    found = read(store)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 24 * 1024 * 1024 and store.pages_read < 60
    steps = found.steps
    assert steps[-1].message_id == "msg_2999" and sum(len(step.output) for step in steps if isinstance(step, ToolCall)) < 7 * 1024 * 1024
    assert any("older steps of session ses_1" in note for note in found.left_out)


def test_of_many_sessions_the_oldest_steps_go_and_never_a_prompt() -> None:
    """The sum over all sessions is bounded, too."""
    found = Transcript()

    async def read_all() -> None:
        for number in range(4):
            store = Store(messages=200, output_chars=20_000)
            session = Session(f"ses_{number}", "", "/p", 1, 1)
            await found.read(cast(Connection, store), session, part="task", after=None, parent_id=None)

    anyio.run(read_all)
    kept = found.steps
    assert len([step for step in kept if isinstance(step, Prompt)]) == 4
    assert sum(len(json.dumps(step.output)) for step in kept if isinstance(step, ToolCall)) < 7 * 1024 * 1024
    assert any("of the oldest steps" in note for note in found.left_out)


def test_secrets_are_taken_out_and_the_middle_of_long_texts() -> None:
    """Wherever they stand, at the cut too; a short task is whole."""
    store = Store(messages=3, output_chars=20_000)
    found = read(store)
    assert found.left_out == [] and store.secret not in json.dumps([str(step) for step in found.steps])
    prompt, call, tool = found.steps[:3]
    assert (
        isinstance(prompt, Prompt)
        and prompt.text == "The prompt, [redacted]"
        and isinstance(call, ModelCall)
        and isinstance(tool, ToolCall)
    )
    assert tool.output.startswith("1 xxx") and tool.output.endswith("[redacted]") and len(tool.output) <= 16 * 1024
    assert (tool.output_chars, "characters left out" in tool.output) == (20_021, True)
    for edge in range(8110, 8170):
        exact = Store(messages=2, output_chars=edge, secret="s3cret-of-thirty-two-characters!", after_secret="y" * 20_000)
        longer = read(exact).steps[-1]
        assert isinstance(longer, ToolCall) and "s3" not in longer.output and "characters left out" in longer.output


def test_a_fork_begins_after_what_it_copied() -> None:
    """Nothing of the session that it is a fork of."""
    found = read(Store(messages=30), after="msg_19")
    assert found.steps[0].message_id == "msg_20" and len(found.steps) == 20


def test_arguments_of_tools_are_bounded() -> None:
    """Long texts, many texts, and objects within objects."""
    deep: dict[str, Any] = {}
    deepest = deep
    for _ in range(40):
        deepest["in"] = {}
        deepest = deepest["in"]
    inputs = [{"content": "y" * 100_000}, {f"key {number}": "z" * 1000 for number in range(1000)}, deep]
    for given in inputs:
        tool = read(Store(messages=2, input=given)).steps[-1]
        assert isinstance(tool, ToolCall) and len(json.dumps(tool.input)) <= 70_000 and tool.input
