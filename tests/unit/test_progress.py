"""What events say while a turn runs: progress for people, and when a look at the message store is worth it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netclaw_opencode.driver.progress import Progress
from netclaw_opencode.driver.verdict import RUNAWAY_CALLS
from netclaw_opencode.facts import ProgressEvent
from netclaw_opencode.opencode.wire.types import ServerEvent

OURS, CHILD = "ses_aaaaaaaaaaaa", "ses_cccccccccccc"


class Watched:
    """A progress with what it told, on a clock that the test moves."""

    def __init__(self) -> None:
        self.now = 100.0
        self.told: list[ProgressEvent] = []
        self.progress = Progress(self.told.append, OURS, "msg_1", clock=lambda: self.now)

    def take(self, kind: str, **properties: object) -> bool:
        """Whether an event of that kind makes a look worth while; it is of our session unless it says otherwise."""
        return self.progress.handle(ServerEvent(kind, {"sessionID": OURS, **properties}))

    @property
    def messages(self) -> list[str]:
        """What people read."""
        return [event.message for event in self.told]


@pytest.fixture
def watched() -> Watched:
    """A fresh progress."""
    return Watched()


def test_a_whole_turn_is_told_and_its_end_is_looked_at(watched: Watched) -> None:
    """Busy, a tool, text, idle: only the end makes a look worth while, and a repeated status is told once (F32)."""
    tool = {"type": "tool", "id": "prt_1", "tool": "write", "callID": "c1"}
    events: list[tuple[str, dict[str, object]]] = [
        ("session.status", {"status": {"type": "busy"}}),
        ("message.updated", {"info": {"id": "msg_1", "role": "user"}}),
        ("message.updated", {"info": {"id": "msg_2", "role": "assistant"}}),
        ("session.status", {"status": {"type": "busy"}}),
        ("message.part.updated", {"part": {**tool, "state": {"status": "pending"}}}),
        ("message.part.updated", {"part": {**tool, "state": {"status": "running", "input": {"filePath": "/d/src/a.py"}}}}),
        ("message.part.updated", {"part": {**tool, "state": {"status": "running", "input": {"filePath": "/d/src/a.py"}}}}),
        ("message.part.updated", {"part": {**tool, "state": {"status": "completed", "input": {"filePath": "/d/src/a.py"}}}}),
        ("message.updated", {"info": {"id": "msg_2", "role": "assistant", "finish": "tool-calls"}}),
        ("message.part.delta", {"delta": "x" * 399}),
        ("message.part.delta", {"delta": "x" * 2}),
        ("session.diff", {"diff": []}),
        ("server.heartbeat", {}),
    ]
    looks = [watched.take(kind, **properties) for kind, properties in events]
    assert not any(looks)
    assert watched.take("session.status", status={"type": "idle"})
    assert watched.take("session.idle")
    assert watched.messages == ["busy", "write a.py running", "write a.py completed", "401 characters written", "idle"]
    assert watched.progress.statuses == ["busy", "idle"]
    assert [event.kind for event in watched.told] == ["status", "tool", "tool", "text", "status"]
    assert watched.told[1].facts == {"tool": "write", "status": "running", "subject": "a.py"}


def test_what_is_told_carries_session_and_time(watched: Watched) -> None:
    """Seconds count from the start of the turn, on the clock that was handed in."""
    watched.now += 2.5
    watched.take("session.status", status={"type": "busy"})
    assert watched.told == [ProgressEvent("status", "busy", OURS, 2.5, {})]


def test_text_is_told_in_steps_and_not_letter_by_letter(watched: Watched) -> None:
    """One event for about 400 new characters; the count goes on in between."""
    for _ in range(1000):
        watched.take("message.part.delta", delta="x")
    assert watched.progress.text_chars == 1000
    assert [event.facts for event in watched.told] == [{"text_chars": 400}, {"text_chars": 800}]


@settings(deadline=None)
@given(st.lists(st.text(max_size=900), max_size=12))
def test_every_character_counts_once(deltas: list[str]) -> None:
    """However the text is cut, the sum is right, and what was told never runs ahead of it."""
    watched = Watched()
    for delta in deltas:
        watched.take("message.part.delta", delta=delta)
    assert watched.progress.text_chars == sum(map(len, deltas))
    told = [event.facts["text_chars"] for event in watched.told]
    assert told == sorted(told, key=int)  # type: ignore[arg-type]  # numbers
    assert len(told) <= watched.progress.text_chars // 400


def test_a_retry_is_told_with_its_reason_and_looked_at(watched: Watched) -> None:
    """Each attempt is told, with the provider's text shortened; the look may find the deadline out of reach (F17, F43)."""
    for attempt in (1, 2):
        assert watched.take("session.status", status={"type": "retry", "attempt": attempt, "message": "429 " * 100, "next": 1})
    assert [len(message) < 220 for message in watched.messages] == [True, True, True]
    assert watched.messages[0] == "retry"
    assert watched.told[2].facts == {"attempt": 2}
    assert watched.progress.statuses == ["retry"]


@pytest.mark.parametrize("kind", ["permission.asked", "question.asked"])
def test_a_request_is_looked_at_at_once(watched: Watched, kind: str) -> None:
    """It blocks the turn until it is answered (F29), a sub-agent's too."""
    assert watched.take(kind)
    assert watched.take(kind, sessionID=CHILD)


