"""S2, S3, S12, S26, S27: servers that we start, and servers that are not as they should be. All of them are real."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
import pytest

from netclaw_opencode.actions.availability import RESIDUAL_RISKS
from netclaw_opencode.host import Host
from netclaw_opencode.offline import OfflineModel, Text, ToolCall
from netclaw_opencode.opencode.process.state import ServerRecord, read
from netclaw_opencode.settings import Settings
from netclaw_opencode.testing.server import OpenCodeServer, running_server
from tests.faults.bench import Bench, host_to, settings_to
from tests.faults.own import environment
from tests.real.acting import data_of, error_of

pytestmark = pytest.mark.real
ROOT = Path(__file__).resolve().parents[2]
CANARY = "canary-of-the-environment"


@dataclass(frozen=True, slots=True)
class Own:
    """A server that the driver started."""

    host: Host
    record: ServerRecord
    home: Path
    state_dir: Path

    @property
    def argv(self) -> list[str]:
        """The command line, as everybody on the machine can read it."""
        return psutil.Process(self.record.pid).cmdline()


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Own]:
    """One server of ours for this module, started under the laxest umask and with a variable that is none of its business."""
    folder = tmp_path_factory.mktemp("own")
    with OfflineModel() as model:
        settings = Settings.from_environment(environment(folder, model, CANARY_VARIABLE=CANARY, EDITOR=CANARY))
        with host_to(settings) as host:
            before = os.umask(0)
            try:
                data_of(host.call("start_server"))
            finally:
                os.umask(before)
            record = read(settings.state_dir)
            assert record is not None
            yield Own(host, record, folder / "home", settings.state_dir)
            data_of(host.call("stop_server"))


def mode(path: Path) -> int:
    """The permission bits."""
    return stat.S_IMODE(path.stat().st_mode)


def test_s02_password_is_random_and_no_argument(own: Own) -> None:
    """S2: 256 bits, in the environment of the server alone; the command line, which all can read, is without it."""
    assert len(own.record.password) >= 43
    assert own.argv[-5:] == ["serve", "--hostname", "127.0.0.1", "--port", own.record.url.rpartition(":")[2]]
    assert not any(own.record.password in item for process in psutil.process_iter(["cmdline"]) for item in process.info["cmdline"] or ())
    assert own.record.password not in repr(own.record)
    assert httpx.get(f"{own.record.url}/global/health", trust_env=False).status_code == 401


def test_s02_two_starts_have_two_passwords(own: Own, tmp_path: Path, scripted: OfflineModel) -> None:
    """S2: no password is used twice, nor taken from anything that stays."""
    settings = Settings.from_environment(environment(tmp_path, scripted))
    with host_to(settings) as host:
        data_of(host.call("start_server"))
        second = read(settings.state_dir)
        data_of(host.call("stop_server"))
    assert second is not None and len(second.password) >= 43 and second.password != own.record.password


def test_s26_server_sees_only_what_it_needs(own: Own) -> None:
    """S26: neither the canary nor our own settings stand in its environment."""
    environ = psutil.Process(own.record.pid).environ()
    assert CANARY not in environ.values()
    assert not [name for name in environ if name.startswith("OPENCODE_DRIVER_") or name == "OPENCODE_API_URL"]
    assert environ["OPENCODE_SERVER_PASSWORD"] == own.record.password


def test_s26_what_it_writes_is_this_users_alone(own: Own) -> None:
    """S26: the database that holds the prompts, and everything else it writes; the start was under umask 000."""
    data_of(own.host.call("run_task", prompt="a prompt that stays on the disk"))
    files = [path for path in (own.home / "xdg-data").rglob("*") if path.is_file()]
    assert [path for path in files if path.name.startswith("opencode.db")]
    assert [path for path in files if mode(path) & 0o077] == []
    assert mode(own.state_dir) == 0o700
    kept = {path.name.partition("-")[0]: mode(path) for path in own.state_dir.iterdir()}
    assert kept == {"server.json": 0o600, "server.log": 0o600, "opened": 0o600, "snapshots": 0o700, "trajectories": 0o700}


@pytest.fixture(scope="module")
def open_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenCodeServer]:
    """A server of somebody else: without a password, and with a configuration that shares every session."""
    with OfflineModel() as model:
        config = {**model.provider_config(), "share": "auto"}
        with running_server(tmp_path_factory.mktemp("open"), model, config=config, password="") as server:
            yield server


def warnings_of(host: Host, **arguments: object) -> dict[str, str]:
    """The warnings of a check, by code."""
    problems = data_of(host.call("check_availability", start=False, **arguments))["problems"]
    assert all(item["severity"] == "warning" for item in problems)
    return {item["code"]: item["message"] for item in problems}


@pytest.mark.parametrize("password", ["", "a-password-that-nobody-asks-for"])
def test_s03_server_without_a_password_is_told(open_server: OpenCodeServer, tmp_path: Path, password: str) -> None:
    """S3: also where we have a password that the server does not ask for: the check tries without."""
    settings = settings_to(open_server.base_url, tmp_path, password=password, OPENCODE_DRIVER_DIRECTORY=str(tmp_path))
    with host_to(settings) as host:
        assert "no password" in warnings_of(host)["unauthenticated_server"]


def test_s03_server_without_a_password_that_others_can_reach_is_refused(tmp_path: Path) -> None:
    """S3: on 0.0.0.0 the whole network could run commands through it: no session is made, and the message says where it listens."""
    with OfflineModel() as model, running_server(tmp_path / "home", model, password="", hostname="0.0.0.0") as server:  # noqa: S104
        settings = settings_to(server.base_url, tmp_path, password="", OPENCODE_DRIVER_DIRECTORY=str(tmp_path))
        with host_to(settings) as host:
            for action in ("create_session", "check_availability", "list_sessions"):
                error = error_of(host.call(action))
                assert error["code"] == "unauthenticated_server" and f"0.0.0.0:{server.port}" in error["message"]
        with server.client() as client:
            assert client.get("/experimental/session").json() == []


def test_s12_configuration_that_shares_is_told(open_server: OpenCodeServer, tmp_path: Path) -> None:
    """S12: every session would stand on a web page; no route for sharing is known here at all (S11)."""
    settings = settings_to(open_server.base_url, tmp_path, password="", OPENCODE_DRIVER_DIRECTORY=str(tmp_path))
    with host_to(settings) as host:
        assert "share: auto" in warnings_of(host)["config_error"]


def test_s12_configuration_that_does_not_share_is_not_told(bench: Bench) -> None:
    """S12: share: disabled, the offline model's own, is no cause for alarm."""
    told = warnings_of(bench.host, directory=bench.directory)
    assert not {"config_error", "unauthenticated_server"} & told.keys()


