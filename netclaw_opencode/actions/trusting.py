"""What a person does about trust in a folder. These are no actions: no host and no agent can call them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from netclaw_opencode.errors import Refused, ServerProblem
from netclaw_opencode.opencode.directories import check_directory
from netclaw_opencode.opencode.trust import Trust

if TYPE_CHECKING:
    from netclaw_opencode.jsontypes import JsonObject
    from netclaw_opencode.settings import Settings

Shown = Sequence[tuple[str, Sequence[str]]]
"""Files, each with what it makes OpenCode run."""


def trusted_folders(settings: Settings) -> JsonObject:
    """List what is trusted, oldest first."""
    kept = Trust.from_settings(settings).folders()
    folders = [{"directory": item.directory, "trusted_at": item.trusted_at, "files": sorted(item.files)} for item in kept]
    return {"folders": folders, "count": len(folders)}


def revoke_trust(settings: Settings, directory: str) -> JsonObject:
    """Trust a folder no longer; one that is gone, too."""
    place = Path(directory).expanduser().absolute()
    resolved = check_directory(str(place)) if place.is_dir() else str(place)
    return {"directory": resolved, "revoked": Trust.from_settings(settings).revoke(resolved)}


def grant_trust(settings: Settings, directory: str, agree: Callable[[str, Shown], bool]) -> JsonObject:
    """Trust what a folder makes OpenCode run, if ``agree`` says so after it was shown.

    Raises:
        Refused: ``untrusted_project``, if the user did not agree.
        ServerProblem: ``config_error``, where a file cannot be judged.
    """
    kept = Trust.from_settings(settings)
    resolved = check_directory(str(Path(directory).expanduser().absolute()))
    found = kept.find(resolved)
    broken = next((item for item in found if item.problem is not None), None)
    if broken is not None:
        raise ServerProblem(
            "config_error",
            f"{broken.path} cannot be read, so it is not known what it would run: {broken.problem}",
            next=f"fix {broken.path}",
            details={"directory": resolved, "file": str(broken.path)},
        )
    wire: dict[str, object] = {"directory": resolved, "files": [item.to_wire() for item in found]}
    if not found:
        return wire | {"trusted": False, "note": "OpenCode would run nothing of this folder, so there is nothing to trust"}
    if not agree(resolved, [(str(item.path), item.runs) for item in found]):
        raise Refused(
            "untrusted_project",
            f"{resolved} was not trusted: nobody said yes",
            next="look at the files in details, then say yes on a terminal, or call with --yes",
            details=wire,
        )
    kept.grant(resolved, found)
    return wire | {"trusted": True}


__all__ = ["Shown", "grant_trust", "revoke_trust", "trusted_folders"]
