"""Which server is used, how it is probed, and what starting and stopping one of ours does around the process.

No server runs here but small scripts that listen; answers come through httpx's transport, and what would be spawned is
recorded. The whole way is tested with the real server in ``tests/real``.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import anyio
import httpx
import pytest

from netclaw_opencode.errors import DriverError, ServerProblem
from netclaw_opencode.opencode import addresses, servers
from netclaw_opencode.opencode.process import identity, spawning, state
from netclaw_opencode.opencode.process.spawning import Spawned
from netclaw_opencode.opencode.process.state import ServerRecord
from netclaw_opencode.opencode.wire.http import HttpClient
from netclaw_opencode.opencode.wire.types import Health
from netclaw_opencode.settings import Settings
from tests.support.answering import Server, Stuck, answering, failing, streaming
from tests.support.records import server_record

HEALTHY = '{"healthy":true,"version":"1.18.33"}'
OURS = server_record(1, start_ticks=1)


def me(**changes: object) -> ServerRecord:
    """A record of a process that is alive: this one."""
    return server_record(os.getpid(), **changes)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A state folder."""
    return tmp_path / "state"


# --- which one -----------------------------------------------------------------------------------------------------------


def test_without_a_server_of_ours_the_users_address_counts(home: Path) -> None:
    """Or the default one; with the user's name and password, which is in no repr."""
    address = addresses.locate(Settings(state_dir=home))
    assert (address.url, address.username, address.password, address.record) == ("http://localhost:4096", "opencode", None, None)
    address = addresses.locate(Settings(url="http://127.0.0.1:9", url_given=True, username="u", password="canary-pass", state_dir=home))
    assert (address.url, address.username, address.password) == ("http://127.0.0.1:9", "u", "canary-pass")
    assert "canary" not in repr(address)


@pytest.mark.parametrize(
    ("settings", "ours"),
    [
        (Settings(), True),
        # named by the user, in either form
        (Settings(url="http://127.0.0.1:4123", url_given=True), True),
        (Settings(url="http://localhost:4123", url_given=True), True),
        (Settings(url="http://[::1]:4123", url_given=True), True),
        (Settings(url="http://127.0.0.1:4123", url_given=True, password="p"), True),
        # something else is meant
        (Settings(url="http://127.0.0.1:4096", url_given=True), False),
        (Settings(url="http://127.0.0.1", url_given=True), False),
        (Settings(url="http://example.org:4123", url_given=True), False),
        (Settings(url="https://127.0.0.1:4123", url_given=True), False),
        (Settings(password="p"), False),
        # known by its own password
        (Settings(password="canary-pass", username=OURS.username), True),
        (Settings(password="canary-pass", username="another"), False),
    ],
    ids=repr,
)
def test_a_server_of_ours_comes_before_the_default_and_not_before_the_users(settings: Settings, *, ours: bool, home: Path) -> None:
    """An address or a password that the user gave is obeyed; if it is our server's, its own password is known."""
    state.write(home, me())
    settings = replace(settings, state_dir=home)
    address = addresses.locate(settings)
    assert addresses.is_ours(settings) is ours
    assert (address.record is not None) is ours
    assert address.password == ("canary-pass" if ours else settings.password)
    assert address.url == (OURS.url if ours else settings.url)


def test_a_record_of_an_ended_process_is_none(home: Path) -> None:
    """Its pid may be another's by now: the start time tells (F33)."""
    state.write(home, replace(me(), start_ticks=1))
    assert addresses.find_live_record(Settings(state_dir=home)) is None
    assert addresses.locate(Settings(state_dir=home)).record is None
    assert addresses.is_ours(Settings(state_dir=home))


# --- probing -------------------------------------------------------------------------------------------------------------


