"""Caps on what a task may spend, and on how long it may show no progress.

Owns the four numbers and how two sets of them go together. What is spent is counted in ``driver.spending``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields


@dataclass(frozen=True, slots=True)
class Caps:
    """What a task may spend over its whole session tree; None for no cap.

    Attributes:
        max_cost_usd: Cost by the server's price list, in US dollars.
        max_tokens: All tokens of all model calls: input, output, thinking, cache.
        max_model_calls: Calls of a model.
        max_idle_seconds: Time without new output, tool or step, in seconds.
    """

    max_cost_usd: float | None = None
    max_tokens: float | None = None
    max_model_calls: float | None = None
    max_idle_seconds: float | None = None

    @classmethod
    def read(cls, source: Mapping[str, object]) -> Caps:
        """Take the caps that stand under their names in arguments or in a policy."""
        given = {name: source.get(name) for name in NAMES}
        return cls(**{name: value for name, value in given.items() if isinstance(value, int | float) and not isinstance(value, bool)})

    def __bool__(self) -> bool:
        return any(getattr(self, name) is not None for name in NAMES)

    def tighten(self, other: Caps) -> Caps:
        """Return the lower one of each two caps."""
        pairs = {name: (getattr(self, name), getattr(other, name)) for name in NAMES}
        return Caps(**{name: min((value for value in pair if value is not None), default=None) for name, pair in pairs.items()})

    def to_wire(self) -> dict[str, object]:
        """Return those that are set, by their names."""
        return {name: value for name in NAMES if (value := getattr(self, name)) is not None}


NAMES = tuple(item.name for item in fields(Caps))
NO_CAPS = Caps()

__all__ = ["NAMES", "NO_CAPS", "Caps"]
