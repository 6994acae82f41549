"""The flight record: what each call asked, saw and decided, one JSON line each, in a file that the user named.

Owns the form of a line, what may stand in it (never a body or a header; secrets hidden, length bounded) and the file. It
decides nothing, and a failure of its own never reaches the call. ``story`` reads it back.
"""

from __future__ import annotations

import json
import logging
import math
import os
import secrets
import stat
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Protocol

from netclaw_opencode._core.private_files import open_private
from netclaw_opencode._core.redaction import redact
from netclaw_opencode.errors import InvalidInput
from netclaw_opencode.jsontypes import JsonObject

LINE_BYTES = 2048
"""Longest line, with its line break."""
FILE_BYTES = 64 * 1024 * 1024
"""So large a record grows; then it says ``full`` and stops."""

FIRST_BYTES = b'{"t":'
"""How every line begins."""

_TEXT_CHARS = 200
_LOOKED_AT_CHARS = 4096
_ITEMS = 20
_LAST_WORDS = 256

_log = logging.getLogger("netclaw_opencode")

Note = Callable[..., None]
"""``note(kind, **facts)``: facts are words, numbers and ids, never the text of a prompt or an answer."""


class Recorder(Protocol):
    """What the layers below write to. ``NO_RECORD`` is the form that does nothing."""

    on: bool
    """Whether anything is recorded; for facts that cost something to find."""

    def note(self, kind: str, /, **facts: object) -> None:
        """Write one line for the call that runs here."""

    def bind(self) -> Note:
        """``note`` for the call that runs here, wherever it is called from later."""

    def call(self, action: str) -> AbstractContextManager[None]:
        """Everything noted inside belongs to a call of that action."""

    def result(self, envelope: JsonObject) -> None:
        """How the call ended."""

    def hide(self, secret: str | None) -> None:
        """Never write this text."""

    def close(self) -> None:
        """Write no more."""


class NoRecord:
    """Nothing is recorded."""

    on = False

    def note(self, kind: str, /, **facts: object) -> None:
        return None

    def bind(self) -> Note:
        return self.note

    def call(self, action: str) -> AbstractContextManager[None]:
        return _NO_CALL

    def result(self, envelope: JsonObject) -> None:
        return None

    def hide(self, secret: str | None) -> None:
        return None

    def close(self) -> None:
        return None


_NO_CALL = nullcontext()
NO_RECORD = NoRecord()


@dataclass(slots=True, eq=False)
class _Call:
    """One call of an action. Its first line is written with the first thing that is noted of it."""

    action: str
    id: str
    began: float
    noted: bool = False
    ended: bool = False


# Calls run side by side in one process; each task, and what it starts, sees its own.
_CURRENT: ContextVar[_Call | None] = ContextVar("netclaw_opencode_recorded_call", default=None)


