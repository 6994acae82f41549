"""Whose a session is: marks that tell, after a kill -9, that nobody waits for it any more.

Owns the owner's form in a session's marks and the question whether that process is alive.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING

from netclaw_opencode.driver.rules import mark_of
from netclaw_opencode.server import process

if TYPE_CHECKING:
    from netclaw_opencode.client.types import Session


def marks() -> dict[str, object]:
    """The marks of a session that lives no longer than the calling process wants it."""
    return {"owner": asdict(process.this_process())}


def abandoned(session: Session) -> bool:
    """Whether the session belongs to a process of this machine that is gone.

    A process of another machine cannot be asked, so its sessions are left alone.
    """
    owner = (mark_of(session) or {}).get("owner")
    if not isinstance(owner, Mapping) or owner.get("host") != process.this_process().host:
        return False
    pid, create_time = owner.get("pid"), owner.get("create_time")
    return isinstance(pid, int) and isinstance(create_time, int | float) and not process.is_alive(pid, float(create_time))
