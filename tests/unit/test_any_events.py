"""Events are hints: in any order, twice or lost, they change when a turn's end is seen, and never what it is.

The message store, status and clock are scripted and go on with each look; only the events are left to chance.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from netclaw_opencode.client.events import Subscription
from netclaw_opencode.client.types import Message, MessageError, Part, ServerEvent, Session, SessionStatus
from netclaw_opencode.driver import sending, turns
from netclaw_opencode.driver.answering import Answering
from netclaw_opencode.driver.connection import Connection
from netclaw_opencode.driver.turns import Turns
from netclaw_opencode.driver.verdict import Snapshot, Verdict, judge
from netclaw_opencode.facts import PendingRequest
from netclaw_opencode.policy import Policy
from netclaw_opencode.record import NO_RECORD

SESSION = Session("ses_aaaaaaaaaa", "t", "/d", 1, 1)
PROMPT = Message("msg_100", "user", SESSION.id, 1, (Part("prt_1", "text", "do it"),))
BUSY, RETRY = SessionStatus("busy"), SessionStatus("retry", attempt=1, message="429")


def reply(number: int, *, finish: str | None, text: str = "", error: MessageError | None = None, completed: bool = True) -> Message:
    """One model call of the turn."""
    parts = (Part(f"prt_{number}", "text", text),) if text else ()
    identifier = f"msg_{100 + number}"
    ended = 2 if completed else None
    return Message(identifier, "assistant", SESSION.id, 1, parts, parent_id=PROMPT.id, completed_ms=ended, finish=finish, error=error)


STEP = reply(1, finish="tool-calls")
ENDINGS = (
    reply(9, finish="stop", text="done"),
    reply(9, finish="length", text="do"),
    reply(9, finish="stop"),
    reply(9, finish="unknown", text="half"),
    reply(9, finish=None, completed=False),
    reply(9, finish=None, error=MessageError("APIError", "Invalid key", 401)),
    reply(9, finish="stop", text="done", error=MessageError("MessageAbortedError", "aborted")),
)


@dataclass
class World:
    """A turn's life as the server shows it, one stage further with each look; then it stays as it is."""

    stages: tuple[tuple[tuple[Message, ...], SessionStatus | None], ...]
    looks: int = 0

    @property
    def stage(self) -> tuple[tuple[Message, ...], SessionStatus | None]:
        return self.stages[min(self.looks, len(self.stages)) - 1]

    # What a turn wants of a connection:
    record = NO_RECORD
    connected = True

    @property
    def events(self) -> World:
        return self

    def clock(self) -> float:
        return 0.0

    def foreign(self, text: str) -> str:
        return text

    async def messages(self, session: Session) -> tuple[Message, ...]:
        self.looks += 1
        return self.stage[0]

    async def observed(
        self, session: Session, messages: tuple[Message, ...]
    ) -> tuple[tuple[Message, ...], SessionStatus | None, tuple[PendingRequest, ...]]:
        return (*self.stage, ())


def event(kind: str, session_id: str = SESSION.id, **properties: object) -> ServerEvent:
    """An event of the stream."""
    return ServerEvent(kind, {"sessionID": session_id, **properties}, "/d")


def told_of(ending: Message) -> tuple[ServerEvent, ...]:
    """What a server says during such a turn, and more that it should not: noise, other sessions, what cannot be read."""
    info: Mapping[str, object] = {"id": ending.id, "role": "assistant", "finish": ending.finish, "sessionID": SESSION.id}
    return (
        event("session.status", status={"type": "busy"}),
        event("session.status", status={"type": "retry", "attempt": 1, "message": "429", "next": 1}),
        event("session.status", status={"type": "idle"}),
        event("session.status", status={"type": 7}),
        event("session.idle"),
        event("session.idle", "ses_other00000"),
        event("message.updated", info=info),
        event("message.updated", info={**info, "finish": "unknown", "id": "msg_x"}),
        event("message.part.updated", part={"id": "p", "type": "tool", "tool": "bash", "callID": "c", "state": {"status": "running"}}),
        event("message.part.delta", delta="some text"),
        event("session.error", error={"name": "APIError", "data": {"message": "Model not found: x"}}),
        event("session.error", "ses_other00000", error={"name": "APIError", "data": {"message": "not ours"}}),
        event("permission.asked", id="per_1"),
        event("server.heartbeat"),
    )


