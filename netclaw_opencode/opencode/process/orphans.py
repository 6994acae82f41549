"""What a server that is gone left running: the commands of its tools outlive it (F5).

Owns the mark in the environment of a server of ours, which everything below it inherits, and the search for it. A process
without that very mark is never touched, and a server that lives has no orphans.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import anyio.to_thread
import psutil

from netclaw_opencode.opencode.process import terminating

VARIABLE = "NETCLAW_OPENCODE_SERVER"


def new_mark() -> str:
    """Return a mark for one start of a server: random, so that a later start with the same address and password has another."""
    return secrets.token_hex(32)


def mark_of_version_1(url: str, password: str) -> str:
    """Return the mark of a server that version 1.0 started: made from what its next start may share."""
    return hashlib.sha256(f"{url}\0{password}".encode()).hexdigest()


async def terminate(mark: str, *, port: int | None) -> int:
    """End every process of this user that carries the mark of a server that is gone; returns how many there were.

    Args:
        mark: The mark in the environment.
        port: The port of the server that is gone: what is left of that very server (its launcher was killed) is ended, too.
            Every other server is left alone, with all below it. None leaves every server alone.
    """
    return await anyio.to_thread.run_sync(_terminate, mark, port)


def _terminate(mark: str, port: int | None) -> int:
    found = [item for item in psutil.process_iter() if _carries(item, mark)]
    found = [item for item in found if not any(_is_another_server(one, port) for one in (item, *_above(item)))]
    terminating.kill_all(found)
    return len(found)


def _carries(item: psutil.Process, mark: str) -> bool:
    with suppress(psutil.Error, OSError):
        same_user = os.name != "posix" or item.uids().real == os.getuid()
        return same_user and item.environ().get(VARIABLE) == mark
    return False


def _above(item: psutil.Process) -> list[psutil.Process]:
    with suppress(psutil.Error, OSError):
        return list(item.parents())
    return []


def _is_another_server(item: psutil.Process, port: int | None) -> bool:
    with suppress(psutil.Error, OSError):
        argv = item.cmdline()
        return is_server(argv) and (port is None or argv[-2:] != ["--port", str(port)])
    return False


def is_server(argv: Sequence[str]) -> bool:
    """Return whether a command line is that of a server: ``opencode serve``, or an interpreter that runs it."""
    programs = [Path(word).name.removesuffix(".exe") for word in argv[:2]]
    at = next((place for place, name in enumerate(programs) if name in ("opencode", ".opencode")), None)
    return at is not None and "serve" in argv[at + 1 : at + 3]


__all__ = ["VARIABLE", "is_server", "mark_of_version_1", "new_mark", "terminate"]
