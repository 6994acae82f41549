"""Which server: found, waited for, started, stopped.

Owns the choice between the address that the user gave, a server of ours from the state file and the default address;
and the order of a stop (sessions first, F5). Processes themselves are ``server``'s.
"""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import anyio
import anyio.to_thread

from netclaw_opencode import calltime
from netclaw_opencode.client import reading, routes
from netclaw_opencode.client.http import HttpClient
from netclaw_opencode.client.types import Health
from netclaw_opencode.driver import rules
from netclaw_opencode.driver.noting import asked
from netclaw_opencode.driver.trust import Gate, Trust, forget_opened
from netclaw_opencode.errors import DriverError, Refused, ServerProblem
from netclaw_opencode.record import NO_RECORD, Recorder
from netclaw_opencode.server import binary, locks, orphans, process, state
from netclaw_opencode.settings import Settings, is_loopback

_PROBE_SECONDS = 1.0
_PROBES = 3
_ABORT_SECONDS = 10.0
_PORT_TRIES = 3
_LOCK = "server"
_LOG = "server.log"
"""Beside the state file; the record tells it to people, and no path of the record is ever removed."""
_LOCK_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server is (or should be), and how to get in. ``record`` is set for a server that we started."""

    url: str
    username: str
    password: str | None = field(repr=False)
    record: state.ServerRecord | None = None

    def client(self, recorder: Recorder = NO_RECORD, *, admit: Gate | None = None) -> HttpClient:
        """A client for this address; ``admit`` is asked before the server is made to open a directory."""
        own = process.working_directory(self.record.pid, self.record.create_time) if admit is not None and self.record is not None else None
        return HttpClient(url=self.url, username=self.username, password=self.password, record=recorder, admit=admit, own_directory=own)

    def gate(self, settings: Settings) -> Gate:
        """The question for trust in front of this server."""
        return Gate(Trust.of(settings, only_plugins=self.without_project_code), self.record)

    @property
    def without_project_code(self) -> bool:
        """Whether it is a server of ours that runs nothing of a folder but its plugins."""
        return self.record is not None and self.record.without_project_code


def locate(settings: Settings) -> Address:
    """The server to use.

    An address or password that the user gave is obeyed. Otherwise a server of ours that is alive comes before the default
    address.
    """
    record = live_record(settings)
    if record is not None and _is_meant(record, settings):
        return Address(record.url, record.username, record.password, record)
    return Address(settings.url, settings.username, settings.password)


def is_ours(settings: Settings) -> bool:
    """Whether the server to use is one that we started, be it alive or not."""
    record = state.read(settings.state_dir)
    return record is not None and _is_meant(record, settings)


def _is_meant(record: state.ServerRecord, settings: Settings) -> bool:
    """Whether the user's settings leave room for our server, or name it: by localhost or by its number, or by its password."""
    if not settings.url_given:
        # A server of ours that was started with the user's password is found by it again.
        return settings.password is None or (settings.password, settings.username) == (record.password, record.username)
    ours, given = urlsplit(record.url), urlsplit(settings.url)
    return is_loopback(settings.url) and (ours.scheme, ours.port) == (given.scheme, given.port or 80)


def live_record(settings: Settings) -> state.ServerRecord | None:
    """The recorded server, if that very process is alive."""
    record = state.read(settings.state_dir)
    return record if record is not None and process.is_alive(record.pid, record.create_time) else None


def require_private(address: Address) -> None:
    """Refuse a server on this machine that answered without a password and that other machines can reach, too.

    Raises ``ServerProblem`` (``unauthenticated_server``).
    """
    if address.password is None and is_loopback(address.url):
        port = urlsplit(address.url).port or 80
        listening = process.listens_beyond_loopback(port)
        if listening is not None:
            raise ServerProblem(
                "unauthenticated_server",
                f"the server at {address.url} has no password and listens on {listening}: every machine of the network can run "
                "commands here through it",
                details={"url": address.url, "listens_on": listening},
            )


async def asks_for_password(address: Address) -> bool:
    """Whether the server refuses a call that shows no password; raises what keeps the question from being answered."""
    async with HttpClient(url=address.url, username=address.username, password=None) as client:
        try:
            await health(client)
        except DriverError as error:
            if error.code != "auth_failed":
                raise
            return True
    return False


