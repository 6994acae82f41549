"""What changed between two snapshots: every file, and one patch for all of them.

Owns the comparing, the form of a changed file in results, and the patch file. Whose change it was is for others to say.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from netclaw_opencode.work.snapshots import Snapshot

LONGEST_DIFF = 256 * 1024
"""A longer diff of one file, in characters, stands in the patch alone."""
_LONGEST_DIFFS = 16 * 1024 * 1024
"""As much of a patch as is shown file by file, in bytes; of a larger one every diff stands in the patch alone."""
_COMMAND_BYTES = 100_000
"""So much fits on a command line on every system, beside the environment."""
_RAW = re.compile(rb":(\d{6}) (\d{6}) ([0-9a-f]+) ([0-9a-f]+) ([A-Z])\d*")
_ABSENT = "000000"
_GITLINK = "160000"
_DIFF = ("--no-ext-diff", "--no-textconv", "--no-color", "--no-abbrev", "--ignore-submodules=all")
Status = Literal["added", "modified", "deleted"]


@dataclass(frozen=True, slots=True)
class ChangedFile:
    """One file that is not as it was.

    Attributes:
        path: Its path from the root of its snapshot.
        status: What became of it.
        old_mode: Its mode before, as git writes it; None if it was not there.
        new_mode: Its mode after; None if it is gone.
        old_id: The id of its content before.
        new_id: The id of its content after.
        additions: Lines that came.
        deletions: Lines that went.
        binary: Whether it is no text, so that lines say nothing.
        renamed_from: For an added file: the deleted one that it was.
        renamed_to: For a deleted file: the added one that it became.
        diff: Its unified diff; empty for a binary file, and for one that is too long.
        kept: Whether the patch holds it: not if it is too large to be kept.
    """

    path: bytes
    status: Status
    old_mode: str | None = None
    new_mode: str | None = None
    old_id: str = ""
    new_id: str = ""
    additions: int = 0
    deletions: int = 0
    binary: bool = False
    renamed_from: bytes | None = None
    renamed_to: bytes | None = None
    diff: str = ""
    kept: bool = True


@dataclass(frozen=True, slots=True)
class Changes:
    """All that differs between two snapshots of a folder; ``files`` are in the order of their paths."""

    before: Snapshot
    after: Snapshot
    files: tuple[ChangedFile, ...] = ()

    @property
    def root(self) -> Path:
        """Where the paths of the files begin."""
        return self.before.root

    def only(self, paths: frozenset[bytes]) -> Changes:
        """Return these changes without those of other files."""
        return replace(self, files=tuple(item for item in self.files if item.path in paths))


@dataclass(frozen=True, slots=True)
class Patch:
    """A patch file that ``git apply`` takes, at the root of what it was made from."""

    path: Path
    sha256: str
    size: int
    left_out: tuple[bytes, ...] = ()
    """Changed files that are too large to be kept, and so not in it."""


def compare(before: Snapshot, after: Snapshot) -> Changes:
    """Find every file that is not as it was, repositories within the folder included; without their diffs."""
    found: dict[bytes, ChangedFile] = {}
    for path, item in _compared(before, after):
        found[path] = _across(found[path], item) if path in found else item
    same = {path for path, item in found.items() if item.old_id and (item.old_id, item.old_mode) == (item.new_id, item.new_mode)}
    return Changes(before, after, tuple(found[path] for path in sorted(found.keys() - same)))


def _across(outer: ChangedFile, inner: ChangedFile) -> ChangedFile:
    """A file that went from one repository to another, since one was made or removed within the folder."""
    old, new = (outer, inner) if outer.status == "deleted" else (inner, outer)
    return replace(new, status="modified", old_mode=old.old_mode, old_id=old.old_id, deletions=old.deletions, kept=False)


def _compared(before: Snapshot, after: Snapshot, prefix: bytes = b"") -> Iterator[tuple[bytes, ChangedFile]]:
    if before.tree != after.tree:
        files = {item.path: item for item in _of_trees(before, after)}
        if {"added", "deleted"} <= {item.status for item in files.values()}:
            _pair_renamed(before, after, files)
    else:
        files = {}
    _compare_big(before, after, files)
    for item in files.values():
        path = prefix + item.path
        moved = {name: prefix + value for name in ("renamed_from", "renamed_to") if (value := getattr(item, name)) is not None}
        yield path, replace(item, path=path, **moved)
    for inner in sorted({*before.nested, *after.nested}):
        old, new = before.nested.get(inner), after.nested.get(inner)
        known = old or new
        assert known is not None  # the name comes from one of the two
        empty = replace(known, tree=known.empty_tree, big={}, nested={})
        yield from _compared(old or empty, new or empty, prefix + inner + b"/")


def _of_trees(before: Snapshot, after: Snapshot) -> Iterator[ChangedFile]:
    told = after.store.run("diff-tree", "-r", "-z", "--raw", "--numstat", "--no-renames", *_DIFF, before.tree, after.tree).split(b"\0")
    found: list[ChangedFile] = []
    counts: dict[bytes, tuple[bytes, bytes]] = {}
    entries = iter(told)
    for entry in entries:
        raw = _RAW.fullmatch(entry)
        if raw is not None:
            old_mode, new_mode = raw[1].decode(), raw[2].decode()
            if _GITLINK not in (old_mode, new_mode):
                status: Status = "added" if old_mode == _ABSENT else "deleted" if new_mode == _ABSENT else "modified"
                was, now = (mode if mode != _ABSENT else None for mode in (old_mode, new_mode))
                found.append(ChangedFile(next(entries), status, was, now, raw[3].decode(), raw[4].decode()))
            else:
                next(entries)
        elif entry:
            added, removed, path = entry.split(b"\t", 2)
            counts[path] = (added, removed)
    for item in found:
        added, removed = counts.get(item.path, (b"0", b"0"))
        is_binary = added == b"-"
        yield replace(item, additions=0 if is_binary else int(added), deletions=0 if is_binary else int(removed), binary=is_binary)


def _pair_renamed(before: Snapshot, after: Snapshot, files: dict[bytes, ChangedFile]) -> None:
    """Say of an added file which deleted one it was; both stay in the list."""
    told = after.store.run("diff-tree", "-r", "-z", "--raw", "-M", "--diff-filter=R", *_DIFF, before.tree, after.tree).split(b"\0")
    for at in range(0, len(told) - 2, 3):
        old, new = told[at + 1], told[at + 2]
        if old in files and new in files:
            files[old] = replace(files[old], renamed_to=new)
            files[new] = replace(files[new], renamed_from=old)


def _compare_big(before: Snapshot, after: Snapshot, files: dict[bytes, ChangedFile]) -> None:
    """Add the files that are, or were, too large to be kept."""
    for path in {*before.big, *after.big}:
        if before.big.get(path) == after.big.get(path):
            continue
        was = path in before.big or (path in files and files[path].status == "deleted")
        remains = path in after.big or (path in files and files[path].status == "added")
        files[path] = ChangedFile(path, "modified" if was and remains else "added" if remains else "deleted", binary=True, kept=False)


def write_patch(changes: Changes, path: Path) -> tuple[Changes, Patch]:
    """Write the patch of these changes; return them with the diff of each file.

    Args:
        changes: What ``compare`` found, or some of it.
        path: A new file; it is of this user alone.
    """
    parts: list[Path] = []
    diffs: dict[bytes, str] = {}
    kept = {item.path for item in changes.files if item.kept}
    try:
        for old, new, prefix in _pairs(changes.before, changes.after):
            wanted = sorted(name.removeprefix(prefix) for name in kept if _belongs(name, prefix, changes.after, changes.before))
            shown_prefix = os.fsdecode(prefix)
            names = (f"--src-prefix=a/{shown_prefix}", f"--dst-prefix=b/{shown_prefix}")
            options = ("diff-tree", "-r", "-p", "--binary", "--full-index", "--no-renames", *_DIFF, *names, old.tree, new.tree, "--")
            for named in _chunks(wanted):
                part = path.with_name(f"{path.name}.{len(parts)}")
                parts.append(part)
                new.store.run(*options, *map(os.fsdecode, named), into=part)
                diffs |= {prefix + name: text for name, text in _diffs_of(part, named)}
        digest = _join(parts, path)
    finally:
        for part in parts:
            part.unlink(missing_ok=True)
    files = tuple(replace(item, diff="" if item.binary else diffs.get(item.path, "")) for item in changes.files)
    left_out = tuple(item.path for item in changes.files if not item.kept)
    return replace(changes, files=files), Patch(path, digest, path.stat().st_size, left_out)


def _chunks(paths: Sequence[bytes]) -> Iterator[list[bytes]]:
    """The paths in as many lists as command lines are needed for them."""
    chunk: list[bytes] = []
    room = _COMMAND_BYTES
    for path in paths:
        if room < len(path):
            yield chunk
            chunk, room = [], _COMMAND_BYTES
        chunk.append(path)
        room -= len(path) + 16
    if chunk:
        yield chunk


def _pairs(before: Snapshot, after: Snapshot, prefix: bytes = b"") -> Iterator[tuple[Snapshot, Snapshot, bytes]]:
    yield before, after, prefix
    for inner in sorted({*before.nested, *after.nested}):
        old, new = before.nested.get(inner), after.nested.get(inner)
        known = old or new
        assert known is not None  # the name comes from one of the two
        empty = replace(known, tree=known.empty_tree, big={}, nested={})
        yield from _pairs(old or empty, new or empty, prefix + inner + b"/")


def _belongs(path: bytes, prefix: bytes, *snapshots: Snapshot) -> bool:
    """Whether the repository at ``prefix`` holds the path, and none within that."""
    if not path.startswith(prefix):
        return False
    prefixes = {name for one in snapshots for name in _prefixes(one)}
    return max((name for name in prefixes if path.startswith(name)), key=len) == prefix


def _prefixes(snapshot: Snapshot, prefix: bytes = b"") -> Iterator[bytes]:
    yield prefix
    for inner, nested in snapshot.nested.items():
        yield from _prefixes(nested, prefix + inner + b"/")


def _diffs_of(part: Path, paths: Sequence[bytes]) -> Iterator[tuple[bytes, str]]:
    """The diff of each file; git writes them in the order of their paths, one that changed its kind as two."""
    if part.stat().st_size > _LONGEST_DIFFS:
        return
    sections = [b"diff --git " + text for text in (b"\n" + part.read_bytes()).split(b"\ndiff --git ")[1:]]
    texts: list[bytes] = []
    for section in sections:
        head = section.partition(b"\n@@")[0]
        same = texts and section.partition(b"\n")[0] == texts[-1].partition(b"\n")[0]
        if same and b"\nnew file mode" in head:
            texts[-1] += b"\n" + section
        else:
            texts.append(section)
    if len(texts) != len(paths):
        return
    for path, text in zip(paths, texts, strict=True):
        # What stands above (modes, ids) has fields of its own.
        at = text.find(b"\n--- ") + 1
        if at and len(text) <= LONGEST_DIFF:
            yield path, text[at:].decode("utf-8", "replace") + ("" if text.endswith(b"\n") else "\n")


def _join(parts: Sequence[Path], path: Path) -> str:
    digest = hashlib.sha256()
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0), 0o600), "wb") as whole:
        for part in parts:
            with part.open("rb") as source:
                while piece := source.read(1 << 20):
                    digest.update(piece)
                    whole.write(piece)
    return digest.hexdigest()


def shown(path: bytes) -> str:
    """A path as results have it: what is not UTF-8 stands as ``\\xNN``."""
    return path.decode("utf-8", "backslashreplace")


__all__ = ["LONGEST_DIFF", "ChangedFile", "Changes", "Patch", "compare", "shown", "write_patch"]
