"""What is known of isolated work: one folder for each, with a record, a lock, and the tree in which the agent works.

Owns the records. A record is written before anything else is made, and the lock is the kernel's: what a killed caller left is listed with
all that it was about, and nothing is removed because somebody is gone.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, cast

from netclaw_opencode._core import file_lock
from netclaw_opencode._core.file_lock import try_lock
from netclaw_opencode._core.private_files import make_private_folder, open_private, replace_private
from netclaw_opencode.errors import ActionFailed, InvalidInput, Refused

State = Literal["preparing", "running", "waiting", "finished", "failed", "applying", "applied"]
"""``preparing`` to ``failed`` are what the caller left it in; ``applying`` is written before the user's files are."""
_FOLDER = "work"
_RECORD = "work.json"
_LOCK = "lock"
_VERSION = 1
_LONGEST_WAIT_SECONDS = 600.0
ID = re.compile(r"work_[0-9a-f]{12}")


@dataclass(frozen=True, slots=True)
class Work:
    """One piece of isolated work.

    Attributes:
        id: Its name, ``work_`` and twelve digits.
        isolation: How it is kept apart.
        source: The directory that the caller named.
        root: The top of what was taken: of a repository its work tree.
        tree: The top of what the agent has in its place.
        created_at: When it was begun, in UTC.
        state: How far it came.
        repository: The folder of the user's repository that all its work trees share; empty without one.
        branch: The branch of its own.
        base: What the caller named as the base.
        base_commit: The commit that it stands on.
        base_tree: The tree of its files before the agent began.
        final_tree: The tree of its files when it ended.
        commit: What the branch leads to.
        patch: The file with the whole change.
        brought: Paths that were linked or copied into it, and are no work of the agent.
        session_id: The session that worked in it last.
    """

    id: str
    isolation: Literal["worktree", "copy"]
    source: str
    root: str
    tree: str
    created_at: str
    state: State = "preparing"
    repository: str = ""
    branch: str = ""
    base: str = ""
    base_commit: str = ""
    base_tree: str = ""
    final_tree: str = ""
    commit: str = ""
    patch: str = ""
    brought: tuple[str, ...] = ()
    session_id: str = ""

    @property
    def path(self) -> Path:
        """The directory in which the agent works: it is to the tree what the source is to the root."""
        return Path(self.tree, Path(self.source).relative_to(self.root))


