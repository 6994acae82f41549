"""Moved to ``netclaw_opencode.testing.server``."""

from __future__ import annotations

from netclaw_opencode.testing.server import (
    READY_SECONDS,
    USERNAME,
    OpenCodeServer,
    all_sessions,
    free_port,
    kill_server,
    running_server,
    server_environment,
    start_server,
    stop_server,
)

__all__ = [
    "READY_SECONDS",
    "USERNAME",
    "OpenCodeServer",
    "all_sessions",
    "free_port",
    "kill_server",
    "running_server",
    "server_environment",
    "start_server",
    "stop_server",
]
