"""Sessions: made, forked, marked, listed.

Owns what a session of ours looks like on the server: its directory checked, its tag in the metadata (the server is
our only memory). Sending into one and stopping one are ``turns`` and ``stopping``.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import anyio

from netclaw_opencode.driver import stopping
from netclaw_opencode.driver.rules import is_ours
from netclaw_opencode.driver.tags import METADATA_KEY, SessionTag, other_metadata
from netclaw_opencode.errors import DriverError, InvalidInput
from netclaw_opencode.opencode.directories import Places
from netclaw_opencode.opencode.wire import listing, reading, routes
from netclaw_opencode.opencode.wire.history import session_not_found
from netclaw_opencode.opencode.wire.http import HttpNotFoundError

if TYPE_CHECKING:
    from netclaw_opencode.opencode.connection import Connection
    from netclaw_opencode.opencode.wire.types import ModelRef, Session

_RECENT = 50
_REMOVE_SECONDS = 5.0
_AMBIGUOUS = frozenset({"connection_lost", "request_timeout", "bad_response"})
"""Failures after which the server may or may not have done what it was asked."""

MANY = 1000
"""As many sessions as are looked through for marks of ours."""


@dataclass(frozen=True, slots=True)
class NewSession:
    """What a caller wants of a session; ``task`` names the action that it serves."""

    directory: str
    task: str
    title: str | None = None
    agent: str | None = None
    model: ModelRef | None = None
    parent_id: str | None = None
    directory_given: bool = False
    marks: Mapping[str, object] = field(default_factory=dict)
    created_by: str = field(default_factory=lambda: secrets.token_hex(8))
    """Marks this very creation, to find the session if the answer is lost."""
    places: Places = field(default_factory=Places)
    offers_questions: bool = True
    """False: its agent has no tool to ask a person with, since no one would answer (F60)."""

    @property
    def permission(self) -> list[dict[str, str]]:
        """Permission rules of its own, as the server takes them."""
        denied = () if self.offers_questions else ("question", "plan_enter", "plan_exit")
        return [{"permission": name, "pattern": "*", "action": "deny"} for name in denied]


async def create(connection: Connection, wanted: NewSession) -> Session:
    """Create a session, or fork ``parent_id`` into a new one with a copy of its history (F28)."""
    if wanted.model is not None:
        (await connection.catalogue(wanted.directory)).find(wanted.model)
    if wanted.agent is not None:
        await connection.require_agent(wanted.agent, directory=wanted.directory)
    if wanted.parent_id is not None:
        return await _fork(connection, wanted, parent_id=wanted.parent_id)
    tag = _tag(wanted)
    body: dict[str, object] = {"metadata": {METADATA_KEY: tag.to_metadata()}}
    if wanted.title is not None:
        body["title"] = wanted.title
    if wanted.agent is not None:
        body["agent"] = wanted.agent
    if wanted.model is not None:
        # Here the model's field is called id (F12).
        body["model"] = {"id": wanted.model.model_id, "providerID": wanted.model.provider_id}
    if wanted.permission:
        body["permission"] = wanted.permission
    made = await _post_creation(connection, body, wanted)
    connection.record.note("created", session_id=made.id)
    async with _remove_on_failure(connection, made):
        # Only now its id is known, which distinguishes the tag from its copy in a fork (F62).
        return await update_tag(connection, made, {})


async def _post_creation(connection: Connection, body: Mapping[str, object], wanted: NewSession) -> Session:
    directory = wanted.directory
    try:
        return reading.session(await connection.http.call(routes.SESSION_CREATE, directory=directory, body=body))
    except DriverError as error:
        if error.code not in _AMBIGUOUS:
            raise
        # The server may have made it although its answer is lost: then a second one would leave the first behind.
        for item in await list_newest(connection, directory=directory, limit=_RECENT):
            if SessionTag.read(item).created_by == wanted.created_by:
                return item
        raise


async def _fork(connection: Connection, wanted: NewSession, *, parent_id: str) -> Session:
    parent = await connection.session(parent_id)
    # A fork works where its parent did; to take another place would be to say something untrue of its history.
    wanted.places.require(parent.directory)
    if wanted.directory_given and wanted.directory != parent.directory:
        raise InvalidInput(
            "invalid_input",
            f"directory {wanted.directory[:200]!r} is not that of session {parent.id}, which works in {parent.directory!r}: "
            "leave directory out where parent_id is given",
        )
    forked = await _post_fork(connection, parent)
    connection.record.note("created", session_id=forked.id, forked_from=parent.id)
    async with _remove_on_failure(connection, forked):
        # The copies have ids of their own, so "what was there before" is only known by reading the fork.
        copied = await connection.history(forked).read_newest(1)
        facts = {"forked_from": parent.id, "forked_through": max((item.id for item in copied), default="")}
        tag = _tag(wanted).with_facts(facts, session_id=forked.id)
        body: dict[str, object] = {"metadata": {**other_metadata(parent), METADATA_KEY: tag.to_metadata()}}
        if wanted.title is not None:
            body["title"] = wanted.title
        if wanted.permission:
            body["permission"] = wanted.permission
        return await _update(connection, forked, body)


@asynccontextmanager
async def _remove_on_failure(connection: Connection, session: Session) -> AsyncIterator[None]:
    """A block in which a session gets its tag; where that fails, the session goes."""
    try:
        yield
    except BaseException:
        # Without marks of its own no one would find it again; nothing has run in it yet.
        with anyio.move_on_after(_REMOVE_SECONDS, shield=True), suppress(DriverError):
            await stopping.delete(connection, session, report=stopping.already_stopped(session))
        raise


async def _post_fork(connection: Connection, parent: Session) -> Session:
    before = {item.id for item in await list_newest(connection, directory=parent.directory, limit=_RECENT)}
    try:
        answer = await connection.http.call(routes.SESSION_FORK, ids={"session_id": parent.id}, directory=parent.directory, body={})
        return reading.session(answer)
    except DriverError as error:
        if error.code not in _AMBIGUOUS:
            raise
        # A fork bears a copy of its parent's metadata until it is given its own, so a new one that still does is the lost one.
        now = await list_newest(connection, directory=parent.directory, limit=_RECENT)
        found = [item for item in now if item.id not in before and item.metadata == parent.metadata]
        if len(found) != 1:
            raise
        return found[0]


async def update_tag(connection: Connection, session: Session, facts: Mapping[str, object]) -> Session:
    """Add facts to our tag on a session; what other_metadata noted stays (a PATCH replaces the whole map)."""
    tag = SessionTag.read(session).with_facts(facts, session_id=session.id)
    return await _update(connection, session, {"metadata": {**other_metadata(session), METADATA_KEY: tag.to_metadata()}})


async def _update(connection: Connection, session: Session, body: Mapping[str, object]) -> Session:
    try:
        answer = await connection.http.call(routes.SESSION_UPDATE, ids={"session_id": session.id}, directory=session.directory, body=body)
    except HttpNotFoundError as error:
        raise session_not_found(session.id) from error
    return reading.session(answer)


def _tag(wanted: NewSession) -> SessionTag:
    return SessionTag.from_metadata({**wanted.marks, "task": wanted.task, "created_by": wanted.created_by})


async def list_newest(connection: Connection, *, directory: str | None, limit: int) -> tuple[Session, ...]:
    """Sessions, newest first: of one directory, or of all (F20). One more than ``limit`` means that there are more."""
    return (await listing.list_sessions(connection.http, directory=directory, most=limit + 1)).sessions


def to_wire(session: Session) -> dict[str, object]:
    """Return the form of a session in results."""
    tag = SessionTag.read(session)
    wire: dict[str, object] = {
        "session_id": session.id,
        "title": session.title,
        "directory": session.directory,
        "created_at": iso(session.created_ms),
        "updated_at": iso(session.updated_ms),
        "ours": is_ours(session),
    }
    if session.parent_id is not None:
        wire["parent_id"] = session.parent_id
    if session.agent is not None:
        wire["agent"] = session.agent
    if session.model is not None:
        wire["model"] = session.model.to_wire()
    if tag.task is not None:
        wire["task"] = tag.task
    return wire


def iso(epoch_ms: float) -> str:
    """Epoch milliseconds as ISO 8601 in UTC, to the second."""
    return datetime.fromtimestamp(epoch_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
