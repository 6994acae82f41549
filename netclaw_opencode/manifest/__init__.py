"""The manifest: ``skill.yaml``, ours and other authors', read (``reading``) and checked against everything (``checking``)."""

from __future__ import annotations

from pathlib import Path

from netclaw_opencode._core.resources import find_bundled
from netclaw_opencode.manifest.entries import ActionEntry, EnvironmentVariable, Example, Manifest, ManifestProblem
from netclaw_opencode.manifest.reading import load_checked_manifest, load_manifest, own_manifest, read_own_schemas


def check_manifest(path: Path | None = None, *, check_handlers: bool = False) -> list[ManifestProblem]:
    """Every mismatch of a manifest with its own schema, its schema files, examples, error codes and, if asked, handlers."""
    # Imported here: the thorough look needs jsonschema, the reading of a manifest does not.
    from netclaw_opencode.manifest.checking import mismatches

    return mismatches(find_bundled("skill.yaml") if path is None else path.absolute(), check_handlers=check_handlers)


def doubts_of(path: Path) -> list[ManifestProblem]:
    """``check_manifest``, and besides what is allowed, but not carried by every host."""
    from netclaw_opencode.manifest.checking import mismatches

    return mismatches(path.absolute(), check_handlers=False, doubts=True)


__all__ = [
    "ActionEntry",
    "EnvironmentVariable",
    "Example",
    "Manifest",
    "ManifestProblem",
    "check_manifest",
    "doubts_of",
    "load_checked_manifest",
    "load_manifest",
    "own_manifest",
    "read_own_schemas",
]
