"""Handlers of messages: send_message, send_message_async, wait_for_session, get_session_result."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from netclaw_opencode._core import time_budget
from netclaw_opencode._core.idempotency import key_of_prompt, read_key
from netclaw_opencode.actions import arguments as read
from netclaw_opencode.actions import capping, changed_files
from netclaw_opencode.actions.changed_files import ChangeWatch
from netclaw_opencode.driver import keys, rules, sending, sessions, structured_output
from netclaw_opencode.driver.results import refusal_command
from netclaw_opencode.driver.tags import SessionTag
from netclaw_opencode.driver.verdict import Verdict
from netclaw_opencode.errors import ActionFailed, DriverError, Refused
from netclaw_opencode.opencode.directories import Places
from netclaw_opencode.work import keyed
from netclaw_opencode.work.keyed import Keyed

if TYPE_CHECKING:
    from netclaw_opencode.actions.change_report import Report
    from netclaw_opencode.actions.context import ActionContext
    from netclaw_opencode.driver.turns import Prompt, Turn
    from netclaw_opencode.jsontypes import JsonObject
    from netclaw_opencode.opencode.connection import Connection
    from netclaw_opencode.opencode.wire.types import Session

TASK_SECONDS = 86400.0
"""Longest deadline of a task that runs in the background, in seconds."""
_SETTLING_MS = 20
"""The clock of a file system ticks every few milliseconds."""
_CALL_SECONDS = 30.0
"""How long send_message_async waits to see its turn start, as its manifest says, in seconds."""


async def send_message(arguments: JsonObject, context: ActionContext) -> JsonObject:
    """Send and wait: 60 s at most, then abort, verified."""
    limit = rules.require_deadline(read.seconds(arguments, "deadline_seconds", rules.MESSAGE_SECONDS), longest=rules.MESSAGE_SECONDS)
    limit = time_budget.current().clamp(limit)
    read.require_sound(arguments, context.settings)
    began = context.clock()
    with sending.deadline_before_send(limit):
        turns = await context.driver.turns(on_request=read.on_request(arguments))
        session, prompt = await _prompt(arguments, context, first=True)
        budget = capping.read_budget(arguments, context)
        connection = await context.driver.connect()
        await capping.require_price(connection, prompt, budget, directory=session.directory)
    async with changed_files.watched(ChangeWatch(context.settings)) as watch:
        await watch.begin(session.directory, server_url=connection.http.url, left_seconds=began + limit - context.clock())
        result = await turns.run(
            session,
            prompt,
            ends=began + limit,
            deadline_seconds=limit,
            reuse_session=read.flag(arguments, "reuse_session"),
            retries=read.retries(arguments),
            budget=budget,
        )
        report = await watch.end(result.span)
    output = result.to_wire()
    report.add_to(output, notes=[*result.notes, *capping.note_of(budget)])
    return output


async def send_message_async(arguments: JsonObject, context: ActionContext) -> JsonObject:
    """Send and return once the turn is seen to run; the same idempotency key returns the turn that there is."""
    limit = rules.require_deadline(read.seconds(arguments, "deadline_seconds", 3600), longest=TASK_SECONDS)
    read.require_sound(arguments, context.settings)
    key = read_key(arguments, action="send_message_async")
    ends = context.clock() + time_budget.remaining_up_to(_CALL_SECONDS, stopping=True)
    capping.require_no_caps(context)
    turns = await context.driver.turns()
    session, prompt = await _prompt(arguments, context)
    marked = SessionTag.read(session).message_id
    if key is not None and keys.has_key(session, key) and marked is not None:
        turn, verdict = await turns.attach(session, marked)
        if turn.arrived:
            return _build_started(turn, verdict, prompt, notes=("the same idempotency key: this is the turn that was sent before",))
    connection = await context.driver.connect()
    marks: dict[str, object] = {"deadline_ms": connection.http.server_time_ms() + int(limit * 1000)}
    if key is not None:
        marks |= key.marks()
    if prompt.output_schema is not None:
        marks["output_schema"] = structured_output.store_schema(context.settings.state_dir, prompt.output_schema)
    message_id = connection.ids.message()
    known = _known(context, message_id)
    async with changed_files.watched(ChangeWatch(context.settings, known=known)) as watch:
        await watch.begin(session.directory, server_url=connection.http.url, left_seconds=ends - context.clock())
        try:
            turn, verdict = await turns.start(
                session,
                prompt,
                message_id=message_id,
                ends=ends,
                marks=marks,
                reuse_session=read.flag(arguments, "reuse_session"),
            )
        except DriverError as error:
            if error.message_id is None:  # nothing was sent
                keyed.forget(context.settings.state_dir, known.key)
            raise
    unseen = f"no snapshot of the directory ({watch.problem}): of what changes, only what OpenCode tells will be known"
    late = "the prompt was taken, and its turn is not seen to run yet: the server is slow to open the directory"
    is_late = verdict.state in ("not_started", "running") and not turn.has_started
    return _build_started(turn, verdict, prompt, notes=(*((late,) if is_late else ()), *((unseen,) if watch.problem else ())))


def _known(context: ActionContext, message_id: str) -> Keyed:
    """What this machine remembers of a prompt that nobody waits for: the directory before it, and what has come of it."""
    return Keyed(context.settings.state_dir, key_of_prompt(message_id), strict=False)


def _build_started(turn: Turn, verdict: Verdict, prompt: Prompt, *, notes: tuple[str, ...] = ()) -> JsonObject:
    deadline_ms = SessionTag.read(turn.session).deadline_ms
    output: dict[str, object] = {
        "session_id": turn.session.id,
        "message_id": turn.message_id,
        "started": turn.has_started or verdict.ended,
        "state": "ready" if verdict.ended else "waiting" if verdict.state == "waiting" else "busy",
        "deadline_at": sessions.iso(deadline_ms or 0),
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
    session = await (connection.session_for_prompt(wanted) if first else connection.session(wanted))
    Places.from_settings(context.settings).require(session.directory)
    # A session made with a model keeps it unless the call names another.
    model = model if "model" in arguments or session.model is None else session.model
    return session, await read.prompt(connection, arguments, directory=session.directory, model=model, session_model=session.model)


async def get_session_result(arguments: JsonObject, context: ActionContext) -> JsonObject:
    """Return the result of a session's last turn, or of the named one."""
    connection, turn, verdict = await _attach(arguments, context)
    if not verdict.ended:
        raise _still_running_error(turn, verdict)
    return await _result(connection, context, turn, verdict)


