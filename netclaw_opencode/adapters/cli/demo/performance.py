"""The acts of the demo: server up, one task, a look at what is left, server down.

Owns what is noted for the proof, and the last resort of a second Ctrl-C: a server of ours never outlives the demo.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import psutil

from netclaw_opencode.adapters.cli.demo import proof
from netclaw_opencode.adapters.cli.running import InvokingHost
from netclaw_opencode.errors import Interrupted
from netclaw_opencode.facts import ProgressEvent
from netclaw_opencode.offline import DEMO_CHECK

if TYPE_CHECKING:
    from netclaw_opencode.adapters.cli.demo.stage import Stage

Envelope = Mapping[str, object]

_STOP_SECONDS = 60.0
_KILL_SECONDS = 2.0


class Performance:
    """One run of the demo."""

    def __init__(self, stage: Stage, *, directory: str, model: str | None, deadline_seconds: float) -> None:
        self._stage = stage
        self._directory = directory
        self._model = model
        self._deadline_seconds = deadline_seconds
        self._server_pid: int | None = None
        self.server_is_up = False
        self.server_is_ours = False
        self.family: list[psutil.Process] = []
        self.session_id: str | None = None
        self.sessions_listed: list[str] | None = None

    async def play(self, host: InvokingHost, prompt: str) -> Envelope:
        """Every act; returns the envelope of the task, or of what kept it from running."""
        self._stage.say("server", "starting OpenCode")
        started = await host.invoke("start_server", {"directory": self._directory})
        if started.get("ok") is not True:
            return started
        server = _data(started)
        pid = server.get("pid")
        self._server_pid = pid if isinstance(pid, int) else None
        self.server_is_up = True
        self.server_is_ours = server.get("started") is True
        self._stage.say("server", f"pid {pid}" if self.server_is_ours else f"{server.get('url')} was running already, and stays")
        try:
            self._stage.task_begins()
            return await host.invoke("run_task", self._task(prompt))
        finally:
            self._stage.task_ends()
            # Also when the demo is interrupted: a server of ours must not outlive it.
            with anyio.move_on_after(_STOP_SECONDS, shield=True):
                await self._look(host)
                if self.server_is_ours:
                    await self._stop(host)

    def on_event(self, event: ProgressEvent) -> None:
        """Remember which session is the task's."""
        if event.kind == "session_created":
            self.session_id = event.session_id

    def tick(self) -> None:
        """Nothing: the stage shows the time."""

    def close(self) -> None:
        """Nothing: the stage is what stands on the screen."""

    def leave(self, folders: Sequence[Path]) -> None:
        """End this process at once, and with it the server and the temporary folders: what a second Ctrl-C asks for."""
        family = proof.family_of(self._server_pid) if self.server_is_ours else []
        for process in family:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(family, timeout=_KILL_SECONDS)
        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)
        os._exit(Interrupted.exit_code)

    def _task(self, prompt: str) -> dict[str, object]:
        check = {"command": list(DEMO_CHECK), "attempts": 2}
        task: dict[str, object] = {
            "prompt": prompt,
            "directory": self._directory,
            "deadline_seconds": self._deadline_seconds,
            "check": check,
        }
        return task if self._model in (None, "default") else task | {"model": self._model}

    async def _look(self, host: InvokingHost) -> None:
        listed = await host.invoke("list_sessions", {"all_directories": True, "limit": 1000})
        rows = _data(listed).get("sessions")
        if listed.get("ok") is True and isinstance(rows, list):
            self.sessions_listed = [str(row.get("session_id")) for row in rows if isinstance(row, Mapping)]

    async def _stop(self, host: InvokingHost) -> None:
        self._stage.say("server", "stopping OpenCode")
        # Noted before the stop: afterwards it cannot be seen which processes belonged to it.
        self.family = proof.family_of(self._server_pid)
        stopped = await host.invoke("stop_server", {})
        error = stopped.get("error")
        if isinstance(error, Mapping):
            self._stage.say("server", str(error.get("message")))


def _data(envelope: Envelope) -> Mapping[str, object]:
    data = envelope.get("data")
    return data if isinstance(data, Mapping) else {}


__all__ = ["Performance"]
