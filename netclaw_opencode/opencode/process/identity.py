"""Which process that is, for marks and records that outlive it: a pid means something only with its boot, its namespace and its start.

Owns the reading of these facts. No wall clock is among them, so setting the clock changes nothing.
"""

from __future__ import annotations

import hashlib
import os
import sys
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path

import psutil

INITIAL_NAMESPACE = "pid:[4026531836]"
"""The PID namespace in which a Linux machine itself boots: its number is the same on all of them (PROC_PID_INIT_INO)."""

_LINUX = sys.platform.startswith("linux")
_PROC = Path("/proc")
_MACHINE_ID = Path("/etc/machine-id")
_START_FIELD = 19
"""Place of the start ticks (field 22) after the program's name, which may itself hold spaces and parentheses."""


@dataclass(frozen=True, slots=True)
class ProcessIdentity:
    """One process, distinguished from every other one.

    Attributes:
        boot_id: The kernel's random id of this boot; if there is none (no Linux), the host's name.
        pid_namespace: The namespace in which ``pid`` counts; empty if there are none, or if it cannot be known.
        pid: The process id.
        start_ticks: Clock ticks from boot to start (field 22 of ``/proc/PID/stat``). Elsewhere the milliseconds of
            ``psutil.Process.create_time``, which macOS and Windows note once, when the process starts.
        machine: A digest of the machine's id, empty if it has none.
    """

    boot_id: str
    pid_namespace: str
    pid: int
    start_ticks: int
    machine: str = ""

    def to_json(self) -> dict[str, object]:
        """Return the form in marks and records."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: object) -> ProcessIdentity | None:
        """Read what ``to_json`` wrote; None for anything else."""
        if not isinstance(value, dict):
            return None
        texts = {name: value.get(name) for name in ("boot_id", "pid_namespace", "machine")}
        numbers = {name: value.get(name) for name in ("pid", "start_ticks")}
        if not all(isinstance(item, str) for item in texts.values()) or not texts["boot_id"]:
            return None
        if not all(isinstance(item, int) and not isinstance(item, bool) for item in numbers.values()):
            return None
        return cls(**texts, **numbers)  # type: ignore[arg-type]  # checked right above

    def shares_namespace(self, other: ProcessIdentity) -> bool:
        """Return whether the pids of both are counted by the same kernel, since the same boot, in the same namespace."""
        return (self.boot_id, self.pid_namespace) == (other.boot_id, other.pid_namespace) and self.pid_namespace != _UNKNOWN

    def ended_with_boot(self, here: ProcessIdentity) -> bool:
        """Return whether the process ended because its machine, which is ours, was started anew.

        Believed only where both are in the initial namespace of a machine with the same id: a container keeps neither its
        namespace nor its machine's id, and what it left cannot be judged from here.
        """
        return (
            bool(self.machine)
            and self.machine == here.machine
            and self.boot_id != here.boot_id
            and self.pid_namespace == here.pid_namespace == INITIAL_NAMESPACE
        )


_UNKNOWN = "unknown"


def this_process() -> ProcessIdentity:
    """Return the calling process."""
    return identify(os.getpid())


def identify(pid: int) -> ProcessIdentity:
    """Return a process of our own namespace that is known to exist (one's own child, until it is waited for); else its ticks are -1."""
    ticks = start_ticks(pid)
    return ProcessIdentity(boot_id(), pid_namespace(), pid, -1 if ticks is None else ticks, machine())


def boot_id() -> str:
    """This boot's own id, or the host's name where the system has no such thing."""
    return _boot_id(_PROC)


@lru_cache
def _boot_id(proc: Path) -> str:
    with suppress(OSError):
        return (proc / "sys/kernel/random/boot_id").read_text("ascii").strip()
    import platform

    return f"host:{platform.node()}"


def pid_namespace() -> str:
    """Our PID namespace, as the kernel names it; "unknown" where ``/proc`` shows another one's processes."""
    if not _LINUX:
        return ""
    try:
        # A new namespace without a /proc of its own: its pids would be looked up among strangers.
        if str((_PROC / "self").readlink()) != str(os.getpid()):
            return _UNKNOWN
        return str((_PROC / "self/ns/pid").readlink())
    except OSError:
        return _UNKNOWN


def machine() -> str:
    """Return a digest of the machine's id, which itself is not to be shown (machine-id(5)); empty if there is none."""
    return _machine(_MACHINE_ID)


@lru_cache
def _machine(path: Path) -> str:
    with suppress(OSError, UnicodeDecodeError):
        text = path.read_text("ascii").strip()
        if text and text != "uninitialized":
            return hashlib.sha256(f"netclaw-opencode\0{text}".encode()).hexdigest()[:16]
    return ""


def start_ticks(pid: int) -> int | None:
    """When the process started, on a clock that cannot be set; None if there is no such process."""
    if pid <= 0:
        return None
    if _LINUX:
        try:
            stat = (_PROC / str(pid) / "stat").read_bytes()
            return int(stat.rpartition(b")")[2].split()[_START_FIELD])
        except (OSError, IndexError, ValueError):
            return None
    with suppress(psutil.Error, OSError):  # pragma: no cover - not Linux
        return round(psutil.Process(pid).create_time() * 1000)
    return None  # pragma: no cover - not Linux


def memory_bytes(pid: int, started: int) -> int:
    """Return how much memory that very process holds; 0 where it is gone."""
    try:
        return int(psutil.Process(pid).memory_info().rss) if start_ticks(pid) == started else 0
    except psutil.Error:
        return 0


__all__ = [
    "INITIAL_NAMESPACE",
    "ProcessIdentity",
    "boot_id",
    "identify",
    "machine",
    "memory_bytes",
    "pid_namespace",
    "start_ticks",
    "this_process",
]