async def wait_for_session(arguments: JsonObject, context: ActionContext) -> JsonObject:
    """Return a bounded wait for the end of a turn, or for progress beyond ``cursor``."""
    began = context.clock()
    limit = time_budget.current().clamp(read.seconds(arguments, "wait_seconds", 45), stops=False)
    cursor = read.text(arguments, "cursor")
    connection, turn, verdict = await _attach(arguments, context)
    turns = await context.driver.turns(sending=False)
    ends = began + limit
    overdue = _overdue_at(turn.session, connection)
    if not verdict.ended and verdict.state != "waiting" and _cursor(turn, verdict) == (cursor or _cursor(turn, verdict)):
        # Without a cursor only the end counts; with one, any change does.
        enough = None if cursor is None else (lambda seen: _cursor(turn, seen) != cursor)
        async with connection.watcher(turn.session.directory).follow(turn.session.id) as news:
            await connection.events.try_open(within_seconds=max(0.1, ends - context.clock()))
            verdict = await turns.follow(turn, news, until=min(ends, overdue), watching=True, enough=enough)
    if not verdict.ended and context.clock() >= overdue:
        raise turns.overdue(turn)
    output: dict[str, object] = {
        "session_id": turn.session.id,
        "done": verdict.ended,
        "state": _state(turn, verdict),
        "cursor": _cursor(turn, verdict),
        "elapsed_seconds": _elapsed_seconds(connection, turn),
        "waited_seconds": round(context.clock() - began, 3),
        "progress": _progress(turn),
        "pending": [item.to_wire() for item in turn.pending],
    }
    notes = [note for note in (time_budget.current().note(), turn.failed_looks.note()) if note is not None]
    if notes and not verdict.ended:
        output["notes"] = notes
    if verdict.ended:
        output["result"] = await _result(connection, context, turn, verdict)
    else:
        output["next"] = (
            f"netclaw-opencode inspect wait-for-session --session-id {turn.session.id} --cursor {_cursor(turn, verdict)}"
            if verdict.state != "waiting"
            else refusal_command(turn.session.id, turn.pending[0])
        )
    return output


async def _attach(arguments: JsonObject, context: ActionContext) -> tuple[Connection, Turn, Verdict]:
    wanted = read.session_id(arguments)
    message_id = read.optional_id(arguments, "message_id")
    connection = await context.driver.connect()
    session = await connection.session(wanted)
    if message_id is None:
        message_id = SessionTag.read(session).message_id or await _last_prompt(connection, session)
    turn, verdict = await (await context.driver.turns(sending=False)).attach(session, message_id)
    if not turn.arrived and not turn.has_started and not _may_still_arrive(connection, session, message_id):
        raise ActionFailed("turn_incomplete", f"session {session.id} has no message {message_id}", details={"session_id": session.id})
    return connection, turn, verdict


