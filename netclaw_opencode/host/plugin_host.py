"""The reference host: load plugins, lend them one driver, dispatch actions.

Hooks are called plugin by plugin, so that a failure has a name. Callers are asynchronous, or block on an event loop in a thread.
``plugin_loader`` decides which plugins get in.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack, contextmanager
from functools import partial
from inspect import isawaitable, iscoroutine
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import TYPE_CHECKING, TypeVar

import pluggy

from netclaw_opencode import hookspecs
from netclaw_opencode.actions.context import ActionCall, ActionContext
from netclaw_opencode.actions.registry import Registry, error_envelope
from netclaw_opencode.errors import ActionFailed, DriverError, Interrupted, Refused
from netclaw_opencode.facts import Decision, PendingRequest, ProgressEvent
from netclaw_opencode.hookspecs import NAMESPACE, SkillInfo
from netclaw_opencode.host.listener import CallListener, current_listener
from netclaw_opencode.host.plugin_loader import PLUGIN_FAILURES, HostProblem, PluginLoader, one_line
from netclaw_opencode.host.running_call import STOPPING_SECONDS, RunningCall
from netclaw_opencode.jsontypes import JsonObject
from netclaw_opencode.settings import Settings

if TYPE_CHECKING:
    from anyio import CancelScope, Event
    from anyio.from_thread import BlockingPortal

OWN_PLUGIN = "opencode-driver"
_OWN_MODULE = "netclaw_opencode.plugin"

_log = logging.getLogger("netclaw_opencode.host")

T = TypeVar("T")


class Host:
    """Loads plugins when it is made; runs actions between entering and leaving it.

    ``only`` and ``exclude`` name plugins (the entry-point name; for a directory the skill's name); a plugin left out is not
    imported. ``directories`` each hold a ``skill.yaml``; ``plugins`` are objects by name. Our own skill is the plugin
    ``opencode-driver``, loaded first. ``trace`` gets pluggy's trace of every hook call. ``settings`` default to the
    environment, read on entering.

    Nothing about a plugin is raised: look at ``problems``. Where a policy must be in force, name its plugin in ``required`` (or in
    ``OPENCODE_DRIVER_REQUIRED_PLUGINS``): while it is not loaded, every action that runs, answers or starts something is
    refused (``plugin_missing``).

    Asynchronous: ``async with Host() as host: await host.invoke(action, arguments)``. Otherwise: ``with Host() as host:
    host.call(action, **arguments)``, from any number of threads; one event loop runs in a thread behind it. A fork needs a
    host of its own.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        only: Collection[str] = (),
        exclude: Collection[str] = (),
        trace: Callable[[str], object] | None = None,
        entry_points: bool = True,
        directories: Collection[Path | str] = (),
        plugins: Mapping[str, object] | None = None,
        required: Collection[str] = (),
    ) -> None:
        self._settings = settings
        self._required = tuple(required)
        self._problems: list[HostProblem] = []
        self._manager = pluggy.PluginManager(NAMESPACE)
        self._manager.add_hookspecs(hookspecs)
        if trace is not None:
            self._manager.trace.root.setwriter(_ignore_errors(trace))
            self._manager.enable_tracing()
            self._manager.add_hookcall_monitoring(self._trace_plugins, lambda *_: None)
        self.registry = Registry()
        loader = PluginLoader(self._manager, self.registry, only=only, exclude=exclude, report=self._problems.append)
        loader.offer(OWN_PLUGIN, "this package", _import_own)
        if entry_points:
            loader.offer_entry_points(besides=_OWN_MODULE)
        for directory in directories:
            loader.offer_directory(Path(directory))
        for name, plugin in (plugins or {}).items():
            loader.offer(name, "an object of the embedding program", partial(_return_plugin, plugin))
        loader.check_switches()
        self.skills: Mapping[str, SkillInfo] = MappingProxyType(loader.skills)
        self._hooks = _PluginHooks(self._manager, self._problems.append)
        self._context: ActionContext | None = None
        self._running: set[CancelScope] = set()
        self._stopped: Event | None = None
        self._open: AsyncExitStack | None = None
        self._portal: BlockingPortal | None = None
        self._open_in_thread: ExitStack | None = None
        self._process = os.getpid()

    @property
    def plugins(self) -> tuple[str, ...]:
        """The names of the plugins in use, in the order of loading."""
        return tuple(name for name, plugin in self._manager.list_name_plugin() if plugin is not None)

    @property
    def problems(self) -> tuple[HostProblem, ...]:
        """What was wrong with plugins so far; it may grow while actions run."""
        return tuple(self._problems)

    async def __aenter__(self) -> Host:
        if self._context is not None:
            raise RuntimeError("this host is entered already")
        settings = self._settings if self._settings is not None else Settings.from_environment()
        self._hooks.missing = tuple(
            name for name in dict.fromkeys((*self._required, *settings.required_plugins)) if name not in self.plugins
        )
        async with AsyncExitStack() as stack:
            # Last of all, when nothing is left that could call another hook.
            stack.callback(self._hooks.shutdown)
            self._context = await stack.enter_async_context(ActionContext(settings, hooks=self._hooks))
            self._open = stack.pop_all()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        stack, self._open, self._context = self._open, None, None
        if stack is not None:
            async with stack:
                await self._stop_calls()

    async def _stop_calls(self) -> None:
        from anyio import Event, move_on_after

        if self._running:
            self._stopped = Event()
            for scope in self._running:
                scope.cancel()
            with move_on_after(STOPPING_SECONDS, shield=True) as waiting:
                await self._stopped.wait()
            if waiting.cancelled_caught:
                _log.error("%d calls did not stop within %g s when the host was left", len(self._running), STOPPING_SECONDS)

    async def invoke(self, action: str, arguments: JsonObject | None = None) -> dict[str, object]:
        """Run one action and return its envelope; raises nothing but cancellation.

        A call that still runs in another task when the host is left is cancelled; its envelope says ``cancelled``.
        """
        try:
            with self._cancellable(action) as context:
                return await self.registry.invoke(action, {} if arguments is None else arguments, context=context)
        except Interrupted as error:
            return error_envelope(action, error)

    async def perform(self, action: str, arguments: JsonObject | None = None) -> dict[str, object]:
        """Run one action and return its data; raises the ``DriverError`` that says how it failed."""
        with self._cancellable(action) as context:
            return await self.registry.perform(action, {} if arguments is None else arguments, context=context)

    @contextmanager
    def _cancellable(self, action: str) -> Iterator[ActionContext]:
        """Run a call that is cancelled, and raises ``Interrupted``, if the host is left meanwhile."""
        from anyio import CancelScope

        if self._context is None:
            raise RuntimeError("enter the host before calling an action: async with Host() as host")
        with CancelScope() as scope:
            self._running.add(scope)
            try:
                yield self._context
            finally:
                self._running.discard(scope)
                if self._stopped is not None and not self._running:
                    self._stopped.set()
        if scope.cancelled_caught:
            raise Interrupted("cancelled", f"{action}: the host was left while it ran; what ran was stopped")

    def __enter__(self) -> Host:
        from anyio.from_thread import start_blocking_portal

        if self._context is not None:
            raise RuntimeError("this host is entered already")
        with ExitStack() as stack:
            portal = stack.enter_context(start_blocking_portal())
            stack.enter_context(portal.wrap_async_context_manager(self))
            self._portal = portal
            self._process = os.getpid()
            self._open_in_thread = stack.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._process != os.getpid():
            # A fork has the objects and not the thread behind them: to close them, or to let them go, would wait for it forever.
            return
        stack, self._open_in_thread, self._portal = self._open_in_thread, None, None
        if stack is not None:
            stack.__exit__(kind, error, trace)

    def call(self, action: str, /, **arguments: object) -> dict[str, object]:
        """Run one action from a thread without an event loop and return its envelope.

        An interrupt (Ctrl-C) cancels the action and is raised on only when the action has stopped what it started.
        """
        return self.run(action, arguments)

    def run(self, action: str, arguments: JsonObject | None = None) -> dict[str, object]:
        """``call`` with the arguments as one mapping."""
        return self.start(partial(self.invoke, action, arguments), name=action).result()

    def start(self, function: Callable[[], Awaitable[T]], *, name: str) -> RunningCall[T]:
        """Run an async function on the host's event loop, from a thread without one."""
        if self._portal is None:
            raise RuntimeError("enter the host before calling an action: with Host() as host (in async code: await host.invoke)")
        if self._process != os.getpid():
            raise RuntimeError("this host was entered before the process forked, and its thread is not here: make one in each process")
        return RunningCall(self._portal, function, name)

    def _trace_plugins(self, hook: str, implementations: Sequence[pluggy.HookImpl], facts: Mapping[str, object]) -> None:
        self._manager.trace("calling", hook, "of", *(implementation.plugin_name for implementation in implementations))