def test_s27_the_agents_shell_knows_the_servers_password(bench: Bench, opencode_server: OpenCodeServer) -> None:
    """S27: measured. When this fails OpenCode has closed the hole (F46): the warnings can go."""
    bench.model.when(
        "print the password", ToolCall("bash", {"command": "printenv OPENCODE_SERVER_PASSWORD", "description": "x"}), Text("done")
    )
    bench.data("run_task", prompt="print the password", directory=bench.directory, keep_session=True)
    session_id = bench.remember(bench.data("list_sessions", directory=bench.directory)["sessions"][0]["session_id"])
    assert any(opencode_server.password in str(state.get("output")) for state in bench.raw.tool_states(session_id))


def test_s27_the_risk_is_told_where_people_look(bench: Bench) -> None:
    """S27: README, SKILL.md, the page on safety and the check itself; no claim that a refused permission is a wall."""
    notes = bench.data("check_availability", directory=bench.directory, start=False)["notes"]
    assert notes == list(RESIDUAL_RISKS) and "password" in notes[0] and "permission prompt" in notes[0]
    for name in ("README.md", "SKILL.md", "docs/safety.md"):
        text = " ".join((ROOT / name).read_text(encoding="utf-8").split())
        assert "shell" in text and "hostile model" in text and ("password included" in text or "OPENCODE_SERVER_PASSWORD" in text), name
