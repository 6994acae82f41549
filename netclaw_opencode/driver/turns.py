"""A turn: checked, sent exactly once, followed to its end, stopped at its deadline.

Owns the order of things in a turn. ``sending`` sends it, ``looks`` and ``verdict`` say how it stands, ``stopping`` ends it, ``failures``
words its errors.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import replace
from typing import TYPE_CHECKING

import anyio

from netclaw_opencode._core import time_budget
from netclaw_opencode.driver import permissions, results, sending, stopping, structured_output
from netclaw_opencode.driver.looks import look, read_back
from netclaw_opencode.driver.spending import Meter
from netclaw_opencode.driver.turn import Prompt, RetryLimit, Turn
from netclaw_opencode.driver.verdict import Span, Verdict
from netclaw_opencode.errors import DriverError, OutOfTime, ServerProblem
from netclaw_opencode.facts import ProgressEvent

if TYPE_CHECKING:
    from netclaw_opencode.driver.permissions import RequestHandler
    from netclaw_opencode.driver.spending import Budget
    from netclaw_opencode.driver.stopping import StopReport
    from netclaw_opencode.opencode.connection import Connection
    from netclaw_opencode.opencode.watcher import DirectoryState
    from netclaw_opencode.opencode.wire.events import Subscription
    from netclaw_opencode.opencode.wire.types import Session, SessionStatus

Emit = Callable[[ProgressEvent], None]

CLEANUP_SECONDS = 8.0
"""Time for stopping, proving it and reading what was written, beyond a turn's deadline, in seconds."""

_FIRST_PAUSE_SECONDS = 0.2
_LONGEST_PAUSE_SECONDS = 5.0
"""Pauses between looks that fail, doubling."""
_PARTIAL_SECONDS = 1.5
_LOCK_SECONDS = 15.0
_STILL_RUNNING = frozenset({"runaway_turn", "provider_retrying", "turn_incomplete", "budget_exceeded", "stalled"})
"""Failures of a turn that must be stopped."""
_TASK_OVER = frozenset({"session_not_found", "auth_failed"})
"""Answers after which no look will show the turn again."""


