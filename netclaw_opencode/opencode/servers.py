"""Start, adopt and stop a server of ours.

A stop ends the sessions first (F5). ``addresses`` decides which server is meant; ``process/`` starts and ends processes.
"""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import anyio
import anyio.to_thread

from netclaw_opencode._core import time_budget
from netclaw_opencode._core.private_files import require_private_folder
from netclaw_opencode.errors import DriverError, Refused, ServerProblem
from netclaw_opencode.opencode.addresses import PROBE_SECONDS, Address, find_live_record, is_alive, matches_settings, probe_health
from netclaw_opencode.opencode.process import binary, identity, inspection, locks, orphans, ownership, ports, spawning, state, terminating
from netclaw_opencode.opencode.trust import Trust, forget_opened
from netclaw_opencode.opencode.wire import listing, reading, routes
from netclaw_opencode.opencode.wire.http import HttpClient
from netclaw_opencode.records.recorder import NO_RECORD, Recorder
from netclaw_opencode.settings import Settings, is_loopback

_ABORT_SECONDS = 10.0
_PORT_TRIES = 3
_LOCK = "server"
_LOG = "server.log"
"""Beside the state file; the record shows it to people, and no path of the record is ever removed."""
_LOCK_SECONDS = 60.0
_LISTED = 1000
_DIRECTORIES_AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class StartResult:
    """A server that is up; ``started`` is false for one that ran already."""

    record: state.ServerRecord
    started: bool


async def start(
    settings: Settings, *, port: int | None, directory: str, within_seconds: float, without_project_code: bool = False
) -> StartResult:
    """Start a server of ours on loopback, or adopt the one that runs.

    Args:
        settings: The settings; without a password in them, the server gets a random one.
        port: The port; None for that of an address that the user gave, else a free one.
        directory: The server's working directory; it must be trusted.
        within_seconds: Time for becoming ready.
        without_project_code: Start it so that it runs nothing of a folder but its plugins.

    Raises:
        ServerProblem: It cannot be started, or another one is in the way.
    """
    if settings.url_given and not is_loopback(settings.url):
        raise ServerProblem(
            "server_unreachable",
            f"OPENCODE_API_URL {settings.url} is another machine; a server is only started on this one",
            next="start OpenCode there, or unset OPENCODE_API_URL",
        )
    ends = anyio.current_time() + within_seconds
    async with locks.hold(settings.server_dir, _LOCK, within_seconds=within_seconds) as mine:
        if not mine:
            raise ServerProblem("server_not_ready", f"another process has been starting the server for {within_seconds:g} s")
        record = find_live_record(settings)
        if record is None:
            Trust.from_settings(settings, only_plugins=without_project_code).require(directory)
            forget_opened(settings.server_dir)
            made = await _start(settings, port=port, directory=directory, ends=ends, without_project_code=without_project_code)
            return StartResult(made, started=True)
        if port and not record.url.endswith(f":{port}"):
            raise ServerProblem(
                "port_in_use",
                f"a server of ours runs already, at {record.url}",
                next="netclaw-opencode server stop-server",
                details={"url": record.url},
            )
        if without_project_code and not record.without_project_code:
            raise ServerProblem(
                "port_in_use",
                f"a server of ours runs already, at {record.url}, and it runs the code of projects",
                next="netclaw-opencode server stop-server",
                details={"url": record.url},
            )
        if not matches_settings(record, settings):
            raise _other_server_error(record, settings)
        async with Address(record.url, record.username, record.password, record).client() as client:
            await probe_health(client, within_seconds=max(PROBE_SECONDS, ends - anyio.current_time()))
        return StartResult(record, started=False)


def _other_server_error(record: state.ServerRecord, settings: Settings) -> ServerProblem:
    """Return the error where our server runs, but the settings lead elsewhere: one server of ours at a time."""
    if settings.url_given:
        code, why, variable = "port_in_use", f"OPENCODE_API_URL leads to {settings.url}", "OPENCODE_API_URL"
    else:
        code, why, variable = "auth_failed", "OPENCODE_SERVER_PASSWORD or its user name is not this server's", "OPENCODE_SERVER_PASSWORD"
    return ServerProblem(
        code,
        f"a server of ours runs already, at {record.url}, but {why}",
        next=f"unset {variable} to use it, or netclaw-opencode server stop-server",
        details={"url": record.url},
    )


