"""The fixtures of every test on the real server.

Owns short ways to raw calls; the server and the leak check are those of the kit that we give to others.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from netclaw_opencode.offline import OfflineModel
from netclaw_opencode.testing.fixtures import leak_check, opencode_server
from netclaw_opencode.testing.leaks import LeakCheck
from netclaw_opencode.testing.server import OpenCodeServer
from tests.support.event_log import EventLog
from tests.support.raw import RawOpenCode, warm

__all__ = ["events", "git_workdir", "leak_check", "opencode_server", "place", "raw", "scripted", "wire", "workdir"]


@pytest.fixture
def scripted(opencode_server: OpenCodeServer) -> Iterator[OfflineModel]:
    """The model behind the server, without the rules and calls of other tests."""
    opencode_server.model.clear()
    yield opencode_server.model
    opencode_server.model.clear()


@pytest.fixture
def wire(opencode_server: OpenCodeServer) -> Iterator[httpx.Client]:
    """A raw HTTP client for the server."""
    with opencode_server.client() as client:
        yield client


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory, opencode_server: OpenCodeServer) -> Path:
    """One directory for all tests of actions and faults, no git repository, with its first turn behind it."""
    directory = tmp_path_factory.mktemp("place").resolve()
    warm(opencode_server, directory)
    return directory


@pytest.fixture
def workdir(tmp_path: Path) -> Path:
    """An empty directory that is no git repository."""
    directory = tmp_path / "work"
    directory.mkdir()
    return directory


@pytest.fixture
def git_workdir(tmp_path: Path) -> Path:
    """A git repository with one committed file, ``kept.txt``."""
    directory = tmp_path / "repo"
    directory.mkdir()
    (directory / "kept.txt").write_text("kept\n", encoding="utf-8")
    settings = ["-c", "user.name=Test", "-c", "user.email=test@example.invalid", "-c", "commit.gpgsign=false"]
    for arguments in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "start"]):
        subprocess.run(["git", *settings, *arguments], cwd=directory, check=True, stdin=subprocess.DEVNULL)  # noqa: S607 - git of PATH
    return directory


@pytest.fixture
def raw(leak_check: LeakCheck, wire: httpx.Client, scripted: OfflineModel, workdir: Path) -> Iterator[RawOpenCode]:
    """Raw calls in ``workdir``; what they create is ended and deleted, and the leak check proves it."""
    leak_check.watch(workdir)
    calls = RawOpenCode(wire, scripted, workdir)
    yield calls
    calls.tidy()


@pytest.fixture
def events(opencode_server: OpenCodeServer) -> Iterator[EventLog]:
    """The events of all directories from now on."""
    with EventLog(opencode_server) as log:
        yield log
