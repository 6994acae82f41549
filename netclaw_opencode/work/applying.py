"""Bring the changes of isolated work into the folder that it was taken from: all of them, or nothing.

Owns the three-way decision for each file (what the work began with, what it ended with, what stands in the folder now), and the writing.
Where both sides changed the same lines, or one removed what the other changed, nothing is written. The user's index, refs and stash
stay as they are: the changes stand in the files, as if somebody had edited them.
"""

from __future__ import annotations

import os
import secrets
import shutil
import stat
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from netclaw_opencode.errors import ActionFailed
from netclaw_opencode.work.changes import shown
from netclaw_opencode.work.git import GitError, Store

_ABSENT = ("000000", "")
_GITLINK = "160000"
_SYMLINK = "120000"
Entry = tuple[str, str]
"""Mode and content id of a file; ``_ABSENT`` for none."""


@dataclass(frozen=True, slots=True)
class Conflict:
    """A file that cannot be brought in."""

    path: bytes
    why: str

    def to_wire(self) -> dict[str, object]:
        """Return its form in errors."""
        return {"path": shown(self.path), "why": self.why}


@dataclass(slots=True)
class Plan:
    """What is to be done with each file.

    Attributes:
        wanted: What each path shall hold; only paths that change.
        merged: Paths whose content is made of both sides.
        already: Paths that hold it already.
        conflicts: What keeps all of it from being done.
    """

    wanted: dict[bytes, Entry] = field(default_factory=dict)
    merged: list[bytes] = field(default_factory=list)
    already: list[bytes] = field(default_factory=list)
    conflicts: list[Conflict] = field(default_factory=list)


def plan(store: Store, *, base: str, final: str, current: str) -> Plan:
    """Decide for each file that the work changed.

    Args:
        store: A repository that has the objects of all three trees; its work tree is the folder.
        base: The tree that the work began with.
        final: The tree that it ended with.
        current: The tree of the folder now.
    """
    made = Plan()
    theirs = dict(_differences(store, base, current))
    links = tuple(path + b"/" for path, (_, entry) in theirs.items() if entry[0] == _GITLINK)
    for path, (old, new) in _differences(store, base, final).items():
        if path.startswith(links):  # a file of a submodule, which the folder's own tree does not hold
            now = _current(store, path, _ABSENT)
        else:
            now = theirs[path][1] if path in theirs else _current(store, path, old)
        if _GITLINK in (old[0], new[0], now[0]):
            made.conflicts.append(Conflict(path, "it is a repository of its own"))
        elif now == new:
            made.already.append(path)
        elif now == old:
            made.wanted[path] = new
        else:
            _merge(store, made, path, old, new, now)
    for path, entry in made.wanted.items():
        if entry != _ABSENT:
            _require_place(store, made, path)
    return made


def _differences(store: Store, one: str, other: str) -> dict[bytes, tuple[Entry, Entry]]:
    told = store.run("diff-tree", "-r", "-z", "--raw", "--no-renames", "--no-abbrev", one, other).split(b"\0")
    found: dict[bytes, tuple[Entry, Entry]] = {}
    for at in range(0, len(told) - 1, 2):
        old_mode, new_mode, old_id, new_id, _ = told[at].decode().removeprefix(":").split(" ")
        old = (old_mode, old_id) if old_mode != _ABSENT[0] else _ABSENT
        new = (new_mode, new_id) if new_mode != _ABSENT[0] else _ABSENT
        found[told[at + 1]] = (old, new)
    return found


def _current(store: Store, path: bytes, old: Entry) -> Entry:
    """What the folder holds where its tree says nothing else than the base: the same, or a file that no tree of it holds."""
    place = Path(store.root, os.fsdecode(path))
    if old != _ABSENT or not os.path.lexists(place):
        return old
    if place.is_symlink() or not place.is_file():
        return ("ignored", "")
    found = store.line("hash-object", "-w", "--", os.fsdecode(path))
    return ("100755" if os.access(place, os.X_OK) else "100644", found)


