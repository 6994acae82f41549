"""S4-S6, S9-S11: where requests may go, and what may stand in them."""

from __future__ import annotations

import random
import re
import ssl
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netclaw_opencode.errors import DriverError, InvalidInput
from netclaw_opencode.offline import Text
from netclaw_opencode.opencode.wire import ids, routes
from netclaw_opencode.opencode.wire.http import HttpClient
from netclaw_opencode.opencode.wire.routes import Route
from netclaw_opencode.settings import Settings
from netclaw_opencode.testing.proxy import answer
from tests.faults.bench import Bench
from tests.faults.guard import Ears
from tests.support import answering

HOME = {"HOME": "/home/me"}
FORBIDDEN = re.compile(r"/(shell|pty|file|find|tui|auth|share|upgrade|command|init|summarize|revert|api|project|mcp|instance|log)\b")
ALLOWED = [re.compile(f"{item.method} " + re.sub(r"\\{\w+\\}", "[0-9A-Za-z_]+", re.escape(item.path))) for item in routes.ALL]


def code_of(url: str, **environ: str) -> str | None:
    """The code with which the settings refuse an address; None where they take it."""
    try:
        Settings.from_environment({**HOME, "OPENCODE_API_URL": url, **environ})
    except DriverError as error:
        return error.code if "canary" not in str(error.to_wire()) else "it tells the password"
    return None


@pytest.mark.parametrize(
    "host", ["code.example", "10.1.2.3", "[2001:db8::1]", "localhost.evil.example", "127.0.0.1.nip.example", "localhost."]
)
@pytest.mark.parametrize("password", ["canary-pw", ""])
def test_s04_nothing_in_clear_text_to_another_machine(host: str, password: str) -> None:
    """S4: neither password nor prompt; a name that resolves to loopback, to both, or once so and once so, is a name all the same."""
    assert code_of(f"http://{host}:4096", OPENCODE_SERVER_PASSWORD=password) == "insecure_url"
    assert code_of(f"https://{host}:4096", OPENCODE_SERVER_PASSWORD=password) is None


def test_s04_certificates_are_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    """S4: https is asked for a certificate that names the host; nothing in the environment turns that off."""
    monkeypatch.setenv("SSL_CERT_FILE", "/nonexistent")
    monkeypatch.setenv("PYTHONHTTPSVERIFY", "0")
    made: list[object] = []
    real = httpx.AsyncClient.__init__

    def init(client: httpx.AsyncClient, **given: object) -> None:
        made.append(given["verify"])
        real(client, **given)  # type: ignore[arg-type]  # handed on as it came

    monkeypatch.setattr(httpx.AsyncClient, "__init__", init)
    client = HttpClient(url="https://code.example", username="u", password="p")
    assert made == [True]
    context = client._client._transport._pool._ssl_context  # type: ignore[attr-defined]
    assert context.verify_mode == ssl.CERT_REQUIRED and context.check_hostname


@pytest.mark.parametrize(
    "host",
    [
        *("169.254.169.254", "[fe80::1]", "0.0.0.0", "[::]", "224.0.0.1", "[ff02::1]"),  # noqa: S104 - what must be refused
        *("[::ffff:169.254.169.254]", "[::ffff:a9fe:a9fe]", "[::ffff:0.0.0.0]", "metadata.google.internal", "METADATA.google.internal."),
        *("2852039166", "0xa9fea9fe", "169.254.43518", "0251.0376.0251.0376"),
    ],
)
def test_s05_addresses_that_no_server_should_have(host: str) -> None:
    """S5: the metadata service in every spelling; short, decimal, octal and hexadecimal forms are names here, so never plain http."""
    assert code_of(f"http://{host}") == "insecure_url"
    if not re.fullmatch(r"[0-9a-fx.]+", host) or host == "169.254.169.254":
        assert code_of(f"https://{host}") == "insecure_url"


@pytest.mark.parametrize("host", ["127.1", "2130706433", "0x7f000001", "0177.0.0.1", "127.0.0.1.", "localtest.me", "localhost.localdomain"])
def test_s05_only_plain_loopback_is_loopback(host: str) -> None:
    """S5: what a resolver might take for loopback, today, is not taken for it here."""
    assert code_of(f"http://{host}:4096") == "insecure_url"
    for plain in ("localhost", "127.0.0.1", "127.8.8.8", "[::1]", "[::ffff:127.0.0.1]"):
        assert code_of(f"http://{plain}:4096") is None


@pytest.mark.real
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_s06_redirects_are_not_followed(bench: Bench, status: int) -> None:
    """S6: by no route; the other side sees no connection, and so no credentials."""
    with Ears() as ears:
        rules = [
            bench.proxy.on("GET /global/health", answer("", status=status, location=f"{ears.url}/global/health")),
            bench.proxy.on("POST /session", answer("{}", status=status, location=f"{ears.url}/session")),
        ]
        assert "not followed" in str(bench.error("list_sessions", directory=bench.directory))
        rules[0].pattern = "nothing"
        error = bench.error("create_session", directory=bench.directory)
        assert error["code"] == "bad_response" and "not followed" in error["message"]
        assert [rule.fired for rule in rules] == [1, 1] and ears.connections == 0


