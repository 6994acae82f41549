"""What every test can ask for: the fixtures of ``tests/support``."""

from __future__ import annotations

from tests.support.fixtures import events, git_workdir, leak_check, opencode_server, place, raw, scripted, wire, workdir

__all__ = ["events", "git_workdir", "leak_check", "opencode_server", "place", "raw", "scripted", "wire", "workdir"]