def probed(server: Server, *, within_seconds: float = 3.0) -> Health:
    """The health of a server that answers like this."""

    async def run() -> Health:
        async with HttpClient(url="http://127.0.0.1:4123", username="u", password=None, transport=httpx.MockTransport(server)) as client:
            return await addresses.probe_health(client, within_seconds=within_seconds)

    return anyio.run(run)


def test_health_and_version_come_in_one_call() -> None:
    """And unhealthy is an answer, too (F3)."""
    server = answering(text=HEALTHY)
    assert probed(server) == Health(healthy=True, version="1.18.33")
    assert [request.url.path for request in server.requests] == ["/global/health"]
    assert not probed(answering(text='{"healthy":false,"version":"x"}')).healthy


def test_an_opencode_2_behind_the_address_is_named_as_what_it_is() -> None:
    """F64: its old routes answer with its web page. None can be had here, so an answer of that kind stands for it."""
    page = answering(text="<!doctype html><title>OpenCode</title>", kind="text/html")
    with pytest.raises(ServerProblem, match="such as OpenCode 2") as caught:
        probed(page)
    assert caught.value.code == "unsupported_version"
    assert "install-opencode" in str(caught.value.next)
    with pytest.raises(ServerProblem) as caught:
        probed(answering(text="<!doctype html><title>Wiki</title>", kind="text/html"))
    assert caught.value.code == "not_opencode"


