"""Read and check environment variables: addresses, names, folders.

No connection is opened, no file is written, and the password is kept out of every ``repr``.
"""

from __future__ import annotations

import base64
import ipaddress
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from urllib.parse import unquote, urlsplit

from netclaw_opencode._core import time_budget
from netclaw_opencode.errors import InvalidInput, Refused

DEFAULT_URL = "http://localhost:4096"
DEFAULT_USERNAME = "opencode"
SMALLEST_OUTPUT = 500
"""The smallest limit for printed JSON, in characters: what an envelope needs that says where the rest is."""
SHORTEST_CALL_SECONDS = 10.0
"""The shortest cap on calls, in seconds: below it nothing would be left for stopping and cleaning up."""
_SECRET_SUFFIXES = ("_KEY", "_TOKEN", "_SECRET", "_PASSWORD")
_SHORTEST_SECRET = 12
_METADATA_HOSTS = frozenset({"metadata", "metadata.google.internal", "metadata.goog", "instance-data", "instance-data.ec2.internal"})
"""Names under which clouds answer with credentials."""


@dataclass(frozen=True, slots=True)
class Settings:
    """One reading of the environment.

    ``url_given`` distinguishes an address that the user chose from the default one: only the default may give way to a server
    that we started ourselves and remember in the state file.
    """

    url: str = DEFAULT_URL
    url_given: bool = False
    username: str = DEFAULT_USERNAME
    password: str | None = field(default=None, repr=False)
    binary: str | None = None
    state_dir: Path = Path("~/.local/state/netclaw-opencode")
    directory: str = "."
    model: str | None = None
    server_env: tuple[str, ...] = ()
    policy: Path | None = None
    audit: Path | None = None
    record: Path | None = None
    trajectory: bool = True
    """Whether tasks leave a transcript in the state folder."""
    otel: bool = False
    """Whether tasks are sent as spans to a collector of OpenTelemetry."""
    roots: tuple[Path, ...] = ()
    """Folders in (or below) which sessions may work; none named: anywhere but the system's and the bare home directory."""
    trust: tuple[Path, ...] = ()
    """Folders below which OpenCode may run whatever a project brings."""
    required_plugins: tuple[str, ...] = ()
    """Plugins without which a host runs, answers and starts nothing."""
    call_seconds: float | None = None
    """No call may last longer, its stop and clean-up included, in seconds; None: only the calls' own deadlines hold."""
    max_chars: int | None = None
    """How long the JSON may be that the command line prints, in characters; 0: as long as it is, None: the default."""
    batch_url: str | None = field(default=None, repr=False)
    """The database of batches, which may hold a password; None: a file in the state folder."""
    server_folder: Path | None = None
    """The folder of the server (``server_dir``), where it is not the state folder."""
    password_empty: bool = False
    """The password's variable is set, to nothing: it counts as no password (the server sees it so, too)."""
    environ: Mapping[str, str] = field(default_factory=dict, repr=False)
    """What was read; a server that we start gets its environment from here."""

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None) -> Settings:
        """Read the ``OPENCODE_*`` and ``OPENCODE_DRIVER_*`` variables.

        Raises:
            InvalidInput: ``invalid_url`` or ``invalid_input``, naming the variable.
            Refused: ``insecure_url``: prompts and password would leave this machine in clear text.
        """
        environ = os.environ if environ is None else environ
        url_text = environ.get("OPENCODE_API_URL")
        url = base_url(url_text) if url_text is not None else DEFAULT_URL
        password = environ.get("OPENCODE_SERVER_PASSWORD") or None
        username = environ.get("OPENCODE_SERVER_USERNAME") or DEFAULT_USERNAME
        _check_credentials(username, password)
        _check_reach(url)
        return cls(
            url=url,
            url_given=url_text is not None,
            username=username,
            password=password,
            binary=environ.get("OPENCODE_DRIVER_BINARY") or None,
            state_dir=state_dir(environ),
            directory=environ.get("OPENCODE_DRIVER_DIRECTORY") or str(Path.cwd()),
            model=environ.get("OPENCODE_DRIVER_MODEL") or None,
            server_env=_names(environ, "OPENCODE_DRIVER_SERVER_ENV"),
            policy=_absolute(environ, "OPENCODE_DRIVER_POLICY"),
            audit=_absolute(environ, "OPENCODE_DRIVER_AUDIT"),
            record=_absolute(environ, "OPENCODE_DRIVER_RECORD"),
            trajectory=_switch(environ, "OPENCODE_DRIVER_TRAJECTORY", default=True),
            otel=_switch(environ, "OPENCODE_DRIVER_OTEL", default=False),
            roots=_folders(environ, "OPENCODE_DRIVER_ROOTS"),
            trust=_folders(environ, "OPENCODE_DRIVER_TRUST"),
            required_plugins=_names(environ, "OPENCODE_DRIVER_REQUIRED_PLUGINS"),
            call_seconds=_call_seconds(environ),
            max_chars=max_chars(environ),
            batch_url=environ.get("OPENCODE_DRIVER_BATCH_URL") or None,
            password_empty=environ.get("OPENCODE_SERVER_PASSWORD") == "",
            environ=MappingProxyType(dict(environ)),
        )

    @property
    def server_dir(self) -> Path:
        """The folder of one server of ours: its record, its log, the locks of calls to it.

        All else is in ``state_dir`` and outlives it: trust, patches, statements, isolated work, snapshots, schemas, results, batches.
        """
        return self.server_folder or self.state_dir

    @property
    def home(self) -> Path:
        """The user's home directory."""
        return Path(self.environ.get("HOME") or Path.home())

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must stand in no message, record or log: the password, as it travels too, and what variables hide by their name."""
        named = [value for name, value in self.environ.items() if name.upper().endswith(_SECRET_SUFFIXES)]
        long_enough = [value for value in named if len(value) >= _SHORTEST_SECRET]
        return tuple(dict.fromkeys([*credentials_of(self.username, self.password), *long_enough, *_password_in(self.batch_url)]))


def credentials_of(username: str, password: str | None) -> tuple[str, ...]:
    """A password, and the form in which basic authentication carries it."""
    if not password:
        return ()
    return (password, base64.b64encode(f"{username}:{password}".encode()).decode("ascii"))


def _password_in(url: str | None) -> tuple[str, ...]:
    """The password of a database's address, and the address as a whole."""
    if url is None or "@" not in url:
        return ()
    try:
        password = urlsplit(url).password
    except ValueError:
        password = None
    return (url, password, unquote(password)) if password else (url,)


