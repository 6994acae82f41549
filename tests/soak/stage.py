"""The stage of the long runs: a real server, the offline model, the fault proxy, and what a run says afterwards.

Owns the shape of a figure and the counters of our own process. The runs stand beside it; ``python -m tests.soak`` runs them.
"""

from __future__ import annotations

import gc
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import psutil

from netclaw_opencode.offline import OfflineModel
from netclaw_opencode.settings import Settings
from netclaw_opencode.testing.leaks import LeakCheck
from netclaw_opencode.testing.proxy import FaultProxy
from netclaw_opencode.testing.server import OpenCodeServer, running_server
from tests.faults.bench import settings_to
from tests.support.raw import warm

Json: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Figure:
    """What one run showed; ``held`` tells whether it meets the goal."""

    goal: str
    reading: str
    held: bool


Run: TypeAlias = Callable[[Path, float], Figure]
"""A run: a folder of its own and the share of the full size (1.0) at which it is made."""


@dataclass(slots=True)
class Stage:
    """A server with its first turn behind it, and the ways to it: past the proxy, or through it."""

    server: OpenCodeServer
    proxy: FaultProxy
    folder: Path
    place: Path
    made: int = field(default=0)

    @property
    def model(self) -> OfflineModel:
        """The model behind the server."""
        return self.server.model

    def settings(self, *, through_proxy: bool = False, folder: Path | None = None) -> Settings:
        """The settings of a caller."""
        url = self.proxy.url if through_proxy else self.server.base_url
        return settings_to(url, folder or self.folder, password=self.server.password, OPENCODE_DRIVER_DIRECTORY=str(self.place))

    def leaks(self) -> LeakCheck:
        """The leak check, begun now."""
        check = LeakCheck(self.server)
        check.watch(self.place)
        return check


@contextmanager
def stage(folder: Path) -> Iterator[Stage]:
    """A stage in this folder; everything of it is gone afterwards."""
    place = folder / "place"
    place.mkdir(parents=True)
    with OfflineModel() as model, running_server(folder / "home", model) as server, FaultProxy(server.base_url) as proxy:
        warm(server, place)
        yield Stage(server, proxy, folder, place)


@dataclass(frozen=True, slots=True)
class Counters:
    """What our own process holds: memory in bytes, open descriptors, threads."""

    memory: int
    handles: int
    threads: int

    @classmethod
    def now(cls) -> Counters:
        """Read them, with the garbage gone."""
        gc.collect()
        process = psutil.Process()
        return cls(process.memory_info().rss, process.num_fds() if os.name == "posix" else 0, threading.active_count())


@contextmanager
def clock() -> Iterator[Callable[[], float]]:
    """Seconds since entry."""
    began = time.monotonic()
    yield lambda: time.monotonic() - began


def code_of(envelope: Mapping[str, object]) -> str:
    """``ok``, or the error's code."""
    error = envelope.get("error")
    return str(error["code"]) if isinstance(error, Mapping) else "ok"


def counted(codes: list[str]) -> str:
    """The codes with their numbers, the most frequent first."""
    numbers = sorted({(codes.count(code), code) for code in codes}, reverse=True)
    return ", ".join(f"{number} {code}" for number, code in numbers)