def test_a_first_request_that_hangs_is_given_up_and_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server in its first moments may never answer one request, and the next one at once (F2)."""
    monkeypatch.setattr(addresses, "PROBE_SECONDS", 0.4)
    answers = [httpx.Response(200, stream=Stuck(b"{"), headers={"content-type": "application/json"})]
    server = Server(lambda request: answers.pop() if answers else answering(text=HEALTHY).handler(request))
    assert probed(server).version == "1.18.33"
    assert len(server.requests) >= 2


def test_one_that_never_answers_is_not_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    """Probes are repeated, each longer than the one before, until the time of the call is over (R21)."""
    monkeypatch.setattr(addresses, "PROBE_SECONDS", 0.3)
    server = streaming(Stuck(b"{"))
    with pytest.raises(ServerProblem) as caught:
        probed(server, within_seconds=1.5)
    assert caught.value.code == "server_not_ready"
    assert 2 <= len(server.requests) <= 4


@pytest.mark.parametrize(
    ("server", "code", "requests"),
    [
        (failing(httpx.ConnectError("refused")), "server_unreachable", 1),
        (answering(401), "auth_failed", 1),
        (answering(text="<html>", kind="text/html"), "not_opencode", 1),
        (answering(302, location="http://x"), "not_opencode", 1),
        (answering(404), "not_opencode", 1),
        (answering(500, text="oops"), "not_opencode", 1),
        (answering(text='{"status":"ok"}'), "not_opencode", 1),
        (answering(text="[]"), "not_opencode", 1),
        (failing(*[httpx.RemoteProtocolError("illegal status line: bytearray(b'SSH-2.0')")] * 3), "not_opencode", 3),
        (failing(*[httpx.ReadError("reset")] * 3), "not_opencode", 3),
        (answering(400, text='{"name":"ConfigJsonError"}'), "config_error", 1),
    ],
)
def test_what_is_not_a_ready_opencode_has_its_name(server: Server, code: str, requests: int) -> None:
    """Unreachable, locked, or another program: told apart, and only what may pass by is asked again (R12-R14)."""
    with pytest.raises(ServerProblem) as caught:
        probed(server)
    assert caught.value.code == code
    assert len(server.requests) == requests


def test_packets_that_are_lost_are_worth_another_probe() -> None:
    """A connection that times out is tried again until the time is over, and then said to be unreachable (R2)."""
    server = failing(*[httpx.ConnectTimeout("")] * 100)
    with pytest.raises(ServerProblem) as caught:
        probed(server, within_seconds=1.0)
    assert caught.value.code == "server_unreachable"
    assert len(server.requests) > 1


# --- starting ------------------------------------------------------------------------------------------------------------


@dataclass
class Recorded:
    """Stands for ``process.spawn``: remembers what was asked, and ends as the test says."""

    home: Path
    endings: list[str] = field(default_factory=list)
    ports: list[int] = field(default_factory=list)
    environment: Mapping[str, str] = field(default_factory=dict)
    seen: ServerRecord | None = None

    async def __call__(
        self,
        binary: str,
        *,
        port: int,
        environment: Mapping[str, str],
        directory: str,
        log_file: Path,
        within_seconds: float,
        ready: Callable[[str], object],
        started: Callable[[Spawned], None],
        options: Sequence[str],
    ) -> Spawned:
        """Note the call; a process is started in the state file before it is ready."""
        self.ports.append(port)
        self.environment = environment
        assert 0 < within_seconds <= 30
        assert log_file.parent == self.home
        found = Spawned(f"http://127.0.0.1:{port}", identity.this_process())
        started(found)
        self.seen = state.read(self.home)
        if self.endings:
            raise ServerProblem(self.endings.pop(0), "it did not start")
        return found


def opencode(folder: Path, version: str = "1.18.33") -> str:
    """A program that says only its version."""
    folder.mkdir(exist_ok=True)
    path = folder / "opencode"
    path.write_text(f"#!/bin/sh\necho {version}\n", encoding="utf-8")
    path.chmod(0o755)
    return str(path)


@pytest.fixture
def recorded(home: Path, monkeypatch: pytest.MonkeyPatch) -> Recorded:
    """No process is started; what would be is recorded."""
    stand_in = Recorded(home)
    monkeypatch.setattr(spawning, "spawn", stand_in)
    return stand_in


def settings_of(home: Path, **changes: object) -> Settings:
    """Settings with a program and a state folder."""
    base = Settings(state_dir=home, binary=opencode(home.parent / "bin"), environ={"PATH": os.environ["PATH"], "CANARY": "x"})
    return replace(base, **changes)  # type: ignore[arg-type]  # fields


def start(settings: Settings, *, port: int | None = None) -> servers.StartResult:
    """Start a server."""
    return anyio.run(lambda: servers.start(settings, port=port, directory=str(settings.state_dir.parent), within_seconds=30))


def refused(settings: Settings, *, port: int | None = None) -> DriverError:
    """The error of a start."""
    with pytest.raises(DriverError) as caught:
        start(settings, port=port)
    return caught.value


def test_a_started_server_is_noted_before_it_is_ready(home: Path, recorded: Recorded) -> None:
    """Should the caller be killed in between, the next call finds the process; the note is whole and private."""
    done = start(settings_of(home))
    assert done.started and recorded.seen == done.record == state.read(home)
    assert done.record.opencode_version == "1.18.33"
    assert stat.S_IMODE((home / "server.json").stat().st_mode) == 0o600
    assert {path.name for path in home.iterdir()} == {"server.json"}


def test_each_server_has_a_fresh_password_unless_the_user_gave_one(home: Path, recorded: Recorded) -> None:
    """At least 128 bits, in its environment and in the note (S2); the caller's other variables stay out."""
    passwords = set()
    for _ in range(3):
        passwords.add(start(settings_of(home)).record.password)
        assert recorded.environment["OPENCODE_SERVER_PASSWORD"] in passwords
        assert "CANARY" not in recorded.environment
        state.remove(home)
    assert len(passwords) == 3 and min(map(len, passwords)) >= 22
    record = start(settings_of(home, password="given", username="me", server_env=("CANARY",))).record
    assert (record.password, record.username) == ("given", "me")
    assert recorded.environment["OPENCODE_SERVER_USERNAME"] == "me"
    assert recorded.environment["CANARY"] == "x"
    found = addresses.locate(settings_of(home, password="given", username="me"))
    assert found.record == record, "whoever gave the password finds the server that was started with it"


