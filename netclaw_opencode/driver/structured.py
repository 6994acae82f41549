"""Answers that fit a schema.

OpenCode's own ``format`` option is not used: after such a prompt the 1.18 server can no longer read the session's
message store (400 for ever), and it accepts answers that break the schema. So the model is told the schema, and the
answer is read from its text and checked here.
"""

from __future__ import annotations

import json
import re

from netclaw_opencode._core.validation import problems_of
from netclaw_opencode.errors import ActionFailed
from netclaw_opencode.jsontypes import JsonObject

_FENCE = re.compile(r"```(?:json)?\s*\n(.*?)```", re.DOTALL)


def instruction(schema: JsonObject) -> str:
    """What the model is told, as system text."""
    return (
        "Your last message must be one JSON object and nothing else: no prose, no code fence. "
        f"It must be valid against this JSON Schema:\n{json.dumps(schema, ensure_ascii=False)}"
    )


def extract(text: str, schema: JsonObject) -> object:
    """The JSON value in the model's text, valid against the schema.

    Raises ``ActionFailed`` (``structured_output_failed``) with what is wrong and the text itself.
    """
    for candidate in (text, *reversed(_FENCE.findall(text)), text[text.find("{") : text.rfind("}") + 1]):
        try:
            value: object = json.loads(candidate)
        except (ValueError, RecursionError):
            continue
        problems = problems_of(value, schema)
        if not problems:
            return value
        raise _failed("; ".join(problem.message for problem in problems[:5]), text)
    raise _failed("it holds no JSON", text)


def _failed(why: str, text: str) -> ActionFailed:
    return ActionFailed("structured_output_failed", f"the model's answer does not fit output_schema: {why}", details={"text": text[:2000]})
