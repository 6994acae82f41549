"""Output schemas of tasks in the background: kept in the state folder, by digest.

Owns these files. A session's metadata holds the digest alone: a schema there would make every list of sessions as long as all of
them, and the agent could change it. Another machine, or another state folder, does not have the file; whoever asks there
gets the answer's text without the check.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from netclaw_opencode.errors import ActionFailed
from netclaw_opencode.jsontypes import JsonObject
from netclaw_opencode.opencode.process.state import corrupt, folder

FOLDER = "schemas"
KEPT_SECONDS = 30 * 86400.0
"""A schema that no task has named for this long is removed; a task runs for a day at most."""

_DIGEST = re.compile(r"[0-9a-f]{64}")
_LIMIT_BYTES = 4 * 1024 * 1024
"""More than any schema that is taken from a caller."""


def keep(state_dir: Path, schema: JsonObject) -> str:
    """Keep a schema and return its digest; remove those that are old.

    Raises ``ActionFailed`` (``state_corrupt``) where the state folder cannot be used.
    """
    content = json.dumps(schema, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")
    digest = hashlib.sha256(content).hexdigest()
    place = folder(folder(state_dir) / FOLDER)
    path = place / f"{digest}.json"
    _remove_old(place)
    temporary = place / f".{digest}.{secrets.token_hex(4)}"
    try:
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0), 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        # Written again each time: its age is that of its last use.
        temporary.replace(path)
    except OSError as error:
        raise corrupt(path, f"it cannot be written ({error.strerror})", cause=error) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
    return digest


def load(state_dir: Path, digest: str) -> JsonObject | None:
    """The schema with that digest; None where it is not kept here, or where the file does not hold it any more."""
    if not _DIGEST.fullmatch(digest):
        return None
    try:
        place = folder(state_dir) / FOLDER
        handle = os.open(place / f"{digest}.json", os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
        with os.fdopen(handle, "rb") as file:
            content = file.read(_LIMIT_BYTES)
        if hashlib.sha256(content).hexdigest() != digest:
            return None
        found = json.loads(content.decode("utf-8", "surrogatepass"))
    except (ActionFailed, OSError, ValueError, RecursionError):
        return None
    return found if isinstance(found, Mapping) else None


def _remove_old(place: Path) -> None:
    oldest = time.time() - KEPT_SECONDS
    for path in place.iterdir():
        with suppress(OSError):
            if path.lstat().st_mtime < oldest:
                path.unlink()


__all__ = ["FOLDER", "KEPT_SECONDS", "keep", "load"]
