"""What a task has spent while it runs, and whether it makes progress: counted over the whole session tree.

Owns the counting (from the message store, as everything that is decided) and the verdict on a turn that went over a cap or stands still.
Events only tell when to count: each model call that ends, in whichever session of the tree, is followed by a look.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from netclaw_opencode._core.caps import Caps
from netclaw_opencode.driver.verdict import Verdict
from netclaw_opencode.opencode.wire import reading
from netclaw_opencode.opencode.wire.types import Usage

if TYPE_CHECKING:
    from netclaw_opencode.opencode.connection import Connection
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
        self._has_children = False
        self._last_news = connection.clock()
        self._seen: tuple[object, ...] = ()
        self._unpriced: str | None = None
        self._told: dict[str, dict[str, Usage]] = {}
        """Usage of each message that an event has shown as ended, by session."""
        self._goes_on = True
        """Whether the newest model call of the turn itself was not its last."""

    @property
    def wakes_at(self) -> float:
        """When a look is due although nothing was heard, on the connection's clock."""
        idle = self.budget.caps.max_idle_seconds
        return float("inf") if idle is None else self._last_news + idle

    def handle(self, event: ServerEvent) -> bool:
        """Note an event of the tree; return whether a model call has ended, so that it is time to count."""
        if event.type.startswith(_NEWS):
            self._last_news = self._connection.clock()
        if event.session_id != self._session.id and event.session_id is not None:
            self._has_children = True
        info = event.properties.get("info")
        if event.type != "message.updated" or not isinstance(info, Mapping) or info.get("role") != "assistant":
            return False
        if info.get("finish") is None and info.get("error") is None:
            return False
        if event.session_id == self._session.id:
            self._goes_on = info.get("finish") == "tool-calls"
        self._told.setdefault(str(event.session_id), {})[str(info.get("id"))] = reading.usage(info)
        return True

    def stop_now(self) -> Verdict | None:
        """Return the verdict on a turn whose events show that it went over a cap and goes on; None if they do not.

        No look comes first: the next model call has begun already, and a fast one ends while the store is read.
        """
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
        why = self.budget.exceeded() or self._unpriced
        if why is not None:
            return _exceeded(why)
        idle = self.budget.caps.max_idle_seconds
        quiet = self._connection.clock() - self._last_news
        if idle is not None and quiet >= idle:
            return Verdict("failed", "stalled", f"no new output, tool or step for {quiet:.1f} s (max_idle_seconds is {idle:g})")
        return verdict

    async def read(self) -> None:
        """Count what the store holds of the turn and of its sub-agents by now; older messages are read once."""
        root = self._session
        steps = await self._steps_of(root, back_to=self._message_id)
        at = next((place for place, step in enumerate(steps) if step.id == self._message_id), None)
        if at is None:
            return
        found = {root.id: steps[at + 1 :]}
        if self._has_children or any(use.tool == "task" for step in found[root.id] for use in step.tools):
            for session in (await self._connection.tree(root))[1:]:
                if session.created_ms >= steps[at].created_ms:
                    found[session.id] = await self._steps_of(session, back_to="")
        for session_id, own in found.items():
            calls = [step for step in own if step.role == "assistant"]
            ended = [step for step in calls if step.finish is not None or step.error is not None or step.completed_ms is not None]
            self.budget.spent[session_id] = (sum((step.usage for step in calls), Usage()), len(ended))
        self._look_for_unpriced(step for own in found.values() for step in own)
        seen = tuple((own[-1].id, len(own[-1].text), own[-1].tools, own[-1].completed_ms) for own in found.values() if own)
        if seen != self._seen:
            # Events of it may have been lost.
            self._seen, self._last_news = seen, self._connection.clock()

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


def _exceeded(why: str) -> Verdict:
    return Verdict("failed", "budget_exceeded", f"the task has reached its cap: {why}")


def _calls(spent: tuple[Usage, int]) -> int:
    return spent[1]


_NOTHING = (Usage(), 0)

__all__ = ["Budget", "Meter"]
