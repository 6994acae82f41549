"""The mark of an export: a digest of all its files, in the metadata of its SKILL.md.

Owns how it is made and checked. By it an earlier export is told from anything else that stands in its place, and from an
export that somebody has changed since: only the first may be replaced.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping

SKILL = "SKILL.md"
_MARK = re.compile(rb'^  "digest": "(sha256:[0-9a-f]{64})"\n', re.MULTILINE)
_END = b"\n---\n"


def sealed(files: Mapping[str, bytes], skill: str = SKILL) -> dict[str, bytes]:
    """Return the files with the mark in ``skill``, whose frontmatter ends with its metadata."""
    head, end, body = files[skill].partition(_END)
    if not end or not head.startswith(b"---\n"):
        raise ValueError(f"{skill} has no frontmatter")
    mark = f'\n  "digest": "{digest_of(files)}"'.encode()
    return {**files, skill: head + mark + end + body}


def is_sealed(files: Mapping[str, bytes], skill: str = SKILL) -> bool:
    """Return whether these are the files of an export, every one as it was written and none beside them."""
    text = files.get(skill, b"")
    found = _MARK.search(text.partition(_END)[0] + b"\n")
    if found is None:
        return False
    bare = text[: found.start() - 1] + text[found.end() - 1 :]
    return found[1] == digest_of({**files, skill: bare}).encode()


def digest_of(files: Mapping[str, bytes]) -> str:
    """One digest of names and contents."""
    total = hashlib.sha256()
    for name in sorted(files):
        content = hashlib.sha256(files[name]).hexdigest()
        total.update(f"{content}  {name}\n".encode())
    return f"sha256:{total.hexdigest()}"


__all__ = ["SKILL", "digest_of", "is_sealed", "sealed"]
