"""Handlers of whole jobs: run_task, run_plan_and_implement."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from netclaw_opencode._core import time_budget
from netclaw_opencode._core.idempotency import read_key
from netclaw_opencode.actions import arguments as read
from netclaw_opencode.actions import capping, checked, isolation, keyed, stating, transcripts
from netclaw_opencode.actions.attempts import Job, Task, run_watched
from netclaw_opencode.actions.keyed import JOINED
from netclaw_opencode.driver import rules
from netclaw_opencode.errors import ActionFailed, DriverError

if TYPE_CHECKING:
    from netclaw_opencode.actions.context import ActionContext
    from netclaw_opencode.actions.isolation import Place
    from netclaw_opencode.actions.transcripts import Recording
    from netclaw_opencode.jsontypes import JsonObject
    from netclaw_opencode.work.checking import Check
    from netclaw_opencode.work.keyed import Keyed

_TASK_SECONDS = 86400.0
PLAN_INSTRUCTION = "Make a plan for the following task. Do not change any file. Answer with the plan alone.\n\n"
IMPLEMENT_INSTRUCTION = "Implement the following task according to the plan.\n\n# Task\n\n{prompt}\n\n# Plan\n\n{plan}\n"


_SHARED = ("directory", "title", "model", "retry_budget_seconds", "retry_attempts", "fallback_models", "on_request")
"""What planning and implementing have in common."""


async def run_task(arguments: JsonObject, context: ActionContext) -> JsonObject:
    """Create (or fork), send, wait, delete: one task in one call."""
    async with transcripts.recording("run_task", context) as recording:
        return await _run_task(arguments, context, recording)


async def _run_task(arguments: JsonObject, context: ActionContext, recording: Recording) -> dict[str, object]:
    limit = time_budget.current().clamp(rules.require_deadline(read.seconds(arguments, "deadline_seconds", 600), longest=_TASK_SECONDS))
    read.require_sound(arguments, context.settings)
    ends = context.clock() + limit
    key, check = read_key(arguments, action="run_task"), checked.read_check(arguments)
    # What is checked or isolated has one tree: no second call may work in it.
    alone = check is not None or isolation.read_wish(arguments) is not None
    async with keyed.opened(key, context, alone=alone, ends=ends) as known:
        if known is not None and alone and known.record.outcome is not None:
            return dict(await keyed.tell_again(known, arguments, context))
        task = Task(
            "run_task",
            arguments,
            ends=ends,
            limit_seconds=limit,
            # What a key stands for must be found again.
            keep=read.flag(arguments, "keep_session") or key is not None,
            parent_id=read.optional_id(arguments, "parent_id"),
            key=key,
            list_ignored=read.flag(arguments, "list_ignored"),
            known=known,
            alone=alone,
            budget=capping.read_budget(arguments, context),
            recording=recording,
        )
        output = await transcripts.finish(recording, context, await _carry_out(task, check, context))
        if alone and output["state"] != "waiting":
            keyed.remember(known, output=output)
        return output


async def _carry_out(task: Task, check: Check | None, context: ActionContext) -> dict[str, object]:
    arguments, known = task.arguments, task.known if task.alone else None
    began_at = _now()
    judged = None
    try:
        async with isolation.isolated(arguments, context, ends=task.ends, known=known) as place:
            task = replace(task, place=place)
            if check is not None:
                done, judged = await checked.run_checked(task, check, context)
            else:
                done = await run_watched(task, context)
            job, waits = done.job, done.result.is_waiting
            output = done.to_wire()
            if judged is not None:
                output |= {"check": judged.to_wire(), "verified": judged.passed}
                if not waits:
                    ended_at = _now()
                    told = await stating.write_statement(task, done, judged, context, place=place, began_at=began_at, ended_at=ended_at)
                    output |= {"statement": told} if told is not None else {}
                if not (judged.passed or waits):
                    error = checked.failure_of(done, judged)
                    error.details |= {"statement": output["statement"]} if "statement" in output else {}
                    raise error
            output |= {
                "session_kept": task.keep or job.handed_back,
                "cleanup": {"session_deleted": job.deleted, "stopped_confirmed": not job.handed_back},
                # That a call joined another's task says more than what follows from it.
                "notes": [
                    *([JOINED] if done.joined else []),
                    *read.texts(output, "notes"),
                    *(note for note in job.notes if note != JOINED),
                    *capping.note_of(task.budget),
                ],
            }
            if done.attempts:
                output["attempts"] = done.attempts
            if task.parent_id is not None:
                output["forked_from"] = task.parent_id
            if place is not None:
                await _end_isolated(place, arguments, output, waits=waits, known=known)
            elif not waits:
                keyed.remember(known, output=output)
    except DriverError as error:
        if judged is not None and error.code == "check_failed":
            keyed.remember(known, error=error)
            await checked.remove_superseded(judged, context)
        raise
    if known is not None and judged is not None and not waits:
        await checked.remove_superseded(judged, context)
    return output


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


async def _end_isolated(place: Place, arguments: JsonObject, output: dict[str, object], *, waits: bool, known: Keyed | None = None) -> None:
    """Say where the work is, and bring it in if the caller wants that."""
    place.end(waits=waits)
    output["work"] = isolation.to_wire(place.work)
    applies = read.flag(arguments, "apply") and not waits
    if known is not None and not waits:
        # Before its tree goes: a later call must not begin the task anew.
        known.note(outcome={"data": output}, applying=applies)
    if not applies:
        return
    try:
        output["work"], notes = await place.apply()
    except DriverError as error:
        # The task itself has succeeded: its result is not lost with that.
        error.details["result"] = dict(output)
        raise
    output["notes"] = [*read.texts(output, "notes"), *notes]
    keyed.remember(known, output=output)


async def run_plan_and_implement(arguments: JsonObject, context: ActionContext) -> JsonObject:
    """Plan in one session, implement in a fresh one with the plan as its context."""
    began = context.clock()
    limit = time_budget.current().clamp(rules.require_deadline(read.seconds(arguments, "deadline_seconds", 1200), longest=_TASK_SECONDS))
    read.require_sound(arguments, context.settings)
    async with transcripts.recording("run_plan_and_implement", context) as recording:
        async with isolation.isolated(arguments, context, ends=began + limit) as place:
            output = await _plan_and_implement(arguments, context, recording, began=began, limit=limit, place=place)
            if place is not None:
                await _end_isolated(place, arguments, output, waits=output["state"] == "waiting")
        return await transcripts.finish(recording, context, output)


async def _plan_and_implement(
    arguments: JsonObject, context: ActionContext, recording: Recording, *, began: float, limit: float, place: Place | None
) -> dict[str, object]:
    keep = read.flag(arguments, "keep_sessions")
    budget = capping.read_budget(arguments, context)
    prompt = read.required_text(arguments, "prompt")
    common = {name: arguments[name] for name in _SHARED if name in arguments}
    to_plan = {**common, "prompt": PLAN_INSTRUCTION + prompt, "agent": read.text(arguments, "plan_agent") or "plan"}
    if "plan_model" in arguments:
        to_plan["model"] = arguments["plan_model"]
    if "thinking" in arguments:
        to_plan["thinking"] = arguments["thinking"]
    to_run = partial(Task, ends=began + limit, limit_seconds=limit, keep=keep, place=place, budget=budget, recording=recording)
    planned = await run_watched(to_run("plan", to_plan, part="plan"), context)
    plan_job, plan = planned.job, planned.result
    if plan.is_waiting:
        return {
            "state": "waiting",
            "plan": planned.to_wire(),
            "elapsed_seconds": round(context.clock() - began, 3),
            "cleanup": _kept(plan_job),
        }
    if plan.verdict.flag is not None:
        raise ActionFailed(
            "turn_incomplete",
            f"the plan was {plan.verdict.flag}, so it was not implemented; raise the model's output limit or ask for less",
            details={"plan": plan.text, "session_id": plan.session_id},
        )
    to_build = {
        **common,
        "prompt": IMPLEMENT_INSTRUCTION.format(prompt=prompt, plan=plan.text),
        "agent": read.text(arguments, "agent") or "build",
    }
    try:
        done = await run_watched(to_run("implement", to_build, part="implementation"), context)
    except DriverError as error:
        error.details["plan"] = plan.text
        raise
    jobs = (plan_job, done.job)
    failed = [{"part": "plan", **item} for item in planned.attempts] + [{"part": "implementation", **item} for item in done.attempts]
    return {
        "state": "waiting" if done.result.is_waiting else "completed",
        "plan": planned.to_wire(),
        "implementation": done.to_wire(),
        "elapsed_seconds": round(context.clock() - began, 3),
        "cleanup": _kept(*jobs),
        **({"attempts": failed} if failed else {}),
    }


def _kept(*jobs: Job) -> dict[str, object]:
    return {
        "sessions_deleted": [item.session.id for item in jobs if item.deleted],
        "sessions_kept": [item.session.id for item in jobs if not item.deleted],
    }
