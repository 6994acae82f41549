"""The commands that the manifest declares, by tier.

Owns the reading of the manifest for the command line: parsed at most once, never validated here (a release's manifest is
checked by its tests, and ``--help`` must stay quick).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from netclaw_opencode.manifest import ActionEntry, Manifest

TIERS: Mapping[str, str] = {
    "inspect": "Look: changes nothing.",
    "run": "Work: creates, runs, stops or deletes sessions.",
    "reply": "Answer: grant or refuse what the agent asks for.",
    "server": "Life cycle: check, start and stop the OpenCode server.",
}


def manifest() -> Manifest:
    """Return the manifest of this package."""
    from netclaw_opencode.manifest import own_manifest

    return own_manifest()


def actions(tier: str | None = None) -> tuple[ActionEntry, ...]:
    """Return the actions of one tier, or all, in the manifest's order."""
    return tuple(entry for entry in manifest().actions.values() if tier in (None, entry.tier))


def action(command: str) -> ActionEntry | None:
    """Return the action behind a command; ``-`` and ``_`` are the same."""
    return manifest().actions.get(command.replace("-", "_"))


def command_name(action_name: str) -> str:
    """Return how an action is called on the command line: ``run_task`` is ``run-task``."""
    return action_name.replace("_", "-")


__all__ = ["TIERS", "action", "actions", "command_name", "manifest"]
