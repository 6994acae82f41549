"""Find the files that travel with the package: ``skill.yaml``, ``SKILL.md``, ``references/``, ``schemas/``.

In a checkout they stand beside the package, in an installed wheel in ``netclaw_opencode/_bundled/``. Never look in the working
directory: what lies there is the user's.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath

_PACKAGE = Path(__file__).resolve().parents[1]
_ROOTS = (_PACKAGE / "_bundled", _PACKAGE.parent)


def find_bundled(relative: str) -> Path:
    """Return the absolute path of a bundled file or folder, such as ``"skill.yaml"`` or ``"schemas/result.schema.json"``.

    Raises:
        ValueError: The path is absolute or leads upwards.
        FileNotFoundError: The installation lacks the file.
    """
    wanted = PurePosixPath(relative)
    if wanted.is_absolute() or ".." in wanted.parts or "\\" in relative or not wanted.parts:
        raise ValueError(f"{relative!r} is not a path below the package's own files")
    for root in _ROOTS:
        found = root / wanted
        if found.exists():
            return found
    raise FileNotFoundError(f"{relative} is missing from this installation of netclaw-opencode; install it again")


__all__ = ["find_bundled"]
