"""What counts a task's spending: the event that reaches a cap interrupts at once, and a call that ends costs one reading."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

import anyio
import pytest

from netclaw_opencode._core.caps import Caps
from netclaw_opencode.driver.spending import Budget, Meter
from netclaw_opencode.driver.verdict import Verdict
from netclaw_opencode.opencode.connection import Connection
from netclaw_opencode.opencode.wire.events import Subscription
from netclaw_opencode.opencode.wire.history import Step
from netclaw_opencode.opencode.wire.types import ServerEvent, Session, Usage

if TYPE_CHECKING:
    from netclaw_opencode.opencode.wire.history import History

ROOT = Session("ses_root00000000", "t", "/d", 10, 10)
CHILDREN = tuple(Session(f"ses_child{number:07}", "t", "/d", 20, 20, parent_id=ROOT.id) for number in range(5))
OLDER = Session("ses_older0000000", "t", "/d", 5, 5, parent_id=ROOT.id)
PROMPT = Step("msg_100", "user", 15)


@dataclass
class Stored:
    """A session's messages; each reading is noted."""

    server: Server
    session: Session
    steps: tuple[Step, ...] = ()

    async def read_newest(self) -> tuple[Step, ...]:
        self.server.readings.append(self.session.id)
        self.steps = tuple(self.server.messages.get(self.session.id, ()))
        return self.steps

    async def read_back_to(self, _message_id: str) -> bool:
        return True


@dataclass
class Server:
    """A connection whose store is a dictionary."""

    messages: dict[str, list[Step]] = field(default_factory=lambda: {ROOT.id: [PROMPT]})
    readings: list[str] = field(default_factory=list)
    now: float = 0.0

    def clock(self) -> float:
        return self.now

    def history(self, session: Session) -> History:
        return cast("History", Stored(self, session))

    async def tree(self, session: Session) -> Sequence[Session]:
        self.readings.append("tree")
        return (session, *CHILDREN, OLDER)


class Counted:
    """A turn that is counted, its events, and how often it was interrupted."""

    def __init__(self, **caps: float) -> None:
        self.server = Server()
        self.meter = Meter(cast("Connection", self.server), ROOT, PROMPT.id, Budget(Caps(**caps)))
        self.news = Subscription({ROOT.id}, *anyio.create_memory_object_stream[ServerEvent | None](100))
        self.meter.listen(self.news)
        self.interruptions = 0

    def interrupt(self) -> None:
        self.interruptions += 1

    def call(self, session: Session, number: int, *, finish: str | None = "tool-calls", tokens: int = 10) -> None:
        """A model call that ends: first in the store, then as an event."""
        times = {"created": 30, "completed": 31 if finish else None}
        info = {"id": f"msg_{number}", "sessionID": session.id, "role": "assistant", "time": times, "finish": finish}
        usage = {"input": tokens, "output": 0, "reasoning": 0, "cache": {"read": 0, "write": 0}}
        step = Step(f"msg_{number}", "assistant", 30, completed_ms=31, finish=finish, usage=Usage(input=tokens))
        self.server.messages.setdefault(session.id, []).append(step)
        self.news.offer(ServerEvent("message.updated", {"info": info | {"tokens": usage, "cost": 0}, "sessionID": session.id}, "/d"))

    def create(self, session: Session) -> None:
        """A sub-agent begins."""
        times = {"created": session.created_ms, "updated": session.updated_ms}
        info = {"id": session.id, "title": "t", "directory": "/d", "time": times, "parentID": ROOT.id}
        self.news.offer(ServerEvent("session.created", {"info": info, "sessionID": session.id}, "/d"))


@pytest.fixture
def counted() -> Iterator[Callable[..., Counted]]:
    """Makes turns, and closes their queues."""
    made: list[Counted] = []

    def make(**caps: float) -> Counted:
        made.append(Counted(**caps))
        return made[-1]

    yield make
    for turn in made:
        turn.news.close()


