"""Judge this machine and its server: conditions under which no task should run, or none can.

``check_availability`` and the doctor take both the judgement and its severity from here. Everything is pure.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from netclaw_opencode.errors import CODES
from netclaw_opencode.opencode.process import binary

if TYPE_CHECKING:
    from netclaw_opencode.opencode.models import Catalogue
    from netclaw_opencode.settings import Settings


_SHORT_PASSWORD = 8


Severity = Literal["error", "warning"]


@dataclass(frozen=True, slots=True)
class Condition:
    """One that is met.

    Attributes:
        code: Its error code.
        message: What is wrong.
        remedy: What helps.
        severity: ``error`` if no task can run, else ``warning``.
    """

    code: str
    message: str
    remedy: str
    severity: Severity = "warning"


def _met(code: str, message: str, remedy: str | None = None, *, severity: Severity = "warning") -> Condition:
    return Condition(code, message, remedy or CODES[code].remedy, severity)


def known_hole(what: str, version: str) -> Condition | None:
    """``what`` is an OpenCode of a version with a hole that is known."""
    if not binary.is_vulnerable(version):
        return None
    return _met(
        "vulnerable_version",
        f"{what} is OpenCode {version}, which has a known vulnerability: any web page can make its server install a package",
    )


def empty_password(settings: Settings) -> Condition | None:
    """Return a password that is set to nothing."""
    if not settings.password_empty:
        return None
    what = "OPENCODE_SERVER_PASSWORD is set, but empty: that counts as no password"
    return _met("unauthenticated_server", what, "Set it to the server's password, or unset it.")


def short_password(settings: Settings) -> Condition | None:
    """Return a password of the user's that can be guessed, and that may be an ordinary word in what an agent writes."""
    length = len(settings.password or "")
    if not 0 < length < _SHORT_PASSWORD:
        return None
    return _met(
        "unauthenticated_server",
        f"OPENCODE_SERVER_PASSWORD has {length} characters: it is easily guessed, and it is hidden in results where it stands as a word",
        "Give the server a password of 20 characters or more, or let start_server make one.",
    )


def open_server(url: str, *, asks_password: bool) -> Condition | None:
    """Return a server that takes calls without a password."""
    if asks_password:
        return None
    return _met("unauthenticated_server", f"the server at {url} has no password: every program on this machine can use it")


def no_provider(catalogue: Catalogue) -> Condition | None:
    """No model can be called."""
    return None if catalogue.providers else _met("provider_unavailable", "no model provider is connected", severity="error")


def judge_settings(settings: Settings) -> Iterator[Condition]:
    """Yield what is wrong with the settings."""
    yield from filter(None, (empty_password(settings), short_password(settings)))


def judge_server(url: str, version: str, catalogue: Catalogue, *, asks_password: bool) -> Iterator[Condition]:
    """Yield what is wrong with a server that answers, in the order of a report."""
    found = (
        known_hole(f"the server at {url}", version),
        open_server(url, asks_password=asks_password),
        published_sessions(catalogue),
        no_provider(catalogue),
    )
    yield from filter(None, found)


def published_sessions(catalogue: Catalogue) -> Condition | None:
    """Return a configuration that gives away what is worked on."""
    if not catalogue.shares:
        return None
    what = "OpenCode's configuration says share: auto: every session is published on a web page"
    return _met("config_error", what, 'Set "share": "disabled" in opencode.json.')


__all__ = [
    "Condition",
    "Severity",
    "empty_password",
    "judge_server",
    "judge_settings",
    "known_hole",
    "no_provider",
    "open_server",
    "published_sessions",
    "short_password",
]
