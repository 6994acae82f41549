"""One request over HTTP: limits on time and size, the one retry rule, and every failure as our own error.

The seam is httpx's transport: a function stands for a server that does what no real one would show on demand.
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import AsyncIterator, Mapping
from email.utils import formatdate

import anyio
import httpx
import pytest

from netclaw_opencode.errors import DriverError
from netclaw_opencode.opencode.wire import http, routes
from netclaw_opencode.opencode.wire.http import HttpClient, HttpNotFoundError, sanitize
from tests.support.answering import BROKEN, PASSWORD, URL, Server, Stuck, answering, call, error_of, failing, streaming


def test_json_comes_back_as_it_is() -> None:
    """Any JSON value, with or without a charset in its type; 204 has none."""
    assert call(answering(text='{"a": [1, null, "ü"]}')) == {"a": [1, None, "ü"]}
    assert call(answering(text="true", kind="application/json; charset=utf-8")) is True
    assert call(answering(204, text="")) is None


def test_a_request_says_who_where_and_what() -> None:
    """Basic authentication, the directory percent-encoded in the query (F20, B22), a JSON body, no compression asked for."""
    server = answering()
    directory = "/tmp/ü ber/a&b=c#d?e%2f+"  # noqa: S108 - a name
    call(
        server, routes.PROMPT_ASYNC, ids={"session_id": "ses_aaaaaaaaaa"}, directory=directory, query={"limit": "1"}, body={"text": "grüße"}
    )
    (request,) = server.requests
    assert request.url.raw_path == (
        b"/session/ses_aaaaaaaaaa/prompt_async?limit=1&directory=%2Ftmp%2F%C3%BC+ber%2Fa%26b%3Dc%23d%3Fe%252f%2B"
    )
    assert request.url.params["directory"] == directory
    assert request.headers["authorization"] == "Basic " + base64.b64encode(f"opencode:{PASSWORD}".encode()).decode()
    assert request.headers["accept-encoding"] == "identity"
    assert json.loads(request.content) == {"text": "grüße"}


def test_a_header_never_holds_a_callers_text() -> None:
    """Directory and ids travel in the URL, so nothing can break out of a header; without a password there is none."""
    server = answering()
    call(server, routes.SESSIONS, directory="/x\r\nX-Evil: 1\0", query={"q": "\r\n"}, password=None)
    (request,) = server.requests
    assert {key.lower() for key in request.headers} <= {"host", "accept", "accept-encoding", "connection", "user-agent"}
    assert b"\r" not in request.url.raw_path and b"\n" not in request.url.raw_path


@pytest.mark.parametrize(
    "bad", ["ses_x/../../config", "..", "", "a?b", "a#b", "a%2fb", "ses_ü", "a" * 100, "ses_aaaaaaaaaa\n", "{session_id}"]
)
def test_what_is_no_id_never_reaches_the_url(bad: str) -> None:
    """Also where the check of ids was forgotten, or where the id came from a server: nothing is sent (F48)."""
    server = answering()
    error = error_of(server, routes.SESSION_GET, ids={"session_id": bad})
    assert (error.code, error.message) == ("bad_response", f"GET /session/{{session_id}}: session_id {bad[:60]!r} is not an id")
    assert server.requests == []


@pytest.mark.parametrize(
    ("status", "text", "code"),
    [
        (401, "", "auth_failed"),
        (401, '{"name":"ConfigJsonError"}', "auth_failed"),
        (400, '{"name":"BadRequest","data":{"message":"Expected object"}}', "invalid_input"),
        (400, '{"_tag":"BadRequest"}', "invalid_input"),
        (400, '{"name":"ConfigJsonError","data":{"path":"/h/opencode.json"}}', "config_error"),
        (500, '{"name":"ConfigInvalidError","data":{}}', "config_error"),
        (403, "forbidden", "bad_response"),
        (404, '{"name":"NotFoundError","data":{"message":"Session not found"}}', "bad_response"),
        (409, "", "bad_response"),
        (413, "too large", "bad_response"),
        (418, "<html>", "bad_response"),
        (500, '{"name":"UnknownError","data":{"message":"Check server logs, ref err_x"}}', "bad_response"),
        (502, "<html>bad gateway</html>", "bad_response"),
        (503, "\x00\xff", "bad_response"),
        (301, "", "bad_response"),
        (302, "", "bad_response"),
        (307, "", "bad_response"),
    ],
)
def test_every_status_has_its_error(status: int, text: str, code: str) -> None:
    """Both of the server's error shapes (F14), and what a proxy may put in between; nothing is tried again."""
    server = answering(status, text=text)
    error = error_of(server)
    assert error.code == code
    assert error.message.isprintable()
    assert len(server.requests) == 1


