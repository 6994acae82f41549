"""Predictions: each task's patch in the form that SWE-bench's harness takes.

Owns the file: a list with one prediction to a line (``.json``), or the lines alone (``.jsonl``). It is renewed as a whole, so that whoever
reads it finds it complete as of some moment.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from glob import escape
from pathlib import Path
from typing import BinaryIO

from netclaw_opencode._core.file_lock import try_lock
from netclaw_opencode.batch import kept
from netclaw_opencode.errors import InvalidInput
from netclaw_opencode.jsontypes import JsonObject

SUFFIXES = (".json", ".jsonl")
_KEYS = frozenset({"instance_id", "model_name_or_path", "model_patch"})
_STATES = ("completed", "failed")
"""A task that failed may have changed something, which is judged like any other; one that was cancelled was not done."""


class Predictions:
    """A file of predictions.

    Args:
        path: The file; one that is there must hold predictions, and is gone on with.
        model: Names the model of a task whose result does not.

    Raises:
        InvalidInput: The file has another form or suffix, or cannot be read.
    """

    def __init__(self, path: Path, *, model: Callable[[str], str]) -> None:
        self.path = path
        self.missing: dict[str, str] = {}
        self._model = model
        self._places: dict[str, tuple[int, int]] = {}
        self._new: dict[str, bytes] = {}
        self._tries: dict[str, int] = {}
        if path.suffix not in SUFFIXES:
            raise InvalidInput("invalid_input", f"predictions {path}: the name must end in {' or '.join(SUFFIXES)}, which say its form")
        try:
            self._remove_left()
            if path.exists():
                with path.open("rb") as file:
                    self._places = dict(_places(file))
            elif not path.parent.is_dir():
                raise InvalidInput("invalid_input", f"predictions {path}: there is no folder {path.parent}; make it first")
        except OSError as error:
            raise InvalidInput("invalid_input", f"predictions {path} cannot be read: {error.strerror}") from error
        except (ValueError, KeyError, TypeError) as error:
            raise InvalidInput(
                "invalid_input", f"predictions {path} holds something else than predictions; name another file, or move it away"
            ) from error

    def add(self, results: Iterable[JsonObject]) -> None:
        """Take up what has ended; the file changes with ``renew``."""
        for result in results:
            item, tries = str(result["id"]), int(str(result["tries"]))
            if result["state"] not in _STATES or self._tries.get(item) == tries:
                continue
            found = kept.read(result)
            gone = next((each for each in found.missing if each.startswith("patch: ")), None)
            self._tries[item] = tries
            if gone is not None:
                self.missing[item] = gone
                # The patch was there once: then the file has it.
                if item in self._places or item in self._new:
                    continue
            prediction = {
                "instance_id": item,
                "model_name_or_path": kept.model_of(result, found.transcript) or self._model(item),
                # A patch is bytes, and need not be UTF-8.
                "model_patch": found.patch.decode("utf-8", "replace"),
            }
            self._new[item] = json.dumps(prediction).encode("ascii")

    def renew(self, _summary: JsonObject) -> None:
        """Write the file anew, if something is new; raises ``OSError``, and then the old one stands."""
        if not self._new and self.path.exists():
            return
        as_list = self.path.suffix == ".json"
        temporary = self.path.with_name(f".{self.path.name}.{secrets.token_hex(4)}")
        places: dict[str, tuple[int, int]] = {}
        try:
            with temporary.open("xb") as file:
                try_lock(file.fileno())
                file.write(b"[\n" if as_list else b"")
                for number, (item, line) in enumerate(self._lines()):
                    file.write(b",\n" if as_list and number else b"")
                    places[item] = (file.tell(), len(line))
                    file.write(line if as_list else line + b"\n")
                file.write(b"\n]\n" if as_list else b"")
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(self.path)
        finally:
            with suppress(OSError):
                temporary.unlink()
        self._places, self._new = places, {}

    def close(self) -> None:
        """Nothing is held open."""

    def _remove_left(self) -> None:
        """Remove what a call that was killed has left beside the file; one that lives holds a lock on what it writes."""
        for left in self.path.parent.glob(f".{escape(self.path.name)}.????????"):
            with suppress(OSError), left.open("rb") as file:
                if try_lock(file.fileno()):
                    left.unlink()

    def _lines(self) -> Iterator[tuple[str, bytes]]:
        """Every prediction, those of the file first."""
        if self._places:
            with self.path.open("rb") as file:
                for item, (offset, length) in self._places.items():
                    file.seek(offset)
                    yield item, self._new.get(item) or file.read(length)
        yield from ((item, line) for item, line in self._new.items() if item not in self._places)


def _places(file: BinaryIO) -> Iterator[tuple[str, tuple[int, int]]]:
    """Where each prediction stands in a file of ours; raises ``ValueError`` for any other one."""
    offset = 0
    for line in file:
        text = line.rstrip(b"\n").removesuffix(b",")
        if text not in (b"[", b"]", b""):
            found = json.loads(text)
            if not isinstance(found, dict) or set(found) != _KEYS:
                raise ValueError("no prediction")
            yield str(found["instance_id"]), (offset, len(text))
        offset += len(line)


__all__ = ["SUFFIXES", "Predictions"]
