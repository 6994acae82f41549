"""What a process is now: alive or gone, its command line and its folder.

Only looks; ``terminating`` is where a process is ended.
"""

from __future__ import annotations

import os
import time

import psutil

from netclaw_opencode.opencode.process import identity

_EXIT_POLL_SECONDS = 0.02


def find_process(pid: int, start_ticks: int) -> psutil.Process | None:
    """Find a process by pid, if it is still the one that started at those ticks."""
    if pid <= 1:
        return None
    try:
        process = psutil.Process(pid)
    except psutil.NoSuchProcess:
        return None
    return process if identity.start_ticks(pid) == start_ticks else None


def wait_for_exit(process: psutil.Process, within_seconds: float) -> bool:
    """Wait for the end; returns whether it came. A zombie has ended: its parent may take seconds to reap it."""
    ends = time.monotonic() + within_seconds
    while not has_exited(process):
        if time.monotonic() >= ends:
            return False
        time.sleep(_EXIT_POLL_SECONDS)
    return True


def has_exited(process: psutil.Process) -> bool:
    """Return whether the process has ended; reaps it, if it is a child of ours."""
    try:
        process.wait(0)
    except psutil.TimeoutExpired:
        try:
            return bool(process.status() == psutil.STATUS_ZOMBIE)
        except psutil.NoSuchProcess:
            return True
    except psutil.NoSuchProcess:
        return True
    return True


def read_command_line(pid: int) -> tuple[tuple[str, ...], int | None, bool]:
    """Read command line, start ticks and "same user" of a process; empty if it is gone."""
    try:
        process = psutil.Process(max(pid, 0))
        same = os.name != "posix" or process.uids().real == os.getuid()
        return tuple(process.cmdline()), identity.start_ticks(process.pid), same
    except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
        return (), None, False


def is_alive(pid: int, start_ticks: int) -> bool:
    """Return whether that very process, of our own PID namespace, still runs."""
    process = find_process(pid, start_ticks)
    return process is not None and not has_exited(process)


def wait_until_gone(pid: int, start_ticks: int, *, within_seconds: float = 1.0) -> bool:
    """Wait for a process to end by itself; returns whether it did within the time."""
    process = find_process(pid, start_ticks)
    return process is None or wait_for_exit(process, within_seconds)


def working_directory(pid: int, start_ticks: int) -> str | None:
    """Return where a process of ours works, or None if it cannot be seen."""
    found = find_process(pid, start_ticks)
    if found is None:
        return None
    try:
        return found.cwd()
    except (psutil.Error, OSError):
        return None
