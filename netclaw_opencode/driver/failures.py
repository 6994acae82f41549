"""The error of a turn that did not succeed, with everything that was seen of it and done about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netclaw_opencode.driver import permissions
from netclaw_opencode.driver.verdict import Verdict
from netclaw_opencode.errors import DriverError, error_of

if TYPE_CHECKING:
    from netclaw_opencode.driver.stopping import StopReport
    from netclaw_opencode.driver.turn import Turn
    from netclaw_opencode.facts import PendingRequest
    from netclaw_opencode.opencode.connection import Connection

_LONGEST_PARTIAL = 2000
"""Characters of a failed turn's text that its error tells."""
_RULES = {"turn_timeout": "deadline", "permission_required": "nobody-waits", "question_pending": "nobody-waits"}


def of_turn(connection: Connection, turn: Turn, verdict: Verdict, report: StopReport | None = None) -> DriverError:
    """The error that a verdict is; ``report`` tells of the stop, where there was one."""
    code = verdict.code or "turn_incomplete"
    message = connection.foreign(verdict.message) or "the turn did not succeed"
    if code == "turn_incomplete" and turn.refused:
        first = turn.refused[0].request
        code, message = of_waiting((first,)).code or code, connection.foreign(permissions.refusal_of(turn))
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
    return with_stop(error, turn, report) if report is not None else error


def with_stop(error: DriverError, turn: Turn, report: StopReport | None) -> DriverError:
    """Add to an error how the turn was stopped."""
    error.details |= {"session_id": turn.session.id, "message_id": turn.message_id, "statuses": list(turn.progress.statuses)}
    if report is None:
        return error
    error.details["stopped"] = report.to_wire()
    error.message += f"; the turn was {stop_text(report)}"
    if not report.confirmed:
        # Whatever the code advises otherwise, first the turn has to end.
        abort = f"netclaw-opencode run abort-session --session-id {turn.session.id}"
        error.next = abort if report.answered else "netclaw-opencode server recover"
    return error


def stop_text(report: StopReport | None) -> str:
    """How a stop went, in a few words."""
    if report is not None and report.confirmed:
        return "aborted and is seen stopped"
    return "aborted, but is not seen stopped" if report is not None and report.answered else "not stopped: the server does not answer"


def of_waiting(pending: tuple[PendingRequest, ...]) -> Verdict:
    """The verdict on a turn that is stopped because nobody decides what it asks for."""
    first = pending[0]
    if first.kind == "question":
        asked = "; ".join(item.question for item in first.questions)
        return Verdict("failed", "question_pending", f"the agent asked a question and nobody answers: {asked}")
    wanted = f"{first.permission} {', '.join(first.patterns)}".strip()
    return Verdict("failed", "permission_required", f"the agent asked for the permission {wanted} and no policy grants it")


__all__ = ["of_turn", "of_waiting", "stop_text", "with_stop"]
