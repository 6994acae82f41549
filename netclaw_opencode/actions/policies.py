"""Handler of the dry run of a policy: check_policy. It asks no server and no plugin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netclaw_opencode._core.policy import load_policy
from netclaw_opencode.actions import arguments as read
from netclaw_opencode.errors import InvalidInput
from netclaw_opencode.facts import AgentQuestion, PendingRequest

if TYPE_CHECKING:
    from netclaw_opencode.actions.context import ActionContext
    from netclaw_opencode.jsontypes import JsonObject

_OF_PERMISSION = ("pattern", "patterns")
_OF_QUESTION = ("header", "options", "multiple")


async def check_policy(arguments: JsonObject, context: ActionContext) -> JsonObject:
    """Return what the policy file would answer to a request."""
    request = _request(arguments)
    policy = load_policy(context.settings.policy)
    ruling = policy.decide(request)
    output: dict[str, object] = {"answer": ruling.answer, "by": ruling.by}
    if ruling.rule is not None:
        output["rule"] = ruling.rule.to_wire()
    if ruling.steps:
        output["by_pattern"] = [
            {"pattern": pattern, "answer": "allow_once" if rule is not None and rule.allows else "refuse"}
            | ({} if rule is None else {"index": rule.number})
            for pattern, rule in ruling.steps
        ]
    if ruling.chosen:
        output["chosen"] = list(ruling.chosen[0])
    if ruling.message is not None:
        output["message"] = ruling.message
    stops = ruling.by == "default" and policy.on_request == "stop"
    output["turn_goes_on"] = ruling.turn_goes_on and not stops
    if policy.source is not None:
        output["policy_file"] = str(policy.source)
    return output


def _request(arguments: JsonObject) -> PendingRequest:
    """Return the request that is asked about.

    Raises:
        InvalidInput: If it is none, or two.
    """
    permission, question = read.text(arguments, "permission"), read.text(arguments, "question")
    if (permission is None) == (question is None):
        raise InvalidInput("invalid_input", "check_policy: give either permission or question")
    kind, others = ("permission", _OF_QUESTION) if permission is not None else ("question", _OF_PERMISSION)
    odd = [name for name in others if name in arguments]
    if odd:
        raise InvalidInput("invalid_input", f"check_policy: {odd[0]} does not belong to a {kind}")
    if permission is not None:
        if all(name in arguments for name in _OF_PERMISSION):
            raise InvalidInput("invalid_input", "check_policy: give either pattern or patterns")
        single = read.text(arguments, "pattern")
        patterns = _texts(arguments, "patterns") if single is None else (single,)
        return PendingRequest("permission", "", "", "", permission=permission, patterns=patterns)
    asked = AgentQuestion(
        question or "", read.text(arguments, "header") or "", _texts(arguments, "options"), read.flag(arguments, "multiple")
    )
    return PendingRequest("question", "", "", "", questions=(asked,))


def _texts(arguments: JsonObject, name: str) -> tuple[str, ...]:
    value = arguments.get(name)
    return tuple(str(item) for item in value) if isinstance(value, list | tuple) else ()
