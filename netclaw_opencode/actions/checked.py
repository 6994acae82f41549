"""A task whose result is judged by its caller's own check, and mended by the agent where it does not hold.

Owns the order: check before (if asked), task, protected files put back, look at the tree, check, mending in a fork of the session. All
of it has one deadline and one budget. How a check runs is ``work.checking``'s.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread

from netclaw_opencode.actions import arguments as read
from netclaw_opencode.actions import attempts, changed_files
from netclaw_opencode.actions.attempts import Done, Job, Task
from netclaw_opencode.driver import keys, sending
from netclaw_opencode.errors import ActionFailed, DriverError, InvalidInput
from netclaw_opencode.facts import ProgressEvent
from netclaw_opencode.opencode.wire.types import Usage
from netclaw_opencode.work import checking
from netclaw_opencode.work.checking import Check, Run

if TYPE_CHECKING:
    from netclaw_opencode._core.idempotency import Key
    from netclaw_opencode.actions.changed_files import ChangeWatch
    from netclaw_opencode.actions.context import ActionContext
    from netclaw_opencode.driver.results import TurnResult
    from netclaw_opencode.jsontypes import JsonObject

_TOLD_CHARS = 12_000
"""As much of the end of a failed run as the agent is told."""
_SHOWN_CHARS = 4_000
"""As much of the end of each run as a result holds."""
MEND_INSTRUCTION = (
    "The task is not done: this check fails.\n\n$ {command}\n\nIt {ending}. The end of its output:\n\n```\n{output}\n```\n\n"
    "Mend the work so that the check passes.{protected}\n"
)


@dataclass(slots=True)
class Judged:
    """What the check said, run by run."""

    check: Check
    runs: list[dict[str, object]] = field(default_factory=list)
    put_back: list[str] = field(default_factory=list)
    passed: bool = False
    ending: str = ""
    """How the last run ended."""
    superseded: list[Job] = field(default_factory=list)
    """Sessions that are not needed any more once it is written down how the task ended."""

    def add(self, run: Run, phase: str) -> None:
        """Keep a run."""
        self.ending = run.describe()
        self.runs.append(replace(run, output=run.output[-_SHOWN_CHARS:]).to_wire(phase))

    def to_wire(self) -> dict[str, object]:
        """Return ``check`` of a result."""
        return {"command": list(self.check.command), "runs": self.runs, "put_back": self.put_back}


def read_check(arguments: JsonObject) -> Check | None:
    """Take the check that the caller wants; None for none.

    Raises:
        InvalidInput: It does not go with the other arguments.
    """
    given = arguments.get("check")
    if not isinstance(given, dict):
        return None
    command = tuple(read.texts(given, "command"))
    if any("\0" in word for word in command):
        raise InvalidInput("invalid_input", "check.command holds a NUL character")
    if read.flag(given, "shell") and len(command) != 1:
        raise InvalidInput("invalid_input", "check.command must be one text where check.shell is true")
    return Check(
        command,
        shell=read.flag(given, "shell"),
        deadline_seconds=read.seconds(given, "deadline_seconds", 300),
        attempts=read.integer(given, "attempts", 1),
        before=read.flag(given, "before"),
        protect=tuple(read.texts(given, "protect")),
    )


async def run_checked(task: Task, check: Check, context: ActionContext) -> tuple[Done, Judged]:
    """Run a task until its check holds, or its attempts, its time or its budget are used up.

    Under an idempotency key, what an earlier call began is gone on with: the check is not asked before it again, no turn is sent again,
    and the newest turn's work is judged.

    Raises:
        ActionFailed: ``check_failed``: the check holds before the task, which it must not.
    """
    directory = await _directory(task, context)
    judged = Judged(check)
    begun = await _begun(task, check, context)
    if task.known is not None and (begun or task.known.has_begun):
        judged.runs, judged.put_back = list(task.known.record.runs), list(task.known.record.put_back)
        await anyio.to_thread.run_sync(checking.end_left, _mark_of(task.known.key))
    elif check.before:
        first = await _run(task, check, directory, context)
        judged.add(first, "before")
        if first.passed:
            raise ActionFailed(
                "check_failed",
                f"the check ({check.shown()}) holds already before the task, so it would prove nothing; nothing was sent",
                details={"check": judged.to_wire()},
            )
        _note_runs(task, judged)
    held: list[Job] = []
    async with changed_files.watched(attempts.watch_of(task, context)) as watch:
        try:
            return await _mended(replace(task, hold=True, needs_snapshot=bool(check.protect)), judged, context, watch, held, begun)
        finally:
            # The server knows a key by the first session, and the result names the last.
            kept = [*held[-1:], *(held[:1] if task.key is not None else ())] if task.keep else []
            judged.superseded = [job for job in held if job not in kept and not job.handed_back]
            if task.key is None:
                await remove_superseded(judged, context)


async def remove_superseded(judged: Judged, context: ActionContext) -> None:
    """Remove the sessions of a task that are not needed any more. Those of a key are, until it is written down how the task ended."""
    with anyio.CancelScope(shield=True):
        for job in judged.superseded:
            await attempts.remove_session(await context.driver.connect(), context, job, at_rest=True)


async def _begun(task: Task, check: Check, context: ActionContext) -> list[int]:
    """Return which turns of the task the server has: 0 for the task itself, then the repairs."""
    if task.key is None:
        return []
    parts = [_part_of(task.key, number) for number in range(check.attempts + 1)]
    with sending.deadline_before_send(task.ends - context.clock()):
        found = await keys.find_sessions_of_all(await context.driver.connect(), parts)
    told = len(task.known.record.repairs) if task.known is not None else 0
    # What the agent was told in a repair is known here alone.
    return [number for number, sessions in enumerate(found) if sessions and number <= told]


def _part_of(key: Key, number: int) -> Key:
    return key if number == 0 else key.part(f"repair {number}")


def _mark_of(key: Key) -> str:
    """The mark of the check's processes: what a killed caller left of them is found by it."""
    return key.part("check").digest[:32]


