"""Servers of a worker: warm, each with data of its own, replaced when it has grown.

Owns their folders, starts and ends. A server whose work may go on without its worker is left to whoever takes the work over.
"""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

import anyio

from netclaw_opencode._core.private_files import require_private_folder
from netclaw_opencode.errors import DriverError, ServerProblem
from netclaw_opencode.jsontypes import JsonObject
from netclaw_opencode.opencode import addresses, servers
from netclaw_opencode.opencode.process import identity
from netclaw_opencode.settings import Settings

PLACES_PER_SERVER = 8
"""Tasks that one server runs at once: a second one on two cores made eight tasks slower, and each holds some hundred MB (F6)."""
MEMORY_BYTES = 1536 * 1024 * 1024
"""A server that holds more is replaced between tasks: a fresh one holds 330 to 640 MB, one of 150 sessions some 800 (F6)."""
TASKS_PER_SERVER = 100
"""A server is replaced after so many tasks, and its sessions go with it: that is cheaper than deleting each, and its lists stay short."""
_START_SECONDS = 60.0
_CARRIED = ("auth.json", "mcp-auth.json", "bin")
"""What a server's data hold that is not its own: the user's log-ins, and programs that OpenCode has fetched."""
_log = logging.getLogger("netclaw_opencode")


class Runner(Protocol):
    """What is used of a host: one server, and actions on it."""

    async def invoke(self, action: str, arguments: JsonObject) -> Mapping[str, object]:
        """Run an action and return its envelope."""


OpenRunner = Callable[[Settings], AbstractAsyncContextManager[Runner]]


@dataclass(slots=True, eq=False)
class Server:
    """A server that is up.

    Attributes:
        folder: Where its record, its log and its data are.
        runner: Runs actions on it.
        users: Tasks that run on it.
        tasks: Tasks that were given to it.
        retired: Whether it is to be ended when its last task has.
        adopted: Whether it was a lost worker's.
    """

    folder: Path
    settings: Settings
    runner: Runner
    leaving: asyncio.Event = field(repr=False)
    holding: asyncio.Task[None] = field(repr=False)
    users: int = 0
    tasks: int = 0
    retired: bool = False
    adopted: bool = False

    @property
    def is_alive(self) -> bool:
        """Whether its process runs."""
        return addresses.find_live_record(self.settings) is not None


