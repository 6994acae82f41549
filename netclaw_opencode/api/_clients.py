"""What stands behind the typed methods: the host, its life, and calls by name for the actions of plugins."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

# The first one is for what it does: from here on errors have the classes of their codes.
from netclaw_opencode.api import exceptions  # noqa: F401
from netclaw_opencode.api._calls import Call, Request, perform
from netclaw_opencode.api._results import Result
from netclaw_opencode.api.streams import AsyncTaskStream, TaskStream
from netclaw_opencode.errors import InvalidInput
from netclaw_opencode.host import Host
from netclaw_opencode.jsontypes import JsonObject
from netclaw_opencode.settings import Settings

R = TypeVar("R", bound=Result)


class SyncClient:
    """A client for a program without an event loop; any number of threads may call."""

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        plugins: Mapping[str, object] | None = None,
        directories: Collection[Path | str] = (),
        entry_points: bool = False,
    ) -> None:
        """Load the skill, and the plugins that are asked for.

        Args:
            settings: The settings; by default those of the environment, read on entering.
            plugins: Plugins as objects, by name.
            directories: Directories of skills, each with a ``skill.yaml``.
            entry_points: Whether to load the plugins that are installed.

        Raises:
            InvalidInputError: If a plugin that was asked for cannot be loaded.
        """
        self._host = _require_sound(Host(settings, plugins=plugins, directories=directories, entry_points=entry_points))

    def __enter__(self) -> Self:
        self._host.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._host.__exit__(kind, error, trace)

    def call(self, action: str, /, **arguments: object) -> dict[str, object]:
        """Run an action by its name, such as one of a plugin, and return its data.

        Raises:
            DriverError: How it failed.
        """
        return self._host.start(lambda: perform(self._host, action, arguments), name=action).result()

    def invoke(self, action: str, arguments: JsonObject | None = None) -> dict[str, object]:
        """Run an action by its name and return its envelope, whatever it says."""
        return self._host.run(action, arguments)

    def _perform(self, request: Request[R]) -> R:
        call = Call(request, in_threads=True)
        return self._host.start(lambda: call.run(self._host), name=request.action).result()

    def _stream(self, request: Request[R]) -> TaskStream[R]:
        return TaskStream(self._host, request)


class AsyncClient:
    """A client for a program with an event loop."""

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        plugins: Mapping[str, object] | None = None,
        directories: Collection[Path | str] = (),
        entry_points: bool = False,
    ) -> None:
        """Load the skill, and the plugins that are asked for.

        Args:
            settings: The settings; by default those of the environment, read on entering.
            plugins: Plugins as objects, by name.
            directories: Directories of skills, each with a ``skill.yaml``.
            entry_points: Whether to load the plugins that are installed.

        Raises:
            InvalidInputError: If a plugin that was asked for cannot be loaded.
        """
        self._host = _require_sound(Host(settings, plugins=plugins, directories=directories, entry_points=entry_points))

    async def __aenter__(self) -> Self:
        await self._host.__aenter__()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self._host.__aexit__(kind, error, trace)

    async def call(self, action: str, /, **arguments: object) -> dict[str, object]:
        """Run an action by its name, such as one of a plugin, and return its data.

        Raises:
            DriverError: How it failed.
        """
        return await perform(self._host, action, arguments)

    async def invoke(self, action: str, arguments: JsonObject | None = None) -> dict[str, object]:
        """Run an action by its name and return its envelope, whatever it says."""
        return await self._host.invoke(action, arguments)

    async def _perform(self, request: Request[R]) -> R:
        return await Call(request, in_threads=False).run(self._host)

    def _stream(self, request: Request[R]) -> AsyncTaskStream[R]:
        return AsyncTaskStream(self._host, request)


def _require_sound(host: Host) -> Host:
    if host.problems:
        clash = any(problem.code == "name_clash" for problem in host.problems)
        raise InvalidInput(
            "name_clash" if clash else "invalid_manifest",
            "a plugin cannot be taken in: " + "; ".join(map(str, host.problems)),
            details={"problems": [str(problem) for problem in host.problems]},
        )
    return host


__all__ = ["AsyncClient", "SyncClient"]