class Turns:
    """Sends and follows turns on one connection."""

    def __init__(self, connection: Connection, *, requests: RequestHandler, emit: Emit) -> None:
        self._connection = connection
        self._requests = requests
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
        budget: Budget | None = None,
    ) -> results.TurnResult:
        """Send and wait for the end, until ``ends`` on the connection's clock (``deadline_seconds`` is for people).

        At the deadline the turn is aborted, the stop verified and ``OutOfTime`` (``turn_timeout``) raised, within
        ``deadline_seconds`` + 15 s in total. A provider that keeps refusing beyond ``retries`` ends
        it earlier (``provider_retrying``). On cancellation it is stopped and verified too, and a ``stopping`` event
        says so, before the cancellation goes on. A turn that another call sent (the same ``message_id``) is only waited for: it is
        that call's to stop. A turn that reaches a cap of ``budget`` is stopped likewise. Every other ending than success, or than
        a request that is handed back, raises its error.
        """
        clock = self._connection.clock
        async with self._connection.watcher(session.directory).follow(session.id) as news:
            turn = Turn.begin(self._connection, session, emit=self._emit, message_id=message_id)
            turn.retries = retries or turn.retries
            if budget is not None and budget.caps:
                turn.meter = Meter(self._connection, session, turn.message_id, budget)
                turn.meter.listen(news)
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
                    verdict = await self.follow(turn, news, until=ends)
                    while self._ended_by_refusal(turn, verdict):
                        await sending.go_on(self._connection, turn, prompt, words=permissions.GO_ON)
                        verdict = await self.follow(turn, news, until=ends)
            except anyio.get_cancelled_exc_class():
                if turn.sent_by_us:
                    await self._stop(turn)
                raise
            except DriverError as error:
                # A turn that cannot be seen any more must not be left running.
                raise await self._stop_after(turn, error) from error
            if not turn.sent:
                raise OutOfTime("request_timeout", f"{deadline_seconds:g} s passed before the prompt was sent; nothing was sent")
            turn.phases["turn"] = clock() - turn.started - sum(turn.phases.values())
            result = await self._conclude(turn, verdict, deadline_seconds=deadline_seconds, ends=ends)
            if not result.is_waiting:
                turn.progress.emit("turn_finished", f"finished after {clock() - turn.started:.1f} s")
        schema = prompt.output_schema if not result.is_waiting else None
        value = structured_output.extract(result.text, schema) if schema is not None else None
        turn.phases["result"] = clock() - turn.started - sum(turn.phases.values())
        return replace(
            result,
            structured=value,
            thinking=prompt.thinking,
            phases=turn.phases,
            elapsed_seconds=clock() - turn.started,
            statuses=tuple(turn.progress.statuses),
            answered=tuple(turn.answered),
            events=news.received,
        )

    def _ended_by_refusal(self, turn: Turn, verdict: Verdict) -> bool:
        """Return whether the server ended the turn because of a refusal that was not meant to end it."""
        news = [item for item in turn.answered[turn.gone_on_after :] if item.ruling.answer == "refuse"]
        meant = any(item.ruling.by == "hook" and item.ruling.message is None for item in news)
        return verdict.code == "turn_incomplete" and self._requests.on_request == "refuse" and bool(news) and not meant

    async def start(
        self, session: Session, prompt: Prompt, *, ends: float, marks: Mapping[str, object], reuse_session: bool = False
    ) -> tuple[Turn, Verdict]:
        """Send, and return once the turn is *seen* to run or to have ended: a 204 proves nothing (F15).

        ``marks`` go onto the session before the send, so that any process finds the turn. Raises the error of a turn that
        failed at once. A turn that is not seen to start until ``ends`` on the connection's clock is returned as ``not_started``.
        """
        async with self._connection.watcher(session.directory).follow(session.id) as news:
            turn = Turn.begin(self._connection, session, emit=self._emit)
            await sending.send(self._connection, turn, prompt, reuse_session=reuse_session, ends=ends, marks=marks)
            # A look into a store that is just being written shows a turn that runs, and nothing of it yet.
            verdict = await self.follow(
                turn,
                news,
                until=ends,
                enough=lambda seen: seen.state != "not_started" and (seen.state != "running" or turn.has_started),
                watching=True,
            )
        if verdict.state == "failed":
            raise results.turn_error(self._connection, turn, verdict)
        return turn, verdict

    async def attach(self, session: Session, message_id: str) -> tuple[Turn, Verdict]:
        """Look at a turn that another call or process sent. Only its newest messages are read.

        A prompt that has stood in the store for a minute of the server's own time, with nothing running and without an answer, never
        ran (F15): no event reaches a caller who comes later.
        """
        turn = Turn.begin(self._connection, session, emit=self._emit, message_id=message_id)
        turn.sent = True
        verdict = await self._look(turn)
        prompt = turn.history.get(message_id)
        if verdict.state == "not_started" and prompt is not None and not turn.span.is_open:
            age_ms = self._connection.http.server_time_ms() - prompt.created_ms
            verdict = replace(verdict, state="failed") if age_ms > stopping.NEVER_SECONDS * 1000 else verdict
        return turn, verdict

    async def follow(
        self, turn: Turn, news: Subscription, *, until: float, watching: bool = False, enough: Callable[[Verdict], bool] | None = None
    ) -> Verdict:
        """Follow to the end, or to ``until`` on the connection's clock.

        A request without a decision ends the following with ``waiting``. ``watching`` is for a turn that another call
        sent: nothing is answered, and a retry is no end, since it is not this caller's time that runs out. ``enough`` ends
        the following where a look shows what the caller wants to know. A look that fails is noted, and the next one follows: only
        the time that is over, or a server that is proved gone, ends the following without a verdict.
        """
        clock = self._connection.clock
        verdict = Verdict("running")
        # A turn that another call sent may have ended before the subscription: then no event comes any more.
        look_now = watching or not turn.sent_by_us
        pause = _FIRST_PAUSE_SECONDS
        while not verdict.ended and clock() < until:
            with anyio.move_on_after(max(0.0, until - clock())) as following, self._interrupted_by_caps(turn, following):
                try:
                    if not look_now and not await self._wait_for_news(turn, news, every_event=enough is not None):
                        verdict = await meter.judge_calls(verdict) if (meter := self._meter_of(turn)) is not None else verdict
                        continue
                    look_now = False
                    verdict = await self._look(turn)
                    if (meter := self._meter_of(turn)) is not None:
                        verdict = await meter.judge(verdict)
                except DriverError as error:
                    await self._note_failed_look(turn, error)
                    await anyio.sleep(pause)
                    look_now, pause = True, min(pause * 2, _LONGEST_PAUSE_SECONDS)
                    continue
                pause = _FIRST_PAUSE_SECONDS
                self._report_status(turn, news, verdict)
                if verdict.state == "waiting":
                    if watching or not await self._requests.handle(self._connection, turn, turn.pending):
                        return verdict
                    look_now = True
                if enough is not None and enough(verdict):
                    return verdict
                if not watching and self._is_retry_too_late(turn, until - clock()):
                    return Verdict("failed", "provider_retrying", self._retry_text(turn))
            if not verdict.ended and (meter := self._meter_of(turn)) is not None and (over := meter.stop_now()) is not None:
                return over
        return verdict

    def _meter_of(self, turn: Turn) -> Meter | None:
        """Return what counts the turn; None for one that another call sent, which is that call's to stop."""
        return turn.meter if turn.sent_by_us else None

    def _interrupted_by_caps(self, turn: Turn, following: anyio.CancelScope) -> AbstractContextManager[None]:
        """A block that ends as soon as an event shows that a cap is reached, whatever is being read."""
        meter = self._meter_of(turn)
        return meter.interrupting(following.cancel) if meter is not None else nullcontext()

    async def result(self, turn: Turn, verdict: Verdict, *, output_schema: object = None) -> results.TurnResult:
        """Return the result of an ended turn; raises the error of one that failed."""
        if verdict.state != "completed":
            raise results.turn_error(self._connection, turn, verdict)
        result = await results.read_result(self._connection, turn, verdict)
        if not isinstance(output_schema, Mapping):
            return result
        return replace(result, structured=structured_output.extract(result.text, output_schema))

    def overdue(self, turn: Turn) -> DriverError:
        """Return the error of a task that runs past its own deadline. Nothing was stopped: this caller only looks."""
        verdict = Verdict("failed", "turn_timeout", "the task's own deadline has passed and it still runs")
        error = results.turn_error(self._connection, turn, verdict)
        error.next = f"netclaw-opencode run abort-session --session-id {turn.session.id}"
        return error

    # --- following -------------------------------------------------------------------------------------------------------

    async def _wait_for_news(self, turn: Turn, news: Subscription, *, every_event: bool) -> bool:
        """Return when an event, or what the watcher read of the directory, makes a look worth while; False for a call to count."""
        watcher = self._connection.watcher(turn.session.directory)
        due = turn.meter.wakes_at - self._connection.clock() if turn.meter is not None else float("inf")
        with anyio.move_on_after(max(0.0, due)):
            while True:
                event = await news.next()
                if event is not None:
                    if turn.progress.handle(event) or (every_event and event.type != "message.part.delta"):
                        return True
                    if turn.meter is not None and turn.meter.counts(event):
                        return False
                elif self._is_worth_a_look(turn, watcher.state, news):
                    return True
        return True

    def _is_worth_a_look(self, turn: Turn, state: DirectoryState, news: Subscription) -> bool:
        if state.number < turn.first_reading:
            return False
        if state.error is not None:
            return turn.failed_looks.last is None
        if state.status_of(turn.session.id) is None or any(item.session_id in (news.session_ids or ()) for item in state.pending):
            return True
        turn.status = state.status_of(turn.session.id)
        if turn.status is not None and turn.status.kind == "retry":
            return True
        # Events lost: a runaway, or a sub-agent that waits, is found by looking.
        return not self._connection.events.connected or len(state.pending) > 0

    async def _look(self, turn: Turn) -> Verdict:
        verdict = await look(self._connection, turn)
        turn.failed_looks.end(now=self._connection.clock())
        final = verdict.final.finish if verdict.final is not None else None
        self._connection.record.note("look", session_id=turn.session.id, state=verdict.state, code=verdict.code, finish=final)
        return verdict

    def _report_status(self, turn: Turn, news: Subscription, verdict: Verdict) -> None:
        """Emit the status that a look showed, since events of it may be lost; at the end, first what the events said."""
        if verdict.ended:
            for event in news.take_queued():
                turn.progress.handle(event)
        if turn.status is not None or verdict.ended:
            turn.progress.set_status(turn.status.kind if turn.status is not None else "idle")

    async def _note_failed_look(self, turn: Turn, error: DriverError) -> None:
        """Note the failure; raise where the server is proved gone, or the turn."""
        turn.failed_looks.add(error, now=self._connection.clock())
        self._connection.record.note("look", session_id=turn.session.id, state="unknown", code=error.code)
        if error.code in _TASK_OVER and turn.failed_looks.repeated(error.code) > 1:
            raise error
        if error.code == "server_unreachable" and self._connection.is_gone(error, refused=turn.failed_looks.repeated(error.code)):
            raise ServerProblem("server_died", f"the server ended while the turn ran ({error.message}); the turn is lost") from error

    def _is_retry_too_late(self, turn: Turn, left_seconds: float) -> bool:
        """Return whether the provider's next try lies beyond the deadline (F43: an hour is obeyed), or its limit is used up."""
        status, now = turn.status, self._connection.clock()
        if status is None or status.kind != "retry":
            turn.retrying_since = None
            return False
        turn.retrying_since = now if turn.retrying_since is None else turn.retrying_since
        if turn.retries.seconds is not None:
            left_seconds = min(left_seconds, turn.retrying_since + turn.retries.seconds - now)
        if turn.retries.attempts is not None and status.attempt > turn.retries.attempts:
            return True
        return (status.next_ms - self._connection.http.server_time_ms()) / 1000 > left_seconds

    def _retry_text(self, turn: Turn) -> str:
        status: SessionStatus | None = turn.status
        text = self._connection.sanitize(status.message) if status is not None else ""
        return f"the provider keeps refusing (attempt {status.attempt if status else 0}): {text}"

    # --- ending ----------------------------------------------------------------------------------------------------------

    async def _conclude(self, turn: Turn, verdict: Verdict, *, deadline_seconds: float, ends: float) -> results.TurnResult:
        if verdict.state == "completed":
            left = ends - self._connection.clock()
            return await results.read_result(self._connection, turn, verdict, within_seconds=max(results.GATHER_SECONDS, left))
        if verdict.state == "waiting" and self._requests.on_request == "return":
            with suppress(DriverError), anyio.move_on_after(results.GATHER_SECONDS):
                await read_back(self._connection, turn)
                turn.span = Span.of(turn.message_id, turn.history.steps)
            return results.waiting_result(turn)
        if verdict.state == "failed" and verdict.code not in _STILL_RUNNING:
            raise results.turn_error(self._connection, turn, verdict)
        if verdict.state == "waiting":
            verdict = results.waiting_verdict(turn.pending)
        elif verdict.state != "failed":
            verdict = self._timeout_verdict(turn, verdict, deadline_seconds)
            if not turn.sent_by_us:
                error = results.turn_error(self._connection, turn, verdict)
                error.message += "; it was sent by another call and goes on"
                raise error
        self._connection.record.note("ending", session_id=turn.session.id, code=verdict.code)
        report = await self._stop(turn, verdict.message)
        if report is not None and report.confirmed:
            await self._read_partial(turn)
        raise results.turn_error(self._connection, turn, verdict, report)

    async def _stop_after(self, turn: Turn, error: DriverError) -> DriverError:
        """Return the error of a turn that could not be followed to its end, with what was done about it."""
        if not turn.sent_by_us:
            return error
        if error.code == "server_died":
            # Commands that its tools had started outlive it (F5); those of a server that is not ours are not touched.
            error.details["processes_ended"] = await self._connection.end_orphans()
        report = await self._stop(turn, error.message)
        return results.add_stop(error, turn, report)

    def _timeout_verdict(self, turn: Turn, verdict: Verdict, deadline_seconds: float) -> Verdict:
        """Return the verdict on a turn whose time is over: why it did not end, as far as that is known."""
        if turn.status is not None and turn.status.kind == "retry":
            return Verdict("failed", "provider_retrying", self._retry_text(turn))
        last = turn.failed_looks.last
        if last is not None:
            code = "turn_timeout" if last.code in ("request_timeout", "server_unreachable") else last.code
            message = f"the server could not be read when the {deadline_seconds:g} s were over: {last.message}"
            return Verdict("failed", code, message)
        if verdict.state == "not_started":
            return Verdict("failed", "turn_incomplete", f"{verdict.message} within {deadline_seconds:g} s")
        return Verdict("failed", "turn_timeout", f"the turn did not finish within {deadline_seconds:g} s")

    async def _stop(self, turn: Turn, why: str = "") -> StopReport | None:
        """Stop and prove it, even if the call is cancelled meanwhile; a failure is part of the report."""
        report = None
        try:
            with anyio.CancelScope(shield=True), anyio.move_on_after(time_budget.remaining_up_to(CLEANUP_SECONDS)):
                # A turn that was seen to run cannot start late.
                prompt_id = None if turn.has_started else turn.message_id
                at_once = tuple(turn.meter.sessions) if turn.meter is not None and turn.meter.stop_now() is not None else ()
                report = await stopping.stop(self._connection, turn.session, message_id=prompt_id, at_once=at_once)
        except DriverError as error:
            message = f"{why}; the stop failed: {error.message}".removeprefix("; ")
            turn.progress.emit("stopping", message, {"session_id": turn.session.id, "confirmed": False})
            return None
        text = results.describe_stop(report)
        facts: Mapping[str, object] = report.to_wire() if report is not None else {"confirmed": False}
        turn.progress.emit("stopping", f"{why}; it was {text}" if why else f"the turn was {text}", {**facts, "session_id": turn.session.id})
        return report

    async def _read_partial(self, turn: Turn) -> None:
        """See what the stopped turn wrote until then; without it the error is as true, only poorer."""
        with suppress(DriverError), anyio.move_on_after(time_budget.remaining_up_to(_PARTIAL_SECONDS, stopping=True)):
            await turn.history.read_newest()
            await turn.history.read_back_to(turn.message_id)
            if turn.meter is not None:
                await turn.meter.read()
        turn.span = Span.of(turn.message_id, turn.history.steps)


__all__ = ["CLEANUP_SECONDS", "Emit", "Prompt", "Turn", "Turns"]