def base_url(text: str) -> str:
    """Check a server's base URL and return it as ``scheme://host[:port]``.

    Raises:
        InvalidInput: ``invalid_url``, saying which part is wrong.
    """

    def wrong(what: str) -> InvalidInput:
        # A URL may hold credentials; nothing before an "@" is ever shown.
        shown = text.rsplit("@", 1)[-1][:80]
        return InvalidInput("invalid_url", f"OPENCODE_API_URL ({shown!r}): {what}; give a base URL such as {DEFAULT_URL}")

    if not text or text != text.strip() or any(ord(char) < 33 or ord(char) == 127 for char in text):
        raise wrong("it is empty or holds white space or control characters")
    try:
        parts = urlsplit(text)
        host = parts.hostname
    except ValueError as error:
        # The error's own text may repeat what stands before an "@".
        raise wrong("the host is malformed (an IPv6 address stands in brackets)") from error
    if parts.scheme not in ("http", "https"):
        raise wrong("it must begin with http:// or https://")
    if "@" in parts.netloc:
        raise wrong("credentials in a URL are refused; use OPENCODE_SERVER_USERNAME and OPENCODE_SERVER_PASSWORD")
    if not host:
        raise wrong("the host is missing")
    try:
        port = parts.port
    except ValueError as error:
        raise wrong("the port is malformed: it is a number from 1 to 65535") from error
    if port == 0:
        raise wrong("port 0 cannot be connected to")
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        raise wrong("path, query and fragment are not part of a base URL")
    shown_host = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{shown_host}" + (f":{port}" if port is not None else "")


