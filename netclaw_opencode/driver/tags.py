"""The tag on a session: what we note in its metadata, so that any later process knows whose it is and what it is for.

Owns the tag's form, read and written nowhere else. The metadata is open to everybody who has the server's password, the
agent among them, so a field of an unexpected type counts as absent.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from netclaw_opencode.opencode.process import identity, inspection
from netclaw_opencode.opencode.process.identity import ProcessIdentity

if TYPE_CHECKING:
    from netclaw_opencode.opencode.wire.types import Session

METADATA_KEY = "netclaw_opencode"
"""Key of the tag in a session's metadata (F11)."""
VERSION = 2
"""1 named neither its session nor its owner's boot and namespace."""
_KEY = "key:"
_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class SessionTag:
    """What we know of a session.

    Attributes:
        task: The action that the session was made for; None on another's session into which we only sent a task.
        session_id: The session that was tagged. A fork copies the metadata (F62), so this distinguishes the two.
        created_by: A random id of this very creation, by which it is found where its answer was lost.
        owner: The process that the session must not outlive; None where it is to be kept.
        forked_from: The session of which it is a fork.
        forked_through: The newest message that the fork copied.
        message_id: The prompt that we sent last.
        deadline_ms: When the task in it must be over, in epoch milliseconds.
        attempt: Which of a task's models it serves, from 0.
        output_schema: Digest of the schema that the task's answer must fit (``driver.schemas``).
        keys: Digests of idempotency keys, each with that of the request made under it.
    """

    task: str | None = None
    session_id: str | None = None
    created_by: str | None = None
    owner: ProcessIdentity | None = None
    forked_from: str | None = None
    forked_through: str | None = None
    message_id: str | None = None
    deadline_ms: int | None = None
    attempt: int | None = None
    output_schema: str | None = None
    keys: Mapping[str, str] = field(default_factory=dict)
    version: int = VERSION

    @classmethod
    def of(cls, session: Session) -> SessionTag | None:
        """Read the tag of a session; None where it has none, or a copy of another session's."""
        source = session.metadata.get(METADATA_KEY)
        if not isinstance(source, Mapping):
            return None
        tag = cls.from_metadata(source)
        return tag if tag.session_id in (None, session.id) else None

    @classmethod
    def read(cls, session: Session) -> SessionTag:
        """Read the tag of a session; an empty one where it has none."""
        return cls.of(session) or cls()

    @classmethod
    def from_metadata(cls, source: Mapping[str, object]) -> SessionTag:
        """Read a tag as it stands in the metadata."""
        version, schema = _integer(source.get("version")), source.get("output_schema")
        return cls(
            task=_text(source.get("task")),
            session_id=_text(source.get("session_id")),
            created_by=_text(source.get("created_by")),
            owner=ProcessIdentity.from_json(source.get("owner")),
            forked_from=_text(source.get("forked_from")),
            forked_through=_text(source.get("forked_through")),
            message_id=_text(source.get("message_id")),
            deadline_ms=_integer(source.get("deadline_ms")),
            attempt=_integer(source.get("attempt")),
            output_schema=_schema(schema),
            keys={name.removeprefix(_KEY): value for name, value in source.items() if name.startswith(_KEY) and isinstance(value, str)},
            version=VERSION if version is None else version,
        )

    def to_metadata(self) -> dict[str, object]:
        """Return the form in the metadata; what is not known is left out."""
        plain: dict[str, object | None] = {
            "version": self.version,
            "task": self.task,
            "session_id": self.session_id,
            "created_by": self.created_by,
            "owner": self.owner.to_json() if self.owner is not None else None,
            "forked_from": self.forked_from,
            "forked_through": self.forked_through,
            "message_id": self.message_id,
            "deadline_ms": self.deadline_ms,
            "attempt": self.attempt,
            "output_schema": self.output_schema,
        }
        return {name: value for name, value in plain.items() if value is not None} | {
            f"{_KEY}{digest}": request for digest, request in self.keys.items()
        }

    def is_abandoned(self, *, local_server: bool) -> bool:
        """Return whether the session belongs to a process that is certainly gone.

        A process of our own boot and PID namespace is looked up. (A namespace's number is used again only when all its processes
        have ended, so one that is not found there is gone either way.) One of another namespace or machine cannot be looked up
        and is never called gone, unless it was of this machine, outside every container, and the machine was started anew; then the
        server, too, must be on this machine (``local_server``), since copies of a virtual machine may share its id.
        """
        if self.owner is None:
            return False
        here = identity.this_process()
        if self.owner.shares_namespace(here):
            return not inspection.is_alive(self.owner.pid, self.owner.start_ticks)
        return local_server and self.owner.ended_with_boot(here)

    def with_facts(self, facts: Mapping[str, object], *, session_id: str) -> SessionTag:
        """Return the tag with these facts, as a tag of that session."""
        return replace(self.from_metadata({**self.to_metadata(), **facts}), session_id=session_id, version=VERSION)


def owner_marks() -> dict[str, object]:
    """Marks of a session that must not outlive the calling process."""
    return {"owner": identity.this_process().to_json()}


def other_metadata(session: Session) -> dict[str, object]:
    """Return what stands in a session's metadata besides our tag."""
    return {key: value for key, value in session.metadata.items() if key != METADATA_KEY}


def own_tags(sessions: Iterable[Session]) -> list[tuple[Session, SessionTag]]:
    """Return the sessions that bear a tag of their own, oldest first.

    A tag that does not name its session (version 1, or written a moment ago) may be a fork's copy: of several equal ones
    only the oldest session's counts.
    """
    found: list[tuple[Session, SessionTag]] = []
    seen: set[str] = set()
    for session in sorted(sessions, key=lambda item: (item.created_ms, item.id)):
        tag = SessionTag.of(session)
        if tag is None:
            continue
        if tag.session_id is None:
            mark = tag.created_by or json.dumps(session.metadata[METADATA_KEY], sort_keys=True, default=str)
            if mark in seen:
                continue
            seen.add(mark)
        elif tag.created_by is not None:
            # Its copy may have been taken before it named its session.
            seen.add(tag.created_by)
        found.append((session, tag))
    return found


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _integer(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _schema(value: object) -> str | None:
    if isinstance(value, Mapping):
        # Version 1 kept the whole schema here, where the agent can change it: it is known by a digest that no file has.
        return "0" * 64
    return value if isinstance(value, str) and _DIGEST.fullmatch(value) else None


__all__ = ["METADATA_KEY", "VERSION", "SessionTag", "other_metadata", "own_tags", "owner_marks"]