@dataclass(frozen=True, slots=True)
class Ledger:
    """The works of one state folder."""

    state_dir: Path

    def folder(self, work_id: str) -> Path:
        """Return the folder of one work; raises ``InvalidInput`` for what is no id."""
        if not ID.fullmatch(work_id):
            raise InvalidInput("invalid_input", f"work_id {work_id[:60]!r} is not of the form work_0123456789ab; list_work names them")
        return self.state_dir / _FOLDER / work_id

    def begin(self, *, isolation: Literal["worktree", "copy"], source: Path, root: Path, work_id: str | None = None, **more: str) -> Work:
        """Enter new work, before anything of it is made; ``work_id`` is that of work which is found again by an idempotency key."""
        work_id = work_id or f"work_{secrets.token_hex(6)}"
        folder = make_private_folder(self.state_dir, _FOLDER, work_id)
        # The agent sees the name that the folder has for the user.
        name = root.name if re.fullmatch(r"[\w.-]{1,100}", root.name) and root.name not in (_RECORD, _LOCK, "store", "backup") else "tree"
        work = Work(
            work_id,
            isolation,
            source=str(source),
            root=str(root),
            tree=str(folder / name),
            created_at=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            **more,  # type: ignore[arg-type] # names of fields that are text
        )
        self.write(work)
        return work

    def write(self, work: Work) -> None:
        """Write a record, whole or not at all."""
        replace_private(self.folder(work.id) / _RECORD, json.dumps({"version": _VERSION, **asdict(work)}, indent=1).encode())

    def change(self, work: Work, **facts: object) -> Work:
        """Return the work with these facts, written."""
        changed = replace(work, **facts)  # type: ignore[arg-type] # the names are those of fields, and the caller's types
        self.write(changed)
        return changed

    def read(self, work_id: str) -> Work:
        """Read one record.

        Raises:
            ActionFailed: ``work_not_found``, or ``state_corrupt`` for a record that cannot be read.
        """
        path = self.folder(work_id) / _RECORD
        try:
            return _parsed(json.loads(path.read_text(encoding="utf-8")))
        except FileNotFoundError as error:
            raise ActionFailed("work_not_found", f"there is no work {work_id} in {self.state_dir}", details={"work_id": work_id}) from error
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise ActionFailed("state_corrupt", f"{path}: it is no record of work ({error})", details={"path": str(path)}) from error

    def has(self, work_id: str) -> bool:
        """Whether there is a record of this work."""
        return (self.folder(work_id) / _RECORD).is_file()

    def works(self) -> tuple[list[Work], list[str]]:
        """Return every work, newest first, and the ids of those whose record cannot be read."""
        found: list[Work] = []
        broken: list[str] = []
        for folder in (self.state_dir / _FOLDER).glob("work_*"):
            try:
                found.append(self.read(folder.name))
            except (ActionFailed, InvalidInput):
                broken.append(folder.name)
        return sorted(found, key=lambda work: (work.created_at, work.id), reverse=True), sorted(broken)

    def remove(self, work: Work) -> None:
        """Forget a work, with everything in its folder."""
        folder = self.folder(work.id)
        # The record goes last: what is left in the middle is still listed.
        for path in folder.iterdir():
            if path.name not in (_RECORD, _LOCK):
                shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        shutil.rmtree(folder)

    @contextmanager
    def held(self, work_id: str) -> Iterator[None]:
        """Hold a work for one call.

        Raises:
            Refused: ``work_busy``: another call has it.
            ActionFailed: ``work_not_found``.
        """
        handle = self._acquire(work_id)
        if handle is None:
            raise Refused("work_busy", f"{work_id} is in use by another call: it runs, or is being applied", details={"work_id": work_id})
        try:
            yield
        finally:
            os.close(handle)

    @contextmanager
    def alone_at(self, folder: Path | str, *, until: float) -> Iterator[None]:
        """Be the only one of this user's calls that writes into a folder: works are brought into it one after the other.

        Args:
            folder: The folder, or the repository.
            until: How long others are waited for, on the monotonic clock.

        Raises:
            Refused: ``work_busy``: others were at it all the time.
        """
        name = hashlib.sha256(os.fsencode(folder)).hexdigest()[:20]
        path = make_private_folder(self.state_dir, _FOLDER) / f"{name}.lock"
        with file_lock.hold(path, within_seconds=max(0.0, min(until - time.monotonic(), _LONGEST_WAIT_SECONDS))) as mine:
            if not mine:
                raise Refused(
                    "work_busy", f"other calls bring work into {folder} all the time; nothing was written", details={"path": str(folder)}
                )
            yield

    def is_held(self, work_id: str) -> bool:
        """Whether a call has it now, in this process or another."""
        with suppress(ActionFailed):
            handle = self._acquire(work_id)
            if handle is None:
                return True
            os.close(handle)
        return False

    def _acquire(self, work_id: str) -> int | None:
        folder = self.folder(work_id)
        try:
            handle = open_private(folder / _LOCK, os.O_RDWR | os.O_CREAT)
        except OSError as error:
            raise ActionFailed("work_not_found", f"there is no work {work_id} in {self.state_dir}", details={"work_id": work_id}) from error
        if try_lock(handle):
            return handle
        os.close(handle)
        return None


def _parsed(wire: Mapping[str, object]) -> Work:
    if wire["version"] != _VERSION:
        raise ValueError("another version")
    names = {item.name for item in fields(Work)}
    given = {name: value for name, value in wire.items() if name in names}
    given["brought"] = tuple(str(item) for item in cast("list[object]", given.get("brought") or ()))
    if not all(isinstance(value, str) for name, value in given.items() if name != "brought"):
        raise TypeError("a field is no text")
    work = Work(**given)  # type: ignore[arg-type] # looked at one by one above
    if not ID.fullmatch(work.id):
        raise ValueError("its id is no id")
    return work


__all__ = ["Ledger", "State", "Work"]
