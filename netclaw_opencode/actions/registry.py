"""Dispatch actions: every call of every adapter goes through ``Registry.invoke``.

The order of a call: validate the input, ask for vetoes, run, validate the output, make the envelope. Every exception becomes an error
envelope. Nothing here knows where an action comes from or what it does.
"""

from __future__ import annotations

import difflib
import importlib
import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import cast

from netclaw_opencode._core import time_budget
from netclaw_opencode._core.redaction import hide, hide_in_json, redact_json
from netclaw_opencode._core.time_budget import CallBudget
from netclaw_opencode.actions.context import ActionCall, ActionContext
from netclaw_opencode.errors import DriverError, InvalidInput, OutOfTime, Refused
from netclaw_opencode.jsontypes import JsonObject

Handler = Callable[[JsonObject, ActionContext], Awaitable[JsonObject]]

_log = logging.getLogger("netclaw_opencode")

STOP_SECONDS = 15.0
"""Time for stopping, proving it and cleaning up after the deadline of a call that has one, in seconds."""
_OF_TIME = frozenset({"turn_timeout", "request_timeout", "provider_retrying", "server_not_ready"})
"""Endings that a cap on calls may have brought about."""


@dataclass(frozen=True, slots=True)
class ActionDefinition:
    """An action as a plugin registers it.

    ``handler`` is an async callable ``(arguments, context) -> output``, or its place as ``"module:function"``, which is
    imported at the first call. ``deadline_seconds`` is the default time limit, for people and hosts to read.
    """

    name: str
    skill: str
    tier: str
    summary: str
    input_schema: JsonObject
    output_schema: JsonObject
    handler: Handler | str
    description: str = ""
    deadline_seconds: float = 60.0
    errors: tuple[str, ...] = ()

    def resolve(self) -> Handler:
        """Return the callable behind ``handler``."""
        if not isinstance(self.handler, str):
            return self.handler
        module, _, function = self.handler.partition(":")
        resolved: Handler = getattr(importlib.import_module(module), function)
        return resolved


