"""One OpenCode server in use: its wire, its events, and what was read of it once.

Owns reading (status, sessions, requests, models) with the directory on every call (F20). It must not decide anything
about a turn; ``turns``, ``stopping`` and ``sessions`` do, through it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from netclaw_opencode._core.concurrency import gather
from netclaw_opencode._core.redaction import redact
from netclaw_opencode.errors import ActionFailed, DriverError, InvalidInput
from netclaw_opencode.facts import PendingRequest
from netclaw_opencode.opencode.process import locks
from netclaw_opencode.opencode.watcher import DirectoryState, DirectoryWatcher
from netclaw_opencode.opencode.wire import reading, routes
from netclaw_opencode.opencode.wire.history import History, session_not_found
from netclaw_opencode.opencode.wire.http import HttpNotFoundError, sanitize
from netclaw_opencode.opencode.wire.ids import IdMaker
from netclaw_opencode.records.recorder import NO_RECORD, Recorder
from netclaw_opencode.settings import is_loopback

if TYPE_CHECKING:
    from anyio.abc import TaskGroup

    from netclaw_opencode.opencode.models import Catalogue
    from netclaw_opencode.opencode.wire.events import EventHub
    from netclaw_opencode.opencode.wire.http import HttpClient
    from netclaw_opencode.opencode.wire.types import FileChange, Health, Message, PermissionRule, Provider, Session, SessionStatus

_CATALOGUE_SECONDS = 30.0
_CATALOGUES = 32
"""As many directories' catalogues as are kept: each may take a megabyte."""
_REMEMBERED = 256
_REFUSALS = 3
"""So many refused connections, one look after the other (half a second), are more than a moment's."""


