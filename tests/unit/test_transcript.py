"""What is kept of a task's messages: in bounded space, without secrets, whole where there is room.

The messages are made here: no real task of a test is as long as these must be.
"""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass, field, replace
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
    session_id: str = "ses_1"
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

    def history(self, _session: Session, *, on_message: Callable[[Message], None]) -> Backwards:
        """Return the history of the one session."""
        return Backwards(self, on_message)

    def message(self, number: int) -> Message:
        """The prompt first, then steps with one tool each."""
        if number == 0:
            return Message("msg_0", "user", self.session_id, 1000, (Part("p", "text", text=f"The prompt, {self.secret}"),))
        output = f"{number} " + "x" * self.output_chars + self.secret + self.after_secret
        told = {"tool": "bash", "tool_status": "completed", "tool_input": self.input, "tool_output": output, "started_ms": 1000 + number}
        tool = Part("t", "tool", call_id=f"call_{number}", **told)  # type: ignore[arg-type]
        return Message(f"msg_{number}", "assistant", self.session_id, 1000 + number, (tool,), completed_ms=1001 + number)


@dataclass(slots=True)
class Backwards:
    """A history that is read ten messages at a time, newest page first."""

    store: Store
    on_message: Callable[[Message], None]
    reached_back: bool = False
    is_whole: bool = False

    async def read_newest(self) -> None:
        """Read the last two messages, as a look does."""
        for number in range(max(0, self.store.messages - 2), self.store.messages):
            self.on_message(self.store.message(number))

    async def read_back_to(self, message_id: str) -> None:
        """Read all that lies before."""
        for end in range(self.store.messages - 2, 0, -10):
            self.store.pages_read += 1
            for number in range(max(0, end - 10), end):
                self.on_message(self.store.message(number))
            if f"msg_{max(0, end - 10)}" == message_id:
                break
        self.reached_back = True


def read(store: Store, *, begins_at: str = "msg_0", session: Session = SESSION, found: Transcript | None = None) -> Transcript:
    """The transcript of the session."""
    found = found or Transcript()
    connection = cast(Connection, store)
    found.follow(connection, session, begins_at=begins_at)
    anyio.run(lambda: found.read(connection, session, part="task", parent_id=None))
    return found


def test_a_long_task_is_kept_in_bounded_space_the_newest_first() -> None:
    """Sixty megabytes of outputs: the oldest go, but the prompt, and what is missing is said."""
    store = Store(messages=3000, output_chars=20_000)
    tracemalloc.start()
    found = read(store)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 24 * 1024 * 1024 and store.pages_read == 300
    steps = found.steps
    assert steps[-1].message_id == "msg_2999" and sum(len(step.output) for step in steps if isinstance(step, ToolCall)) < 7 * 1024 * 1024
    assert isinstance(steps[0], Prompt) and any("the transcript would be too large" in note for note in found.left_out)


def test_of_many_sessions_the_oldest_steps_go_and_never_a_prompt() -> None:
    """The sum over all sessions is bounded, too."""
    found = Transcript()
    for number in range(4):
        session = Session(f"ses_{number}", "", "/p", 1, 1)
        read(Store(messages=200, output_chars=20_000, session_id=session.id), session=session, found=found)
    kept = found.steps
    assert len([step for step in kept if isinstance(step, Prompt)]) == 4
    assert sum(len(json.dumps(step.output)) for step in kept if isinstance(step, ToolCall)) < 7 * 1024 * 1024
    left = len({(step.session_id, step.message_id) for step in kept})
    assert found.left_out == (f"the oldest {800 - left} messages: the transcript would be too large with them",)


def test_secrets_are_taken_out_and_the_middle_of_long_texts() -> None:
    """Wherever they stand, at the cut too; a short task is whole."""
    store = Store(messages=3, output_chars=20_000)
    found = read(store)
    assert not found.left_out and store.secret not in json.dumps([str(step) for step in found.steps])
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


def test_a_fork_begins_with_its_own_prompt() -> None:
    """Nothing of the session that it is a fork of, although a page of it was read."""
    found = read(Store(messages=30), begins_at="msg_18")
    assert found.steps[0].message_id == "msg_18" and len(found.steps) == 24


def test_what_was_read_for_the_turn_is_not_read_again() -> None:
    """A message that was seen half written is told as it ended; a history that reached back is not read any more."""
    store = Store(messages=3)
    found = Transcript()
    history = cast(Backwards, found.follow(cast(Connection, store), SESSION, begins_at="msg_0"))
    anyio.run(history.read_newest)
    half = store.message(2)
    history.on_message(replace(half, id="msg_3", completed_ms=None, parts=()))
    anyio.run(lambda: history.read_back_to("msg_0"))
    history.on_message(replace(half, id="msg_3", parts=(replace(half.parts[0], tool_status="running", tool_output=""),)))
    history.on_message(replace(half, id="msg_3"))
    store.messages, pages = 0, store.pages_read
    anyio.run(lambda: found.read(cast(Connection, store), SESSION, part="task", parent_id=None))
    assert [step.message_id for step in found.steps] == ["msg_0", *("msg_1",) * 2, *("msg_2",) * 2, *("msg_3",) * 2]
    last = found.steps[-1]
    assert isinstance(last, ToolCall) and (last.status, bool(last.output)) == ("completed", True)
    assert store.pages_read == pages and not found.left_out


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
