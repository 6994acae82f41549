"""What a server that is gone left running: the commands of its tools outlive it (F5).

Owns the mark in the environment of a server of ours, which everything below it inherits, and the search for it. A process
without that very mark is never touched.
"""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress

import anyio.to_thread
import psutil

from netclaw_opencode.server import process

VARIABLE = "NETCLAW_OPENCODE_SERVER"


def mark_of(url: str, password: str) -> str:
    """The mark of one server: whoever has its record can make it again, and nobody else guesses it."""
    return hashlib.sha256(f"{url}\0{password}".encode()).hexdigest()


async def end(mark: str) -> int:
    """End every process of this user that carries the mark; returns how many there were."""
    return await anyio.to_thread.run_sync(_end, mark)


def _end(mark: str) -> int:
    found = [item for item in psutil.process_iter() if _carries(item, mark)]
    process.kill(found)
    return len(found)


def _carries(item: psutil.Process, mark: str) -> bool:
    with suppress(psutil.Error, OSError):
        same_user = os.name != "posix" or item.uids().real == os.getuid()
        return same_user and item.environ().get(VARIABLE) == mark
    return False