class _PluginHooks:
    """The hooks of all plugins as ``ActionHooks``: each plugin called on its own, so that a failure has a name."""

    def __init__(self, manager: pluggy.PluginManager, report: Callable[[HostProblem], None]) -> None:
        self._manager = manager
        self._report = report
        self._reported: set[tuple[str, str]] = set()
        self.missing: tuple[str, ...] = ()
        """Plugins that must be in force and are not."""
        self._callers = {name: tuple(_callers_by_plugin(manager, name)) for name in hookspecs.__all__ if name.startswith("netclaw_")}

    def before_action(self, call: ActionCall) -> str | None:
        if self.missing and call.tier != "inspect":
            raise _plugin_missing_error(call, self.missing)
        for plugin, hook in self._callers["netclaw_before_action"]:
            try:
                reason = hook(call=call)
                _check_result("a reason (text) or None", reason, holds=reason is None or isinstance(reason, str))
            except PLUGIN_FAILURES as error:
                self._report_failure(plugin, "netclaw_before_action", error)
                raise _veto_error(call, plugin, f"it failed ({one_line(error)}), and a guard that fails lets nothing through") from error
            if reason is not None:
                raise _veto_error(call, plugin, reason or "it gives no reason")
        return None

    def run_action(self, call: ActionCall) -> Awaitable[JsonObject] | None:
        for plugin, hook in self._callers["netclaw_run_action"]:
            try:
                running = hook(call=call)
                _check_result("an awaitable or None", running, holds=running is None or isawaitable(running))
            except DriverError:
                raise
            except PLUGIN_FAILURES as error:
                raise self._defect(plugin, error) from error
            if running is not None:
                return self._await_output(plugin, running)
        return None

    def after_action(self, call: ActionCall, envelope: JsonObject) -> None:
        self._notify("netclaw_after_action", call=call, envelope=envelope)

    def action_failed(self, call: ActionCall, envelope: JsonObject) -> None:
        self._notify("netclaw_action_failed", call=call, envelope=envelope)

    def decide(self, request: PendingRequest) -> Decision | Awaitable[Decision | None] | None:
        """Return the caller's own function is asked first, for its call alone; then the plugins."""
        listener = current_listener()
        if listener is None or not listener.decides(request):
            return self._decide_by_plugins(request)
        return self._decide_for_call(listener, request)

    async def _decide_for_call(self, listener: CallListener, request: PendingRequest) -> Decision | None:
        decision = await listener.decide(request)
        return decision if decision is not None else self._decide_by_plugins(request)

    def _decide_by_plugins(self, request: PendingRequest) -> Decision | None:
        name = "netclaw_decide_permission" if request.kind == "permission" else "netclaw_answer_question"
        for plugin, hook in self._callers[name]:
            try:
                decision = hook(request=request)
                _check_result(f"an answer to that {request.kind}", decision, holds=decision is None or _is_answer_to(decision, request))
            except PLUGIN_FAILURES as error:
                self._report_failure(plugin, name, error)
                # Not None: that would leave it to the policy file, and a guard that fails lets nothing through.
                return Decision("reject")
            if isinstance(decision, Decision):
                return decision
        return None

    @property
    def answers_questions(self) -> bool:
        listener = current_listener()
        return bool(self._callers["netclaw_answer_question"]) or (listener is not None and listener.answers_questions)

    def on_event(self, event: ProgressEvent) -> None:
        listener = current_listener()
        if listener is not None:
            listener.on_event(event)
        self._notify("netclaw_on_event", event=event)

    def shutdown(self) -> None:
        self._notify("netclaw_shutdown")

    def _notify(self, name: str, **facts: object) -> None:
        for plugin, hook in self._callers[name]:
            try:
                for result in hook(**facts):
                    _check_result("its result at once (a plain function, not async)", result, holds=not iscoroutine(result))
            except PLUGIN_FAILURES as error:
                self._report_failure(plugin, name, error)

    async def _await_output(self, plugin: str, running: Awaitable[JsonObject]) -> JsonObject:
        try:
            return await running
        except DriverError:
            raise
        except PLUGIN_FAILURES as error:
            raise self._defect(plugin, error) from error

    def _defect(self, plugin: str, error: BaseException) -> ActionFailed:
        self._report_failure(plugin, "netclaw_run_action", error)
        text = f"plugin {plugin!r} failed in netclaw_run_action: {one_line(error)}"
        return ActionFailed("internal_error", text, next="ask the author of the plugin, or exclude it", details={"plugin": plugin})

    def _report_failure(self, plugin: str, hook: str, error: BaseException) -> None:
        if (plugin, hook) in self._reported:
            _log.debug("plugin %s failed again in %s", plugin, hook, exc_info=error)
            return
        self._reported.add((plugin, hook))
        _log.error("plugin %s failed in %s", plugin, hook, exc_info=error)
        self._report(HostProblem(plugin, "hook_failed", f"{hook}: {one_line(error)}", "fix the plugin, or exclude it"))


