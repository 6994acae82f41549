"""The record of answers: one line of JSON for each, in a file that only its owner reads.

Owns the file's form and safety. What is recorded, and what happens where it cannot be, is decided by ``answering``.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from netclaw_opencode.errors import InvalidInput

_LONGEST_TEXT = 4000
"""Longest text in a record, in characters."""


class Audit:
    """Appends to ``path``, which must be (or become) a regular file of this user that nobody else can read or write."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def require(self) -> None:
        """Raise ``InvalidInput`` where nothing could be recorded, before anything is sent."""
        try:
            os.close(self._open())
        except OSError as error:
            raise InvalidInput(
                "invalid_input", f"OPENCODE_DRIVER_AUDIT {self._path}: it cannot be written: {error.strerror}; nothing was sent"
            ) from error

    def append(self, record: Mapping[str, object], *, clean: Callable[[str], str]) -> None:
        """Add one record; ``clean`` takes the secrets out of each text. Raises ``OSError``."""
        timed = {"at": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"), **record}
        # ensure_ascii: no control character, line separator or bidi mark stands in the file as itself.
        line = json.dumps(_clean(timed, clean), ensure_ascii=True) + "\n"
        file = self._open()
        try:
            # One write: with O_APPEND, records of several processes never mix.
            if os.write(file, line.encode("ascii")) != len(line):
                raise OSError(5, "the record was cut off")
        finally:
            os.close(file)

    def _open(self) -> int:
        # O_NONBLOCK: a pipe without a reader would hang the open.
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
        file = os.open(self._path, flags, 0o600)
        try:
            found = os.fstat(file)
            if not stat.S_ISREG(found.st_mode):
                raise OSError(22, "it is not a regular file")
            if os.name == "posix" and (found.st_uid != os.getuid() or stat.S_IMODE(found.st_mode) & 0o077):
                raise OSError(1, "it must belong to this user alone (chmod 600)")
        except OSError:
            os.close(file)
            raise
        return file


def _clean(value: object, clean: Callable[[str], str]) -> object:
    if isinstance(value, str):
        text = clean(value)
        return text if len(text) <= _LONGEST_TEXT else f"{text[:_LONGEST_TEXT]}… ({len(text)} characters)"
    if isinstance(value, Mapping):
        return {name: _clean(part, clean) for name, part in value.items()}
    return [_clean(part, clean) for part in value] if isinstance(value, Sequence) else value


__all__ = ["Audit"]
