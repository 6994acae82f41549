"""Results that are too large for a host: the whole in a private file, a shortened envelope for the caller.

Owns the folder of such files (who may read it, how many stay, for how long) and the member ``full_result`` of an envelope.
How an envelope is cut is decided in ``shortening``; when it is too large is for a face to say.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import stat
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from netclaw_opencode.actions.shortening import Cut, cut_down

MOST_FILES = 50
MOST_BYTES = 256 * 1024 * 1024
LONGEST_DAYS = 7
_NOTES = 3
_NAME = re.compile(r"[0-9a-f]{12}\.json")
_NOT_UTF8 = re.compile("[\ud800-\udfff]")


def compact(value: object) -> str:
    """Strict JSON on one line that can be written as UTF-8."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return _NOT_UTF8.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def length_of(text: str) -> int:
    """How long the text is for a host that counts UTF-16 units, where an emoji is two."""
    return len(text) if text.isascii() else len(text) + sum(char > "\uffff" for char in text)


def shortened(
    envelope: Mapping[str, object],
    *,
    max_chars: int,
    folder: Path,
    schema: Mapping[str, object] | None = None,
    text: Callable[[object], str] = compact,
) -> dict[str, object]:
    """The envelope in at most ``max_chars`` characters as ``text`` writes it; 0 stands for no limit.

    A larger one goes whole into a new file in ``folder``, and the member ``full_result`` of what is returned tells where.
    ``max_chars`` is at least ``settings.SMALLEST_OUTPUT``; ``schema`` is the action's output schema, by which as much of ``data`` as can be
    stays valid. Where no file can be written ``full_result`` says why: the call's outcome is worth more than its length.
    """
    if not max_chars or "full_result" in envelope:
        return dict(envelope)
    whole = text(envelope)
    if length_of(whole) <= max_chars:
        return dict(envelope)
    content = (whole + "\n").encode("utf-8")
    reference: dict[str, object] = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    reference = _kept(content, folder, longest_path=max_chars // 3) | reference

    def assembled(cut: Cut) -> dict[str, object]:
        notes = [note.text for note in sorted(cut.notes)[:_NOTES]]
        return {**cut.envelope, "full_result": reference | ({"cut": notes} if notes else {})}

    room = max(1, max_chars - length_of(text(reference)))
    return assembled(cut_down(envelope, room=room, fits=lambda cut: length_of(text(assembled(cut))) <= max_chars, schema=schema))


def _kept(content: bytes, folder: Path, *, longest_path: int) -> dict[str, object]:
    """Where the content is kept, or why it is not."""
    # A short name: it stands in the place of what was cut.
    path = folder / f"{secrets.token_hex(6)}.json"
    if len(compact(str(path))) > longest_path:
        return {"problem": "not kept: the path of the state folder is too long for this limit"}
    try:
        _require_private(folder)
        _write(path, content)
    except OSError as error:
        return {"problem": f"not kept: {error.strerror or 'the folder does not belong to this user alone'}"}
    with suppress(OSError):  # this result is kept, whatever else cannot be removed
        sweep(folder, but=path)
    return {"path": str(path)}


def _require_private(folder: Path) -> None:
    """Make the folder 0700, with what is missing above it; raises ``OSError`` where it is not this user's alone."""
    for missing in reversed([item for item in (folder, *folder.parents) if not item.exists()]):
        missing.mkdir(mode=0o700, exist_ok=True)
    status = folder.lstat()
    private = os.name != "posix" or (status.st_uid == os.getuid() and not stat.S_IMODE(status.st_mode) & 0o077)
    if not stat.S_ISDIR(status.st_mode) or not private:
        raise PermissionError


def _write(path: Path, content: bytes) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0), 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
    except OSError:
        # Half a result is none.
        path.unlink(missing_ok=True)
        raise


def sweep(folder: Path, *, but: Path | None = None) -> None:
    """Remove result files beyond the newest ``MOST_FILES``, beyond ``MOST_BYTES`` in all, and older than ``LONGEST_DAYS``."""
    found: list[tuple[float, int, Path]] = []
    for path in folder.iterdir():
        if _NAME.fullmatch(path.name) and path != but:
            with suppress(FileNotFoundError):  # another process sweeps, too
                status = path.lstat()
                found.append((status.st_mtime, status.st_size, path))
    oldest, count, size = time.time() - LONGEST_DAYS * 86400, int(but is not None), 0
    for changed, length, path in sorted(found, reverse=True):
        count, size = count + 1, size + length
        if changed < oldest or count > MOST_FILES or size > MOST_BYTES:
            path.unlink(missing_ok=True)


__all__ = ["LONGEST_DAYS", "MOST_BYTES", "MOST_FILES", "compact", "length_of", "shortened", "sweep"]