def test_an_error_names_the_request_and_what_the_server_said() -> None:
    """The route's pattern and the start of the server's own text."""
    error = error_of(answering(500, text='{"name":"UnknownError","data":{"message":"ref err_42"}}'))
    assert "GET /path" in error.message and "err_42" in error.message and error.details == {"status": 500}


def test_not_found_is_told_apart() -> None:
    """The driver makes "no such session" of it, or "already gone"."""
    assert isinstance(error_of(answering(404)), HttpNotFoundError)


def test_a_servers_text_is_shortened_cleaned_and_without_keys() -> None:
    """A broken configuration comes back with its whole text, keys included; escape sequences do not reach a terminal (F45, F51)."""
    text = json.dumps({"name": "ConfigJsonError", "data": {"message": 'at {"apiKey": "canary-key-0123"}\n\x1b[2J' + "x" * 5000}})
    error = error_of(answering(400, text=text))
    assert error.code == "config_error"
    assert "canary" not in error.message
    assert error.message.isprintable() and len(error.message) < 500


def test_a_redirect_is_not_followed() -> None:
    """Its target is never contacted, so no credentials go there (S6)."""
    server = answering(302, location="http://evil.example/steal")
    assert "redirect" in error_of(server).message
    assert [request.url.host for request in server.requests] == ["127.0.0.1"]


@pytest.mark.parametrize("kind", ["text/html", "text/html; charset=utf-8", "text/plain", "application/octet-stream", ""])
def test_a_web_page_is_not_opencode(kind: str) -> None:
    """Unknown routes answer 200 with the web page: a 200 proves nothing (F38)."""
    assert error_of(answering(text="<!doctype html>", kind=kind)).code == "not_opencode"


@pytest.mark.parametrize(
    "text",
    [
        *("", "{", '{"a": 1,}', "{'a': 1}", "nul", "{} {}"),
        *("NaN", '{"a": NaN}', "[Infinity]", "-Infinity"),
        *(b"\xff\xfe\xfa", b'{"a": "\xff"}'),
        *("[" * 200_000, '{"a":' * 100_000, "1" * 5000),
    ],
    ids=lambda text: ascii(text)[:20].replace("\\", "|"),
)
def test_what_is_not_json_is_a_bad_response(text: str | bytes) -> None:
    """Cut, lax, not a number, not text, nested without end, or a number without end: no crash and no guess (S18)."""
    assert error_of(answering(text=text)).code == "bad_response"


def test_no_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy would be used for loopback too (F53): port 9 would refuse, the real server answers."""
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)

    async def serve(stream: anyio.abc.SocketStream) -> None:
        async with stream:
            await stream.receive()
            await stream.send(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}")

    async def run() -> object:
        async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener, anyio.create_task_group() as tasks:
            port = listener.extra(anyio.abc.SocketAttribute.local_port)  # noqa: S610 - no Django
            tasks.start_soon(listener.serve, serve)
            async with HttpClient(url=f"http://127.0.0.1:{port}", username="u", password=None) as client:
                found = await client.call(routes.PATH)
            tasks.cancel_scope.cancel()
        return found

    assert anyio.run(run) == {}


def test_a_closed_port_is_unreachable_at_once() -> None:
    """With the address in the message, and without a second try."""

    async def run() -> None:
        async with HttpClient(url="http://127.0.0.1:9", username="u", password=None) as client:
            await client.call(routes.PATH)

    with pytest.raises(DriverError, match=r"127\.0\.0\.1:9") as caught:
        anyio.run(run)
    assert caught.value.code == "server_unreachable"


def test_the_password_is_in_no_text() -> None:
    """Neither the client's repr nor any error, its details or its causes hold it."""
    encoded = base64.b64encode(f"opencode:{PASSWORD}".encode()).decode()
    texts = [repr(HttpClient(url=URL, username="opencode", password=PASSWORD, transport=httpx.MockTransport(answering())))]
    faults: tuple[Server, ...] = (answering(401), answering(500), answering(text="x"), failing(*BROKEN), streaming(Stuck(b"")))
    for server in faults:
        error: BaseException | None = error_of(server, limit_seconds=0.1)
        while error is not None:
            texts.append(f"{error!r} {error} {error.to_wire() if isinstance(error, DriverError) else ''}")
            error = error.__cause__
    assert not [text for text in texts if "canary" in text or encoded in text]


