"""Handlers of whole jobs: run_task, run_plan_and_implement."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import anyio

from netclaw_opencode.actions import arguments as read
from netclaw_opencode.driver import rules, sessions, stopping
from netclaw_opencode.driver.turns import CLEANUP_SECONDS
from netclaw_opencode.errors import DriverError
from netclaw_opencode.facts import ProgressEvent

if TYPE_CHECKING:
    from netclaw_opencode.actions.context import ActionContext
    from netclaw_opencode.client.types import Session
    from netclaw_opencode.driver.connection import Connection
    from netclaw_opencode.driver.outcome import TurnResult
    from netclaw_opencode.jsontypes import JsonObject

_TASK_SECONDS = 86400.0

PLAN_INSTRUCTION = "Make a plan for the following task. Do not change any file. Answer with the plan alone.\n\n"
IMPLEMENT_INSTRUCTION = "Implement the following task according to the plan.\n\n# Task\n\n{prompt}\n\n# Plan\n\n{plan}\n"


@dataclass(slots=True)
class _Job:
    """A session of a task and what became of it."""

    session: Session
    deleted: bool = False
    notes: list[str] = field(default_factory=list)


async def run_task(arguments: JsonObject, context: ActionContext) -> JsonObject:
    """Create (or fork), send, wait, delete: one task in one call."""
    limit = rules.deadline(read.seconds(arguments, "deadline_seconds", 600), longest=_TASK_SECONDS)
    keep = read.flag(arguments, "keep_session")
    parent_id = read.optional_id(arguments, "parent_id")
    ends = context.clock() + limit
    job, result = await _one(arguments, context, task="run_task", ends=ends, limit_seconds=limit, keep=keep, parent_id=parent_id)
    output = result.to_wire() | {
        "session_kept": keep,
        "cleanup": {"session_deleted": job.deleted, "stopped_confirmed": True},
        "notes": [*result.notes, *job.notes],
    }
    if parent_id is not None:
        output["forked_from"] = parent_id
    return output


async def run_plan_and_implement(arguments: JsonObject, context: ActionContext) -> JsonObject:
    """Plan in one session, implement in a fresh one with the plan as its context."""
    began = context.clock()
    limit = rules.deadline(read.seconds(arguments, "deadline_seconds", 1200), longest=_TASK_SECONDS)
    ends = began + limit
    keep = read.flag(arguments, "keep_sessions")
    task = read.required_text(arguments, "prompt")
    common = {key: arguments[key] for key in ("directory", "title", "model") if key in arguments}
    plan_arguments = {**common, "prompt": PLAN_INSTRUCTION + task, "agent": read.text(arguments, "plan_agent") or "plan"}
    if "plan_model" in arguments:
        plan_arguments["model"] = arguments["plan_model"]
    if "thinking" in arguments:
        plan_arguments["thinking"] = arguments["thinking"]
    plan_job, plan = await _one(plan_arguments, context, task="plan", ends=ends, limit_seconds=limit, keep=keep)
    build_arguments = {
        **common,
        "prompt": IMPLEMENT_INSTRUCTION.format(prompt=task, plan=plan.text),
        "agent": read.text(arguments, "agent") or "build",
    }
    job, implementation = await _one(build_arguments, context, task="implement", ends=ends, limit_seconds=limit, keep=keep)
    jobs = (plan_job, job)
    return {
        "plan": plan.to_wire(),
        "implementation": implementation.to_wire(),
        "elapsed_seconds": round(context.clock() - began, 3),
        "cleanup": {
            "sessions_deleted": [item.session.id for item in jobs if item.deleted],
            "sessions_kept": [item.session.id for item in jobs if not item.deleted],
        },
    }


async def _one(
    arguments: JsonObject, context: ActionContext, *, task: str, ends: float, limit_seconds: float, keep: bool, parent_id: str | None = None
) -> tuple[_Job, TurnResult]:
    """One prompt in one session of its own. ``ends`` is when it has to be over, on the context's clock."""
    directory = read.directory(arguments, context.settings)
    model = read.model(arguments, context.settings)
    connection = await context.driver.connect()
    prompt = await read.prompt(connection, arguments, directory=directory, model=model)
    wanted = sessions.NewSession(
        directory=directory,
        task=task,
        title=read.text(arguments, "title") or prompt.text.strip().splitlines()[0][:80],
        agent=prompt.agent,
        model=prompt.model,
        parent_id=parent_id,
    )
    async with _session(connection, context, wanted, keep=keep) as job:
        result = await (await context.driver.turns()).run(job.session, prompt, ends=ends, deadline_seconds=limit_seconds)
    return job, result


@asynccontextmanager
async def _session(connection: Connection, context: ActionContext, wanted: sessions.NewSession, *, keep: bool) -> AsyncIterator[_Job]:
    """A session that is gone afterwards, however the block ends, unless it is to be kept."""
    with anyio.CancelScope(shield=True):
        # Shielded: a cancellation between the server's creation and our knowledge of it would leave the session behind.
        job = _Job(await sessions.create(connection, wanted))
    context.driver.tell(ProgressEvent("session_created", f"session {job.session.id} in {wanted.directory}", job.session.id))
    try:
        yield job
    except BaseException as error:
        with anyio.CancelScope(shield=True), anyio.move_on_after(CLEANUP_SECONDS):
            await _remove(connection, context, job, after=error)
        raise
    if not keep:
        await _remove(connection, context, job, after=None)


async def _remove(connection: Connection, context: ActionContext, job: _Job, *, after: BaseException | None) -> None:
    """Delete the session of a task. After an error, the failure to do so is added to it and never hides it."""
    try:
        report = stopping.at_rest(job.session) if after is None else None
        await stopping.delete(connection, job.session, report=report)
        job.deleted = True
        context.driver.tell(ProgressEvent("session_deleted", f"session {job.session.id} deleted", job.session.id))
    except DriverError as error:
        if after is None:
            job.notes.append(f"{error.message}; {error.to_wire()['next']}")
    if isinstance(after, DriverError):
        after.details["cleanup"] = {"session_deleted": job.deleted}
