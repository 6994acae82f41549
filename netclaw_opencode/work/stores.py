"""Stores of our own in the state folder: for each folder one, with the objects and the indexes of its snapshots.

Owns how a store is made, what its index begins with, who uses it, and when it goes. What a snapshot is, ``snapshots`` says.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from netclaw_opencode._core.private_files import make_private_folder
from netclaw_opencode.work import repositories
from netclaw_opencode.work.git import Git, GitError, Store, write_repository
from netclaw_opencode.work.repositories import Repository

_STORES = "snapshots"
LONGEST_DAYS = 7
"""A store is made anew when it is so old: what it kept of earlier tasks goes."""
_MADE, _USED = "made", "used"


@dataclass(frozen=True, slots=True)
class Home:
    """Where snapshots are kept, and whose settings count.

    Attributes:
        state_dir: The state folder.
        home: The user's home.
        config_home: Where the user's configuration stands.
    """

    state_dir: Path
    home: Path | None = None
    config_home: Path | None = None


def open_store(root: Path, repository: Repository | None, home: Home, git: Git) -> Store:
    """The store of a folder, with a new index that holds what is known already."""
    name = hashlib.sha256(os.fsencode(root)).hexdigest()[:20]
    folder = make_private_folder(home.state_dir, _STORES, name)
    (folder / _USED).touch(mode=0o600)
    if not (folder / _MADE).exists():
        (folder / _MADE).touch(mode=0o600)
    indexes = make_private_folder(home.state_dir, _STORES, name, "indexes")
    settings = repository.settings if repository is not None else repositories.settings_of_user(git, home.home, home.config_home)
    # A folder may become a repository of another kind of object: then it has another store.
    place = folder / ("sha256" if settings.get("extensions.objectformat") == "sha256" else "sha1")
    write_repository(
        place,
        settings=settings,
        alternates=(repository.objects,) if repository is not None else (),
        excludes=repository.excludes if repository is not None else b"",
        attributes=repository.attributes if repository is not None else b"",
    )
    _remove_abandoned(indexes)
    store = Store(git, place, root, indexes / new_index())
    if repository is None:
        with suppress(FileNotFoundError):
            copy_index(folder / "index", store.index)
    return store


def begin_with_index_of(repository: Repository, store: Store) -> bool:
    """Begin with the user's index; return whether it leaves files out of the work tree."""
    try:
        copy_index(repository.index, store.index)
    except FileNotFoundError:  # nothing was ever added
        return False
    for shared in repository.folder.glob("sharedindex.*"):
        with suppress(FileNotFoundError):
            copy_index(shared, store.folder / shared.name)
    try:
        return look_at_everything(store)
    except GitError:
        store.index.unlink(missing_ok=True)
        return False


def look_at_everything(store: Store) -> bool:
    """Undo the marks by which git overlooks files that are there; return whether it overlooks any that are not."""
    entries = store.run("ls-files", "-v", "-z").split(b"\0")
    marked = [entry[2:] for entry in entries if entry[:1].islower() or entry[:1] == b"S"]
    seen = [path for path in marked if os.path.lexists(path_in(store.root, path))]
    if seen:
        listed = b"\0".join(seen) + b"\0"
        store.run("update-index", "-z", "--no-assume-unchanged", "--stdin", stdin=listed)
        store.run("update-index", "-z", "--no-skip-worktree", "--stdin", stdin=listed)
    return len(marked) > len(seen)


def copy_index(index: Path, new: Path) -> None:
    """Copy an index with its time: git compares what was written at that very moment by content (it may be changed since)."""
    with index.open("rb") as source:
        status = os.fstat(source.fileno())
        with new.open("wb") as target:
            shutil.copyfileobj(source, target)
    os.utime(new, ns=(status.st_atime_ns, status.st_mtime_ns))


def remember_index(store: Store) -> None:
    """Keep the index for the next snapshot of a folder without a repository."""
    new = store.index.with_name(f"{store.index.name}.new")
    with suppress(FileNotFoundError):
        copy_index(store.index, new)
        new.replace(store.index.parent.parent / "index")


def users_of(store: Store) -> int:
    """Return how many other snapshots of the same folder are in use now, by this process or another that lives."""
    own = {store.index.name}
    names = {path.name for path in store.index.parent.glob("*-*") if path.suffix == ""} - own
    return sum(_is_alive(int(name.partition("-")[0])) for name in names)


def _is_alive(pid: int) -> bool:
    if os.name != "posix":  # pragma: no cover - a signal would end the process there
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def new_index() -> str:
    return f"{os.getpid()}-{_pid_namespace()}-{secrets.token_hex(8)}"


def _pid_namespace() -> int:
    """Return the number of this process's PID namespace; 0 where there is none."""
    with suppress(OSError):
        return os.stat("/proc/self/ns/pid").st_ino  # noqa: PTH116 - the link leads to no path
    return 0


def _remove_abandoned(indexes: Path) -> None:
    """Remove the indexes of processes that were killed. One of another container is not known to be gone, and stays for two days."""
    for path in indexes.iterdir():
        pid, namespace, *_ = [*path.name.split("-"), "", ""]
        if pid.isdigit() and namespace == str(_pid_namespace()) and not _is_alive(int(pid)):
            path.unlink(missing_ok=True)


def sweep(home: Home) -> None:
    """Remove the stores that are some days old, but those that somebody may use now: no task lasts longer than a day."""
    now = time.time()
    for folder in (home.state_dir / _STORES).glob("*"):
        with suppress(OSError):
            if (folder / _MADE).stat().st_mtime < now - LONGEST_DAYS * 86400 and (folder / _USED).stat().st_mtime < now - 2 * 86400:
                shutil.rmtree(folder)
            for index in (folder / "indexes").glob("*"):
                if index.stat().st_ctime < now - 2 * 86400:
                    index.unlink(missing_ok=True)


def path_in(root: Path, path: bytes) -> bytes:
    return os.fsencode(root) + b"/" + path


__all__ = [
    "LONGEST_DAYS",
    "Home",
    "begin_with_index_of",
    "copy_index",
    "look_at_everything",
    "new_index",
    "open_store",
    "path_in",
    "remember_index",
    "sweep",
    "users_of",
]