async def health(client: HttpClient, *, probes: int = _PROBES) -> Health:
    """Health and version, by short probes (F2: a request in a server's first moments may hang for ever).

    Raises ``ServerProblem``: ``server_unreachable``, ``auth_failed``, ``not_opencode``, ``server_not_ready``.
    """
    unanswered: DriverError | None = None
    for _ in range(probes):
        try:
            return reading.health(await client.call(routes.HEALTH, limit_seconds=_PROBE_SECONDS))
        except DriverError as error:
            if error.code == "not_opencode" and error.details.get("names_opencode"):
                # OpenCode 1 answers its health in JSON, whatever else is wrong with it (F64).
                raise binary.another_generation(client.url) from error
            if error.code == "bad_response":
                raise ServerProblem("not_opencode", f"{client.url} answers, but not as OpenCode does: {error.message}") from error
            if error.code == "connection_lost":
                raise ServerProblem("not_opencode", f"{client.url} does not answer as OpenCode does: {error.message}") from error
            # A lost packet, too, is worth another probe.
            if error.code != "request_timeout" and error.details.get("reason") != "timeout":
                raise
            unanswered = error
    if unanswered is not None and unanswered.code == "server_unreachable":
        raise unanswered
    raise ServerProblem("server_not_ready", f"{client.url} accepts connections but did not answer {probes} probes of {_PROBE_SECONDS:g} s")


@dataclass(frozen=True, slots=True)
class Started:
    """A server that is up; ``started`` is false for one that ran already."""

    record: state.ServerRecord
    started: bool


async def start(
    settings: Settings, *, port: int | None, directory: str, within_seconds: float, without_project_code: bool = False
) -> Started:
    """Start a server of ours, or adopt the one that runs.

    Loopback only; ``port`` None means the port of an address that the user gave, else a free one; the password is the
    user's, else a fresh random one. Raises ``ServerProblem``.
    """
    if settings.url_given and not is_loopback(settings.url):
        raise ServerProblem(
            "server_unreachable",
            f"OPENCODE_API_URL {settings.url} is another machine; a server is only started on this one",
            next="start OpenCode there, or unset OPENCODE_API_URL",
        )
    ends = anyio.current_time() + within_seconds
    async with locks.held(settings.state_dir, _LOCK, within_seconds=within_seconds) as mine:
        if not mine:
            raise ServerProblem("server_not_ready", f"another process has been starting the server for {within_seconds:g} s")
        record = live_record(settings)
        if record is None:
            Trust.of(settings, only_plugins=without_project_code).require(directory)
            forget_opened(settings.state_dir)
            made = await _start(settings, port=port, directory=directory, ends=ends, without_project_code=without_project_code)
            return Started(made, started=True)
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
        if not _is_meant(record, settings):
            raise _another_is_meant(record, settings)
        async with Address(record.url, record.username, record.password, record).client() as client:
            await health(client, probes=max(1, int((ends - anyio.current_time()) / _PROBE_SECONDS)))
        return Started(record, started=False)


def _another_is_meant(record: state.ServerRecord, settings: Settings) -> ServerProblem:
    """The error where our server runs, but the settings lead elsewhere: one server of ours at a time."""
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


def program(settings: Settings) -> binary.Binary:
    """OpenCode's program and version; raises ``ServerProblem`` (``binary_not_found``, ``unsupported_version``)."""
    found = binary.find_binary(settings.binary, search_path=settings.environ.get("PATH"), state_dir=settings.state_dir)
    return binary.read_binary(found)


async def _start(
    settings: Settings, *, port: int | None, directory: str, ends: float, without_project_code: bool = False
) -> state.ServerRecord:
    found = await anyio.to_thread.run_sync(program, settings)
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
    log_file = _log_file(settings.state_dir)
    environment = process.server_environment(settings.environ or os.environ, extra=settings.server_env, password=password)
    environment["OPENCODE_SERVER_USERNAME"] = settings.username
    if without_project_code:
        environment["OPENCODE_DISABLE_PROJECT_CONFIG"] = "1"
    await end_orphans(state.read(settings.state_dir))

    def record(spawned: process.Spawned) -> state.ServerRecord:
        return state.ServerRecord(
            url=spawned.url,
            pid=spawned.pid,
            create_time=spawned.create_time,
            username=settings.username,
            password=password,
            binary=found.path,
            opencode_version=found.version,
            log_file=str(log_file),
            without_project_code=without_project_code,
        )

    async def ready(url: str) -> bool:
        async with HttpClient(url=url, username=settings.username, password=password) as client:
            try:
                return reading.health(await client.call(routes.HEALTH, limit_seconds=_PROBE_SECONDS)).healthy
            except DriverError:
                return False

    while True:
        tries -= 1
        chosen = port or process.free_port()
        mark = orphans.mark_of(process.url_of(chosen), password)
        try:
            spawned = await process.spawn(
                found.path,
                port=chosen,
                environment={**environment, orphans.VARIABLE: mark},
                directory=directory,
                log_file=log_file,
                within_seconds=ends - anyio.current_time(),
                ready=ready,
                options=("--pure",) if without_project_code else (),
                # Before it is ready: should we be killed now, the next call still finds the process.
                started=lambda spawned: state.write(settings.state_dir, record(spawned)),
            )
            return record(spawned)
        except BaseException as error:
            state.remove(settings.state_dir)
            if not isinstance(error, ServerProblem) or error.code != "port_in_use" or tries == 0:
                raise


