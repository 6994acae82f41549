# Made by scripts/generate_api.py from skill.yaml, schemas/ and netclaw_opencode/errors.py. Change those, then run it.
"""The result of ``start_server``."""

from __future__ import annotations

from dataclasses import dataclass

from netclaw_opencode.api._results import Result


@dataclass(frozen=True, slots=True, kw_only=True)
class StartServerResult(Result):
    """What start_server returns.

    Attributes:
        url: The server's base address, on loopback.
        version: Its version.
        pid: Its process id.
        started: true: this call started it; false: the running one of ours was adopted.
        log_file: The absolute path of its log.
        without_project_code: true: a server that runs no project's code.
        elapsed_seconds: Time until it was ready, in seconds.
    """

    url: str
    version: str
    pid: int
    started: bool
    log_file: str
    without_project_code: bool
    elapsed_seconds: float


__all__ = ["StartServerResult"]
