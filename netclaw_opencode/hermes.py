"""The plugin for Hermes Agent and NetClaw Agent: every action as one of the host's tools, the skill, a slash command.

Owns the translation between that host and ``Registry.invoke``, and one driver for the life of the host's process, made at the first
call. The host imports this module by the entry point ``opencode-driver`` of the group ``hermes_agent.plugins`` and calls
``register``. It must not import the host, and nothing that costs time before a tool is called.
"""

from __future__ import annotations

import atexit
import importlib
import logging
import os
import shutil
import sys
import threading
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from netclaw_opencode._core import time_budget
from netclaw_opencode._core.resources import find_bundled
from netclaw_opencode.errors import ActionFailed, DriverError, Interrupted, InvalidInput
from netclaw_opencode.manifest import ActionEntry, Manifest, own_manifest

if TYPE_CHECKING:
    from netclaw_opencode.host import Host

TOOLSET = "opencode"
PREFIX = "opencode_"
"""Before each action's name: the host has a tool ``send_message`` of its own."""
COMMAND = "opencode"
DEFAULT_CALL_SECONDS = 280.0
"""The host's gateway gives up after 300 s."""

_EMOJI = "🛠️"
_ALWAYS_SHOWN = frozenset({"check_availability", "doctor"})
"""These say what is missing, so they are there when something is."""

_log = logging.getLogger("netclaw_opencode.hermes")

Answer = dict[str, object]
Run = Callable[[str, Mapping[str, object]], Answer]


class PluginContext(Protocol):
    """What is used of the object that the host hands to ``register``."""

    def register_tool(
        self,
        *,
        name: str,
        toolset: str,
        schema: dict[str, object],
        handler: Callable[..., str],
        check_fn: Callable[[], bool] | None,
        is_async: bool,
        description: str,
        emoji: str,
    ) -> object:
        """Offer a tool to the model."""

    def register_skill(self, *, name: str, path: Path, description: str) -> object:
        """Offer a skill."""

    def register_command(self, *, name: str, handler: Callable[[str], str], description: str, args_hint: str) -> object:
        """Offer a slash command."""


def register(ctx: PluginContext) -> None:
    """The host's hook: offer every action, the skill and ``/opencode``. A taken name is reported and left to its owner."""
    manifest = own_manifest()
    calls = _Calls()
    taken: list[str] = []
    for entry in manifest.actions.values():
        name = PREFIX + entry.name
        # The host writes a refusal to its log and says nothing to the caller; so it is asked.
        if _owner_of(name) in (None, TOOLSET):
            ctx.register_tool(
                name=name,
                toolset=TOOLSET,
                schema=_schema(name, entry),
                handler=_handler(calls.run, entry.name),
                check_fn=None if entry.name in _ALWAYS_SHOWN else is_ready,
                is_async=False,
                description=entry.summary,
                emoji=_EMOJI,
            )
        if _owner_of(name) not in (None, TOOLSET):
            taken.append(f"{name} (toolset {_owner_of(name)})")
    if taken:
        _log.warning("these tools are left to another plugin that has their names: %s", ", ".join(taken))
    ctx.register_skill(name=manifest.name, path=find_bundled("SKILL.md"), description=manifest.description)
    ctx.register_command(
        name=COMMAND,
        handler=partial(_command, calls.run, manifest, tuple(taken)),
        description="Call an action of the OpenCode driver, or list them",
        args_hint="[action] [arguments as JSON]",
    )


def is_ready(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether there may be an OpenCode server: an address, or the program that starts one. Nothing is connected or started."""
    if environ.get("OPENCODE_API_URL"):
        return True
    return shutil.which(environ.get("OPENCODE_DRIVER_BINARY") or "opencode", path=environ.get("PATH")) is not None


def build_environment(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The environment, with a cap on calls where the operator has set none."""
    return time_budget.with_default_cap(environ, DEFAULT_CALL_SECONDS)


class _Calls:
    """The driver of this process; made at the first call, and again after one that could not be made, or in a fork."""

    def __init__(self) -> None:
        self._forget()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._forget)

    def _forget(self) -> None:
        # A fork has neither the driver's thread nor the thread that may just hold the lock.
        self._making = threading.Lock()
        self._host: Host | None = None
        self._ended = False

    def run(self, action: str, arguments: Mapping[str, object]) -> Answer:
        """The envelope of a call, from any thread; raises what keeps the driver from being made."""
        return self._open_host().run(action, arguments)

    def _open_host(self) -> Host:
        with self._making:
            if self._ended:
                raise Interrupted("cancelled", "the host's process is ending; nothing was started")
            if self._host is None:
                from netclaw_opencode.host import Host
                from netclaw_opencode.settings import Settings

                host = Host(Settings.from_environment(build_environment())).__enter__()
                for problem in host.problems:
                    _log.warning("%s", problem)
                self._host = host
                # The host has no hook for its own end. What still runs then is stopped, verified.
                _at_exit(self._close)
            return self._host

    def _close(self) -> None:
        with self._making:
            host, self._host, self._ended = self._host, None, True
        if host is not None:
            host.__exit__(None, None, None)