def test_the_event_that_reaches_a_cap_interrupts_before_anything_is_read(counted: Callable[..., Counted]) -> None:
    """It is heard when it comes, not when the queue is read; calls of sub-agents count, and nothing was asked of the server."""
    turn = counted(max_model_calls=3)
    with turn.meter.interrupting(turn.interrupt):
        turn.call(ROOT, 101)
        turn.create(CHILDREN[0])
        turn.call(CHILDREN[0], 102, finish="stop")
        assert turn.interruptions == 0
        turn.call(CHILDREN[0], 102, finish="stop")
        assert turn.interruptions == 0, "the same call, told twice, is one call"
        turn.call(ROOT, 103)
        assert (turn.interruptions, turn.server.readings) == (1, [])
    verdict = turn.meter.stop_now()
    assert verdict is not None and verdict.code == "budget_exceeded" and "max_model_calls is 3, and 3 was used" in verdict.message
    assert turn.meter.sessions == {ROOT.id, CHILDREN[0].id}


def test_a_cap_that_is_reached_between_two_blocks_interrupts_the_next_one(counted: Callable[..., Counted]) -> None:
    """Nothing that is heard while nobody follows is lost."""
    turn = counted(max_tokens=100)
    turn.call(ROOT, 101, tokens=200)
    with turn.meter.interrupting(turn.interrupt):
        assert turn.interruptions == 1


def test_a_turn_that_ends_at_its_cap_is_not_stopped(counted: Callable[..., Counted]) -> None:
    """Its last call reached it: neither the event nor the reading stops it; one more call does."""
    turn = counted(max_model_calls=1)
    with turn.meter.interrupting(turn.interrupt):
        turn.call(ROOT, 101, finish="stop")
        assert anyio.run(turn.meter.judge_calls, Verdict("running")) == Verdict("running")
        assert turn.interruptions == 0
        turn.call(ROOT, 102, finish=None)
        assert turn.interruptions == 1, "it went on after all"


@pytest.mark.parametrize("many", [1, 5])
def test_a_call_that_ends_costs_one_reading_however_many_sub_agents_there_are(counted: Callable[..., Counted], many: int) -> None:
    """The event names the session; the tree is read when the turn itself is looked at."""
    turn = counted(max_model_calls=100)
    for number, child in enumerate(CHILDREN[:many]):
        turn.create(child)
        turn.call(child, 200 + number)
    assert anyio.run(turn.meter.judge_calls, Verdict("not_started")).state == "running"
    assert turn.server.readings[:2] == [ROOT.id, "tree"], "the first time everything is"
    turn.server.readings.clear()
    turn.call(CHILDREN[0], 300)
    anyio.run(turn.meter.judge_calls, Verdict("running"))
    assert turn.server.readings == [CHILDREN[0].id] and turn.meter.budget.model_calls == many + 1
    anyio.run(turn.meter.judge, Verdict("running"))
    assert turn.server.readings[1:3] == [ROOT.id, "tree"]


def test_a_session_that_is_older_than_the_prompt_is_counted_by_its_events_alone(counted: Callable[..., Counted]) -> None:
    """A sub-agent that goes on in an old session: what it spent before is not this task's."""
    turn = counted(max_model_calls=3)
    turn.server.messages[OLDER.id] = [Step(f"msg_{number}", "assistant", 1, completed_ms=2, finish="stop") for number in range(50)]
    turn.news.session_ids = {ROOT.id, OLDER.id}
    turn.call(OLDER, 400)
    assert anyio.run(turn.meter.judge_calls, Verdict("running")).state == "running"
    with turn.meter.interrupting(turn.interrupt):
        turn.call(OLDER, 401)
        turn.call(OLDER, 402)
    assert turn.interruptions == 1


def test_standing_still_is_told_by_what_comes_or_is_read(counted: Callable[..., Counted]) -> None:
    """No event and nothing new in the store for as long as the cap says; events lost are found in the store."""
    turn = counted(max_idle_seconds=10)
    anyio.run(turn.meter.judge, Verdict("running"))
    turn.server.now = 9.0
    turn.server.messages[ROOT.id].append(Step("msg_101", "assistant", 30, finish=None))
    assert anyio.run(turn.meter.judge, Verdict("running")).state == "running"
    turn.server.now = 18.0
    assert (anyio.run(turn.meter.judge, Verdict("running")).state, turn.meter.wakes_at) == ("running", 19.0)
    turn.server.now = 19.5
    assert anyio.run(turn.meter.judge, Verdict("running")).code == "stalled"
