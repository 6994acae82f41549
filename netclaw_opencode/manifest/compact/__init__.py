"""Our own manifest and schemas in a form that is quick to read: JSON files beside this module.

``scripts/generate_api.py`` writes them from ``skill.yaml`` and ``schemas/actions/``. Each holds the checksum of its sources; a file
whose sources have changed since, or that is missing, counts as not there, and the caller reads the sources.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

from netclaw_opencode.jsontypes import JsonObject

FOLDER = Path(__file__).parent


def read_manifest(source: Path, *, folder: Path = FOLDER) -> JsonObject | None:
    """Return what ``skill.yaml`` holds, or None if that must be read from the file itself."""
    return _read(folder / "skill.json", [source])


def read_schemas(schemas: Path, *, folder: Path = FOLDER) -> Mapping[Path, JsonObject]:
    """Return the schemas of this folder by path; empty if they must be read from their files."""
    found = _read(folder / "schemas.json", schema_files(schemas)) or {}
    return {schemas / name: cast(JsonObject, schema) for name, schema in found.items()}


def schema_files(schemas: Path) -> list[Path]:
    """Return the schema files of a folder, in a fixed order."""
    try:
        return [schemas / name for name in sorted(os.listdir(schemas)) if name.endswith(".json")]  # noqa: PTH208 - Path.iterdir is slower
    except OSError:
        return []


def checksum(sources: Sequence[Path]) -> int:
    """Return a checksum of names and bytes of files; it notices an edit, not an attack."""
    total = 0
    for source in sources:
        total = zlib.crc32(source.name.encode(), total)
        total = zlib.crc32(source.read_bytes(), total)
    return total


def _read(file: Path, sources: Sequence[Path]) -> JsonObject | None:
    try:
        found = json.loads(file.read_bytes())
        return found["content"] if found["checksum"] == checksum(sources) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


__all__ = ["FOLDER", "checksum", "read_manifest", "read_schemas", "schema_files"]
