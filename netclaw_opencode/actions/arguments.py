"""Arguments that passed the input schema, read with their types and defaults.

Owns the little that every handler needs. Checks that a schema cannot express live in the driver.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, cast

from netclaw_opencode.errors import InvalidInput
from netclaw_opencode.jsontypes import JsonObject
from netclaw_opencode.opencode.directories import Places, check_directory
from netclaw_opencode.opencode.models import ThinkingChoice, choose_variant, parse_model, parse_thinking
from netclaw_opencode.opencode.wire import ids

if TYPE_CHECKING:
    from netclaw_opencode._core.policy import OnRequest
    from netclaw_opencode.driver.turn import Prompt, RetryLimit
    from netclaw_opencode.opencode.connection import Connection
    from netclaw_opencode.opencode.wire.types import ModelRef
    from netclaw_opencode.settings import Settings

PROMPT_BYTES = 1024 * 1024
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")


def text(arguments: JsonObject, name: str) -> str | None:
    """Return a text argument, or None if it is absent."""
    value = arguments.get(name)
    return value if isinstance(value, str) else None


def required_text(arguments: JsonObject, name: str) -> str:
    """Return a text argument that the schema requires."""
    return str(arguments[name])


def texts(arguments: JsonObject, name: str) -> list[str]:
    """Return a list of texts; empty where it is absent."""
    value = arguments.get(name)
    return [str(item) for item in value] if isinstance(value, list) else []


def seconds(arguments: JsonObject, name: str, default: float) -> float:
    """Return a number of seconds."""
    value = arguments.get(name, default)
    return float(value) if isinstance(value, int | float) else default


def optional_seconds(arguments: JsonObject, name: str) -> float | None:
    """Return a number of seconds, or None if it is absent."""
    return seconds(arguments, name, 0.0) if name in arguments else None


def integer(arguments: JsonObject, name: str, default: int) -> int:
    """Return a whole number."""
    value = arguments.get(name, default)
    return value if isinstance(value, int) else default


def retries(arguments: JsonObject) -> RetryLimit:
    """Return how long and how often a provider that refuses may be asked again."""
    from netclaw_opencode.driver.turn import RetryLimit

    attempts = integer(arguments, "retry_attempts", 0) if "retry_attempts" in arguments else None
    return RetryLimit(optional_seconds(arguments, "retry_budget_seconds"), attempts)


def on_request(arguments: JsonObject) -> OnRequest | None:
    """Return what becomes of a request without a decision; None if the call does not say."""
    return cast("OnRequest | None", text(arguments, "on_request"))


def flag(arguments: JsonObject, name: str, *, default: bool = False) -> bool:
    """Return a boolean."""
    return arguments.get(name, default) is True


def session_id(arguments: JsonObject, name: str = "session_id") -> str:
    """Return a session id, checked."""
    return ids.check_id(arguments.get(name), field=name)


def optional_id(arguments: JsonObject, name: str) -> str | None:
    """Return an id, checked, or None if it is absent."""
    return ids.check_id(arguments[name], field=name) if name in arguments else None


def directory(arguments: JsonObject, settings: Settings) -> str:
    """Return the working directory: the argument, else the configured one. Raises ``InvalidInput``."""
    return check_directory(text(arguments, "directory") or settings.directory)


def workplace(arguments: JsonObject, settings: Settings) -> str:
    """Return the directory of a new session: one in which the agent may work. Raises ``InvalidInput``."""
    given = text(arguments, "directory") or settings.directory
    found = check_directory(given)
    Places.from_settings(settings).require(found, given=given)
    return found


def require_sound(arguments: JsonObject, settings: Settings) -> None:
    """Refuse, before anything is sent, what an input schema cannot express: sizes in bytes, forms of a model, schemas.

    Raises ``InvalidInput``.
    """
    for name in ("prompt", "system"):
        _require_printable(name, text(arguments, name) or "")
        size = len((text(arguments, name) or "").encode())
        if size > PROMPT_BYTES:
            raise InvalidInput(
                "invalid_input",
                f"{name} has {size} bytes in UTF-8; at most {PROMPT_BYTES} (1 MiB) are sent: "
                "put the material into a file and name it, for example 'Read notes.md and …'",
            )
    fallbacks = arguments.get("fallback_models")
    for value in (arguments.get("model", settings.model), arguments.get("plan_model"), *(fallbacks if isinstance(fallbacks, list) else ())):
        parse_model(value)
    schema = arguments.get("output_schema")
    if isinstance(schema, Mapping):
        check_output_schema(schema)


def _require_printable(name: str, value: str) -> None:
    """Refuse control characters other than tab and line ends: the server would send a NUL on, and a model would see it."""
    found = _CONTROL.search(value)
    if found is None:
        return
    before = value[: found.start()]
    line, column = before.count("\n") + 1, found.start() - (before.rfind("\n") + 1) + 1
    raise InvalidInput(
        "invalid_input",
        f"{name} holds the control character U+{ord(found[0]):04X} in line {line}, column {column} (offset {found.start()}); take it out",
        details={"field": name, "character": f"U+{ord(found[0]):04X}", "line": line, "column": column, "offset": found.start()},
    )


def model(arguments: JsonObject, settings: Settings, *, name: str = "model") -> ModelRef | None:
    """Return the model: the argument, else the configured one, else None (the server's default)."""
    return parse_model(arguments.get(name, settings.model))


async def prompt(
    connection: Connection, arguments: JsonObject, *, directory: str, model: ModelRef | None, session_model: ModelRef | None = None
) -> Prompt:
    """Return a prompt whose model, agent and thinking were checked against the server (F13, F15)."""
    from netclaw_opencode.driver.turn import Prompt

    thinking = parse_thinking(arguments.get("thinking"))
    choice: ThinkingChoice | None = None
    if model is not None or thinking is not None:
        catalogue = await connection.catalogue(directory)
        used = model or session_model or catalogue.default
        if used is None:
            raise InvalidInput("thinking_unsupported", "thinking needs a model; name one, since the server has no default model")
        found = catalogue.find(used)
        choice = choose_variant(found, thinking) if thinking is not None else None
        model = used if choice is not None else model
    agent = text(arguments, "agent")
    if agent is not None:
        await connection.require_agent(agent, directory=directory)
    schema = arguments.get("output_schema")
    return Prompt(
        text=required_text(arguments, "prompt"),
        model=model,
        agent=agent,
        system=text(arguments, "system"),
        thinking=choice,
        output_schema=check_output_schema(schema) if isinstance(schema, Mapping) else None,
    )


def check_output_schema(schema: JsonObject) -> JsonObject:
    """Return a JSON Schema that a caller wants the answer to fit. Raises ``InvalidInput``."""
    from netclaw_opencode._core.validation import find_schema_problems

    problems = find_schema_problems(schema, patterns=False)
    if problems:
        raise InvalidInput("invalid_input", "output_schema: " + "; ".join(problem.message for problem in problems))
    return schema
