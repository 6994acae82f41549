"""Calls on the event loop behind a host, as a thread without one sees them.

Owns the waiting for such a call, and its cancellation from outside.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from anyio.from_thread import BlockingPortal

# A cancelled call stops its turn and proves it, within bounds of its own; this is the last resort above them.
STOPPING_SECONDS = 90.0

T = TypeVar("T")

_log = logging.getLogger("netclaw_opencode.host")


class RunningCall(Generic[T]):
    """A call that runs on the event loop behind a host, as another thread sees it."""

    def __init__(self, portal: BlockingPortal, function: Callable[[], Awaitable[T]], name: str) -> None:
        self._name = name
        self._finished = threading.Event()

        async def run() -> T:
            try:
                return await function()
            finally:
                self._finished.set()

        self._future = portal.start_task_soon(run)

    def result(self) -> T:
        """Wait for the end. An interrupt (Ctrl-C) cancels the call and is raised on when what it started is stopped."""
        try:
            return self._future.result()
        except BaseException:
            self.cancel()
            raise

    def cancel(self) -> None:
        """Cancel the call, unless it has ended, and wait until it has stopped what it started."""
        if not self._future.cancel() and not self._finished.is_set():
            _log.warning("%s could not be cancelled", self._name)
        if not self._finished.wait(STOPPING_SECONDS):
            _log.error("%s did not stop within %g s after it was cancelled", self._name, STOPPING_SECONDS)


__all__ = ["STOPPING_SECONDS", "RunningCall"]
