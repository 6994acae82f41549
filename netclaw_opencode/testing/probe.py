"""Does a host keep the contract of ``netclaw_opencode.hookspecs``, and does a plugin?

Owns a plugin that notes every hook call, and the cases in which a host has to call which hooks. No server is needed. What the
contract says stands in the hook specifications; a case here quotes it and adds nothing.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

from netclaw_opencode._core.resources import find_bundled
from netclaw_opencode._core.validation import find_problems
from netclaw_opencode.actions.context import ActionCall, ActionContext
from netclaw_opencode.actions.registry import ActionDefinition
from netclaw_opencode.facts import ProgressEvent
from netclaw_opencode.hookspecs import SkillInfo, hookimpl
from netclaw_opencode.jsontypes import JsonObject

SKILL = "conformance-probe"
ACTION = "probe_echo"
_INPUT: JsonObject = {
    "type": "object",
    "properties": {"text": {"type": "string", "description": "What comes back."}},
    "required": ["text"],
    "additionalProperties": False,
}
_OUTPUT: JsonObject = {
    "type": "object",
    "properties": {"text": {"type": "string", "description": "What was given."}},
    "required": ["text"],
    "additionalProperties": False,
}

Invoke = Callable[[str, JsonObject], JsonObject]
"""``invoke(action, arguments) -> envelope``, for as long as the host is open."""
OpenHost = Callable[[Mapping[str, object]], AbstractContextManager[Invoke]]
"""Opens the host under test with these plugins (objects by name) besides its own."""


@dataclass(slots=True, eq=False)
class HookProbe:
    """A plugin with one skill and the action ``probe_echo``; ``seen`` has the name of every hook call, in order.

    ``veto`` is the reason of its veto, ``instead`` an output to answer with in place of the handler, and ``broken`` names hooks
    (without their prefix; ``handler`` too) that raise.
    """

    veto: str | None = None
    instead: JsonObject | None = None
    broken: frozenset[str] = frozenset()
    seen: list[str] = field(default_factory=list)
    events: list[ProgressEvent] = field(default_factory=list)
    envelopes: list[JsonObject] = field(default_factory=list)

    def _note(self, name: str) -> None:
        self.seen.append(name)
        if name in self.broken:
            raise ValueError(f"the probe's {name} is broken on purpose")

    @hookimpl
    def netclaw_register_skills(self, register: Callable[[SkillInfo], None]) -> None:
        """Register the skill."""
        self._note("register_skills")
        register(SkillInfo(SKILL, "1.0.0", "Tells whether a host keeps the contract."))

    @hookimpl
    def netclaw_register_actions(self, register: Callable[[ActionDefinition], None]) -> None:
        """Register the action."""
        self._note("register_actions")
        register(ActionDefinition(ACTION, SKILL, "inspect", "Give back what is given.", _INPUT, _OUTPUT, self._handler))

    async def _handler(self, arguments: JsonObject, _context: ActionContext) -> JsonObject:
        self._note("handler")
        return {"text": arguments["text"]}

    @hookimpl
    def netclaw_before_action(self, call: ActionCall) -> str | None:
        """Veto, if told so."""
        if call.action == ACTION:
            self._note("before_action")
            return self.veto
        return None

    @hookimpl
    def netclaw_run_action(self, call: ActionCall) -> Awaitable[JsonObject] | None:
        """Answer in place of the handler, if told so."""
        if call.action != ACTION:
            return None
        self._note("run_action")
        return None if self.instead is None else _ready(self.instead)

    @hookimpl
    def netclaw_after_action(self, call: ActionCall, envelope: JsonObject) -> None:
        """Note a success."""
        if call.action == ACTION:
            self.envelopes.append(envelope)
            self._note("after_action")

    @hookimpl
    def netclaw_action_failed(self, call: ActionCall, envelope: JsonObject) -> None:
        """Note a failure."""
        if call.action == ACTION:
            self.envelopes.append(envelope)
            self._note("action_failed")

    @hookimpl
    def netclaw_on_event(self, event: ProgressEvent) -> None:
        """Keep the event."""
        self.events.append(event)

    @hookimpl
    def netclaw_shutdown(self) -> None:
        """Note the end."""
        self._note("shutdown")


async def _ready(output: JsonObject) -> JsonObject:
    return output


@dataclass(frozen=True, slots=True)
class _Case:
    """One demand on a host: the probe's behaviour, the call, and what has to come of it."""

    says: str
    probe: Callable[[], HookProbe]
    code: str
    """``ok``, or the code of the error."""
    hooks: tuple[str, ...]
    action: str = ACTION
    arguments: Mapping[str, object] = field(default_factory=lambda: {"text": "hello"})
    text: str | None = None


