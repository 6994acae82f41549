"""What every test can ask for: the fixtures of ``tests/support``; the order of the files; signals that arrive."""

from __future__ import annotations

import signal

import pytest

from tests.support.fixtures import events, git_workdir, leak_check, opencode_server, place, raw, scripted, wire, workdir

__all__ = ["events", "git_workdir", "leak_check", "opencode_server", "place", "raw", "scripted", "wire", "workdir"]


def pytest_configure() -> None:
    """Take SIGINT again where a shell has put the run into the background: the programs that tests interrupt inherit it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that start servers: workers that share the files then end together, on quick ones."""
    slow = {item.path for item in items if item.get_closest_marker("real") or "packaging" in item.path.parts}
    items.sort(key=lambda item: item.path not in slow)
