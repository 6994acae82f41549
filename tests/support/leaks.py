"""Moved to ``netclaw_opencode.testing.leaks``."""

from __future__ import annotations

from netclaw_opencode.testing.leaks import LeakCheck

__all__ = ["LeakCheck"]
