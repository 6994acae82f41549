"""Handlers of messages: send_message, send_message_async, wait_for_session, get_session_result."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from netclaw_opencode import calltime
from netclaw_opencode.actions import arguments as read
from netclaw_opencode.driver import keys, rules, schemas, sending, sessions
from netclaw_opencode.driver.places import Places
from netclaw_opencode.driver.tags import SessionTag
from netclaw_opencode.driver.verdict import Verdict
from netclaw_opencode.errors import ActionFailed, Refused

if TYPE_CHECKING:
    from netclaw_opencode.actions.context import ActionContext
    from netclaw_opencode.client.types import Session
    from netclaw_opencode.driver.connection import Connection
    from netclaw_opencode.driver.turns import Prompt, Turn
    from netclaw_opencode.facts import PendingRequest
    from netclaw_opencode.jsontypes import JsonObject

TASK_SECONDS = 86400.0
"""Longest deadline of a task that runs in the background, in seconds."""
_START_SECONDS = 15.0


async def send_message(arguments: JsonObject, context: ActionContext) -> JsonObject:
    """Send and wait: 60 s at most, then abort, verified."""
    limit = rules.deadline(read.seconds(arguments, "deadline_seconds", rules.MESSAGE_SECONDS), longest=rules.MESSAGE_SECONDS)
    limit = calltime.current().fitted(limit)
    read.require_sound(arguments, context.settings)
    began = context.clock()
    with sending.unsent_after(limit):
        turns = await context.driver.turns()
        session, prompt = await _prompt(arguments, context, first=True)
    result = await turns.run(
        session,
        prompt,
        ends=began + limit,
        deadline_seconds=limit,
        reuse_session=read.flag(arguments, "reuse_session"),
        retries=read.retries(arguments),
    )
    return result.to_wire()


async def send_message_async(arguments: JsonObject, context: ActionContext) -> JsonObject:
    """Send and return once the turn is seen to run; the same idempotency key returns the turn that there is."""
    limit = rules.deadline(read.seconds(arguments, "deadline_seconds", 3600), longest=TASK_SECONDS)
    read.require_sound(arguments, context.settings)
    key = keys.key_of(arguments, action="send_message_async")
    turns = await context.driver.turns()
    session, prompt = await _prompt(arguments, context)
    marked = (rules.mark_of(session) or {}).get("message_id")
    if key is not None and keys.check(session, key) and isinstance(marked, str):
        turn, verdict = await turns.attach(session, marked)
        if turn.seen.arrived:
            return _started(turn, verdict, prompt, notes=("the same idempotency key: this is the turn that was sent before",))
    marks: dict[str, object] = {"deadline_ms": int((time.time() + limit) * 1000)}
    if key is not None:
        marks |= key.marks()
    if prompt.output_schema is not None:
        marks["output_schema"] = schemas.keep(context.settings.state_dir, prompt.output_schema)
    turn, verdict = await turns.start(
        session,
        prompt,
        within_seconds=calltime.within(_START_SECONDS, stopping=True),
        marks=marks,
        reuse_session=read.flag(arguments, "reuse_session"),
    )
    return _started(turn, verdict, prompt)


def _started(turn: Turn, verdict: Verdict, prompt: Prompt, *, notes: tuple[str, ...] = ()) -> JsonObject:
    deadline_ms = (rules.mark_of(turn.session) or {}).get("deadline_ms")
    output: dict[str, object] = {
        "session_id": turn.session.id,
        "message_id": turn.message_id,
        "started": True,
        "state": "ready" if verdict.ended else "waiting" if verdict.state == "waiting" else "busy",
        "deadline_at": sessions.iso(deadline_ms if isinstance(deadline_ms, int) else 0),
        "next": f"netclaw-opencode inspect wait-for-session --session-id {turn.session.id}",
        "notes": list(notes),
    }
    if prompt.model is not None:
        output["model"] = prompt.model.to_wire()
    if prompt.thinking is not None:
        output["thinking"] = prompt.thinking.to_wire()
    return output


async def _prompt(arguments: JsonObject, context: ActionContext, *, first: bool = False) -> tuple[Session, Prompt]:
    """``first``: nothing is asked of marks that another process may have written."""
    wanted = read.session_id(arguments)
    model = read.model(arguments, context.settings)
    connection = await context.driver.connect()
    session = await (connection.for_prompt(wanted) if first else connection.session(wanted))
    Places.of(context.settings).require(session.directory)
    # A session made with a model keeps it unless the call names another.
    model = model if "model" in arguments or session.model is None else session.model
    return session, await read.prompt(connection, arguments, directory=session.directory, model=model, session_model=session.model)


async def get_session_result(arguments: JsonObject, context: ActionContext) -> JsonObject:
    """The result of a session's last turn, or of the named one."""
    connection, turn, verdict = await _attach(arguments, context)
    if not verdict.ended:
        raise _still_running(turn, verdict)
    return await _result(connection, context, turn, verdict)


