"""Which server: the address that the user gave, a server of ours from the state file, or the default address; and whether it answers."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import urlsplit

import anyio

from netclaw_opencode._core import time_budget
from netclaw_opencode.errors import DriverError, ServerProblem
from netclaw_opencode.opencode.process import binary, identity, inspection, ports, state
from netclaw_opencode.opencode.trust import Gate, Trust
from netclaw_opencode.opencode.wire import reading, routes
from netclaw_opencode.opencode.wire.http import HttpClient
from netclaw_opencode.opencode.wire.types import Health
from netclaw_opencode.records.recorder import NO_RECORD, Recorder
from netclaw_opencode.settings import Settings, is_loopback

PROBE_SECONDS = 1.0
"""The first probe of a server's health; later ones take longer."""
_LONGEST_PROBE_SECONDS = 8.0
_UNCALLED_SECONDS = 3.0
"""How long a server is probed where no call says how long it may take, in seconds."""
_SILENT_SECONDS = 30.0
"""A server that accepts and is silent for so long does not become ready by waiting: the slowest first answer took 24 s (F2)."""
_UNCONNECTED_SECONDS = 2.5
"""Packets that are dropped are dropped by a filter: waiting does not help (R2)."""
_SAYING_SECONDS = 0.3
_PAUSE_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server is (or should be), and how to get in. ``record`` is set for a server that we started."""

    url: str
    username: str
    password: str | None = field(repr=False)
    record: state.ServerRecord | None = None

    def is_same_as(self, other: Address) -> bool:
        """Return whether the other is the same way to the same server: a restart on the same port has another password, or another mark."""
        return (self.url, self.username, self.password, self._mark) == (other.url, other.username, other.password, other._mark)

    @property
    def _mark(self) -> str | None:
        return self.record.mark if self.record is not None else None

    def client(self, recorder: Recorder = NO_RECORD, *, admit: Gate | None = None) -> HttpClient:
        """Return a client for this address; ``admit`` is asked before the server is made to open a directory."""
        own = (
            inspection.working_directory(self.record.pid, self.record.start_ticks)
            if admit is not None and self.record is not None
            else None
        )
        return HttpClient(url=self.url, username=self.username, password=self.password, record=recorder, admit=admit, own_directory=own)

    def gate(self, settings: Settings) -> Gate:
        """Return the question for trust in front of this server."""
        return Gate(Trust.from_settings(settings, only_plugins=self.without_project_code), self.record, folder=settings.server_dir)

    @property
    def without_project_code(self) -> bool:
        """Whether it is a server of ours that runs nothing of a folder but its plugins."""
        return self.record is not None and self.record.without_project_code


def locate(settings: Settings) -> Address:
    """Return the server to use.

    An address or password that the user gave is obeyed. Otherwise a server of ours that is alive comes before the default
    address.
    """
    record = find_live_record(settings)
    if record is not None and matches_settings(record, settings):
        return Address(record.url, record.username, record.password, record)
    return Address(settings.url, settings.username, settings.password)


def is_ours(settings: Settings) -> bool:
    """Return whether the server to use is one that we started, be it alive or not."""
    record = state.read(settings.server_dir)
    return record is not None and matches_settings(record, settings)


def matches_settings(record: state.ServerRecord, settings: Settings) -> bool:
    """Return whether the user's settings leave room for our server, or name it: by localhost or by its number, or by its password."""
    if not settings.url_given:
        # A server of ours that was started with the user's password is found by it again.
        return settings.password is None or (settings.password, settings.username) == (record.password, record.username)
    ours, given = urlsplit(record.url), urlsplit(settings.url)
    return is_loopback(settings.url) and (ours.scheme, ours.port) == (given.scheme, given.port or 80)


def find_live_record(settings: Settings) -> state.ServerRecord | None:
    """Return the recorded server, if that very process is alive."""
    record = state.read(settings.server_dir)
    return record if record is not None and is_alive(record) else None


def is_alive(record: state.ServerRecord) -> bool:
    """Return whether the recorded process runs. One of another PID namespace cannot be looked up: its port is looked at instead."""
    here = identity.this_process()
    if record.process.shares_namespace(here):
        return inspection.is_alive(record.pid, record.start_ticks)
    return record.boot_id == here.boot_id and ports.accepts_connections(urlsplit(record.url).port or 80)


def require_private(address: Address) -> None:
    """Refuse a server on this machine that answered without a password and that other machines can reach, too.

    Raises:
        ServerProblem: ``unauthenticated_server``.
    """
    if address.password is None and is_loopback(address.url):
        port = urlsplit(address.url).port or 80
        listening = ports.find_public_listener(port)
        if listening is not None:
            raise ServerProblem(
                "unauthenticated_server",
                f"the server at {address.url} has no password and listens on {listening}: every machine of the network can run "
                "commands here through it",
                details={"url": address.url, "listens_on": listening},
            )


async def requires_password(address: Address) -> bool:
    """Return whether the server refuses a call that shows no password; raises what keeps the question from being answered."""
    async with HttpClient(url=address.url, username=address.username, password=None) as client:
        try:
            await probe_health(client)
        except DriverError as error:
            if error.code != "auth_failed":
                raise
            return True
    return False


async def probe_health(client: HttpClient, *, within_seconds: float | None = None) -> Health:
    """Ask for health and version by short probes (F2: a request in a server's first moments may hang for ever).

    Probes are repeated, each with twice the time of the one before, for half a minute at most. If not even a connection can be made, the
    error comes after three seconds.

    Args:
        client: The server.
        within_seconds: Time for all probes; None for what the running call has left.

    Raises:
        ServerProblem: ``server_unreachable``, ``auth_failed``, ``not_opencode`` or ``server_not_ready``.
    """
    began = anyio.current_time()
    time_left = within_seconds or min(time_budget.remaining_to_deadline(_UNCALLED_SECONDS), _SILENT_SECONDS)
    # The last moment belongs to saying so, before a scope around this one ends it without a word.
    ends = min(began + time_left, anyio.current_effective_deadline()) - _SAYING_SECONDS
    seconds = PROBE_SECONDS
    while True:
        try:
            limit = max(_SAYING_SECONDS, min(seconds, ends - anyio.current_time()))
            return reading.health(await client.call(routes.HEALTH, limit_seconds=limit))
        except DriverError as error:
            if error.code == "not_opencode" and error.details.get("names_opencode"):
                # OpenCode 1 answers its health in JSON, whatever else is wrong with it (F64).
                raise binary.wrong_generation_error(client.url) from error
            if error.code == "bad_response":
                raise ServerProblem("not_opencode", f"{client.url} answers, but not as OpenCode does: {error.message}") from error
            if error.code == "connection_lost":
                raise ServerProblem("not_opencode", f"{client.url} does not answer as OpenCode does: {error.message}") from error
            # A lost packet, too, is worth another probe.
            if error.code != "request_timeout" and error.details.get("reason") != "timeout":
                raise
            if error.code == "server_unreachable" and anyio.current_time() >= min(ends, began + _UNCONNECTED_SECONDS):
                raise
            if anyio.current_time() >= ends:
                waited = anyio.current_time() - began
                raise ServerProblem(
                    "server_not_ready", f"{client.url} accepts connections but did not answer for {waited:.0f} s"
                ) from error
        seconds = min(seconds * 2, _LONGEST_PROBE_SECONDS)
        await anyio.sleep(_PAUSE_SECONDS)
