"""The bench of the fault tests: a host behind the fault proxy, on the real server, with its deadlines cut short.

Owns what every row needs: the calls, the proxy, raw sight of the server, a clock on each call, and the leak check "L".
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from netclaw_opencode.host import Host
from netclaw_opencode.offline import Gated
from netclaw_opencode.settings import Settings
from netclaw_opencode.testing.proxy import Fault, FaultProxy
from netclaw_opencode.testing.waiting import SOON, wait_until
from tests.real.acting import Acting, Json, Policy, error_of
from tests.support.pace import MACHINE_SECONDS
from tests.support.raw import RawOpenCode


@dataclass(slots=True)
class Timed:
    """An error and how long the call took to end with it."""

    error: Json
    seconds: float

    @property
    def code(self) -> str:
        """The error's code."""
        return str(self.error["code"])

    @property
    def details(self) -> Json:
        """The error's details."""
        found: Json = self.error.get("details", {})
        return found


class Bench(Acting):
    """Calls through the proxy; ``raw`` goes past it."""

    def __init__(self, host: Host, raw: RawOpenCode, policy: Policy, *, proxy: FaultProxy, settings: Settings) -> None:
        super().__init__(host, raw, policy)
        self.proxy = proxy
        self.settings = settings

    @property
    def model(self):  # type: ignore[no-untyped-def]
        """The model behind the server."""
        return self.raw.model

    def failed(self, action: str, /, *, within: float, **arguments: object) -> Timed:
        """The error of a call that must fail within so many seconds."""
        began = time.monotonic()
        error = error_of(self.host.call(action, **arguments))
        seconds = time.monotonic() - began
        assert seconds < within + MACHINE_SECONDS, f"{action} took {seconds:.1f} s of {within:g} s: {error}"
        return Timed(error, seconds)

    def task(self, prompt: str, *steps: object, within: float, **arguments: object) -> Timed:
        """The error of one ``run_task`` whose model calls these steps answer."""
        if steps:
            self.model.when(prompt, *steps)
        return self.failed("run_task", within=within, prompt=prompt, directory=self.directory, **arguments)

    def mid_turn(
        self, prompt: str, pattern: str, fault: Fault, *, within: float, deadline_seconds: float, text: str = "the answer"
    ) -> Timed:
        """The error of a ``run_task`` into which the fault comes after the model has begun to answer; the fault must have fired."""
        gate = self.model.gate(prompt)
        self.model.when(prompt, Gated(gate, "begun ", text))
        began = time.monotonic()
        sending = self.later("run_task", prompt=prompt, directory=self.directory, deadline_seconds=deadline_seconds)
        assert gate.wait_reached(SOON), sending.result(SOON)
        self.proxy.on(pattern, fault)
        gate.open()
        envelope = sending.result(deadline_seconds + MACHINE_SECONDS)
        seconds = time.monotonic() - began
        assert self.fired(fault), "the fault fired"
        assert seconds < within + MACHINE_SECONDS, f"took {seconds:.1f} s of {within:g} s: {envelope}"
        return Timed(error_of(envelope), seconds)

    def fired(self, fault: Fault) -> int:
        """How many requests had this fault."""
        return sum(item.fault is fault for item in self.proxy.seen())

    def seen_stopped(self) -> None:
        """The server itself says that nothing runs, and the model's connections are closed."""
        assert self.raw.statuses() == {}
        assert self.model.wait_until(lambda model: model.open_connections == 0, SOON)


def settings_to(url: str, folder: Path, *, password: str, **more: str) -> Settings:
    """The way to a server at ``url``, with a private state folder."""
    environ = {"OPENCODE_API_URL": url, "OPENCODE_DRIVER_STATE_DIR": str(folder / "state"), **more}
    return Settings.from_environment(environ | ({"OPENCODE_SERVER_PASSWORD": password} if password else {}))


@contextmanager
def nothing_left(state_dir: Path) -> Iterator[None]:
    """The leak check of our own process: threads, descriptors, lock and temporary files are as before."""
    threads, handles = threading.active_count(), _handles()
    yield
    wait_until(lambda: threading.active_count() <= threads, SOON, what=f"the end of {[item.name for item in threading.enumerate()]}")
    wait_until(lambda: _handles() <= handles, SOON, what=f"closed descriptors ({handles} before)")
    left = litter(state_dir)
    assert left == [], left


def litter(state_dir: Path) -> list[str]:
    """What should not stand in the state folder between calls."""
    kept = ("server.json", "server.log", "trusted.json", "opened-", "schemas", "snapshots", "patches", "statement", "trajectories", "work")
    if not state_dir.is_dir():
        return []
    # What is kept of files outlives a call; the index of a snapshot does not, but that of a killed process stays until the next call there.
    found = state_dir.glob("snapshots/*/indexes/*")
    indexes = [str(item.relative_to(state_dir)) for item in found if psutil.pid_exists(int(item.name.partition("-")[0]))]
    return sorted([*indexes, *(item.name for item in state_dir.iterdir() if not item.name.startswith(kept))])


def _handles() -> int:
    return psutil.Process().num_fds() if os.name == "posix" else 0


@contextmanager
def host_to(settings: Settings, policy: Policy | None = None) -> Iterator[Host]:
    """A host on these settings, without the machine's plugins."""
    with Host(settings, entry_points=False, plugins={"policy": policy or Policy()}) as host:
        yield host


def failed(settings: Settings, action: str, /, *, within: float, **arguments: object) -> Timed:
    """The error of one call of a host of its own."""
    with host_to(settings) as host:
        began = time.monotonic()
        error = error_of(host.call(action, **arguments))
        seconds = time.monotonic() - began
    assert seconds < within + MACHINE_SECONDS, f"{action} took {seconds:.1f} s of {within:g} s: {error}"
    return Timed(error, seconds)
