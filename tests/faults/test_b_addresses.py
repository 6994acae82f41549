"""B28-B34, B42-B44: the server's address and the way in. Whoever reads the message knows which part is wrong, and no secret."""

from __future__ import annotations

import base64

import httpx
import pytest

from netclaw_opencode.errors import DriverError
from netclaw_opencode.settings import DEFAULT_URL, Settings
from tests.faults.bench import Bench, host_to
from tests.faults.guard import Guard

CANARY = "canary-pw"


def refused(guard: Guard, url: str, *told: str, code: str = "invalid_url", **environ: str) -> str:
    """The message with which settings and command line refuse the address alike."""
    with pytest.raises(DriverError) as caught:
        Settings.from_environment({**guard.environ, "OPENCODE_API_URL": url, **environ})
    error = caught.value
    assert error.code == code and "OPENCODE_API_URL" in error.message, error.to_wire()
    assert CANARY not in f"{error.to_wire()}" and error.message.isprintable() and len(error.message) < 400
    for part in told:
        assert part in error.message, (part, error.message)
    if "\x00" not in url:
        typed = guard.typed_with("inspect", "list-sessions", OPENCODE_API_URL=url, **environ, exit_code=error.exit_code)
        assert typed["message"] == error.message
    return error.message


@pytest.mark.parametrize(
    "url",
    ["", " ", " http://localhost:4096", "http://localhost:4096\n", "http://local host", "http://a\x00b", "localhost:4096", "//localhost"],
)
def test_b28_address_that_is_no_full_url(guard: Guard, url: str) -> None:
    """B28: empty, with blanks, without a scheme: a right one is shown."""
    refused(guard, url, DEFAULT_URL)


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "ftp://localhost", "javascript:alert(1)", "unix:/run/x.sock", "ws://localhost", "httpx://h"]
)
def test_b29_address_with_another_scheme(guard: Guard, url: str) -> None:
    """B29: http or https."""
    refused(guard, url, "must begin with http:// or https://", DEFAULT_URL)


@pytest.mark.parametrize(
    "url", [f"http://me:{CANARY}@localhost:4096", f"https://{CANARY}@localhost", f"http://me:{CANARY}@[::1", f"http://:{CANARY}@h:x/p"]
)
def test_b30_address_with_credentials(guard: Guard, url: str) -> None:
    """B30: refused, told which variables are for that, and never repeated."""
    told = refused(guard, url)
    assert "OPENCODE_SERVER_PASSWORD" in told or "malformed" in told


def test_b31_address_that_hides_its_host(guard: Guard) -> None:
    """B31: what stands after the @ is the host, and the message says so."""
    refused(guard, "http://127.0.0.1:14096@evil.example", "evil.example", "credentials in a URL are refused")


@pytest.mark.parametrize(
    ("url", "part"),
    [
        ("http://[::1", "the host is malformed"),
        ("http://[nonsense]:1", "the host is malformed"),
        ("http://", "the host is missing"),
        ("http://:4096", "the host is missing"),
        ("http://localhost:abc", "the port is malformed"),
        ("http://localhost:99999", "the port is malformed"),
        ("http://localhost:-1", "the port is malformed"),
        ("http://localhost:0", "port 0"),
    ],
)
def test_b32_address_with_a_malformed_part(guard: Guard, url: str, part: str) -> None:
    """B32: which part it is."""
    refused(guard, url, part, DEFAULT_URL)


@pytest.mark.parametrize("end", ["/api", "/v1/", "?directory=/etc", "#x", "/?a=b", "/../x"])
def test_b33_address_with_more_than_a_base(guard: Guard, end: str) -> None:
    """B33: path, query and fragment would change every request."""
    refused(guard, f"http://localhost:4096{end}", "not part of a base URL", DEFAULT_URL)


@pytest.mark.parametrize("host", ["10.0.0.1", "code.example", "127.0.0.1.example", "localhost.example", "[2001:db8::1]", "127.1"])
@pytest.mark.parametrize("password", [CANARY, ""])
def test_b34_address_in_clear_text_to_another_machine(guard: Guard, host: str, password: str) -> None:
    """B34: with a password and without one, since prompts and code would be readable, too."""
    refused(guard, f"http://{host}:4096", host, "clear text", code="insecure_url", OPENCODE_SERVER_PASSWORD=password)


@pytest.mark.real
def test_b42_empty_password_is_told(bench: Bench) -> None:
    """B42: it counts as no password, here as for the server; the check says so beside what came of it."""
    environ = {**bench.settings.environ, "OPENCODE_SERVER_PASSWORD": ""}
    with host_to(Settings.from_environment(environ)) as host:
        envelope = host.call("check_availability", directory=bench.directory, start=False)
    error = envelope["error"]
    assert isinstance(error, dict) and error["code"] == "auth_failed"
    warned = [item for item in error["details"]["problems"] if item["severity"] == "warning"]
    assert any("set, but empty" in item["message"] and "no password" in item["message"] for item in warned)


def test_b43_password_with_a_colon_or_other_letters(guard: Guard) -> None:
    """B43: both are allowed and travel as UTF-8; a line break or another control character is refused, and not shown."""
    for password in ("a:b", "pä:ß 密\u202e"):
        settings = Settings.from_environment({**guard.environ, "OPENCODE_SERVER_PASSWORD": password})
        assert settings.password == password
        sent = next(httpx.BasicAuth(settings.username, password).auth_flow(httpx.Request("GET", "http://x"))).headers["authorization"]
        assert base64.b64decode(sent.removeprefix("Basic ")).decode("utf-8") == f"opencode:{password}"
    for bad in ("\n", "\r", "\x1b", "\x7f"):
        error = guard.typed_with("inspect", "list-sessions", OPENCODE_SERVER_PASSWORD=f"{CANARY}{bad}")
        assert "OPENCODE_SERVER_PASSWORD" in error["message"] and "control character" in error["message"] and CANARY not in str(error)


def test_b44_user_name_with_a_colon(guard: Guard) -> None:
    """B44: basic authentication could not carry it."""
    error = guard.typed_with("inspect", "list-sessions", OPENCODE_SERVER_USERNAME="a:b")
    assert "OPENCODE_SERVER_USERNAME" in error["message"] and "':'" in error["message"] and error["code"] == "invalid_input"