def _merge(store: Store, made: Plan, path: bytes, old: Entry, new: Entry, now: Entry) -> None:
    """Merge three versions of one file, or say why they cannot be."""
    if new == _ABSENT or now == _ABSENT:
        gone, changed = ("the work", "the folder") if new == _ABSENT else ("the folder", "the work")
        made.conflicts.append(Conflict(path, f"{gone} removed it, and {changed} changed it"))
        return
    regular = all(entry[0].startswith("100") for entry in (new, now)) and (old == _ABSENT or old[0].startswith("100"))
    if not regular:
        made.conflicts.append(Conflict(path, "both changed it, and it is no plain file"))
        return
    if old == _ABSENT:
        made.conflicts.append(Conflict(path, "both added it, with another content"))
        return
    mode = new[0] if now[0] == old[0] else now[0]
    if new[1] in (old[1], now[1]) or now[1] == old[1]:
        made.wanted[path] = (mode, now[1] if new[1] == old[1] else new[1])
        return
    with tempfile.TemporaryDirectory(dir=store.folder) as folder:
        names = []
        for name, entry in (("folder", now), ("base", old), ("work", new)):
            names.append(str(Path(folder, name)))
            store.run("cat-file", "blob", entry[1], into=Path(folder, name))
        try:
            merged = store.run("merge-file", "-p", "-q", *names)
        except GitError as error:
            if error.timed_out:
                raise
            many = f" in {error.status} place(s)" if error.status is not None and 0 < error.status < 128 else ""
            made.conflicts.append(Conflict(path, f"both changed the same lines{many}" if many else "both changed it, and it is no text"))
            return
        made.wanted[path] = (mode, store.line("hash-object", "-w", "--stdin", stdin=merged))
        made.merged.append(path)


def _require_place(store: Store, made: Plan, path: bytes) -> None:
    """A conflict, if something stands where a folder of the new file must be, or a folder where the file must be."""
    parts = path.split(b"/")
    for depth in range(1, len(parts)):
        above = b"/".join(parts[:depth])
        place = Path(store.root, os.fsdecode(above))
        if os.path.lexists(place) and (place.is_symlink() or not place.is_dir()) and made.wanted.get(above) != _ABSENT:
            made.conflicts.append(Conflict(path, f"{shown(above)} is no folder there"))
            return
    place = Path(store.root, os.fsdecode(path))
    if place.is_dir() and not place.is_symlink():
        inner = {name for name, entry in made.wanted.items() if entry == _ABSENT and name.startswith(path + b"/")}
        there = {os.fsencode(item) for item in _files_below(place, store.root)}
        if there - inner:
            made.conflicts.append(Conflict(path, "a folder of that name stands there, with other files in it"))


def _files_below(folder: Path, root: Path) -> Iterator[str]:
    for item in folder.rglob("*"):
        if item.is_symlink() or not item.is_dir():
            yield str(item.relative_to(root))


def identities(store: Store, paths: list[bytes]) -> dict[bytes, tuple[int, ...] | None]:
    """Return what each file is now, by size, times and identity; None for one that is not there."""
    found: dict[bytes, tuple[int, ...] | None] = {}
    for path in paths:
        try:
            seen = os.lstat(os.fsencode(store.root) + b"/" + path)
        except (FileNotFoundError, NotADirectoryError):
            found[path] = None
        else:
            is_folder = stat.S_ISDIR(seen.st_mode)
            found[path] = (seen.st_ino,) if is_folder else (seen.st_ino, seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns)
    return found


def write(store: Store, made: Plan, *, known: Mapping[bytes, tuple[int, ...] | None], name: str) -> None:
    """Write the planned files; a failure in the middle puts everything back.

    Args:
        store: As for ``plan``.
        made: A plan without conflicts.
        known: What ``identities`` said before the plan was made: a file that is another by now is a conflict.
        name: Of the folder in which old contents stand until all is written; a killed call leaves it, and the next one removes it.

    Raises:
        ActionFailed: ``work_conflict`` or ``work_failed``; the folder is as it was.
    """
    staging = Path(tempfile.mkdtemp(dir=store.folder))
    # In the folder itself, so that everything can be put back by a rename, whatever room there is.
    old = store.root / name
    done: list[tuple[Path, Path | None]] = []
    try:
        _stage(store, made, staging)
        old.mkdir(mode=0o700, exist_ok=True)
        # What goes comes first: a folder may have to make room for a file, or a file for a folder.
        for path in sorted(made.wanted, key=lambda item: (made.wanted[item] != _ABSENT, item)):
            if identities(store, [path])[path] != known.get(path) and not _made_room(store, path, made):
                raise ActionFailed("work_conflict", f"{_why_changed(path, made)}; everything was put back")
            _replace(store.root, path, staging, old / secrets.token_hex(8), gone=made.wanted[path] == _ABSENT, done=done)
    except BaseException as error:
        left = _put_back(done)
        if not left:
            shutil.rmtree(old, ignore_errors=True)
        if isinstance(error, (OSError, GitError)):
            put_back = f"could not be put back: {', '.join(left)}" if left else "all is as it was"
            said = f"{error.filename or store.root}: {error.strerror}" if isinstance(error, OSError) else str(error)
            why = f"{said}; {put_back}"
            raise ActionFailed("work_failed", f"the changes could not be written ({why})") from error
        raise
    else:
        shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def restore(store: Store, files: Mapping[bytes, tuple[str | None, str]]) -> None:
    """Give files the content that they had, or remove them where they were not there.

    Args:
        store: A repository that has the contents; its work tree is the folder.
        files: Mode and content id of each; a mode of None for a file that was not there.

    Raises:
        ActionFailed: ``work_failed``; the folder is as it was.
    """
    if not files:
        return
    made = Plan({path: (mode, name) if mode is not None else _ABSENT for path, (mode, name) in files.items()})
    write(store, made, known=identities(store, list(files)), name=f".netclaw-old-{secrets.token_hex(6)}")


