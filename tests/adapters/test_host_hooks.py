"""The reference host calls hooks plugin by plugin: vetoes, substitutes, observers, decisions, and what a failure does."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable

import pytest

from netclaw_opencode.actions.context import ActionCall, ActionContext
from netclaw_opencode.errors import ServerProblem
from netclaw_opencode.facts import AgentQuestion, Decision, PendingRequest, ProgressEvent
from netclaw_opencode.hookspecs import hookimpl
from tests.adapters.host_plugins import Output, called, error_of, fails, hooks, host_of

PERMISSION = PendingRequest("permission", "per_1", "ses_1", "/w", permission="external_directory", patterns=("/x/*",))
QUESTION = PendingRequest("question", "que_1", "ses_1", "/w", questions=(AgentQuestion("Which?", "Which", ("a", "b"), False),))


# --- before: the veto


def test_a_veto_names_the_plugin_and_keeps_the_handler_from_running() -> None:
    """A reason refuses the call before anything is done."""
    ran: list[str] = []

    async def runs(arguments: Output, context: ActionContext) -> Output:
        ran.append("handler")
        return {}

    error = error_of(called(host_of(hooks(before_action=lambda call: f"no {call.action} today"), handler=runs)))
    assert (error["code"], error["message"], ran) == ("vetoed", "act was vetoed by plugin 'p1': no act today", [])
    assert error["details"] == {"plugin": "p1", "reason": "no act today"}


def test_an_empty_reason_is_a_veto_too() -> None:
    """Only None lets a call pass."""
    assert "gives no reason" in str(error_of(called(host_of(hooks(before_action=lambda: ""))))["message"])


def test_the_first_reason_ends_the_asking() -> None:
    """The plugin loaded last is asked first; ``tryfirst`` goes before it."""
    first = type("First", (), {"netclaw_before_action": staticmethod(hookimpl(tryfirst=True)(lambda: "first"))})()
    error = error_of(called(host_of(first, hooks(before_action=lambda: "last"))))
    assert error["details"] == {"plugin": "p1", "reason": "first"}
    error = error_of(called(host_of(hooks(before_action=lambda: "earlier"), hooks(before_action=lambda: "later"))))
    assert error["details"] == {"plugin": "p2", "reason": "later"}


@pytest.mark.parametrize("hook", [fails, lambda: True, lambda: sys.exit(0)], ids=["raises", "wrong type", "exits"])
def test_a_guard_that_fails_refuses_the_call(hook: Callable[..., object], caplog: pytest.LogCaptureFixture) -> None:
    """An exception or a senseless answer of a before-hook lets nothing through, and is reported with the plugin's name."""
    host = host_of(hooks(before_action=hook))
    error = error_of(called(host))
    assert error["code"] == "vetoed" and "'p1'" in str(error["message"]) and "fails lets nothing through" in str(error["message"])
    assert [(problem.plugin, problem.code) for problem in host.problems] == [("p1", "hook_failed")]
    assert "p1" in caplog.text


def test_an_async_guard_refuses_the_call_without_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    """A hook written as ``async def`` answers with a coroutine; that is a fault and not a pass."""

    async def guard() -> None: ...

    assert error_of(called(host_of(hooks(before_action=guard))))["code"] == "vetoed"


# --- run: in place of the handler


def test_a_plugin_may_run_the_action_itself() -> None:
    """The first awaitable stands in for the handler; None leaves the call to the next."""

    async def instead(call: ActionCall) -> Output:
        return {"by": "plugin", **call.arguments}

    host = host_of(hooks(run_action=lambda call: instead(call)), hooks(run_action=lambda: None))
    assert called(host, text="hi")["data"] == {"by": "plugin", "text": "hi"}


def test_an_async_run_hook_is_the_natural_form() -> None:
    """``async def netclaw_run_action`` gives an awaitable, so it may be written so (it then runs every action)."""

    async def instead(call: ActionCall) -> Output:
        return {"by": "plugin"}

    assert called(host_of(hooks(run_action=instead)))["data"] == {"by": "plugin"}


async def breaks_later() -> Output:
    """A hook that is a coroutine, with a defect."""
    raise ZeroDivisionError("defect")


@pytest.mark.parametrize("hook", [fails, lambda: 3, lambda: breaks_later()], ids=["raises", "wrong type", "awaitable raises"])
def test_a_run_hook_that_fails_fails_the_call(hook: Callable[..., object], caplog: pytest.LogCaptureFixture) -> None:
    """The handler is not tried after a plugin took over and failed; the error names the plugin."""
    host = host_of(hooks(run_action=hook))
    error = error_of(called(host))
    assert error["code"] == "internal_error" and "'p1'" in str(error["message"]) and error["details"] == {"plugin": "p1"}
    assert [(problem.plugin, problem.code) for problem in host.problems] == [("p1", "hook_failed")]


@pytest.mark.parametrize("late", [True, False])
def test_a_run_hook_may_fail_on_purpose(late: bool) -> None:
    """A ``DriverError`` is the call's own error and no defect of the plugin."""

    def refuse() -> None:
        raise ServerProblem("server_unreachable", "nobody there")

    async def refuse_later() -> Output:
        raise ServerProblem("server_unreachable", "nobody there")

    host = host_of(hooks(run_action=(lambda: refuse_later()) if late else refuse))
    assert error_of(called(host))["code"] == "server_unreachable"
    assert host.problems == ()


# --- after, failed, events: observers


