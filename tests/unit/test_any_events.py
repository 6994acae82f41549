"""Events are hints: in any order, twice or lost, they change when a turn's end is seen, and never what it is.

The message store, status and clock are scripted and go on with each look; only the events are left to chance.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netclaw_opencode._core.policy import Policy
from netclaw_opencode.driver.permissions import RequestHandler
from netclaw_opencode.driver.turn import Turn
from netclaw_opencode.driver.turns import Turns
from netclaw_opencode.driver.verdict import Span, Verdict, judge
from netclaw_opencode.opencode.connection import Connection
from netclaw_opencode.opencode.watcher import DirectoryState
from netclaw_opencode.opencode.wire.events import Subscription
from netclaw_opencode.opencode.wire.history import Step
from netclaw_opencode.opencode.wire.types import MessageError, ServerEvent, Session, SessionStatus
from netclaw_opencode.records.recorder import NO_RECORD

SESSION = Session("ses_aaaaaaaaaa", "t", "/d", 1, 1)
PROMPT = Step("msg_100", "user", 1, text="do it")
BUSY, RETRY = SessionStatus("busy"), SessionStatus("retry", attempt=1, message="429")


def reply(number: int, *, finish: str | None, text: str = "", error: MessageError | None = None, completed: bool = True) -> Step:
    """One model call of the turn."""
    ended = 2 if completed else None
    return Step(f"msg_{100 + number}", "assistant", 1, PROMPT.id, completed_ms=ended, finish=finish, error=error, text=text)


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
    """A turn's life as the server shows it, one stage further with each reading of its directory; then it stays as it is."""

    stages: tuple[tuple[tuple[Step, ...], SessionStatus | None], ...]
    readings: int = 0
    newest: tuple[Step, ...] = ()

    @property
    def stage(self) -> tuple[tuple[Step, ...], SessionStatus | None]:
        return self.stages[min(self.readings, len(self.stages) - 1)]

    # What a turn wants of a connection:
    record = NO_RECORD
    connected = True

    @property
    def events(self) -> World:
        return self

    @property
    def http(self) -> World:
        return self

    def server_time_ms(self) -> int:
        return 0

    def clock(self) -> float:
        return anyio.current_time()

    def sanitize(self, text: str) -> str:
        return text

    def watcher(self, directory: str) -> World:
        assert directory == SESSION.directory
        return self

    def history(self, session: Session) -> World:
        assert session is SESSION
        return self

    # Of a watcher:
    @property
    def state(self) -> DirectoryState:
        status = self.stage[1]
        return DirectoryState(self.readings + 1, statuses={} if status is None else {SESSION.id: status})

    async def read(self) -> DirectoryState:
        self.readings += 1
        return self.state

    # Of a history:
    reached_back = False

    @property
    def steps(self) -> tuple[Step, ...]:
        return self.stage[0]

    @property
    def last(self) -> Step | None:
        return self.newest[-1]

    def get(self, message_id: str) -> Step | None:
        return next((step for step in self.steps if step.id == message_id), None)

    async def read_newest(self, limit: int = 2) -> tuple[Step, ...]:
        self.newest = self.stage[0][-limit:]
        return self.newest

    async def read_one(self, message_id: str) -> Step | None:
        return self.get(message_id)

    async def read_back_to(self, message_id: str) -> bool:
        return self.get(message_id) is not None


def event(kind: str, session_id: str = SESSION.id, **properties: object) -> ServerEvent:
    """An event of the stream."""
    return ServerEvent(kind, {"sessionID": session_id, **properties}, "/d")


def told_of(ending: Step) -> tuple[ServerEvent, ...]:
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


def followed(world: World, events: list[ServerEvent], *, seconds: float = 20) -> Verdict:
    """The verdict at which following such a turn ends."""

    async def run() -> Verdict:
        send, receive = anyio.create_memory_object_stream["ServerEvent | None"](1000)
        with send, receive:
            news = Subscription({SESSION.id}, send, receive)
            for item in events:
                news.offer(item)
            connection = cast(Connection, world)
            driver = Turns(connection, requests=RequestHandler(lambda _: None, policy=Policy()), emit=lambda _: None)
            turn = Turn.begin(connection, SESSION, emit=lambda _: None, message_id=PROMPT.id)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(keep_reading, world, news)
                verdict = await driver.follow(turn, news, until=world.clock() + seconds)
                tasks.cancel_scope.cancel()
            return verdict

    return anyio.run(run)


async def keep_reading(world: World, news: Subscription) -> None:
    """What the watcher of the directory does: read, and wake whoever follows a turn there."""
    while True:
        await world.read()
        news.wake()
        await anyio.sleep(0.001)


STAGES = st.lists(st.sampled_from([((PROMPT,), None), ((PROMPT,), BUSY), ((PROMPT, STEP), BUSY), ((PROMPT, STEP), RETRY)]), max_size=4)


@settings(deadline=None, max_examples=80)
@given(STAGES, st.sampled_from(ENDINGS), st.data())
def test_any_events_end_in_the_outcome_of_the_message_store(
    before: list[tuple[tuple[Step, ...], SessionStatus | None]], ending: Step, data: st.DataObject
) -> None:
    """Whatever comes of the stream, in whatever order, the verdict is that of the store as it stands at the end."""
    last = (PROMPT, STEP, ending)
    # An error of *this* session while it is idle without a reply is an end of its own (F15, F32); the next test has that one.
    unborn = any(status is None for _, status in before)
    told = [item for item in told_of(ending) if not (unborn and item.type == "session.error" and item.session_id == SESSION.id)]
    events = data.draw(st.lists(st.sampled_from(told), max_size=20))
    assert followed(World((*before, (last, None))), events) == judge(Span.of(PROMPT.id, last))


@pytest.mark.parametrize("times", [1, 3])
def test_only_an_event_tells_why_nothing_started(times: int) -> None:
    """The reason is in no message (F15, F32)."""
    error = event("session.error", error={"name": "UnknownError", "data": {"message": "Model not found: x"}})
    verdict = followed(World((((PROMPT,), None),)), [error] * times)
    assert (verdict.state, verdict.code) == ("failed", "model_not_found")


def test_a_turn_of_which_nothing_is_seen_has_not_started() -> None:
    """However long that takes, it is no verdict (F59): the caller's time ends the following."""
    verdict = followed(World((((PROMPT,), None),)), [], seconds=0.2)
    assert (verdict.state, verdict.ended) == ("not_started", False)


@pytest.mark.parametrize("ending", ENDINGS, ids=lambda item: f"{item.finish}-{item.error.name if item.error else 'fine'}")
def test_no_event_at_all_is_only_slower(ending: Step) -> None:
    """The stream is silent, or up and says nothing: polling finds the same end."""
    last = (PROMPT, STEP, ending)
    for connected in (True, False):
        world = World((((PROMPT,), BUSY), ((PROMPT, STEP), BUSY), (last, None)))
        world.connected = connected
        assert followed(world, []) == judge(Span.of(PROMPT.id, last))
