"""Requests of the agent, put to the user of the MCP client where that client can ask.

A call with ``on_request: return`` ends in the state ``waiting``. A client that supports elicitation is asked at once, the answer goes to
the agent, and the call goes on; any other client gets the waiting state as it is.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TypeAlias

import mcp_types as types
from mcp.server.session import ServerSession
from mcp.shared.exceptions import MCPError

from netclaw_opencode.jsontypes import JsonObject

Run: TypeAlias = Callable[[str, Mapping[str, object]], Awaitable[dict[str, object]]]

_TOOLS = frozenset({"run_task", "send_message"})
_GRANTS = ("once", "reject")


async def ask_until_done(
    session: ServerSession, request_id: types.RequestId | None, envelope: dict[str, object], arguments: JsonObject, *, run: Run
) -> dict[str, object]:
    """Ask the client for what the agent waits for, and follow the turn on; returns the envelope of its end.

    Args:
        session: The client.
        request_id: The tool call to which the questions belong.
        envelope: The envelope of that call.
        arguments: Its arguments.
        run: Runs an action by name and returns its envelope.
    """
    action, data = str(envelope.get("action")), _object(envelope.get("data"))
    if action not in _TOOLS or data.get("state") != "waiting" or not _can_ask(session):
        return envelope
    session_id = str(data["session_id"])
    while data.get("state") == "waiting":
        for pending in _objects(data.get("pending")):
            reply = await _ask(session, request_id, pending)
            if reply is None:
                # No answer: the turn stays as it is, and the result says so.
                return envelope
            await run(f"reply_{pending['kind']}", {"session_id": session_id, **reply})
        waited = await run("wait_for_session", {"session_id": session_id})
        while waited.get("ok") is True and _object(waited["data"]).get("state") in ("busy", "retry"):
            waited = await run("wait_for_session", {"session_id": session_id})
        if waited.get("ok") is not True:
            await run("abort_session", {"session_id": session_id})
            return {**waited, "action": action}
        data = _object(waited["data"])
        if data.get("state") == "waiting":
            envelope = {**envelope, "data": {**_object(envelope["data"]), "pending": data["pending"]}}
    return {**envelope, "data": await _run_to_end(action, _object(data.get("result")), arguments, session_id=session_id, run=run)}


async def _run_to_end(action: str, result: JsonObject, arguments: JsonObject, *, session_id: str, run: Run) -> JsonObject:
    """Return the output of a call whose turn came to its end; the session of a task goes, unless it is to be kept."""
    if action != "run_task":
        return result
    keep = arguments.get("keep_session") is True or "idempotency_key" in arguments
    deleted = not keep and (await run("delete_session", {"session_id": session_id})).get("ok") is True
    return {**result, "session_kept": not deleted, "cleanup": {"session_deleted": deleted, "stopped_confirmed": True}}


async def _ask(session: ServerSession, request_id: types.RequestId | None, pending: JsonObject) -> dict[str, object] | None:
    """Return the arguments of the reply to one request, or None if the user gave no answer."""
    message, schema = _form_of(pending)
    try:
        result = await session.elicit_form(message, schema, related_request_id=request_id)
    except MCPError:
        return None
    if result.action == "cancel":
        return None
    content = result.content if result.action == "accept" and result.content is not None else {}
    if pending["kind"] == "permission":
        answer = content.get("answer", "reject")
        return {"permission_id": pending["id"], "answer": answer if answer in _GRANTS else "reject"}
    labels = [content.get(f"answer_{number}") for number, _ in enumerate(_objects(pending.get("questions")), 1)]
    if not content or any(label is None for label in labels):
        return {"question_id": pending["id"], "reject": True}
    return {"question_id": pending["id"], "answers": [[str(label)] for label in labels]}


def _form_of(pending: JsonObject) -> tuple[str, dict[str, object]]:
    """Return the words and the form that put a request to a person."""
    if pending["kind"] == "permission":
        patterns = ", ".join(str(item) for item in _list(pending.get("patterns")))
        choice = {"type": "string", "title": "Answer", "enum": list(_GRANTS), "description": "once: this one time; reject: not this"}
        message = f"The coding agent asks for the permission {pending.get('permission')}: {patterns}"
        return message, {"type": "object", "properties": {"answer": choice}, "required": ["answer"]}
    questions = _objects(pending.get("questions"))
    fields: dict[str, object] = {}
    for number, asked in enumerate(questions, 1):
        options = [str(item) for item in _list(asked.get("options"))]
        field: dict[str, object] = {
            "type": "string",
            "title": str(asked.get("header") or f"Question {number}"),
            "description": asked["question"],
        }
        fields[f"answer_{number}"] = field | ({"enum": options} if options else {})
    message = "The coding agent asks: " + "; ".join(str(item["question"]) for item in questions)
    return message, {"type": "object", "properties": fields, "required": list(fields)}


def _can_ask(session: ServerSession) -> bool:
    wanted = types.ClientCapabilities(elicitation=types.ElicitationCapability())
    return session.check_client_capability(wanted)


def _object(value: object) -> JsonObject:
    return value if isinstance(value, Mapping) else {}


def _objects(value: object) -> list[JsonObject]:
    return [item for item in _list(value) if isinstance(item, Mapping)]


def _list(value: object) -> list[object]:
    return list(value) if isinstance(value, list | tuple) else []


__all__ = ["ask_until_done"]
