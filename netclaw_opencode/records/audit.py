"""The record of answers: one line of JSON for each, in a file that only its owner reads.

Owns the file's form and safety. What is recorded, and what happens if it cannot be, is decided by ``answering``.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from netclaw_opencode._core.private_files import append_private, open_for_appending
from netclaw_opencode.errors import InvalidInput

_LONGEST_TEXT = 4000
"""Longest text in a record, in characters."""


class Audit:
    """Appends to ``path``, which must be (or become) a regular file of this user that other users cannot read or write."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def require(self) -> None:
        """Raise ``InvalidInput`` if nothing could be recorded, before anything is sent."""
        try:
            os.close(open_for_appending(self._path))
        except OSError as error:
            raise InvalidInput(
                "invalid_input", f"OPENCODE_DRIVER_AUDIT {self._path}: it cannot be written: {error.strerror}; nothing was sent"
            ) from error

    def append(self, record: Mapping[str, object], *, clean: Callable[[str], str]) -> None:
        """Add one record; ``clean`` takes the secrets out of each text. Raises ``OSError``."""
        timed = {"at": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"), **record}
        # ensure_ascii: no control character, line separator or bidi mark stands in the file as itself.
        line = json.dumps(_clean(timed, clean), ensure_ascii=True) + "\n"
        append_private(self._path, line.encode("ascii"))


def _clean(value: object, clean: Callable[[str], str]) -> object:
    if isinstance(value, str):
        text = clean(value)
        return text if len(text) <= _LONGEST_TEXT else f"{text[:_LONGEST_TEXT]}… ({len(text)} characters)"
    if isinstance(value, Mapping):
        return {name: _clean(part, clean) for name, part in value.items()}
    return [_clean(part, clean) for part in value] if isinstance(value, Sequence) else value


__all__ = ["Audit"]
