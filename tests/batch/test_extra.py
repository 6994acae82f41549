"""Without the extra the base package is as it was, and what needs it says what to install."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from netclaw_opencode.adapters.cli import app
from netclaw_opencode.host import Host
from netclaw_opencode.settings import Settings


def without(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """As if these packages were not installed."""
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, package=None: None if name in names else real(name, package))


def test_an_action_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """And so does the worker, on stderr, with the same exit code."""
    without(monkeypatch, "dbos")
    with Host(Settings.from_environment({"HOME": str(tmp_path)}), entry_points=False) as host:
        error = host.call("run_batch", items=[{"prompt": "x"}])["error"]
    assert isinstance(error, dict)
    assert (error["code"], error["next"]) == ("extra_missing", "pip install 'netclaw-opencode[batch]'")


def test_the_worker_says_what_to_install(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """In one line, with exit code 3."""
    without(monkeypatch, "dbos", "sqlalchemy")
    assert app.run(["worker"]) == 3
    assert "pip install 'netclaw-opencode[batch]'" in capsys.readouterr().err


def test_neither_library_is_loaded_before_a_batch_is_used() -> None:
    """Not by the package, nor by the module of the handlers; the queue's, by no caller at all."""
    code = (
        "import sys, netclaw_opencode, netclaw_opencode.actions.batches, netclaw_opencode.adapters.cli.app;"
        "print([name for name in ('dbos', 'sqlalchemy', 'psycopg') if name in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_a_database_password_is_shown_nowhere(tmp_path: Path) -> None:
    """Neither in the error of a database that cannot be reached nor in that of an address that is wrong."""
    for url in ("postgresql://me:very-secret-word@127.0.0.1:1/batches", "mysql://me:very-secret-word@127.0.0.1/batches"):
        settings = Settings.from_environment({"HOME": str(tmp_path), "OPENCODE_DRIVER_BATCH_URL": url})
        with Host(settings, entry_points=False) as host:
            envelope = host.call("list_batches")
        assert envelope["ok"] is False and "very-secret-word" not in str(envelope) + repr(settings)
