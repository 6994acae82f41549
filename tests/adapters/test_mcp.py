"""The MCP server as hosts start it: a process of its own, spoken to by the official client over a real pipe.

The OpenCode server behind it is the real one. What a call, a cancelled call or a dead client leaves is looked for by raw
HTTP (the leak check), not by the driver.
"""

from __future__ import annotations

import json
import math
import signal
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import anyio
import mcp_types as types
import pytest
from mcp.shared.exceptions import MCPError

from netclaw_opencode import __version__
from netclaw_opencode._core.validation import find_problems
from netclaw_opencode.adapters.mcp.tools import RESOURCES
from netclaw_opencode.manifest import load_manifest
from netclaw_opencode.offline import Gated, Hang, OfflineModel, Text, ToolCall
from netclaw_opencode.testing.binary import opencode_binary
from netclaw_opencode.testing.leaks import LeakCheck
from netclaw_opencode.testing.server import OpenCodeServer
from netclaw_opencode.testing.waiting import SOON, wait_until
from tests.support.mcp_client import Mode, RawClient, connected, raw_client
from tests.support.pace import stretched

pytestmark = pytest.mark.real

ROOT = Path(__file__).resolve().parents[2]
ENVELOPE = json.loads((ROOT / "schemas" / "result.schema.json").read_text(encoding="utf-8"))
MANIFEST = load_manifest()

GONE_SECONDS = SOON
"""A call's stop and clean-up must be over by then; the official client itself waits only 4 s before it kills."""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One directory for the module: a directory's first turn costs a second."""
    return tmp_path_factory.mktemp("mcp").resolve()


@pytest.fixture
def environ(opencode_server: OpenCodeServer, tmp_path: Path, place: Path, scripted: OfflineModel, leak_check: LeakCheck) -> dict[str, str]:
    """What a host's configuration lists; the child sees nothing else. Afterwards the leak check looks at the directory."""
    assert not scripted.calls
    leak_check.watch(place)
    return {
        "OPENCODE_API_URL": opencode_server.base_url,
        "OPENCODE_SERVER_PASSWORD": opencode_server.password,
        "OPENCODE_DRIVER_STATE_DIR": str(tmp_path / "state"),
        "OPENCODE_DRIVER_DIRECTORY": str(place),
        "OPENCODE_DRIVER_BINARY": opencode_binary(),
        "HOME": str(tmp_path),
    }


def text_of(result: types.CallToolResult) -> str:
    """The only block of the content."""
    (block,) = result.content
    assert isinstance(block, types.TextContent)
    return block.text


@pytest.mark.parametrize("mode", get_args(Mode))
def test_a_client_lists_the_tools_and_runs_a_task(environ: dict[str, str], mode: Mode) -> None:
    """By the handshake and without it: every action with its hints and its resource, the skill as a prompt, a task with its envelope."""

    async def main() -> None:
        async with connected(environ, mode=mode) as client:
            tools = {tool.name: tool for tool in (await client.list_tools()).tools}
            assert set(tools) == set(MANIFEST.actions)
            hints = tools["delete_session"].annotations
            assert hints is not None and (hints.read_only_hint, hints.destructive_hint, hints.idempotent_hint) == (False, True, True)
            assert tools["list_sessions"].annotations is not None and tools["list_sessions"].annotations.read_only_hint is True
            assert [prompt.name for prompt in (await client.list_prompts()).prompts] == [MANIFEST.name]
            (message,) = (await client.get_prompt(MANIFEST.name)).messages
            assert isinstance(message.content, types.TextContent) and "## Procedure" in message.content.text
            addresses = {str(item.uri) for item in (await client.list_resources()).resources}
            assert addresses == {RESOURCES + name for name in MANIFEST.actions}
            (page,) = (await client.read_resource(RESOURCES + "run_task")).contents
            assert isinstance(page, types.TextResourceContents)
            with pytest.raises(MCPError):
                await client.read_resource(RESOURCES + "run_everything")
            # The client itself checks the structured content against the tool's output schema.
            result = await client.call_tool("run_task", {"prompt": "hello"})
        envelope = result.structured_content
        assert (result.is_error, envelope["ok"], envelope["data"]["text"]) == (False, True, "hello")
        assert find_problems(envelope, ENVELOPE) == find_problems(envelope, json.loads(page.text)["output_schema"]) == ()
        told = json.loads(text_of(result))
        assert len(text_of(result)) <= 1800 and told["data"]["text"] == "hello"

    anyio.run(main)


