"""The plugin for Hermes Agent over the life of its host's process, on the real server: its end and its forks.

The host itself is played by a few lines: when a process ends or forks is Python's affair and not the host's.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from netclaw_opencode.offline import Hang, OfflineModel
from netclaw_opencode.testing.leaks import LeakCheck
from netclaw_opencode.testing.server import OpenCodeServer

pytestmark = pytest.mark.real

ROOT = Path(__file__).parents[2]
SECONDS = 240
BEGIN = """
    import json, os, sys, threading, time
    from netclaw_opencode import hermes

    handlers = {}

    class Context:
        def register_tool(self, *, name, handler, **_):
            handlers[name] = handler

        def register_skill(self, **_):
            pass

        def register_command(self, **_):
            pass

    def call(action, **arguments):
        return json.loads(handlers["opencode_" + action](arguments))

    def tell(**facts):
        print("TOLD " + json.dumps(facts), flush=True)

    hermes.register(Context())
"""


def told(server: OpenCodeServer, tmp_path: Path, code: str) -> list[dict[str, Any]]:
    """What the code tells, in a process that has to end by itself; the server is named as most people name it."""
    environ = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "PYTHONPATH": str(ROOT),
        # Newer Pythons warn of every fork beside threads.
        "PYTHONWARNINGS": "ignore::DeprecationWarning",
        "OPENCODE_API_URL": f"http://localhost:{urlsplit(server.base_url).port}",
        "OPENCODE_SERVER_PASSWORD": server.password,
        "OPENCODE_DRIVER_STATE_DIR": str(tmp_path / "state"),
        "OPENCODE_DRIVER_DIRECTORY": str(tmp_path),
    }
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(BEGIN) + textwrap.dedent(code)],
        env=environ,
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=SECONDS,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return [json.loads(line.removeprefix("TOLD ")) for line in done.stdout.splitlines() if line.startswith("TOLD ")]


def test_the_end_of_the_process_stops_what_runs(
    opencode_server: OpenCodeServer, scripted: OfflineModel, leak_check: LeakCheck, tmp_path: Path
) -> None:
    """In the middle of a turn, whatever connections and threads its stop needs: it is stopped, and its session is gone."""
    scripted.when("no end", Hang())
    place = tmp_path / "place"
    place.mkdir()
    (seen,) = told(
        opencode_server,
        tmp_path,
        """
        import httpx

        # No connection is kept: as if the turn had run for so long that all of them were closed.
        limits = httpx.Limits
        httpx.Limits = lambda **given: limits(**{**given, "max_keepalive_connections": 0})
        place = os.path.join(os.getcwd(), "place")
        threading.Thread(target=call, args=["run_task"], kwargs={"prompt": "no end", "directory": place}, daemon=True).start()
        limit, states = time.monotonic() + 120, []
        while time.monotonic() < limit and states != ["busy"]:
            found = call("get_session_status", directory=place)
            states = [item["state"] for item in found["data"]["sessions"]]
        tell(states=states)
        """,
    )
    assert seen == {"states": ["busy"]}
    leak_check.check()


def test_a_fork_makes_a_driver_of_its_own(opencode_server: OpenCodeServer, leak_check: LeakCheck, tmp_path: Path) -> None:
    """Its calls are answered, its end touches nothing of its parent's, and its parent goes on."""
    here, child, after = told(
        opencode_server,
        tmp_path,
        """
        tell(ok=call("list_sessions")["ok"])
        child = os.fork()
        if child == 0:
            tell(ok=call("list_sessions")["ok"])
            sys.exit(0)
        status = os.waitpid(child, 0)[1]
        tell(ok=call("list_sessions")["ok"], status=status)
        """,
    )
    assert (here, child, after) == ({"ok": True}, {"ok": True}, {"ok": True, "status": 0})
