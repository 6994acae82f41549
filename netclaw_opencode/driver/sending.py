"""Sending: everything that happens before a prompt runs, and its one POST.

Owns the order "lock, read, ask the rules, send once". What becomes of the turn is ``turns``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

import anyio

from netclaw_opencode._core.concurrency import gather
from netclaw_opencode.driver import rules, sessions, stopping
from netclaw_opencode.errors import DriverError, InvalidInput, OutOfTime, Refused
from netclaw_opencode.opencode.connection import with_tools
from netclaw_opencode.opencode.wire import ids, routes
from netclaw_opencode.opencode.wire.history import NEWEST, session_not_found
from netclaw_opencode.opencode.wire.http import HttpNotFoundError

if TYPE_CHECKING:
    from netclaw_opencode.driver.turn import Prompt, Turn
    from netclaw_opencode.opencode.connection import Connection


_NEVER_TAKEN = frozenset({"server_unreachable", "auth_failed", "config_error"})
"""Failures of a send after which nothing can start late: the server refused it, or was never reached."""


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
    just created: no other call knows its id, so there is no history to read. Raises ``Refused`` (nothing was sent) or the
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
        except HttpNotFoundError as error:
            raise session_not_found(turn.session.id) from error
        if ready:
            if marks is not None:
                # The server is the memory (F11), and it has to know before there is anything to remember.
                turn.session = await sessions.update_tag(connection, turn.session, {**marks, "message_id": turn.message_id})
            turn.phases["preflight"] = connection.clock() - turn.started
            await _post(connection, turn, prompt)
            turn.first_reading = connection.watcher(turn.session.directory).begun + 1
            turn.phases["send"] = connection.clock() - turn.started - turn.phases["preflight"]


@contextmanager
def deadline_before_send(seconds: float) -> Iterator[None]:
    """A deadline on everything before the send; raises ``OutOfTime`` (``request_timeout``)."""
    try:
        with anyio.fail_after(max(0.0, seconds)):
            yield
    except TimeoutError as error:
        raise OutOfTime("request_timeout", "the deadline passed before the prompt was sent; nothing was sent") from error


async def _ready_to_send(connection: Connection, turn: Turn, *, reuse_session: bool, ends: float, untouched: bool) -> bool:
    """Ask the rules; False where the prompt was sent before."""
    remaining = max(0.0, ends - connection.clock())
    with deadline_before_send(remaining):
        if untouched:
            # Only our own newborn needs no look: what was read of any other before the lock was had may be old by now.
            await connection.events.try_open(within_seconds=remaining)
            return True
        state, newest, _ = await gather(
            connection.watcher(turn.session.directory).read(),
            turn.history.read_newest(NEWEST),
            connection.events.try_open(within_seconds=remaining),
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
            rules.require_idle(connection.record, facts)
        rules.require_fresh(connection.record, facts, reuse_allowed=reuse_session)
        stop_seen = reuse_session and (await stopping.stop(connection, turn.session)).confirmed
        rules.require_aborted(connection.record, facts, stop_seen=stop_seen)
    return True


async def go_on(connection: Connection, turn: Turn, prompt: Prompt, *, words: str) -> None:
    """Let a turn go on that the server ended because of a refusal: that of one request takes the others with it, without words (F60)."""
    turn.newest_prompt = connection.ids.message()
    turn.arrived = False
    turn.gone_on_after = len(turn.answered)
    turn.progress.add_prompt(turn.newest_prompt)
    body = prompt.body(message_id=turn.newest_prompt, part_id=ids.part_id_for(turn.newest_prompt), continuation=words)
    connection.record.note("send", session_id=turn.session.id, message_id=turn.newest_prompt, attempt=1)
    await connection.http.call(routes.PROMPT_ASYNC, ids={"session_id": turn.session.id}, directory=turn.session.directory, body=body)


async def _post(connection: Connection, turn: Turn, prompt: Prompt) -> None:
    """Send the prompt; after an ambiguous loss ask the message store, and repeat only with the same ids (F27)."""
    sent: list[tuple[str, str]] = []
    for attempt in (1, 2):
        # Made anew each time, so that the rule has something to see: the ids that really go out.
        part_id = ids.part_id_for(turn.message_id)
        rules.require_same_ids(connection.record, message_id=turn.message_id, part_id=part_id, sent=sent)
        sent.append((turn.message_id, part_id))
        body = prompt.body(message_id=turn.message_id, part_id=part_id)
        connection.record.note("send", session_id=turn.session.id, message_id=turn.message_id, attempt=attempt)
        turn.sent = turn.sent_by_us = True
        try:
            await connection.http.call(
                routes.PROMPT_ASYNC, ids={"session_id": turn.session.id}, directory=turn.session.directory, body=body
            )
            return
        except HttpNotFoundError as error:
            turn.sent = turn.sent_by_us = attempt > 1
            raise session_not_found(turn.session.id) from error
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
