"""Write results that are too large for a host into a private file, and shorten the envelope for the caller.

``shortening`` decides how an envelope is cut, the adapter when it is too large. Old files are removed here.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from netclaw_opencode._core.private_files import create_private, require_private_folder
from netclaw_opencode.actions.shortening import Cut, cut_down
from netclaw_opencode.errors import ActionFailed

MOST_FILES = 50
MOST_BYTES = 256 * 1024 * 1024
LONGEST_DAYS = 7
_NOTES = 3
_NAME = re.compile(r"[0-9a-f]{12}\.json")
_NOT_UTF8 = re.compile("[\ud800-\udfff]")


def to_compact_json(value: object) -> str:
    """Strict JSON on one line that can be written as UTF-8."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return _NOT_UTF8.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def utf16_length(text: str) -> int:
    """Return how long the text is for a host that counts UTF-16 units, where an emoji is two."""
    return len(text) if text.isascii() else len(text) + sum(char > "\uffff" for char in text)


def shorten(
    envelope: Mapping[str, object],
    *,
    max_chars: int,
    folder: Path,
    schema: Mapping[str, object] | None = None,
    text: Callable[[object], str] = to_compact_json,
) -> dict[str, object]:
    """Return the envelope in at most ``max_chars`` characters as ``text`` writes it; 0 stands for no limit.

    A larger one goes whole into a new file in ``folder``, and the member ``full_result`` of what is returned says where.
    ``max_chars`` is at least ``settings.SMALLEST_OUTPUT``; ``schema`` is the action's output schema, by which as much of ``data`` as can be
    stays valid. If no file can be written ``full_result`` says why: the call's outcome is worth more than its length.
    """
    if not max_chars or "full_result" in envelope:
        return dict(envelope)
    whole = text(envelope)
    if utf16_length(whole) <= max_chars:
        return dict(envelope)
    content = (whole + "\n").encode("utf-8")
    reference: dict[str, object] = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    reference = _keep(content, folder, longest_path=max_chars // 3) | reference

    def assemble(cut: Cut) -> dict[str, object]:
        notes = [note.text for note in sorted(cut.notes)[:_NOTES]]
        return {**cut.envelope, "full_result": reference | ({"cut": notes} if notes else {})}

    room = max(1, max_chars - utf16_length(text(reference)))
    return assemble(cut_down(envelope, room=room, fits=lambda cut: utf16_length(text(assemble(cut))) <= max_chars, schema=schema))


def _keep(content: bytes, folder: Path, *, longest_path: int) -> dict[str, object]:
    """Return where the content is kept, or why it is not."""
    # A short name: it stands in the place of what was cut.
    path = folder / f"{secrets.token_hex(6)}.json"
    if len(to_compact_json(str(path))) > longest_path:
        return {"problem": "not kept: the path of the state folder is too long for this limit"}
    try:
        require_private_folder(folder)
        create_private(path, content)
    except (OSError, ActionFailed) as error:
        cause = error.__cause__ if isinstance(error, ActionFailed) else error
        why = cause.strerror if isinstance(cause, OSError) else None
        return {"problem": f"not kept: {why or 'the folder does not belong to this user alone'}"}
    with suppress(OSError):  # this result is kept, whatever else cannot be removed
        sweep(folder, but=path)
    return {"path": str(path)}


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


__all__ = ["LONGEST_DAYS", "MOST_BYTES", "MOST_FILES", "shorten", "sweep", "to_compact_json", "utf16_length"]
