"""Moved to ``netclaw_opencode.testing.proxy``."""

from __future__ import annotations

from netclaw_opencode.testing.proxy import (
    Canned,
    Cut,
    Edit,
    Fault,
    FaultProxy,
    Latency,
    Pause,
    Seen,
    Silence,
    Slow,
    Stall,
    answer,
    edit_json,
)

__all__ = ["Canned", "Cut", "Edit", "Fault", "FaultProxy", "Latency", "Pause", "Seen", "Silence", "Slow", "Stall", "answer", "edit_json"]