def _note_runs(task: Task, judged: Judged) -> None:
    if task.known is not None:
        task.known.note(runs=judged.runs, put_back=judged.put_back)


async def _directory(task: Task, context: ActionContext) -> Path:
    """Return where the task will work: a fork works where its parent did."""
    if task.place is not None:
        return Path(task.place.directory)
    if task.parent_id is not None:
        return Path((await (await context.driver.connect()).session(task.parent_id)).directory)
    return Path(read.workplace(task.arguments, context.settings))


async def _mended(
    task: Task, judged: Judged, context: ActionContext, watch: ChangeWatch, held: list[Job], begun: list[int]
) -> tuple[Done, Judged]:
    check = judged.check
    results: list[TurnResult] = []
    tries: list[dict[str, object]] = []
    newest = max(begun, default=0)
    for number in range(check.attempts + 1):
        if number < newest and number not in begun:
            continue
        part = _part(task, number, held)
        try:
            job, result, failed = await attempts.run_with_fallbacks(part, context, watch)
        except DriverError as error:
            if judged.runs:
                error.details["check"] = judged.to_wire()
            raise
        held.append(job)
        results.append(result)
        tries += failed
        joined = not held[0].new
        if number < newest:
            # It was judged then, and the agent has worked since.
            continue
        if result.is_waiting:
            return Done(job, result, tries, await watch.end(result.span), joined), judged
        if task.known is not None and task.known.record.checked == number and not job.new:
            await watch.clean_up_left()
        until_ms = _ended_ms(result) if not job.new and task.place is None else None
        put_back = await watch.put_back(check.protects, until_ms=until_ms) if check.protect else []
        judged.put_back += [path for path in put_back if path not in judged.put_back]
        whole = _joined(results)
        done = Done(job, whole, tries, await watch.end(whole.span), joined)
        if task.known is not None:
            task.known.note(checked=number)
        last = await _run(task, check, Path(job.session.directory), context)
        judged.add(last, "after" if number == 0 else f"mended {number}")
        await watch.clean_up()
        judged.passed = last.passed
        _note_runs(task, judged)
        if last.passed or number == check.attempts or context.clock() >= task.ends:
            return done, judged
        prompt = _mending(check, last, put_back)
        if task.known is not None:
            task.known.note(repairs=[*task.known.record.repairs[:number], prompt])
        else:
            task = replace(task, mending=prompt)
    raise AssertionError("the last attempt returns or raises")


