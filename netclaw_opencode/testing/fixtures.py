"""The fixtures of the kit. One server serves the whole run; what a test leaves on it fails that test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from netclaw_opencode.host import Host
from netclaw_opencode.offline import OfflineModel
from netclaw_opencode.settings import Settings
from netclaw_opencode.testing.leaks import LeakCheck
from netclaw_opencode.testing.probe import HookProbe
from netclaw_opencode.testing.proxy import FaultProxy
from netclaw_opencode.testing.server import OpenCodeServer, running_server


@pytest.fixture(scope="session")
def opencode_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenCodeServer]:
    """A real, private OpenCode server with the offline model behind it, for the whole run."""
    with OfflineModel() as model, running_server(tmp_path_factory.mktemp("opencode-home"), model) as server:
        yield server


@pytest.fixture
def offline_model(opencode_server: OpenCodeServer) -> Iterator[OfflineModel]:
    """The model behind the server, without the rules, gates and calls of other tests; ``when`` tells it what to answer."""
    opencode_server.model.clear()
    yield opencode_server.model
    opencode_server.model.clear()


@pytest.fixture
def opencode_directory(tmp_path: Path) -> Path:
    """An empty directory, no git repository, in which sessions work."""
    directory = tmp_path / "work"
    directory.mkdir(exist_ok=True)
    return directory


@pytest.fixture
def leak_check(opencode_server: OpenCodeServer, tmp_path: Path) -> Iterator[LeakCheck]:
    """Fails the test if it leaves a session, a turn, a request, a process or a model call on the server."""
    check = LeakCheck(opencode_server)
    yield check
    for name in ("work", "repo"):
        if (tmp_path / name).is_dir():
            check.watch(tmp_path / name)
    check.check()


@pytest.fixture
def fault_proxy(opencode_server: OpenCodeServer) -> Iterator[FaultProxy]:
    """A proxy before the server; without rules it changes nothing. ``opencode_settings`` leads past it, its ``url`` through it."""
    with FaultProxy(opencode_server.base_url) as proxy:
        yield proxy


@pytest.fixture
def opencode_settings(opencode_server: OpenCodeServer, opencode_directory: Path, tmp_path: Path) -> Settings:
    """Settings that lead to the server, with a private state folder."""
    return Settings.from_environment(
        {
            "OPENCODE_API_URL": opencode_server.base_url,
            "OPENCODE_SERVER_PASSWORD": opencode_server.password,
            "OPENCODE_DRIVER_STATE_DIR": str(tmp_path / "state"),
            "OPENCODE_DRIVER_DIRECTORY": str(opencode_directory),
            "HOME": str(tmp_path),
        }
    )


@pytest.fixture
def hook_probe() -> HookProbe:
    """A plugin that notes every hook call."""
    return HookProbe()


@pytest.fixture
def opencode_host(opencode_settings: Settings, offline_model: OfflineModel, leak_check: LeakCheck, hook_probe: HookProbe) -> Iterator[Host]:
    """The reference host on that server, open, with the probe as a plugin; nothing of the machine's plugins is loaded."""
    with Host(opencode_settings, entry_points=False, plugins={"probe": hook_probe}) as host:
        yield host


__all__ = [
    "fault_proxy",
    "hook_probe",
    "leak_check",
    "offline_model",
    "opencode_directory",
    "opencode_host",
    "opencode_server",
    "opencode_settings",
]
