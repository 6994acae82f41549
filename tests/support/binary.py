"""Moved to ``netclaw_opencode.testing.binary``."""

from __future__ import annotations

from netclaw_opencode.testing.binary import opencode_binary

__all__ = ["opencode_binary"]
