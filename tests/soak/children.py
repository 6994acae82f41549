"""Callers that are processes of their own: each holds a host and makes the calls that it is told on its standard input.

Owns both ends: ``python -m tests.soak.children`` is the caller; ``callers`` starts some and talks to them.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager

from netclaw_opencode.host import Host
from netclaw_opencode.settings import Settings
from tests.soak.stage import Json


class Caller:
    """The near end of one such process."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def ask(self, action: str, /, **arguments: object) -> None:
        """Begin a call."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"action": action, "arguments": arguments}) + "\n")
        self._process.stdin.flush()

    def answer(self) -> Json:
        """The envelope of the call that was begun."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the caller ended"
        envelope: Json = json.loads(line)
        return envelope

    def call(self, action: str, /, **arguments: object) -> Json:
        """Begin a call and wait for its envelope."""
        self.ask(action, **arguments)
        return self.answer()


@contextmanager
def callers(number: int, environ: Mapping[str, str]) -> Iterator[list[Caller]]:
    """So many processes, each with a host on this environment."""
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(sys.path), **environ}
    command = [sys.executable, "-m", "tests.soak.children"]
    with ExitStack() as stack:
        made: list[Caller] = []
        for _ in range(number):
            process = stack.enter_context(
                subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8")
            )
            stack.callback(process.stdin.close)  # type: ignore[union-attr]
            made.append(Caller(process))
        yield made


def main() -> None:
    """Read calls, one JSON object a line; write envelopes."""
    with Host(Settings.from_environment(), entry_points=False) as host:
        for line in sys.stdin:
            call = json.loads(line)
            sys.stdout.write(json.dumps(host.call(call["action"], **call["arguments"])) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
