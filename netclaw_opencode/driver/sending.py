"""Sending: everything that happens before a prompt runs, and its one POST.

Owns the order "lock, read, ask the rules, send once". What becomes of the turn is ``turns``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import anyio

from netclaw_opencode.client import routes
from netclaw_opencode.client.http import HttpNotFound
from netclaw_opencode.driver import ids, rules, sessions, stopping, structured
from netclaw_opencode.driver.connection import with_tools
from netclaw_opencode.driver.history import NEWEST, History, not_found
from netclaw_opencode.driver.noting import asked
from netclaw_opencode.driver.progress import Progress
from netclaw_opencode.driver.together import together
from netclaw_opencode.driver.verdict import Span
from netclaw_opencode.errors import DriverError, InvalidInput, OutOfTime, Refused
from netclaw_opencode.facts import PendingRequest, ProgressEvent
from netclaw_opencode.jsontypes import JsonObject

if TYPE_CHECKING:
    from netclaw_opencode.client.types import ModelRef, Session, SessionStatus
    from netclaw_opencode.driver.connection import Connection
    from netclaw_opencode.driver.models import ThinkingChoice
    from netclaw_opencode.driver.requests import Answer


_NEVER_TAKEN = frozenset({"server_unreachable", "auth_failed", "config_error"})
"""Failures of a send after which nothing can start late: the server refused it, or was never reached."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """What is sent; ``model`` and ``thinking`` have been checked against the catalogue."""

    text: str
    model: ModelRef | None = None
    agent: str | None = None
    system: str | None = None
    thinking: ThinkingChoice | None = None
    output_schema: JsonObject | None = None

    def body(self, *, message_id: str, part_id: str, continuation: str | None = None) -> dict[str, object]:
        """The request body (F12), with ids of our own (F27).

        Args:
            continuation: Words with which the same turn goes on, in place of the prompt's text: marked as OpenCode marks its own (F58).
        """
        part: dict[str, object] = {"id": part_id, "type": "text", "text": self.text}
        if continuation is not None:
            part |= {"text": continuation, "synthetic": True}
        body: dict[str, object] = {"messageID": message_id, "parts": [part]}
        system = [self.system] if self.system else []
        if self.output_schema is not None:
            system.append(structured.instruction(self.output_schema))
        if system:
            body["system"] = "\n\n".join(system)
        if self.model is not None:
            body["model"] = {"providerID": self.model.provider_id, "modelID": self.model.model_id}
        if self.agent is not None:
            body["agent"] = self.agent
        if self.thinking is not None:
            body["variant"] = self.thinking.variant
        return body


@dataclass(frozen=True, slots=True)
class RetryLimit:
    """How long (seconds) and how often a provider that refuses may be asked again; None: as far as the deadline allows."""

    seconds: float | None = None
    attempts: int | None = None


@dataclass(slots=True)
class FailedLooks:
    """Looks at the server that failed while a turn was followed: they are told, and end nothing by themselves."""

    count: int = 0
    seconds: float = 0.0
    """How long the server could not be read, in all."""
    last: DriverError | None = None
    """The error of the newest look, where that one failed."""
    _since: float | None = None
    _streak: list[str] = field(default_factory=list)

    def add(self, error: DriverError, *, now: float) -> None:
        """Note a look that failed."""
        self.count += 1
        self.last = error
        self.seconds += now - self._since if self._since is not None else 0.0
        self._since = now
        self._streak = [*self._streak, error.code] if error.code in self._streak else [error.code]

    def repeated(self, code: str) -> int:
        """How many of the newest looks, one after the other, failed in this way."""
        return self._streak.count(code)

    def end(self, *, now: float) -> None:
        """Note a look that succeeded."""
        if self._since is not None:
            self.seconds += now - self._since
        self.last = self._since = None
        self._streak = []

    def note(self) -> str | None:
        """One sentence about them, or None where every look succeeded."""
        if not self.count:
            return None
        return f"{self.count} look(s) at the server failed while the turn ran; for {self.seconds:.1f} s it could not be read"


@dataclass(slots=True)
class Turn:
    """A prompt on its way.

    ``started`` is the connection's clock; ``sent`` is true from the moment on when the server may have the prompt, ``sent_by_us``
    where it is this very call that sent it, and ``arrived`` once the prompt was seen in the message store.
    """

    session: Session
    message_id: str
    started: float
    progress: Progress
    history: History
    span: Span
    newest_prompt: str = ""
    """The prompt that the next messages answer: ours, or the words with which we let it go on after a refusal."""
    gone_on_after: int = 0
    """How many answers to requests lay before those words."""
    sent_before: bool = False
    """Whether another call may have sent it."""
    sent: bool = False
    sent_by_us: bool = False
    arrived: bool = False
    status: SessionStatus | None = None
    pending: tuple[PendingRequest, ...] = ()
    retries: RetryLimit = RetryLimit()
    retrying_since: float | None = None
    failed_looks: FailedLooks = field(default_factory=FailedLooks)
    phases: dict[str, float] = field(default_factory=dict)
    asked: set[str] = field(default_factory=set)
    answered: list[Answer] = field(default_factory=list)

    @property
    def has_started(self) -> bool:
        """Whether the turn was seen to run."""
        return bool(self.span.steps or self.progress.statuses) or self.status is not None

    @property
    def refused(self) -> list[Answer]:
        """The answers that were refusals."""
        return [item for item in self.answered if item.ruling.answer == "refuse"]


def turn(connection: Connection, session: Session, *, emit: Callable[[ProgressEvent], None], message_id: str | None = None) -> Turn:
    """A turn of this session; ``message_id`` is that of a prompt whose id is known already."""
    prompt_id = message_id or connection.ids.message()
    progress = Progress(emit, session.id, prompt_id, clock=connection.clock)
    history = connection.history(session)
    return Turn(
        session,
        prompt_id,
        connection.clock(),
        progress,
        history,
        Span(prompt_id),
        newest_prompt=prompt_id,
        sent_before=message_id is not None,
    )


async def send(
    connection: Connection,
    turn: Turn,
    prompt: Prompt,
    *,
    reuse_session: bool,
    ends: float,
    marks: Mapping[str, object] | None = None,
    lock_seconds: float = 0.0,
    untouched: bool = False,
) -> None:
    """Read, ask the rules, send once.

    A prompt that stands in the message store already (the same id, sent by another call) is not sent again. ``marks`` are
    written on the session, with the prompt's id, right before it is sent. ``untouched`` is for a session that this very call has
    just created: nobody else knows its id, so there is no history to read. Raises ``Refused`` (nothing was sent) or the
    error of the POST.
    """
    async with connection.locked(turn.session.id, within_seconds=lock_seconds) as mine:
        if not mine:
            raise Refused(
                "session_locked",
                f"another call is sending to session {turn.session.id} right now; nothing was sent",
                rule="send-once",
                details={"session_id": turn.session.id},
            )
        try:
            ready = await _ready_to_send(connection, turn, reuse_session=reuse_session, ends=ends, untouched=untouched)
        except HttpNotFound as error:
            raise not_found(turn.session.id) from error
        if ready:
            if marks is not None:
                # The server is the memory (F11), and it has to know before there is anything to remember.
                turn.session = await sessions.mark(connection, turn.session, {**marks, "message_id": turn.message_id})
            turn.phases["preflight"] = connection.clock() - turn.started
            await _post(connection, turn, prompt)
            turn.phases["send"] = connection.clock() - turn.started - turn.phases["preflight"]


@contextmanager
def unsent_after(seconds: float) -> Iterator[None]:
    """A deadline on everything before the send; raises ``OutOfTime`` (``request_timeout``)."""
    try:
        with anyio.fail_after(max(0.0, seconds)):
            yield
    except TimeoutError as error:
        raise OutOfTime("request_timeout", "the deadline passed before the prompt was sent; nothing was sent") from error


async def _ready_to_send(connection: Connection, turn: Turn, *, reuse_session: bool, ends: float, untouched: bool) -> bool:
    """Ask the rules; False where the prompt was sent before."""
    remaining = max(0.0, ends - connection.clock())
    with unsent_after(remaining):
        if untouched:
            # Only our own newborn needs no look: what was read of any other before the lock was had may be old by now.
            await connection.events.opened(within_seconds=remaining)
            return True
        state, newest, _ = await together(
            connection.watcher(turn.session.directory).read(),
            turn.history.read_newest(NEWEST),
            connection.events.opened(within_seconds=remaining),
        )
        turn.status = state.status_of(turn.session.id)
        tree = tuple(item.id for item in await connection.tree(turn.session)) if state.pending and turn.status is not None else ()
        turn.pending = with_tools(state.pending_of(tree), turn.history)
        turn.arrived = turn.sent_before and await turn.history.read_one(turn.message_id) is not None
        facts = rules.SessionFacts(turn.session, turn.status, turn.pending, newest)
        state_word = rules.state_of(turn.status, turn.pending)
        connection.record.note("preflight", session_id=turn.session.id, state=state_word, messages=len(newest), pending=len(turn.pending))
        if turn.arrived:
            turn.sent = True
            return False
        if not reuse_session:
            asked(connection.record, rules.status_first, facts)
        asked(connection.record, rules.fresh_session, facts, reuse_allowed=reuse_session)
        stop_seen = reuse_session and (await stopping.stop(connection, turn.session)).confirmed
        asked(connection.record, rules.abort_first, facts, stop_seen=stop_seen)
    return True


async def go_on(connection: Connection, turn: Turn, prompt: Prompt, *, words: str) -> None:
    """Let a turn go on that the server ended because of a refusal: that of one request takes the others with it, without words (F60)."""
    turn.newest_prompt = connection.ids.message()
    turn.arrived = False
    turn.gone_on_after = len(turn.answered)
    turn.progress.expect(turn.newest_prompt)
    body = prompt.body(message_id=turn.newest_prompt, part_id=ids.part_of(turn.newest_prompt), continuation=words)
    connection.record.note("send", session_id=turn.session.id, message_id=turn.newest_prompt, attempt=1)
    await connection.http.call(routes.PROMPT_ASYNC, ids={"session_id": turn.session.id}, directory=turn.session.directory, body=body)


async def _post(connection: Connection, turn: Turn, prompt: Prompt) -> None:
    """Send the prompt; after an ambiguous loss ask the message store, and repeat only with the same ids (F27)."""
    sent: list[tuple[str, str]] = []
    for attempt in (1, 2):
        # Made anew each time, so that the rule has something to see: the ids that really go out.
        part_id = ids.part_of(turn.message_id)
        asked(connection.record, rules.send_once, message_id=turn.message_id, part_id=part_id, sent=sent)
        sent.append((turn.message_id, part_id))
        body = prompt.body(message_id=turn.message_id, part_id=part_id)
        connection.record.note("send", session_id=turn.session.id, message_id=turn.message_id, attempt=attempt)
        turn.sent = turn.sent_by_us = True
        try:
            await connection.http.call(
                routes.PROMPT_ASYNC, ids={"session_id": turn.session.id}, directory=turn.session.directory, body=body
            )
            return
        except HttpNotFound as error:
            turn.sent = turn.sent_by_us = attempt > 1
            raise not_found(turn.session.id) from error
        except DriverError as error:
            if error.code not in ("connection_lost", "request_timeout"):
                if isinstance(error, InvalidInput) or error.code in _NEVER_TAKEN:
                    turn.sent = turn.sent_by_us = attempt > 1
                raise
            if await turn.history.read_one(turn.message_id) is not None:
                turn.arrived = True
                return
            if attempt == 2:
                raise
