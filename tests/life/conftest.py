"""The fixtures of the life tests: those of the fault tests, where the way to the server can be watched and disturbed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from netclaw_opencode.offline import OfflineModel
from netclaw_opencode.settings import Settings
from netclaw_opencode.testing.leaks import LeakCheck
from netclaw_opencode.testing.proxy import FaultProxy
from netclaw_opencode.testing.server import OpenCodeServer
from tests.faults.bench import Bench, host_to, nothing_left, settings_to
from tests.faults.guard import guard
from tests.real.acting import Policy
from tests.support.raw import RawOpenCode

__all__ = ["bench", "guard", "leaks", "proxy", "settings"]


@pytest.fixture
def leaks(leak_check: LeakCheck, place: Path, wire: httpx.Client, tmp_path: Path) -> Iterator[LeakCheck]:
    """The leak check "L": of the server (sessions, turns, requests, processes, model calls) and of our own process."""
    leak_check.watch(place)
    wire.get("/global/health")
    with nothing_left(tmp_path / "state"):
        yield leak_check


@pytest.fixture
def proxy(leaks: LeakCheck) -> Iterator[FaultProxy]:
    """The proxy before the real server; without rules it changes nothing."""
    with FaultProxy(leaks.server.base_url) as proxy:
        yield proxy


@pytest.fixture
def settings(proxy: FaultProxy, opencode_server: OpenCodeServer, tmp_path: Path, place: Path) -> Settings:
    """The way through the proxy."""
    return settings_to(proxy.url, tmp_path, password=opencode_server.password, OPENCODE_DRIVER_DIRECTORY=str(place))


@pytest.fixture
def bench(settings: Settings, proxy: FaultProxy, wire: httpx.Client, scripted: OfflineModel, place: Path) -> Iterator[Bench]:
    """The actions through the proxy; afterwards nothing may run."""
    policy = Policy()
    with host_to(settings, policy) as host:
        calls = Bench(host, RawOpenCode(wire, scripted, place), policy, proxy=proxy, settings=settings)
        yield calls
        proxy.clear()
        calls.close()