async def _last_prompt(connection: Connection, session: Session) -> str:
    """Return the id of a session's last prompt, from any caller."""
    history = connection.history(session)
    newest = await history.read_newest()
    if not newest:
        raise ActionFailed("turn_incomplete", f"session {session.id} has no message yet", details={"session_id": session.id})
    step = newest[-1]
    while step.role != "user" or step.is_continuation:
        # From an answer to its prompt; from what OpenCode wrote itself to the message before it.
        above = await history.read_one(step.parent_id) if step.parent_id is not None else None
        if above is None or above.is_continuation:
            await history.read_back_to("")
            return next(item.id for item in reversed(history.steps) if item.role == "user" and not item.is_continuation)
        step = above
    return step.id


def _may_still_arrive(connection: Connection, session: Session, message_id: str) -> bool:
    """Return whether a prompt that is not in the store is one that was sent, by its mark, and whose task is not overdue."""
    return SessionTag.read(session).message_id == message_id and _overdue_at(session, connection) > connection.clock()


async def _result(connection: Connection, context: ActionContext, turn: Turn, verdict: Verdict) -> JsonObject:
    digest = SessionTag.read(turn.session).output_schema
    schema = structured_output.load_schema(context.settings.state_dir, digest) if digest is not None else None
    try:
        result = await (await context.driver.turns(sending=False)).result(turn, verdict, output_schema=schema)
    except DriverError as error:
        report = await _changes(connection, context, turn)
        if report is not None:
            error.details |= changed_files.details_of(report)
        raise
    if digest is not None and schema is None:
        # Another machine or state folder, or an old task: the digest alone says nothing of the form.
        result = replace(result, notes=(*result.notes, "output_schema is not kept here, so the answer was not checked against it"))
    output = result.to_wire()
    report = await _changes(connection, context, turn)
    if report is not None:
        report.add_to(output, notes=list(result.notes))
    return output


async def _changes(connection: Connection, context: ActionContext, turn: Turn) -> Report | None:
    """Return the whole change of an ended turn; None where this machine did not see its beginning. The first look at it is kept."""
    known = _known(context, turn.message_id)
    if known.record.base is None and known.record.report is None:
        return None
    watch = ChangeWatch(context.settings, known=known)
    ended_ms = turn.span.last.completed_ms if turn.span.last is not None else None
    try:
        report = await watch.end_joined(
            turn.span, server_url=connection.http.url, directory=turn.session.directory, until_ms=ended_ms and ended_ms + _SETTLING_MS
        )
    finally:
        watch.close()
    if known.record.report is None and report.found is not None:
        known.note(report=report.to_record())
    return report


def _still_running_error(turn: Turn, verdict: Verdict) -> Refused:
    state = _state(turn, verdict)
    return Refused(
        "session_waiting" if state == "waiting" else "session_busy",
        f"the turn is not over: session {turn.session.id} is {state}",
        next=f"netclaw-opencode inspect wait-for-session --session-id {turn.session.id}",
        details={"session_id": turn.session.id, "state": state, "pending": [item.to_wire() for item in turn.pending]},
    )


def _state(turn: Turn, verdict: Verdict) -> str:
    if verdict.state == "waiting":
        return "waiting"
    # A look that was cut short, too, shows nothing that has ended.
    return "busy" if not verdict.ended and turn.status is None else rules.state_of(turn.status, ())


def _overdue_at(session: Session, connection: Connection) -> float:
    """Return the task's own deadline, on the connection's clock; infinity where it has none."""
    deadline_ms = SessionTag.read(session).deadline_ms
    if deadline_ms is None:
        return float("inf")
    return connection.clock() + (deadline_ms - connection.http.server_time_ms()) / 1000


def _elapsed_seconds(connection: Connection, turn: Turn) -> float:
    """Return seconds since the prompt was taken, by the server's clock alone."""
    prompt, last = turn.history.get(turn.message_id), turn.span.last
    if prompt is None:
        return 0.0
    ended = last.completed_ms if last is not None and turn.status is None else None
    return round(max(0.0, (ended or connection.http.server_time_ms()) - prompt.created_ms) / 1000, 3)


def _progress(turn: Turn) -> dict[str, object]:
    """Return what the newest messages of the turn show: it moves on, or it does not."""
    uses = [use for step in turn.span.steps for use in step.tools]
    return {
        "text_chars": sum(len(step.text) for step in turn.span.steps),
        "tools_finished": sum(use.status in ("completed", "error") for use in uses),
        "tools_running": [use.tool for use in uses if use.status == "running"],
        "model_calls": len(turn.span.steps),
    }


def _cursor(turn: Turn, verdict: Verdict) -> str:
    """Changes whenever a model call, a tool or the state does."""
    last = turn.span.last
    return f"{_state(turn, verdict)}-{last.id if last is not None else 0}-{_progress(turn)['tools_finished']}"