def _part(task: Task, number: int, held: list[Job]) -> Task:
    """Return the task itself, or the turn that mends its work: a fork works where its parent did, and knows what was done."""
    if number == 0:
        return task
    prompt = task.known.record.repairs[number - 1] if task.known is not None else task.mending
    kept = {name: value for name, value in task.arguments.items() if name not in ("output_schema", "title")}
    return replace(
        task,
        arguments={**kept, "prompt": prompt},
        parent_id=held[-1].session.id if held else None,
        key=_part_of(task.key, number) if task.key is not None else None,
        needs_snapshot=False,
        part=f"repair {number}",
    )


def _ended_ms(result: TurnResult) -> float | None:
    """Return when the agent wrote its last word, by the clock of the server, which is this machine's."""
    final = result.verdict.final
    return (final.completed_ms or final.created_ms) if final is not None else None


async def _run(task: Task, check: Check, directory: Path, context: ActionContext) -> Run:
    """Run the check in a thread; whoever goes away waits until everything below it has ended."""
    stop, ended = threading.Event(), threading.Event()
    environ, left = context.settings.environ, task.ends - context.clock()
    mark = _mark_of(task.known.key) if task.known is not None else None

    def work() -> Run:
        try:
            return checking.run(check, directory, environ=environ, limit_seconds=left, stop=stop, mark=mark)
        finally:
            ended.set()

    try:
        run = await anyio.to_thread.run_sync(work, abandon_on_cancel=True)
        facts = {"tool": "check", "status": "completed" if run.passed else "error", "subject": check.shown()[:60]}
        colour = "green" if run.passed else "red"
        context.driver.emit(ProgressEvent("tool", f"check {check.shown()[:60]} {colour}: {run.describe()}", facts=facts))
        return run
    except anyio.get_cancelled_exc_class():
        stop.set()
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(ended.wait)
        raise


def _mending(check: Check, last: Run, put_back: list[str]) -> str:
    protected = ""
    if check.protect:
        protected = f" Do not change these files: {', '.join(check.protect)}."
        if put_back:
            protected += f" What you changed of them was put back: {', '.join(put_back[:20])}."
    return MEND_INSTRUCTION.format(
        command=check.shown(), ending=last.describe(), output=last.output[-_TOLD_CHARS:].strip(), protected=protected
    )


def _joined(results: list[TurnResult]) -> TurnResult:
    """One result of all turns: the answer of the last one, the steps, the usage and the time of all."""
    last = results[-1]
    if len(results) == 1:
        return last
    usage = replace(
        last.usage,
        usage=sum((item.usage.usage for item in results), Usage()),
        sessions=sum(item.usage.sessions for item in results),
        model_calls=sum(item.usage.model_calls for item in results),
    )
    return replace(
        last,
        usage=usage,
        span=replace(last.span, steps=tuple(step for item in results for step in item.span.steps)),
        elapsed_seconds=sum(item.elapsed_seconds for item in results),
        answered=tuple(answer for item in results for answer in item.answered),
        notes=tuple(dict.fromkeys(note for item in results for note in item.notes)),
    )


def failure_of(done: Done, judged: Judged) -> ActionFailed:
    """Return the error of work for which its check never held, with all that was done."""
    count = len([run for run in judged.runs if run["phase"] != "before"])
    return ActionFailed(
        "check_failed",
        f"the check ({judged.check.shown()}) {judged.ending}, after {count} run(s); the work is kept as it is",
        details={
            "check": judged.to_wire(),
            "session_id": done.result.session_id,
            "message_id": done.result.message_id,
            "text": done.result.text,
            "usage": done.result.usage.to_wire(),
            **changed_files.details_of(done.report),
        },
    )


__all__ = ["Judged", "failure_of", "read_check", "remove_superseded", "run_checked"]