@pytest.mark.parametrize(
    ("changes", "code", "variable"),
    [
        ({"password": "another"}, "auth_failed", "OPENCODE_SERVER_PASSWORD"),
        ({"url": "http://127.0.0.1:5002", "url_given": True}, "port_in_use", "OPENCODE_API_URL"),
    ],
)
def test_a_server_of_ours_that_is_not_meant_is_not_taken_for_the_asked_one(
    changes: dict[str, object], code: str, variable: str, home: Path, recorded: Recorded
) -> None:
    """Taken for it, every later call would find nobody, and be sent to start a server again."""
    state.write(home, me())
    error = refused(settings_of(home, **changes))
    assert (error.code, OURS.url in error.message, recorded.ports) == (code, True, [])
    assert variable in str(error.next) and "netclaw-opencode server stop-server" in str(error.next)
    assert "another" not in str(error.to_wire())


def test_the_port_is_the_asked_one_the_addresss_or_a_free_one(home: Path, recorded: Recorded) -> None:
    """Never 4096 by itself: that is where the user's own server belongs."""
    for settings, port in (
        (settings_of(home), 5001),
        (settings_of(home, url="http://127.0.0.1:5002", url_given=True), None),
        (settings_of(home), None),
    ):
        start(settings, port=port)
        state.remove(home)
    assert recorded.ports[:2] == [5001, 5002]
    assert recorded.ports[2] not in (0, 4096)


def test_a_free_port_that_was_taken_in_between_is_replaced(home: Path, recorded: Recorded) -> None:
    """Three tries; an asked port has one, since another one is not what was asked for (R8)."""
    recorded.endings = ["port_in_use", "port_in_use"]
    assert start(settings_of(home)).started
    assert len(recorded.ports) == 3
    state.remove(home)
    for port, tries in ((None, 3), (5003, 1)):
        recorded.ports, recorded.endings = [], ["port_in_use"] * 3
        assert refused(settings_of(home), port=port).code == "port_in_use"
        assert len(recorded.ports) == tries


def test_a_start_that_fails_leaves_no_note(home: Path, recorded: Recorded) -> None:
    """Only a full log may stay, to be read."""
    recorded.endings = ["server_start_failed"]
    assert refused(settings_of(home)).code == "server_start_failed"
    assert recorded.seen is not None and state.read(home) is None


@pytest.mark.parametrize(
    ("version", "code"), [("1.18.21", "vulnerable_version"), ("1.17.0", "unsupported_version"), ("2.0.0", "unsupported_version")]
)
def test_a_version_with_a_hole_or_of_another_kind_is_not_started(version: str, code: str, home: Path, recorded: Recorded) -> None:
    """The remedy names a good one (S1)."""
    error = refused(settings_of(home, binary=opencode(home.parent / "other", version)))
    assert error.code == code
    assert "install-opencode" in str(error.to_wire()["next"])
    assert recorded.ports == []


def test_without_a_program_nothing_is_started(home: Path, recorded: Recorded) -> None:
    """Neither the configured one nor one on the environment's PATH."""
    assert refused(settings_of(home, binary="/no/such/opencode")).code == "binary_not_found"
    assert refused(settings_of(home, binary=None, environ={"PATH": ""})).code == "binary_not_found"
    assert recorded.ports == []


def test_a_server_is_only_started_on_this_machine(home: Path, recorded: Recorded) -> None:
    """An address elsewhere is not ours to serve; nothing is written either."""
    error = refused(settings_of(home, url="https://example.org", url_given=True))
    assert "example.org" in error.message and not home.exists() and recorded.ports == []


def test_a_second_server_is_not_started_beside_the_first(home: Path, recorded: Recorded) -> None:
    """Asked for another port, the error says where the first one is; what it answers is not asked."""
    state.write(home, me())
    error = refused(settings_of(home), port=5004)
    assert error.code == "port_in_use" and OURS.url in error.message
    assert recorded.ports == []
