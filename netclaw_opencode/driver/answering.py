"""Requests of the agent, answered: a plugin's hook comes first, then the policy file, then the refusal.

Owns the order of the three, and what is told, recorded and kept of each answer. What a policy file means is the work of
``policy``; the reply itself that of ``requests``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from netclaw_opencode.driver import requests, rules
from netclaw_opencode.errors import ActionFailed
from netclaw_opencode.policy import NOBODY, Policy, Ruling

if TYPE_CHECKING:
    from netclaw_opencode.driver.audit import Audit
    from netclaw_opencode.driver.connection import Connection
    from netclaw_opencode.driver.sending import Turn
    from netclaw_opencode.facts import Decision, PendingRequest

Decide = Callable[["PendingRequest"], "Decision | None"]


@dataclass(frozen=True, slots=True)
class Answer:
    """A request of the agent and what it was answered."""

    request: PendingRequest
    ruling: Ruling

    def to_wire(self) -> dict[str, object]:
        """The form in results, error details and the audit file."""
        request, ruling = self.request, self.ruling
        wire: dict[str, object] = {"id": request.id, "kind": request.kind, "session_id": request.session_id}
        if request.kind == "permission":
            wire |= {"permission": request.permission or "", "patterns": list(request.patterns)}
        else:
            wire["questions"] = [item.question for item in request.questions]
        wire |= {"answer": ruling.answer, "by": ruling.by}
        if ruling.rule is not None:
            wire["rule"] = ruling.rule.number
        if ruling.chosen:
            wire["chosen"] = [list(labels) for labels in ruling.chosen]
        if ruling.message is not None:
            wire["message"] = ruling.message
        return wire


class Answering:
    """Answers the requests of turns. ``hook`` is asked first, ``policy`` where it has no answer."""

    def __init__(self, hook: Decide, *, policy: Policy, audit: Audit | None = None) -> None:
        self._hook = hook
        self._policy = policy
        self._audit = audit

    def rule_on(self, request: PendingRequest) -> Ruling:
        """The answer to one request, and whose it is."""
        decision = self._hook(request)
        return self._policy.rule_on(request) if decision is None else Ruling.of_hook(decision)

    async def answer(self, connection: Connection, turn: Turn) -> bool:
        """Answer all that the turn waits for; False where one has no answer, so that the turn must be stopped.

        Stopping it refuses all of them: that is what is told and recorded then.
        """
        for request in turn.seen.pending:
            self._tell(connection, turn, request, "is asked", request.to_wire() | {"stage": "asked"})
        rulings = [(request, self.rule_on(request)) for request in turn.seen.pending]
        if any(ruling.decision is None for _, ruling in rulings):
            return self._refuse_all(connection, turn)
        # A refusal makes the server refuse everything else that the session waits for, so it comes last.
        for request, ruling in sorted(rulings, key=lambda item: item[1].answer == "refuse"):
            reason = self._note(connection, turn, Answer(request, ruling))
            if reason is not None and ruling.answer != "refuse":
                return self._refuse_all(connection, turn, reason)
            if ruling.answer == "refuse":
                turn.refused.append(request)
            await self._send(connection, turn, Answer(request, ruling))
        return True

    def _refuse_all(self, connection: Connection, turn: Turn, reason: str | None = None) -> bool:
        settled = {answer.request.id for answer in turn.answered}
        for request in turn.seen.pending:
            if request.id not in settled:
                ruling = NOBODY if reason is None else Ruling("refuse", "default", message=reason)
                self._note(connection, turn, Answer(request, ruling))
        return False

    async def _send(self, connection: Connection, turn: Turn, answer: Answer) -> None:
        try:
            await requests.answer(connection, answer.request, rules.nobody_waits(answer.ruling.decision))
        except ActionFailed as error:
            if error.code != "request_not_found":
                raise
            before = (item.session_id for item in turn.refused if item is not answer.request)
            if answer.ruling.answer == "refuse" and answer.request.session_id in before:
                return
            # Another process was quicker: what became of it was not our answer.
            turn.answered.remove(answer)
            self._record(connection, turn, answer, event="too_late")
            self._tell(connection, turn, answer.request, "is no longer asked", answer.to_wire() | {"stage": "gone"})

    def _note(self, connection: Connection, turn: Turn, answer: Answer) -> str | None:
        """Record, keep and tell an answer before it is sent; returns why it could not be recorded."""
        reason = self._record(connection, turn, answer, event="answer")
        if reason is not None and answer.ruling.answer != "refuse":
            return reason
        turn.answered.append(answer)
        decided = f"{answer.ruling.answer.replace('_', ' ')} (by {answer.ruling.by})"
        self._tell(connection, turn, answer.request, decided, answer.to_wire() | {"stage": "decided"})
        return reason

    def _tell(self, connection: Connection, turn: Turn, request: PendingRequest, what: str, facts: dict[str, object]) -> None:
        turn.progress.tell(request.kind, connection.foreign(f"{_subject(request)[:200]}: {what}"), facts)

    def _record(self, connection: Connection, turn: Turn, answer: Answer, *, event: str) -> str | None:
        if self._audit is None:
            return None
        record: dict[str, object] = {"event": event, "message_id": turn.message_id, "directory": answer.request.directory}
        if answer.ruling.by == "policy":
            record["policy_file"] = str(self._policy.source)
        try:
            self._audit.append(record | answer.to_wire(), clean=connection.without_secrets)
        except OSError as error:
            # Fail closed: what cannot be recorded is not allowed.
            return f"it could not be recorded in the audit file: {error.strerror}"
        return None


def refusal(turn: Turn) -> str:
    """Why a turn ended that was refused something, in one sentence."""
    last = next((answer for answer in reversed(turn.answered) if answer.ruling.answer == "refuse"), None)
    if last is None:
        return "the agent was refused a request and ended its turn"
    return f"the agent was refused {_subject(last.request)} (by {last.ruling.by}) and ended its turn"


def _subject(request: PendingRequest) -> str:
    if request.kind == "question":
        return "question " + "; ".join(item.question for item in request.questions)
    return f"{request.permission or 'permission'} {', '.join(request.patterns)}".strip()


__all__ = ["Answer", "Answering", "Decide", "refusal"]
