"""``--fix``: the changes that cannot alter what a skill does, written into its files.

Owns the writing: line ends, byte order mark, and single lines of the frontmatter (a quoted value, the folder's name). A file is written
as a whole or not at all; nothing is written through a link.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from netclaw_opencode.skill.check.config import ConfigurationError
from netclaw_opencode.skill.check.findings import Edit, PackageReport
from netclaw_opencode.skill.check.places import kind_of

_MARK = b"\xef\xbb\xbf"


def apply_fixes(report: PackageReport) -> int:
    """Carry out the edits of a report; returns how many findings they fix.

    Raises:
        ConfigurationError: A file cannot be written.
    """
    edits: dict[str, list[Edit]] = {}
    for found in report.findings:
        if found.edit is not None:
            edits.setdefault(found.file, []).append(found.edit)
    return sum(_fix(report.folder / file, wanted) for file, wanted in edits.items())


def _fix(path: Path, edits: Iterable[Edit]) -> int:
    if kind_of(path) != "file":
        return 0
    try:
        raw = path.read_bytes()
        changed, count = _changed(raw, edits)
        if changed != raw:
            _write(path, changed)
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written: {error.strerror}") from error
    return count


def _changed(raw: bytes, edits: Iterable[Edit]) -> tuple[bytes, int]:
    count = 0
    done: set[int] = set()
    for edit in edits:
        if edit.kind == "byte_order_mark":
            raw = raw.removeprefix(_MARK)
        elif edit.kind == "line_ends":
            raw = raw.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        elif edit.line in done:
            continue  # the next round sees the changed line
        else:
            lines = raw.split(b"\n")
            done.add(edit.line)
            if edit.line > len(lines):
                continue
            end = b"\r" if lines[edit.line - 1].endswith(b"\r") else b""
            lines[edit.line - 1] = edit.text.encode("utf-8") + end
            raw = b"\n".join(lines)
        count += 1
    return raw, count


def _write(path: Path, raw: bytes) -> None:
    """Beside the file first, so that the last step is a rename; with the mode that the file had."""
    handle, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    made = Path(name)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(raw)
        made.chmod(path.stat().st_mode & 0o7777)
        made.replace(path)
    except BaseException:
        with suppress(OSError):
            made.unlink()
        raise


__all__ = ["apply_fixes"]
