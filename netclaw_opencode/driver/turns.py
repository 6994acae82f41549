"""A turn: checked, sent exactly once, followed to its end, stopped at its deadline.

Owns the order of things in a turn. ``sending`` sends it, ``verdict`` says how it stands, ``stopping`` ends it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

import anyio

from netclaw_opencode import calltime
from netclaw_opencode.driver import answering, outcome, sending, stopping, structured
from netclaw_opencode.driver.noting import looked
from netclaw_opencode.driver.sending import Prompt, RetryLimit, Turn
from netclaw_opencode.driver.verdict import Snapshot, Verdict, judge
from netclaw_opencode.errors import DriverError, OutOfTime, ServerProblem, error_of
from netclaw_opencode.facts import PendingRequest, ProgressEvent

if TYPE_CHECKING:
    from netclaw_opencode.client.events import Subscription
    from netclaw_opencode.client.types import Session
    from netclaw_opencode.driver.connection import Connection
    from netclaw_opencode.driver.stopping import StopReport

Emit = Callable[[ProgressEvent], None]

CLEANUP_SECONDS = 8.0
"""Time for stopping, proving it and reading what was written, beyond a turn's deadline, in seconds."""

_POLL_SECONDS = 5.0
_POLL_WITHOUT_EVENTS_SECONDS = 0.5
_CHANGE_SECONDS = 0.5
_START_SECONDS = 3.0
"""A prompt that was taken (204) and shows no turn for this long never ran (F15, F19)."""
_PARTIAL_SECONDS = 1.5
_LOCK_SECONDS = 15.0


