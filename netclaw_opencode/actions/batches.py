"""Handlers of batches: run, submit, get, wait, results, cancel, pause, retry, list.

Owns the way from arguments to a batch and back. The tasks themselves are run by workers, processes of their own.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec, TypeVar, cast

import anyio
import anyio.to_thread

from netclaw_opencode._core import time_budget
from netclaw_opencode.actions import arguments as read
from netclaw_opencode.actions import batch_outputs, checked, isolation
from netclaw_opencode.actions.batch_following import REST, Follower
from netclaw_opencode.actions.batch_outputs import Outputs
from netclaw_opencode.batch import claims, leases, looking, starting, submitting
from netclaw_opencode.batch.database import Database
from netclaw_opencode.batch.items import Reader
from netclaw_opencode.errors import CODES, ActionFailed, InvalidInput
from netclaw_opencode.opencode.models import parse_model

if TYPE_CHECKING:
    import subprocess

    from netclaw_opencode.actions.context import ActionContext
    from netclaw_opencode.jsontypes import JsonObject
    from netclaw_opencode.settings import Settings

P = ParamSpec("P")
T = TypeVar("T")

_COMING_SECONDS = 10.0
"""A worker that was just started shows itself after one to three seconds, and later on a busy machine."""
_WORKER_STARTS = 3
"""So many workers are started one after the other for a batch whose workers end before it."""
_PROVIDER_SECONDS = 60.0
"""How long a provider may refuse a task of a batch before the task waits outside, where it holds no place and no directory."""


@dataclass(slots=True)
class _Submission:
    """What a submission did, and the worker that was started for it."""

    submitted: submitting.Submitted
    concurrency: int
    child: subprocess.Popen[bytes] | None = None

    def to_wire(self) -> dict[str, object]:
        found = self.submitted
        return {"added": found.added, "changed": found.changed, "known": found.known, "worker_started": self.child is not None}


async def submit_batch(arguments: JsonObject, context: ActionContext) -> JsonObject:
    """Take the tasks in and return at once."""
    async with _database(context) as database:
        submission = await _off_loop(_submit, arguments, context.settings, database)
        summary = await _off_loop(looking.batch, database, submission.submitted.batch)
    following = _next(summary, coming=submission.child is not None)
    return {**summary, **submission.to_wire(), "next": following, "notes": _notes(submission, summary)}


async def run_batch(arguments: JsonObject, context: ActionContext) -> JsonObject:
    """Take the tasks in and follow them to their end; the batch outlives the call."""
    began = context.clock()
    limit = time_budget.current().clamp(read.seconds(arguments, "wait_seconds", 43200), stops=False)
    paths = batch_outputs.paths_in(arguments)
    if "file" in arguments:
        paths.setdefault("results_file", Path(f"{arguments['file']}.results.jsonl").expanduser().absolute())
    async with _database(context) as database, batch_outputs.opened(paths, database, context) as outputs:
        # A folder of another batch is refused before anything is taken in.
        submission = await _off_loop(partial(_submit, arguments, context.settings, database, before=outputs.begin))
        summary = await _follow(submission, context, database, outputs=outputs, ends=began + limit)
    return {
        **summary,
        **submission.to_wire(),
        **outputs.to_wire(),
        "waited_seconds": round(context.clock() - began, 3),
        "next": _next(summary),
        "notes": [*_notes(submission, summary), *outputs.problems(), *outputs.notes()],
    }


async def _follow(submission: _Submission, context: ActionContext, database: Database, *, outputs: Outputs, ends: float) -> JsonObject:
    """Follow a batch until nothing changes by itself; a worker that ends before it is followed by another one."""
    batch, starts = submission.submitted.batch, 1
    follower = Follower(database, batch, context)
    while True:
        summary = await follower.look()
        written = await outputs.write(summary)
        if summary["state"] in REST or context.clock() >= ends:
            await outputs.write_all(summary)
            return summary
        if submission.child is not None and submission.child.poll() is not None and summary["workers"] == 0:
            if starts == _WORKER_STARTS:
                raise starting.ended_early(submission.child, context.settings)
            starts += 1
            submission.child = await _off_loop(partial(starting.start, context.settings, concurrency=submission.concurrency))
        if written:
            await follower.pause(ends)


async def export_batch(arguments: JsonObject, context: ActionContext) -> JsonObject:
    """Write the results of a batch as files, as far as it is."""
    paths = batch_outputs.paths_in(arguments)
    if not paths:
        raise InvalidInput("invalid_input", f"say what to write: {', '.join(batch_outputs.FIELDS)}, one of them or several")
    async with _database(context) as database, batch_outputs.opened(paths, database, context) as outputs:
        summary = await _off_loop(looking.batch, database, str(arguments["batch_id"]))
        await _off_loop(outputs.begin, str(summary["batch_id"]))
        await outputs.write_all(summary)
    if outputs.problems():
        raise ActionFailed(
            "report_failed",
            "; ".join(outputs.problems()),
            next="make room, or name another place, and call again",
            details={"batch_id": summary["batch_id"], **outputs.to_wire(), "notes": outputs.notes()},
        )
    ended = sum(cast("dict[str, int]", summary["counts"])[state] for state in looking.ENDED)
    return {
        "batch_id": summary["batch_id"],
        "done": summary["done"],
        "total": summary["total"],
        "written": ended,
        **outputs.to_wire(),
        "notes": outputs.notes(),
    }


async def get_batch(arguments: JsonObject, context: ActionContext) -> JsonObject:
    """How far a batch is."""
    async with _database(context) as database:
        summary = await _off_loop(looking.batch, database, str(arguments["batch_id"]))
    return {**summary, "next": _next(summary)}


async def wait_for_batch(arguments: JsonObject, context: ActionContext) -> JsonObject:
    """A bounded wait for the end of a batch, or for a change beyond ``cursor``."""
    began = context.clock()
    ends = began + time_budget.current().clamp(read.seconds(arguments, "wait_seconds", 45), stops=False)
    cursor = read.text(arguments, "cursor")
    async with _database(context) as database:
        follower = Follower(database, str(arguments["batch_id"]), context)
        while True:
            summary = await follower.look()
            changed = cursor is not None and _cursor(summary) != cursor
            alone = summary["workers"] == 0 and context.clock() >= began + _COMING_SECONDS
            if changed or alone or summary["state"] in REST or context.clock() >= ends:
                break
            await follower.pause(ends)
    return {
        **summary,
        "cursor": _cursor(summary),
        "waited_seconds": round(context.clock() - began, 3),
        "next": _next(summary, waits=True),
        "notes": _notes_of(summary),
    }


async def get_batch_results(arguments: JsonObject, context: ActionContext) -> JsonObject:
    """A page of results."""
    batch, after, limit = str(arguments["batch_id"]), read.integer(arguments, "after", 0), read.integer(arguments, "limit", 20)
    state = read.text(arguments, "state")
    async with _database(context) as database:
        page, last, more = await _off_loop(partial(looking.results, database, batch, after=after, limit=limit, state=state))
        batch = await _off_loop(looking.id_of, database, batch)
    return {"batch_id": batch, "results": page, "count": len(page), "more": more, "next_after": last}


async def cancel_batch(arguments: JsonObject, context: ActionContext) -> JsonObject:
    """Cancel what waits, and have what runs stopped by its worker."""
    async with _database(context) as database:
        cancelled, stopping = await _off_loop(claims.cancel, database, str(arguments["batch_id"]))
        summary = await _off_loop(looking.batch, database, str(arguments["batch_id"]))
        if stopping:
            # What a lost worker left is stopped by another one.
            await _off_loop(partial(_ensure_worker, context.settings, database, concurrency=_concurrency(summary)))
    return {**summary, "cancelled": cancelled, "stopping": stopping, "next": _next(summary)}


async def pause_batch(arguments: JsonObject, context: ActionContext) -> JsonObject:
    """Start nothing more of a batch, or go on; what runs ends either way."""
    resume = read.flag(arguments, "resume")
    async with _database(context) as database:
        await _off_loop(partial(claims.pause, database, str(arguments["batch_id"]), paused=not resume))
        summary = await _off_loop(looking.batch, database, str(arguments["batch_id"]))
        if resume:
            await _off_loop(partial(_ensure_worker, context.settings, database, concurrency=_concurrency(summary)))
    return {**summary, "next": _next(summary)}


async def retry_batch(arguments: JsonObject, context: ActionContext) -> JsonObject:
    """Let tasks that failed, or were cancelled, wait again."""
    codes = cast("list[str]", arguments.get("codes") or [])
    _require_codes("codes", codes)
    child = None
    async with _database(context) as database:
        retried = await _off_loop(claims.retry, database, str(arguments["batch_id"]), codes)
        summary = await _off_loop(looking.batch, database, str(arguments["batch_id"]))
        if retried and read.flag(arguments, "start_worker", default=True):
            child = await _off_loop(partial(_ensure_worker, context.settings, database, concurrency=_concurrency(summary)))
    return {**summary, "retried": retried, "worker_started": child is not None, "next": _next(summary, coming=child is not None)}


async def list_batches(arguments: JsonObject, context: ActionContext) -> JsonObject:
    """The batches of the database, the newest first."""
    async with _database(context) as database:
        found = await _off_loop(partial(looking.every, database, limit=read.integer(arguments, "limit", 20)))
    return {"batches": found, "count": len(found)}


@asynccontextmanager
async def _database(context: ActionContext) -> AsyncIterator[Database]:
    """The database for the time of one call."""

    def opened() -> Database:
        database = Database.of(context.settings)
        database.prepare()
        return database

    database = await _off_loop(opened)
    try:
        yield database
    finally:
        with anyio.CancelScope(shield=True):
            await _off_loop(database.close)


def _submit(arguments: JsonObject, settings: Settings, database: Database, *, before: Callable[[str], None] | None = None) -> _Submission:
    """Read, check and submit the input; ``before`` is called with the batch's id when the input is sound, and may refuse."""
    file, items = read.text(arguments, "file"), arguments.get("items")
    if (file is None) == (items is None):
        raise InvalidInput("invalid_input", "give the tasks by file or by items, and only by one of them")
    codes = arguments.get("retry_codes")
    _require_codes("retry_codes", cast("list[str]", codes) if isinstance(codes, list) else [])
    defaults = arguments.get("defaults")
    reader = Reader(
        template=read.text(arguments, "prompt_template"),
        defaults=defaults if isinstance(defaults, Mapping) else None,
        check=_Check(settings),
    )
    if file is not None:
        path = Path(file).expanduser().absolute()
        found = reader.read_file(path)
        name = read.text(arguments, "name") or str(path.resolve())
    else:
        found = reader.read_list(cast("list[object]", items))
        name = read.text(arguments, "name") or submitting.name_of(found)
    concurrency = read.integer(arguments, "concurrency", 4)
    options = submitting.Options(
        concurrency=concurrency,
        max_starts_per_minute=_optional(arguments, "max_starts_per_minute"),
        max_cost_usd=read.optional_seconds(arguments, "max_cost_usd"),
        stop_after_failures=_optional(arguments, "stop_after_failures"),
        retry_codes=tuple(cast("list[str]", codes)) if isinstance(codes, list) else submitting.RETRY_CODES,
        retry_limit=read.integer(arguments, "retry_limit", submitting.RETRY_LIMIT),
        shared_directories=read.flag(arguments, "shared_directories"),
    )
    if before is not None:
        before(submitting.batch_id(name))
    submitted = submitting.submit(database, name, found, options, add=read.flag(arguments, "add"), machine=leases.machine())
    submission = _Submission(submitted, concurrency)
    if read.flag(arguments, "start_worker", default=True):
        submission.child = _ensure_worker(settings, database, concurrency=concurrency)
    return submission


