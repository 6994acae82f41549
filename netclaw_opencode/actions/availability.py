"""Handlers of what there is: check_availability, list_providers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from netclaw_opencode._core import time_budget
from netclaw_opencode.actions import arguments as read
from netclaw_opencode.doctor import conditions
from netclaw_opencode.doctor.api_check import ApiCheck, check_api
from netclaw_opencode.errors import CODES, DriverError, error_of
from netclaw_opencode.facts import ProgressEvent
from netclaw_opencode.opencode import addresses, servers
from netclaw_opencode.settings import is_loopback

if TYPE_CHECKING:
    from netclaw_opencode.actions.context import ActionContext
    from netclaw_opencode.doctor.conditions import Condition
    from netclaw_opencode.jsontypes import JsonObject
    from netclaw_opencode.opencode.connection import Connection
    from netclaw_opencode.opencode.models import Catalogue
    from netclaw_opencode.opencode.wire.types import Provider
    from netclaw_opencode.settings import Settings

_SHOWN_OPERATIONS = 5
RESIDUAL_RISKS = (
    "The agent's shell inherits the server's environment, its password included: with it a hostile model can pass the permission prompt. "
    "Run the server as a user that may do no more than the agent should.",
)
"""What a check cannot find, because it is always so (F46)."""


@dataclass(slots=True)
class _Report:
    """What was found so far; problems of severity ``error`` make OpenCode unavailable."""

    binary: dict[str, object] = field(default_factory=lambda: {"found": False})
    server: dict[str, object] = field(default_factory=dict)
    providers: dict[str, object] = field(default_factory=lambda: {"connected": []})
    api: ApiCheck = field(default_factory=ApiCheck)
    problems: list[dict[str, object]] = field(default_factory=list)

    def problem(self, code: str, message: str, remedy: str | None = None, *, severity: str = "error") -> None:
        self.problems.append({"code": code, "severity": severity, "message": message, "remedy": remedy or CODES[code].remedy})

    def add(self, error: DriverError) -> None:
        self.problem(error.code, error.message, error.next)

    def meet(self, conditions: Iterable[Condition | None]) -> None:
        for condition in filter(None, conditions):
            self.problem(condition.code, condition.message, condition.remedy, severity=condition.severity)


async def check_availability(arguments: JsonObject, context: ActionContext) -> JsonObject:
    """Return whether a coding task can be run here, and if not, everything that is missing."""
    began = context.clock()
    directory = read.directory(arguments, context.settings)
    report = _Report()
    _check_binary(report, context.settings)
    report.meet(conditions.judge_settings(context.settings))
    may_start = read.flag(arguments, "start", default=True) and report.binary["found"] is True
    within_seconds = time_budget.current().clamp(read.seconds(arguments, "deadline_seconds", 45))
    await _check_server(report, context, directory, may_start=may_start, within_seconds=within_seconds)
    output: dict[str, object] = {
        "available": True,
        "binary": report.binary,
        "server": report.server,
        "providers": report.providers,
        "api": report.api.to_wire(),
        "problems": report.problems,
        "notes": list(RESIDUAL_RISKS),
        "elapsed_seconds": round(context.clock() - began, 3),
    }
    errors = [item for item in report.problems if item["severity"] == "error"]
    if errors:
        first = errors[0]
        more = f" (and {len(errors) - 1} more problem(s), see details)" if len(errors) > 1 else ""
        raise error_of(str(first["code"]), f"{first['message']}{more}", next=str(first["remedy"]), details=output | {"available": False})
    return output


def _check_binary(report: _Report, settings: Settings) -> None:
    try:
        found = servers.find_program(settings)
    except DriverError as error:
        # Without a program a server that runs elsewhere can still be used.
        report.problem(error.code, error.message, error.next, severity="warning")
        return
    report.binary = {"found": True, "path": found.path, "version": found.version}
    report.meet([conditions.known_hole("the program", found.version)])


async def _check_server(report: _Report, context: ActionContext, directory: str, *, may_start: bool, within_seconds: float) -> None:
    address = addresses.locate(context.settings)
    report.server = {
        "url": address.url,
        "reachable": False,
        "healthy": False,
        "serves_sessions": False,
        "started": False,
        "ours": address.record is not None,
        "password_set": address.password is not None,
    }
    try:
        try:
            connection = await context.driver.connect()
        except DriverError as error:
            if error.code != "server_unreachable" or not may_start or not is_loopback(address.url):
                raise
            found = await servers.start(context.settings, port=None, directory=directory, within_seconds=within_seconds)
            await context.driver.disconnect()
            context.driver.emit(ProgressEvent("server_started", f"OpenCode {found.record.opencode_version} at {found.record.url}"))
            report.server |= {"url": found.record.url, "started": found.started, "ours": True, "password_set": True}
            connection = await context.driver.connect()
        report.server |= {"reachable": True, "healthy": connection.health.healthy, "version": connection.health.version}
        # The description comes last: while the server makes it, for seconds, it answers nothing else.
        asks = await addresses.requires_password(addresses.locate(context.settings))
        catalogue = await _require_usable(report, connection, directory)
        report.api = await check_api(connection)
    except DriverError as error:
        if error.code == "server_unreachable" and not report.binary["found"]:
            report.problem("binary_not_found", "OpenCode is not installed, and no server answers either")
        report.add(error)
        return
    _add_missing_operations(report)
    report.server["password_set"] = asks
    url, version = str(report.server["url"]), str(report.server["version"])
    report.meet(conditions.judge_server(url, version, catalogue, asks_password=asks))
    report.providers = {"connected": [item.id for item in catalogue.providers]}
    if catalogue.providers and catalogue.default is not None:
        report.providers["default_model"] = str(catalogue.default)


async def _require_usable(report: _Report, connection: Connection, directory: str) -> Catalogue:
    await connection.require_sessions(directory)
    report.server["serves_sessions"] = True
    return await connection.catalogue(directory)


def _add_missing_operations(report: _Report) -> None:
    """A server that does not offer an operation that the driver calls cannot be used."""
    missing = report.api.missing
    if missing:
        shown = "; ".join(missing[:_SHOWN_OPERATIONS])
        more = f" (and {len(missing) - _SHOWN_OPERATIONS} more, see api.drift)" if len(missing) > _SHOWN_OPERATIONS else ""
        report.problem("api_drift", f"OpenCode {report.server.get('version')} does not offer what this skill needs: {shown}{more}")


async def list_providers(arguments: JsonObject, context: ActionContext) -> JsonObject:
    """Providers with their models and variants; never a key."""
    directory = read.directory(arguments, context.settings)
    connection = await context.driver.connect()
    catalogue = await connection.catalogue(directory)
    found, connected = catalogue.providers, frozenset(item.id for item in catalogue.providers)
    wanted = read.text(arguments, "provider")
    if not read.flag(arguments, "connected_only", default=True):
        found, connected = await connection.all_providers(directory)
    chosen = [item for item in found if wanted is None or item.id == wanted]
    output: dict[str, object] = {"providers": [_provider(item, connected=item.id in connected) for item in chosen], "count": len(chosen)}
    if catalogue.default is not None:
        output["default_model"] = str(catalogue.default)
    return output


def _provider(provider: Provider, *, connected: bool) -> dict[str, object]:
    return {
        "id": provider.id,
        "name": provider.name,
        "connected": connected,
        "models": [
            {
                "id": model.id,
                "name": model.name,
                "variants": list(model.variants),
                "context": model.context,
                "output": model.output,
                "reasoning": model.reasoning,
                "tool_call": model.tool_call,
            }
            for model in provider.models.values()
        ],
    }
