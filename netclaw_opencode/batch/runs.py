"""One item at a time: claim it, find out whether its work runs already, run it, see that nothing runs any more, write how it ended.

Owns that order. Which item, and when, is ``worker``'s.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import ParamSpec, TypeVar, cast

import anyio
import anyio.to_thread

from netclaw_opencode._core.idempotency import Key, read_key
from netclaw_opencode.batch import claims
from netclaw_opencode.batch.admission import Run
from netclaw_opencode.batch.claims import MOST_ATTEMPTS, Claim
from netclaw_opencode.batch.database import Database
from netclaw_opencode.batch.pool import Pool, Server
from netclaw_opencode.errors import ActionFailed, DriverError, ServerProblem
from netclaw_opencode.facts import ProgressEvent
from netclaw_opencode.jsontypes import JsonObject
from netclaw_opencode.work import keyed

P = ParamSpec("P")
T = TypeVar("T")
Listening = Callable[[Callable[[ProgressEvent], None]], AbstractContextManager[None]]

_AGAIN_SECONDS = 1.0
"""Pause before a result is written again that the database did not take."""
_DOING_CHARACTERS = 120
_log = logging.getLogger("netclaw_opencode")


@dataclass(slots=True, eq=False)
class Task:
    """An item that runs here."""

    claim: Claim
    scope: anyio.CancelScope
    doing: str = ""
    told: str = ""
    session_id: str | None = None
    place: dict[str, object] = field(default_factory=dict)
    giving_back: bool = False

    @property
    def key(self) -> Key:
        """The key of this try."""
        found = read_key({"idempotency_key": self.claim.key}, action="run_task")
        assert found is not None  # it has one
        return found


@dataclass(slots=True, eq=False)
class Runs:
    """The items that run in this worker.

    Args:
        database: Where the batches are.
        worker: The worker's id.
        machine: Where it is.
        pool: Its servers.
        listen: Binds a function to the events of the calls that are made in its block.
        changed: Called when an item has ended here.
    """

    database: Database
    worker: str
    machine: str
    pool: Pool
    listen: Listening
    changed: Callable[[], None]
    tasks: dict[str, Task] = field(default_factory=dict)
    problem: DriverError | None = None
    """Why no server can be had; then nothing more is to be taken."""
    _noting: set[asyncio.Task[bool]] = field(default_factory=set)

    async def perform(self, run: Run) -> str:
        claim = await self.surely(partial(claims.begin, self.database, run, worker=self.worker))
        if claim is None:
            return "void"
        task = self.tasks[claim.token] = Task(claim, anyio.CancelScope())
        try:
            return await self._carry_out(task)
        finally:
            self.tasks.pop(claim.token, None)
            self.changed()

    async def _carry_out(self, task: Task) -> str:
        claim = task.claim
        before = claim.server if claim.server.get("machine") == self.machine else {}
        try:
            server = await self.pool.adopt(Path(str(before["state_dir"]))) if before else None
            earlier = before.get("session_id") if server is not None else None
            task.session_id = earlier if isinstance(earlier, str) else None
            if claim.stop or claim.attempts > MOST_ATTEMPTS:
                return await self._end_unrun(task, server)
            server = server or await self.pool.acquire()
        except DriverError as error:
            # Not the task's fault: it waits for a worker that has a server.
            self.problem = error
            await self.surely(partial(claims.give_back, self.database, claim))
            return "given back"
        task.place = {"machine": self.machine, "state_dir": str(server.folder)}
        if not await self.surely(partial(claims.note_server, self.database, claim, _place(task))):
            await self.pool.release(server, at_rest=True)
            return "void"
        envelope: JsonObject | None = None
        began = time.monotonic()
        with task.scope, self.listen(partial(self._note, task)):
            envelope = await server.runner.invoke("run_task", {**claim.spec, "idempotency_key": claim.key})
        if not await self.surely(partial(claims.is_current, self.database, claim)):
            # Another worker follows this very turn by now: nothing of it is touched here.
            await self.pool.release(server, at_rest=True)
            return "void"
        if envelope is None:
            return await self._stopped(task, server)
        task.session_id = _session_of(envelope) or task.session_id
        settled = partial(claims.settle, self.database, claim, envelope, elapsed_seconds=time.monotonic() - began)
        if envelope["ok"]:
            state = await self.surely(settled)
            # Its session stays, so that the key finds it as long as anybody may ask; it goes with its server.
            await self.pool.release(server, at_rest=True)
            await self._forget(task, state)
            return state or "void"
        # The directory is given to the next task only when nothing runs in it any more.
        await self.pool.release(server, at_rest=await self._delete_session(server, task.session_id))
        state = await self.surely(settled)
        if state == "waiting" and self._work_of(task) is not None:
            # The next try has another key, and so a tree of its own; the patch of this one is kept.
            with suppress(DriverError):
                server = await self.pool.acquire()
                await self._discard_work(task, server)
                await self.pool.release(server, at_rest=True)
        await self._forget(task, state)
        return state or "void"

    async def _forget(self, task: Task, state: str | None) -> None:
        """Forget the key of a try that is over; a void one goes on elsewhere."""
        if state is not None:
            with suppress(DriverError, OSError):
                await off_loop(keyed.forget, self.pool.settings.state_dir, task.key)

    async def _discard_work(self, task: Task, server: Server) -> None:
        """Remove the tree of a try that is superseded, if it has one."""
        work_id = self._work_of(task)
        if work_id is not None:
            envelope = await server.runner.invoke("discard_work", {"work_id": work_id, "force": True})
            if not envelope["ok"]:
                _log.warning("%s of %s could not be removed: %s", work_id, task.claim.run.name, envelope.get("error"))

    def _work_of(self, task: Task) -> str | None:
        """The isolated work of a try, if there is any."""
        return keyed.find_work(self.pool.settings.state_dir, task.key)

    async def _stopped(self, task: Task, server: Server) -> str:
        """The end of a run that was cancelled here: the driver has stopped it, and its session is seen deleted, or its server is ended."""
        with anyio.CancelScope(shield=True):
            at_rest = await self._delete_session(server, task.session_id)
            if task.giving_back and at_rest:
                # As if it had not begun.
                await self._discard_work(task, server)
            await self.pool.release(server, at_rest=at_rest)
        if task.giving_back:
            await self.surely(partial(claims.give_back, self.database, task.claim))
            await self._forget(task, "given back")
            return "given back"
        return await self._settle_cancelled(task)

    async def _end_unrun(self, task: Task, server: Server | None) -> str:
        """End an item that is only to be stopped, or whose workers were lost too often."""
        if server is not None:
            known = task.session_id is not None and await self._delete_session(server, task.session_id)
            await self.pool.release(server, at_rest=known)
        if task.claim.stop:
            return await self._settle_cancelled(task)
        lost = ActionFailed(
            "worker_lost",
            f"the worker was lost {MOST_ATTEMPTS} times while it ran this task, which may be the cause",
            details={"attempts": task.claim.attempts - 1, **self._work_left(task)},
        )
        envelope = {"ok": False, "action": "run_task", "error": lost.to_wire()}
        state = await self.surely(partial(claims.settle, self.database, task.claim, envelope))
        await self._forget(task, state)
        return state or "void"

    def _work_left(self, task: Task) -> dict[str, object]:
        """Where the isolated work is of a task that has no result: it is kept."""
        work_id = self._work_of(task)
        return {"work": {"work_id": work_id, "next": f"netclaw-opencode run apply-work --work-id {work_id}"}} if work_id is not None else {}

    async def _settle_cancelled(self, task: Task) -> str:
        error: dict[str, object] = {"code": "cancelled", "message": "the batch was cancelled; what ran was stopped", "retryable": False}
        left = self._work_left(task)
        error |= {"next": "retry_batch", **({"details": left} if left else {})}
        envelope = {"ok": False, "action": "run_task", "error": error}
        state = await self.surely(partial(claims.settle, self.database, task.claim, envelope, cancelled=True))
        await self._forget(task, state)
        return state or "void"

    async def _delete_session(self, server: Server, session_id: str | None) -> bool:
        """Delete the session of a run, which stops what runs in it; True where nothing can run any more."""
        if session_id is None:
            return server.is_alive
        with anyio.CancelScope(shield=True):
            envelope = await server.runner.invoke("delete_session", {"session_id": session_id})
        error = envelope.get("error")
        return bool(envelope["ok"]) or (isinstance(error, dict) and error.get("code") == "session_not_found")

    def _note(self, task: Task, event: ProgressEvent) -> None:
        if event.session_id is not None and event.kind in ("session_created", "sent"):
            task.session_id = event.session_id
            noting = asyncio.create_task(self.surely(partial(claims.note_server, self.database, task.claim, _place(task))))
            self._noting.add(noting)
            noting.add_done_callback(self._noting.discard)
        if event.kind != "text":
            task.doing = " ".join(event.message.split())[:_DOING_CHARACTERS]

    async def surely(self, write: Callable[[], T]) -> T:
        """Write to the database; while it cannot be reached, again and again: the result of a paid task is not given up."""
        with anyio.CancelScope(shield=True):
            while True:
                try:
                    return await off_loop(write)
                except ServerProblem as error:
                    _log.warning("%s; trying again", error.message)
                    await anyio.sleep(_AGAIN_SECONDS)
        raise AssertionError("a shielded scope is not left early")


async def off_loop(function: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
    return await anyio.to_thread.run_sync(partial(function, *arguments, **named))


def _place(task: Task) -> dict[str, object]:
    return {**task.place, **({"session_id": task.session_id} if task.session_id is not None else {})}


def _session_of(envelope: JsonObject) -> str | None:
    """The session of a run, as its result or its error tells."""
    data, error = envelope.get("data"), envelope.get("error")
    details = error.get("details") if isinstance(error, dict) else None
    for place in (data, details):
        found = cast("dict[str, object]", place).get("session_id") if isinstance(place, dict) else None
        if isinstance(found, str):
            return found
    return None


__all__ = ["Listening", "Runs", "Task", "off_loop"]
