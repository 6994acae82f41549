"""Moved to ``netclaw_opencode.testing.waiting``."""

from __future__ import annotations

from netclaw_opencode.testing.waiting import SOON, T, wait_until

__all__ = ["SOON", "T", "wait_until"]
