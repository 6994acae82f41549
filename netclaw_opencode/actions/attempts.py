"""One task in a session of its own: created, sent, watched, removed; tried again with another model where that may help.

Owns the life of that session around a turn, and the order of tries. What a task is made of, and what its result says, is for the actions.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

import anyio

from netclaw_opencode._core import time_budget
from netclaw_opencode.actions import arguments as read
from netclaw_opencode.actions import capping, changed_files
from netclaw_opencode.actions.changed_files import ChangeWatch
from netclaw_opencode.actions.keyed import JOINED
from netclaw_opencode.driver import keys, sending, sessions, stopping, tags
from netclaw_opencode.driver.tags import SessionTag
from netclaw_opencode.errors import CODES, ActionFailed, DriverError
from netclaw_opencode.facts import ProgressEvent
from netclaw_opencode.opencode.directories import Places
from netclaw_opencode.opencode.models import parse_model

if TYPE_CHECKING:
    from netclaw_opencode._core.idempotency import Key
    from netclaw_opencode.actions.context import ActionContext
    from netclaw_opencode.actions.isolation import Place
    from netclaw_opencode.actions.transcripts import Recording
    from netclaw_opencode.driver.results import TurnResult
    from netclaw_opencode.driver.spending import Budget
    from netclaw_opencode.jsontypes import JsonObject
    from netclaw_opencode.opencode.connection import Connection
    from netclaw_opencode.opencode.wire.types import Session
    from netclaw_opencode.work.keyed import Keyed

_REMOVE_SECONDS = 4.0
"""Time for removing the session of a task that failed, beyond what the turn took for its stop, in seconds."""
_CREATE_SECONDS = 2.0
"""A creation that has begun gets this long to be answered, however near the deadline is, in seconds."""
_TREE_GONE = (
    "the task of this idempotency key has run, and its tree is gone (it was applied, discarded or removed); nothing was sent: "
    "for another run take another key"
)

FALLBACK_CODES = frozenset({"provider_retrying", "provider_error", "provider_auth", "runaway_turn", "empty_output"})
"""Failures that another model may not have."""
_SEEN_ENDED = frozenset({"provider_error", "provider_auth", "empty_output"})
"""Those of them that are read from a turn which the server itself shows as ended."""


@dataclass(frozen=True, slots=True)
class Task:
    """One prompt that is to run in a session of its own; ``ends`` is on the context's clock."""

    name: str
    arguments: JsonObject
    ends: float
    limit_seconds: float
    keep: bool
    parent_id: str | None = None
    key: Key | None = None
    attempt: int = 0
    list_ignored: bool = False
    place: Place | None = None
    hold: bool = False
    """The session is its caller's to remove: something may follow in a fork of it."""
    needs_snapshot: bool = False
    mending: str = ""
    """What the agent is told of a check that failed."""
    known: Keyed | None = None
    """What is known of the task under its key."""
    alone: bool = False
    """Whether no other call works on the task: what an earlier one began is this one's to hold to its caps and to stop."""
    budget: Budget = field(kw_only=True)
    recording: Recording = field(kw_only=True)
    part: str = "task"
    """What its session is called in the transcript."""


@dataclass(frozen=True, slots=True)
class Done:
    """A task that succeeded: its session, its turn, the tries before it that failed, and what it changed."""

    job: Job
    result: TurnResult
    attempts: list[dict[str, object]]
    report: changed_files.Report
    joined: bool = False
    """Whether an earlier call had begun it."""

    def to_wire(self) -> dict[str, object]:
        """Return the ``TURN`` shape with everything that changed."""
        output = self.result.to_wire()
        notes = output["notes"]
        self.report.add_to(output, notes=notes if isinstance(notes, list) else [])
        return output


@dataclass(slots=True)
class Job:
    """A session of a task and what became of it."""

    session: Session
    new: bool
    deleted: bool = False
    handed_back: bool = False
    """The turn waits for an answer that its caller is to give: the session stays."""
    notes: list[str] = field(default_factory=list)


async def run_watched(task: Task, context: ActionContext) -> Done:
    """Run a task, and see what it changed; what one that failed had changed stands in its error."""
    async with changed_files.watched(watch_of(task, context)) as watch:
        job, result, attempts = await run_with_fallbacks(task, context, watch)
        if job.new or watch.began:
            report = await watch.end(result.span)
            if task.known is not None and not result.is_waiting:
                task.known.note(report=report.to_record())
        else:
            url = (await context.driver.connect()).http.url
            report = await watch.end_joined(result.span, server_url=url, directory=job.session.directory)
    return Done(job, result, attempts, report, joined=not job.new)


