# Made by scripts/generate_api.py from skill.yaml, schemas/ and netclaw_opencode/errors.py. Change those, then run it.
"""The result of ``check_availability``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from netclaw_opencode.api._results import Result


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckAvailabilityBinary(Result):
    """The opencode program.

    Attributes:
        found: Whether it was found.
        path: Its absolute path.
        version: Its version.
    """

    found: bool
    path: str | None = None
    version: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckAvailabilityServer(Result):
    """The OpenCode server.

    Attributes:
        url: Its base address.
        reachable: Whether something answers there.
        healthy: Whether it reports itself healthy.
        version: Its version.
        serves_sessions: Whether a session route works; a broken opencode.json shows here, not in healthy.
        started: Whether this call started it.
        ours: Whether this skill started it, now or earlier.
        password_set: Whether it asks for a password.
    """

    url: str
    reachable: bool
    healthy: bool
    version: str | None = None
    serves_sessions: bool
    started: bool
    ours: bool
    password_set: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckAvailabilityProviders(Result):
    """The model providers.

    Attributes:
        connected: Ids of the providers that have credentials.
        default_model: The model used if none is named, as provider/model.
    """

    connected: tuple[str, ...]
    default_model: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckAvailabilityApiDrift(Result):
    """One operation.

    Attributes:
        operation: The operation, as method and path.
        what: What is wrong with it.
    """

    operation: str
    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckAvailabilityApi(Result):
    """What the server's own description of its API says of the operations that this skill uses.

    Attributes:
        checked: Whether there was a description to compare with.
        operations: Number of operations compared.
        drift: Operations that the server does not offer.
    """

    checked: bool
    operations: int
    drift: tuple[CheckAvailabilityApiDrift, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckAvailabilityProblem(Result):
    """One problem.

    Attributes:
        code: Its code.
        severity: error: it prevents the use; warning: it does not.
        message: What is wrong.
        remedy: What to do about it.
    """

    code: str
    severity: Literal["error", "warning"]
    message: str
    remedy: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckAvailabilityResult(Result):
    """What check_availability returns.

    Attributes:
        available: Always true: whatever is missing makes the call an error, with this report in its details.
        binary: The opencode program.
        server: The OpenCode server.
        providers: The model providers.
        api: What the server's own description of its API says of the operations that this skill uses.
        problems: Everything that is wrong or doubtful; in a successful report only warnings.
        notes: Risks that no check can find, because they are always there; safety.md has them all.
        elapsed_seconds: Time for the check, in seconds.
    """

    available: bool
    binary: CheckAvailabilityBinary
    server: CheckAvailabilityServer
    providers: CheckAvailabilityProviders
    api: CheckAvailabilityApi
    problems: tuple[CheckAvailabilityProblem, ...]
    notes: tuple[str, ...]
    elapsed_seconds: float


__all__ = [
    "CheckAvailabilityApi",
    "CheckAvailabilityApiDrift",
    "CheckAvailabilityBinary",
    "CheckAvailabilityProblem",
    "CheckAvailabilityProviders",
    "CheckAvailabilityResult",
    "CheckAvailabilityServer",
]
