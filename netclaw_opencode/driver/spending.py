"""What a task has spent while it runs, and whether it makes progress: counted over the whole session tree.

Owns the counting and the verdict on a turn that went over a cap or stands still. Events are heard the moment they come: the model call
that reaches a cap stops the turn before anything is read. What events did not tell is counted from the message store: the session of each
call that ends, and the whole tree whenever the turn is looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from netclaw_opencode._core.caps import Caps
from netclaw_opencode.driver.verdict import Verdict
from netclaw_opencode.errors import DriverError
from netclaw_opencode.opencode.wire import reading
from netclaw_opencode.opencode.wire.types import Usage

if TYPE_CHECKING:
    from netclaw_opencode.opencode.connection import Connection
    from netclaw_opencode.opencode.wire.events import Subscription
    from netclaw_opencode.opencode.wire.history import History, Step
    from netclaw_opencode.opencode.wire.types import ServerEvent, Session

_NEWS = ("message.", "session.created")
"""Beginnings of the types of events that are progress."""


@dataclass(slots=True)
class Budget:
    """What a task may spend, and what it has spent, in all its turns and tries."""

    caps: Caps
    spent: dict[str, tuple[Usage, int]] = field(default_factory=dict)
    """Usage and model calls of each session."""

    @property
    def usage(self) -> Usage:
        """All that was used."""
        return sum((usage for usage, _ in self.spent.values()), Usage())

    @property
    def model_calls(self) -> int:
        """All calls of a model that have ended."""
        return sum(calls for _, calls in self.spent.values())

    @property
    def tokens(self) -> int:
        """All tokens."""
        usage = self.usage
        return usage.input + usage.output + usage.reasoning + usage.cache_read + usage.cache_write

    def exceeded(self) -> str | None:
        """Say which cap is reached; None for none."""
        spent = {"max_cost_usd": self.usage.cost, "max_tokens": self.tokens, "max_model_calls": self.model_calls}
        for name, value in spent.items():
            cap = getattr(self.caps, name)
            if cap is not None and value >= cap:
                return f"{name} is {cap:g}, and {value:g} was used"
        return None

    def to_wire(self) -> dict[str, object]:
        """Return what was spent, for results and errors."""
        return {
            "cost_usd": round(self.usage.cost, 6),
            "tokens": self.tokens,
            "model_calls": self.model_calls,
            "sessions": len(self.spent),
        }


class Meter:
    """Counts for one turn."""

    def __init__(self, connection: Connection, session: Session, message_id: str, budget: Budget) -> None:
        self.budget = budget
        self._connection = connection
        self._session = session
        self._message_id = message_id
        self._histories: dict[str, History] = {}
        self._last_news = connection.clock()
        self._seen: dict[str, object] = {}
        self._unpriced: str | None = None
        self._told: dict[str, dict[str, Usage]] = {}
        """Usage of each message that an event has shown as ended, by session."""
        self._goes_on = True
        """Whether the newest model call of the turn itself runs, or was not its last: a turn that ends by itself is not stopped."""
        self._ended: set[str] = set()
        """Sessions of which a call has ended that was not read yet."""
        self._known = {session.id: session}
        self._since_ms: int | None = None
        """When the prompt was taken: sessions that are older are not the turn's."""
        self._interrupt: Callable[[], None] = _nothing
        self.sessions = {session.id}
        """The turn's session and the sub-agents that events were heard of."""

    @property
    def wakes_at(self) -> float:
        """When a look is due although nothing was heard, on the connection's clock."""
        idle = self.budget.caps.max_idle_seconds
        return float("inf") if idle is None else self._last_news + idle

    def listen(self, news: Subscription) -> None:
        """Hear every event of the turn from now on, the moment it comes."""
        news.listener = self._hear

    @contextmanager
    def interrupting(self, interrupt: Callable[[], None]) -> Iterator[None]:
        """A block in which ``interrupt`` is called as soon as events show that a cap is reached."""
        self._interrupt = interrupt
        try:
            if self.stop_now() is not None:
                interrupt()
            yield
        finally:
            self._interrupt = _nothing

    def _hear(self, event: ServerEvent) -> None:
        if event.type.startswith(_NEWS):
            self._last_news = self._connection.clock()
        session_id = event.session_id
        if session_id is None:
            return
        self.sessions.add(session_id)
        info = event.properties.get("info")
        if event.type == "session.created" and session_id not in self._known:
            with suppress(DriverError):  # else it is found when the tree is read
                self._known[session_id] = reading.session(info)
        if event.type != "message.updated" or not isinstance(info, Mapping) or info.get("role") != "assistant":
            return
        has_ended = _has_ended(info)
        if session_id == self._session.id:
            self._goes_on = not has_ended or info.get("finish") == "tool-calls"
        if has_ended:
            self._told.setdefault(session_id, {})[str(info.get("id"))] = reading.usage(info)
            self._ended.add(session_id)
        if self.stop_now() is not None:
            self._interrupt()

    def counts(self, event: ServerEvent) -> bool:
        """Return whether the event tells of a call that has ended and was not read yet."""
        return event.type == "message.updated" and event.session_id in self._ended

    def stop_now(self) -> Verdict | None:
        """Return the verdict on a turn whose events show that it went over a cap and goes on; None if they do not."""
        told = {session: (sum(each.values(), Usage()), len(each)) for session, each in self._told.items()}
        spent = {
            name: max(told.get(name, _NOTHING), self.budget.spent.get(name, _NOTHING), key=_calls) for name in {*told, *self.budget.spent}
        }
        why = Budget(self.budget.caps, spent).exceeded()
        return _exceeded(why) if why is not None and self._goes_on else None

    async def judge(self, verdict: Verdict) -> Verdict:
        """Return the verdict of a look, or that of a turn that may not go on."""
        if verdict.state != "running":
            # Whoever waits for an answer makes no progress, and is not to.
            self._last_news = self._connection.clock()
            return verdict
        await self.read()
        return self._judged(verdict)

    async def judge_calls(self, verdict: Verdict) -> Verdict:
        """Read only the sessions of which a call has ended since; return the verdict, or that of a turn that may not go on."""
        if verdict.state == "not_started":
            verdict = Verdict("running")
        if verdict.state != "running":
            return verdict
        ended, self._ended = self._ended, set()
        if self._since_ms is None or not ended <= self._known.keys():
            await self.read()
        else:
            await self._count([self._known[name] for name in sorted(ended)])
        return self._judged(verdict)

    def _judged(self, verdict: Verdict) -> Verdict:
        why = self.budget.exceeded() or self._unpriced
        if why is not None and self._goes_on:
            return _exceeded(why)
        idle = self.budget.caps.max_idle_seconds
        quiet = self._connection.clock() - self._last_news
        if idle is not None and quiet >= idle:
            return Verdict("failed", "stalled", f"no new output, tool or step for {quiet:.1f} s (max_idle_seconds is {idle:g})")
        return verdict

    async def read(self) -> None:
        """Count what the store holds of the turn and of its sub-agents by now; older messages are read once."""
        self._ended.clear()
        steps = await self._count([self._session])
        if len(self.sessions) > 1 or any(use.tool == "task" for step in steps for use in step.tools):
            below = (await self._connection.tree(self._session))[1:]
            self._known |= {session.id: session for session in below}
            await self._count(below)

    async def _count(self, sessions: Iterable[Session]) -> list[Step]:
        """Count what the store holds of these sessions, and return it."""
        found: dict[str, tuple[Step, ...]] = {}
        for session in sessions:
            steps = await self._steps_of(session, back_to=self._message_id if session is self._session else "")
            if session is self._session:
                at = next((place for place, step in enumerate(steps) if step.id == self._message_id), None)
                if at is None:  # not in the store yet, or not read back to it
                    continue
                self._since_ms = steps[at].created_ms
                found[session.id] = own = steps[at + 1 :]
                self._goes_on = not own or own[-1].finish == "tool-calls" or (own[-1].finish is None and own[-1].error is None)
            elif self._since_ms is not None and session.created_ms >= self._since_ms:
                found[session.id] = steps
        for session_id, own in found.items():
            calls = [step for step in own if step.role == "assistant"]
            ended = [step for step in calls if step.finish is not None or step.error is not None or step.completed_ms is not None]
            self.budget.spent[session_id] = (sum((step.usage for step in calls), Usage()), len(ended))
            if own:
                self._seen_of(session_id, (own[-1].id, len(own[-1].text), own[-1].tools, own[-1].completed_ms))
        read = [step for own in found.values() for step in own]
        self._look_for_unpriced(read)
        return read

    def _seen_of(self, session_id: str, newest: object) -> None:
        """Take anything new in the store for progress: events of it may have been lost."""
        if self._seen.get(session_id) != newest:
            self._seen[session_id] = newest
            self._last_news = self._connection.clock()

    async def _steps_of(self, session: Session, *, back_to: str) -> tuple[Step, ...]:
        history = self._histories.setdefault(session.id, self._connection.history(session))
        await history.read_newest()
        await history.read_back_to(back_to)
        return history.steps

    def _look_for_unpriced(self, steps: Iterable[Step]) -> None:
        if self.budget.caps.max_cost_usd is None:
            return
        for step in steps:
            usage = step.usage
            if step.role == "assistant" and usage.cost == 0 and usage.input + usage.output > 0 and step.finish is not None:
                self._unpriced = f"max_cost_usd is set, and a call of {step.model or 'an unknown model'} has no cost"


def _has_ended(info: Mapping[str, object]) -> bool:
    """Whether this call of a model has ended."""
    return info.get("finish") is not None or info.get("error") is not None


def _nothing() -> None:
    """Nobody is to be interrupted now."""


def _exceeded(why: str) -> Verdict:
    return Verdict("failed", "budget_exceeded", f"the task has reached its cap: {why}")


def _calls(spent: tuple[Usage, int]) -> int:
    return spent[1]


_NOTHING = (Usage(), 0)

__all__ = ["Budget", "Meter"]
