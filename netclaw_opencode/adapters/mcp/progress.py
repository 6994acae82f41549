"""Progress of the calls: each event goes to the call that it belongs to, a few a second at most.

Owns the way from the host's hook, which knows no call, to the call: a context variable, since whatever a call starts runs
in the call's own context. A report is a count that grows and one line.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

import anyio

from netclaw_opencode.facts import ProgressEvent
from netclaw_opencode.hookspecs import hookimpl

Report = Callable[[float, str], Awaitable[None]]

BETWEEN_SECONDS = 0.5
QUIET_SECONDS = 10.0
"""A host that waits for signs of life gets one this often, even where nothing happened."""

_LONGEST_LINE = 200

_log = logging.getLogger("netclaw_opencode.mcp")


@dataclass(slots=True)
class _Latest:
    """The newest line of a call that was not reported yet; older ones are worth nothing beside it."""

    line: str = "started"
    changed: anyio.Event = field(default_factory=anyio.Event)


_listening: ContextVar[_Latest | None] = ContextVar("netclaw_opencode_mcp_call", default=None)


class ProgressPlugin:
    """The plugin of the host that hears events."""

    @hookimpl
    def netclaw_on_event(self, event: ProgressEvent) -> None:
        """Keep the event's line for the call in whose context it came."""
        latest = _listening.get()
        if latest is not None:
            latest.line = " ".join(event.message.split())[:_LONGEST_LINE]
            latest.changed.set()


@asynccontextmanager
async def report_progress(report: Report) -> AsyncIterator[None]:
    """While the block runs, what it causes is reported; nothing is reported after its end."""
    latest = _Latest()
    token = _listening.set(latest)
    try:
        async with anyio.create_task_group() as beside:
            beside.start_soon(_send_report, latest, report)
            yield
            beside.cancel_scope.cancel()
    finally:
        _listening.reset(token)


async def _send_report(latest: _Latest, report: Report) -> None:
    begun, count = anyio.current_time(), 0
    while True:
        with anyio.move_on_after(QUIET_SECONDS) as quiet:
            await latest.changed.wait()
        latest.changed = anyio.Event()
        still = f" (running for {anyio.current_time() - begun:.0f} s)" if quiet.cancelled_caught else ""
        count += 1
        try:
            await report(count, latest.line + still)
        except Exception:  # noqa: BLE001 - an adapter: a listener's trouble must not end the call that it listens to
            _log.warning("progress could not be reported", exc_info=True)
            return
        await anyio.sleep(BETWEEN_SECONDS)


__all__ = ["BETWEEN_SECONDS", "QUIET_SECONDS", "ProgressPlugin", "Report", "report_progress"]
