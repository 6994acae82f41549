"""What a task of a batch has left in the state folder: its patch and its transcript, as its result names them.

Owns the way from a result to these files, and the check that a file is what the result says. Reads only.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from netclaw_opencode._core.private_files import open_private, require_private_file
from netclaw_opencode.jsontypes import JsonObject

_MOST_BYTES = 256 * 1024 * 1024
"""A larger file is none of ours: snapshots end at twice this, transcripts far below."""
_NONE: JsonObject = {}


class GoneError(Exception):
    """A file that a result names is not there any more, or not as it was."""


@dataclass(frozen=True, slots=True)
class Kept:
    """Files of one task.

    Attributes:
        patch: The whole change; empty for a task that changed nothing.
        transcript: The transcript, or None where there is none.
        missing: What the result names and cannot be had, in words.
    """

    patch: bytes
    transcript: bytes | None
    missing: tuple[str, ...] = ()


def read(result: JsonObject) -> Kept:
    """Read what the result of a task names."""
    found = _found(result)
    missing: list[str] = []
    patch, transcript = b"", None
    try:
        patch = _patch(_part(found, "changes"))
    except GoneError as error:
        missing.append(f"patch: {error}")
    named = found.get("trajectory")
    if isinstance(named, str) and named:
        try:
            transcript = _private(Path(named), suffix=".json")
        except GoneError as error:
            missing.append(f"transcript: {error}")
    return Kept(patch, transcript, tuple(missing))


def model_of(result: JsonObject, transcript: bytes | None) -> str | None:
    """The model that a task used, as ``provider/model``, if its result or its transcript tells."""
    model = _part(_found(result), "model")
    if not model and transcript is not None:
        with suppress(ValueError):
            told = json.loads(transcript)
            model = _part(told, "model") if isinstance(told, Mapping) else model
    names = [str(model[key]) for key in ("providerID", "modelID") if model.get(key)]
    return "/".join(names) or None


def _patch(changes: JsonObject) -> bytes:
    named = _part(changes, "patch")
    if not named:
        if changes.get("method") == "tools":
            raise GoneError("none was made, since no snapshot could be taken")
        return b""
    content = _private(Path(str(named.get("path"))), suffix=".patch")
    if hashlib.sha256(content).hexdigest() != named.get("sha256"):
        raise GoneError(f"{named.get('path')} is not what it was")
    return content


def _private(path: Path, *, suffix: str) -> bytes:
    """A file of this user alone: a database that others write to must not name one of something else."""
    if not path.is_absolute() or path.suffix != suffix:
        raise GoneError(f"{path} is no file of this kind")
    try:
        handle = open_private(path, os.O_RDONLY)
    except FileNotFoundError as error:
        raise GoneError(f"{path} is gone") from error
    except OSError as error:
        raise GoneError(f"{path} cannot be read ({error.strerror})") from error
    with os.fdopen(handle, "rb") as file:
        try:
            require_private_file(handle)
            if os.fstat(handle).st_size > _MOST_BYTES:
                raise GoneError(f"{path} is larger than {_MOST_BYTES // 1024 // 1024} MiB")
            return file.read()
        except OSError as error:
            raise GoneError(f"{path} cannot be read ({error.strerror})") from error


def _found(result: JsonObject) -> JsonObject:
    """The data of a result, or the details of its error."""
    return _part(result, "data") or _part(_part(result, "error"), "details")


def _part(value: JsonObject, key: str) -> JsonObject:
    found = value.get(key)
    return found if isinstance(found, Mapping) else _NONE


__all__ = ["GoneError", "Kept", "model_of", "read"]
