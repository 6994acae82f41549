"""Whether an installed package may have entry points of a group besides one that is known.

Owns a quick look at the files. ``importlib.metadata`` finds the entry points themselves, but takes longer to import than a request to
the server takes, and most installations have no plugin.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from importlib.machinery import PathFinder


def may_have_entry_points(group: str, *, besides: str, path: Sequence[str] | None = None) -> bool:
    """Return False only if no package on the path has an entry point of the group with another value than ``besides``."""
    try:
        finders = [finder for finder in sys.meta_path if hasattr(finder, "find_distributions")]
        return finders != [PathFinder] or any(_names_others(text, group, besides) for text in _texts(sys.path if path is None else path))
    except (OSError, ValueError):
        return True


def _texts(path: Sequence[str]) -> Iterator[str]:
    """Return the files of entry points. Raises ``OSError`` for what only ``importlib.metadata`` can read, such as an archive."""
    for folder in dict.fromkeys(path):
        if folder.endswith(".egg"):
            raise NotADirectoryError(folder)
        try:
            names = os.listdir(folder or ".")  # noqa: PTH208 - Path.iterdir is slower
        except FileNotFoundError:
            continue
        for name in names:
            if name.endswith((".dist-info", ".egg-info")):
                try:
                    # Opened as it is: most have no such file, and a Path for each takes longer than the look.
                    with open(f"{folder or '.'}/{name}/entry_points.txt", encoding="utf-8") as file:  # noqa: PTH123
                        yield file.read()
                except (FileNotFoundError, NotADirectoryError):
                    continue


def _names_others(text: str, group: str, besides: str) -> bool:
    if group not in text:
        return False
    section = ""
    for line in map(str.strip, text.splitlines()):
        if line.startswith("["):
            section = line
        elif section == f"[{group}]" and line and line.partition("=")[2].strip() != besides:
            return True
    return f"[{group}]" not in text


__all__ = ["may_have_entry_points"]
