"""JSON as handlers read it: the one name for an object of it, and how deep a value goes."""

from __future__ import annotations

from collections.abc import Mapping

JsonObject = Mapping[str, object]
"""A JSON object as handlers read it; values are JSON values."""


def is_deeper(value: object, levels: int) -> bool:
    """Whether lists and objects stand in one another more often than that. A loop, since later readers descend by recursion."""
    level = [value]
    for _ in range(levels):
        level = [
            child
            for item in level
            if isinstance(item, dict | list)
            for child in (item.values() if isinstance(item, dict) else item)
            if isinstance(child, dict | list)
        ]
        if not level:
            return False
    return True


__all__ = ["JsonObject", "is_deeper"]
