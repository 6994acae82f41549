"""The world of the pages as a fixture: an environment in which their commands and programs can be run as they stand."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from netclaw_opencode.adapters.cli import app
from netclaw_opencode.adapters.cli.demo.private import private_environment
from netclaw_opencode.testing.binary import opencode_binary
from tests.docs.pages import ROOT, Names
from tests.docs.story import Story, story_model, story_projects

Run = Callable[[list[str]], tuple[int, str]]


@pytest.fixture
def names(tmp_path: Path) -> Names:
    """The folder that stands for the one of the pages, with its two projects."""
    home = tmp_path / "me"
    story_projects(home)
    return Names(home)


@pytest.fixture
def story(tmp_path: Path, names: Names, monkeypatch: pytest.MonkeyPatch) -> Iterator[Story]:
    """This process's environment becomes that of the pages: no server, no key, the offline model as the only provider.

    A server that a page starts is stopped at the end, if the page has not done it.
    """
    binary = opencode_binary()
    with story_model() as told:
        for name in [name for name in os.environ if name.startswith(("OPENCODE", "XDG_"))]:
            monkeypatch.delenv(name)
        environ = private_environment(os.environ, tmp_path / "private", config=told.model.provider_config())
        for name, value in (environ | {"OPENCODE_DRIVER_BINARY": binary, "OPENCODE_DRIVER_MAX_CHARS": "0"}).items():
            monkeypatch.setenv(name, value)
        monkeypatch.chdir(names.home / "project")
        try:
            yield told
        finally:
            run_apart(["server", "stop-server"])


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """The command line: exit code and what it printed; chatter on stderr fails the test.

    A server is started and stopped by a process of its own, as it is by a user; the rest is quicker in this one.
    """

    def run(words: list[str]) -> tuple[int, str]:
        if words[0] == "server":
            return run_apart(words)
        capsys.readouterr()
        code = app.run(words)
        printed = capsys.readouterr()
        assert printed.err == ""
        return code, printed.out

    return run


def run_apart(words: list[str]) -> tuple[int, str]:
    """The command line in a process of its own, which ends before its server does."""
    command = [sys.executable, "-m", "netclaw_opencode", *words]
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environ, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=240, check=False)
    assert done.stderr == ""
    return done.returncode, done.stdout


def envelope(printed: str) -> dict[str, object]:
    """The one JSON document on stdout."""
    found = json.loads(printed)
    assert isinstance(found, dict)
    return found
