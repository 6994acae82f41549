"""The fixtures of the life tests: those of the fault tests, where the way to the server can be watched and disturbed."""

from __future__ import annotations

from tests.faults.conftest import bench, guard, leaks, proxy, settings

__all__ = ["bench", "guard", "leaks", "proxy", "settings"]
