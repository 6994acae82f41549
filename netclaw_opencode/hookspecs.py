"""The contract between a NetClaw host and its plugins, as pluggy hook specifications.

Owns the namespace, the entry-point group, the names and signatures of the hooks, and ``SkillInfo``. It loads nothing and
calls nothing: that is the work of a host (``netclaw_opencode.host`` is one).

A plugin is a module or an object whose functions carry ``@hookimpl`` and one of the names below. It is found by an entry
point of the group ``netclaw.skills``, or in a directory with a ``skill.yaml``. Every hook is optional and may leave out
arguments that it does not need. Three things hold for all of them:

* Plugins are called one by one, the last loaded first (``tryfirst`` and ``trylast`` change that); hook *wrappers* are
  refused, so that each failure has exactly one name.
* Except for the two registrations, hooks run in the thread of the event loop, between other work: they return at once, and
  never wait for a person, a network or another action.
* What an exception does is said below, hook by hook. It never ends the host.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import pluggy

from netclaw_opencode.actions.context import ActionCall
from netclaw_opencode.actions.registry import ActionDefinition
from netclaw_opencode.facts import Decision, PendingRequest, ProgressEvent
from netclaw_opencode.jsontypes import JsonObject

NAMESPACE = "netclaw"
ENTRY_POINT_GROUP = "netclaw.skills"

hookspec = pluggy.HookspecMarker(NAMESPACE)
hookimpl = pluggy.HookimplMarker(NAMESPACE)
"""Marks a plugin's implementation of a hook; ``pluggy.HookimplMarker("netclaw")`` is the same."""


@dataclass(frozen=True, slots=True)
class SkillInfo:
    """A skill as a plugin registers it; ``name`` is unique in a host."""

    name: str
    version: str
    description: str
    when_to_use: str = ""


@hookspec
def netclaw_register_skills(register: Callable[[SkillInfo], None]) -> None:
    """Call ``register`` once for each skill of this plugin.

    When: once, while the host is made, before ``netclaw_register_actions`` of the same plugin. Thread: the one that makes
    the host; no event loop runs. Exception: the plugin is broken; it is left out wholly and reported under
    ``host.problems``. The same holds for a skill name that another plugin has already (``name_clash``).
    """


@hookspec
def netclaw_register_actions(register: Callable[[ActionDefinition], None]) -> None:
    """Call ``register`` once for each action: name, skill, tier, schemas, handler, deadline, error codes.

    When: once, while the host is made, after ``netclaw_register_skills``; every action belongs to a skill that this plugin
    registered. Thread: the one that makes the host; no event loop runs. Exception: as for skills: the plugin is left out
    wholly, skills included, and reported.
    """


@hookspec(firstresult=True)
def netclaw_before_action(call: ActionCall) -> str | None:
    """Return a reason to veto the call, or None to let it run.

    When: after the arguments passed their schema, before anything is done. The first reason ends the asking; the caller
    gets ``vetoed`` with the plugin's name and the reason. Thread: event loop. Exception, or a result that is neither text
    nor None: the call is refused (``vetoed``), since a guard that fails must not let anything through; reported.
    """


@hookspec(firstresult=True)
def netclaw_run_action(call: ActionCall) -> Awaitable[JsonObject] | None:
    """Return an awaitable of the output to run this action in place of its handler, or None to leave it alone.

    When: after no plugin vetoed. The first answer wins and its output must keep the action's output schema. Thread: event
    loop; the awaitable is awaited there and is cancelled with the call. Exception, at once or in the awaitable: a
    ``DriverError`` is the call's own error; anything else fails the call with ``internal_error`` naming the plugin, and is
    reported. The handler is not tried after that: half of the work may be done.
    """


@hookspec
def netclaw_after_action(call: ActionCall, envelope: JsonObject) -> None:
    """Observe a call that succeeded; ``envelope`` is what the caller gets.

    When: after the output passed its schema, before the caller has it; not for a cancelled call. Thread: event loop.
    Exception: logged and reported; the other plugins are still called, and the result stays as it is.
    """


@hookspec
def netclaw_action_failed(call: ActionCall, envelope: JsonObject) -> None:
    """Observe a call that failed, vetoed ones included; ``envelope["error"]`` says how.

    When: before the caller has the envelope; not for an unknown action or arguments that break their schema (there was no
    call yet), nor for a cancelled call. Thread: event loop. Exception: logged and reported; the result stays as it is.
    """


@hookspec(firstresult=True)
def netclaw_decide_permission(request: PendingRequest) -> Decision | None:
    """Answer a permission that the coding agent asks for: ``Decision("once" | "always" | "reject", message=…)``.

    When: the agent waits for it in a running turn of ours; perhaps more than once about the same request. The first answer
    wins. No answer leaves it to the policy file; what that does not allow is refused, the turn is stopped and the call fails
    with ``permission_required``. A ``"reject"`` refuses it too; with a reason (``message``) the agent may go on, otherwise its turn
    ends. Thread: event loop. Exception, or a result that is no decision on a permission: the permission is refused, neither
    other plugins nor the policy file are asked; reported.
    """


@hookspec(firstresult=True)
def netclaw_answer_question(request: PendingRequest) -> Decision | None:
    """Answer the questions of the agent: ``Decision("answers", answers=…)``, one tuple of labels each, or ``"reject"``.

    When: the agent waits for it in a running turn of ours; perhaps more than once about the same request. The first answer
    wins. No answer leaves it to the policy file; where that has none either, the question is rejected, the turn stopped, and
    the call fails with ``question_pending``. Thread: event loop. Exception, or a result that does not answer every question:
    the question is rejected, neither other plugins nor the policy file are asked; reported.
    """


@hookspec
def netclaw_on_event(event: ProgressEvent) -> None:
    """Observe progress: sessions, status, tool calls, text, requests, deadlines, servers.

    When: as it happens, many times a second while a model streams. Thread: event loop. Exception: logged and reported (once
    for each plugin, however often it happens); the other plugins are still called, and the call goes on.
    """


@hookspec
def netclaw_shutdown() -> None:
    """Release what the plugin holds.

    When: each time that the host is left (or that entering it fails), after its last connection is closed; no other hook
    follows. Thread: event loop. Exception: logged and reported; the other plugins are still called.
    """


__all__ = [
    "ENTRY_POINT_GROUP",
    "NAMESPACE",
    "SkillInfo",
    "hookimpl",
    "hookspec",
    "netclaw_action_failed",
    "netclaw_after_action",
    "netclaw_answer_question",
    "netclaw_before_action",
    "netclaw_decide_permission",
    "netclaw_on_event",
    "netclaw_register_actions",
    "netclaw_register_skills",
    "netclaw_run_action",
    "netclaw_shutdown",
]