class Registry:
    """Actions by name."""

    def __init__(self) -> None:
        self._actions: dict[str, ActionDefinition] = {}

    def register(self, definition: ActionDefinition) -> None:
        """Add an action.

        Raises:
            InvalidInput: ``name_clash``, if the name is taken.
        """
        present = self._actions.get(definition.name)
        if present is not None:
            raise InvalidInput(
                "name_clash",
                f"action {definition.name!r} of skill {definition.skill!r} is already registered by skill {present.skill!r}",
                details={"action": definition.name, "skills": [present.skill, definition.skill]},
            )
        self._actions[definition.name] = definition

    def remove_skill(self, skill: str) -> None:
        """Take back every action of a skill (a plugin that turned out to be broken)."""
        self._actions = {name: action for name, action in self._actions.items() if action.skill != skill}

    @property
    def actions(self) -> Mapping[str, ActionDefinition]:
        """All actions, by name, in the order of registration."""
        return MappingProxyType(self._actions)

    def __iter__(self) -> Iterator[ActionDefinition]:
        return iter(self._actions.values())

    def get(self, name: str) -> ActionDefinition:
        """Return the action of that name; ``-`` and ``_`` are the same.

        Raises:
            InvalidInput: ``unknown_action``.
        """
        definition = self._actions.get(name.replace("-", "_"))
        if definition is None:
            near = difflib.get_close_matches(name.replace("-", "_"), self._actions, n=3)
            hint = f"; did you mean {', '.join(near)}?" if near else ""
            raise InvalidInput("unknown_action", f"there is no action {name!r}{hint}", details={"near": near})
        return definition

    async def invoke(self, name: str, arguments: JsonObject, *, context: ActionContext) -> dict[str, object]:
        """Run one action and return its envelope (``schemas/result.schema.json``).

        Raises nothing but cancellation and process-ending exceptions.
        """
        envelope, _ = await self._conclude(name, arguments, context)
        return envelope

    async def perform(self, name: str, arguments: JsonObject, *, context: ActionContext) -> dict[str, object]:
        """Run one action as ``invoke`` does and return its data.

        Raises:
            DriverError: How it failed: the very error that was raised, with its cause and traceback.
        """
        envelope, error = await self._conclude(name, arguments, context)
        if error is not None:
            raise error
        return dict(cast(JsonObject, envelope["data"]))

    async def _conclude(self, name: str, arguments: JsonObject, context: ActionContext) -> tuple[dict[str, object], DriverError | None]:
        """Return the envelope of one call, and the error behind one that failed."""
        deadline_seconds, stop_seconds = self._time_limits(name, arguments)
        with (
            context.record.call(str(name).replace("-", "_")),
            time_budget.call_budget(
                context.settings.call_seconds, clock=context.clock, deadline_seconds=deadline_seconds, stop_seconds=stop_seconds
            ) as budget,
        ):
            call: ActionCall | None = None
            failure: DriverError | None = None
            try:
                definition = self.get(name)
                name = definition.name
                _require_valid(arguments, definition)
                call = ActionCall(name, arguments, definition.skill, definition.tier, context)
                output = await _run(call, definition, budget)
                envelope: dict[str, object] = {"ok": True, "action": name, "data": _check_output(output, definition)}
            except DriverError as error:
                failure = error
                _explain(error, budget)
            except Exception as error:  # the dispatcher: a defect becomes a result, never silence
                _log.exception("action %s failed unexpectedly", name)
                failure = _internal(error)
            if failure is not None:
                envelope = error_envelope(name, failure)
            envelope = _without_secrets(envelope, context.secrets)
            if failure is not None:
                _hide_secrets(failure, context.secrets)
            if call is not None:
                _notify_hooks(call, envelope)
            # Imported here: listing actions needs no driver.
            from netclaw_opencode.driver import rules

            rules.require_result_or_cause(envelope)
            context.record.result(envelope)
        return envelope, failure

    def _time_limits(self, name: str, arguments: JsonObject) -> tuple[float | None, float]:
        """The deadline of a call in seconds, as it was given or as its manifest states it, and the time to stop what must be stopped."""
        definition = self._actions.get(str(name).replace("-", "_"))
        if definition is None:
            return None, 0.0
        field = _deadline_field(definition)
        given = arguments.get(field) if field is not None and isinstance(arguments, Mapping) else None
        stated = given if isinstance(given, int | float) and not isinstance(given, bool) else definition.deadline_seconds
        return float(stated), STOP_SECONDS if field is not None else 0.0


def _explain(error: DriverError, budget: CallBudget) -> None:
    """Say of a call that ran out of time that the cap cut it, if it did."""
    note = budget.note()
    if note is None or error.code not in _OF_TIME:
        return
    error.message += f"; {note}"
    error.details |= {"call_seconds": budget.cap_seconds, "asked_seconds": budget.cut_limit}
    if error.code == "turn_timeout":
        error.next = "Use send_message_async with wait_for_session: here no call may last long enough."


def _hide_secrets(error: DriverError, secrets: tuple[str, ...]) -> None:
    """Take the known secrets out of an error that is about to be raised; a cause that holds one is left out."""
    error.message, error.next = hide(error.message, secrets)[0], hide(error.next, secrets)[0]
    error.details = dict(cast(JsonObject, redact_json(error.details, secrets=secrets)))
    error.args = (error.message,)
    seen: set[int] = set()
    link: BaseException = error
    while id(link) not in seen:
        seen.add(id(link))
        cause = link.__cause__ or link.__context__
        if cause is None:
            return
        if hide(f"{cause} {cause!r}", secrets)[1]:
            link.__cause__ = link.__context__ = None
            return
        link = cause


def error_envelope(action: str, error: DriverError) -> dict[str, object]:
    """Return the envelope of a failed call."""
    return {"ok": False, "action": action, "error": error.to_wire()}


def _deadline_field(definition: ActionDefinition) -> str | None:
    """Return the argument by which the caller says how long this call may take: then the handler keeps that time, and stops what it must.

    The ``deadline_seconds`` of a task that goes on in the background is no bound of the call that sends it; their defaults differ.
    """
    properties = definition.input_schema.get("properties")
    if not isinstance(properties, Mapping):
        return None
    if "wait_seconds" in properties:
        return "wait_seconds"
    deadline = properties.get("deadline_seconds")
    bounds_call = isinstance(deadline, Mapping) and deadline.get("default") == definition.deadline_seconds
    return "deadline_seconds" if bounds_call else None


