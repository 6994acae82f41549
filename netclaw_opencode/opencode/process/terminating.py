"""End a process and everything below it.

The one place where a process is signalled. A pid is signalled only while its start ticks still fit the record, and never our own or
one above us.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import anyio
import anyio.to_thread
import psutil

from netclaw_opencode._core import time_budget
from netclaw_opencode.opencode.process import inspection

TERM_SECONDS = 5.0
_KILL_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Termination:
    """How a server was ended: the last signal, how many processes with it, and how many would not go."""

    signal: str | None
    processes_ended: int
    processes_left: int


async def terminate_tree(pid: int, start_ticks: int) -> Termination:
    """End a process and everything below it: SIGTERM, then SIGKILL.

    The children of tools live in sessions of their own (F5), so each one is signalled. The caller must have proved that the pid is ours
    (``ownership.require_own_process``); it is proved again before each signal.

    Args:
        pid: The process.
        start_ticks: Its start, as recorded; a process with another start is left alone.
    """
    return await anyio.to_thread.run_sync(_terminate_tree, pid, start_ticks)


def _terminate_tree(pid: int, start_ticks: int) -> Termination:
    server = inspection.find_process(pid, start_ticks)
    if server is None or pid in ancestor_pids():
        return Termination(None, 0, 0)
    below = _descendants(server)
    signal = "SIGTERM"
    _signal(server, kill=False)
    if not inspection.wait_for_exit(server, time_budget.remaining_up_to(TERM_SECONDS, stopping=True)):
        signal = "SIGKILL"
        below = [*below, *(child for child in _descendants(server) if child not in below)]
        _signal(server, kill=True)
        inspection.wait_for_exit(server, time_budget.remaining_up_to(_KILL_SECONDS))
    for child in below:
        _signal(child, kill=True)
    until = time.monotonic() + time_budget.remaining_up_to(_KILL_SECONDS)
    left = sum(not inspection.wait_for_exit(item, until - time.monotonic()) for item in (server, *below))
    return Termination(signal, 1 + len(below) - left, left)


def kill_all(found: Sequence[psutil.Process]) -> None:
    """SIGKILL for each of these very processes, and a look at their end."""
    for item in found:
        _signal(item, kill=True)
    psutil.wait_procs(found, timeout=_KILL_SECONDS)


def _descendants(process: psutil.Process) -> list[psutil.Process]:
    try:
        return list(process.children(recursive=True))
    except psutil.NoSuchProcess:
        return []


def _signal(process: psutil.Process, *, kill: bool) -> None:
    """Signal that very process, and never ourselves, what started us, or process 1."""
    if process.pid <= 1 or process.pid in ancestor_pids():
        return
    try:
        with _open_pidfd(process.pid) as handle:
            # Looked at again with the pid held: from here on it cannot become another process's.
            if not process.is_running():
                return
            if handle is None:
                (process.kill if kill else process.terminate)()
            else:
                signal.pidfd_send_signal(handle, signal.SIGKILL if kill else signal.SIGTERM)
    except (psutil.NoSuchProcess, ProcessLookupError):
        return


@contextmanager
def _open_pidfd(pid: int) -> Iterator[int | None]:
    """A handle on the process, on Linux; None if there is no such thing."""
    if not hasattr(os, "pidfd_open") or not hasattr(signal, "pidfd_send_signal"):
        yield None
        return
    try:
        handle = os.pidfd_open(pid)
    except OSError as error:
        if isinstance(error, ProcessLookupError):
            raise
        # Seccomp profiles and old kernels refuse the call.
        yield None
        return
    try:
        yield handle
    finally:
        os.close(handle)


def ancestor_pids() -> frozenset[int]:
    """Our own pid and those above it: nothing that is recorded may lead to their end."""
    us = psutil.Process()
    return frozenset({us.pid, *(item.pid for item in us.parents())})
