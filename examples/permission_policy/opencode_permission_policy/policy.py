"""The policy itself: pure decisions on a request and a tuple of folders. It knows no host."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from netclaw_opencode.facts import Decision, PendingRequest

FOLDERS_VARIABLE = "OPENCODE_POLICY_FOLDERS"
SENTENCE = "Access outside the working directory is allowed once, and only under a named folder; everything else is refused."


def folders_from(environ: Mapping[str, str]) -> tuple[Path, ...]:
    """The folders named in the environment; only absolute ones count."""
    named = [Path(text) for text in environ.get(FOLDERS_VARIABLE, "").split(os.pathsep) if text]
    return tuple(folder.resolve() for folder in named if folder.is_absolute())


def decide(request: PendingRequest, folders: Iterable[Path]) -> Decision:
    """Allow ``external_directory`` where every asked path lies under one of ``folders``; refuse whatever else is asked."""
    allowed = tuple(folders)
    if request.permission != "external_directory":
        return Decision("reject", message=f"The policy of this host does not allow {request.permission!r}. {SENTENCE}")
    outside = [pattern for pattern in request.patterns if not _under(pattern, allowed)]
    if outside or not request.patterns:
        folders_text = ", ".join(map(str, allowed)) or "none"
        return Decision("reject", message=f"Not under an allowed folder ({folders_text}): {', '.join(outside) or 'no path named'}")
    return Decision("once")


def _under(pattern: str, folders: tuple[Path, ...]) -> bool:
    # OpenCode asks for "/folder/*"; any other wildcard is not a path that could be judged.
    text = pattern.removesuffix("/*")
    if any(char in text for char in "*?[]{}~$") or not Path(text).is_absolute():
        return False
    # resolve() follows links and "..", so neither leads out of an allowed folder.
    return any(Path(text).resolve().is_relative_to(folder) for folder in folders)
