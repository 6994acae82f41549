"""The operator's cap on calls (``OPENCODE_DRIVER_CALL_SECONDS``) through every adapter: a handler that never ends is cancelled.

How the cap is shared out within a call stands in ``tests/unit/test_time_budget.py``; what a task on a server makes of it in
``test_shell_route.py``.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import anyio
import pytest

from netclaw_opencode import AsyncOpenCode, OpenCode, hermes
from netclaw_opencode.actions import policies
from netclaw_opencode.actions.context import ActionCall
from netclaw_opencode.adapters.cli.app import run
from netclaw_opencode.adapters.mcp.serving import Calls
from netclaw_opencode.adapters.mcp.tools import tools_of
from netclaw_opencode.host import Host
from netclaw_opencode.manifest import own_manifest
from tests.adapters.host_plugins import error_of, hooks
from tests.support.pace import MACHINE_SECONDS

ARGUMENTS = {"permission": "bash"}
Envelope = Mapping[str, object]


@pytest.fixture
def cancelled(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """Whether the handler of ``check_policy``, which never ends here, was cancelled; calls may take a third of a second."""
    seen: list[str] = []

    async def endless(arguments: Envelope, _context: object) -> Envelope:
        try:
            await anyio.sleep_forever()
        finally:
            seen.append(str(arguments["permission"]))
        return {}

    monkeypatch.setattr(policies, "check_policy", endless)
    monkeypatch.setattr("netclaw_opencode.settings.SHORTEST_CALL_SECONDS", 1.0)
    for name, value in {"CALL_SECONDS": "1.8", "STATE_DIR": str(tmp_path / "state"), "DIRECTORY": str(tmp_path)}.items():
        monkeypatch.setenv(f"OPENCODE_DRIVER_{name}", value)
    return seen


@pytest.fixture(autouse=True)
def hermes_ends(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What that plugin does at the end of its process, it does at the end of the test."""
    ends: list[Callable[[], None]] = []
    monkeypatch.setattr(hermes, "_at_exit", ends.append)
    yield
    for end in ends:
        end()


def by_host(_: pytest.CaptureFixture[str]) -> Envelope:
    """The reference host."""
    with Host(entry_points=False) as host:
        return host.run("check_policy", ARGUMENTS)


def by_python(_: pytest.CaptureFixture[str]) -> Envelope:
    """The Python form."""
    with OpenCode() as opencode:
        return opencode.invoke("check_policy", ARGUMENTS)


def by_async_python(_: pytest.CaptureFixture[str]) -> Envelope:
    """The Python form with an event loop."""

    async def main() -> Envelope:
        async with AsyncOpenCode() as opencode:
            return await opencode.invoke("check_policy", ARGUMENTS)

    return anyio.run(main)


def by_shell(captured: pytest.CaptureFixture[str]) -> Envelope:
    """The command line; its exit code is that of being out of time."""
    assert run(["inspect", "check-policy", "--permission", "bash"]) == 6
    envelope: Envelope = json.loads(captured.readouterr().out)
    return envelope


def by_mcp(_: pytest.CaptureFixture[str]) -> Envelope:
    """What a tool call of an MCP client reaches."""

    async def main() -> Envelope:
        async with Calls(os.environ, tools=tools_of(own_manifest())) as calls:
            return await calls.run("check_policy", ARGUMENTS)

    return anyio.run(main)


def by_hermes(_: pytest.CaptureFixture[str]) -> Envelope:
    """A tool's handler in Hermes Agent."""
    handlers: dict[str, Callable[..., str]] = {}

    class Context:
        def register_tool(self, *, name: str, handler: Callable[..., str], **_more: object) -> None:
            handlers[name] = handler

        def register_skill(self, **_more: object) -> None: ...

        def register_command(self, **_more: object) -> None: ...

    hermes.register(Context())
    envelope: Envelope = json.loads(handlers["opencode_check_policy"](ARGUMENTS))
    return envelope


@pytest.mark.parametrize("adapter", [by_host, by_python, by_async_python, by_shell, by_mcp, by_hermes])
def test_no_face_waits_longer_than_the_cap(
    adapter: Callable[[pytest.CaptureFixture[str]], Envelope], cancelled: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """The envelope says call_timeout and names the setting, and the work was cancelled before it was given out."""
    began = time.monotonic()
    error = error_of(adapter(capsys))
    assert time.monotonic() - began < 1.8 + MACHINE_SECONDS
    assert (error["code"], cancelled) == ("call_timeout", ["bash"])
    assert "OPENCODE_DRIVER_CALL_SECONDS" in str(error["message"]) and "1.8 s" in str(error["message"])


def test_observers_hear_of_a_call_that_outlasted_the_cap(cancelled: list[str]) -> None:
    """It has failed, as others fail: the hook is told the same envelope as the caller."""
    heard: list[tuple[str, Envelope]] = []

    def listen(call: ActionCall, envelope: Envelope) -> None:
        heard.append((call.action, envelope))

    with Host(entry_points=False, plugins={"observer": hooks(action_failed=listen)}) as host:
        envelope = host.run("check_policy", ARGUMENTS)
    assert (heard, cancelled) == ([("check_policy", envelope)], ["bash"])
