"""Work on the reference host, with signals, a ticking view and an envelope at the end whatever happens.

Owns cancellation: the first Ctrl-C (or SIGTERM, SIGHUP) cancels the call, and the driver, shielded, stops what it started
and reports that by ``stopping`` events; a second one ends the process at once. It prints nothing itself.
"""

from __future__ import annotations

import gc
import os
import signal
import threading
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

import anyio
from anyio.abc import TaskStatus

from netclaw_opencode.actions.registry import error_envelope
from netclaw_opencode.adapters.cli.terminal import one_line
from netclaw_opencode.errors import ActionFailed, DriverError, Interrupted, InvalidInput
from netclaw_opencode.facts import ProgressEvent
from netclaw_opencode.hookspecs import hookimpl
from netclaw_opencode.settings import Settings

_SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
_NAMES = {"SIGINT": "Ctrl-C", "SIGTERM": "SIGTERM", "SIGHUP": "the end of the terminal"}
_TICK_SECONDS = 0.1
_LOOK = "netclaw-opencode inspect get-session-status --all-directories"


class InvokingHost(Protocol):
    """What is used of ``netclaw_opencode.host.Host``."""

    @property
    def problems(self) -> Sequence[object]:
        """What was wrong with plugins; each one's text is a line to read."""

    async def invoke(self, action: str, arguments: Mapping[str, object]) -> Mapping[str, object]:
        """Run an action and return its envelope."""


class View(Protocol):
    """Something that shows progress: it gets each event, and is called ten times a second."""

    def on_event(self, event: ProgressEvent) -> None:
        """Take note of an event."""

    def tick(self) -> None:
        """Show how time passes."""

    def close(self) -> None:
        """Leave nothing on the screen that is not true any more."""


Work = Callable[[InvokingHost], Awaitable[Mapping[str, object]]]
Leave = Callable[[dict[str, object]], None]


@dataclass(slots=True, eq=False)
class Call:
    """One call being made; ``stopped`` collects what the driver says while it stops things, ``transcript`` names what it kept.

    ``record`` is the flight record.
    """

    action: str
    views: Sequence[View] = ()
    settings: Settings | None = None
    stopped: list[ProgressEvent] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)
    transcript: Mapping[str, object] = field(default_factory=dict)
    notices: list[str] = field(default_factory=list)
    signal_number: int | None = None
    record: Path | None = None

    @hookimpl
    def netclaw_on_event(self, event: ProgressEvent) -> None:
        """The host's hook: hand the event to the views."""
        if event.kind == "stopping":
            self.stopped.append(event)
        if event.kind == "session_deleted":
            self.deleted.append(event.message)
        if event.kind == "transcript_written":
            self.transcript = event.facts
        for view in self.views:
            view.on_event(event)


def open_host(call: Call) -> AbstractAsyncContextManager[InvokingHost]:
    """Return the reference host with this call as one of its plugins."""
    from netclaw_opencode.host import Host

    settings = call.settings or read_settings()
    if call.record is not None:
        settings = replace(settings, record=call.record)
    return Host(settings, plugins={"command-line": call})


def read_settings() -> Settings:
    """Return the environment's settings; raises ``DriverError``."""
    try:
        return Settings.from_environment()
    except FileNotFoundError as error:  # os.getcwd(): the shell stands in a folder that was removed
        raise InvalidInput("invalid_input", "the current folder does not exist any more; change to another one") from error


def one_action(call: Call, arguments: Mapping[str, object]) -> Work:
    """Return the usual work: one action, once."""
    return lambda host: host.invoke(call.action, arguments)


def run(call: Call, work: Work, *, leave: Leave) -> dict[str, object]:
    """Do the work on a host and return its envelope; ``leave`` is given one at the second signal and does not return."""
    try:
        return anyio.run(_run, call, work, leave)
    except KeyboardInterrupt:
        return error_envelope(call.action, Interrupted("cancelled", "cancelled before anything was started"))
    except Exception as error:  # noqa: BLE001 - an adapter: whatever broke, the caller gets an envelope
        return error_envelope(call.action, _defect(error))
    finally:
        for view in call.views:
            view.close()


async def _run(call: Call, work: Work, leave: Leave) -> dict[str, object]:
    envelope: dict[str, object] = {}
    scope = anyio.CancelScope()
    async with anyio.create_task_group() as beside:
        await beside.start(_watch_signals, call, scope, leave)
        beside.start_soon(_tick, call.views)
        try:
            async with open_host(call) as host:
                collect_garbage_again()
                with scope:
                    envelope = dict(await work(host))
                if scope.cancelled_caught:
                    envelope = error_envelope(call.action, _cancelled_error(call))
                call.notices += [one_line(str(problem), 500) for problem in host.problems]
        except DriverError as error:
            # What was found out before the host failed to close is worth more than the failure to close.
            envelope = envelope or error_envelope(call.action, error)
        beside.cancel_scope.cancel()
    return envelope


def collect_garbage_again() -> None:
    """End the pause that ``main`` began: what was imported meanwhile stays, and need not be looked at again."""
    if not gc.isenabled():
        gc.freeze()
        gc.enable()


async def _watch_signals(call: Call, scope: anyio.CancelScope, leave: Leave, *, task_status: TaskStatus[None]) -> None:
    # A signal that the parent chose to ignore (nohup, a background job) stays ignored.
    watched = [number for number in _SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
    if threading.current_thread() is not threading.main_thread() or not watched:
        task_status.started()
        return
    with anyio.open_signal_receiver(*watched) as received:
        task_status.started()
        async for number in received:
            if call.signal_number is None:
                call.signal_number = number
                for view in call.views:
                    view.on_event(ProgressEvent("stopping", f"{_name(number)}: stopping what runs"))
                scope.cancel()
            else:
                leave(error_envelope(call.action, _left_error(call)))


async def _tick(views: Sequence[View]) -> None:
    while views:
        for view in views:
            view.tick()
        await anyio.sleep(_TICK_SECONDS)


def _name(number: int | None) -> str:
    name = signal.Signals(number).name if number is not None else "cancellation"
    return _NAMES.get(name, name)


def _details(call: Call) -> dict[str, object]:
    stopped = [{"message": event.message, "session_id": event.session_id, **event.facts} for event in call.stopped]
    return {"cause": _name(call.signal_number), "stopped": stopped, **call.transcript}


def _cancelled_error(call: Call) -> DriverError:
    done = "; ".join((*(event.message for event in call.stopped), *call.deleted))
    return Interrupted("cancelled", f"cancelled by {_name(call.signal_number)}" + (f": {done}" if done else ""), details=_details(call))


def _left_error(call: Call) -> DriverError:
    message = f"left at once at the second signal ({_name(call.signal_number)}): it was not seen that everything stopped"
    return Interrupted("cancelled", message, next=_LOOK, details=_details(call) | {"stop_confirmed": False})


def _defect(error: BaseException) -> DriverError:
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    if isinstance(error, DriverError):
        return error
    import logging

    logging.getLogger("netclaw_opencode").error("the call could not be made", exc_info=error)
    return ActionFailed("internal_error", f"{type(error).__name__}: {error}"[:500])


def leave_now(envelope: dict[str, object], show: Callable[[dict[str, object]], int]) -> None:
    """End the process without waiting for anything, after showing the envelope."""
    try:
        show(envelope)
    finally:
        os._exit(Interrupted.exit_code)


__all__ = [
    "Call",
    "InvokingHost",
    "Leave",
    "View",
    "Work",
    "collect_garbage_again",
    "leave_now",
    "one_action",
    "open_host",
    "read_settings",
    "run",
]
