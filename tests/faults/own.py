"""A server that the driver itself started, in a private home, for the rows that break it.

Owns starting it through the action and the proof that nothing of it is left.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import psutil

from netclaw_opencode.host import Host
from netclaw_opencode.offline import OfflineModel
from netclaw_opencode.opencode.process import state
from netclaw_opencode.settings import Settings
from netclaw_opencode.testing.binary import opencode_binary
from netclaw_opencode.testing.server import server_environment
from tests.faults.bench import host_to, litter
from tests.real.acting import data_of


class Own:
    """A host, the model behind its server, and the state folder."""

    def __init__(self, host: Host, model: OfflineModel, folder: Path) -> None:
        self.host = host
        self.model = model
        self.state = folder
        self._threads = ThreadPoolExecutor(2, thread_name_prefix="own")

    @property
    def pid(self) -> int:
        """The server's process, by the state file."""
        record = state.read(self.state)
        assert record is not None
        return record.pid

    def process(self) -> psutil.Process:
        """The server's process."""
        return psutil.Process(self.pid)

    def later(self, action: str, /, **arguments: object) -> Future[dict[str, object]]:
        """The call's envelope, while the test goes on."""
        return self._threads.submit(self.host.call, action, **arguments)

    def close(self) -> None:
        """Wait for the calls."""
        self._threads.shutdown(wait=True)


def environment(folder: Path, model: OfflineModel, **more: str) -> dict[str, str]:
    """What the driver needs to start a server of its own in ``folder``."""
    work = folder / "work"
    work.mkdir(exist_ok=True)
    return (
        server_environment(folder / "home", config=model.provider_config(), password="")
        | {
            "OPENCODE_DRIVER_BINARY": os.environ.get("OPENCODE_DRIVER_BINARY") or opencode_binary(),
            "OPENCODE_DRIVER_STATE_DIR": str(folder / "state"),
            "OPENCODE_DRIVER_DIRECTORY": str(work),
        }
        | more
    )


@contextmanager
def own_host(folder: Path, **more: str) -> Iterator[Own]:
    """The server is up on entry; on exit it is stopped, and neither process nor file of it is left."""
    with OfflineModel() as model:
        environ = environment(folder, model, **more)
        with host_to(Settings.from_environment(environ)) as host:
            data_of(host.call("start_server"))
            own = Own(host, model, folder / "state")
            try:
                yield own
            finally:
                own.close()
                host.call("stop_server")
        assert litter(own.state) == [] and not (own.state / "server.json").exists(), "no state is left"