def _callers_by_plugin(manager: pluggy.PluginManager, name: str) -> Iterator[tuple[str, pluggy.HookCaller]]:
    everyone = manager.get_plugins()
    seen = set()
    # pluggy keeps implementations in the order of loading and calls them from the end.
    for implementation in reversed(getattr(manager.hook, name).get_hookimpls()):
        if implementation.plugin_name not in seen:
            seen.add(implementation.plugin_name)
            yield implementation.plugin_name, manager.subset_hook_caller(name, everyone - {implementation.plugin})


def _plugin_missing_error(call: ActionCall, names: tuple[str, ...]) -> Refused:
    shown = ", ".join(map(repr, names))
    return Refused(
        "plugin_missing",
        f"{call.action} was refused: the plugin {shown} must be in force and is not loaded",
        next="install or fix it (the host's problems say why it was not loaded), or require it no longer",
        details={"plugins": list(names)},
    )


def _veto_error(call: ActionCall, plugin: str, reason: str) -> Refused:
    return Refused("vetoed", f"{call.action} was vetoed by plugin {plugin!r}: {reason}", details={"plugin": plugin, "reason": reason})


def _check_result(wanted: str, given: object, *, holds: bool) -> None:
    if not holds:
        if iscoroutine(given):
            given.close()  # it will never be awaited, and need not warn about that
        raise TypeError(f"the hook must return {wanted}, not {type(given).__name__} {str(given)[:80]!r}")


def _is_answer_to(decision: object, request: PendingRequest) -> bool:
    if not isinstance(decision, Decision):
        return False
    if decision.answer == "reject":
        return True
    if request.kind == "permission":
        return decision.answer in ("once", "always")
    return decision.answer == "answers" and len(decision.answers) == len(request.questions)


def _ignore_errors(trace: Callable[[str], object]) -> Callable[[str], None]:
    def write(text: str) -> None:
        try:
            trace(text)
        except Exception:  # noqa: BLE001 - a listener must not change what it listens to
            _log.exception("the trace callable failed")

    return write


def _return_plugin(plugin: object) -> object:
    return plugin


def _import_own() -> object:
    from netclaw_opencode import plugin

    return plugin


__all__ = ["OWN_PLUGIN", "Host", "HostProblem"]