class Turns:
    """Sends and follows turns on one connection."""

    def __init__(self, connection: Connection, *, answering: answering.Answering, emit: Emit) -> None:
        self._connection = connection
        self._answering = answering
        self._emit = emit

    async def run(
        self,
        session: Session,
        prompt: Prompt,
        *,
        ends: float,
        deadline_seconds: float,
        reuse_session: bool = False,
        message_id: str | None = None,
        retries: RetryLimit | None = None,
        untouched: bool = False,
    ) -> outcome.TurnResult:
        """Send and wait for the end, until ``ends`` on the connection's clock (``deadline_seconds`` is for people).

        At the deadline the turn is aborted, the stop verified and ``OutOfTime`` (``turn_timeout``) raised, within
        ``deadline_seconds`` + 15 s in total. A provider that keeps refusing beyond ``retries`` ends
        it earlier (``provider_retrying``). On cancellation it is stopped and verified too, and a ``stopping`` event
        says so, before the cancellation goes on. Every other ending than success raises its error.
        """
        clock = self._connection.clock
        async with self._connection.events.subscribe(session.id) as events:
            turn = sending.turn(self._connection, session, emit=self._emit, message_id=message_id)
            turn.retries = retries or turn.retries
            try:
                verdict = Verdict("running")
                with anyio.move_on_after(max(0.0, ends - clock())):
                    # A prompt whose id is known may be on its way by another call with the same key: then that is awaited.
                    lock_seconds = _LOCK_SECONDS if message_id is not None else 0.0
                    await sending.send(
                        self._connection,
                        turn,
                        prompt,
                        reuse_session=reuse_session,
                        ends=ends,
                        lock_seconds=lock_seconds,
                        untouched=untouched,
                    )
                    verdict = await self.follow(turn, events, until=ends)
            except anyio.get_cancelled_exc_class():
                if turn.sent:
                    with anyio.CancelScope(shield=True):
                        await self._stop(turn)
                raise
            except DriverError as error:
                # Whoever cannot see the turn any more must not leave it running.
                raise await self._given_up(turn, error) from error
            if not turn.sent:
                raise OutOfTime("request_timeout", f"{deadline_seconds:g} s passed before the prompt was sent; nothing was sent")
            turn.phases["turn"] = clock() - turn.started - sum(turn.phases.values())
            result = await self._conclude(turn, verdict, deadline_seconds=deadline_seconds)
            turn.progress.tell("turn_finished", f"finished after {clock() - turn.started:.1f} s")
        value = structured.extract(result.text, prompt.output_schema) if prompt.output_schema is not None else None
        turn.phases["result"] = clock() - turn.started - sum(turn.phases.values())
        return replace(
            result,
            structured=value,
            thinking=prompt.thinking,
            phases=turn.phases,
            elapsed_seconds=clock() - turn.started,
            statuses=tuple(turn.progress.statuses),
            answered=tuple(item.to_wire() for item in turn.answered),
            events=events.received,
        )

    async def start(
        self, session: Session, prompt: Prompt, *, within_seconds: float, marks: Mapping[str, object], reuse_session: bool = False
    ) -> tuple[Turn, Verdict]:
        """Send, and return once the turn is *seen* to run or to have ended: a 204 proves nothing (F15).

        ``marks`` go onto the session before the send, so that any process finds the turn. Raises the error of a turn that
        failed at once.
        """
        ends = self._connection.clock() + within_seconds
        async with self._connection.events.subscribe(session.id) as events:
            turn = sending.turn(self._connection, session, emit=self._emit)
            await sending.send(self._connection, turn, prompt, reuse_session=reuse_session, ends=ends, marks=marks)
            verdict = await self._look(turn)
            while verdict.state == "not_started" and self._connection.clock() < ends:
                await self._wake(turn, events, within_seconds=0.1, any_event=True)
                verdict = await self._look(turn)
        if verdict.state in ("failed", "not_started"):
            raise self._failure(turn, verdict, None)
        return turn, verdict

    async def attach(self, session: Session, message_id: str) -> tuple[Turn, Verdict]:
        """Look at a turn that another call or process sent."""
        turn = sending.turn(self._connection, session, emit=self._emit, message_id=message_id)
        verdict = await self._look(turn)
        sent_ms = next((item.created_ms for item in turn.seen.messages if item.id == message_id), None)
        if verdict.state == "not_started" and sent_ms is not None and time.time() - sent_ms / 1000 > _START_SECONDS:
            verdict = replace(verdict, state="failed")
        return turn, verdict

    async def follow(
        self, turn: Turn, events: Subscription, *, until: float, watching: bool = False, enough: Callable[[Verdict], bool] | None = None
    ) -> Verdict:
        """Follow to the end, or to ``until`` on the connection's clock; ``turn.seen`` is what was seen last.

        A request that nobody may decide ends the following with ``waiting``. ``watching`` is for a turn that another call
        sent: nothing is answered, and a retry is no end, since it is not this caller's time that runs out. ``enough`` ends
        the following where a look shows what the caller wants to know.
        """
        clock = self._connection.clock
        verdict = Verdict("running")
        poll = _POLL_SECONDS if enough is None else _CHANGE_SECONDS
        # A turn that another call sent may have ended before the subscription: then no event comes any more.
        look_first = watching or "send" not in turn.phases
        while not verdict.ended and clock() < until:
            with anyio.move_on_after(max(0.0, until - clock())):
                if not look_first:
                    # A prompt that never starts has no events either (F15).
                    quiet = verdict.state == "not_started" or not self._connection.events.connected
                    await self._wake(turn, events, within_seconds=min(poll, _POLL_WITHOUT_EVENTS_SECONDS) if quiet else poll)
                look_first = False
                verdict = await self._look(turn)
                if verdict.state == "waiting" and (watching or not await self._answering.answer(self._connection, turn)):
                    return verdict
                if verdict.state == "not_started" and clock() - turn.started > _START_SECONDS:
                    return replace(verdict, state="failed")
                if enough is not None and enough(verdict):
                    return verdict
                if not watching and self._hopeless(turn, until - clock()):
                    return Verdict("failed", "provider_retrying", self._retry_text(turn))
        # Whoever only watches is told how it stands now, not how it stood at the last event.
        return await self._look(turn) if watching and not verdict.ended else verdict

    async def result(self, turn: Turn, verdict: Verdict, *, output_schema: object = None) -> outcome.TurnResult:
        """The result of an ended turn; raises the error of one that failed."""
        if verdict.state != "completed":
            raise self._failure(turn, verdict, None)
        result = await outcome.gather(self._connection, turn.session, turn.seen, verdict)
        if not isinstance(output_schema, Mapping):
            return result
        return replace(result, structured=structured.extract(result.text, output_schema))

    def overdue(self, turn: Turn) -> DriverError:
        """The error of a task that runs past its own deadline. Nothing was stopped: whoever only looks, only tells."""
        error = self._failure(turn, Verdict("failed", "turn_timeout", "the task's own deadline has passed and it still runs"), None)
        error.next = f"netclaw-opencode run abort-session --session-id {turn.session.id}"
        return error

    async def stop(self, session: Session, *, message_id: str | None = None) -> StopReport:
        """Stop whatever runs in a session, verified."""
        return await stopping.stop(self._connection, session, message_id=message_id)

    # --- following -------------------------------------------------------------------------------------------------------

    async def _wake(self, turn: Turn, events: Subscription, *, within_seconds: float, any_event: bool = False) -> None:
        """Return when an event makes a look worth while, or when the time is over."""
        with anyio.move_on_after(within_seconds):
            while True:
                event = await events.next()
                if turn.progress.take(event) or any_event:
                    return

    async def _look(self, turn: Turn) -> Verdict:
        """Read the message store; status and requests only where the store leaves the verdict open."""
        connection = self._connection
        messages = await connection.messages(turn.session)
        announced = tuple(connection.foreign(text) for text in turn.progress.announced)
        turn.seen = Snapshot(turn.message_id, messages, announced=announced)
        verdict = judge(turn.seen)
        # A runaway calls the model again with every look that is taken at it (F40).
        if verdict.state == "completed" or verdict.code == "runaway_turn":
            return looked(connection.record, turn.session.id, verdict)
        messages, status, pending = await connection.observed(turn.session, messages)
        turn.seen = Snapshot(turn.message_id, messages, status, pending, announced)
        return looked(connection.record, turn.session.id, judge(turn.seen))

    def _hopeless(self, turn: Turn, left_seconds: float) -> bool:
        """Whether the provider's next try lies beyond the deadline (F43: an hour is obeyed), or its limit is used up."""
        status, now = turn.seen.status, self._connection.clock()
        if status is None or status.kind != "retry":
            turn.retrying_since = None
            return False
        turn.retrying_since = now if turn.retrying_since is None else turn.retrying_since
        if turn.retries.seconds is not None:
            left_seconds = min(left_seconds, turn.retrying_since + turn.retries.seconds - now)
        if turn.retries.attempts is not None and status.attempt > turn.retries.attempts:
            return True
        return status.next_ms / 1000 - time.time() > left_seconds

    def _retry_text(self, turn: Turn) -> str:
        status = turn.seen.status
        text = self._connection.foreign(status.message) if status is not None else ""
        return f"the provider keeps refusing (attempt {status.attempt if status else 0}): {text}"

    # --- ending ----------------------------------------------------------------------------------------------------------

    async def _conclude(self, turn: Turn, verdict: Verdict, *, deadline_seconds: float) -> outcome.TurnResult:
        if verdict.state == "completed":
            return await outcome.gather(self._connection, turn.session, turn.seen, verdict)
        if verdict.state == "failed" and verdict.code not in ("runaway_turn", "provider_retrying", "turn_incomplete"):
            raise self._failure(turn, verdict, None)
        if verdict.state == "waiting":
            verdict = _of_waiting(turn.seen.pending)
        elif verdict.state != "failed":
            verdict = self._of_timeout(turn, deadline_seconds)
        self._connection.record.note("ending", session_id=turn.session.id, code=verdict.code)
        report = await self._stop(turn, verdict.message)
        if report is not None and report.confirmed:
            await self._read_partial(turn)
        raise self._failure(turn, verdict, report)

    async def _given_up(self, turn: Turn, error: DriverError) -> DriverError:
        """The error of a turn that could not be followed to its end, with what was done about it."""
        if not turn.sent:
            return error
        if error.code == "server_unreachable":
            error = ServerProblem("server_died", f"the server ended while the turn ran ({error.message}); the turn is lost")
            # Commands that its tools had started outlive it (F5); those of a server that is not ours are not touched.
            error.details["processes_ended"] = await self._connection.end_orphans()
        report = await self._stop(turn, error.message)
        error.details |= {"session_id": turn.session.id, "message_id": turn.message_id, "statuses": list(turn.progress.statuses)}
        if report is not None:
            error.details["stopped"] = report.to_wire()
            error.message += f"; the turn was {_stop_text(report)}"
        return error

    def _of_timeout(self, turn: Turn, deadline_seconds: float) -> Verdict:
        if turn.seen.status is not None and turn.seen.status.kind == "retry":
            return Verdict("failed", "provider_retrying", self._retry_text(turn))
        return Verdict("failed", "turn_timeout", f"the turn did not finish within {deadline_seconds:g} s")

    async def _stop(self, turn: Turn, why: str = "") -> StopReport | None:
        """Stop and prove it; the failure to do so is part of the report, never a second error over the first."""
        report = None
        try:
            with anyio.move_on_after(calltime.within(CLEANUP_SECONDS)):
                report = await stopping.stop(self._connection, turn.session, message_id=turn.message_id)
        except DriverError as error:
            told = f"{why}; the stop failed: {error.message}".removeprefix("; ")
            turn.progress.tell("stopping", told, {"session_id": turn.session.id, "confirmed": False})
            return None
        text = _stop_text(report)
        facts: Mapping[str, object] = report.to_wire() if report is not None else {"confirmed": False}
        turn.progress.tell("stopping", f"{why}; it was {text}" if why else f"the turn was {text}", {**facts, "session_id": turn.session.id})
        return report

    async def _read_partial(self, turn: Turn) -> None:
        """See what the stopped turn wrote until then; without it the error is as true, only poorer."""
        with suppress(DriverError), anyio.move_on_after(calltime.within(_PARTIAL_SECONDS, stopping=True)):
            turn.seen = replace(turn.seen, messages=await self._connection.messages(turn.session))

    def _failure(self, turn: Turn, verdict: Verdict, report: StopReport | None) -> DriverError:
        """The error of a turn that did not succeed, with everything that was seen of it."""
        code = verdict.code or "turn_incomplete"
        message = self._connection.foreign(verdict.message) or "the turn did not succeed"
        if code == "turn_incomplete" and turn.refused:
            code, message = _of_waiting(tuple(turn.refused)).code or code, self._connection.foreign(answering.refusal(turn))
        replies = turn.seen.replies
        partial = "\n".join(item.text for item in replies if item.text)
        details: dict[str, object] = {
            "session_id": turn.session.id,
            "message_id": turn.message_id,
            "model_calls": len(replies),
            "statuses": list(turn.progress.statuses),
            "phases": {name: round(seconds, 3) for name, seconds in turn.phases.items()},
        }
        if partial:
            details["partial_text"] = partial[:2000]
        if turn.seen.pending or turn.refused:
            details["pending"] = [item.to_wire() for item in (*turn.refused, *turn.seen.pending)]
        if turn.answered:
            details["answered"] = [item.to_wire() for item in turn.answered]
        if report is not None:
            details["stopped"] = report.to_wire()
            message += f"; it was {_stop_text(report)}"
        rule = {"turn_timeout": "deadline", "permission_required": "nobody-waits", "question_pending": "nobody-waits"}.get(code)
        error = error_of(code, message, rule=rule, details=details)
        if report is not None and not report.confirmed:
            # Whatever the code advises otherwise, first the turn has to end.
            abort = f"netclaw-opencode run abort-session --session-id {turn.session.id}"
            error.next = abort if _answered(report) else "netclaw-opencode server recover"
        return error


def _stop_text(report: StopReport | None) -> str:
    if report is not None and report.confirmed:
        return "aborted and is seen stopped"
    return "aborted, but is not seen stopped" if report is not None and _answered(report) else "not stopped: the server does not answer"


def _answered(report: StopReport) -> bool:
    return bool(report.attempts or report.active)


def _of_waiting(pending: tuple[PendingRequest, ...]) -> Verdict:
    first = pending[0]
    if first.kind == "question":
        asked = "; ".join(item.question for item in first.questions)
        return Verdict("failed", "question_pending", f"the agent asked a question and nobody answers: {asked}")
    wanted = f"{first.permission} {', '.join(first.patterns)}".strip()
    return Verdict("failed", "permission_required", f"the agent asked for the permission {wanted} and no policy grants it")


__all__ = ["CLEANUP_SECONDS", "Emit", "Prompt", "Turn", "Turns"]
