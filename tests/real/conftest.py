"""The fixtures of the action tests: a host on the real server, what it sends, and a look at what it left."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from netclaw_opencode.host import Host
from netclaw_opencode.offline import OfflineModel
from netclaw_opencode.settings import Settings
from netclaw_opencode.testing.leaks import LeakCheck
from netclaw_opencode.testing.server import OpenCodeServer
from tests.real.acting import Acting, Policy, Requests, recording, settings_of
from tests.support.raw import RawOpenCode


@pytest.fixture
def settings(opencode_server: OpenCodeServer, tmp_path: Path, place: Path) -> Settings:
    """The way to the test server; sessions work in ``place``."""
    return settings_of(opencode_server, tmp_path, OPENCODE_DRIVER_DIRECTORY=str(place))


@pytest.fixture
def policy() -> Policy:
    """A policy that decides nothing until the test says so."""
    return Policy()


@pytest.fixture
def requests_sent(monkeypatch: pytest.MonkeyPatch) -> Requests:
    """What the driver sends from now on."""
    requests = Requests()
    monkeypatch.setattr(httpx.AsyncHTTPTransport, "handle_async_request", recording(requests))
    return requests


@pytest.fixture
def acting(
    settings: Settings, policy: Policy, wire: httpx.Client, scripted: OfflineModel, place: Path, leak_check: LeakCheck
) -> Iterator[Acting]:
    """The actions in ``place``; afterwards nothing may run there, and the leak check proves it."""
    leak_check.watch(place)
    with Host(settings, entry_points=False, plugins={"policy": policy}) as host:
        assert host.problems == ()
        calls = Acting(host, RawOpenCode(wire, scripted, place), policy)
        yield calls
        calls.close()


@pytest.fixture
def in_git(acting: Acting, leak_check: LeakCheck, git_workdir: Path) -> Acting:
    """The same in a git repository of this test."""
    leak_check.watch(git_workdir)
    acting.raw.directory = str(git_workdir)
    return acting
