"""What this machine knows of the task under one idempotency key: with what its folder began, how far it came, how it ended.

Owns the records, one file for each key in the state folder. The server knows the sessions of a key; what is here is what no server knows,
so that a second call judges the same work, and a task that is over is not begun again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING

from netclaw_opencode._core.private_files import SAFE_DAYS, make_private_folder, read_private, replace_private, state_corrupt, sweep_files
from netclaw_opencode.errors import Refused
from netclaw_opencode.work.ledger import Ledger

if TYPE_CHECKING:
    from netclaw_opencode._core.idempotency import Key

_FOLDER = "keys"
_VERSION = 1
_MOST = 10_000


@dataclass(slots=True)
class Record:
    """What is written down.

    Attributes:
        request: Digest of the request under the key.
        sessions: The sessions that calls of this machine made for it.
        base: The directory before the agent began (``snapshots.describe``).
        runs: Every run of its check, as results have them.
        put_back: Protected files that were put back.
        repairs: The prompts with which the agent was told to mend.
        judged: The directory at the end of a turn, in isolated work.
        checked: Which turn's end that is (0: the task's own), once the check may have run there.
        report: What it changed, as results have it.
        outcome: How it ended: ``data`` or ``error``, as the first call told it.
        applying: Whether its work is being brought in, or was.
    """

    request: str
    sessions: list[str] = field(default_factory=list)
    base: Mapping[str, object] | None = None
    runs: list[dict[str, object]] = field(default_factory=list)
    put_back: list[str] = field(default_factory=list)
    repairs: list[str] = field(default_factory=list)
    judged: Mapping[str, object] | None = None
    checked: int | None = None
    report: Mapping[str, object] | None = None
    outcome: Mapping[str, object] | None = None
    applying: bool = False


class Keyed:
    """The record of one key.

    Args:
        state_dir: The state folder.
        key: The key and its request.
        strict: Whether a record of another request is a conflict, and one that cannot be read an error; else it counts for nothing, and
            the server decides.
    """

    def __init__(self, state_dir: Path, key: Key, *, strict: bool = True) -> None:
        self.key = key
        self._strict = strict
        self._path = folder(state_dir) / f"{key.digest[:32]}.json"
        sweep_files(self._path.parent, "*.json", most=_MOST, longest_days=SAFE_DAYS)
        self.record = Record(key.request)
        self.read()

    @property
    def work_id(self) -> str:
        """The id of the isolated work of this key."""
        return work_id_of(self.key)

    @property
    def has_begun(self) -> bool:
        """Whether a call of this machine has made a session for it."""
        return bool(self.record.sessions)

    def read(self) -> None:
        """Read what is written by now.

        Raises:
            Refused: ``idempotency_conflict``: the key stands for another request.
            ActionFailed: ``state_corrupt``.
        """
        content = read_private(self._path)
        if content is None:
            return
        try:
            wire = json.loads(content)
            if wire["version"] != _VERSION:
                raise ValueError("another version")
            names = {item.name for item in fields(Record)}
            record = Record(**{name: value for name, value in wire.items() if name in names})
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            if not self._strict:
                return
            raise state_corrupt(self._path, f"it is no record of a task ({error})") from error
        if record.request != self.key.request:
            if not self._strict:
                return
            raise Refused("idempotency_conflict", "the idempotency key was used for another request; nothing was sent", rule="send-once")
        self.record = record

    def note(self, **facts: object) -> None:
        """Write facts down beside what is written by now."""
        self.read()
        for name, value in facts.items():
            setattr(self.record, name, value)
        replace_private(self._path, json.dumps({"version": _VERSION, **asdict(self.record)}).encode())

    def add_session(self, session_id: str) -> None:
        """Note a session that was made for it."""
        if session_id not in self.record.sessions:
            self.note(sessions=[*self.record.sessions, session_id])


def folder(state_dir: Path) -> Path:
    """Return the folder of all records."""
    return make_private_folder(state_dir, _FOLDER)


def forget(state_dir: Path, key: Key) -> None:
    """Remove the record of a key that is not asked for any more."""
    (folder(state_dir) / f"{key.digest[:32]}.json").unlink(missing_ok=True)


def find_work(state_dir: Path, key: Key) -> str | None:
    """Return the id of the isolated work of a key; None if there is none."""
    return work_id_of(key) if Ledger(state_dir).has(work_id_of(key)) else None


def work_id_of(key: Key) -> str:
    """Return the id of the isolated work of a key: made from the key, so that it is found without a search, and is never made twice."""
    return f"work_{key.part('work').digest[:12]}"


__all__ = ["Keyed", "Record", "find_work", "folder", "forget", "work_id_of"]
