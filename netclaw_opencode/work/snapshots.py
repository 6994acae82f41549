"""A snapshot of a folder: every file in it, by git's plumbing, in an index and an object store of our own.

Owns the taking: ``take``, and ``retake`` for the same folder later. In a repository the user's index
is copied, so that only what differs from it is read; elsewhere an index of ours remembers what was read before. Nothing is written
outside the state folder.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeAlias

from netclaw_opencode.work import packing, repositories
from netclaw_opencode.work.git import Git, GitError, Store
from netclaw_opencode.work.repositories import Repository
from netclaw_opencode.work.stores import (
    Home,
    begin_with_index_of,
    copy_index,
    look_at_everything,
    new_index,
    open_store,
    path_in,
    remember_index,
)

MOST_FILES = 100_000
"""As many files as are read anew for one snapshot; those that a repository knows already do not count."""
MOST_BYTES = 512 * 1024 * 1024
"""As much as is read anew for one snapshot."""
BIG_BYTES = 16 * 1024 * 1024
"""A file larger than this is not kept: that it changed is seen by its size and its times."""
_MANY = 200
_MOST_NESTED = 32
_EMPTY = {40: "4b825dc642cb6eb9a060e54bf8d69288fbee4904", 64: "6ef19b41225c5369f1c104d45d8d85efa9b057b53b14b4b9b939dd74decc5321"}

Stamp: TypeAlias = tuple[int, int, int, int]
"""Size, times and identity of a file."""


class TooLargeError(Exception):
    """There is more in the folder than a snapshot reads."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A folder at one moment.

    Attributes:
        store: Where its files are kept; its index is that of this snapshot.
        tree: The git tree of its files.
        big: Files that are too large to be kept, by path.
        ignored: How many files, and whole folders, the ignore files leave out.
        ignored_files: Every file of those, if they were asked for.
        unread: Files that could not be read.
        nested: Repositories within it, by path; each is looked at by itself.
        repository: The user's repository, if it stands in one.
        seconds: How long it took.
        is_sparse: Whether its repository leaves files out of the work tree.
    """

    store: Store
    tree: str
    big: Mapping[bytes, Stamp] = field(default_factory=dict)
    ignored: int = 0
    ignored_files: Mapping[bytes, Stamp] | None = None
    unread: tuple[bytes, ...] = ()
    nested: Mapping[bytes, Snapshot] = field(default_factory=dict)
    repository: Repository | None = None
    seconds: float = 0.0
    is_sparse: bool = False

    @property
    def root(self) -> Path:
        """The top of what was looked at: of a repository its work tree, else the folder itself."""
        return self.store.root

    @property
    def empty_tree(self) -> str:
        """The tree without any file."""
        return _EMPTY[len(self.tree)]


def take(directory: Path, home: Home, git: Git, *, list_ignored: bool = False) -> Snapshot:
    """Take a snapshot of the folder, or of the whole repository in which it stands.

    Args:
        directory: An absolute path without links.
        home: Where it is kept.
        git: What takes it.
        list_ignored: Look at each file that the ignore files leave out, too; its content is not kept.

    Raises:
        TooLargeError: There is more than ``MOST_FILES`` or ``MOST_BYTES`` to be read.
        GitError: Git failed, or its time was over.
        ActionFailed: ``state_corrupt``, where the state folder cannot be used.
    """
    began = time.monotonic()
    repository = repositories.find(directory, git, home=home.home, config_home=home.config_home)
    store = open_store(repository.root if repository is not None else directory, repository, home, git)
    is_sparse = repository is not None and begin_with_index_of(repository, store)
    try:
        taken = _taken(store, repository, home)
    except GitError as error:
        if repository is None or error.timed_out:
            raise
        # An index that our git does not read with our settings (split, or of a newer form) is not needed: it only saves time.
        store.index.unlink(missing_ok=True)
        taken = _taken(store, repository, home)
    if repository is None:
        remember_index(store)
    ignored_files = _ignored_files(store) if list_ignored else None
    return replace(taken, seconds=time.monotonic() - began, is_sparse=is_sparse, ignored_files=ignored_files)


def retake(before: Snapshot, home: Home, git: Git) -> Snapshot:
    """Take another snapshot of the same folder; only what is not as it was is read."""
    began = time.monotonic()
    store = replace(before.store, git=git, index=before.store.index.with_name(new_index()))
    with suppress(FileNotFoundError):  # of an empty folder there is none
        copy_index(before.store.index, store.index)
    if before.is_sparse:
        look_at_everything(store)
    taken = replace(_taken(store, before.repository, home, before=before), is_sparse=before.is_sparse)
    if before.ignored_files is not None:
        taken = replace(taken, ignored_files=_ignored_files(store))
    if before.repository is None:
        remember_index(store)
    return replace(taken, seconds=time.monotonic() - began)


def forget(*snapshots: Snapshot) -> None:
    """Remove the indexes of snapshots that are not needed any more; the files that they kept stay until the store is old."""
    for snapshot in snapshots:
        snapshot.store.index.unlink(missing_ok=True)
        forget(*snapshot.nested.values())


@dataclass(slots=True)
class _Looked:
    """What differs from the index, sorted by what is to be done with it."""

    read: list[bytes] = field(default_factory=list)
    removed: list[bytes] = field(default_factory=list)
    big: dict[bytes, Stamp] = field(default_factory=dict)
    unread: list[bytes] = field(default_factory=list)
    nested: list[bytes] = field(default_factory=list)
    size: int = 0

    def sort(self, entries: Iterable[tuple[str, bytes]], root: Path) -> None:
        """Look at each listed path as it is on the disk now."""
        for tag, path in dict.fromkeys(entries):
            full = path_in(root, path)
            try:
                found = os.lstat(full)
            except FileNotFoundError:
                self.removed.append(path)
                continue
            except OSError:
                self.unread.append(path)
                continue
            if stat.S_ISDIR(found.st_mode):
                self._sort_folder(tag, path, full)
            elif stat.S_ISLNK(found.st_mode):
                self.read.append(path)
            elif not stat.S_ISREG(found.st_mode):
                # A pipe, a socket or a device is no file that can be kept; a tracked file that became one is gone.
                (self.removed if tag != "?" else self.unread).append(path)
            elif found.st_size > BIG_BYTES:
                self.big[path] = _stamp(found)
                self.removed.append(path)
            elif not os.access(full, os.R_OK):
                self.unread.append(path)
            else:
                self.read.append(path)
                self.size += found.st_size
                if len(self.read) > MOST_FILES or self.size > MOST_BYTES:
                    raise TooLargeError(
                        f"{root} holds more than a snapshot reads: over {MOST_FILES} new files or {MOST_BYTES // 1024**2} MiB",
                    )

    def _sort_folder(self, tag: str, path: bytes, full: bytes) -> None:
        if os.path.lexists(full + b"/.git"):
            self.nested.append(path.rstrip(b"/"))
        elif tag != "?":
            self.removed.append(path)


def _taken(store: Store, repository: Repository | None, home: Home, *, before: Snapshot | None = None) -> Snapshot:
    """Bring the index up to date with the folder, and write its tree."""
    looked = _Looked()
    looked.sort(_differing(store), store.root)
    if repository is not None and repository.has_submodules():
        looked.nested += [path for path in _submodules(store) if path not in looked.nested]
    if before is not None:
        looked.nested += [path for path in before.nested if path not in looked.nested and _is_repository(store.root, path)]
    if looked.removed and store.index.exists():
        zeros = b"0" * (64 if store.folder.name == "sha256" else 40)
        listed = b"".join(b"0 " + zeros + b"\t" + path + b"\0" for path in looked.removed)
        store.run("update-index", "-z", "--index-info", stdin=listed)
    if looked.read:
        _keep(store, looked)
    ignored = store.run("ls-files", "-z", "-o", "-i", "--exclude-standard", "--directory").count(b"\0")
    tree = store.line("write-tree", "--missing-ok")
    nested = _nested(store, looked.nested, home, before)
    return Snapshot(store, tree, looked.big, ignored, unread=tuple(looked.unread), nested=nested, repository=repository)


def _keep(store: Store, looked: _Looked) -> None:
    """Keep the content of each file that is not known yet, and enter it into the index."""
    is_many = len(looked.read) > _MANY
    if is_many and packing.can_pack(store, looked.read):
        looked.unread += packing.add_files(store, looked.read)
        return
    # The threshold has many files go into one pack: one file for each of twenty thousand takes three times as long.
    threshold = ("-c", "core.bigFileThreshold=1") if is_many else ()
    listed = b"\0".join(looked.read) + b"\0"
    store.run(*threshold, "-c", "core.compression=1", "update-index", "-z", *_UPDATE, stdin=listed)


_UPDATE = ("--add", "--remove", "--replace", "--stdin")


def _differing(store: Store) -> Iterator[tuple[str, bytes]]:
    """The paths that are not as the index has them, each with a sign: ``?`` for one that the index does not know."""
    for entry in store.run("ls-files", "-z", "-t", "-o", "-m", "-d", "--exclude-standard").split(b"\0"):
        if entry:
            tag = chr(entry[0])
            yield "?" if tag == "?" else "C", entry[2:]


def _ignored_files(store: Store) -> dict[bytes, Stamp]:
    """The files that the ignore files leave out; raises ``TooLargeError`` for more than are looked at."""
    found: dict[bytes, Stamp] = {}
    for path in store.run("ls-files", "-z", "-o", "-i", "--exclude-standard").split(b"\0"):
        with suppress(OSError):
            if path:
                found[path] = _stamp(os.lstat(path_in(store.root, path)))
        if len(found) > MOST_FILES:
            raise TooLargeError(f"{store.root} holds more than {MOST_FILES} ignored files; leave list_ignored out")
    return found


def _stamp(found: os.stat_result) -> Stamp:
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino


def _submodules(store: Store) -> list[bytes]:
    entries = store.run("ls-files", "-z", "-s").split(b"\0")
    paths = [entry.partition(b"\t")[2] for entry in entries if entry.startswith(b"160000 ")]
    return [path for path in paths if _is_repository(store.root, path)]


def _is_repository(root: Path, path: bytes) -> bool:
    return os.path.lexists(path_in(root, path) + b"/.git")


def _nested(store: Store, paths: list[bytes], home: Home, before: Snapshot | None) -> dict[bytes, Snapshot]:
    """Snapshots of the repositories within the folder; of more than can be looked at, the rest is left out."""
    found: dict[bytes, Snapshot] = {}
    for path in sorted(paths)[:_MOST_NESTED]:
        known = before.nested.get(path) if before is not None else None
        if known is not None:
            found[path] = retake(known, home, store.git)
        else:
            found[path] = take(Path(os.fsdecode(path_in(store.root, path))), home, store.git)
    return found


__all__ = ["BIG_BYTES", "MOST_BYTES", "MOST_FILES", "Snapshot", "Stamp", "TooLargeError", "forget", "retake", "take"]
