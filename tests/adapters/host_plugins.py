"""Plugins that the host's tests are about: small, and each with one property."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from netclaw_opencode.actions.context import ActionContext
from netclaw_opencode.actions.registry import ActionDefinition
from netclaw_opencode.hookspecs import SkillInfo, hookimpl
from netclaw_opencode.host import OWN_PLUGIN, Host
from netclaw_opencode.settings import Settings

Output = Mapping[str, object]
Handler = Callable[[Output, ActionContext], Awaitable[Output]]

ANYTHING: dict[str, object] = {"type": "object"}


async def handled(arguments: Output, context: ActionContext) -> Output:
    """Say that the handler ran."""
    return {"by": "handler", **arguments}


def action(name: str, skill: str, **changes: object) -> ActionDefinition:
    """An action that takes and gives anything, with changes."""
    facts: dict[str, object] = {
        "tier": "inspect",
        "summary": "Act.",
        "input_schema": ANYTHING,
        "output_schema": ANYTHING,
        "handler": handled,
    }
    return ActionDefinition(name=name, skill=skill, **(facts | changes))  # type: ignore[arg-type]


class Plugin:
    """A plugin with one skill and the given actions (or whatever else it is told to register as one)."""

    def __init__(self, skill: str, *actions: object) -> None:
        self.skill = skill
        self.actions = actions

    @hookimpl
    def netclaw_register_skills(self, register: Callable[[SkillInfo], None]) -> None:
        """Register the skill."""
        register(SkillInfo(self.skill, "1.0.0", "A skill of a test."))

    @hookimpl
    def netclaw_register_actions(self, register: Callable[[object], None]) -> None:
        """Register what was given."""
        for definition in self.actions:
            register(definition)


def loading(**plugins: object) -> Host:
    """A host with these plugins alone; ``_`` in a name stands for ``-``. It may have problems."""
    return Host(exclude=(OWN_PLUGIN,), entry_points=False, plugins={name.replace("_", "-"): plugin for name, plugin in plugins.items()})


def codes(host: Host) -> list[tuple[str, str]]:
    """Plugin and code of each problem."""
    return [(problem.plugin, problem.code) for problem in host.problems]


def hooks(**implementations: Callable[..., object]) -> object:
    """A plugin of hooks; ``before_action=…`` stands for ``netclaw_before_action``, and arguments may be left out."""
    return type("Hooks", (), {f"netclaw_{name}": staticmethod(hookimpl(function)) for name, function in implementations.items()})()


def host_of(*plugins: object, handler: Handler = handled, **changes: object) -> Host:
    """A sound host of the action ``act`` (with that handler) and plugins p1, p2 … (later ones are asked first)."""
    closed = {"type": "object", "additionalProperties": False, "properties": {"text": {"type": "string"}}}
    tested = Plugin("tested", action("act", "tested", tier="run", input_schema=closed, handler=handler))
    named: dict[str, object] = {"tested": tested} | {f"p{number}": plugin for number, plugin in enumerate(plugins, 1)}
    host = Host(Settings(), exclude=(OWN_PLUGIN,), entry_points=False, plugins=named, **changes)  # type: ignore[arg-type]
    assert host.problems == ()
    return host


def called(host: Host, **arguments: object) -> dict[str, object]:
    """The envelope of one call of ``act``."""
    with host:
        return host.call("act", **arguments)


def error_of(envelope: Mapping[str, object]) -> dict[str, object]:
    """The error of an envelope that must have failed."""
    error = envelope["error"]
    assert envelope["ok"] is False and isinstance(error, dict)
    return error


def fails() -> None:
    """A hook with a defect."""
    raise ZeroDivisionError("defect")
