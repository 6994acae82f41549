"""Permissions and questions of the agent, answered, so that no turn waits for a person who is not there (F29, F60).

The plugins' hook decides first, then the policy file (``_core.policy``). A request without a decision is refused with words that say why,
and the agent goes on; or the turn is stopped; or the request is returned to the caller.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from inspect import isawaitable
from typing import TYPE_CHECKING

from netclaw_opencode._core.policy import UNDECIDED, OnRequest, Policy, Ruling
from netclaw_opencode.driver import rules
from netclaw_opencode.driver.turn import Answer, Turn
from netclaw_opencode.errors import ActionFailed
from netclaw_opencode.facts import Decision, PendingRequest
from netclaw_opencode.opencode.wire import routes
from netclaw_opencode.opencode.wire.http import HttpNotFoundError

if TYPE_CHECKING:
    from netclaw_opencode.opencode.connection import Connection
    from netclaw_opencode.records.audit import Audit

Decide = Callable[[PendingRequest], Decision | Awaitable[Decision | None] | None]
"""Answers at once, or by an awaitable: then the turn waits for it, until its deadline."""

UNATTENDED_REFUSAL = (
    "Nobody is there to grant this: the task runs unattended. Do without it, or find another way inside the working directory; "
    "if the task cannot be done without it, say so in your answer."
)
UNATTENDED_ANSWER = "Nobody is there to answer: the task runs unattended. Decide for yourself, and say in your answer what you assumed."

GO_ON = "What you asked for was refused, because nobody is there to grant it: the task runs unattended. Go on without it."


class RequestHandler:
    """Answers the requests of turns.

    Args:
        hook: Decides first; None leaves the request to the policy.
        policy: Decides if the hook does not.
        audit: Takes a line for each answer; what cannot be recorded is not allowed.
        on_request: What to do with a request without a decision.
    """

    def __init__(self, hook: Decide, *, policy: Policy, audit: Audit | None = None, on_request: OnRequest = "refuse") -> None:
        self._hook = hook
        self._policy = policy
        self._audit = audit
        self.on_request = on_request

    async def rule_on(self, request: PendingRequest) -> Ruling:
        """Return the answer to one request, and whose it is."""
        answer = self._hook(request)
        decision = await answer if isawaitable(answer) else answer
        return self._policy.decide(request) if decision is None else Ruling.from_decision(decision)

    async def handle(self, connection: Connection, turn: Turn, pending: Sequence[PendingRequest]) -> bool:
        """Answer what a turn waits for; return False if it cannot go on: there is no decision, and ``on_request`` says so."""
        for request in pending:
            if request.id not in turn.announced_requests:
                turn.announced_requests.add(request.id)
                self._emit(connection, turn, request, "is asked", request.to_wire() | {"stage": "asked"})
        rulings = [(request, await self.rule_on(request)) for request in pending]
        undecided = any(ruling.by == "default" for _, ruling in rulings)
        if undecided and self.on_request == "return":
            return False
        if undecided and self.on_request == "stop":
            return self._refuse_all(connection, turn, pending)
        # A refusal makes the server refuse everything else that the session waits for, so it comes last.
        for request, ruling in sorted(rulings, key=lambda item: item[1].answer == "refuse"):
            answer = Answer(request, _add_words(request, ruling))
            reason = self._note(connection, turn, answer)
            if reason is not None and ruling.answer != "refuse":
                return self._refuse_all(connection, turn, pending, reason)
            await self._send(connection, turn, answer)
        return True

    def _refuse_all(self, connection: Connection, turn: Turn, pending: Sequence[PendingRequest], reason: str | None = None) -> bool:
        """Note as refused what the stop of the turn is about to refuse."""
        settled = {answer.request.id for answer in turn.answered}
        for request in pending:
            if request.id not in settled:
                self._note(connection, turn, Answer(request, UNDECIDED if reason is None else Ruling("refuse", "default", message=reason)))
        return False

    async def _send(self, connection: Connection, turn: Turn, answer: Answer) -> None:
        try:
            await send_answer(connection, answer.request, _decision(answer))
        except ActionFailed as error:
            if error.code != "request_not_found":
                raise
            before = (item.request.session_id for item in turn.refused if item is not answer)
            if answer.ruling.answer == "refuse" and answer.request.session_id in before:
                return
            # Another process was quicker: what became of it was not our answer.
            turn.answered.remove(answer)
            self._record(connection, turn, answer, event="too_late")
            self._emit(connection, turn, answer.request, "is no longer asked", answer.to_wire() | {"stage": "gone"})

    def _note(self, connection: Connection, turn: Turn, answer: Answer) -> str | None:
        """Record, keep and emit an answer before it is sent; return why it could not be recorded."""
        reason = self._record(connection, turn, answer, event="answer")
        if reason is not None and answer.ruling.answer != "refuse":
            return reason
        turn.answered.append(answer)
        decided = f"{answer.ruling.answer.replace('_', ' ')} (by {answer.ruling.by})"
        self._emit(connection, turn, answer.request, decided, answer.to_wire() | {"stage": "decided"})
        return reason

    def _emit(self, connection: Connection, turn: Turn, request: PendingRequest, what: str, facts: dict[str, object]) -> None:
        turn.progress.emit(request.kind, connection.sanitize(f"{subject_of(request)[:200]}: {what}"), facts)

    def _record(self, connection: Connection, turn: Turn, answer: Answer, *, event: str) -> str | None:
        if self._audit is None:
            return None
        record: dict[str, object] = {"event": event, "message_id": turn.message_id, "directory": answer.request.directory}
        if answer.ruling.by == "policy":
            record["policy_file"] = str(self._policy.source)
        try:
            self._audit.append(record | answer.to_wire(), clean=connection.redact)
        except OSError as error:
            # Fail closed: what cannot be recorded is not allowed.
            return f"it could not be recorded in the audit file: {error.strerror}"
        return None


def _add_words(request: PendingRequest, ruling: Ruling) -> Ruling:
    """Return the ruling with words for the agent: a refusal without any ends its turn (F60). A plugin's own decision stays as it is."""
    if ruling.answer != "refuse" or ruling.by == "hook" or ruling.message is not None:
        return ruling
    message = UNATTENDED_REFUSAL if request.kind == "permission" else UNATTENDED_ANSWER
    return Ruling("refuse", ruling.by, message=message, rule=ruling.rule, steps=ruling.steps)


