"""Facts of the server as a whole, pinned by number: health, passwords, unknown routes, keys, death and restart."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from netclaw_opencode.offline import HangMidStream, OfflineModel, ToolCall
from netclaw_opencode.testing.binary import opencode_binary
from netclaw_opencode.testing.server import OpenCodeServer, kill_server, server_environment, start_server, stop_server
from netclaw_opencode.testing.waiting import SOON, wait_until
from tests.support.raw import RawOpenCode, listed

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def workdir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One directory for the module: a directory's first turn costs a second."""
    return tmp_path_factory.mktemp("facts-server")


@pytest.fixture
def mortal(tmp_path: Path, scripted: OfflineModel) -> Iterator[OpenCodeServer]:
    """A server of its own for a test that kills it."""
    server = start_server(tmp_path / "home", scripted)
    yield server
    stop_server(server)


def test_f3_health_gives_readiness_and_version(wire: httpx.Client) -> None:
    """F3: one call tells that the server is healthy and which version it is."""
    health = wire.get("/global/health").json()
    assert health["healthy"] is True
    assert health["version"].count(".") == 2


def test_f4_a_taken_port_is_not_told_as_the_reason(opencode_server: OpenCodeServer, tmp_path: Path) -> None:
    """F4: a second server on the same port ends by itself, with an error that does not speak of the port."""
    environment = server_environment(tmp_path / "home", config=opencode_server.model.provider_config(), password="x")
    command = [opencode_binary(), "serve", "--hostname", "127.0.0.1", "--port", str(opencode_server.port)]
    run = subprocess.run(
        command, cwd=tmp_path, env=environment, stdin=subprocess.DEVNULL, capture_output=True, encoding="utf-8", timeout=60, check=False
    )
    written = run.stdout + run.stderr
    assert run.returncode != 0
    assert "EADDRINUSE" not in written
    assert "in use" not in written


@pytest.mark.parametrize("path", ["/global/health", "/session", "/doc", "/nothing"])
def test_f10_every_route_wants_the_password(opencode_server: OpenCodeServer, path: str) -> None:
    """F10: without it, with a wrong one, or with a wrong user name: 401, an empty body, and Basic as the way."""
    wrong = [None, ("opencode", "wrong"), ("root", opencode_server.password)]
    for auth in wrong:
        with httpx.Client(base_url=opencode_server.base_url, auth=auth, trust_env=False, timeout=SOON) as stranger:
            answer = stranger.get(path)
        assert (answer.status_code, answer.content) == (401, b"")
        assert answer.headers["www-authenticate"].startswith("Basic")


@pytest.mark.parametrize(("method", "path"), [("GET", "/nothing"), ("POST", "/nothing"), ("PUT", "/global/health"), ("PATCH", "/session")])
def test_f38_unknown_routes_and_methods_answer_200_with_a_web_page(wire: httpx.Client, method: str, path: str) -> None:
    """F38: a 200 proves nothing without application/json."""
    answer = wire.request(method, path)
    assert (answer.status_code, answer.headers["content-type"].split(";")[0]) == (200, "text/html")


def test_f45_provider_routes_return_keys_in_clear(wire: httpx.Client) -> None:
    """F45: the API key of the configuration stands in /config and in /config/providers."""
    assert wire.get("/config").json()["provider"]["offline"]["options"]["apiKey"] == "offline"
    providers = wire.get("/config/providers").json()["providers"]
    assert [(item["id"], item["options"]["apiKey"]) for item in providers] == [("offline", "offline")]


def test_f48_an_id_is_put_into_the_path_as_it_is(wire: httpx.Client) -> None:
    """F48: an id with dots and slashes reaches another route."""
    answer = wire.get("/session/ses_x/../../config")
    assert answer.request.url.path == "/config"
    assert "provider" in answer.json()


def test_f52_ids_of_a_wrong_form_are_an_error_of_the_server(wire: httpx.Client) -> None:
    """F52: a wrong prefix gives 500, a well-formed unknown id 404."""
    assert wire.get("/session/foo").status_code == 500
    assert wire.get("/session/ses_00000000000000000000000000").status_code == 404


def test_f33_f44_after_death_and_restart_idle_does_not_mean_done(mortal: OpenCodeServer, workdir: Path) -> None:
    """F33, F44, F5: SIGKILL in mid-turn leaves a tool's process and, after a restart, idle sessions whose messages never ended."""
    mortal.model.when("F33 tool", ToolCall("bash", {"command": "echo begun; exec sleep 3600"}))
    mortal.model.when("F44 text", HangMidStream("half an answer"))
    with mortal.client() as wire:
        calls = RawOpenCode(wire, mortal.model, workdir)
        with_tool, with_text = calls.create(), calls.create()
        calls.prompt_async(with_tool, "F33 tool")
        calls.prompt_async(with_text, "F44 text")
        wait_until(lambda: any("begun" in str(state.get("metadata")) for state in calls.tool_states(with_tool)), what="the running command")
        wait_until(lambda: any(part["type"] == "text" for part in listed(calls.messages(with_text)[-1], "parts")), what="the first words")
    left = [process for process in mortal.descendants() if "sleep" in process.name()]
    mortal.process.kill()
    mortal.process.wait(SOON)
    survivors = [process.is_running() for process in left]
    kill_server(mortal, left=left)
    assert survivors == [True], "F5: the tool's process survives its server"
    reborn = start_server(mortal.home, mortal.model, password=mortal.password)
    try:
        with reborn.client() as wire:
            calls = RawOpenCode(wire, reborn.model, workdir)
            assert calls.statuses() == {}
            assert [state["status"] for state in calls.tool_states(with_tool)] == ["running"]
            for session_id in (with_tool, with_text):
                last = calls.answers(session_id)[-1]
                assert ("completed" in last["time"], "error" in last) == (False, False)  # type: ignore[operator]
    finally:
        stop_server(reborn)