class Connection:
    """A server that answered, with the version gate passed."""

    def __init__(
        self,
        http: HttpClient,
        events: EventHub,
        *,
        tasks: TaskGroup,
        health: Health,
        ours: bool,
        secrets: tuple[str, ...],
        locks_dir: Path,
        clock: Callable[[], float],
        end_orphans: Callable[[], Awaitable[int]],
        record: Recorder = NO_RECORD,
    ) -> None:
        self.http = http
        self.end_orphans = end_orphans
        self.events = events
        self.record = record
        self.health = health
        self.ours = ours
        # Ids are ordered by time, and the server's loop goes by that order (F27): so they are made by its clock.
        self.ids = IdMaker(epoch_ms=http.server_time_ms)
        self.clock = clock
        self._secrets = secrets
        self._locks_dir = locks_dir
        self._catalogues: OrderedDict[str, tuple[float, Catalogue]] = OrderedDict()
        self._created: OrderedDict[str, Session] = OrderedDict()
        self._tasks = tasks
        self._watchers: dict[str, DirectoryWatcher] = {}
        self._parents: OrderedDict[str, str | None] = OrderedDict()

    async def close(self) -> None:
        """Close the event stream and every connection to the server."""
        self.events.close()
        for watcher in self._watchers.values():
            watcher.close()
        await self.http.__aexit__(None, None, None)

    @asynccontextmanager
    async def locked(self, name: str, *, within_seconds: float = 0.0) -> AsyncIterator[bool]:
        """Hold a lock against other calls and processes of this user; False if another call keeps it."""
        async with locks.hold(self._locks_dir, name, within_seconds=within_seconds) as mine:
            yield mine

    def sanitize(self, text: str) -> str:
        """Text from the server or a provider, fit for a message: no secrets, one line, shortened."""
        return sanitize(self.redact(text))

    def redact(self, text: str) -> str:
        """Return the text without the server's password and anything else that looks like a credential."""
        return redact(text, secrets=self._secrets)

    def is_gone(self, error: DriverError, *, refused: int) -> bool:
        """Return whether failures to connect prove that the server ended: on this machine, connections that are refused again and again.

        A time-out proves nothing, nor does a refusal by another machine, where something else may stand in front of the server.
        """
        return refused >= _REFUSALS and error.details.get("reason") == "refused" and is_loopback(self.http.url)

    async def session(self, session_id: str) -> Session:
        """Return a session by id.

        Raises:
            ActionFailed: ``session_not_found``.
        """
        try:
            return reading.session(await self.http.call(routes.SESSION_GET, ids={"session_id": session_id}))
        except HttpNotFoundError as error:
            raise session_not_found(session_id) from error

    def remember_session(self, session: Session) -> None:
        """Remember a session that this process has just created, for its first prompt."""
        self._created[session.id] = session
        if len(self._created) > _REMEMBERED:
            self._created.popitem(last=False)

    async def session_for_prompt(self, session_id: str) -> Session:
        """``session``, without a question where this process has created it and asks for the first time.

        What is taken from memory does not change: directory, model, and how far a fork's copy goes. Whether the session is
        still there, idle and unused is read under its lock, right before the send.
        """
        remembered = self._created.pop(session_id, None)
        return remembered if remembered is not None else await self.session(session_id)

    def watcher(self, directory: str) -> DirectoryWatcher:
        """Return the one watcher of a directory; those that are not in use are forgotten."""
        if directory not in self._watchers:
            self._watchers = {name: item for name, item in self._watchers.items() if item.in_use}
            self._watchers[directory] = DirectoryWatcher(self.http, self.events, self._tasks, directory)
        return self._watchers[directory]

    def history(self, session: Session, *, on_message: Callable[[Message], None] | None = None) -> History:
        """Return the messages of a session, nothing of them read yet; ``on_message`` gets each as it is read."""
        return History(self.http, session, on_message=on_message)

    async def children(self, session: Session) -> tuple[Session, ...]:
        """Sub-agents' sessions directly below one (F36)."""
        try:
            answer = await self.http.call(routes.SESSION_CHILDREN, ids={"session_id": session.id}, directory=session.directory)
        except HttpNotFoundError as error:
            raise session_not_found(session.id) from error
        return reading.sessions(answer)

    async def tree(self, session: Session) -> tuple[Session, ...]:
        """Return the session and everything below it."""
        found = [session]
        for member in found:
            found.extend(child for child in await self.children(member) if child.id not in {item.id for item in found})
        return tuple(found)

    async def root_of(self, session_id: str) -> str:
        """Return the session at the top of the tree in which this one stands (F36)."""
        seen = session_id
        while True:
            if seen not in self._parents:
                self._parents[seen] = await self._parent_of(seen)
            parent = self._parents[seen]
            if len(self._parents) > _REMEMBERED:
                self._parents.popitem(last=False)
            if parent is None:
                return seen
            seen = parent

    async def _parent_of(self, session_id: str) -> str | None:
        try:
            return (await self.session(session_id)).parent_id
        except ActionFailed as error:
            # What an aborted turn waited for stays listed when its session is gone (F42): it belongs to no turn.
            if error.code != "session_not_found":
                raise
            return None

    async def statuses(self, directory: str) -> Mapping[str, SessionStatus]:
        """Return the status map of a directory; idle sessions are absent (F18)."""
        return (await self.watcher(directory).read()).statuses

    async def directory_state(self, directory: str) -> DirectoryState:
        """Return what runs and what waits in a directory now, requests of ended turns included."""
        return await self.watcher(directory).read(requests=True)

    async def session_state(self, session: Session) -> tuple[History, SessionStatus | None, tuple[PendingRequest, ...]]:
        """Newest messages, status and pending requests of a session and its sub-agents, as they belong together.

        A turn may begin or end between two reads (F19), so idle is believed only where the store stood still around it.
        """
        history = self.history(session)
        while True:
            state = await self.watcher(session.directory).read()
            status = state.status_of(session.id)
            before = history.newest
            newest = await history.read_newest()
            if status is not None or (newest and newest == before):
                tree = tuple(item.id for item in await self.tree(session)) if state.pending else ()
                return history, status, with_tools(state.pending_of(tree), history)
            if not newest and not before:
                return history, status, ()

    async def require_sessions(self, directory: str) -> None:
        """Read a session route: health alone lies where a broken opencode.json fails all of them (F39)."""
        reading.sessions(await self.http.call(routes.SESSIONS, directory=directory, query={"limit": "1"}))

    async def diff(self, session: Session, *, message_id: str) -> tuple[FileChange, ...]:
        """Files that a turn changed; empty outside a git repository, where the server keeps no snapshots."""
        answer = await self.http.call(
            routes.SESSION_DIFF, ids={"session_id": session.id}, directory=session.directory, query={"messageID": message_id}
        )
        return reading.file_changes(answer)

    async def agents(self, directory: str) -> tuple[str, ...]:
        """Names of the agents that a prompt may name."""
        answer = await self.http.call(routes.AGENTS, directory=directory)
        return reading.as_list(answer, "agent list", lambda item: reading.text_of(reading.as_object(item, "agent"), "name", "agent"))

    async def rules(self, directory: str) -> Mapping[str, tuple[PermissionRule, ...]]:
        """Return what each agent may do without asking, by its name."""
        return dict(reading.as_list(await self.http.call(routes.AGENTS, directory=directory), "agent list", reading.agent_rules))

    async def require_agent(self, name: str, *, directory: str) -> None:
        """Refuse an agent that the server does not know, before sending (F15)."""
        known = await self.agents(directory)
        if name not in known:
            raise InvalidInput(
                "agent_not_found",
                f"there is no agent {name[:60]!r}; the server knows {', '.join(known)}",
                details={"agent": name[:200], "known": list(known)},
            )

    async def catalogue(self, directory: str) -> Catalogue:
        """Connected providers and the default model of a directory; kept for half a minute."""
        from netclaw_opencode.opencode.models import Catalogue, parse_model

        kept = self._catalogues.get(directory)
        if kept is not None and self.clock() - kept[0] < _CATALOGUE_SECONDS:
            return kept[1]
        answer, config = await gather(
            self.http.call(routes.CONNECTED_PROVIDERS, directory=directory),
            self.http.call(routes.CONFIG, directory=directory),
        )
        providers, defaults, _ = reading.providers(answer)
        # Only these names are read: the configuration holds keys (F45).
        config = reading.as_object(config, "config")
        stated = reading.optional_text(config, "model")
        shares = config.get("share") == "auto" or config.get("autoshare") is True
        default = parse_model(stated) if stated and "/" in stated else None
        if default is None:
            default = next((parse_model(f"{key}/{value}") for key, value in defaults.items()), None)
        found = Catalogue(providers, default, shares=shares)
        self._catalogues[directory] = (self.clock(), found)
        self._catalogues.move_to_end(directory)
        if len(self._catalogues) > _CATALOGUES:
            self._catalogues.popitem(last=False)
        return found

    async def all_providers(self, directory: str) -> tuple[tuple[Provider, ...], frozenset[str]]:
        """Every provider that the server knows, and the ids of the connected ones (a large answer, F45)."""
        found, _, connected = reading.providers(await self.http.call(routes.ALL_PROVIDERS, directory=directory))
        return found, connected


def with_tools(pending: tuple[PendingRequest, ...], history: History) -> tuple[PendingRequest, ...]:
    """Return the requests with the names of their tools: OpenCode gives only the id of the call, which the messages know."""
    names = {use.call_id: use.tool for step in history.newest for use in step.tools}
    return tuple(replace(item, tool=names.get(item.call_id)) if item.call_id else item for item in pending)