def find_program(settings: Settings) -> binary.Binary:
    """OpenCode's program and version.

    Raises:
        ServerProblem: ``binary_not_found``, ``unsupported_version``.
    """
    found = binary.find_binary(settings.binary, search_path=settings.environ.get("PATH"), state_dir=settings.state_dir)
    return binary.read_binary(found)


async def _start(
    settings: Settings, *, port: int | None, directory: str, ends: float, without_project_code: bool = False
) -> state.ServerRecord:
    found = await anyio.to_thread.run_sync(find_program, settings)
    if binary.is_vulnerable(found.version):
        raise ServerProblem(
            "vulnerable_version",
            f"OpenCode {found.version} has a known vulnerability (GHSA-632h-h47v-g4x4, fixed in 1.18.22); it is not started",
            details={"version": found.version, "binary": found.path},
        )
    if port is None:
        port = (urlsplit(settings.url).port or 0) if settings.url_given else 0
    # Left to itself OpenCode takes 4096 first, which is where the user's own server belongs.
    tries = _PORT_TRIES if port == 0 else 1
    password = settings.password or secrets.token_urlsafe(32)
    log_file = _log_file(settings.server_dir)
    environment = spawning.server_environment(settings.environ or os.environ, extra=settings.server_env, password=password)
    mark = orphans.new_mark()
    environment |= {"OPENCODE_SERVER_USERNAME": settings.username, orphans.VARIABLE: mark}
    if without_project_code:
        environment["OPENCODE_DISABLE_PROJECT_CONFIG"] = "1"
    await terminate_orphans(state.read(settings.server_dir))

    def record(spawned: spawning.Spawned) -> state.ServerRecord:
        return state.ServerRecord(
            url=spawned.url,
            pid=spawned.process.pid,
            start_ticks=spawned.process.start_ticks,
            boot_id=spawned.process.boot_id,
            pid_namespace=spawned.process.pid_namespace,
            username=settings.username,
            password=password,
            binary=found.path,
            opencode_version=found.version,
            log_file=str(log_file),
            mark=mark,
            without_project_code=without_project_code,
        )

    async def ready(url: str) -> bool:
        async with HttpClient(url=url, username=settings.username, password=password) as client:
            try:
                return reading.health(await client.call(routes.HEALTH, limit_seconds=PROBE_SECONDS)).healthy
            except DriverError:
                return False

    while True:
        tries -= 1
        chosen = port or ports.pick_free_port()
        try:
            spawned = await spawning.spawn(
                found.path,
                port=chosen,
                environment=environment,
                directory=directory,
                log_file=log_file,
                within_seconds=ends - anyio.current_time(),
                ready=ready,
                options=("--pure",) if without_project_code else (),
                # Before it is ready: should we be killed now, the next call still finds the process.
                started=lambda spawned: state.write(settings.server_dir, record(spawned)),
            )
            return record(spawned)
        except BaseException as error:
            state.remove(settings.server_dir)
            if not isinstance(error, ServerProblem) or error.code != "port_in_use" or tries == 0:
                raise


def _log_file(server_dir: Path) -> Path:
    """Return the log of the server that is about to start; the one before it is replaced."""
    log_file = require_private_folder(server_dir) / _LOG
    log_file.unlink(missing_ok=True)
    return log_file


@dataclass(frozen=True, slots=True)
class StopResult:
    """What stopping our server did."""

    record: state.ServerRecord | None
    ended: terminating.Termination | None
    sessions_aborted: tuple[str, ...]


