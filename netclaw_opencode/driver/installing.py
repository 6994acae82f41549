"""The installation of OpenCode for this package alone, as the settings want it."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from netclaw_opencode.opencode.process import installing

if TYPE_CHECKING:
    from netclaw_opencode.settings import Settings


async def install(settings: Settings, *, within_seconds: float, tell: Callable[[str], None]) -> installing.Installed:
    """Install the pinned OpenCode into the state folder; raises ``ServerProblem`` (``install_failed``)."""
    return await installing.install(settings.state_dir, settings.environ or os.environ, within_seconds=within_seconds, tell=tell)


__all__ = ["install"]
