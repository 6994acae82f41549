"""The look itself: this machine and the server side by side, each within its time.

Owns what is read and in which order, and the bound on all of it. It decides nothing, and it changes nothing: no server is
started, no file written, no request of the agent answered.
"""

from __future__ import annotations

import importlib.metadata
import logging
import os
import shutil
import threading
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import Future, wait
from contextlib import suppress
from contextvars import copy_context
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread

from netclaw_opencode._core import policy, time_budget
from netclaw_opencode.doctor import integrations
from netclaw_opencode.doctor.facts import DiskSpace, Facts
from netclaw_opencode.driver import leftovers
from netclaw_opencode.errors import DriverError
from netclaw_opencode.opencode import addresses, servers
from netclaw_opencode.opencode.directories import Places, check_directory
from netclaw_opencode.opencode.process import neighbours, state

if TYPE_CHECKING:
    from netclaw_opencode.opencode.connection import Connection
    from netclaw_opencode.settings import Settings

SECONDS = 10.0
"""The whole look takes no longer."""
_LOCAL_SECONDS = 5.0
_SERVER_SECONDS = 9.0
_STEP_SECONDS = 5.0

_log = logging.getLogger("netclaw_opencode.doctor")


async def collect_facts(settings: Settings, connect: Callable[[], Awaitable[Connection]], *, directory: str | None = None) -> Facts:
    """Everything that can be seen within the time; ``connect`` gives the connection to the server that would be used."""
    facts = Facts(settings)
    with anyio.move_on_after(time_budget.remaining_up_to(SECONDS)):
        await _in_thread(partial(probe_directory, directory or settings.directory), facts)
        async with anyio.create_task_group() as group:
            for step in (_probe_program, _probe_state, _probe_processes, _probe_disk_spaces, _probe_settings, _probe_hosts):
                group.start_soon(_in_thread, step, facts)
            group.start_soon(_probe_server, facts, connect)
    return facts


async def _in_thread(step: Callable[[Facts], None], facts: Facts) -> None:
    """One step that asks the system. What it would have seen stays unknown if it takes too long or is not permitted."""
    seen: Future[None] = Future()

    def run() -> None:
        try:
            step(facts)
        except OSError as error:
            _log.info("%s: not seen: %s", step, error)
        except BaseException as error:  # noqa: BLE001 - raised below, where it is awaited
            seen.set_exception(error)
            return
        seen.set_result(None)

    # A file system that hangs must hang neither the doctor nor, as a thread of a pool would, the end of the process.
    threading.Thread(target=copy_context().run, args=(run,), name="doctor", daemon=True).start()
    await anyio.to_thread.run_sync(wait, (seen,), _LOCAL_SECONDS, abandon_on_cancel=True)
    if seen.done():
        seen.result()


def probe_directory(directory: str, facts: Facts) -> None:
    """The directory, and whether a task may work there."""
    try:
        facts.directory = check_directory(directory)
    except DriverError as error:
        facts.directory = error
        return
    try:
        # As it was given, so that a refusal can say where it really leads.
        Places.from_settings(facts.settings).require(directory)
    except DriverError as error:
        facts.refused = error


def _probe_program(facts: Facts) -> None:
    with time_budget.call_budget(_LOCAL_SECONDS, clock=time.monotonic):
        try:
            facts.program = servers.find_program(facts.settings)
        except DriverError as error:
            facts.program = error


def _probe_state(facts: Facts) -> None:
    try:
        facts.record = state.read(facts.settings.server_dir)
    except DriverError as error:
        facts.state_problem = error
    if facts.record is not None:
        facts.record_alive = addresses.is_alive(facts.record)
        facts.server_mark = facts.record.mark
    facts.state_there = facts.settings.state_dir.is_dir()
    facts.state_seen = True


def _probe_processes(facts: Facts) -> None:
    facts.neighbours = neighbours.list_servers()


def _probe_disk_spaces(facts: Facts) -> None:
    data_dir = neighbours.data_dir(facts.settings.environ or os.environ)
    places = [("state", facts.settings.state_dir), *([("OpenCode's data", data_dir)] if data_dir is not None else [])]
    facts.disk_spaces = tuple(DiskSpace(what, path, free) for what, path in places if (free := neighbours.free_bytes(path)) is not None)


def _probe_settings(facts: Facts) -> None:
    settings = facts.settings
    try:
        facts.policy = policy.load_policy(settings.policy)
    except DriverError as error:
        facts.policy = error
    named = {"OPENCODE_DRIVER_AUDIT": settings.audit, "OPENCODE_DRIVER_RECORD": settings.record}
    unusable = [f"{name} names {path}, in a folder that is not there" for name, path in named.items() if path and not path.parent.is_dir()]
    unusable += [f"OPENCODE_DRIVER_ROOTS names {root}, which is no folder" for root in settings.roots if not root.is_dir()]
    unusable += [
        f"OPENCODE_DRIVER_SERVER_ENV names {name}, which is not set" for name in settings.server_env if name not in settings.environ
    ]
    facts.unusable = tuple(unusable)


def _probe_hosts(facts: Facts) -> None:
    environ = facts.settings.environ or os.environ
    facts.command = shutil.which("netclaw-opencode", path=environ.get("PATH"))
    try:
        facts.mcp_version = importlib.metadata.version("mcp")
    except importlib.metadata.PackageNotFoundError:
        facts.mcp_version = None
    facts.integrations = integrations.find_hosts(environ, Path(facts.settings.home))


async def _probe_server(facts: Facts, connect: Callable[[], Awaitable[Connection]]) -> None:
    with anyio.move_on_after(_SERVER_SECONDS):
        try:
            address = addresses.locate(facts.settings)
            facts.url, facts.ours = address.url, address.record is not None
            connection = await connect()
            facts.health = connection.health
        except DriverError as error:
            facts.health = error
            return
        # Only a look at a server that has answered already: unknown is an answer.
        with suppress(DriverError):
            facts.asks_password = await addresses.requires_password(address)
        if not isinstance(facts.directory, str):
            return
        directory = facts.directory
        try:
            await connection.require_sessions(directory)
            facts.serves_sessions = True
        except DriverError as error:
            # The rest would only repeat it.
            facts.serves_sessions = error
            return
        for step in (_probe_catalogue, _probe_rules, _probe_leftovers):
            with anyio.move_on_after(_STEP_SECONDS):
                await step(facts, connection, directory)


async def _probe_catalogue(facts: Facts, connection: Connection, directory: str) -> None:
    try:
        facts.catalogue = await connection.catalogue(directory)
    except DriverError as error:
        facts.catalogue = error


async def _probe_rules(facts: Facts, connection: Connection, directory: str) -> None:
    # Only a look at how much will be asked: unknown is an answer.
    with suppress(DriverError):
        facts.rules = await connection.rules(directory)


async def _probe_leftovers(facts: Facts, connection: Connection, directory: str) -> None:
    with suppress(DriverError):
        facts.statuses = await connection.statuses(directory)
        facts.leftovers = (await leftovers.find(connection)).found


__all__ = ["SECONDS", "collect_facts", "probe_directory"]