async def wait_for_session(arguments: JsonObject, context: ActionContext) -> JsonObject:
    """A bounded wait for the end of a turn, or for progress beyond ``cursor``."""
    began = context.clock()
    limit = calltime.current().fitted(read.seconds(arguments, "wait_seconds", 45), stops=False)
    cursor = read.text(arguments, "cursor")
    connection, turn, verdict = await _attach(arguments, context)
    turns = await context.driver.turns(sending=False)
    ends = began + limit
    overdue = _overdue_at(turn.session, connection)
    if not verdict.ended and verdict.state != "waiting" and _cursor(turn, verdict) == (cursor or _cursor(turn, verdict)):
        # Without a cursor only the end counts; with one, any change does.
        enough = None if cursor is None else (lambda seen: _cursor(turn, seen) != cursor)
        async with connection.events.subscribe(turn.session.id) as events:
            await connection.events.opened(within_seconds=max(0.1, ends - context.clock()))
            verdict = await turns.follow(turn, events, until=min(ends, overdue), watching=True, enough=enough)
    if not verdict.ended and context.clock() >= overdue:
        raise turns.overdue(turn)
    output: dict[str, object] = {
        "session_id": turn.session.id,
        "done": verdict.ended,
        "state": _state(turn, verdict),
        "cursor": _cursor(turn, verdict),
        "elapsed_seconds": _elapsed(turn),
        "waited_seconds": round(context.clock() - began, 3),
        "progress": _progress(turn),
        "pending": [item.to_wire() for item in turn.seen.pending],
    }
    note = calltime.current().note()
    if note is not None and not verdict.ended:
        output["notes"] = [note]
    if verdict.ended:
        output["result"] = await _result(connection, context, turn, verdict)
    else:
        output["next"] = (
            f"netclaw-opencode inspect wait-for-session --session-id {turn.session.id} --cursor {_cursor(turn, verdict)}"
            if verdict.state != "waiting"
            else _refusal(turn.session.id, turn.seen.pending[0])
        )
    return output


async def _attach(arguments: JsonObject, context: ActionContext) -> tuple[Connection, Turn, Verdict]:
    wanted = read.session_id(arguments)
    message_id = read.optional_id(arguments, "message_id")
    connection = await context.driver.connect()
    session = await connection.session(wanted)
    if message_id is None:
        marked = (rules.mark_of(session) or {}).get("message_id")
        message_id = marked if isinstance(marked, str) else None
    if message_id is None:
        prompts = [item.id for item in await connection.messages(session) if item.role == "user"]
        if not prompts:
            raise ActionFailed("turn_incomplete", f"session {session.id} has no message yet", details={"session_id": session.id})
        message_id = prompts[-1]
    turn, verdict = await (await context.driver.turns(sending=False)).attach(session, message_id)
    if not turn.seen.arrived:
        raise ActionFailed("turn_incomplete", f"session {session.id} has no message {message_id}", details={"session_id": session.id})
    return connection, turn, verdict


async def _result(connection: Connection, context: ActionContext, turn: Turn, verdict: Verdict) -> JsonObject:
    tag = SessionTag.of(turn.session)
    digest = tag.output_schema if tag is not None else None
    schema = schemas.load(context.settings.state_dir, digest) if digest is not None else None
    result = await (await context.driver.turns(sending=False)).result(turn, verdict, output_schema=schema)
    if digest is not None and schema is None:
        # Another machine or state folder, or an old task: the digest alone says nothing of the form.
        result = replace(result, notes=(*result.notes, "output_schema is not kept here, so the answer was not checked against it"))
    return result.to_wire()


def _still_running(turn: Turn, verdict: Verdict) -> Refused:
    state = _state(turn, verdict)
    return Refused(
        "session_waiting" if state == "waiting" else "session_busy",
        f"the turn is not over: session {turn.session.id} is {state}",
        next=f"netclaw-opencode inspect wait-for-session --session-id {turn.session.id}",
        details={"session_id": turn.session.id, "state": state, "pending": [item.to_wire() for item in turn.seen.pending]},
    )


def _refusal(session_id: str, asked: PendingRequest) -> str:
    """The one answer that is always safe to give: nothing is granted by whoever only follows ``next``."""
    answer = "--answer reject" if asked.kind == "permission" else "--reject"
    return f"netclaw-opencode reply reply-{asked.kind} --session-id {session_id} --{asked.kind}-id {asked.id} {answer}"


def _state(turn: Turn, verdict: Verdict) -> str:
    return "waiting" if verdict.state == "waiting" else rules.state_of(turn.seen.status, ())


def _overdue_at(session: Session, connection: Connection) -> float:
    """The task's own deadline, on the connection's clock; infinity where it has none."""
    marked = (rules.mark_of(session) or {}).get("deadline_ms")
    return connection.clock() + marked / 1000 - time.time() if isinstance(marked, int) else float("inf")


def _elapsed(turn: Turn) -> float:
    prompt = next(item for item in turn.seen.messages if item.id == turn.message_id)
    replies = turn.seen.replies
    ended = replies[-1].completed_ms if replies and turn.seen.status is None else None
    return round(max(0.0, (ended or time.time() * 1000) - prompt.created_ms) / 1000, 3)


def _progress(turn: Turn) -> dict[str, object]:
    parts = [part for message in turn.seen.replies for part in message.parts]
    return {
        "text_chars": sum(len(part.text) for part in parts if part.type == "text"),
        "tools_finished": sum(part.tool_status in ("completed", "error") for part in parts),
        "tools_running": [part.tool for part in parts if part.tool_status == "running"],
        "model_calls": len(turn.seen.replies),
    }


def _cursor(turn: Turn, verdict: Verdict) -> str:
    """Changes whenever a model call, a tool or the state does."""
    progress = _progress(turn)
    return f"{_state(turn, verdict)}-{progress['model_calls']}-{progress['tools_finished']}"
