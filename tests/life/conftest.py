"""The fixtures of the life tests: those of the fault tests, where the way to the server can be watched and disturbed."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TypeAlias

import pytest

from netclaw_opencode.host import Host
from netclaw_opencode.testing.proxy import FaultProxy
from netclaw_opencode.testing.server import OpenCodeServer
from tests.faults.bench import settings_to
from tests.faults.conftest import bench, guard, leaks, proxy, settings

__all__ = ["OpenHost", "bench", "guard", "leaks", "proxy", "settings", "settings_with"]

OpenHost: TypeAlias = Callable[..., AbstractContextManager[Host]]


@pytest.fixture
def settings_with(proxy: FaultProxy, opencode_server: OpenCodeServer, tmp_path: Path) -> OpenHost:
    """A second host on the same server, without any plugin, and with these settings on top."""

    def open_host(**more: str) -> AbstractContextManager[Host]:
        return Host(settings_to(proxy.url, tmp_path, password=opencode_server.password, **more), entry_points=False)

    return open_host
