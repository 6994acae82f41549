"""A folder of results: for each task one with its result, its patch, its transcript and its page, and a page that leads to them all.

Owns the names, and what is written when. How a page looks is for others to say.

``batch.jsonl`` says whose folder it is and what stands in it, one line for each task that was written; it is appended to, so that going on
costs what is new. A folder of a task comes into its place whole, and its line after it.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import secrets
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from netclaw_opencode._core.file_lock import try_lock
from netclaw_opencode._core.private_files import is_full
from netclaw_opencode.batch import kept
from netclaw_opencode.errors import InvalidInput
from netclaw_opencode.jsontypes import JsonObject

FORM = 1
LIST, INDEX, ITEMS = "batch.jsonl", "index.html", "items"
RESULT, PATCH, TRANSCRIPT, PAGE = "result.json", "change.patch", "trajectory.json", "report.html"
_WRITING = ".writing-"
_UNSAFE = re.compile(r"[^a-z0-9._-]+")
_PLAIN = re.compile(r"[a-z0-9_][a-z0-9._-]{0,59}")
_LIKE_OURS = re.compile(r"-[0-9a-f]{12}$")
_RESERVED = frozenset({"con", "prn", "aux", "nul", *(f"{name}{number}" for name in ("com", "lpt") for number in range(10))})


class Pages(Protocol):
    """How the pages look."""

    def row(self, result: JsonObject, page: str) -> JsonObject:
        """Return what the page of the batch needs to know of a task, as JSON."""

    def task(self, result: JsonObject, transcript: bytes | None) -> str:
        """Return the page of a task."""

    def batch(self, summary: JsonObject, rows: Iterable[JsonObject]) -> Iterator[str]:
        """Return the page of the batch in pieces."""


class ResultsFolder:
    """A folder of results of one batch.

    Args:
        path: The folder: a new one, an empty one, or one of the same batch, which is gone on with.
        batch_id: The batch.
        pages: Makes the pages.

    Raises:
        InvalidInput: It is somebody else's, or cannot be used.
    """

    def __init__(self, path: Path, *, batch_id: str, pages: Pages) -> None:
        self.path = path
        self.missing: dict[str, tuple[str, ...]] = {}
        self.unwritten: dict[str, str] = {}
        self._pages = pages
        self._written: dict[str, int] = {}
        self._rows: dict[str, JsonObject] = {}
        self._indexed: JsonObject | None = None
        try:
            self._list = self._open(batch_id)
        except OSError as error:
            raise InvalidInput("invalid_input", f"results_folder {path} cannot be used: {error.strerror}") from error

    def add(self, results: Iterable[JsonObject]) -> None:
        """Write what is not there yet.

        Raises:
            OSError: The disk is full. Trouble with one task alone is kept in ``unwritten``.
        """
        for result in results:
            item, tries = str(result["id"]), int(str(result["tries"]))
            again = self._written.get(item) == tries
            if again and item not in self.missing:
                continue
            found = kept.read(result)
            # What was missing may be there now, such as on the machine where the task ran; what was written stays.
            if again and not set(found.missing) < set(self.missing[item]):
                continue
            try:
                self._add(item, tries, result, found)
            except OSError as error:
                if is_full(error):
                    raise
                self.unwritten[item] = error.strerror or str(error)
            else:
                self.unwritten.pop(item, None)

    def renew(self, summary: JsonObject) -> None:
        """Write the page of the batch anew, if it would be another one; raises ``OSError``, and then the old one stands."""
        shown = {name: value for name, value in summary.items() if name not in ("running", "per_minute", "left_seconds", "workers")}
        if self._indexed == (shown := {**shown, "rows": len(self._written)}) and (self.path / INDEX).exists():
            return
        self._replace(INDEX, (piece.encode("utf-8", "replace") for piece in self._pages.batch(summary, self._rows.values())))
        self._indexed = shown

    def close(self) -> None:
        """Let another call write here."""
        os.close(self._list)

    def _add(self, item: str, tries: int, result: JsonObject, found: kept.Kept) -> None:
        name = folder_name(item)
        making = self.path / f"{_WRITING}{secrets.token_hex(6)}"
        making.mkdir()
        try:
            # Written as ASCII: a result may hold what UTF-8 cannot.
            (making / RESULT).write_text(json.dumps(result, indent=2) + "\n", encoding="ascii")
            if not any(each.startswith("patch: ") for each in found.missing):
                (making / PATCH).write_bytes(found.patch)
            if found.transcript is not None:
                (making / TRANSCRIPT).write_bytes(found.transcript)
            (making / PAGE).write_text(self._pages.task(result, found.transcript), encoding="utf-8", errors="replace")
            self._put(making, self.path / ITEMS / name)
        except BaseException:
            shutil.rmtree(making, ignore_errors=True)
            raise
        line = {"id": item, "tries": tries, "missing": list(found.missing), "row": self._pages.row(result, f"{ITEMS}/{name}/{PAGE}")}
        self._append(line)
        self._note(line)

    def _put(self, made: Path, place: Path) -> None:
        """Bring a folder into its place; an earlier one of the same task goes."""
        old = self.path / f"{_WRITING}{secrets.token_hex(6)}"
        with suppress(FileNotFoundError):
            place.rename(old)
        made.rename(place)
        shutil.rmtree(old, ignore_errors=True)

    def _open(self, batch_id: str) -> int:
        """Make the folder or go on with it; returns its list, open for appending and locked."""
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        require_usable(self.path)
        names = [entry.name for entry in self.path.iterdir()]
        if LIST not in names:
            self._replace(LIST, iter([_line({"form": FORM, "batch_id": batch_id})]))
        handle = os.open(self.path / LIST, os.O_RDWR | os.O_APPEND)
        try:
            if not try_lock(handle):
                raise _refused(self.path, "is being written by another call; wait for its end, or name another one")
            whole = self._read(batch_id)
            if whole < os.fstat(handle).st_size:
                os.ftruncate(handle, whole)
            for name in names:
                if name.startswith(_WRITING):
                    # What a call that was killed has left.
                    _remove(self.path / name)
            (self.path / ITEMS).mkdir(exist_ok=True)
        except BaseException:
            os.close(handle)
            raise
        return handle

    def _read(self, batch_id: str) -> int:
        """Take up what was written before; returns where it ends: a last line that was cut off does not count."""
        whole = 0
        try:
            with (self.path / LIST).open("rb") as file:
                for line in file:
                    if not line.endswith(b"\n"):
                        break
                    found = json.loads(line)
                    if whole:
                        self._note(found)
                    elif (found["form"], found["batch_id"]) != (FORM, batch_id):
                        raise _refused(self.path, f"holds the results of another batch ({found['batch_id']}); name another one")
                    whole += len(line)
            if not whole:
                raise ValueError("it has no first line")
        except (ValueError, KeyError, TypeError) as error:
            raise _refused(self.path, f"has a {LIST} that is none of ours; name another one") from error
        return whole

    def _append(self, line: JsonObject) -> None:
        content, at = _line(line), os.fstat(self._list).st_size
        try:
            if os.write(self._list, content) != len(content):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError:
            # What was written of it goes, so that the next line stands by itself.
            os.ftruncate(self._list, at)
            raise

    def _note(self, line: Mapping[str, object]) -> None:
        item, missing, row = str(line["id"]), line["missing"], line["row"]
        if not isinstance(missing, list) or not isinstance(row, dict):
            raise TypeError("no line of ours")
        self._written[item], self._rows[item] = int(str(line["tries"])), row
        self.missing.pop(item, None)
        if missing:
            self.missing[item] = tuple(map(str, missing))

    def _replace(self, name: str, pieces: Iterator[bytes]) -> None:
        making = self.path / f"{_WRITING}{secrets.token_hex(6)}"
        try:
            with making.open("xb") as file:
                file.writelines(pieces)
                file.flush()
                os.fsync(file.fileno())
            making.replace(self.path / name)
        except BaseException:
            with suppress(OSError):
                making.unlink()
            raise


def require_usable(path: Path) -> None:
    """Raise ``InvalidInput`` if a folder is there and is none of ours; whose batch it is of, is seen when it is opened."""
    try:
        names = [entry.name for entry in path.iterdir()]
    except FileNotFoundError:
        return
    except OSError as error:
        raise _refused(path, f"cannot be used: {error.strerror}") from error
    if LIST not in names and any(not name.startswith(_WRITING) for name in names):
        raise _refused(path, "is not empty and is no folder of results; name another one")


def folder_name(item: str) -> str:
    """Return the name of a task's folder: its id, if every file system takes it as it is; else what is left of it and a digest."""
    reserved = item.partition(".")[0] in _RESERVED or item.endswith(".")
    if _PLAIN.fullmatch(item) and not reserved and not _LIKE_OURS.search(item):
        return item
    left = _UNSAFE.sub("-", item.lower()).strip(".-_")[:40].rstrip(".-_")
    return f"{left or 'task'}-{hashlib.sha256(item.encode('utf-8', 'surrogatepass')).hexdigest()[:12]}"


def _line(value: JsonObject) -> bytes:
    return json.dumps(value).encode("ascii") + b"\n"


def _refused(path: Path, why: str) -> InvalidInput:
    return InvalidInput("invalid_input", f"results_folder {path} {why}")


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


__all__ = [
    "FORM",
    "INDEX",
    "ITEMS",
    "LIST",
    "PAGE",
    "PATCH",
    "RESULT",
    "TRANSCRIPT",
    "Pages",
    "ResultsFolder",
    "folder_name",
    "require_usable",
]
