"""Answers that fit a schema: the instruction for the model, how its answer is checked, and where the schema of a background task is kept.

OpenCode's own ``format`` option is not used: after such a prompt the 1.18 server can no longer read the session's
message store (400 for ever), and it accepts answers that break the schema.

The schema of a task in the background stands in the state folder, and the session's metadata holds its digest alone: a schema there would
make every list of sessions longer, and the agent could change it. A caller with another state folder gets the text without the check.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from netclaw_opencode._core.private_files import read_private, replace_private, require_private_folder
from netclaw_opencode._core.validation import find_problems
from netclaw_opencode.errors import ActionFailed
from netclaw_opencode.jsontypes import JsonObject

_FENCE = re.compile(r"```(?:json)?\s*\n(.*?)```", re.DOTALL)
SCHEMA_FOLDER = "schemas"
SCHEMA_SECONDS = 30 * 86400.0
"""A schema that no task has named for this long is removed; a task runs for a day at most."""

_DIGEST = re.compile(r"[0-9a-f]{64}")
_LIMIT_BYTES = 4 * 1024 * 1024
"""More than any schema that is taken from a caller."""


def instruction(schema: JsonObject) -> str:
    """Return the instruction for the model, as system text."""
    return (
        "Your last message must be one JSON object and nothing else: no prose, no code fence. "
        f"It must be valid against this JSON Schema:\n{json.dumps(schema, ensure_ascii=False)}"
    )


def extract(text: str, schema: JsonObject) -> object:
    """Return the JSON value in the model's text, valid against the schema.

    Raises ``ActionFailed`` (``structured_output_failed``) with what is wrong and the text itself.
    """
    for candidate in (text, *reversed(_FENCE.findall(text)), text[text.find("{") : text.rfind("}") + 1]):
        try:
            value: object = json.loads(candidate)
        except (ValueError, RecursionError):
            continue
        problems = find_problems(value, schema)
        if not problems:
            return value
        raise _failed("; ".join(problem.message for problem in problems[:5]), text)
    raise _failed("it holds no JSON", text)


def _failed(why: str, text: str) -> ActionFailed:
    return ActionFailed("structured_output_failed", f"the model's answer does not fit output_schema: {why}", details={"text": text[:2000]})


def store_schema(state_dir: Path, schema: JsonObject) -> str:
    """Keep a schema and return its digest; remove those that are old.

    Raises ``ActionFailed`` (``state_corrupt``) where the state folder cannot be used.
    """
    content = json.dumps(schema, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")
    digest = hashlib.sha256(content).hexdigest()
    place = require_private_folder(require_private_folder(state_dir) / SCHEMA_FOLDER)
    _remove_old(place)
    # Written again each time: its age is that of its last use.
    replace_private(place / f"{digest}.json", content)
    return digest


def load_schema(state_dir: Path, digest: str) -> JsonObject | None:
    """Return the schema with that digest; None where it is not kept here, or where the file does not hold it any more."""
    if not _DIGEST.fullmatch(digest):
        return None
    try:
        content = read_private(require_private_folder(state_dir) / SCHEMA_FOLDER / f"{digest}.json") or b""
        if hashlib.sha256(content).hexdigest() != digest:
            return None
        found = json.loads(content.decode("utf-8", "surrogatepass"))
    except (ActionFailed, OSError, ValueError, RecursionError):
        return None
    return found if isinstance(found, Mapping) else None


def _remove_old(place: Path) -> None:
    oldest = time.time() - SCHEMA_SECONDS
    for path in place.iterdir():
        with suppress(OSError):
            if path.lstat().st_mtime < oldest:
                path.unlink()


__all__ = ["SCHEMA_FOLDER", "SCHEMA_SECONDS", "extract", "instruction", "load_schema", "store_schema"]