def followed(world: World, events: list[ServerEvent]) -> Verdict:
    """The verdict at which following such a turn ends."""

    async def run() -> Verdict:
        send, receive = anyio.create_memory_object_stream[ServerEvent](1000)
        with send, receive:
            subscription = Subscription({SESSION.id}, send, receive)
            for item in events:
                subscription.offer(item)
            connection = cast(Connection, world)
            driver = Turns(connection, answering=Answering(lambda _: None, policy=Policy()), emit=lambda _: None)
            turn = sending.turn(connection, SESSION, emit=lambda _: None, message_id=PROMPT.id)
            turn.phases["send"] = 0.0
            with anyio.fail_after(60):
                return await driver.follow(turn, subscription, until=60.0)

    return anyio.run(run)


@pytest.fixture(autouse=True)
def polls_without_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no event wakes the turn, it looks by itself; how long it waits for that is not what is tested."""
    monkeypatch.setattr(turns, "_POLL_SECONDS", 0.001)
    monkeypatch.setattr(turns, "_POLL_WITHOUT_EVENTS_SECONDS", 0.001)


STAGES = st.lists(st.sampled_from([((PROMPT,), None), ((PROMPT,), BUSY), ((PROMPT, STEP), BUSY), ((PROMPT, STEP), RETRY)]), max_size=4)


@settings(deadline=None, max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(STAGES, st.sampled_from(ENDINGS), st.data())
def test_any_events_end_in_the_outcome_of_the_message_store(
    before: list[tuple[tuple[Message, ...], SessionStatus | None]], ending: Message, data: st.DataObject
) -> None:
    """Whatever comes of the stream, in whatever order, the verdict is that of the store as it stands at the end."""
    last = (PROMPT, STEP, ending)
    # An error of *this* session while it is idle without a reply is an end of its own (F15, F32); the next test has that one.
    unborn = any(status is None for _, status in before)
    told = [item for item in told_of(ending) if not (unborn and item.type == "session.error" and item.session_id == SESSION.id)]
    events = data.draw(st.lists(st.sampled_from(told), max_size=20))
    assert followed(World((*before, (last, None))), events) == judge(Snapshot(PROMPT.id, last))


@pytest.mark.parametrize("times", [0, 1, 3])
def test_without_any_reply_a_turn_has_failed_whether_or_not_an_event_says_why(times: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one thing that only an event tells is the reason (F15, F32); without it the failure is the same, with a poorer name."""
    monkeypatch.setattr(turns, "_START_SECONDS", -1.0)
    error = event("session.error", error={"name": "UnknownError", "data": {"message": "Model not found: x"}})
    verdict = followed(World((((PROMPT,), None),)), [error] * times)
    assert (verdict.state, verdict.code) == ("failed", "model_not_found" if times else "turn_incomplete")


@pytest.mark.parametrize("ending", ENDINGS, ids=lambda item: f"{item.finish}-{item.error.name if item.error else 'fine'}")
def test_no_event_at_all_is_only_slower(ending: Message) -> None:
    """The stream is silent, or up and says nothing: polling finds the same end."""
    last = (PROMPT, STEP, ending)
    for connected in (True, False):
        world = World((((PROMPT,), BUSY), ((PROMPT, STEP), BUSY), (last, None)))
        world.connected = connected
        assert followed(world, []) == judge(Snapshot(PROMPT.id, last))
        assert world.looks == len(world.stages)
