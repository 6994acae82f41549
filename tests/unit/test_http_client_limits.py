"""Limits and faults of one request: size, time, compression, broken connections and the one retry rule."""

from __future__ import annotations

from collections.abc import AsyncIterator

import anyio
import httpx
import pytest

from netclaw_opencode.opencode.wire import routes
from netclaw_opencode.opencode.wire.routes import Route
from tests.support.answering import BROKEN, Endless, Server, Stuck, answering, call, error_of, failing, streaming


def test_an_answer_has_a_largest_size() -> None:
    """One byte over the route's limit is refused, with the limit named; the limit itself passes."""
    route = Route("small", "GET", "/small", limit_bytes=100)
    assert call(answering(text='"' + "x" * 98 + '"'), route) == "x" * 98
    error = error_of(answering(text='"' + "x" * 99 + '"'), route)
    assert error.code == "response_too_large"
    assert error.details == {"route": "small", "limit_bytes": 100}


def test_reading_stops_at_the_limit_and_not_after_it() -> None:
    """A stream without end is left after the chunk that exceeds the limit: memory stays bounded (F50)."""
    stream = Endless(b"x" * 60)
    assert error_of(streaming(stream), Route("small", "GET", "/small", limit_bytes=100)).code == "response_too_large"
    assert stream.sent == 2 and stream.closed


@pytest.mark.parametrize("encoding", ["gzip", "br", "zstd", "deflate", "gzip, gzip", "x-new"])
def test_a_compressed_answer_is_refused_unread(encoding: str) -> None:
    """None was asked for, and 204 KB of gzip became 200 MB (F53): not one byte of it is read."""
    stream = Endless(b"x")
    error = error_of(streaming(stream, **{"content-encoding": encoding}))
    assert error.code == "bad_response" and "compressed" in error.message
    assert stream.sent == 0 and stream.closed


@pytest.mark.parametrize("stream", [Stuck(b'{"a":'), Endless(b"")], ids=["silent", "dripping"])
def test_the_time_limit_is_total(stream: Endless) -> None:
    """It runs from connect to last byte, whether the answer stops or drips for ever: a read time-out never fires then (F53)."""
    error = error_of(streaming(stream), limit_seconds=0.05)
    assert error.code == "request_timeout" and error.retryable
    assert error.details == {"route": "path", "limit_seconds": 0.05}
    assert stream.closed


def test_the_time_limit_covers_repetitions_too() -> None:
    """Broken connections are tried again within the one limit, not with a fresh one each."""

    class Breaks(Stuck):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            yield b"{"
            with anyio.move_on_after(0.04):
                await anyio.Event().wait()
            raise httpx.ReadError("broken")

    server = Server(lambda _: httpx.Response(200, stream=Breaks(b""), headers={"content-type": "application/json"}))
    assert error_of(server, limit_seconds=0.06).code == "request_timeout"


def test_a_caller_may_lower_the_limit_and_not_raise_it() -> None:
    """The table's limit is the longest."""
    route = Route("slow", "GET", "/slow", limit_seconds=0.05)
    assert error_of(streaming(Stuck(b"{")), route, limit_seconds=99.0).details["limit_seconds"] == 0.05


def test_a_safe_request_is_repeated_after_a_broken_connection() -> None:
    """Twice at most; the third failure is told."""
    server = failing(BROKEN[0], BROKEN[2])
    assert call(server) == {}
    assert len(server.requests) == 3
    server = failing(*BROKEN)
    assert error_of(server).code == "connection_lost"
    assert len(server.requests) == 3


@pytest.mark.parametrize("error", BROKEN, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("route", [routes.PROMPT_ASYNC, routes.SESSION_CREATE, routes.SESSION_FORK], ids=lambda route: route.name)
def test_what_runs_the_agent_or_makes_something_is_never_repeated(route: Route, error: Exception) -> None:
    """A repeated prompt is paid for twice; whether it arrived is for the message store to say."""
    server = failing(error)
    found = error_of(server, route, ids={"session_id": "ses_aaaaaaaaaa"}, body={})
    assert found.code == "connection_lost"
    assert len(server.requests) == 1


def test_only_what_may_be_repeated_is_called_safe() -> None:
    """Every POST but the abort is sent once; reads, deletes and the update of a mark are idempotent."""
    once = {route.name for route in routes.ALL if route.retry == "connect"}
    assert once == {route.name for route in routes.ALL if route.method == "POST"} - {"session_abort"}


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (httpx.ConnectError("All connection attempts failed"), "server_unreachable"),
        (httpx.ConnectTimeout(""), "server_unreachable"),
        (httpx.RemoteProtocolError("illegal status line: bytearray(b'SSH-2.0-OpenSSH')"), "not_opencode"),
        (httpx.DecodingError("bad gzip"), "bad_response"),
        (httpx.TooManyRedirects("x"), "bad_response"),
        (httpx.UnsupportedProtocol("x"), "bad_response"),
        (httpx.PoolTimeout("x"), "bad_response"),
        (httpx.ReadTimeout("x"), "bad_response"),
        (httpx.LocalProtocolError("x"), "bad_response"),
        (httpx.CloseError("x"), "bad_response"),
        (httpx.ProxyError("x"), "bad_response"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_no_error_of_the_layer_below_leaks(error: Exception, code: str) -> None:
    """Whatever httpx raises becomes one of ours, with the reason in one line."""
    found = error_of(failing(error, error, error))
    assert found.code == code
    assert found.message.isprintable()


def test_every_httpx_error_is_mapped() -> None:
    """A new one in a later httpx is mapped too, since the base class is."""
    kinds = {kind for kind in vars(httpx).values() if isinstance(kind, type) and issubclass(kind, httpx.TransportError)}
    for kind in kinds:
        assert error_of(failing(*(kind("x") for _ in range(3)))).code in {"server_unreachable", "bad_response", "connection_lost"}


def test_connecting_has_a_limit_below_that_of_the_request() -> None:
    """So that "nobody accepts" is told from "accepted, and silent" (F2)."""
    server = answering()
    call(server, routes.SESSION_ABORT, ids={"session_id": "ses_aaaaaaaaaaaa"})
    call(server, routes.PATH)
    limits = [request.extensions["timeout"] for request in server.requests]
    assert [limit["connect"] for limit in limits] == [0.9 * 3.0, 3.0]
    assert all(limit["read"] is None for limit in limits)
