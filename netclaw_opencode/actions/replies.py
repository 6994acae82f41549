"""Handlers that answer the agent: reply_permission, reply_question."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from netclaw_opencode.actions import arguments as read
from netclaw_opencode.driver import permissions
from netclaw_opencode.errors import ActionFailed, InvalidInput
from netclaw_opencode.facts import Decision
from netclaw_opencode.opencode.wire import ids

if TYPE_CHECKING:
    from netclaw_opencode.actions.context import ActionContext
    from netclaw_opencode.facts import PendingRequest
    from netclaw_opencode.jsontypes import JsonObject
    from netclaw_opencode.opencode.connection import Connection

_ANSWERS: dict[str, Literal["once", "always", "reject"]] = {"once": "once", "always": "always", "reject": "reject"}


async def reply_permission(arguments: JsonObject, context: ActionContext) -> JsonObject:
    """Grant or refuse a permission that the agent waits for."""
    connection = await context.driver.connect()
    request = await _find_pending(connection, read.session_id(arguments), ids.check_id(arguments["permission_id"], field="permission_id"))
    chosen = _ANSWERS[read.required_text(arguments, "answer")]
    await permissions.send_answer(connection, request, Decision(chosen, message=read.text(arguments, "message")))
    return {
        "permission_id": request.id,
        "session_id": request.session_id,
        "answered": chosen,
        "confirmed": await _gone_error(connection, request),
    }


async def reply_question(arguments: JsonObject, context: ActionContext) -> JsonObject:
    """Answer a question of the agent, or dismiss it."""
    reject = read.flag(arguments, "reject")
    given = arguments.get("answers")
    if reject == isinstance(given, list):
        raise InvalidInput("invalid_input", "reply_question: give either answers or reject")
    connection = await context.driver.connect()
    request = await _find_pending(connection, read.session_id(arguments), ids.check_id(arguments["question_id"], field="question_id"))
    labels = tuple(tuple(str(label) for label in labels) for labels in given) if isinstance(given, list) else ()
    if not reject and len(labels) != len(request.questions):
        asked = "; ".join(item.question for item in request.questions)
        raise InvalidInput("invalid_input", f"reply_question: {len(labels)} answer(s) to {len(request.questions)} question(s): {asked}")
    await permissions.send_answer(connection, request, Decision("reject") if reject else Decision("answers", answers=labels))
    return {
        "question_id": request.id,
        "session_id": request.session_id,
        "answered": not reject,
        "rejected": reject,
        "confirmed": await _gone_error(connection, request),
    }


async def _find_pending(connection: Connection, session_id: str, request_id: str) -> PendingRequest:
    """Return the request, of this session or of a sub-agent below it (F36)."""
    session = await connection.session(session_id)
    tree = tuple(item.id for item in await connection.tree(session))
    for item in (await connection.directory_state(session.directory)).pending_of(tree):
        if item.id == request_id:
            return item
    raise ActionFailed(
        "request_not_found", f"{request_id} is not pending in session {session_id}", details={"id": request_id, "session_id": session_id}
    )


async def _gone_error(connection: Connection, request: PendingRequest) -> bool:
    return request.id not in {item.id for item in (await connection.directory_state(request.directory)).pending}