def _decision(answer: Answer) -> Decision:
    """Return what is sent: a question cannot be rejected with words, so it is answered with them (F60)."""
    request, ruling = answer.request, answer.ruling
    if ruling.answer == "refuse" and request.kind == "question" and ruling.message is not None:
        return Decision("answers", answers=((ruling.message,),) * len(request.questions))
    return ruling.decision


async def send_answer(connection: Connection, request: PendingRequest, decision: Decision) -> None:
    """Send the decision. Raises ``ActionFailed`` (``request_not_found``) where it is no longer pending."""
    ids = {"request_id": request.id}
    try:
        if request.kind == "permission":
            body: dict[str, object] = {"reply": "reject" if decision.answer == "answers" else decision.answer}
            if decision.message is not None:
                body["message"] = decision.message
            await connection.http.call(routes.PERMISSION_REPLY, ids=ids, directory=request.directory, body=body)
        elif decision.answer == "answers":
            body = {"answers": [list(labels) for labels in decision.answers]}
            await connection.http.call(routes.QUESTION_REPLY, ids=ids, directory=request.directory, body=body)
        else:
            await connection.http.call(routes.QUESTION_REJECT, ids=ids, directory=request.directory)
    except HttpNotFoundError as error:
        raise ActionFailed("request_not_found", f"{request.kind} {request.id} is no longer pending", details={"id": request.id}) from error
    facts = {"request_id": request.id, "request": request.kind, "permission": request.permission, "answer": decision.answer}
    connection.record.note("answered", session_id=request.session_id, **facts)


async def refuse_all(connection: Connection, requests: tuple[PendingRequest, ...]) -> int:
    """Reject requests that no one will answer (after an abort they stay listed, F42); return how many."""
    refused = 0
    for request in requests:
        try:
            await send_answer(connection, request, rules.decision_or_refusal(None))
            refused += 1
        except ActionFailed as error:
            if error.code != "request_not_found":
                raise
    return refused


def refusal_of(turn: Turn) -> str:
    """Return why a turn ended that was refused something, in one sentence."""
    if not turn.refused:
        return "the agent was refused a request and ended its turn"
    last = turn.refused[-1]
    return f"the agent was refused {subject_of(last.request)} (by {last.ruling.by}) and ended its turn"


def subject_of(request: PendingRequest) -> str:
    """Return what a request is about, in a few words."""
    if request.kind == "question":
        return "question " + "; ".join(item.question for item in request.questions)
    return f"{request.permission or 'permission'} {', '.join(request.patterns)}".strip()


__all__ = ["Decide", "RequestHandler", "refusal_of", "refuse_all", "send_answer", "subject_of"]