class Pool:
    """The servers of one worker.

    Args:
        settings: The user's.
        home: The pool's own folder.
        places: How many tasks run at once.
        open_runner: Opens a host on a server.
        memory_bytes: A server that holds more is replaced between tasks.
    """

    def __init__(self, settings: Settings, home: Path, *, places: int, open_runner: OpenRunner, memory_bytes: int = MEMORY_BYTES) -> None:
        self._settings = settings
        self._home = home
        self._wanted = -(-places // PLACES_PER_SERVER)
        self._open_runner = open_runner
        self._memory_bytes = memory_bytes
        self._servers: list[Server] = []
        self._adopted: dict[Path, Server] = {}
        self._started = 0
        self._closed = False
        self._replacing: set[asyncio.Task[None]] = set()
        self._changing = anyio.Lock()
        self._adopting = anyio.Lock()

    @property
    def settings(self) -> Settings:
        """The user's settings."""
        return self._settings

    async def warm(self) -> None:
        """Start what is missing; raises ``DriverError`` where none can be started."""
        async with self._changing:
            while not self._closed and len([each for each in self._servers if not each.retired]) < self._wanted:
                self._servers.append(await self._start())

    async def acquire(self) -> Server:
        """A server with room for one more task; raises ``DriverError`` where none can be started."""
        async with self._changing:
            if self._closed:
                raise ServerProblem("server_unreachable", "this worker is ending, and starts no server any more")
            for server in [each for each in self._servers if not each.is_alive]:
                server.retired = True
                if not server.users:
                    await self._end(server)
            usable = [each for each in self._servers if not each.retired]
            if not usable or (len(usable) < self._wanted and min(each.users for each in usable) >= PLACES_PER_SERVER):
                usable = [await self._start()]
                self._servers += usable
            server = min(usable, key=lambda each: each.users)
            server.users += 1
            server.tasks += 1
            return server

    async def adopt(self, folder: Path) -> Server | None:
        """The server of a lost worker on which a task may still run; None where it is gone, and what it left running is ended."""
        async with self._adopting:
            server = self._adopted.get(folder)
            if server is None:
                settings = self._settings_for(folder)
                if not folder.is_dir():
                    return None
                if addresses.find_live_record(settings) is None:
                    await servers.stop(settings)
                    return None
                server = await self._opened(folder, settings)
                server.adopted = True
                self._adopted[folder] = server
            server.users += 1
            return server

    async def release(self, server: Server, *, at_rest: bool) -> None:
        """Let go of a server; one on which the task is not seen stopped is ended at once, with whatever runs below it."""
        async with self._adopting if server.adopted else self._changing:
            server.users -= 1
            if not at_rest:
                server.retired = True
                await self._stop_process(server)
            if not server.retired and not server.adopted:
                # It is given no new task from now on, and ended with its last one.
                server.retired = server.tasks >= TASKS_PER_SERVER or self._memory_of(server) > self._memory_bytes
            if not server.users and (server.retired or server.adopted):
                await self._end(server)
        if server.retired and not self._closed:
            self._replacing.add(replacing := asyncio.create_task(self._replace()))
            replacing.add_done_callback(self._replacing.discard)

    async def _replace(self) -> None:
        """Start a server in place of one that is retired, so that the next task need not wait for it."""
        with suppress(DriverError):  # the next task that needs one finds out, and says so
            await self.warm()

    async def close(self, *, keep: frozenset[str] = frozenset()) -> None:
        """End every server but those in ``keep``, by folder: their tasks are another worker's now."""
        self._closed = True
        with anyio.CancelScope(shield=True):
            # A server that is being started is ended with the others.
            async with self._changing:
                for server in (*self._servers, *self._adopted.values()):
                    if str(server.folder) not in keep:
                        await self._end(server)
        with suppress(OSError):
            self._home.rmdir()

    async def _start(self) -> Server:
        self._started += 1
        folder = require_private_folder(self._home / str(self._started))
        settings = self._settings_for(folder)
        self._carry(Path(settings.environ["XDG_DATA_HOME"]))
        try:
            await servers.start(settings, port=None, directory=str(folder), within_seconds=_START_SECONDS)
            return await self._opened(folder, settings)
        except BaseException:
            with anyio.CancelScope(shield=True):
                with suppress(DriverError):
                    await servers.stop(settings)
                await remove(folder)
            raise

    async def _opened(self, folder: Path, settings: Settings) -> Server:
        """A host on a server, opened and closed by a task of its own: whoever acquires it comes and goes."""
        opened: asyncio.Future[Runner] = asyncio.get_running_loop().create_future()
        leaving = asyncio.Event()

        async def hold() -> None:
            try:
                async with self._open_runner(settings) as runner:
                    opened.set_result(runner)
                    await leaving.wait()
            except DriverError as error:
                if opened.done():
                    raise
                opened.set_exception(error)

        holding = asyncio.create_task(hold())
        return Server(folder, settings, await opened, leaving, holding)

    def _settings_for(self, folder: Path) -> Settings:
        environ = {**(self._settings.environ or os.environ), "XDG_DATA_HOME": str(folder / "data")}
        for name in ("OPENCODE_API_URL", "OPENCODE_DB"):
            environ.pop(name, None)
        return replace(
            self._settings,
            url_given=False,
            server_folder=folder,
            call_seconds=None,
            environ=MappingProxyType(environ),
        )

    def _carry(self, data: Path) -> None:
        """Let the server see the user's log-ins: by a link, so that a token which it renews is renewed for all."""
        environ = self._settings.environ or os.environ
        home = environ.get("XDG_DATA_HOME", "")
        kept = Path(home if Path(home).is_absolute() else self._settings.home / ".local" / "share", "opencode")
        own = require_private_folder(data / "opencode")
        for name in _CARRIED:
            if (kept / name).exists() and not (own / name).exists():
                (own / name).symlink_to((kept / name).resolve())

    def _memory_of(self, server: Server) -> int:
        record = addresses.find_live_record(server.settings)
        return identity.memory_bytes(record.pid, record.start_ticks) if record is not None else 0

    async def _stop_process(self, server: Server) -> None:
        try:
            await servers.stop(server.settings)
        except DriverError as error:
            _log.error("a server of the batch could not be stopped: %s", error.message)

    async def _end(self, server: Server) -> None:
        """Close a server that nobody uses, stop it and remove its folder; another task of its lost worker may run on an adopted one."""
        with suppress(ValueError):
            self._servers.remove(server)
        self._adopted.pop(server.folder, None)
        with anyio.CancelScope(shield=True):
            server.leaving.set()
            try:
                await server.holding
            except Exception as error:  # noqa: BLE001 - its server is ended all the same
                _log.error("a host of the batch could not be closed", exc_info=error)
            if not server.adopted:
                await self._stop_process(server)
                await remove(server.folder)


async def end_left(settings: Settings, home: Path, *, keep: frozenset[str]) -> None:
    """Stop the servers of a lost worker and remove its folder, but for those in ``keep``, on which something may run."""
    pool = Pool(settings, home, places=0, open_runner=_nobody)
    for folder in sorted(path for path in home.glob("*") if path.is_dir() and str(path) not in keep):
        try:
            await servers.stop(pool._settings_for(folder))
        except DriverError as error:
            _log.error("a server of a lost worker could not be stopped: %s", error.message)
            continue
        await remove(folder)
    with suppress(OSError):
        home.rmdir()


async def remove(folder: Path) -> None:
    """Remove the folder of a server that has ended."""
    await anyio.to_thread.run_sync(lambda: shutil.rmtree(folder, ignore_errors=True))
    with suppress(OSError):
        folder.parent.rmdir()


def _nobody(_settings: Settings) -> AbstractAsyncContextManager[Runner]:
    raise RuntimeError("no task is run here")


__all__ = ["MEMORY_BYTES", "PLACES_PER_SERVER", "OpenRunner", "Pool", "Runner", "Server", "end_left", "remove"]
