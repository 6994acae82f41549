"""What the driver rests on of OpenCode's API, as data.

Owns one row for each route that may be called: its operation, the query parameters and body fields that we send, the
fields of the answer that ``wire.reading`` rests on. ``api_drift`` compares it with the server's own description.

A field is written as a path, with what is expected of it:

    info.id        the description knows it
    info.id!       and it is always there (of a body: we always send it)
    type=a|b       its values are these and no others
    name>a|b       its values include these
    [] and {}      each entry of a list, each value of a map; what stands alone is the answer itself
    x(role=user)   the form of ``x`` whose ``role`` is ``user``
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from netclaw_opencode.opencode.wire import routes
from netclaw_opencode.opencode.wire.routes import Route


@dataclass(frozen=True, slots=True)
class Operation:
    """One route as we use it. ``status`` is the answer's on success."""

    route: Route
    id: str
    query: tuple[str, ...] = ("directory",)
    sends: tuple[str, ...] = ()
    answers: tuple[str, ...] = ()
    status: Literal["200", "204"] = "200"


_SESSION = (
    *("id!", "title!", "directory!", "time!", "time.created!", "time.updated!"),
    *("parentID", "agent", "model.id", "model.providerID", "metadata"),
)
_RULES = ("permission[].permission!", "permission[].pattern!", "permission[].action!")
_STATUS = ("type=idle|busy|retry", "(type=retry).attempt!", "(type=retry).message!", "(type=retry).next!")
_PROVIDER = (
    *("id!", "name", "models!", "models{}.name", "models{}.variants", "models{}.limit.context", "models{}.limit.output"),
    *("models{}.capabilities.reasoning", "models{}.capabilities.toolcall"),
)
_PERMISSION = ("id!", "sessionID!", "permission!", "patterns[]", "tool.callID")
_QUESTION = (
    *("id!", "sessionID!", "questions[].question", "questions[].header"),
    *("questions[].options[].label", "questions[].multiple"),
)
_INFO = (
    *("id!", "sessionID!", "role=user|assistant", "time!", "time.created!", "(role=user).model.providerID!", "(role=user).model.modelID!"),
    *("(role=assistant).parentID!", "(role=assistant).providerID!", "(role=assistant).modelID!", "(role=assistant).time.completed"),
    *("(role=assistant).finish", "(role=assistant).summary", "(role=assistant).structured", "(role=assistant).cost!"),
    *(f"(role=assistant).tokens.{name}!" for name in ("input", "output", "reasoning", "cache.read", "cache.write")),
    "(role=assistant).error.name>ProviderAuthError|APIError|MessageAbortedError|ContextOverflowError|StructuredOutputError",
    *("(role=assistant).error(name=APIError).data.message!", "(role=assistant).error(name=APIError).data.statusCode"),
)
_PART = (
    *("id!", "type>text|tool|compaction", "(type=text).text!", "(type=text).synthetic", "(type=tool).tool!", "(type=tool).callID!"),
    *("(type=tool).state.status=pending|running|completed|error", "(type=tool).state(status=completed).title!"),
    *("(type=tool).state(status=completed).metadata!", "(type=tool).state.input!", "(type=tool).state(status=error).error!"),
)


def _below(path: str, fields: Sequence[str]) -> tuple[str, ...]:
    return tuple(path + (field if field.startswith("(") or not path else f".{field}") for field in fields)


def _event(kind: str, *fields: str) -> tuple[str, ...]:
    return _below(f"payload(type={kind}).properties", fields)


_EVENTS = (
    *("directory", "payload(type=server.connected).type!", "payload(type=session.idle).properties.sessionID!"),
    *_event("session.created", "info.id!", "info.parentID"),
    *_event("session.status", "sessionID!", *_below("status", _STATUS)),
    *_event("session.error", "sessionID", "error.name>MessageAbortedError"),
    *_event("permission.asked", "id!", "sessionID!"),
    *_event("question.asked", "id!", "sessionID!"),
    *_event("message.updated", "info.id!", "info.role!", "info(role=assistant).finish", "info(role=assistant).error"),
    *_event("message.part.updated", "part.id!", "part(type=tool).state.status!"),
    *_event("message.part.delta", "delta!"),
)

OPERATIONS: tuple[Operation, ...] = (
    Operation(routes.HEALTH, "global.health", (), answers=("healthy!", "version!")),
    Operation(routes.EVENTS, "global.event", (), answers=_EVENTS),
    Operation(routes.PATH, "path.get", answers=("directory!",)),
    Operation(routes.CONFIG, "config.get", answers=("model",)),
    Operation(routes.AGENTS, "app.agents", answers=("[].name!",)),
    Operation(routes.CONNECTED_PROVIDERS, "config.providers", answers=("providers!", "default{}", *_below("providers[]", _PROVIDER))),
    Operation(routes.ALL_PROVIDERS, "provider.list", answers=("all!", "default{}", "connected[]", *_below("all[]", _PROVIDER))),
    Operation(routes.SESSIONS, "session.list", ("directory", "limit"), answers=_below("[]", _SESSION)),
    Operation(routes.ALL_SESSIONS, "experimental.session.list", ("limit",), answers=_below("[]", _SESSION)),
    Operation(routes.SESSION_STATUS, "session.status", answers=_below("{}", _STATUS)),
    Operation(
        routes.SESSION_CREATE,
        "session.create",
        sends=("title", "agent", "model.id!", "model.providerID!", "metadata", *_RULES),
        answers=_SESSION,
    ),
    Operation(routes.SESSION_GET, "session.get", answers=_SESSION),
    Operation(routes.SESSION_UPDATE, "session.update", sends=("title", "metadata", *_RULES), answers=_SESSION),
    Operation(routes.SESSION_DELETE, "session.delete"),
    Operation(routes.SESSION_CHILDREN, "session.children", answers=_below("[]", _SESSION)),
    Operation(routes.SESSION_FORK, "session.fork", answers=_SESSION),
    Operation(routes.SESSION_ABORT, "session.abort"),
    Operation(
        routes.SESSION_DIFF,
        "session.diff",
        ("directory", "messageID"),
        answers=("[].file", "[].patch", "[].additions", "[].deletions", "[].status=added|deleted|modified"),
    ),
    Operation(
        routes.MESSAGES,
        "session.messages",
        ("directory", "limit", "before"),
        answers=(*_below("[].info", _INFO), "[].parts!", *_below("[].parts[]", _PART)),
    ),
    Operation(routes.MESSAGE, "session.message", answers=(*_below("info", _INFO), "parts!", *_below("parts[]", _PART))),
    Operation(
        routes.PROMPT_ASYNC,
        "session.prompt_async",
        sends=(
            *("messageID!", "model.providerID!", "model.modelID!", "agent", "system", "variant"),
            *("parts!", "parts[](type=text).id!", "parts[](type=text).type!", "parts[](type=text).text!"),
        ),
        status="204",
    ),
    Operation(routes.PERMISSIONS, "permission.list", answers=_below("[]", _PERMISSION)),
    Operation(routes.PERMISSION_REPLY, "permission.reply", sends=("reply!", "reply>once|always|reject", "message")),
    Operation(routes.QUESTIONS, "question.list", answers=_below("[]", _QUESTION)),
    Operation(routes.QUESTION_REPLY, "question.reply", sends=("answers!", "answers[]", "answers[][]")),
    Operation(routes.QUESTION_REJECT, "question.reject"),
)
