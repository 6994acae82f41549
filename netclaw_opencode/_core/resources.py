"""Where the files that travel with the package are: ``skill.yaml``, ``SKILL.md``, ``references/``, ``schemas/``.

Owns one question, asked the same way in a checkout (they stand beside the package) and in an installed wheel (they stand
in ``netclaw_opencode/_bundled/``). It reads nothing and must never look in the working directory: what lies there is the
user's, not ours.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath

_PACKAGE = Path(__file__).resolve().parents[1]
_ROOTS = (_PACKAGE / "_bundled", _PACKAGE.parent)


def find_bundled(relative: str) -> Path:
    """The absolute path of a bundled file or folder, such as ``"skill.yaml"`` or ``"schemas/result.schema.json"``.

    Raises ``ValueError`` for a path that is absolute or leads upwards, ``FileNotFoundError`` where the installation lacks it.
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