def test_what_goes_wrong_is_a_result_with_the_remedy_in_its_text(environ: dict[str, str]) -> None:
    """Bad arguments and a tool that there is not: an error result with the envelope; only a bad prompt name is the protocol's."""

    async def main() -> None:
        async with connected(environ) as client:
            bad = await client.call_tool("run_task", {"prompt": "never sent", "deadline_seconds": 0})
            unknown = await client.session.call_tool("run_everything", {})
            with pytest.raises(MCPError):
                await client.get_prompt("another-skill")
        assert (bad.is_error, bad.structured_content["error"]["code"]) == (True, "invalid_input")
        assert text_of(bad).startswith("invalid_input: ") and f"\nNext: {bad.structured_content['error']['next']}" in text_of(bad)
        assert isinstance(unknown, types.CallToolResult)
        assert (unknown.is_error, unknown.structured_content["error"]["code"]) == (True, "unknown_action")
        assert find_problems(unknown.structured_content, ENVELOPE) == ()

    anyio.run(main)


def test_progress_grows_and_belongs_to_the_call_that_asked(environ: dict[str, str], scripted: OfflineModel) -> None:
    """Of two calls at once each hears of its own session alone, in growing numbers; a call that did not ask hears nothing."""
    told: dict[str, list[tuple[float, str]]] = {"one": [], "two": []}
    ended: dict[str, str] = {}

    async def main() -> None:
        async with connected(environ) as client:

            async def run(name: str) -> None:
                async def hear(progress: float, total: float | None, message: str | None) -> None:
                    assert total is None
                    told[name].append((progress, message or ""))

                result = await client.call_tool("run_task", {"prompt": f"task {name}"}, progress_callback=hear)
                assert result.structured_content["ok"] is True
                ended[name] = result.structured_content["data"]["session_id"]

            async with anyio.create_task_group() as both:
                for name in told:
                    scripted.when(f"task {name}", ToolCall("bash", {"command": f"echo {name}", "description": name}), Text("done"))
                    both.start_soon(run, name)
            await client.call_tool("run_task", {"prompt": "quiet"})

    anyio.run(main)
    for name, other in (("one", "two"), ("two", "one")):
        numbers = [number for number, _ in told[name]]
        assert numbers and numbers == sorted(set(numbers))
        lines = " ".join(line for _, line in told[name])
        assert "\n" not in lines and ended[other] not in lines and f"echo {other}" not in lines


def test_a_cancelled_call_stops_its_turn_and_nothing_else(environ: dict[str, str], scripted: OfflineModel, leak_check: LeakCheck) -> None:
    """The model's call is dropped and the session is gone, while another call on the same connection goes on to its end."""
    scripted.when("no end", Hang())
    gate = scripted.gate("slow")
    scripted.when("slow one", Gated(gate, "fine"))
    texts: list[str] = []

    async def main() -> None:
        async with connected(environ) as client:

            async def slow() -> None:
                texts.append((await client.call_tool("run_task", {"prompt": "slow one"})).structured_content["data"]["text"])

            async with anyio.create_task_group() as calls:
                calls.start_soon(slow)
                with anyio.CancelScope() as scope:
                    async with anyio.create_task_group() as inner:
                        inner.start_soon(client.call_tool, "run_task", {"prompt": "no end"})
                        await anyio.to_thread.run_sync(wait_until, lambda: scripted.open_connections == 2, SOON)
                        scope.cancel()
                await anyio.to_thread.run_sync(wait_until, lambda: scripted.open_connections == 1, GONE_SECONDS)
                gate.open()
            # The server process still lives: it is the cancelled call that removes its session.
            await anyio.to_thread.run_sync(wait_until, lambda: not leak_check.left(), GONE_SECONDS)
            assert (await client.call_tool("list_sessions", {"all_directories": True})).is_error is False

    anyio.run(main)
    assert texts == ["fine"]


def closes_its_input(client: RawClient) -> None:
    """The client goes and still reads."""
    assert client.process.stdin is not None
    client.process.stdin.close()


def dies(client: RawClient) -> None:
    """Both pipes of the client end at once, as when it is killed."""
    assert client.process.stdin is not None and client.process.stdout is not None
    client.process.stdout.close()
    client.process.stdin.close()


