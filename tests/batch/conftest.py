"""A place for batches: an offline model, a state folder, and workers as processes of their own that are all ended afterwards.

Owns their start and end. The servers are the workers' own, real ones, each with data of its own.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import psutil
import pytest

from netclaw_opencode.batch.database import Database, checked_url
from netclaw_opencode.host import Host
from netclaw_opencode.offline import OfflineModel, Text
from netclaw_opencode.settings import Settings
from netclaw_opencode.testing.binary import opencode_binary
from netclaw_opencode.testing.server import server_environment
from netclaw_opencode.testing.waiting import wait_until
from tests.support.pace import MACHINE_SECONDS
from tests.support.postgres import Postgres, running_postgres

LEASE_SECONDS, BEAT_SECONDS = 6.0, 2.0
ROOT = Path(__file__).resolve().parents[2]


class BatchPlace:
    """Submits, starts workers, and looks."""

    def __init__(self, home: Path, model: OfflineModel) -> None:
        self.home = home
        self.model = model
        self.environ = {
            **server_environment(home / "home", config=model.provider_config(), password=""),
            "OPENCODE_DRIVER_BINARY": opencode_binary(),
            "OPENCODE_DRIVER_STATE_DIR": str(home / "state"),
            "OPENCODE_DRIVER_DIRECTORY": str(home),
            "OPENCODE_DRIVER_MAX_CHARS": "0",
            "PYTHONPATH": str(ROOT),
        }

        self.workers: list[subprocess.Popen[bytes]] = []

    @property
    def settings(self) -> Settings:
        """The settings of everything that runs here."""
        return Settings.from_environment(self.environ)

    def directories(self, *names: str) -> list[str]:
        """A directory for each name."""
        for name in names:
            (self.home / "work" / name).mkdir(parents=True, exist_ok=True)
        return [str(self.home / "work" / name) for name in names]

    def call(self, action: str, **arguments: object) -> dict[str, object]:
        """Run an action and return its data."""
        with Host(self.settings, entry_points=False) as host:
            envelope = host.call(action, **arguments)
        assert envelope["ok"], envelope
        data = envelope["data"]
        assert isinstance(data, dict)
        return data

    def submit(self, name: str, items: Sequence[Mapping[str, object]], **more: object) -> dict[str, object]:
        """Submit a list without starting a worker."""
        return self.call("submit_batch", name=name, items=[dict(item) for item in items], start_worker=False, **more)

    def worker(self, *, concurrency: int = 2) -> subprocess.Popen[bytes]:
        """Start a worker with a short lease that ends when nothing is left."""
        flags = [
            "--until-done",
            "--concurrency",
            str(concurrency),
            "--lease-seconds",
            f"{LEASE_SECONDS:g}",
            "--beat-seconds",
            f"{BEAT_SECONDS:g}",
        ]
        with (self.home / f"worker-{len(self.workers)}.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "netclaw_opencode", "worker", *flags],
                env=self.environ,
                cwd=self.home,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self.workers.append(process)
        return process

    def logs(self) -> str:
        """What the workers have said."""
        return "\n".join(path.read_text("utf-8", "replace") for path in sorted(self.home.glob("worker-*.log")))

    def ended(self, process: subprocess.Popen[bytes]) -> int:
        """Wait for a worker's end; returns its exit code."""
        try:
            return process.wait(2 * MACHINE_SECONDS)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the worker did not end:\n{self.logs()}") from None

    def results(self, batch: str) -> dict[str, dict[str, object]]:
        """Every result by the task's id, each once."""
        page = self.call("get_batch_results", batch_id=batch, limit=1000)["results"]
        assert isinstance(page, list)
        found = {str(each["id"]): each for each in page}
        assert len(found) == len(page), page
        return found

    def when(self, batch: str, state: str) -> dict[str, object]:
        """Wait until a batch is in a state."""

        def seen() -> dict[str, object]:
            summary = self.call("get_batch", batch_id=batch)
            return summary if summary["state"] == state else {}

        return wait_until(seen, 2 * MACHINE_SECONDS, what=f"state {state}")

    def calls_of(self, prompt: str) -> int:
        """How many model calls a prompt has made, titles left out."""
        return sum(prompt in call.conversation.prompt and not call.conversation.is_title_call for call in self.model.calls)

    def servers(self) -> list[psutil.Process]:
        """The servers of this place that run."""
        return self._processes("serve")

    def workers_by_themselves(self) -> list[psutil.Process]:
        """The workers that run here, whoever has started them."""
        return self._processes("worker")

    def _processes(self, word: str) -> list[psutil.Process]:
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if word in process.cmdline() and process.environ().get("HOME") == self.environ["HOME"]:
                    found.append(process)
        return found

    def close(self) -> None:
        """End what was left; a stopped process is let go on first."""
        for process in self.workers:
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.kill()
                process.wait()
        for server in (*self.workers_by_themselves(), *self.servers()):
            with contextlib.suppress(psutil.Error):
                server.kill()


@pytest.fixture
def postgres() -> Iterator[Postgres]:
    """A Postgres of the test's own, which it may end and start again."""
    with running_postgres() as server:
        yield server


@pytest.fixture(scope="module")
def shared_postgres() -> Iterator[Postgres]:
    """One Postgres for a file."""
    with running_postgres() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgres"])
def empty_database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """A database of each kind, without tables."""
    if request.param == "sqlite":
        found = Database(checked_url(str(tmp_path / "batches.sqlite3")))
    else:
        found = Database(checked_url(request.getfixturevalue("shared_postgres").url))
        with found.engine.begin() as connection:
            connection.exec_driver_sql("DROP SCHEMA public CASCADE")
            connection.exec_driver_sql("CREATE SCHEMA public")
    yield found
    found.close()


@pytest.fixture
def place(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[BatchPlace]:
    """A place of its own for each test: what it leaves running fails it. On Postgres for a test that asks for one."""
    with OfflineModel() as model:
        model.when("quick", Text("done"))
        here = BatchPlace(tmp_path.resolve(), model)
        if "postgres" in request.fixturenames:
            here.environ["OPENCODE_DRIVER_BATCH_URL"] = request.getfixturevalue("postgres").url
        try:
            yield here
            wait_until(lambda: not here.workers_by_themselves(), 2 * MACHINE_SECONDS, what="the end of the workers")
            assert [server.pid for server in here.servers()] == []
            assert not list((tmp_path / "state" / "batches" / "pools").glob("*"))
        finally:
            here.close()


def kill(process: subprocess.Popen[bytes]) -> None:
    """SIGKILL, and its end."""
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