def watch_of(task: Task, context: ActionContext) -> ChangeWatch:
    """Return what sees the changes of a task."""
    return ChangeWatch(context.settings, list_ignored=task.list_ignored, place=task.place, known=task.known)


async def run_with_fallbacks(task: Task, context: ActionContext, watch: ChangeWatch) -> tuple[Job, TurnResult, list[dict[str, object]]]:
    """Try the task's model, then each of ``fallback_models`` in a fresh session; tells of the tries that failed.

    Under an idempotency key the attempt that there is already is found again: the same call twice is one task.
    """
    models = [task.arguments.get("model"), *_fallbacks(task.arguments)]
    attempts: list[dict[str, object]] = []
    number = await _newest_attempt(task, context, most=len(models)) if task.key is not None and len(models) > 1 else 0
    while True:
        model = models[number]
        arguments = {**task.arguments, "model": model} if model is not None else task.arguments
        try:
            return *await _one(replace(task, arguments=arguments, attempt=number), context, watch), attempts
        except DriverError as error:
            attempts.append({"model": str(parse_model(model) or "default"), "code": error.code, "message": error.message})
            last = number + 1 == len(models)
            if last or context.clock() >= task.ends or not await _may_try_another(task, context, error, number):
                if len(attempts) > 1:
                    error.details["attempts"] = attempts
                raise
        number += 1


async def _newest_attempt(task: Task, context: ActionContext, *, most: int) -> int:
    """Return the number of the attempt that a call with the same key made last; 0 where there is none."""
    assert task.key is not None  # asked only where there is one
    with sending.deadline_before_send(task.ends - context.clock()):
        found = await keys.find_sessions(await context.driver.connect(), task.key)
    return min(max(found, default=0), most - 1)


async def _may_try_another(task: Task, context: ActionContext, error: DriverError, number: int) -> bool:
    """Return whether the next model may have the task: the failure is the model's, and nothing of the attempt runs any more."""
    if error.code in FALLBACK_CODES:
        if _stop_is_proved(error) or (error.stop is None and error.code in _SEEN_ENDED):
            return True
        error.message += "; no other model was tried, since this attempt is not seen stopped"
        return False
    # Another call with the same key may have stopped this attempt and gone on with the next model.
    with suppress(DriverError):
        return task.key is not None and await _newest_attempt(task, context, most=number + 2) > number
    return False


def _fallbacks(arguments: JsonObject) -> list[object]:
    given = arguments.get("fallback_models")
    return list(given) if isinstance(given, list) else []


async def _one(task: Task, context: ActionContext, watch: ChangeWatch) -> tuple[Job, TurnResult]:
    """One prompt in one session of its own."""
    place = task.place
    directory = place.directory if place is not None else read.workplace(task.arguments, context.settings)
    model = read.model(task.arguments, context.settings)
    with sending.deadline_before_send(task.ends - context.clock()):
        on_request = read.on_request(task.arguments)
        turns = await context.driver.turns(on_request=on_request)
        connection = await context.driver.connect()
        swept = await context.driver.sweep_orphans(connection, left_seconds=task.ends - context.clock())
        prompt = await read.prompt(connection, task.arguments, directory=directory, model=model)
        await capping.require_price(connection, prompt, task.budget, directory=directory)
    message_id = connection.ids.message()
    wanted = sessions.NewSession(
        directory=directory,
        task=task.name,
        title=read.text(task.arguments, "title") or prompt.text.strip().splitlines()[0][:80],
        agent=prompt.agent,
        model=prompt.model,
        parent_id=task.parent_id,
        directory_given="directory" in task.arguments,
        places=place.places() if place is not None else Places.from_settings(context.settings),
        marks=_marks(task, message_id, deadline_ms=connection.http.server_time_ms() + int((task.ends - context.clock()) * 1000)),
        offers_questions=context.driver.offers_questions(on_request),
    )
    async with _session(connection, context, wanted, task) as job:
        job.notes += swept
        known = task.known
        # A turn of another machine's call is that call's.
        taken_over = task.alone and known is not None and job.session.id in known.record.sessions
        if place is not None and not (job.new or place.joins):
            raise ActionFailed("work_not_found", _TREE_GONE, details={"session_id": job.session.id})
        if known is not None and job.new:
            known.add_session(job.session.id)
        if job.new or task.alone:
            joins = place.sent if place is not None else not job.new
            left = task.ends - context.clock()
            await watch.begin(job.session.directory, server_url=connection.http.url, left_seconds=left, joins=joins)
        if task.needs_snapshot and not watch.began:
            watch.require()
        if place is not None:
            await place.prove(connection, job.session)
        result = await turns.run(
            job.session,
            prompt,
            ends=task.ends,
            deadline_seconds=task.limit_seconds,
            message_id=SessionTag.read(job.session).message_id,
            retries=read.retries(task.arguments),
            untouched=job.new and task.parent_id is None and task.key is None,
            taken_over=taken_over,
            budget=task.budget,
            transcript=task.recording.transcript if task.recording.is_on else None,
        )
        if result.is_waiting:
            job.handed_back = True
            # From now on it is nobody's but the caller's: no owner whose end would remove it, and a deadline of its own.
            left_ms = int(max(0.0, task.ends - context.clock()) * 1000)
            deadline_ms = connection.http.server_time_ms() + left_ms
            marks = {"owner": None, "message_id": result.message_id, "deadline_ms": deadline_ms}
            job.session = await sessions.update_tag(connection, job.session, marks)
    return job, result