async def stop(settings: Settings, *, recorder: Recorder = NO_RECORD) -> StopResult:
    """Stop the server that we started: abort what runs, then end the process with its children, then forget it.

    Raises:
        Refused: ``kill_refused``: the process is not provably ours.
    """
    async with locks.hold(settings.server_dir, _LOCK, within_seconds=_LOCK_SECONDS) as mine:
        if not mine:
            raise ServerProblem("server_not_ready", "another process is starting or stopping the server")
        record = state.read(settings.server_dir)
        argv, start_ticks, same_user = inspection.read_command_line(record.pid) if record is not None else ((), None, False)
        if record is not None and not argv:
            # A process that is just ending has lost its command line, but not yet its place.
            await anyio.to_thread.run_sync(inspection.wait_until_gone, record.pid, record.start_ticks)
        if record is None or not is_alive(record):
            await terminate_orphans(record)
            state.remove(settings.server_dir)
            forget_opened(settings.server_dir)
            if record is not None:
                (settings.server_dir / _LOG).unlink(missing_ok=True)
            return StopResult(record, None, ())
        _require_own_process(
            recorder,
            ownership.ProcessFacts(
                record.pid,
                record.start_ticks,
                start_ticks,
                argv=argv,
                recorded_binary=record.binary,
                same_user=same_user,
                recorded_port=urlsplit(record.url).port or 0,
                caller=terminating.ancestor_pids(),
                same_namespace=record.process.shares_namespace(identity.this_process()),
            ),
        )
        aborted = await _abort_all(record, recorder, settings)
        ended = await terminating.terminate_tree(record.pid, record.start_ticks)
        recorder.note("ended", signal=ended.signal, processes_ended=ended.processes_ended, processes_left=ended.processes_left)
        if ended.processes_left == 0:
            await terminate_orphans(record)
            state.remove(settings.server_dir)
            forget_opened(settings.server_dir)
            (settings.server_dir / _LOG).unlink(missing_ok=True)
        return StopResult(record, ended, aborted)


def _require_own_process(recorder: Recorder, facts: ownership.ProcessFacts) -> None:
    try:
        ownership.require_own_process(facts)
    except Refused as error:
        recorder.note("rule", rule=error.rule, answer="refused", code=error.code)
        raise
    recorder.note("rule", rule="own-things-only", answer="allowed")


async def terminate_orphans(record: state.ServerRecord | None) -> int:
    """End what a dead server of ours left running; returns how many processes that were."""
    if record is None or not record.process.shares_namespace(identity.this_process()):
        return 0
    if not await anyio.to_thread.run_sync(inspection.wait_until_gone, record.pid, record.start_ticks):
        return 0
    # A mark of version 1.0 may be that of a server which was started again since.
    return await orphans.terminate(record.mark, port=urlsplit(record.url).port if record.version > 1 else None)


async def _require_opencode(client: HttpClient, record: state.ServerRecord) -> None:
    """Refuse to end what answers at our address, and not as OpenCode; silence proves nothing, since ours may hang."""
    try:
        await probe_health(client, within_seconds=PROBE_SECONDS)
    except DriverError as error:
        lost = isinstance(error.__cause__, DriverError) and error.__cause__.code == "connection_lost"
        if error.code != "not_opencode" or lost:
            raise
        raise Refused(
            "kill_refused",
            f"process {record.pid} was not signalled: what answers at {record.url} is not OpenCode",
            rule="own-things-only",
            details={"pid": record.pid, "url": record.url},
        ) from error


async def _abort_all(record: state.ServerRecord, recorder: Recorder, settings: Settings) -> tuple[str, ...]:
    """Abort every running session, in each directory: tool children outlive their server (F5)."""
    aborted: list[str] = []
    with anyio.move_on_after(time_budget.remaining_up_to(_ABORT_SECONDS, stopping=True)):
        recorder.hide(record.password)
        address = Address(record.url, record.username, record.password, record)
        gate = address.gate(settings)
        async with address.client(recorder) as client:
            try:
                await _require_opencode(client, record)
                found = await listing.list_sessions(client, most=_LISTED)
                async with anyio.create_task_group() as tasks:
                    limiter = anyio.CapacityLimiter(_DIRECTORIES_AT_ONCE)
                    for directory in dict.fromkeys(item.directory for item in found.sessions):
                        if not gate.admits(directory):
                            # It was never opened here, so nothing runs in it, and a look would start what it brings.
                            continue
                        tasks.start_soon(_abort_in, client, directory, aborted, limiter)
            except Refused:
                raise
            except DriverError:
                # A server that no longer answers is ended all the same; the process tree is swept below.
                return tuple(aborted)
    return tuple(aborted)


async def _abort_in(client: HttpClient, directory: str, aborted: list[str], limiter: anyio.CapacityLimiter) -> None:
    """Abort what runs in one directory; one that cannot be read (a broken project) keeps no other from it."""
    async with limiter:
        with suppress(DriverError):
            for session_id in reading.statuses(await client.call(routes.SESSION_STATUS, directory=directory)):
                await client.call(routes.SESSION_ABORT, ids={"session_id": session_id}, directory=directory)
                aborted.append(session_id)
