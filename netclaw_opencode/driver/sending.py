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
from netclaw_opencode.driver.connection import not_found
from netclaw_opencode.driver.noting import asked
from netclaw_opencode.driver.progress import Progress
from netclaw_opencode.driver.together import together
from netclaw_opencode.driver.verdict import Snapshot
from netclaw_opencode.errors import DriverError, OutOfTime, Refused
from netclaw_opencode.facts import PendingRequest, ProgressEvent
from netclaw_opencode.jsontypes import JsonObject

if TYPE_CHECKING:
    from netclaw_opencode.client.types import Message, ModelRef, Session
    from netclaw_opencode.driver.answering import Answer
    from netclaw_opencode.driver.connection import Connection
    from netclaw_opencode.driver.models import ThinkingChoice


@dataclass(frozen=True, slots=True)
class Prompt:
    """What is sent; ``model`` and ``thinking`` have been checked against the catalogue."""

    text: str
    model: ModelRef | None = None
    agent: str | None = None
    system: str | None = None
    thinking: ThinkingChoice | None = None
    output_schema: JsonObject | None = None

    def body(self, *, message_id: str, part_id: str) -> dict[str, object]:
        """The request body (F12), with ids of our own (F27)."""
        body: dict[str, object] = {"messageID": message_id, "parts": [{"id": part_id, "type": "text", "text": self.text}]}
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
class Turn:
    """A prompt on its way.

    ``resumed`` tells that another call may have sent it, ``started`` is the connection's clock, ``sent`` is true from the
    moment on when the server may have the prompt, ``seen`` is the last look at it.
    """

    session: Session
    message_id: str
    started: float
    progress: Progress
    seen: Snapshot
    resumed: bool = False
    sent: bool = False
    retries: RetryLimit = RetryLimit()
    retrying_since: float | None = None
    phases: dict[str, float] = field(default_factory=dict)
    refused: list[PendingRequest] = field(default_factory=list)
    answered: list[Answer] = field(default_factory=list)


def turn(connection: Connection, session: Session, *, emit: Callable[[ProgressEvent], None], message_id: str | None = None) -> Turn:
    """A turn of this session; ``message_id`` is that of a prompt whose id is known already."""
    prompt_id = message_id or connection.ids.message()
    progress = Progress(emit, session.id, clock=connection.clock)
    return Turn(session, prompt_id, connection.clock(), progress, Snapshot(prompt_id, ()), resumed=message_id is not None)


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
        if await _ready_to_send(connection, turn, reuse_session=reuse_session, ends=ends, untouched=untouched):
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
    within_seconds = max(0.0, ends - connection.clock())
    with unsent_after(within_seconds):
        (status, pending), messages, _ = await together(
            connection.standing(turn.session),
            _history(connection, turn.session, untouched=untouched),
            connection.events.opened(within_seconds=within_seconds),
        )
        turn.seen = Snapshot(turn.message_id, messages, status, pending)
        state = rules.state_of(status, pending)
        connection.record.note("preflight", session_id=turn.session.id, state=state, messages=len(messages), pending=len(pending))
        if turn.seen.arrived:
            turn.sent = True
            return False
        facts = rules.SessionFacts(turn.session, status, pending, messages)
        if not reuse_session:
            asked(connection.record, rules.status_first, facts)
        asked(connection.record, rules.fresh_session, facts, reuse_allowed=reuse_session)
        stop_seen = reuse_session and (await stopping.stop(connection, turn.session)).confirmed
        asked(connection.record, rules.abort_first, facts, stop_seen=stop_seen)
    return True


async def _history(connection: Connection, session: Session, *, untouched: bool) -> tuple[Message, ...]:
    # What was read of a session before the lock was had may be old by now, so only our own newborn needs no look.
    return () if untouched else await connection.messages(session)


async def _post(connection: Connection, turn: Turn, prompt: Prompt) -> None:
    """Send the prompt; after an ambiguous loss ask the message store, and repeat only with the same ids (F27)."""
    sent: list[tuple[str, str]] = []
    while True:
        # Made anew each time, so that the rule has something to see: the ids that really go out.
        sending = (turn.message_id, ids.part_of(turn.message_id))
        asked(connection.record, rules.send_once, message_id=sending[0], part_id=sending[1], sent=sent)
        connection.record.note("send", session_id=turn.session.id, message_id=turn.message_id, attempt=len(sent) + 1)
        turn.sent = True
        try:
            await connection.http.call(
                routes.PROMPT_ASYNC,
                ids={"session_id": turn.session.id},
                directory=turn.session.directory,
                body=prompt.body(message_id=sending[0], part_id=sending[1]),
            )
            return
        except HttpNotFound as error:
            raise not_found(turn.session.id) from error
        except DriverError as error:
            if error.code not in ("connection_lost", "request_timeout"):
                raise
            if any(item.id == turn.message_id for item in await connection.messages(turn.session)):
                return
            sent.append(sending)
            if len(sent) > 1:
                raise