def is_told_to_end(client: RawClient) -> None:
    """The pipes stay open; a signal comes, and a second one while the first is being obeyed."""
    client.process.send_signal(signal.SIGTERM)
    client.process.send_signal(signal.SIGTERM)


@pytest.mark.parametrize("end", [closes_its_input, dies, is_told_to_end])
def test_nothing_survives_the_end_of_the_client(
    environ: dict[str, str], scripted: OfflineModel, tmp_path: Path, end: Callable[[RawClient], None]
) -> None:
    """In the middle of a turn: the process stops it, removes the session and ends, in time, with exit code 0 and a silent stderr."""
    scripted.when("no end", Hang())
    with raw_client(environ, tmp_path, reading=end is not dies) as client:
        if end is dies:
            client.ask("initialize", protocolVersion="2025-06-18", capabilities={}, clientInfo={"name": "raw", "version": "1"})
            client.tell("notifications/initialized")
        number = client.ask("tools/call", name="run_task", arguments={"prompt": "no end"})
        wait_until(lambda: scripted.open_connections == 1, what="the model's call")
        end(client)
        assert client.process.wait(GONE_SECONDS) == 0
        assert client.errors.read_text(encoding="utf-8") == ""
        if end is is_told_to_end:
            result = client.answer(number)["result"]
            assert (result["isError"], result["structuredContent"]["error"]["code"]) == (True, "cancelled")


NOISY = """
    import os
    from netclaw_opencode.hookspecs import hookimpl
    print("noise while it is imported")
    @hookimpl
    def netclaw_before_action(call):
        print("noise from Python")
        os.system("echo noise from a child")
        os.write(1, b"noise from below Python\\n")
"""


def test_nothing_but_the_protocol_reaches_standard_output(environ: dict[str, str], tmp_path: Path) -> None:
    """Whatever a plugin, its children or a library print ends up on stderr; malformed lines of the client are outlived."""
    info = tmp_path / "noisy-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: noisy\nVersion: 1.0\n", encoding="utf-8")
    (info / "entry_points.txt").write_text("[netclaw.skills]\nnoisy = mcptest_noisy\n", encoding="utf-8")
    (tmp_path / "mcptest_noisy.py").write_text(textwrap.dedent(NOISY), encoding="utf-8")
    with raw_client(environ | {"PYTHONPATH": str(tmp_path)}, tmp_path) as client:
        assert client.process.stdin is not None
        client.process.stdin.write("this is no JSON\n\n")
        assert client.call("check_policy", permission="bash", pattern="ls")["isError"] is False
        closes_its_input(client)
        assert client.process.wait(GONE_SECONDS) == 0
    errors = client.errors.read_text(encoding="utf-8")
    for noise in ("while it is imported", "from Python", "from a child", "from below Python"):
        assert f"noise {noise}" in errors
    assert len(client.messages()) == 2 and all(message["jsonrpc"] == "2.0" for message in client.messages())
    assert client.messages()[0]["result"]["serverInfo"] == {"name": MANIFEST.name, "version": __version__, "title": "OpenCode driver"}


def test_a_bad_setting_is_the_answer_to_every_call(environ: dict[str, str], tmp_path: Path) -> None:
    """The server starts and lists its tools all the same; each call names the variable and the remedy, and so does stderr."""
    with raw_client(environ | {"OPENCODE_API_URL": "ftp://nowhere"}, tmp_path) as client:
        assert len(client.answer(client.ask("tools/list"))["result"]["tools"]) == len(MANIFEST.actions)
        result = client.call("list_sessions")
    assert result["isError"] is True and "OPENCODE_API_URL" in result["content"][0]["text"]
    assert result["structuredContent"]["error"]["code"] == "invalid_url"
    assert client.errors.read_text(encoding="utf-8").startswith("netclaw-opencode mcp: OPENCODE_API_URL")


def test_a_call_ends_below_the_cap_of_the_command_line(environ: dict[str, str], scripted: OfflineModel, tmp_path: Path) -> None:
    """A task without a deadline of its own is stopped in time for the host, and says why."""
    scripted.when("no end", Hang())
    with raw_client(environ, tmp_path, "--call-seconds", str(math.ceil(stretched(10)))) as client:
        result = client.call("run_task", prompt="no end")
    error = result["structuredContent"]["error"]
    assert (result["isError"], error["code"]) == (True, "turn_timeout")
    assert "OPENCODE_DRIVER_CALL_SECONDS" in json.dumps(error)
