"""Regular expressions as JSON Schema means them, on Python's engine.

Owns that one translation.
"""

from __future__ import annotations

import re
from functools import lru_cache


@lru_cache(maxsize=256)
def ecma(pattern: str) -> re.Pattern[str]:
    """Compile a pattern as JSON Schema means it: ``$`` is the very end of the text. Raises ``re.error``."""
    rewritten: list[str] = []
    inside_class = False
    position = 0
    while position < len(pattern):
        char = pattern[position]
        if char == "\\":
            rewritten.append(pattern[position : position + 2])
            position += 2
            continue
        if char == "[":
            inside_class = True
        elif char == "]":
            inside_class = False
        rewritten.append(r"\Z" if char == "$" and not inside_class else char)
        position += 1
    return re.compile("".join(rewritten))


__all__ = ["ecma"]
