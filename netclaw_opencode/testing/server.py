"""A private OpenCode server for tests, started by hand: own HOME, own port, own password, the offline model behind it.

Owns starting and stopping that process without the driver, so that the driver can be judged by it. Nothing of the
machine's own OpenCode (configuration, data, keys) is seen or touched.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import re
import secrets
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psutil

from netclaw_opencode.offline import OfflineModel, offline_environment
from netclaw_opencode.testing.binary import opencode_binary
from netclaw_opencode.testing.waiting import SOON, wait_until

USERNAME = "opencode"
READY_SECONDS = 240.0
_PROBE_SECONDS = 0.5
_TERM_SECONDS = 10.0
_LISTENING = re.compile(r"listening on http://[\d.]+:(\d+)")


@dataclass(slots=True)
class OpenCodeServer:
    """A running server and what is needed to talk to it, to look at it and to end it."""

    base_url: str
    username: str
    password: str = field(repr=False)
    home: Path
    log: Path
    model: OfflineModel
    process: subprocess.Popen[bytes]

    @property
    def pid(self) -> int:
        """The process id of ``opencode serve``."""
        return self.process.pid

    @property
    def port(self) -> int:
        """The port on 127.0.0.1."""
        return int(self.base_url.rpartition(":")[2])

    def client(self, *, timeout: float = SOON) -> httpx.Client:
        """Return a raw client: authenticated, blind to proxy variables, without retries or redirects."""
        auth = httpx.BasicAuth(self.username, self.password)
        return httpx.Client(base_url=self.base_url, auth=auth, trust_env=False, timeout=timeout)

    def descendants(self) -> list[psutil.Process]:
        """Every live process below the server; the commands of its tools are among them."""
        with contextlib.suppress(psutil.NoSuchProcess):
            return psutil.Process(self.pid).children(recursive=True)
        return []


@contextlib.contextmanager
def running_server(
    home: Path,
    model: OfflineModel,
    *,
    config: Mapping[str, object] | None = None,
    port: int | None = None,
    password: str | None = None,
    hostname: str = "127.0.0.1",
) -> Iterator[OpenCodeServer]:
    """A server that is ready on entry and gone, with everything below it, on exit."""
    server = start_server(home, model, config=config, port=port, password=password, hostname=hostname)
    try:
        yield server
    finally:
        stop_server(server)


def start_server(
    home: Path,
    model: OfflineModel,
    *,
    config: Mapping[str, object] | None = None,
    port: int | None = None,
    password: str | None = None,
    hostname: str = "127.0.0.1",
) -> OpenCodeServer:
    """Start ``opencode serve`` and wait until it answers; ``config`` replaces the model's own configuration."""
    password = secrets.token_urlsafe(24) if password is None else password
    environment = server_environment(home, config=model.provider_config() if config is None else config, password=password)
    log = home / "serve.log"
    command = [opencode_binary(), "serve", "--hostname", hostname, "--port", str(free_port() if port is None else port)]
    with log.open("wb") as sink:
        process = subprocess.Popen(
            command, cwd=home, env=environment, stdin=subprocess.DEVNULL, stdout=sink, stderr=subprocess.STDOUT, start_new_session=True
        )
    server = OpenCodeServer("", USERNAME, password, home, log, model, process)
    try:
        real_port = wait_until(lambda: _announced_port(server), READY_SECONDS, what="the port in the server's output")
        server.base_url = f"http://127.0.0.1:{real_port}"
        # Short probes at first: a request accepted in the first moments may never be answered (F2). A busy machine needs longer ones.
        probes = itertools.count(1)
        wait_until(lambda: _answers(server, min(5.0, _PROBE_SECONDS * next(probes))), READY_SECONDS, what="an answer of the started server")
    except BaseException:
        kill_server(server)
        raise
    return server


def free_port() -> int:
    """Return a port that is free now. OpenCode's own ``--port 0`` would take 4096 first, where a user's server may belong."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def server_environment(home: Path, *, config: Mapping[str, object], password: str) -> dict[str, str]:
    """Return the whole environment of a test server: nothing is inherited but PATH."""
    home.mkdir(parents=True, exist_ok=True)
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "OPENCODE_CONFIG_CONTENT": json.dumps(config),
        **offline_environment(home / "xdg-config"),
    }
    for kind in ("CACHE", "CONFIG", "DATA", "STATE"):
        environment[f"XDG_{kind}_HOME"] = str(home / f"xdg-{kind.lower()}")
    if password:
        environment["OPENCODE_SERVER_PASSWORD"] = password
    return environment


def stop_server(server: OpenCodeServer) -> None:
    """Abort what runs, end the server by SIGTERM or else SIGKILL, and end what its tools left behind (F5)."""
    if server.process.poll() is None:
        with contextlib.suppress(httpx.HTTPError):
            _abort_all(server)
    left = server.descendants()
    if server.process.poll() is None:
        server.process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.process.wait(_TERM_SECONDS)
    kill_server(server, left=left)


def kill_server(server: OpenCodeServer, *, left: list[psutil.Process] | None = None) -> None:
    """SIGKILL for the server, if it lives, and for its descendants (or those of an earlier look)."""
    descendants = server.descendants() if left is None else left
    if server.process.poll() is None:
        server.process.send_signal(signal.SIGKILL)
        server.process.wait(_TERM_SECONDS)
    for process in descendants:
        # psutil compares the creation time first: a reused pid is not signalled.
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(descendants, timeout=_TERM_SECONDS)


def _announced_port(server: OpenCodeServer) -> int | None:
    written = server.log.read_text(encoding="utf-8", errors="replace")
    if server.process.poll() is not None:
        raise AssertionError(f"opencode serve ended with {server.process.returncode}: {written[-2000:]}")
    found = _LISTENING.search(written)
    return int(found.group(1)) if found else None


def _answers(server: OpenCodeServer, seconds: float) -> bool:
    with server.client(timeout=seconds) as client:
        try:
            return client.get("/global/health").is_success
        except httpx.HTTPError:
            return False


def _abort_all(server: OpenCodeServer) -> None:
    deadline = time.monotonic() + _TERM_SECONDS
    with server.client(timeout=_PROBE_SECONDS * 4) as client:
        for session in all_sessions(client):
            if time.monotonic() > deadline:
                return
            client.post(f"/session/{session['id']}/abort", params={"directory": str(session["directory"])})


def all_sessions(client: httpx.Client) -> list[Mapping[str, object]]:
    """Every session of the server, whatever its directory (F20)."""
    answer = client.get("/experimental/session", params={"limit": 10_000})
    answer.raise_for_status()
    sessions: list[Mapping[str, object]] = answer.json()
    return sessions
