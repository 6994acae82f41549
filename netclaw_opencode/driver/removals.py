"""Sessions that a call of this process could not remove: remembered, so that a later call tries again."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

LIMIT = 256
"""As many as are remembered: an older one is found by its tag when this process has ended."""


class PendingRemovals:
    """A set of names: the session's id or, where its creation was lost sight of, the mark of that creation."""

    def __init__(self) -> None:
        self._names: OrderedDict[str, None] = OrderedDict()

    @property
    def names(self) -> frozenset[str]:
        """The names as they are now."""
        return frozenset(self._names)

    def add(self, name: str) -> None:
        """Remember a session; this process lives on, so its tag does not give it away."""
        self._names[name] = None
        while len(self._names) > LIMIT:
            self._names.popitem(last=False)

    def discard(self, names: Iterable[str | None]) -> None:
        """Forget sessions that are gone."""
        for name in names:
            self._names.pop(name or "", None)

    @contextmanager
    def add_on_failure(self, created_by: str) -> Iterator[None]:
        """A block that creates a session; where it fails, the session may exist all the same."""
        try:
            yield
        except BaseException:
            self.add(created_by)
            raise


__all__ = ["LIMIT", "PendingRemovals"]