class FileRecorder:
    """A record in a file. ``clock`` is monotonic; times count from here."""

    on = True

    def __init__(self, file: RecordFile, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._file = file
        self._clock = clock
        self._started = clock()
        self._secrets: tuple[str, ...] = ()

    def note(self, kind: str, /, **facts: object) -> None:
        self._note(_CURRENT.get(), kind, **facts)

    def bind(self) -> Note:
        return partial(self._note, _CURRENT.get())

    @contextmanager
    def call(self, action: str) -> Iterator[None]:
        call = _Call(action, secrets.token_hex(4), self._clock())
        token = _CURRENT.set(call)
        try:
            yield
        finally:
            if call.noted and not call.ended:
                self._note(call, "result", outcome="cancelled")
            _CURRENT.reset(token)

    def result(self, envelope: JsonObject) -> None:
        call = _CURRENT.get()
        error = envelope.get("error")
        failed = isinstance(error, Mapping)
        # A call that succeeded without any request (a look at this record) leaves no trace.
        if call is None or not (call.noted or failed):
            return
        if isinstance(error, Mapping):
            self.note("result", outcome=error.get("code"), rule=error.get("rule"))
        else:
            self.note("result", outcome="done")
        call.ended = True

    def hide(self, secret: str | None) -> None:
        if secret and secret not in self._secrets:
            self._secrets = (*self._secrets, secret)

    def close(self) -> None:
        self._file.close()

    def _note(self, call: _Call | None, kind: str, /, **facts: object) -> None:
        if call is not None and not call.noted:
            call.noted = True
            self._write(call, "call", {}, at_clock=call.began)
        self._write(call, kind, facts, at_clock=self._clock())

    def _write(self, call: _Call | None, kind: str, facts: JsonObject, *, at_clock: float) -> None:
        line: dict[str, object] = {"t": round(at_clock - self._started, 4), "at": _now(late_by=self._clock() - at_clock)}
        if call is not None:
            line |= {"action": self._fit(call.action), "call": call.id}
        line["kind"] = kind
        full = _encode(line | {name: self._fit(value) for name, value in facts.items() if value is not None})
        self._file.write(full if len(full) <= LINE_BYTES else _encode(line | {"cut": True}))

    def _fit(self, value: object) -> object:
        """Return the value in a form that is short, and holds no secret."""
        match value:
            case bool() | int():
                return value
            case float():
                return round(value, 4) if math.isfinite(value) else str(value)
            case list() | tuple():
                return [self._fit(item) for item in value[:_ITEMS]]
        # Cut twice: what is cut first is cut again, so that no half of a secret is left.
        return redact(str(value)[:_LOOKED_AT_CHARS], secrets=self._secrets)[:_TEXT_CHARS]


class RecordFile:
    """The file, opened for appending: private, regular, a record if it is anything, and bounded."""

    def __init__(self, path: Path, *, limit_bytes: int = FILE_BYTES) -> None:
        self._limit = limit_bytes
        self._path = path
        self._fd: int | None = _open(path)
        # The last writer may have been killed in the middle of a line.
        self._lead = b"" if _ends_with_newline(self._fd) else b"\n"

    def write(self, line: bytes) -> None:
        """One line, in one piece: several processes may write to one record. A failure is logged once, and ends it."""
        if self._fd is None:
            return
        try:
            if os.fstat(self._fd).st_size + len(line) > self._limit - _LAST_WORDS:
                os.write(self._fd, self._lead + _encode({"t": 0.0, "at": _now(), "kind": "full", "limit_bytes": self._limit}))
                _log.warning("the flight record %s is full (%d bytes): nothing more is recorded", self._path, self._limit)
                self.close()
                return
            os.write(self._fd, self._lead + line)
            self._lead = b""
        except OSError as error:
            _log.warning("the flight record %s cannot be written, so nothing more is recorded: %s", self._path, error)
            self.close()

    def close(self) -> None:
        """Write no more."""
        fd, self._fd = self._fd, None
        if fd is not None:
            with suppress(OSError):
                os.close(fd)


def open_record(path: Path | None, *, secret: str | None, clock: Callable[[], float] = time.monotonic) -> Recorder:
    """Return the record of that file, or none for None.

    Raises:
        InvalidInput: If the file cannot be one.
    """
    if path is None:
        return NO_RECORD
    record = FileRecorder(RecordFile(path), clock=clock)
    record.hide(secret)
    return record


def _open(path: Path) -> int:
    try:
        fd = open_private(path, os.O_RDWR | os.O_APPEND | os.O_CREAT)
    except OSError as error:
        raise _unusable(path, error.strerror or str(error)) from error
    try:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode):
            raise _unusable(path, "it is not a regular file")
        if found.st_size and os.read(fd, len(FIRST_BYTES)) != FIRST_BYTES:
            raise _unusable(path, "it holds something else; it was not touched")
        if os.name == "posix":
            if found.st_uid != os.getuid():
                raise _unusable(path, "it belongs to another user")
            os.fchmod(fd, 0o600)
    except OSError as error:
        os.close(fd)
        raise _unusable(path, error.strerror or str(error)) from error
    except InvalidInput:
        os.close(fd)
        raise
    return fd


def _ends_with_newline(fd: int) -> bool:
    size = os.fstat(fd).st_size
    if size == 0:
        return True
    os.lseek(fd, size - 1, os.SEEK_SET)
    return os.read(fd, 1) == b"\n"


def _unusable(path: Path, why: str) -> InvalidInput:
    return InvalidInput(
        "invalid_input",
        f"the flight record {str(path)[:200]!r} cannot be used: {why}",
        next="name a new file in a folder that you may write to (OPENCODE_DRIVER_RECORD, --record)",
        details={"record": str(path)},
    )


def _encode(line: JsonObject) -> bytes:
    # Whatever is not plain ASCII is escaped: one record is one line, on every terminal.
    text = json.dumps(line, ensure_ascii=True, separators=(",", ":")).replace("\x7f", "\\u007f")
    return text.encode("ascii") + b"\n"


def _now(*, late_by: float = 0.0) -> str:
    return datetime.fromtimestamp(time.time() - late_by, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


__all__ = [
    "FILE_BYTES",
    "FIRST_BYTES",
    "LINE_BYTES",
    "NO_RECORD",
    "FileRecorder",
    "NoRecord",
    "Note",
    "RecordFile",
    "Recorder",
    "open_record",
]
