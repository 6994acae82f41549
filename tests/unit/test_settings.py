"""The environment: which variables count, what is refused and by which words, and that no secret shows."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from netclaw_opencode.errors import InvalidInput, Refused
from netclaw_opencode.settings import DEFAULT_URL, Settings, base_url, is_loopback

HOME = {"HOME": "/home/me"}


def test_nothing_set_gives_the_defaults() -> None:
    """The documented defaults hold, and the address counts as not chosen."""
    settings = Settings.from_environment(HOME)
    assert (settings.url, settings.url_given) == (DEFAULT_URL, False)
    assert (settings.username, settings.password) == ("opencode", None)
    assert (settings.binary, settings.model, settings.server_env) == (None, None, ())
    assert settings.state_dir == Path("/home/me/.local/state/netclaw-opencode")
    assert settings.directory == str(Path.cwd())


def test_every_variable_is_read() -> None:
    """Each documented variable ends in its field."""
    settings = Settings.from_environment(
        {
            "OPENCODE_API_URL": "https://code.example:8443/",
            "OPENCODE_SERVER_USERNAME": "ada",
            "OPENCODE_SERVER_PASSWORD": "a:b",
            "OPENCODE_DRIVER_BINARY": "/opt/opencode",
            "OPENCODE_DRIVER_STATE_DIR": "/var/lib/driver",
            "OPENCODE_DRIVER_DIRECTORY": "/srv/project",
            "OPENCODE_DRIVER_MODEL": "anthropic/claude-sonnet-4-5",
            "OPENCODE_DRIVER_SERVER_ENV": " ONE, TWO,,",
            "OPENCODE_DRIVER_POLICY": "/etc/driver/policy.yaml",
            "OPENCODE_DRIVER_AUDIT": "/var/log/answers.jsonl",
        }
    )
    assert (settings.url, settings.url_given) == ("https://code.example:8443", True)
    assert (settings.username, settings.password) == ("ada", "a:b")
    assert (settings.binary, settings.state_dir) == ("/opt/opencode", Path("/var/lib/driver"))
    assert (settings.directory, settings.model) == ("/srv/project", "anthropic/claude-sonnet-4-5")
    assert settings.server_env == ("ONE", "TWO")
    assert (settings.policy, settings.audit) == (Path("/etc/driver/policy.yaml"), Path("/var/log/answers.jsonl"))


def test_the_process_environment_is_used_where_none_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    """Adapters need not pass it."""
    monkeypatch.setenv("OPENCODE_DRIVER_MODEL", "a/b")
    assert Settings.from_environment().model == "a/b"


def test_later_changes_of_the_environment_do_not_reach_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """One reading, for the whole call."""
    monkeypatch.setenv("OPENCODE_DRIVER_MODEL", "a/b")
    settings = Settings.from_environment()
    monkeypatch.setitem(os.environ, "OPENCODE_DRIVER_MODEL", "c/d")
    assert settings.model == "a/b"
    assert settings.environ["OPENCODE_DRIVER_MODEL"] == "a/b"


@pytest.mark.parametrize("name", ["PASSWORD", "USERNAME"])
def test_an_empty_variable_counts_as_not_set(name: str) -> None:
    """The server treats an empty password as none, and so do we."""
    settings = Settings.from_environment({**HOME, f"OPENCODE_SERVER_{name}": "", "OPENCODE_DRIVER_MODEL": "", "OPENCODE_DRIVER_BINARY": ""})
    assert (settings.username, settings.password, settings.model, settings.binary) == ("opencode", None, None, None)


def test_no_secret_shows_in_the_representation() -> None:
    """Neither the password nor the environment that was read can reach a log by accident."""
    settings = Settings.from_environment({**HOME, "OPENCODE_SERVER_PASSWORD": "canary-1", "SOME_KEY": "canary-2"})
    assert "canary" not in repr(settings)
    assert "canary" not in str(settings)


@pytest.mark.parametrize("name", ["OPENCODE_DRIVER_STATE_DIR", "OPENCODE_DRIVER_POLICY", "OPENCODE_DRIVER_AUDIT"])
def test_a_relative_path_is_refused(name: str) -> None:
    """It would be another one for each caller."""
    with pytest.raises(InvalidInput, match=f"{name} 'state' must be an absolute path") as caught:
        Settings.from_environment({**HOME, name: "state"})
    assert caught.value.code == "invalid_input"


def test_the_state_directory_follows_the_xdg_rule() -> None:
    """XDG_STATE_HOME where it is set, else below the home directory; never a temporary directory."""
    environ = {**HOME, "XDG_STATE_HOME": "/x/state", "TMPDIR": "/private/tmp"}
    assert Settings.from_environment(environ).state_dir == Path("/x/state/netclaw-opencode")


@pytest.mark.parametrize("value", ["secret\n", "se\rcret", "se\x00cret", "\x7f"])
@pytest.mark.parametrize("name", ["OPENCODE_SERVER_PASSWORD", "OPENCODE_SERVER_USERNAME"])
def test_a_control_character_in_credentials_is_refused_without_showing_them(name: str, value: str) -> None:
    """A trailing line break of a file is the usual cause; the value stays out of the message."""
    with pytest.raises(InvalidInput) as caught:
        Settings.from_environment({**HOME, name: value})
    assert name in caught.value.message
    assert "cret" not in caught.value.message


def test_a_colon_is_for_passwords_only() -> None:
    """Basic authentication cannot carry one in a user name."""
    assert Settings.from_environment({**HOME, "OPENCODE_SERVER_PASSWORD": "a:b"}).password == "a:b"
    with pytest.raises(InvalidInput, match="holds ':'"):
        Settings.from_environment({**HOME, "OPENCODE_SERVER_USERNAME": "a:b"})


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ("http://localhost:4096", "http://localhost:4096"),
        ("http://127.0.0.1:4096/", "http://127.0.0.1:4096"),
        ("https://code.example", "https://code.example"),
        ("HTTP://LocalHost:1", "http://localhost:1"),
        ("http://[::1]:4096", "http://[::1]:4096"),
        ("http://[::1]", "http://[::1]"),
    ],
)
def test_a_base_url_is_brought_to_one_form(given: str, url: str) -> None:
    """Scheme and host in small letters, no slash at the end, brackets kept."""
    assert base_url(given) == url
    assert base_url(url) == url


@pytest.mark.parametrize(
    ("given", "what"),
    [
        ("", "empty"),
        ("   ", "empty"),
        (" http://localhost", "white space"),
        ("http://local host", "white space"),
        ("http://localhost\n", "white space"),
        ("http://localhost\x00", "control"),
        ("localhost:4096", "must begin with http:// or https://"),
        ("localhost", "must begin with http:// or https://"),
        ("//localhost", "must begin with http:// or https://"),
        ("file:///etc/passwd", "must begin with http:// or https://"),
        ("ftp://localhost", "must begin with http:// or https://"),
        ("javascript:alert(1)", "must begin with http:// or https://"),
        ("unix:/run/x.sock", "must begin with http:// or https://"),
        ("http://", "host is missing"),
        ("http://:4096", "host is missing"),
        ("http://user:pw@localhost", "credentials in a URL are refused"),
        ("http://127.0.0.1:14096@evil.example", "credentials in a URL are refused"),
        ("http://[::1", "malformed"),
        ("http://localhost:abc", "malformed"),
        ("http://localhost:99999", "malformed"),
        ("http://localhost:-1", "malformed"),
        ("http://localhost:0", "port 0"),
        ("http://localhost/api", "not part of a base URL"),
        ("http://localhost?x=1", "not part of a base URL"),
        ("http://localhost#x", "not part of a base URL"),
    ],
)
def test_a_url_that_is_no_base_url_is_refused_with_the_part_that_is_wrong(given: str, what: str) -> None:
    """The message says which part, and shows a right one."""
    with pytest.raises(InvalidInput) as caught:
        Settings.from_environment({**HOME, "OPENCODE_API_URL": given})
    assert caught.value.code == "invalid_url"
    assert what in caught.value.message
    assert DEFAULT_URL in caught.value.message


@pytest.mark.parametrize("url", ["http://me:canary@localhost", "http://canary@localhost/x", "https://me:can%61ry@host:abc"])
def test_credentials_in_a_url_are_not_repeated(url: str) -> None:
    """The message of a refused URL can be logged."""
    with pytest.raises(InvalidInput) as caught:
        base_url(url)
    assert "canary" not in caught.value.message
    assert "can%61ry" not in caught.value.message


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.9.9.9", "[::1]"])
def test_a_password_may_go_to_this_machine_in_clear_text(host: str) -> None:
    """Loopback is no network."""
    assert is_loopback(f"http://{host}:1")
    environ = {**HOME, "OPENCODE_API_URL": f"http://{host}:4096", "OPENCODE_SERVER_PASSWORD": "x"}
    assert Settings.from_environment(environ).password == "x"


@pytest.mark.parametrize("password", ["canary", ""])
@pytest.mark.parametrize("host", ["10.0.0.1", "code.example", "localhost.example", "127.0.0.1.example", "127.1", "2130706433"])
def test_nothing_crosses_a_network_in_clear_text(host: str, password: str) -> None:
    """S3, S4: a name that only looks local is not local; with https the same host is allowed, with a password or without."""
    environ = {**HOME, "OPENCODE_API_URL": f"http://{host}", "OPENCODE_SERVER_PASSWORD": password}
    with pytest.raises(Refused) as caught:
        Settings.from_environment(environ)
    assert caught.value.code == "insecure_url"
    assert "canary" not in caught.value.message
    assert Settings.from_environment({**environ, "OPENCODE_API_URL": f"https://{host}"}).password == (password or None)


@pytest.mark.parametrize("host", ["0.0.0.0", "[::]", "[fe80::1]", "169.254.169.254", "224.0.0.1"])  # noqa: S104 - what must be refused
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_addresses_that_no_server_should_have_are_refused(scheme: str, host: str) -> None:
    """S5: link-local (cloud metadata lives there), unspecified and multicast addresses, whatever the scheme."""
    with pytest.raises(Refused) as caught:
        Settings.from_environment({**HOME, "OPENCODE_API_URL": f"{scheme}://{host}"})
    assert caught.value.code == "insecure_url"


def test_switches_are_on_or_off() -> None:
    """Transcripts are on and spans are off unless a variable says otherwise; another word is refused by the variable's name."""
    plain = Settings.from_environment(HOME)
    assert (plain.trajectory, plain.otel) == (True, False)
    turned = Settings.from_environment({**HOME, "OPENCODE_DRIVER_TRAJECTORY": "off", "OPENCODE_DRIVER_OTEL": "on"})
    assert (turned.trajectory, turned.otel) == (False, True)
    with pytest.raises(InvalidInput, match="OPENCODE_DRIVER_OTEL 'yes' must be on or off"):
        Settings.from_environment({**HOME, "OPENCODE_DRIVER_OTEL": "yes"})
