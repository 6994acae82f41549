"""The listener of one call: it belongs to the code that made the call.

Owns the binding of a listener to the call that runs here. It is kept in a context variable, so two calls that run at once
in one host each have their own.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol

from netclaw_opencode.facts import Decision, PendingRequest, ProgressEvent


class CallListener(Protocol):
    """Follows one call. Neither method raises: a listener that fails ends its own call."""

    def on_event(self, event: ProgressEvent) -> None:
        """Observe progress of the call."""

    def decides(self, request: PendingRequest) -> bool:
        """Return whether ``decide`` is to be asked about a request of this kind."""

    @property
    def answers_questions(self) -> bool:
        """Whether a question of the agent might be answered here."""

    async def decide(self, request: PendingRequest) -> Decision | None:
        """Answer a request of the agent; None leaves it to the plugins and the policy file."""


_current: ContextVar[CallListener | None] = ContextVar("netclaw_opencode_call_listener", default=None)


def current_listener() -> CallListener | None:
    """Return the listener of the call that runs here."""
    return _current.get()


@contextmanager
def listen(listener: CallListener | None) -> Iterator[None]:
    """Bind a listener (or none) to the calls made in this block."""
    token = _current.set(listener)
    try:
        yield
    finally:
        _current.reset(token)


__all__ = ["CallListener", "current_listener", "listen"]
