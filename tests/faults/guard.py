"""The bench of the bad-input tests: a listener that nobody may call, and the ways in that must refuse before they would.

Owns the proof "nothing was sent": the address of the server is that of the listener, which counts connections and answers none.
"""

from __future__ import annotations

import ast
import json
import re
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

from netclaw_opencode.adapters.cli import app
from netclaw_opencode.host import Host
from netclaw_opencode.settings import Settings
from netclaw_opencode.testing.waiting import SOON
from tests.faults.bad_rows import Row
from tests.real.acting import Json, error_of

SESSION = "ses_00000000000000000000000000"
MESSAGE = "msg_00000000000000000000000000"


class Ears:
    """A loopback port that counts who connects; a connection is closed at once."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._listen, name="ears", daemon=True)
        self.connections = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(SOON)

    @property
    def port(self) -> int:
        """The port that is listened to."""
        found: int = self._listener.getsockname()[1]
        return found

    @property
    def url(self) -> str:
        """The base URL of the port."""
        return f"http://127.0.0.1:{self.port}"

    def _listen(self) -> None:
        with suppress(OSError):
            while True:
                caller, _ = self._listener.accept()
                self.connections += 1
                caller.close()


class Guard:
    """Calls that are to be refused before anything is sent; every use checks that nothing was."""

    def __init__(self, ears: Ears, environ: Mapping[str, str], capture: pytest.CaptureFixture[str]) -> None:
        self.ears = ears
        self.environ = environ
        self._capture = capture

    def called(self, action: str, /, arguments: object, **environ: str) -> Json:
        """The error of a call through the host, with these variables added."""
        with Host(Settings.from_environment({**self.environ, **environ}), entry_points=False) as host:
            error = error_of(host.call(action, **arguments))  # type: ignore[arg-type]  # a test passes what no caller should
        self.nothing_sent()
        return error

    def refused(self, action: str, /, *told: str, code: str = "invalid_input", arguments: Mapping[str, object], **environ: str) -> str:
        """The message of the refusal: of this code, naming all that is told, on one printable line of bearable length."""
        error = self.called(action, arguments, **environ)
        message = str(error["message"])
        assert error["code"] == code, error
        assert message.isprintable() and len(message) < 900, message
        for part in told:
            assert part in message, (part, message)
        return message

    def typed(self, *words: str, exit_code: int = 3) -> Json:
        """The error that a command line prints, with that exit code, before anything is sent."""
        self._capture.readouterr()
        code = app.run([*words, "--format", "json"])
        printed = self._capture.readouterr().out
        error = error_of(json.loads(printed))
        assert code == exit_code, (code, error)
        self.nothing_sent()
        return error

    def typed_with(self, *words: str, exit_code: int = 3, **environ: str) -> Json:
        """``typed``, with these variables added."""
        with pytest.MonkeyPatch.context() as patch:
            for name, value in environ.items():
                patch.setenv(name, value)
            return self.typed(*words, exit_code=exit_code)

    @property
    def state_dir(self) -> Path:
        """The state folder."""
        return Path(self.environ["OPENCODE_DRIVER_STATE_DIR"])

    def nothing_sent(self) -> None:
        """Nobody has called the server's address."""
        assert self.ears.connections == 0


@pytest.fixture
def guard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Guard]:
    """The guard, in an empty project folder; the command line sees the same environment."""
    project = tmp_path / "project"
    project.mkdir()
    with Ears() as ears:
        environ = {
            "HOME": str(tmp_path / "home"),
            "OPENCODE_API_URL": ears.url,
            "OPENCODE_DRIVER_STATE_DIR": str(tmp_path / "state"),
            "OPENCODE_DRIVER_DIRECTORY": str(project),
        }
        for name, value in environ.items():
            monkeypatch.setenv(name, value)
        monkeypatch.chdir(project)
        yield Guard(ears, environ, capsys)
        assert ears.connections == 0


def rows_and_tests(rows: Mapping[str, Row], letter: str, *, folder: Path = Path(__file__).parent) -> tuple[list[str], list[str]]:
    """What is wrong between rows and tests: rows without a test (or a reason), and tests without a row (or beside a reason)."""
    number = re.compile(rf"test_{letter.lower()}(\d{{2}})_")
    tested: dict[str, list[str]] = {}
    for path in sorted(folder.glob(f"test_{letter.lower()}_*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            found = number.match(node.name) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) else None
            if found is not None and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                assert ast.get_docstring(node), f"{node.name} states no claim"
                tested.setdefault(f"{letter}{int(found[1])}", []).append(node.name)
    untested = [row.id for row in rows.values() if row.id not in tested and row.reason is None]
    stray = [name for row_id, names in tested.items() for name in names if row_id not in rows or rows[row_id].reason is not None]
    return untested, stray
