"""Permissions and questions of the agent: answered, so that no turn waits for a person (F29).

Owns the replies and their verification. What the answer is, policy decides (the host's hooks; none means refuse).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from netclaw_opencode.client import routes
from netclaw_opencode.client.http import HttpNotFound
from netclaw_opencode.errors import ActionFailed

if TYPE_CHECKING:
    from netclaw_opencode.driver.connection import Connection
    from netclaw_opencode.facts import Decision, PendingRequest


async def answer(connection: Connection, request: PendingRequest, decision: Decision) -> None:
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
    except HttpNotFound as error:
        raise ActionFailed("request_not_found", f"{request.kind} {request.id} is no longer pending", details={"id": request.id}) from error
    facts = {"request_id": request.id, "request": request.kind, "permission": request.permission, "answer": decision.answer}
    connection.record.note("answered", session_id=request.session_id, **facts)


async def refuse_all(connection: Connection, requests: tuple[PendingRequest, ...]) -> int:
    """Reject requests that nobody will answer (after an abort they stay listed, F42); returns how many."""
    from netclaw_opencode.facts import Decision

    refused = 0
    for request in requests:
        try:
            await answer(connection, request, Decision("reject"))
            refused += 1
        except ActionFailed as error:
            if error.code != "request_not_found":
                raise
    return refused
