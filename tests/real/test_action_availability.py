"""``check_availability`` and ``list_providers``: what there is, what is missing, and never a key."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from netclaw_opencode.host import Host
from netclaw_opencode.settings import Settings
from netclaw_opencode.testing.binary import opencode_binary
from netclaw_opencode.testing.server import OpenCodeServer, free_port
from tests.real.acting import Acting, Json, data_of, error_of, settings_of

pytestmark = pytest.mark.real
CANARY = "sk-canary0123456789abcdefghij"


def check(settings: Settings, **arguments: object) -> dict[str, object]:
    """The envelope of one check with these settings."""
    with Host(settings, entry_points=False) as host:
        return host.call("check_availability", **arguments)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A directory with a configuration of its own, written by the test."""
    directory = tmp_path / "project"
    directory.mkdir()
    return directory


@contextmanager
def web_page() -> Iterator[str]:
    """The address of a web server that answers everything with a page."""

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("content-type", "text/html")
            self.end_headers()
            self.wfile.write(b"<html>not what you look for</html>")

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            return

    with HTTPServer(("127.0.0.1", 0), Page) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_everything_that_is_there_is_reported(acting: Acting, opencode_server: OpenCodeServer) -> None:
    """F3: program and version, a server that is reachable, healthy and serves sessions, the provider and the default model."""
    report = acting.data("check_availability")
    assert (report["available"], [item for item in report["problems"] if item["severity"] == "error"]) == (True, [])
    assert report["server"] | {"version": ""} == {
        "url": opencode_server.base_url,
        "reachable": True,
        "healthy": True,
        "version": "",
        "serves_sessions": True,
        "started": False,
        "ours": False,
        "password_set": True,
    }
    assert report["server"]["version"].startswith("1.18.")
    assert report["providers"] == {"connected": ["offline"], "default_model": "offline/scripted"}


def test_the_program_is_named_with_its_version(opencode_server: OpenCodeServer, tmp_path: Path, place: Path) -> None:
    """The path that would be started, absolute, and its version; where there is none, a server that runs is still enough."""
    named = settings_of(opencode_server, tmp_path, OPENCODE_DRIVER_DIRECTORY=str(place), OPENCODE_DRIVER_BINARY=opencode_binary())
    binary = data_of(check(named))["binary"]
    assert (binary["found"], binary["path"], binary["version"][:5]) == (True, opencode_binary(), "1.18.")
    nameless = settings_of(opencode_server, tmp_path, OPENCODE_DRIVER_DIRECTORY=str(place), PATH=str(tmp_path))
    report = data_of(check(nameless))
    assert (report["available"], report["binary"]) == (True, {"found": False})
    assert [(item["code"], item["severity"]) for item in report["problems"]] == [("binary_not_found", "warning")]


@pytest.mark.parametrize(
    "wrong", [{"OPENCODE_SERVER_PASSWORD": "wrong"}, {"OPENCODE_SERVER_PASSWORD": ""}, {"OPENCODE_SERVER_USERNAME": "someone"}], ids=str
)
def test_a_wrong_password_or_user_is_told(opencode_server: OpenCodeServer, tmp_path: Path, place: Path, wrong: dict[str, str]) -> None:
    """F10: every route answers 401; the error says so, holds the whole report, and names no secret; no server is started."""
    settings = settings_of(opencode_server, tmp_path, OPENCODE_DRIVER_DIRECTORY=str(place), **wrong)
    error = error_of(check(settings))
    assert (error["code"], "OPENCODE_SERVER_PASSWORD" in error["next"]) == ("auth_failed", True)
    report = error["details"]
    assert (report["available"], report["server"]["serves_sessions"], report["server"]["started"]) == (False, False, False)
    assert opencode_server.password not in str(error)


def test_a_server_that_is_missing_is_not_started_against_orders(tmp_path: Path, place: Path) -> None:
    """With ``start`` false nothing is started: server_unreachable, and no state is written."""
    environ = {
        "OPENCODE_API_URL": f"http://127.0.0.1:{free_port()}",
        "OPENCODE_DRIVER_STATE_DIR": str(tmp_path / "state"),
        "OPENCODE_DRIVER_DIRECTORY": str(place),
        "OPENCODE_DRIVER_BINARY": opencode_binary(),
    }
    error = error_of(check(Settings.from_environment(environ), start=False))
    assert (error["code"], error["retryable"], error["details"]["binary"]["found"]) == ("server_unreachable", True, True)
    assert not (tmp_path / "state" / "server.json").exists()


def test_where_neither_server_nor_program_is_the_program_comes_first(tmp_path: Path, place: Path) -> None:
    """Every problem is listed; the first is the one to fix: without OpenCode no server can be started."""
    environ = {
        "OPENCODE_API_URL": f"http://127.0.0.1:{free_port()}",
        "OPENCODE_DRIVER_STATE_DIR": str(tmp_path / "state"),
        "OPENCODE_DRIVER_DIRECTORY": str(place),
        "PATH": str(tmp_path),
    }
    error = error_of(check(Settings.from_environment(environ)))
    codes = [item["code"] for item in error["details"]["problems"] if item["severity"] == "error"]
    assert (error["code"], codes) == ("binary_not_found", ["binary_not_found", "server_unreachable"])
    assert "install-opencode" in error["next"]
    assert all(item["message"] and item["remedy"] for item in error["details"]["problems"])