def is_loopback(url: str) -> bool:
    """Whether the URL's host is this machine by its very name (no look-up is made)."""
    host = urlsplit(url).hostname or ""
    if host == "localhost":
        return True
    address = _address(host)
    return address is not None and address.is_loopback


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The host as an address, or None for a name; an IPv4 address in IPv6's clothes is the IPv4 one."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def _check_reach(url: str) -> None:
    """Refuse addresses where prompts, code and password would be readable on the way, or that no server should have."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    address = _address(host)
    if address is not None and (address.is_link_local or address.is_unspecified or address.is_multicast):
        raise Refused("insecure_url", f"OPENCODE_API_URL {url} is no address of a server: link-local, unspecified or multicast")
    if host.rstrip(".") in _METADATA_HOSTS:
        raise Refused("insecure_url", f"OPENCODE_API_URL {url} is a cloud's metadata service, not a server of OpenCode")
    if parts.scheme == "http" and not is_loopback(url):
        raise Refused(
            "insecure_url",
            f"OPENCODE_API_URL {url} is plain http on another machine: prompts, code and password would cross the network in clear text",
            next="use an https address, or a tunnel to a loopback port",
        )


def _check_credentials(username: str, password: str | None) -> None:
    if ":" in username:
        raise InvalidInput("invalid_input", "OPENCODE_SERVER_USERNAME holds ':', which basic authentication cannot carry")
    for name, value in (("OPENCODE_SERVER_USERNAME", username), ("OPENCODE_SERVER_PASSWORD", password or "")):
        if any(ord(char) < 32 or ord(char) == 127 for char in value):
            raise InvalidInput("invalid_input", f"{name} holds a control character (a trailing line break?)")


def max_chars(environ: Mapping[str, str]) -> int | None:
    """``OPENCODE_DRIVER_MAX_CHARS``, or None if it is not set; raises ``InvalidInput``."""
    text = environ.get("OPENCODE_DRIVER_MAX_CHARS")
    if not text:
        return None
    number = int(text) if re.fullmatch("[0-9]{1,9}", text) else -1
    if number != 0 and number < SMALLEST_OUTPUT:
        raise InvalidInput(
            "invalid_input",
            f"OPENCODE_DRIVER_MAX_CHARS {text[:40]!r} must be 0 (no limit) or {SMALLEST_OUTPUT} and more, such as 1800",
        )
    return number


def _call_seconds(environ: Mapping[str, str]) -> float | None:
    text = environ.get(time_budget.SETTING)
    if not text:
        return None
    seconds = float(text) if re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,3})?", text) else 0.0
    if seconds < SHORTEST_CALL_SECONDS:
        raise InvalidInput(
            "invalid_input",
            f"{time_budget.SETTING} {text[:40]!r} must be a number of seconds from {SHORTEST_CALL_SECONDS:g} on, such as 50",
        )
    return seconds


def state_dir(environ: Mapping[str, str]) -> Path:
    """The folder of everything that is kept for this user (``OPENCODE_DRIVER_STATE_DIR``).

    Raises:
        InvalidInput: If it is not absolute.
    """
    given = _absolute(environ, "OPENCODE_DRIVER_STATE_DIR")
    if given is not None:
        return given
    home = environ.get("HOME") or str(Path.home())
    state_home = environ.get("XDG_STATE_HOME", "")
    # The XDG specification: a relative path is to be ignored.
    return Path(state_home if Path(state_home).is_absolute() else Path(home, ".local", "state"), "netclaw-opencode")


def results_dir(environ: Mapping[str, str]) -> Path:
    """The folder of results that were too large for their caller (``spill``); it raises nothing."""
    try:
        return state_dir(environ) / "results"
    except InvalidInput:  # the setting is wrong, and the result that is to be kept says so
        return state_dir({**environ, "OPENCODE_DRIVER_STATE_DIR": ""}) / "results"


def _names(environ: Mapping[str, str], variable: str) -> tuple[str, ...]:
    return tuple(name for name in environ.get(variable, "").replace(" ", "").split(",") if name)


def _switch(environ: Mapping[str, str], variable: str, *, default: bool) -> bool:
    text = environ.get(variable)
    if not text:
        return default
    if text not in ("on", "off"):
        raise InvalidInput("invalid_input", f"{variable} {text[:40]!r} must be on or off")
    return text == "on"


def _folders(environ: Mapping[str, str], variable: str) -> tuple[Path, ...]:
    folders = tuple(Path(text) for text in environ.get(variable, "").split(os.pathsep) if text)
    for folder in folders:
        if not folder.is_absolute():
            raise InvalidInput(
                "invalid_input",
                f"{variable}: {str(folder)[:200]!r} must be an absolute path; several are separated by {os.pathsep!r}, "
                f"for example /srv/projects{os.pathsep}/home/me/code",
            )
    return folders


def _absolute(environ: Mapping[str, str], name: str) -> Path | None:
    given = environ.get(name)
    if not given:
        return None
    if not Path(given).is_absolute():
        raise InvalidInput("invalid_input", f"{name} {given!r} must be an absolute path")
    return Path(given)