def _made_room(store: Store, path: bytes, made: Plan) -> bool:
    """Whether a folder stood there until a moment ago, and went with the last of its files."""
    gone = any(entry == _ABSENT and name.startswith(path + b"/") for name, entry in made.wanted.items())
    return gone and not os.path.lexists(os.fsencode(store.root) + b"/" + path)


def _why_changed(path: bytes, made: Plan) -> str:
    """Say why a file is another than a moment ago: where the file system knows no case, we may have written it ourselves."""
    same = next((other for other in made.wanted if other != path and shown(other).casefold() == shown(path).casefold()), None)
    if same is None:
        return f"{shown(path)} was changed in this very moment"
    return f"{shown(same)} and {shown(path)} are one file in this folder: its file system knows no case"


def _stage(store: Store, made: Plan, staging: Path) -> None:
    """Write the new contents beside, with line ends and modes as git would check them out."""
    index = Store(store.git, store.folder, store.root, staging / "index")
    lines = b"".join(f"{mode} {name}\t".encode() + path + b"\0" for path, (mode, name) in made.wanted.items() if mode != _ABSENT[0])
    if not lines:
        return
    index.run("update-index", "-z", "--add", "--index-info", stdin=lines)
    index.run("checkout-index", "-a", "-q", "-f", f"--prefix={staging}/files/")


def _replace(root: Path, path: bytes, staging: Path, old: Path, *, gone: bool, done: list[tuple[Path, Path | None]]) -> None:
    place = Path(root, os.fsdecode(path))
    kept = old if os.path.lexists(place) and (place.is_symlink() or not place.is_dir()) else None
    if kept is not None and gone:
        place.rename(kept)
    elif kept is not None:
        os.link(place, kept, follow_symlinks=False)
    done.append((place, kept))
    if gone:
        _prune(place.parent, root)
        return
    place.parent.mkdir(parents=True, exist_ok=True)
    if place.is_dir() and not place.is_symlink():
        place.rmdir()
    new = place.with_name(f".{secrets.token_hex(8)}.netclaw-new")
    source = Path(staging, "files", os.fsdecode(path))
    try:
        if source.is_symlink():
            new.symlink_to(source.readlink())
        else:
            shutil.copyfile(source, new)
            mode = stat.S_IMODE(source.stat().st_mode)
            if kept is not None and not place.is_symlink():
                was = stat.S_IMODE(place.stat().st_mode)
                mode = was | ((was & 0o444) >> 2) if mode & stat.S_IXUSR else was & ~0o111
            new.chmod(mode)
        new.replace(place)
    finally:
        new.unlink(missing_ok=True)


def _prune(folder: Path, root: Path) -> None:
    """Remove folders that have lost their last file, as git does."""
    with suppress(OSError):
        while folder not in (root, *root.parents):
            folder.rmdir()
            folder = folder.parent


def _put_back(done: list[tuple[Path, Path | None]]) -> list[str]:
    """Undo, last first; return what could not be undone, with the name under which its old content stands."""
    left = []
    while done:
        place, kept = done.pop()
        try:
            if kept is not None:
                place.parent.mkdir(parents=True, exist_ok=True)
                kept.replace(place)
            else:
                place.unlink(missing_ok=True)
        except OSError:
            left.append(f"{place} (its old content is {kept})" if kept is not None else str(place))
    return left


__all__ = ["Conflict", "Plan", "identities", "plan", "restore", "write"]