def _marks(task: Task, message_id: str, *, deadline_ms: int) -> dict[str, object]:
    """Marks of the task's session: whose it is, or by which key (and with which prompt) it is found again."""
    if task.key is not None:
        return {**task.key.marks(), "message_id": message_id, "deadline_ms": deadline_ms, "attempt": task.attempt}
    return {} if task.keep else tags.owner_marks()


@asynccontextmanager
async def _session(connection: Connection, context: ActionContext, wanted: sessions.NewSession, task: Task) -> AsyncIterator[Job]:
    """A session that is gone afterwards, however the block ends, unless it is to be kept."""
    with anyio.CancelScope(shield=True), sending.deadline_before_send(max(_CREATE_SECONDS, task.ends - context.clock())):
        # Shielded: a cancellation between the server's creation and our knowledge of it would leave the session behind.
        if task.key is not None:
            create = partial(sessions.create, connection, wanted)
            session, new = await keys.find_or_create(connection, task.key, create, attempt=task.attempt)
        else:
            with context.driver.pending_removals.add_on_failure(wanted.created_by):
                session, new = await sessions.create(connection, wanted), True
    job = Job(session, new)
    if new:
        context.driver.emit(ProgressEvent("session_created", f"session {session.id} in {wanted.directory}", session.id))
    else:
        job.notes.append(JOINED)
    try:
        yield job
        await _record(task, connection, job)
    except BaseException as error:
        with anyio.CancelScope(shield=True):
            await _record(task, connection, job, error)
        # Somebody else's prompt may run in it: then it is not ours alone any more.
        joined = isinstance(error, DriverError) and error.code == "prompt_joined"
        if not task.keep and not joined:
            with anyio.CancelScope(shield=True):
                await remove_session(connection, context, job, at_rest=_stop_is_proved(error))
            if job.deleted and isinstance(error, DriverError):
                _tell_of_proof(error)
        if isinstance(error, DriverError):
            error.details["cleanup"] = {"session_deleted": job.deleted, "session_kept": task.keep, "notes": job.notes}
        raise
    if not (task.keep or task.hold or job.handed_back):
        await remove_session(connection, context, job, at_rest=True)


async def _record(task: Task, connection: Connection, job: Job, error: BaseException | None = None) -> None:
    """Read what the session holds, before it is removed."""
    part = task.part if not task.attempt else f"{task.part}, try {task.attempt + 1}"
    await task.recording.read(connection, job.session, part=part, parent_id=task.parent_id, error=error)


def _tell_of_proof(error: DriverError) -> None:
    """Say of a stop that was not proved what the removal of its session has shown: nothing runs, and a late prompt is refused."""
    if error.stop is not None and not error.stop.confirmed:
        error.confirm_stop(by="session_deleted")
        error.message += "; its session was deleted since, so nothing runs in it, and a prompt that comes late is refused"
        error.next = CODES[error.code].remedy


def _stop_is_proved(error: BaseException) -> bool:
    """Return whether the turn's own ending has just proved that nothing runs in the session any more."""
    return isinstance(error, DriverError) and error.stop is not None and error.stop.confirmed


async def remove_session(connection: Connection, context: ActionContext, job: Job, *, at_rest: bool) -> None:
    """Delete the session of a task; a failure to do so is noted and never hides how the task itself ended."""
    problem: DriverError | None = None
    with anyio.move_on_after(time_budget.remaining_up_to(_REMOVE_SECONDS)):
        try:
            await stopping.delete(connection, job.session, report=stopping.already_stopped(job.session) if at_rest else None)
            job.deleted = True
        except DriverError as error:
            problem = error
    if job.deleted:
        context.driver.emit(ProgressEvent("session_deleted", f"session {job.session.id} deleted", job.session.id))
        return
    context.driver.pending_removals.add(job.session.id)
    why = problem.message if problem is not None else f"session {job.session.id} could not be removed within {_REMOVE_SECONDS:g} s"
    job.notes.append(f"{why}; netclaw-opencode server cleanup")