HOSTILE = "/?#%&=;:@\\.-_~!*'() \t\r\n\x00\x1b\x7f\x9b\u202e\uff0f\u2024éあ0aZ"


def hostile_ids(count: int) -> Iterator[str]:
    """Texts that want to be ids, drawn with a fixed seed."""
    draw = random.Random(20241122)
    for _ in range(count):
        body = "".join(
            draw.choice(HOSTILE + "0123456789abcdefXYZ" * draw.choice((0, 5))) for _ in range(draw.choice((0, 1, 9, 10, 26, 64, 65)))
        )
        yield draw.choice(("ses_", "msg_", "ses", "", "../", "//", "ses_0000000000")) + body


def path_of(route: Route, text: str) -> str | None:
    """The raw path with which a request for this id leaves; None where none leaves. The id is not checked before."""
    names = re.findall(r"\{(\w+)\}", route.path)
    server = answering.answering()
    with suppress(DriverError):
        answering.call(server, route, ids=dict.fromkeys(names, text), body={} if route.method in ("POST", "PATCH") else None)
    return server.requests[0].url.raw_path.decode("ascii") if server.requests else None


def test_s09_ids_are_checked_before_a_url_is_built() -> None:
    """S9: of 10,000 hostile texts none passes but plain ids; the dispatcher and the client check alike."""
    passed = [text for text in hostile_ids(10_000) if accepted(text)]
    assert len(passed) < 2_000 and all(re.fullmatch(r"ses_[0-9A-Za-z]{10,64}", text) for text in passed)


def accepted(text: str) -> bool:
    """Whether the text counts as the id of a session; a refusal is one printable line."""
    try:
        ids.check_id(text)
    except InvalidInput as error:
        return not error.message.isprintable()
    return True


@settings(max_examples=150, deadline=None)
@given(
    st.one_of(st.text(), st.from_regex(r"ses_[0-9A-Za-z/?#.%]{1,40}"), st.sampled_from(["..", "ses_x/../../config", "//evil.example/x"]))
)
def test_s09_no_request_leaves_the_list_of_routes(text: str) -> None:
    """S9: even an id that nobody checked reaches no other route: the client refuses it by itself."""
    for route in (routes.SESSION_GET, routes.SESSION_ABORT, routes.PERMISSION_REPLY):
        path = path_of(route, text)
        assert path is None or any(item.fullmatch(f"{route.method} {path}") for item in ALLOWED)


@pytest.mark.real
def test_s10_no_text_of_a_user_in_a_header(bench: Bench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """S10: line breaks and other letters in every field; each header is one of ours, with a value of ours."""
    headers: list[tuple[str, str]] = []
    send = httpx.AsyncHTTPTransport.handle_async_request

    async def handle(transport: httpx.AsyncHTTPTransport, request: httpx.Request) -> httpx.Response:
        headers.extend(request.headers.items())
        return await send(transport, request)

    monkeypatch.setattr(httpx.AsyncHTTPTransport, "handle_async_request", handle)
    place = tmp_path / "mörk\u202eer"
    place.mkdir()
    mark = "MARK\r\nX-Injected: 1\r\n\r\nünï"
    bench.model.when("MARK", Text("ok"))
    bench.data("run_task", prompt=mark, system=mark, title="MARK ünï \u202e", directory=str(place), idempotency_key="MARK ünï")
    bench.remember(bench.data("list_sessions", directory=str(place))["sessions"][0]["session_id"])
    bench.error("run_task", prompt=mark, agent="MARK ünï", directory=str(place))
    names = {name for name, _ in headers}
    own = {
        "host",
        "accept",
        "accept-encoding",
        "connection",
        "user-agent",
        "authorization",
        "content-length",
        "content-type",
        "cache-control",
    }
    assert names <= own and names >= {"authorization", "content-type"}
    assert not [value for _, value in headers if "MARK" in value or "ö" in value or not value.isascii() or not value.isprintable()]


@pytest.mark.real
def test_s11_only_routes_of_the_allow_list(bench: Bench) -> None:
    """S11: whole calls of every kind, and what the proxy saw of them; no route of ours may run, write, share, upgrade or configure."""
    for item in routes.ALL:
        assert not FORBIDDEN.search(item.path), item.path
        assert item.path != "/config" or item.method == "GET"
    here = {"directory": bench.directory}
    bench.data("check_availability", start=False, **here)
    bench.data("list_providers", **here)
    session_id = bench.create()
    bench.data("send_message", session_id=session_id, prompt="hello")
    bench.data("get_session_status", session_id=session_id)
    bench.data("get_session_result", session_id=session_id)
    bench.data("wait_for_session", session_id=session_id)
    bench.data("list_sessions", all_directories=True)
    bench.data("watch_events", session_id=session_id, wait_seconds=0.1)
    bench.data("run_task", prompt="go on", parent_id=session_id, **here)
    bench.data("cleanup", dry_run=True)
    bench.data("abort_session", session_id=session_id)
    bench.data("delete_session", session_id=session_id)
    seen = {item.route for item in bench.proxy.seen()}
    assert len(seen) > 15
    assert [line for line in seen if not any(item.fullmatch(line) for item in ALLOWED) or FORBIDDEN.search(line)] == []