def test_another_program_on_the_port_is_recognised(tmp_path: Path, place: Path) -> None:
    """F38: a 200 proves nothing; a web page is not_opencode, and no server is started beside it."""
    with web_page() as url:
        environ = {
            "OPENCODE_API_URL": url,
            "OPENCODE_DRIVER_STATE_DIR": str(tmp_path / "state"),
            "OPENCODE_DRIVER_DIRECTORY": str(place),
            "OPENCODE_DRIVER_BINARY": opencode_binary(),
        }
        assert error_of(check(Settings.from_environment(environ)))["code"] == "not_opencode"


def test_a_server_that_accepts_and_says_nothing_is_not_ready(tmp_path: Path, place: Path) -> None:
    """F2: short probes, bounded in number: a port that accepts and never answers is server_not_ready, within seconds."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        environ = {
            "OPENCODE_API_URL": f"http://127.0.0.1:{silent.getsockname()[1]}",
            "OPENCODE_DRIVER_STATE_DIR": str(tmp_path / "state"),
            "OPENCODE_DRIVER_DIRECTORY": str(place),
        }
        error = error_of(check(Settings.from_environment(environ), start=False, deadline_seconds=4))
    assert error["code"] == "server_not_ready"


def test_a_broken_configuration_is_named(acting: Acting, project: Path) -> None:
    """F39: health says healthy while no session can run; the file is named, and the report shows which half is well."""
    (project / "opencode.json").write_text('{"model": }', encoding="utf-8")
    error = acting.error("check_availability", directory=str(project))
    assert (error["code"], "opencode.json" in error["message"]) == ("config_error", True)
    server = error["details"]["server"]
    assert (server["healthy"], server["serves_sessions"]) == (True, False)
    assert acting.error("run_task", prompt="in vain", directory=str(project))["code"] == "config_error"


def test_without_a_provider_nothing_can_run(acting: Acting, project: Path) -> None:
    """A server without a connected provider is healthy and useless: provider_unavailable."""
    (project / "opencode.json").write_text(json.dumps({"disabled_providers": ["offline"]}), encoding="utf-8")
    error = acting.error("check_availability", directory=str(project))
    assert (error["code"], error["details"]["providers"]["connected"]) == ("provider_unavailable", [])
    assert error["details"]["server"]["serves_sessions"] is True


def models_of(found: Json, provider: str) -> dict[str, Json]:
    """The models of one provider of a listing, by id."""
    return {model["id"]: model for item in found["providers"] if item["id"] == provider for model in item["models"]}


def test_connected_providers_are_listed_with_models_and_variants(acting: Acting) -> None:
    """F13: the variants by which thinking is chosen, the limits, and the default model."""
    found = acting.data("list_providers")
    assert ([item["id"] for item in found["providers"]], found["count"], found["default_model"]) == (["offline"], 1, "offline/scripted")
    models = models_of(found, "offline")
    assert set(models) == {"scripted", "thinker", "budgeted"}
    assert (models["scripted"]["variants"], sorted(models["thinker"]["variants"])) == ([], ["high", "low", "medium"])
    assert (models["thinker"]["reasoning"], models["scripted"]["reasoning"]) == (True, False)
    assert (models["scripted"]["context"], models["scripted"]["output"], models["scripted"]["tool_call"]) == (100_000, 8_000, True)
    assert acting.data("list_providers", provider="nobody")["providers"] == []


def test_all_providers_can_be_listed(acting: Acting) -> None:
    """F45: the whole, large catalogue, each entry with whether it is connected."""
    found = acting.data("list_providers", connected_only=False)
    connected = {item["id"]: item["connected"] for item in found["providers"]}
    assert connected["offline"] is True
    assert found["count"] == len(connected)
    only = acting.data("list_providers", connected_only=False, provider="offline")
    assert set(models_of(only, "offline")) == {"scripted", "thinker", "budgeted"}


def test_no_key_is_ever_told(acting: Acting, project: Path) -> None:
    """F45: the server answers API keys in clear; no action passes one on, in no form."""
    options = {"apiKey": CANARY, "headers": {"Authorization": f"Bearer {CANARY}"}}
    (project / "opencode.json").write_text(json.dumps({"provider": {"offline": {"options": options}}}), encoding="utf-8")
    directory = str(project)
    answers = [acting.raw.wire.get(path, params={"directory": directory}).text for path in ("/config", "/config/providers", "/provider")]
    assert all(CANARY in answer for answer in answers), "the server itself tells it"
    told = [
        acting.host.call("list_providers", directory=directory),
        acting.host.call("list_providers", directory=directory, connected_only=False),
        acting.host.call("check_availability", directory=directory),
        acting.host.call("run_task", directory=directory, prompt="hello", model="offline/nothing"),
    ]
    assert [envelope["ok"] for envelope in told] == [True, True, True, False]
    assert CANARY not in json.dumps(told)
