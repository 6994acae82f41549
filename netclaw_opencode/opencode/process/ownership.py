"""Whether a recorded process is provably the server that we started: only then is it signalled (rule own-things-only)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from netclaw_opencode.errors import Refused


@dataclass(frozen=True, slots=True)
class ProcessFacts:
    """What a recorded server process is now; ``None`` if it could not be read."""

    pid: int
    recorded_start_ticks: int
    start_ticks: int | None
    argv: Sequence[str] = field(default_factory=tuple)
    recorded_binary: str = ""
    same_user: bool = True
    recorded_port: int | None = None
    caller: frozenset[int] = frozenset()
    """Pids of the caller and of everything above it."""
    same_namespace: bool = True
    """Whether the recorded pid is one of the caller's own boot and PID namespace."""


def require_own_process(facts: ProcessFacts) -> None:
    """Refuse to signal a process that is not provably the server that we recorded."""
    reason = None
    if facts.pid <= 1:
        reason = "the recorded pid is not one of a server"
    elif facts.pid in facts.caller:
        reason = "it is the caller itself, or what started it"
    elif not facts.same_namespace:
        reason = "it was started in another PID namespace (a container or sandbox), or before the machine's last start"
    elif facts.start_ticks is None or facts.start_ticks != facts.recorded_start_ticks:
        reason = "the pid now belongs to another process (its start time differs)"
    elif facts.recorded_binary not in facts.argv or "serve" not in facts.argv:
        reason = "its command line is not that of 'opencode serve'"
    elif facts.recorded_port is not None and tuple(facts.argv[-2:]) != ("--port", str(facts.recorded_port)):
        reason = f"its command line does not name the recorded port {facts.recorded_port}"
    elif not facts.same_user:
        reason = "it belongs to another user"
    if reason is not None:
        raise Refused(
            "kill_refused",
            f"process {facts.pid} was not signalled: {reason}",
            rule="own-things-only",
            details={"pid": facts.pid},
        )


__all__ = ["ProcessFacts", "require_own_process"]
