"""A small valid skill package to start from, made of the files in ``template/``.

Owns the names that are allowed and the writing: the whole package or nothing, and nothing is ever overwritten.
"""

from __future__ import annotations

import keyword
import os
import shutil
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from netclaw_opencode.errors import InvalidInput
from netclaw_opencode.manifest import own_manifest
from netclaw_opencode.skill.check.frontmatter import NAME

# A host puts mcp_<name>_ before the name of every action, and 64 characters are all there is.
MAX_NAME = 40

_TEMPLATE = Path(__file__).resolve().parent / "template"
_SUFFIX = ".in"


@dataclass(frozen=True, slots=True)
class NewPackage:
    """What was written: the folder, and its files relative to it."""

    name: str
    folder: Path
    files: tuple[str, ...]


def create_package(name: str, into: Path, *, version: str) -> NewPackage:
    """Write the package ``name`` as a new folder in ``into``; ``version`` is the oldest of ours that it asks for.

    Raises ``InvalidInput`` for a bad name, a folder that is there already, or one that cannot be written.
    """
    _check(name)
    target = into.absolute() / name
    if os.path.lexists(target):
        raise InvalidInput("invalid_input", f"{str(target)!r} is there already; nothing was written", next="choose another name or --to")
    files = _files(name, version)
    try:
        into.mkdir(parents=True, exist_ok=True)
        # Beside the target, so that the last step is a rename: whole or not at all.
        made = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=into.absolute()))
        try:
            made.chmod(0o755)
            for relative, text in files.items():
                path = made / relative
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="utf-8", newline="")
            made.rename(target)
        except BaseException:
            with suppress(OSError):
                shutil.rmtree(made)
            raise
    except OSError as error:
        raise InvalidInput("invalid_input", f"{str(target)!r} cannot be written: {error.strerror}", next="choose another --to") from error
    return NewPackage(name, target, tuple(files))


def _check(name: str) -> None:
    module = name.replace("-", "_")
    if not NAME.fullmatch(name):
        problem = "is not made of small letters and digits joined by single hyphens"
    elif not name[0].isalpha():
        problem = "begins with a digit, so no Python module can be called after it"
    elif len(name) > MAX_NAME:
        problem = f"has {len(name)} characters; at most {MAX_NAME} leave room for what hosts put around it"
    elif keyword.iskeyword(module) or module in sys.stdlib_module_names or module in ("netclaw_opencode", "tests"):
        problem = f"would need the Python module {module!r}, which is taken"
    elif name == own_manifest().name:
        problem = "is the name of the skill that every host has already"
    else:
        return
    raise InvalidInput("invalid_input", f"the name {name[:80]!r} {problem}", next="choose a name such as word-counter")


def _files(name: str, version: str) -> Mapping[str, str]:
    words = {"@NAME@": name, "@MODULE@": name.replace("-", "_"), "@TITLE@": name.replace("-", " ").capitalize(), "@VERSION@": version}
    files: dict[str, str] = {}
    for path in sorted(_TEMPLATE.rglob(f"*{_SUFFIX}")):
        relative = path.relative_to(_TEMPLATE).as_posix().removesuffix(_SUFFIX)
        if relative.startswith("module/"):
            relative = f"{words['@MODULE@']}/{relative.removeprefix('module/')}"
        text = path.read_text(encoding="utf-8")
        for mark, word in words.items():
            text = text.replace(mark, word)
        files[relative] = text
    return files


__all__ = ["MAX_NAME", "NewPackage", "create_package"]
