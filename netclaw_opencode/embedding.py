"""The Python form: actions as calls that return data or raise.

Owns the turning of an error envelope back into the exception it was made from, and two thin classes over the host. It
knows no action by name.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from types import TracebackType
from typing import cast

from netclaw_opencode.errors import DriverError, InvalidInput, error_of
from netclaw_opencode.host import Host
from netclaw_opencode.jsontypes import JsonObject
from netclaw_opencode.settings import Settings


def data_of(envelope: JsonObject) -> dict[str, object]:
    """The ``data`` of a success envelope; raises the ``DriverError`` that a failure envelope tells of."""
    if envelope["ok"]:
        return dict(cast(JsonObject, envelope["data"]))
    raise error_from_wire(cast(JsonObject, envelope["error"]))


def error_from_wire(wire: JsonObject) -> DriverError:
    """The exception behind an envelope's ``error``: its ``to_wire()`` is equal to what is given."""
    code, details = str(wire["code"]), wire.get("details")
    rule, following = wire.get("rule"), wire.get("next")
    return error_of(
        code,
        str(wire["message"]),
        rule=None if rule is None else str(rule),
        next=None if following is None else str(following),
        details=details if isinstance(details, Mapping) else None,
    )


class OpenCode:
    """The skill for a program without an event loop.

    ``with OpenCode() as opencode: result = opencode.call("run_task", prompt="…", directory="…"); print(result["text"])``

    Only our own skill is there, unless ``plugins`` (objects by name), ``directories`` or ``entry_points=True`` say
    otherwise; a plugin asked for that cannot be taken in raises ``InvalidInput`` at once. Any number of threads may call.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        plugins: Mapping[str, object] | None = None,
        directories: Collection[Path | str] = (),
        entry_points: bool = False,
    ) -> None:
        self._host = _sound(Host(settings, plugins=plugins, directories=directories, entry_points=entry_points))

    def __enter__(self) -> OpenCode:
        self._host.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._host.__exit__(kind, error, trace)

    def call(self, action: str, /, **arguments: object) -> dict[str, object]:
        """Run one action and return its data; raises the ``DriverError`` that says how it failed."""
        return data_of(self._host.run(action, arguments))

    def invoke(self, action: str, arguments: JsonObject | None = None) -> dict[str, object]:
        """Run one action and return its envelope, whatever it says."""
        return self._host.run(action, arguments)


class AsyncOpenCode:
    """``OpenCode`` for a program with an event loop: ``async with``, ``await call(…)``."""

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        plugins: Mapping[str, object] | None = None,
        directories: Collection[Path | str] = (),
        entry_points: bool = False,
    ) -> None:
        self._host = _sound(Host(settings, plugins=plugins, directories=directories, entry_points=entry_points))

    async def __aenter__(self) -> AsyncOpenCode:
        await self._host.__aenter__()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self._host.__aexit__(kind, error, trace)

    async def call(self, action: str, /, **arguments: object) -> dict[str, object]:
        """Run one action and return its data; raises the ``DriverError`` that says how it failed."""
        return data_of(await self._host.invoke(action, arguments))

    async def invoke(self, action: str, arguments: JsonObject | None = None) -> dict[str, object]:
        """Run one action and return its envelope, whatever it says."""
        return await self._host.invoke(action, arguments)


def _sound(host: Host) -> Host:
    if host.problems:
        clash = any(problem.code == "name_clash" for problem in host.problems)
        raise InvalidInput(
            "name_clash" if clash else "invalid_manifest",
            "a plugin cannot be taken in: " + "; ".join(map(str, host.problems)),
            details={"problems": [str(problem) for problem in host.problems]},
        )
    return host


__all__ = ["AsyncOpenCode", "OpenCode", "data_of", "error_from_wire"]
