"""The life of the MCP server: one host, one client on stdin and stdout, and an end that leaves nothing running.

Owns the way of a request to the host and of the envelope back, and every way to end: the client cancels a call, goes away or
dies, or a signal comes. Each cancels what runs, and the driver, shielded, stops that and proves it. While the client is
there, standard output carries the protocol and nothing else.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack, nullcontext, redirect_stdout
from types import TracebackType

import anyio
import mcp_types as types
from anyio.abc import TaskStatus
from mcp.server import ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server
from mcp.shared.exceptions import MCPError

from netclaw_opencode import __version__
from netclaw_opencode.actions.registry import error_envelope
from netclaw_opencode.adapters.mcp.answers import answer_of
from netclaw_opencode.adapters.mcp.elicitation import ask_until_done
from netclaw_opencode.adapters.mcp.progress import ProgressPlugin, report_progress
from netclaw_opencode.adapters.mcp.tools import (
    OUTPUT,
    RESOURCES,
    ToolDescription,
    instructions_of,
    listed_tools,
    page_of,
    prompt_of,
    tools_of,
)
from netclaw_opencode.errors import DriverError, Interrupted, InvalidInput
from netclaw_opencode.host import Host
from netclaw_opencode.manifest import own_manifest
from netclaw_opencode.settings import Settings, results_dir

FAREWELL_SECONDS = 0.5
"""How long the last answers may take to be written when all calls have ended."""

_SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
_LONGEST_NAME = 100
_LONGEST_NOTICE = 1000

_log = logging.getLogger("netclaw_opencode.mcp")

Context = ServerRequestContext[dict[str, object]]


class Calls:
    """The host of this process, as tool calls reach it; what keeps it from being opened is the answer to each of them."""

    def __init__(self, environ: Mapping[str, str], *, tools: Mapping[str, ToolDescription]) -> None:
        self._environ = environ
        self._tools = tools
        self._stack = AsyncExitStack()
        self._opened = anyio.Event()
        self._host: Host | None = None
        self._refusal: DriverError = Interrupted("cancelled", "this server is being stopped; nothing was started")
        self.results = results_dir(environ)

    async def __aenter__(self) -> Calls:
        try:
            settings = Settings.from_environment(self._environ)
            self._host = await self._stack.enter_async_context(Host(settings, plugins={"mcp": ProgressPlugin()}))
            for problem in self._host.problems:
                _say(str(problem))
        except DriverError as error:
            # A server that ends at once is a riddle to most hosts; one whose every call says what is wrong is not.
            self._refusal = error
            _say(error.message)
        self._opened.set()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._host = None
        await self._stack.aclose()

    async def run(self, name: str, arguments: Mapping[str, object]) -> dict[str, object]:
        """Return the envelope of one call."""
        await self._opened.wait()
        if name not in self._tools:
            return error_envelope(name[:_LONGEST_NAME] or "?", InvalidInput("unknown_action", f"there is no tool {name[:_LONGEST_NAME]!r}"))
        if self._host is None:
            return error_envelope(name, self._refusal)
        return await self._host.invoke(name, arguments)


def _say(text: str) -> None:
    """One line for the person who set the server up; hosts keep what comes on stderr."""
    sys.stderr.write(f"netclaw-opencode mcp: {' '.join(text.split())[:_LONGEST_NOTICE]}\n")


class _Protocol:
    """The requests of the client."""

    def __init__(self, calls: Calls, tools: Mapping[str, ToolDescription]) -> None:
        self._calls = calls
        self._tools = tools

    async def list_tools(self, _context: Context, _params: types.PaginatedRequestParams | None) -> types.ListToolsResult:
        return types.ListToolsResult(tools=[_tool(tool) for tool in self._tools.values()])

    async def call_tool(self, context: Context, params: types.CallToolRequestParams) -> types.CallToolResult:
        asked = context.meta is not None and context.meta.get("progress_token") is not None

        async def report(count: float, line: str) -> None:
            await context.session.report_progress(count, message=line)

        async with report_progress(report) if asked else nullcontext():
            arguments = params.arguments or {}
            envelope = await self._calls.run(params.name, arguments)
            envelope = await ask_until_done(context.session, context.request_id, envelope, arguments, run=self._calls.run)
        tool = self._tools.get(params.name)
        schema = own_manifest().actions[tool.name].output_schema if tool is not None else None
        answer = answer_of(envelope, folder=self._calls.results, output_schema=schema)
        return types.CallToolResult(
            content=[types.TextContent(type="text", text=answer.text)], structured_content=answer.structured, is_error=answer.is_error
        )

    async def list_prompts(self, _context: Context, _params: types.PaginatedRequestParams | None) -> types.ListPromptsResult:
        skill = own_manifest()
        return types.ListPromptsResult(prompts=[types.Prompt(name=skill.name, title="OpenCode driver", description=skill.description)])

    async def get_prompt(self, _context: Context, params: types.GetPromptRequestParams) -> types.GetPromptResult:
        skill = own_manifest()
        if params.name != skill.name:
            raise MCPError(code=types.INVALID_PARAMS, message=f"there is no such prompt; the only one is {skill.name}")
        text = types.TextContent(type="text", text=prompt_of(skill))
        return types.GetPromptResult(description=skill.description, messages=[types.PromptMessage(role="user", content=text)])

    async def list_resources(self, _context: Context, _params: types.PaginatedRequestParams | None) -> types.ListResourcesResult:
        return types.ListResourcesResult(
            resources=[
                types.Resource(name=tool.name, title=tool.title, uri=RESOURCES + tool.name, mime_type="application/json")
                for tool in self._tools.values()
            ]
        )

    async def read_resource(self, _context: Context, params: types.ReadResourceRequestParams) -> types.ReadResourceResult:
        address = str(params.uri)
        text = page_of(own_manifest(), address)
        if text is None:
            message = f"there is no resource {address[:_LONGEST_NAME]!r}; there are {RESOURCES}TOOL"
            raise MCPError(code=types.INVALID_PARAMS, message=message)
        return types.ReadResourceResult(contents=[types.TextResourceContents(uri=address, mime_type="application/json", text=text)])


def _tool(tool: ToolDescription) -> types.Tool:
    return types.Tool(
        name=tool.name,
        title=tool.title,
        description=tool.description,
        input_schema=dict(tool.input_schema),
        output_schema=dict(OUTPUT),
        annotations=types.ToolAnnotations(
            read_only_hint=tool.hints.read_only,
            destructive_hint=tool.hints.destructive,
            idempotent_hint=tool.hints.idempotent,
            open_world_hint=tool.hints.open_world,
        ),
    )


def serve(environ: Mapping[str, str], *, leave: Callable[[int], object] = os._exit) -> None:
    """Serve the client on standard input and output until it goes or a signal comes.

    ``leave`` ends the process where a standard stream is stuck after all work has been stopped.
    """
    anyio.run(_serve, environ, leave)


async def _serve(environ: Mapping[str, str], leave: Callable[[int], object]) -> None:
    manifest = own_manifest()
    tools = tools_of(manifest)
    calls = Calls(environ, tools=tools)
    protocol = _Protocol(calls, listed_tools(manifest))
    server: Server[dict[str, object]] = Server(
        manifest.name,
        version=__version__,
        title="OpenCode driver",
        instructions=instructions_of(manifest),
        on_list_tools=protocol.list_tools,
        on_call_tool=protocol.call_tool,
        on_list_prompts=protocol.list_prompts,
        on_get_prompt=protocol.get_prompt,
        on_list_resources=protocol.list_resources,
        on_read_resource=protocol.read_resource,
    )
    ended, spoken = anyio.Event(), anyio.Event()
    async with anyio.create_task_group() as beside:
        await beside.start(_watch_signals, ended)
        await beside.start(_speak, server, ended, spoken)
        # From here on the SDK holds the real streams; whatever a plugin prints, it does not end up between two messages.
        with redirect_stdout(sys.stderr):
            async with calls:
                await ended.wait()
        # All calls have ended, and with them what they ran. Their answers are on the way.
        with anyio.move_on_after(FAREWELL_SECONDS):
            await spoken.wait()
        if not spoken.is_set():
            # A thread of the SDK waits for a stream that may never end; nothing cancels that.
            leave(0)
        beside.cancel_scope.cancel()


async def _speak(server: Server[dict[str, object]], ended: anyio.Event, spoken: anyio.Event, *, task_status: TaskStatus[None]) -> None:
    try:
        async with stdio_server() as (reader, writer):
            task_status.started()
            try:
                await server.run(reader, writer, server.create_initialization_options())
            finally:
                ended.set()
    except* OSError as errors:
        # The client died: its end of a pipe is gone. The SDK has cancelled the calls, and they have ended.
        _log.info("the client is gone: %s", errors.exceptions[0])
    finally:
        ended.set()
        spoken.set()


async def _watch_signals(ended: anyio.Event, *, task_status: TaskStatus[None]) -> None:
    watched = [number for number in _SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
    if not watched:
        task_status.started()
        return
    with anyio.open_signal_receiver(*watched) as received:
        task_status.started()
        async for number in received:
            # A second one changes nothing: what is being stopped already is stopped within bounds of its own.
            _log.info("%s: stopping what runs", signal.Signals(number).name)
            ended.set()


__all__ = ["FAREWELL_SECONDS", "Calls", "serve"]
