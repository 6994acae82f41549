"""Bounded waiting in tests: until something is true, never for a span of time.

Owns the one polling loop of the tests. A test must not conclude anything from the time that passed here.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

SOON = 60.0
"""Seconds after which a wait in a test gives up: what has not come by then never comes, however busy the machine is."""

_BETWEEN_SECONDS = 0.02


def wait_until(predicate: Callable[[], T], timeout: float = SOON, *, what: str = "the expected state") -> T:
    """Ask until the answer is true and return it; fail the test after ``timeout`` seconds, naming ``what``."""
    deadline = time.monotonic() + timeout
    pause = threading.Event()
    while True:
        answer = predicate()
        if answer:
            return answer
        if time.monotonic() >= deadline:
            raise AssertionError(f"{what} did not come within {timeout:g} s; last seen: {answer!r}")
        pause.wait(_BETWEEN_SECONDS)