def test_the_table_of_routes_is_closed_and_has_nothing_dangerous() -> None:
    """No shell, terminal, file, upgrade, sharing, key or configuration can be reached: there is no route for it (S11)."""
    forbidden = (
        "/shell",
        "/pty",
        "/file",
        "/find",
        "/upgrade",
        "/tui",
        "/auth",
        "/share",
        "/mcp",
        "/command",
        "/revert",
        "/log",
        "/instance",
        "/api/",
    )
    assert len(routes.ALL) == len({route.name for route in routes.ALL}) == len({(route.method, route.path) for route in routes.ALL})
    for route in routes.ALL:
        assert not [part for part in forbidden if part in route.path]
        # Without a limit of its own a request has the time of its call.
        assert route.limit_seconds is None or 0 < route.limit_seconds <= 15
        most = 256 if route in (routes.MESSAGES, routes.MESSAGE) else 16
        assert 0 < route.limit_bytes <= most * routes.MIB
    writing = {(route.method, route.path) for route in routes.ALL if route.method not in ("GET", "POST")}
    assert writing == {("PATCH", "/session/{session_id}"), ("DELETE", "/session/{session_id}")}


@pytest.mark.parametrize("given_text", ["a\nb", "\x1b]0;title\x07", "right\u202eleft", "tab\tnul\0", "\ud800", "x" * 10_000])
def test_foreign_text_is_one_harmless_line(given_text: str) -> None:
    """Shortened, without control characters, escape sequences, bidi controls or broken Unicode (S14, S33)."""
    shown = sanitize(given_text)
    assert shown.isprintable() and len(shown) <= 400
    shown.encode("utf-8")


# --- the server's clock -------------------------------------------------------------------------------------------------


def offset_of(date: str | None) -> int:
    """How far ahead the server's clock is, after an answer with that date."""

    async def run() -> int:
        server = answering() if date is None else answering(date=date)
        transport = httpx.MockTransport(server)
        async with HttpClient(url=URL, username="u", password=None, transport=transport) as client:
            await client.call(routes.PATH)
            assert abs(client.server_time_ms() - time.time() * 1000 - client.clock_offset_ms) < 60_000
            return client.clock_offset_ms

    return anyio.run(run)


@pytest.mark.parametrize("ahead_seconds", [3600, -3600])
def test_a_server_whose_clock_differs_is_known_by_its_date(ahead_seconds: int) -> None:
    """Ids and deadlines are made by the server's clock (L30); its date counts whole seconds."""
    offset = offset_of(formatdate(time.time() + ahead_seconds, usegmt=True))
    assert abs(offset - ahead_seconds * 1000) < 60_000


@pytest.mark.parametrize("date", [None, "", "yesterday", "Thu, 99 Foo 2026 25:61:61 GMT"])
def test_a_date_that_says_nothing_leaves_the_clock_as_it_is(date: str | None) -> None:
    """Nothing is guessed."""
    assert offset_of(date) == 0


def test_clocks_that_agree_within_two_seconds_agree() -> None:
    """A smaller difference cannot be told from the way of the answer."""
    assert offset_of(formatdate(time.time() + 1, usegmt=True)) == 0


# --- the event stream --------------------------------------------------------------------------------------------------


def events(server: Server) -> list[str]:
    """The data of all events until the stream ends."""

    async def run() -> list[str]:
        client = HttpClient(url=URL, username="u", password=None, transport=httpx.MockTransport(server))
        async with client, client.stream_events(routes.EVENTS) as items:
            return [item async for item in items]

    return anyio.run(run)


def test_events_are_read_from_a_stream() -> None:
    """Several lines of data are one text; comments are none."""
    text = ': hello\n\ndata: {"a": 1}\n\ndata: one\ndata: two\n\n'
    assert events(answering(text=text, kind="text/event-stream")) == ['{"a": 1}', "one\ntwo"]


@pytest.mark.parametrize(
    ("server", "code"),
    [
        (answering(401), "auth_failed"),
        (answering(404), "bad_response"),
        (answering(text="<html>", kind="text/html"), "connection_lost"),
        (failing(httpx.ConnectError("refused")), "server_unreachable"),
        (failing(httpx.ReadError("reset")), "connection_lost"),
    ],
)
def test_a_stream_that_cannot_be_had_is_our_own_error(server: Server, code: str) -> None:
    """By status, by content, or by the connection."""
    with pytest.raises(DriverError) as caught:
        events(server)
    assert caught.value.code == code


def test_a_stream_that_breaks_is_our_own_error() -> None:
    """After some events, in the middle of reading."""

    class Breaks(httpx.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            yield b"data: 1\n\n"
            raise httpx.ReadError("reset")

    headers: Mapping[str, str] = {"content-type": "text/event-stream"}
    with pytest.raises(DriverError) as caught:
        events(Server(lambda _: httpx.Response(200, stream=Breaks(), headers=headers)))
    assert caught.value.code == "connection_lost"


def test_a_parsed_answer_is_named_by_its_route() -> None:
    """The error of a broken answer says which request it was."""
    with pytest.raises(DriverError, match="GET /path"):
        http.parse_json(b"{", routes.PATH)
