"""One look at a turn: its newest messages, what runs and what waits; a turn that has ended is read back to its prompt."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio

from netclaw_opencode._core.concurrency import gather
from netclaw_opencode.driver.verdict import RUNAWAY_CALLS, Span, Verdict, judge
from netclaw_opencode.errors import DriverError, OutOfTime
from netclaw_opencode.opencode.connection import with_tools
from netclaw_opencode.opencode.wire.history import NEWEST

if TYPE_CHECKING:
    from netclaw_opencode.driver.turn import Turn
    from netclaw_opencode.facts import PendingRequest
    from netclaw_opencode.opencode.connection import Connection
    from netclaw_opencode.opencode.watcher import DirectoryState
    from netclaw_opencode.opencode.wire.history import History, Step

_LOOK_SECONDS = 30.0
"""A look that takes longer has failed, and another one follows. It ends no turn."""
_SETTLE_PAUSE_SECONDS = 0.1
_SETTLE_LOOKS, _SETTLE_LOOKS_ANNOUNCED = 20, 100
"""So often an idle session with an unfinished message is read again, more often after an event that told of an error: OpenCode says
that a failed session is idle before it writes the error into the message, and may take its own snapshot between the two."""


async def look(connection: Connection, turn: Turn) -> Verdict:
    """Look once: at the newest messages, at what runs and at what waits; a turn that has ended is read back to its prompt."""
    try:
        with anyio.fail_after(_LOOK_SECONDS):
            return await _look_once(connection, turn)
    except TimeoutError as error:
        raise OutOfTime("request_timeout", f"a look at session {turn.session.id} took longer than {_LOOK_SECONDS:g} s") from error


async def _look_once(connection: Connection, turn: Turn) -> Verdict:
    history, watcher = turn.history, connection.watcher(turn.session.directory)
    suspect = turn.progress.may_run_away or not connection.events.connected
    limit = RUNAWAY_CALLS + NEWEST if suspect else NEWEST
    before: tuple[Step, ...] | None = None
    settling = 0
    while True:
        newest, state = await gather(history.read_newest(limit), watcher.read())
        turn.status = state.status_of(turn.session.id)
        if not await _has_arrived(connection, turn):
            return judge(Span(turn.message_id), announced=_announced(connection, turn))
        turn.span = Span.of(turn.message_id, history.steps if history.reached_back else newest)
        turn.pending = await _pending(connection, turn, state)
        # Idle is believed only where the store stood still around it: a turn may end, or begin, between two reads (F19).
        seen = judge(turn.span)
        if turn.status is not None or seen.state == "completed":
            break
        if newest == before:
            if seen.code != "interrupted" or settling >= (_SETTLE_LOOKS_ANNOUNCED if turn.progress.announced else _SETTLE_LOOKS):
                break
            settling += 1
            await anyio.sleep(_SETTLE_PAUSE_SECONDS)
        before = newest
    if turn.status is not None and not await _is_joined(connection, turn):
        return judge(turn.span, status=turn.status, pending=turn.pending)
    await read_back(connection, turn)
    turn.span = Span.of(turn.message_id, history.steps)
    return judge(turn.span, status=turn.status, pending=turn.pending, announced=_announced(connection, turn))


async def _has_arrived(connection: Connection, turn: Turn) -> bool:
    """Return whether our prompt stands in the store; in a fork, and in a cold directory (F59), what is newest may be older than it."""
    if not turn.arrived:
        ours = (step for step in turn.history.newest if turn.newest_prompt in (step.id, step.parent_id))
        turn.arrived = any(ours) or await turn.history.read_one(turn.newest_prompt) is not None
    return turn.arrived


async def _is_joined(connection: Connection, turn: Turn) -> bool:
    """Return whether the newest messages belong to a prompt that is neither ours nor one that OpenCode wrote itself (F58)."""
    if turn.span.joined_by is not None:
        return True
    last = turn.history.last
    if last is None or last.role != "assistant" or last.parent_id in (None, turn.message_id, turn.newest_prompt):
        return False
    prompt = await turn.history.read_one(str(last.parent_id))
    ours = turn.history.get(turn.message_id)
    is_later = prompt is not None and (ours is None or prompt.created_ms >= ours.created_ms)
    return prompt is not None and not prompt.is_continuation and is_later


async def read_back(connection: Connection, turn: Turn) -> None:
    """Read the older messages of a turn that has ended, once.

    Where they cannot be read, and the newest message is the answer to our prompt, the turn is known to be over all the same.
    """
    try:
        await turn.history.read_back_to(turn.message_id)
    except DriverError as error:
        last = turn.history.last
        if last is None or last.parent_id != turn.newest_prompt or judge(turn.span).state != "completed":
            raise
        turn.failed_looks.add(error, now=connection.clock())


async def _pending(connection: Connection, turn: Turn, state: DirectoryState) -> tuple[PendingRequest, ...]:
    """Return the requests of the turn's session and of its sub-agents (F36)."""
    roots = {item.session_id: await connection.root_of(item.session_id) for item in state.pending}
    found = with_tools(tuple(item for item in state.pending if roots[item.session_id] == turn.session.id), turn.history)
    if any(item.call_id and item.tool is None and item.session_id == turn.session.id for item in found):
        # The messages were read a moment before the request was: its tool stands in them by now.
        await turn.history.read_newest()
        found = with_tools(found, turn.history)
    return found


def _announced(connection: Connection, turn: Turn) -> tuple[str, ...]:
    return tuple(connection.sanitize(text) for text in turn.progress.announced)


async def last_turn(history: History) -> Span | None:
    """Return the turn at the end of a session, as its newest messages show it; None in a session without any message.

    Its prompt may lie far back and is not read: the newest messages show how the turn stands.
    """
    newest = history.newest or await history.read_newest()
    if not newest:
        return None
    prompts = [step.id for step in newest if step.role == "user" and not step.is_continuation]
    return Span.of(prompts[-1] if prompts else newest[0].parent_id or newest[0].id, newest)


__all__ = ["last_turn", "look", "read_back"]
