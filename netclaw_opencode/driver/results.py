"""What a turn ended in, with its evidence: the result of one that succeeded, the error of one that did not.

Whether it succeeded was decided before, by ``verdict``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import anyio

from netclaw_opencode._core import time_budget
from netclaw_opencode.driver import permissions
from netclaw_opencode.driver.verdict import Span, Verdict
from netclaw_opencode.errors import DriverError, error_of
from netclaw_opencode.opencode.wire.history import LONGEST_DIFF, Step, drop_long_diff
from netclaw_opencode.opencode.wire.types import FileChange, Usage

if TYPE_CHECKING:
    from netclaw_opencode.driver.stopping import StopReport
    from netclaw_opencode.driver.transcript import Transcript
    from netclaw_opencode.driver.turn import Answer, Turn
    from netclaw_opencode.facts import PendingRequest
    from netclaw_opencode.opencode.connection import Connection
    from netclaw_opencode.opencode.models import ThinkingChoice
    from netclaw_opencode.opencode.wire.types import Session

_SHELL_NOTE = "files_changed leaves out what shell commands changed: OpenCode sees that only inside a git repository"
_OVERWRITTEN_NOTE = "written over, outside a git repository: {}; what was there before is not known, so diff and deletions are missing"
_LATE_NOTE = "the server was too slow to tell everything about the finished turn: files_changed and usage may be incomplete"
_UNREAD_NOTE = "the turn is complete, but a part of it could not be read ({}): files_changed and usage may be incomplete"
_LONG_DIFF_NOTE = f"written, with a diff of more than {LONGEST_DIFF // 1024} KiB, which is left out: {{}}"
NOTES_WITHOUT_SNAPSHOT = (_SHELL_NOTE, _OVERWRITTEN_NOTE.partition("{")[0], _LONG_DIFF_NOTE.partition("{")[0])
"""How the notes begin that say what is not known without a snapshot of the directory."""
_MOST_TEXT = 1024 * 1024
"""Characters of earlier texts of a turn that a result holds; of a turn that wrote more, the oldest are left out."""
_SNAPSHOT_LOOKS = 20
_SNAPSHOT_PAUSE_SECONDS = 0.05
GATHER_SECONDS = 5.0
"""Time for reading what belongs to a finished turn, however near the deadline is, and for the sum of its changes in any case, in
seconds: the server makes it in tenths of one, and who waits for a result should not wait for ever for its details."""
_LONGEST_PARTIAL = 2000
"""Characters of a failed turn's text in its error."""
_RULES = {"turn_timeout": "deadline", "permission_required": "nobody-waits", "question_pending": "nobody-waits"}


@dataclass(frozen=True, slots=True)
class UsageSum:
    """Usage of a turn over the session tree (F36: a parent's own figures leave sub-agents out)."""

    usage: Usage
    sessions: int
    model_calls: int

    def to_wire(self) -> dict[str, object]:
        usage = self.usage
        return {
            "input": usage.input,
            "output": usage.output,
            "reasoning": usage.reasoning,
            "cache_read": usage.cache_read,
            "cache_write": usage.cache_write,
            "total": usage.input + usage.output + usage.reasoning + usage.cache_read + usage.cache_write,
            "cost_usd": usage.cost,
            "sessions": self.sessions,
            "model_calls": self.model_calls,
        }