class _Check:
    """What no schema can express about a task; each directory and model is looked at once."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._directories: dict[str, str] = {}

    def __call__(self, spec: JsonObject) -> JsonObject:
        given = read.text(spec, "directory") or self._settings.directory
        if given not in self._directories:
            self._directories[given] = read.workplace({"directory": given}, self._settings)
        read.require_sound(spec, self._settings)
        checked.read_check(spec)
        wish = isolation.read_wish(spec)
        if wish is not None and wish.isolation == "worktree" and not _in_repository(self._directories[given]):
            raise InvalidInput("invalid_input", f"isolation: worktree: {given[:200]} is in no git repository; use isolation: copy")
        found: dict[str, object] = {**spec, "directory": self._directories[given]}
        model = parse_model(spec.get("model", self._settings.model))
        if model is not None:
            found["model"] = str(model)
        if "retry_budget_seconds" not in spec and "retry_attempts" not in spec:
            found["retry_budget_seconds"] = _PROVIDER_SECONDS
        return found


def _in_repository(directory: str) -> bool:
    return any((folder / ".git").exists() for folder in (Path(directory), *Path(directory).parents))


def _ensure_worker(settings: Settings, database: Database, *, concurrency: int) -> subprocess.Popen[bytes] | None:
    """Start a worker where none lives on this machine and something is left to do; returns the one that was started."""
    machine = leases.machine()
    if looking.workers(database, machine=machine) or not looking.unfinished(database, machine=machine, only=None):
        return None
    return starting.start(settings, concurrency=concurrency)


def _require_codes(field: str, codes: list[str]) -> None:
    unknown = [code for code in codes if code not in CODES]
    if unknown:
        raise InvalidInput("invalid_input", f"{field}: there is no error {', '.join(map(repr, unknown))}; docs/errors.md lists them")


def _optional(arguments: JsonObject, name: str) -> int | None:
    return read.integer(arguments, name, 0) if name in arguments else None


def _concurrency(summary: JsonObject) -> int:
    options = summary["options"]
    found = options.get("concurrency") if isinstance(options, Mapping) else None
    return found if isinstance(found, int) else 4


def _cursor(summary: JsonObject) -> str:
    counts = cast("dict[str, int]", summary["counts"])
    ended = sum(counts[state] for state in looking.ENDED)
    return f"d{ended}-r{counts['running']}-f{counts['failed']}-{summary['state']}"


def _next(summary: JsonObject, *, waits: bool = False, coming: bool = False) -> str:
    """The command that comes next; ``coming``: a worker was just started."""
    batch = summary["batch_id"]
    if summary["done"]:
        return f"netclaw-opencode inspect get-batch-results --batch-id {batch}"
    if summary["state"] == "paused":
        return f"netclaw-opencode run pause-batch --batch-id {batch} --resume"
    if summary["state"] == "halted":
        return f"netclaw-opencode run retry-batch --batch-id {batch}, or submit it again with another {summary['halted']}"
    if summary["workers"] == 0 and not coming:
        return "netclaw-opencode worker --until-done"
    return f"netclaw-opencode inspect wait-for-batch --batch-id {batch}" + (f" --cursor {_cursor(summary)}" if waits else "")


def _notes(submission: _Submission, summary: JsonObject) -> list[str]:
    submitted = submission.submitted
    notes = []
    if not submitted.added and not submitted.changed:
        notes.append("the same input as before: this is the batch that was submitted then")
    if submitted.left:
        notes.append(f"{submitted.left} tasks of the batch are not in this input; they stay in it")
    # A worker that was started a moment ago has not come up yet.
    return notes + ([] if submission.child is not None else _notes_of(summary))


def _notes_of(summary: JsonObject) -> list[str]:
    note = time_budget.current().note()
    notes = [note] if note is not None and not summary["done"] else []
    if summary["workers"] == 0 and not summary["done"] and summary["state"] not in REST:
        notes.append("no worker lives, so nothing is run: netclaw-opencode worker --until-done")
    return notes


async def _off_loop(function: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
    return await anyio.to_thread.run_sync(partial(function, *arguments, **named))