def test_observers_hear_of_success_or_of_failure() -> None:
    """after_action sees a success envelope, action_failed a failure envelope, vetoes included; each plugin is told."""
    heard: list[tuple[str, object]] = []
    watcher = hooks(
        after_action=lambda call, envelope: heard.append((call.action, envelope["ok"])),
        action_failed=lambda call, envelope: heard.append((call.action, envelope["error"]["code"])),
    )
    called(host_of(watcher))
    called(host_of(watcher, hooks(before_action=lambda: "no")))
    assert heard == [("act", True), ("act", "vetoed")]


@pytest.mark.parametrize("kind", ["after_action", "action_failed"])
def test_an_observer_that_fails_changes_nothing(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    """Its exception is logged and reported once, the other observers are told, the envelope stays."""
    heard: list[str] = []
    veto = {} if kind == "after_action" else {"before_action": lambda: "no"}
    plain = called(host_of(*([hooks(**veto)] if veto else [])))
    host = host_of(hooks(**veto, **{kind: lambda: heard.append("other")}), hooks(**{kind: fails}))
    with host:
        first, second = host.call("act"), host.call("act")
    assert first == second == plain
    assert heard == ["other", "other"]
    assert [(problem.plugin, problem.code) for problem in host.problems] == [("p2", "hook_failed")]


def test_progress_reaches_every_plugin() -> None:
    """What the driver emits is told to all plugins; one that fails disturbs neither the others nor the call."""
    seen: list[str] = []

    async def progressing(arguments: Output, context: ActionContext) -> Output:
        for number in range(3):
            context.hooks.on_event(ProgressEvent("status", f"step {number}"))
        return {}

    host = host_of(hooks(on_event=lambda event: seen.append(event.message)), hooks(on_event=fails), handler=progressing)
    assert called(host)["ok"] is True
    assert seen == ["step 0", "step 1", "step 2"]
    assert len(host.problems) == 1


def test_an_async_observer_is_a_reported_fault(caplog: pytest.LogCaptureFixture) -> None:
    """An ``async def`` observer would never run; that is said instead of left as a warning."""

    async def later() -> None: ...

    host = host_of(hooks(after_action=later))
    assert called(host)["ok"] is True
    assert "not async" in host.problems[0].message


# --- decisions


def decided(*plugins: object, request: PendingRequest = PERMISSION) -> tuple[object, list[str]]:
    """What the hooks decide on a request, and the plugins reported."""
    answers: list[object] = []

    async def asks(arguments: Output, context: ActionContext) -> Output:
        answers.append(context.hooks.decide(request))
        return {}

    host = host_of(*plugins, handler=asks)
    assert called(host)["ok"] is True
    return answers[0], [problem.plugin for problem in host.problems]


def test_nobody_deciding_is_a_refusal() -> None:
    """Without an answer there is no decision, which the driver takes as a refusal."""
    assert decided() == (None, [])
    assert decided(hooks(decide_permission=lambda: None), hooks(answer_question=lambda: Decision("reject"))) == (None, [])


def test_the_first_decision_wins() -> None:
    """A plugin that does not care returns None and the next is asked."""
    once = Decision("once")
    assert decided(hooks(decide_permission=lambda: Decision("reject")), hooks(decide_permission=lambda: once)) == (once, [])
    assert decided(hooks(decide_permission=lambda request: once), hooks(decide_permission=lambda: None)) == (once, [])


def test_questions_go_to_the_question_hook() -> None:
    """A question is answered with labels, one tuple a question."""
    answer = Decision("answers", answers=(("a",),))
    plugin = hooks(answer_question=lambda request: answer, decide_permission=fails)
    assert decided(plugin, request=QUESTION) == (answer, [])


@pytest.mark.parametrize(
    ("request_", "answer"),
    [
        (PERMISSION, lambda: True),
        (PERMISSION, lambda: "once"),
        (PERMISSION, lambda: Decision("answers", answers=(("a",),))),
        (PERMISSION, fails),
        (PERMISSION, breaks_later),
        (QUESTION, lambda: Decision("once")),
        (QUESTION, lambda: Decision("answers")),
    ],
    ids=["bool", "text", "answers to a permission", "raises", "async", "permission to a question", "too few answers"],
)
def test_a_decision_that_fails_refuses(request_: PendingRequest, answer: Callable[..., object], caplog: pytest.LogCaptureFixture) -> None:
    """An exception or an answer that does not fit refuses; neither later plugins nor a policy file are asked; it is reported."""
    willing = Decision("once") if request_ is PERMISSION else Decision("answers", answers=(("a",),))
    name = "decide_permission" if request_ is PERMISSION else "answer_question"
    asked_later = hooks(**{name: lambda: willing})
    assert decided(asked_later, hooks(**{name: answer}), request=request_) == (Decision("reject"), ["p2"])


def test_the_trace_covers_calls() -> None:
    """The trace switch shows the hooks of a call, each with its plugin and result."""
    lines: list[str] = []
    called(host_of(hooks(before_action=lambda: None), trace=lines.append))
    text = "".join(lines)
    assert "calling netclaw_before_action of p1" in text
    assert "finish netclaw_before_action --> None" in text


def test_a_failed_hook_is_logged_with_its_traceback(caplog: pytest.LogCaptureFixture) -> None:
    """The log of the host names plugin and hook and holds the traceback, once at error level."""
    with caplog.at_level(logging.ERROR), host_of(hooks(after_action=fails)) as host:
        host.call("act")
        host.call("act")
    records = [record for record in caplog.records if record.name == "netclaw_opencode.host"]
    assert len(records) == 1 and records[0].exc_info is not None
    assert records[0].getMessage() == "plugin p1 failed in netclaw_after_action"