def test_an_error_without_a_message_is_announced(watched: Watched) -> None:
    """It is all that ever tells of an unknown model (F15); the abort's own error says nothing new (F31)."""
    assert watched.take("session.error", error={"name": "UnknownError", "data": {"message": "Model not found: a/b"}})
    assert watched.take("session.error", error={"name": "ProviderModelNotFoundError"})
    assert watched.take("session.error", error={"name": "MessageAbortedError", "data": {"message": "aborted"}})
    assert watched.take("session.error", error="what?")
    assert watched.progress.announced == ["Model not found: a/b", "ProviderModelNotFoundError"]


def test_a_sub_agents_end_or_error_is_not_ours(watched: Watched) -> None:
    """Its statuses are not counted and its error not announced: the parent may well go on (F36)."""
    assert not watched.take("session.status", sessionID=CHILD, status={"type": "idle"})
    assert not watched.take("session.idle", sessionID=CHILD)
    watched.take("session.error", sessionID=CHILD, error={"name": "UnknownError", "data": {"message": "Model not found"}})
    assert not [*watched.progress.statuses, *watched.progress.announced, *watched.told]


def updates(number: int, finish: str) -> list[dict[str, object]]:
    """What the server sends of one assistant message: empty, ended, completed."""
    info: dict[str, object] = {"id": f"msg_{number}", "role": "assistant"}
    return [info, {**info, "finish": finish}, {**info, "finish": finish, "time": {"completed": 1}}]


def test_a_runaway_is_noticed_after_so_many_calls(watched: Watched) -> None:
    """Status stays busy (F40), so the events' count of calls without an end is what makes a look worth while."""
    looks = [
        (number, watched.take("message.updated", info=info))
        for number in range(1, RUNAWAY_CALLS + 1)
        for info in updates(number, "unknown")
    ]
    assert {number for number, look in looks if look} == {RUNAWAY_CALLS}
    assert looks[-2][1]


def test_a_good_end_breaks_the_row_of_a_runaway(watched: Watched) -> None:
    """A tool call between two cut streams is progress."""
    for number in range(1, 3 * RUNAWAY_CALLS):
        finish = "tool-calls" if number % (RUNAWAY_CALLS - 1) == 0 else "unknown"
        looks = [watched.take("message.updated", info=info) for info in updates(number, finish)]
        assert not any(looks)


def test_an_assistant_message_with_an_error_is_looked_at(watched: Watched) -> None:
    """A provider's refusal ends the turn at once."""
    assert watched.take("message.updated", info={"id": "m", "role": "assistant", "error": {"name": "APIError"}})
    assert not watched.take("message.updated", info={"id": "msg_1", "role": "user", "error": {"name": "APIError"}})


def test_a_further_prompt_is_looked_at_once(watched: Watched) -> None:
    """Somebody else's, or OpenCode's own after a compaction (F58): the store tells which. Ours is expected."""
    assert not watched.take("message.updated", info={"id": "msg_1", "role": "user"})
    assert watched.take("message.updated", info={"id": "msg_5", "role": "user"})
    assert not watched.take("message.updated", info={"id": "msg_5", "role": "user"})


def test_a_further_prompt_of_ours_is_expected(watched: Watched) -> None:
    """The words with which a turn goes on after a refusal."""
    watched.progress.add_prompt("msg_5")
    assert not watched.take("message.updated", info={"id": "msg_5", "role": "user"})


@pytest.mark.parametrize(
    ("given_input", "title", "subject"),
    [
        ({"command": "ls -l " + "x" * 100}, "", "ls -l " + "x" * 54),
        ({"filePath": "/a/b/c.py", "command": "no"}, "t", "c.py"),
        ({"pattern": "*.py"}, "t", "*.py"),
        ({"path": "/d"}, "t", "/d"),
        ({"url": "https://example.org"}, "t", "https://example.org"),
        ({"description": "sub work"}, "t", "sub work"),
        ({"command": 5}, "title", "title"),
        ({}, "title", "title"),
        ({}, "", ""),
    ],
)
def test_a_tool_is_told_with_what_it_works_on(watched: Watched, given_input: object, title: str, subject: str) -> None:
    """A file's name, a command's start, or the tool's own title."""
    part = {"type": "tool", "id": "p", "tool": "t", "callID": "c", "state": {"status": "running", "input": given_input, "title": title}}
    watched.take("message.part.updated", part=part)
    assert watched.told[0].facts["subject"] == subject
    assert watched.messages == [" ".join(filter(None, ("t", subject, "running")))]


@pytest.mark.parametrize(
    ("kind", "properties"),
    [
        ("session.status", {}),
        ("session.status", {"status": {"type": "dreaming"}}),
        ("message.part.updated", {"part": {"type": "tool"}}),
    ],
)
def test_an_event_that_cannot_be_read_makes_a_look_and_no_error(watched: Watched, kind: str, properties: dict[str, object]) -> None:
    """Events are hints: a newer server's words must not end a turn; the store is asked instead."""
    assert watched.take(kind, **properties)
    assert watched.told == []


@pytest.mark.parametrize(
    ("kind", "properties"),
    [
        ("message.updated", {"info": None}),
        ("message.updated", {}),
        ("message.part.updated", {"part": 5}),
        ("message.part.updated", {"part": {"type": "text", "text": "x"}}),
        ("message.part.delta", {"delta": 5}),
        ("some.new.event", {"status": {"type": "idle"}}),
    ],
)
def test_what_says_nothing_is_passed_over(watched: Watched, kind: str, properties: dict[str, object]) -> None:
    """No look, no progress, no error."""
    assert not watched.take(kind, **properties)
    assert watched.told == []
