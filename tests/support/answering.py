"""A server for the client under test, through httpx's one-method transport: it answers as no real server would on demand.

Owns stand-ins for one answer, a broken connection, and a body without end. It knows nothing of OpenCode.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import anyio
import anyio.lowlevel
import httpx
import pytest

from netclaw_opencode.errors import DriverError
from netclaw_opencode.opencode.wire import routes
from netclaw_opencode.opencode.wire.http import HttpClient
from netclaw_opencode.opencode.wire.routes import Route

URL = "http://127.0.0.1:4096"
PASSWORD = "canary-pass:wörd"
BROKEN = (httpx.ReadError("reset"), httpx.WriteError("pipe"), httpx.RemoteProtocolError("Server disconnected"))
"""Ways in which a connection breaks."""
Handler = Callable[[httpx.Request], httpx.Response]


class Whole(httpx.AsyncByteStream):
    """A body that arrives in one piece."""

    def __init__(self, content: bytes) -> None:
        self.content = content

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self.content


def response(status: int, content: bytes, headers: Mapping[str, str]) -> httpx.Response:
    """An answer whose body is still to be read."""
    return httpx.Response(status, stream=Whole(content), headers=headers)


class Server:
    """Answers by a function and remembers what it was asked."""

    def __init__(self, handler: Handler) -> None:
        self.handler = handler
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        return self.handler(request)


def answering(status: int = 200, *, text: str | bytes = "{}", kind: str = "application/json", **headers: str) -> Server:
    """A server that gives one and the same answer."""
    content = text.encode() if isinstance(text, str) else text
    return Server(lambda _: response(status, content, {"content-type": kind, **headers}))


def failing(*errors: Exception, then: str = "{}") -> Server:
    """A server that breaks the first connections, and then answers."""
    left = list(errors)

    def handle(_: httpx.Request) -> httpx.Response:
        if left:
            raise left.pop(0)
        return response(200, then.encode(), {"content-type": "application/json"})

    return Server(handle)


def call(
    server: Server,
    route: Route = routes.PATH,
    *,
    password: str | None = PASSWORD,
    **given: Any,  # noqa: ANN401 - handed on as it is
) -> object:
    """Make one call to that server."""

    async def run() -> object:
        transport = httpx.MockTransport(server)
        async with HttpClient(url=URL, username="opencode", password=password, transport=transport) as client:
            return await client.call(route, **given)

    return anyio.run(run)


def error_of(server: Server, route: Route = routes.PATH, **given: Any) -> DriverError:  # noqa: ANN401 - handed on as it is
    """The error that a call ends with."""
    with pytest.raises(DriverError) as caught:
        call(server, route, **given)
    return caught.value


class Endless(httpx.AsyncByteStream):
    """Sends the same chunk for ever, and counts how often."""

    def __init__(self, chunk: bytes) -> None:
        self.chunk = chunk
        self.sent = 0
        self.closed = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            await anyio.lowlevel.checkpoint()
            self.sent += 1
            yield self.chunk

    async def aclose(self) -> None:
        self.closed = True


class Stuck(Endless):
    """Sends one chunk, and then nothing."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        self.sent += 1
        yield self.chunk
        await anyio.Event().wait()


def streaming(stream: httpx.AsyncByteStream, **headers: str) -> Server:
    """A server that answers with this stream."""
    return Server(lambda _: httpx.Response(200, stream=stream, headers={"content-type": "application/json", **headers}))