async def _run(call: ActionCall, definition: ActionDefinition, budget: CallBudget) -> JsonObject:
    """Run the handler, or a plugin in its place.

    Raises:
        Refused: ``vetoed`` by a plugin.
        OutOfTime: The call outlasts its deadline or the operator's cap: the last resort, since every wait keeps both.
    """
    from anyio import move_on_after

    with move_on_after(max(0.0, budget.ends - budget.clock())):
        reason = call.context.hooks.before_action(call)
        if reason is not None:
            raise Refused("vetoed", f"{call.action} was vetoed: {reason}")
        async with call.context.leasing():
            running = call.context.hooks.run_action(call)
            return await (running if running is not None else definition.resolve()(call.arguments, call.context))
    cap_seconds = budget.cap_seconds
    if cap_seconds is None or budget.deadline + budget.stop_seconds <= budget.ends:
        raise OutOfTime("request_timeout", f"{call.action} did not end within its {definition.deadline_seconds:g} s")
    raise OutOfTime(
        "call_timeout",
        f"{call.action} did not end within {cap_seconds:g} s ({time_budget.SETTING}) and was cancelled; its work was asked to stop",
        details={"call_seconds": cap_seconds},
    )


def _notify_hooks(call: ActionCall, envelope: JsonObject) -> None:
    hooks = call.context.hooks
    try:
        (hooks.after_action if envelope["ok"] else hooks.action_failed)(call, envelope)
    except Exception:  # an observer's defect must not change the result of the call
        _log.exception("a plugin failed while it observed %s", call.action)


_NEED_A_CALLER = frozenset(
    {"isolation", "base", "carry_changes", "link_paths", "copy_paths", "apply", "check"}
    | {"max_cost_usd", "max_tokens", "max_model_calls", "max_idle_seconds"}
)
"""What some call has to do while a task runs, or when it ends."""


def _require_valid(arguments: JsonObject, definition: ActionDefinition) -> None:
    from netclaw_opencode._core.validation import find_problems

    problems = find_problems(arguments, definition.input_schema, incoming=True)
    if problems:
        told = f"{definition.name}: " + "; ".join(problem.message for problem in problems)
        unattended = sorted(_NEED_A_CALLER & arguments.keys()) if definition.name == "send_message_async" else []
        raise InvalidInput(
            "invalid_input",
            told + (f" ({', '.join(unattended)}: nobody follows a turn in the background, who could do that)" if unattended else ""),
            next="use run_task, or submit_batch for many tasks: they follow the task to its end" if unattended else None,
            details={"problems": [problem.to_wire() for problem in problems]},
        )


def _check_output(output: JsonObject, definition: ActionDefinition) -> JsonObject:
    """Return the output, with a note if it is not what its schema promises: what was done and paid for is not thrown away for that."""
    from netclaw_opencode._core.validation import find_problems

    problems = find_problems(output, definition.output_schema)
    if not problems:
        return output
    if not isinstance(output, Mapping):
        raise TypeError(f"{definition.name} returned no object")
    note = "the output breaks its schema: " + "; ".join(problem.message for problem in problems)
    _log.error("action %s: %s", definition.name, note)
    notes = output.get("notes")
    return {**output, "notes": [*(notes if isinstance(notes, list) else ()), note]}


def _without_secrets(envelope: dict[str, object], secrets: tuple[str, ...]) -> dict[str, object]:
    """Hide known secrets, however they came in (an agent may print its environment)."""
    if not secrets:
        return envelope
    shown = {name: hide_in_json(value, secrets) for name, value in envelope.items()}
    places = sum(count for _, count in shown.values())
    return {name: value for name, (value, _) in shown.items()} | ({"redacted": places} if places else {})


def _internal(error: Exception) -> DriverError:
    from netclaw_opencode.errors import ActionFailed

    failure = ActionFailed("internal_error", f"{type(error).__name__}: {error}"[:500])
    failure.__cause__ = error
    return failure


__all__ = ["ActionDefinition", "Handler", "Registry", "error_envelope"]