def _at_exit(close: Callable[[], None]) -> None:
    """Call it when the main thread has ended, while threads can still be started: a stop may need a new connection.

    ``atexit`` is too late for that: thread pools are shut by then, and with them the look-up of ``localhost``.
    """
    # The pools register with the same list, when they are imported; the last one there is the first one called.
    importlib.import_module("concurrent.futures.thread")
    getattr(threading, "_register_atexit", atexit.register)(close)


def _handler(run: Run, action: str) -> Callable[..., str]:
    """A tool's handler: one JSON text, whatever happens; what the host says of itself by keywords is not needed."""

    def handle(args: object = None, **_context: object) -> str:
        return _text(_envelope(run, action, {} if args is None else args))

    return handle


def _envelope(run: Run, action: str, arguments: object) -> Answer:
    from netclaw_opencode.actions.registry import error_envelope

    try:
        if not isinstance(arguments, Mapping):
            raise InvalidInput("invalid_input", f"{action}: the arguments must be an object, not {type(arguments).__name__}")
        return run(action, arguments)
    except DriverError as error:
        return error_envelope(action, error)
    except Exception as error:  # noqa: BLE001 - an adapter: the host is promised a text
        _log.error("%s could not be called", action, exc_info=error)
        return error_envelope(action, ActionFailed("internal_error", f"{type(error).__name__}: {error}"[:500]))


def _text(envelope: Answer) -> str:
    from netclaw_opencode.actions.spill import to_compact_json

    return to_compact_json(envelope)


def _command(run: Run, manifest: Manifest, taken: tuple[str, ...], raw_args: str = "") -> str:
    """``/opencode``: the list of actions; with a name and JSON behind it, the envelope of that call."""
    import json

    name, _, rest = (raw_args or "").strip().partition(" ")
    action = name.replace("-", "_")
    if action not in manifest.actions:
        return _overview(manifest, taken, unknown=name)
    try:
        arguments: object = json.loads(rest) if rest.strip() else {}
    except ValueError as error:
        return f"/{COMMAND} {name}: what follows the action must be a JSON object: {error}"
    return json.dumps(_envelope(run, action, arguments), ensure_ascii=False, indent=2)


def _overview(manifest: Manifest, taken: tuple[str, ...], *, unknown: str) -> str:
    lines = [f"There is no action {unknown[:60]!r}."] if unknown else []
    lines.append(f"/{COMMAND} ACTION [JSON], for example /{COMMAND} list_sessions " + '{"all_directories": true}')
    lines += [f"  {entry.name}  {entry.summary}" for entry in manifest.actions.values()]
    lines += [f"Not offered to the model, since another plugin has the name: {name}" for name in taken]
    if not is_ready():
        lines.append("OpenCode was not found: netclaw-opencode server install-opencode, or set OPENCODE_API_URL.")
    return "\n".join(lines)


def _schema(name: str, entry: ActionEntry) -> dict[str, object]:
    from netclaw_opencode.manifest.plain_form import plain

    return {"name": name, "description": f"{entry.summary} {entry.description}", "parameters": plain(entry.input_schema)}


def _owner_of(name: str) -> str | None:
    """The toolset that has the tool, as the host's registry says, if there is one."""
    registry: object = getattr(sys.modules.get("tools.registry"), "registry", None)
    ask = getattr(registry, "get_toolset_for_tool", None)
    owner = ask(name) if callable(ask) else None
    return owner if isinstance(owner, str) else None


__all__ = ["COMMAND", "PREFIX", "TOOLSET", "PluginContext", "build_environment", "is_ready", "register"]
