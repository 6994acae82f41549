"""What the doctor has seen: plain facts, each with a value that says "not seen".

Owns their shapes. A ``DriverError`` in place of a value is what the look itself ran into.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from netclaw_opencode._core.policy import Policy
    from netclaw_opencode.driver.leftovers import Leftover
    from netclaw_opencode.errors import DriverError
    from netclaw_opencode.opencode.models import Catalogue
    from netclaw_opencode.opencode.process.binary import Binary
    from netclaw_opencode.opencode.process.neighbours import Neighbour
    from netclaw_opencode.opencode.process.state import ServerRecord
    from netclaw_opencode.opencode.wire.types import Health, PermissionRule, SessionStatus
    from netclaw_opencode.settings import Settings


@dataclass(frozen=True, slots=True)
class DiskSpace:
    """Free space where something is kept."""

    what: str
    path: Path
    free_bytes: int


@dataclass(frozen=True, slots=True)
class Integration:
    """A host that was found on this machine, and the routes by which it has this skill (``routes``; none: not set up)."""

    name: str
    folder: Path
    routes: tuple[str, ...]
    finish: str
    """The command that finishes its set-up."""
    uses_mcp: bool = False


@dataclass(slots=True)
class Facts:
    """Everything that was seen; ``None`` is what was not."""

    settings: Settings
    program: Binary | DriverError | None = None
    directory: str | DriverError | None = None
    refused: DriverError | None = None
    """Why no task may work in the directory, although it is there."""
    state_problem: DriverError | None = None
    record: ServerRecord | None = None
    record_alive: bool = False
    state_there: bool = False
    state_seen: bool = False
    """What is said of the state folder, its file and its server counts only where this is true."""
    url: str = ""
    ours: bool = False
    health: Health | DriverError | None = None
    asks_password: bool | None = None
    serves_sessions: bool | DriverError | None = None
    catalogue: Catalogue | DriverError | None = None
    rules: Mapping[str, tuple[PermissionRule, ...]] | None = None
    leftovers: tuple[Leftover, ...] | None = None
    statuses: Mapping[str, SessionStatus] | None = None
    neighbours: tuple[Neighbour, ...] | None = None
    server_mark: str | None = field(default=None, repr=False)
    disk_spaces: tuple[DiskSpace, ...] | None = None
    policy: Policy | DriverError | None = None
    unusable: tuple[str, ...] | None = None
    """Settings that name something which is not there, one sentence each."""
    command: str | None = None
    mcp_version: str | None = None
    integrations: tuple[Integration, ...] | None = None

    @property
    def reachable(self) -> bool:
        """Whether a server answered as it should."""
        from netclaw_opencode.opencode.wire.types import Health

        return isinstance(self.health, Health)


__all__ = ["DiskSpace", "Facts", "Integration"]