_BEFORE = ("before_action",)
_RUN = ("before_action", "run_action", "handler")
_CASES = (
    _Case("a call runs the handler and is told to after_action", HookProbe, "ok", (*_RUN, "after_action"), text="hello"),
    _Case("a veto ends the call before anything is done", lambda: HookProbe(veto="not now"), "vetoed", (*_BEFORE, "action_failed")),
    _Case(
        "a guard that fails lets nothing through",
        lambda: HookProbe(broken=frozenset({"before_action"})),
        "vetoed",
        (*_BEFORE, "action_failed"),
    ),
    _Case(
        "run_action answers in place of the handler",
        lambda: HookProbe(instead={"text": "instead"}),
        "ok",
        ("before_action", "run_action", "after_action"),
        text="instead",
    ),
    _Case(
        "an output of run_action that breaks the output schema is a result all the same, with a note",
        lambda: HookProbe(instead={"word": 1}),
        "ok",
        ("before_action", "run_action", "after_action"),
    ),
    _Case(
        "run_action that raises fails the call, and the handler is not tried",
        lambda: HookProbe(broken=frozenset({"run_action"})),
        "internal_error",
        ("before_action", "run_action", "action_failed"),
    ),
    _Case(
        "a handler that raises is a failed call, not an exception",
        lambda: HookProbe(broken=frozenset({"handler"})),
        "internal_error",
        (*_RUN, "action_failed"),
    ),
    _Case(
        "an observer that raises leaves the result as it is",
        lambda: HookProbe(broken=frozenset({"after_action"})),
        "ok",
        (*_RUN, "after_action"),
        text="hello",
    ),
    _Case("arguments that break the input schema reach no hook", HookProbe, "invalid_input", (), arguments={"txt": "hello"}),
    _Case("an unknown action reaches no hook", HookProbe, "unknown_action", (), action="probe_nothing"),
)


def conformance_problems(open_host: OpenHost) -> list[str]:
    """Return what a host does otherwise than the contract says, one sentence each; an empty list is a host that keeps it.

    Raises nothing but what ``open_host`` itself raises where the host cannot be opened at all.
    """
    problems: list[str] = []
    for case in _CASES:
        probe = case.probe()
        with open_host({SKILL: probe}) as invoke:
            registered = list(probe.seen)
            probe.seen.clear()
            try:
                envelope = invoke(case.action, case.arguments)
            except Exception as error:  # noqa: BLE001 - whatever the host under test raises is the finding
                problems.append(f"{case.says}: {type(error).__name__} was raised instead: {error}")
                continue
            finally:
                called = tuple(probe.seen)
                probe.seen.clear()
        problems += [f"{case.says}: {problem}" for problem in _found(case, envelope, registered, called, probe)]
    return problems


def _found(case: _Case, envelope: JsonObject, registered: list[str], called: tuple[str, ...], probe: HookProbe) -> Iterator[str]:
    if registered != ["register_skills", "register_actions"]:
        yield f"on opening, the hooks called were {registered}, not register_skills and then register_actions, once each"
    for problem in find_problems(envelope, json.loads(find_bundled("schemas/result.schema.json").read_text(encoding="utf-8"))):
        yield f"the envelope breaks its schema: {problem.message}"
    error = envelope.get("error")
    code = str(error.get("code")) if isinstance(error, Mapping) else "ok" if envelope.get("ok") is True else "neither ok nor an error"
    if code != case.code:
        yield f"the outcome is {code}, not {case.code}"
    if called != case.hooks:
        yield f"the hooks called were {list(called)}, not {list(case.hooks)}"
    data = envelope.get("data")
    if case.text is not None and (not isinstance(data, Mapping) or data.get("text") != case.text):
        yield f"the data is {data}, not that of {case.text!r}"
    if any(told != envelope for told in probe.envelopes):
        yield "the observer was shown another envelope than the caller"
    if probe.seen != ["shutdown"]:
        yield f"on closing, the hooks called were {probe.seen}, not shutdown alone"


def plugin_problems(plugin: object, *, name: str = "plugin-under-test") -> list[str]:
    """Return what the reference host has against a plugin (an object or a module), one sentence each; an empty list is none."""
    from netclaw_opencode.host import Host

    return [str(problem) for problem in Host(entry_points=False, plugins={name: plugin}).problems]


__all__ = ["ACTION", "SKILL", "HookProbe", "Invoke", "OpenHost", "conformance_problems", "plugin_problems"]
