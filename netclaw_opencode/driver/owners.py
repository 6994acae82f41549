"""Whose a session is: a tag that tells, after a kill -9, that nobody waits for it any more.

Owns the question whether the process that a session must not outlive is gone.
"""

from __future__ import annotations

from netclaw_opencode.driver.tags import SessionTag
from netclaw_opencode.opencode.process import identity, process


def marks() -> dict[str, object]:
    """The marks of a session that lives no longer than the calling process wants it."""
    return {"owner": identity.this_process().to_json()}


def is_abandoned(tag: SessionTag, *, local_server: bool) -> bool:
    """Whether the session belongs to a process that is certainly gone.

    A process of our own boot and PID namespace is looked up. (A namespace's number is used again only when all its processes
    have ended, so one that is not found there is gone either way.) One of another namespace or machine cannot be looked up
    and is never called gone, unless it was of this machine, outside every container, and the machine was started anew; then the server,
    too, must be on this machine (``local_server``), since copies of a virtual machine may share its id.
    """
    owner, here = tag.owner, identity.this_process()
    if owner is None:
        return False
    if owner.shares_namespace(here):
        return not process.is_alive(owner.pid, owner.start_ticks)
    return local_server and owner.ended_with_boot(here)


__all__ = ["is_abandoned", "marks"]