@dataclass(frozen=True, slots=True)
class TurnResult:
    """A turn that succeeded, or (``pending``) one that waits for an answer which its caller is to give.

    ``text`` is its last text that is not empty; what was said before it stands in ``span`` (F63).
    """

    session_id: str
    message_id: str
    span: Span
    verdict: Verdict
    usage: UsageSum
    files: tuple[FileChange, ...]
    elapsed_seconds: float
    structured: object = None
    thinking: ThinkingChoice | None = None
    phases: Mapping[str, float] = field(default_factory=dict)
    statuses: tuple[str, ...] = ()
    events: int = 0
    answered: tuple[Answer, ...] = ()
    pending: tuple[PendingRequest, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def is_waiting(self) -> bool:
        """Whether the turn is still open, and waits."""
        return bool(self.pending)

    @property
    def text(self) -> str:
        """The agent's answer, so far as it is there."""
        return self.span.text

    def to_wire(self) -> dict[str, object]:
        """Return the ``TURN`` shape of the output schemas."""
        earlier, left_out = _bounded_texts(self.span.texts[:-1])
        final = self.verdict.final or self.span.last
        finish = final.finish if final is not None and final.finish is not None else ""
        wire: dict[str, object] = {
            "session_id": self.session_id,
            "message_id": self.message_id,
            "state": "waiting" if self.is_waiting else "completed",
            "text": self.text,
            "finish": finish,
            "truncated": self.verdict.flag == "truncated",
            "filtered": self.verdict.flag == "filtered",
            "empty_final": self.verdict.empty_final,
            "compactions": self.span.compactions,
            "messages": [{"message_id": step.id, "text": step.text} for step in earlier],
            "usage": self.usage.to_wire(),
            "files_changed": [item.to_wire() for item in self.files],
            "tools": [use.to_wire() for step in self.span.steps for use in step.tools],
            "elapsed_seconds": round(self.elapsed_seconds, 3),
            "phases": {name: round(seconds, 3) for name, seconds in self.phases.items()},
            "evidence": {
                "assistant_message_id": final.id if final is not None else "",
                "parent_id": (final.parent_id if final is not None else None) or "",
                "finish": finish,
                "assistant_messages": len(self.span.steps),
                "statuses": list(self.statuses),
                "events": self.events,
                "decided_by": "message_store",
            },
            "notes": [*self.notes, *((f"messages leaves out the {left_out} oldest texts of the turn",) if left_out else ())],
        }
        if self.answered:
            wire["answered"] = [item.to_wire() for item in self.answered]
        refused = [item.to_wire() for item in self.answered if item.ruling.answer == "refuse"]
        if refused:
            wire["refused"] = refused
        if self.pending:
            wire["pending"] = [item.to_wire() for item in self.pending]
            wire["next"] = refusal_command(self.session_id, self.pending[0])
        if self.structured is not None:
            wire["structured"] = self.structured
        if final is not None and final.model is not None:
            wire["model"] = final.model.to_wire()
        if self.thinking is not None:
            wire["thinking"] = self.thinking.to_wire()
        return wire


def waiting_result(turn: Turn) -> TurnResult:
    """Return the result of a turn that is handed back, still open, with what it did so far as far as that was read."""
    first = turn.pending[0]
    hint = f"the agent waits for an answer: reply_{first.kind} gives it, then wait_for_session goes on with the turn"
    return TurnResult(
        session_id=turn.session.id,
        message_id=turn.message_id,
        span=turn.span,
        verdict=Verdict("waiting"),
        usage=_add_usage(turn.span.steps),
        files=_changes_by_tools(turn.span.steps),
        elapsed_seconds=0.0,
        pending=turn.pending,
        notes=(hint, *((note,) if (note := turn.failed_looks.note()) is not None else ())),
    )


def refusal_command(session_id: str, request: PendingRequest) -> str:
    """Return the one answer that is always safe to give: nothing is granted by a caller that only follows ``next``."""
    answer = "--answer reject" if request.kind == "permission" else "--reject"
    return f"netclaw-opencode reply reply-{request.kind} --session-id {session_id} --{request.kind}-id {request.id} {answer}"


def _bounded_texts(steps: tuple[Step, ...]) -> tuple[tuple[Step, ...], int]:
    """Return the newest texts that fit, oldest first, and how many were left out."""
    room, at = _MOST_TEXT, len(steps)
    while at and len(steps[at - 1].text) <= room:
        at -= 1
        room -= len(steps[at].text)
    return steps[at:], at


async def read_result(connection: Connection, turn: Turn, verdict: Verdict, *, within_seconds: float = GATHER_SECONDS) -> TurnResult:
    """Read what belongs to a finished turn: the files it changed and the usage of its sub-agents.

    What cannot be read, or not in time, is left out, and a note says so: the turn itself is known to be complete.
    """
    if verdict.final is None:
        raise ValueError("only a turn with a final message has a result")
    span, session = turn.span, turn.session
    tools = {use.tool for step in span.steps for use in step.tools}
    snapshots: tuple[FileChange, ...] = ()
    usage = _add_usage(span.steps)
    notes = [note] if (note := turn.failed_looks.note()) is not None else []
    with anyio.move_on_after(time_budget.remaining_up_to(within_seconds)) as reading:
        # Files change by tools, and sub-agents run by the task tool: a plain answer needs no further reading.
        try:
            with anyio.move_on_after(GATHER_SECONDS) as telling:
                snapshots = await _read_snapshots(connection, session, span) if tools else ()
            if telling.cancelled_caught:
                notes.append(_LATE_NOTE)
        except DriverError as error:
            notes.append(_UNREAD_NOTE.format(error.message))
        try:
            for child in await connection.children(session) if "task" in tools else ():
                # A fork's or an earlier turn's sub-agents are older than this prompt and were counted then.
                if child.created_ms >= min(step.created_ms for step in span.steps):
                    usage = _combine(usage, await _read_child_usage(connection, child, turn.transcript))
        except DriverError as error:
            notes.append(_UNREAD_NOTE.format(error.message))
    if reading.cancelled_caught:
        notes.append(_LATE_NOTE)
    if span.prompt is None:
        notes.append(_UNREAD_NOTE.format("older messages"))
    files = tuple(drop_long_diff(item) for item in snapshots) or _changes_by_tools(span.steps)
    long_diffs = [item.path for item, shown in zip(snapshots, files, strict=False) if item.diff and not shown.diff]
    if long_diffs:
        notes.append(_LONG_DIFF_NOTE.format(", ".join(long_diffs)))
    return TurnResult(
        session_id=session.id,
        message_id=span.message_id,
        span=span,
        structured=verdict.final.structured,
        verdict=verdict,
        usage=usage,
        files=files,
        elapsed_seconds=_elapsed(span, verdict.final),
        notes=tuple(notes) if snapshots else (*notes, *_describe_unknowns(span.steps)),
    )


async def _read_child_usage(connection: Connection, child: Session, transcript: Transcript | None) -> UsageSum:
    """Usage of a sub-agent and of those below it, compactions included; its messages are read once, in pages."""
    history = transcript.follow(connection, child) if transcript is not None else connection.history(child)
    await history.read_newest()
    await history.read_back_to("")
    usage = _add_usage(history.steps)
    for grandchild in await connection.children(child):
        usage = _combine(usage, await _read_child_usage(connection, grandchild, transcript))
    return usage


def _add_usage(steps: Iterable[Step]) -> UsageSum:
    calls = [step.usage for step in steps if step.role == "assistant"]
    return UsageSum(sum(calls, Usage()), sessions=1, model_calls=len(calls))


def _combine(one: UsageSum, other: UsageSum) -> UsageSum:
    return UsageSum(one.usage + other.usage, one.sessions + other.sessions, one.model_calls + other.model_calls)


def _elapsed(span: Span, final: Step) -> float:
    """Return seconds between prompt and completion by the server's clock, for turns that another process began."""
    return ((final.completed_ms or final.created_ms) - (span.prompt or final).created_ms) / 1000


async def _read_snapshots(connection: Connection, session: Session, span: Span) -> tuple[FileChange, ...]:
    """Return what the turn changed, by the server's snapshots; empty outside a git repository.

    A ``patch`` part names the files that one step changed. The sum over the turn is made anew after each step, the last time a
    moment after the turn's answer was complete; so it is read until it holds every announced file and, where several steps
    changed the same one, until two looks agree. A file that was made and removed again never comes: the wait has an end.
    """
    steps = [step.announced for step in span.steps if step.announced]
    announced = {path for files in steps for path in files}
    settled = sum(map(len, steps)) == len(announced)
    found = await connection.diff(session, message_id=span.message_id)
    for _ in range(_SNAPSHOT_LOOKS):
        if settled and announced <= {change.path for change in found}:
            break
        await anyio.sleep(_SNAPSHOT_PAUSE_SECONDS)
        earlier, found = found, await connection.diff(session, message_id=span.message_id)
        settled = settled or found == earlier
    return found


def _describe_unknowns(steps: tuple[Step, ...]) -> tuple[str, ...]:
    """Return what is not known of a turn without snapshots."""
    over = {path: None for step in steps for path in step.overwritten}
    long = {item.path: None for step in steps for item in step.changes if not item.diff and item.path not in over}
    ran = any(use.tool == "bash" for step in steps for use in step.tools)
    return (
        *((_SHELL_NOTE,) if ran else ()),
        *((_OVERWRITTEN_NOTE.format(", ".join(over)),) if over else ()),
        *((_LONG_DIFF_NOTE.format(", ".join(long)),) if long else ()),
    )


def _changes_by_tools(steps: tuple[Step, ...]) -> tuple[FileChange, ...]:
    """Files changed by tools, for folders without git, where the server keeps no snapshots."""
    found: dict[str, FileChange] = {}
    for change in (change for step in steps for change in step.changes):
        earlier = found.get(change.path)
        if earlier is not None:
            found[change.path] = drop_long_diff(
                replace(
                    change,
                    status=earlier.status,
                    additions=earlier.additions + change.additions,
                    deletions=earlier.deletions + change.deletions,
                    diff=f"{earlier.diff}{change.diff}",
                )
            )
        else:
            found[change.path] = change
    return tuple(found.values())


def turn_error(connection: Connection, turn: Turn, verdict: Verdict, report: StopReport | None = None) -> DriverError:
    """Return the error of a failed turn; ``report`` is how it was stopped, if it was."""
    code = verdict.code or "turn_incomplete"
    message = connection.sanitize(verdict.message) or "the turn did not succeed"
    if code == "turn_incomplete" and turn.refused:
        first = turn.refused[0].request
        code, message = waiting_verdict((first,)).code or code, connection.sanitize(permissions.refusal_of(turn))
    partial = "\n".join(step.text for step in turn.span.texts)
    details: dict[str, object] = {
        "session_id": turn.session.id,
        "message_id": turn.message_id,
        "model_calls": len(turn.span.steps),
        "statuses": list(turn.progress.statuses),
        "phases": {name: round(seconds, 3) for name, seconds in turn.phases.items()},
    }
    if partial:
        details["partial_text"] = partial[-_LONGEST_PARTIAL:]
    if turn.meter is not None:
        details |= {"caps": turn.meter.budget.caps.to_wire(), "spent": turn.meter.budget.to_wire()}
    if turn.pending or turn.refused:
        waiting = {item.id: item for item in (*(answer.request for answer in turn.refused), *turn.pending)}
        details["pending"] = [item.to_wire() for item in waiting.values()]
    if turn.answered:
        details["answered"] = [item.to_wire() for item in turn.answered]
    note = turn.failed_looks.note()
    if note is not None:
        details["failed_looks"] = {"count": turn.failed_looks.count, "seconds": round(turn.failed_looks.seconds, 3)}
        message += f"; {note}"
    error = error_of(code, message, rule=_RULES.get(code), details=details)
    return add_stop(error, turn, report) if report is not None else error


def add_stop(error: DriverError, turn: Turn, report: StopReport | None) -> DriverError:
    """Add to an error how the turn was stopped."""
    error.details |= {"session_id": turn.session.id, "message_id": turn.message_id, "statuses": list(turn.progress.statuses)}
    if report is None:
        return error
    error.details["stopped"] = report.to_wire()
    error.message += f"; the turn was {describe_stop(report)}"
    if not report.confirmed:
        # Before what the code advises otherwise, the turn has to end.
        abort = f"netclaw-opencode run abort-session --session-id {turn.session.id}"
        error.next = abort if report.answered else "netclaw-opencode server recover"
    return error


def describe_stop(report: StopReport | None) -> str:
    """Return how a stop went, in a few words."""
    if report is not None and report.confirmed:
        return "aborted and is seen stopped"
    return "aborted, but is not seen stopped" if report is not None and report.answered else "not stopped: the server does not answer"


def waiting_verdict(pending: tuple[PendingRequest, ...]) -> Verdict:
    """Return the verdict on a turn that is stopped because its request has no decision."""
    first = pending[0]
    if first.kind == "question":
        questions = "; ".join(item.question for item in first.questions)
        return Verdict("failed", "question_pending", f"the agent asked a question and nobody answers: {questions}")
    wanted = f"{first.permission} {', '.join(first.patterns)}".strip()
    return Verdict("failed", "permission_required", f"the agent asked for the permission {wanted} and no policy grants it")
