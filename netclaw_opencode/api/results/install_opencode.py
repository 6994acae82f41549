# Made by scripts/generate_api.py from skill.yaml, schemas/ and netclaw_opencode/errors.py. Change those, then run it.
"""The result of ``install_opencode``."""

from __future__ import annotations

from dataclasses import dataclass

from netclaw_opencode.api._results import Result


@dataclass(frozen=True, slots=True, kw_only=True)
class InstallOpencodeResult(Result):
    """What install_opencode returns.

    Attributes:
        path: The absolute path of the program.
        version: Its version.
        installed: true: this call installed it; false: it was there already.
        in_use: false: OPENCODE_DRIVER_BINARY names another program, which comes first.
        notes: What else is worth knowing, one sentence each.
        elapsed_seconds: Duration of the call, in seconds.
    """

    path: str
    version: str
    installed: bool
    in_use: bool
    notes: tuple[str, ...]
    elapsed_seconds: float


__all__ = ["InstallOpencodeResult"]