def _log_file(state_dir: Path) -> Path:
    """The log of the server that is about to start; the one before it is replaced."""
    log_file = state.folder(state_dir) / _LOG
    log_file.unlink(missing_ok=True)
    return log_file


@dataclass(frozen=True, slots=True)
class Stopped:
    """What stopping our server did."""

    record: state.ServerRecord | None
    ended: process.Ended | None
    sessions_aborted: tuple[str, ...]


async def stop(settings: Settings, *, recorder: Recorder = NO_RECORD) -> Stopped:
    """Stop the server that we started: abort what runs, then end the process with its children, then forget it.

    Raises ``Refused`` (``kill_refused``) where the process is not provably ours.
    """
    async with locks.held(settings.state_dir, _LOCK, within_seconds=_LOCK_SECONDS) as mine:
        if not mine:
            raise ServerProblem("server_not_ready", "another process is starting or stopping the server")
        record = state.read(settings.state_dir)
        argv, create_time, same_user = process.argv_of(record.pid) if record is not None else ((), None, False)
        if record is not None and not argv:
            # A process that is just ending has lost its command line, but not yet its place.
            await anyio.to_thread.run_sync(process.ends, record.pid, record.create_time)
        if record is None or not process.is_alive(record.pid, record.create_time):
            await end_orphans(record)
            state.remove(settings.state_dir)
            forget_opened(settings.state_dir)
            if record is not None:
                (settings.state_dir / _LOG).unlink(missing_ok=True)
            return Stopped(record, None, ())
        asked(
            recorder,
            rules.own_process,
            rules.ProcessFacts(
                record.pid,
                record.create_time,
                create_time,
                argv=argv,
                recorded_binary=record.binary,
                same_user=same_user,
                recorded_port=urlsplit(record.url).port or 0,
                caller=process.callers(),
            ),
        )
        aborted = await _abort_all(record, recorder, settings)
        ended = await process.end(record.pid, record.create_time)
        recorder.note("ended", signal=ended.signal, processes_ended=ended.processes_ended, processes_left=ended.processes_left)
        if ended.processes_left == 0:
            await end_orphans(record)
            state.remove(settings.state_dir)
            forget_opened(settings.state_dir)
            (settings.state_dir / _LOG).unlink(missing_ok=True)
        return Stopped(record, ended, aborted)


async def end_orphans(record: state.ServerRecord | None) -> int:
    """End what a dead server of ours left running; returns how many processes that were."""
    if record is None or not await anyio.to_thread.run_sync(process.ends, record.pid, record.create_time):
        return 0
    return await orphans.end(orphans.mark_of(record.url, record.password))


async def _require_opencode(client: HttpClient, record: state.ServerRecord) -> None:
    """Refuse to end what answers at our address, and not as OpenCode; silence proves nothing, since ours may hang."""
    try:
        await health(client, probes=1)
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
    with anyio.move_on_after(calltime.within(_ABORT_SECONDS, stopping=True)):
        recorder.hide(record.password)
        address = Address(record.url, record.username, record.password, record)
        gate = address.gate(settings)
        async with address.client(recorder) as client:
            try:
                await _require_opencode(client, record)
                found = reading.sessions(await client.call(routes.ALL_SESSIONS, query={"limit": "1000"}))
                for directory in dict.fromkeys(item.directory for item in found):
                    if not gate.admits(directory):
                        # It was never opened here, so nothing runs in it, and a look would start what it brings.
                        continue
                    running = reading.statuses(await client.call(routes.SESSION_STATUS, directory=directory))
                    for session_id in running:
                        await client.call(routes.SESSION_ABORT, ids={"session_id": session_id}, directory=directory)
                        aborted.append(session_id)
            except Refused:
                raise
            except DriverError:
                # A server that no longer answers is ended all the same; the process tree is swept below.
                return tuple(aborted)
    return tuple(aborted)
