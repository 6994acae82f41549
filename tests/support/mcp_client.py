"""Clients of our MCP server over a real pipe: the official one, and a raw one that can die at any moment.

Owns starting the server as a process of its own, with the variables that it is given and no other. It judges nothing.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from mcp import Client, StdioServerParameters, stdio_client
from mcp.client.session import ElicitationFnT

from netclaw_opencode.testing.waiting import SOON, wait_until

ROOT = Path(__file__).resolve().parents[2]
COMMAND = (sys.executable, "-m", "netclaw_opencode", "mcp")
Mode = Literal["legacy", "auto"]


@contextlib.asynccontextmanager
async def connected(
    environ: Mapping[str, str], *words: str, mode: Mode = "legacy", elicitation: ElicitationFnT | None = None
) -> AsyncIterator[Client]:
    """The official client, connected to a server that its own transport has started; on leaving, the server is gone.

    ``elicitation`` answers what the server asks the user; without it the client says that it cannot.
    """
    parameters = StdioServerParameters(
        command=COMMAND[0], args=[*COMMAND[1:], *words], env={"PYTHONPATH": str(ROOT), **environ}, cwd=environ["HOME"]
    )
    transport = stdio_client(parameters)
    async with Client(transport, mode=mode, read_timeout_seconds=60, elicitation_callback=elicitation) as client:
        yield client


@dataclass(slots=True, eq=False)
class RawClient:
    """A client that writes lines and keeps every line that comes back, JSON or not."""

    process: subprocess.Popen[str]
    errors: Path
    lines: list[str] = field(default_factory=list)
    _next: int = 1

    def ask(self, method: str, **params: object) -> int:
        """Send a request; its id."""
        self._next += 1
        self._write({"jsonrpc": "2.0", "id": self._next, "method": method, "params": params})
        return self._next

    def tell(self, method: str, **params: object) -> None:
        """Send a notification."""
        self._write({"jsonrpc": "2.0", "method": method, "params": params})

    def answer(self, number: int) -> dict[str, Any]:
        """The answer to that request, when it has come."""
        wait_until(lambda: number in self._answers(), what=f"the answer to request {number}")
        return self._answers()[number]

    def call(self, tool: str, **arguments: object) -> dict[str, Any]:
        """The result of a tool call."""
        result: dict[str, Any] = self.answer(self.ask("tools/call", name=tool, arguments=arguments))["result"]
        return result

    def messages(self) -> list[dict[str, Any]]:
        """Every line so far as JSON; a line that is none fails here."""
        return [json.loads(line) for line in list(self.lines)]

    def _answers(self) -> dict[int, dict[str, Any]]:
        return {message["id"]: message for message in self.messages() if "id" in message}

    def _write(self, message: Mapping[str, object]) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(message) + "\n")
        self.process.stdin.flush()

    def read(self) -> None:
        """Keep what comes until the stream ends."""
        assert self.process.stdout is not None
        with contextlib.suppress(ValueError):  # closed by the test
            for line in self.process.stdout:
                self.lines.append(line)


@contextlib.contextmanager
def raw_client(environ: Mapping[str, str], folder: Path, *words: str, reading: bool = True) -> Iterator[RawClient]:
    """A client past the handshake; at the end the process must be gone or is killed."""
    errors = folder / "mcp.stderr"
    path = os.pathsep.join(filter(None, [str(ROOT), environ.get("PYTHONPATH", "")]))
    with errors.open("wb") as sink:
        process = subprocess.Popen(
            [*COMMAND, *words],
            env={"PATH": os.environ["PATH"], **environ, "PYTHONPATH": path},
            cwd=environ["HOME"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=sink,
            encoding="utf-8",
        )
    client = RawClient(process, errors)
    reader = threading.Thread(target=client.read, daemon=True)
    try:
        if reading:
            reader.start()
            client.answer(
                client.ask("initialize", protocolVersion="2024-11-05", capabilities={}, clientInfo={"name": "raw", "version": "1"})
            )
            client.tell("notifications/initialized")
        yield client
    finally:
        with contextlib.suppress(OSError, ValueError):
            if process.stdin is not None:
                process.stdin.close()
        try:
            process.wait(SOON)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise
        finally:
            if reading:
                reader.join(SOON)
            if process.stdout is not None:
                process.stdout.close()


__all__ = ["COMMAND", "ROOT", "Mode", "RawClient", "connected", "raw_client"]
