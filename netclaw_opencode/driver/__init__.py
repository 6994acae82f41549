"""The driver: whole jobs (a session, a turn, a stop) on an OpenCode server, under the safety rules."""

from __future__ import annotations

from netclaw_opencode.driver.driver import Driver

__all__ = ["Driver"]
