"""The shared driver: one connection, one event stream, for all calls of a host.

Owns their life. It connects when first needed and again after a failure; it decides nothing about turns.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING

import anyio

from netclaw_opencode.client.events import EventHub
from netclaw_opencode.driver import servers
from netclaw_opencode.driver.connection import Connection
from netclaw_opencode.errors import ServerProblem
from netclaw_opencode.facts import ProgressEvent
from netclaw_opencode.record import NO_RECORD, Recorder
from netclaw_opencode.server import locks
from netclaw_opencode.server.binary import check_version
from netclaw_opencode.settings import Settings, credentials_of

if TYPE_CHECKING:
    from anyio.abc import TaskGroup

    from netclaw_opencode.driver.requests import Decide
    from netclaw_opencode.driver.sweeping import Swept
    from netclaw_opencode.driver.turns import Emit, Turns
    from netclaw_opencode.policy import OnRequest

# What only turns and sweeping need is imported where they begin: a command that merely looks is done in half a second.

_RECENT = 200
"""As many sessions as the first changing call looks through for leftovers; ``cleanup`` looks at more."""

_TIDY_SECONDS = 30.0
"""How long a look for leftovers counts, in a process that goes on."""


class Driver:
    """Use as an async context manager. ``decide`` answers the agent's requests, ``emit`` takes progress."""

    def __init__(
        self,
        settings: Settings,
        *,
        decide: Decide = lambda _: None,
        answers_questions: bool = False,
        emit: Emit = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
        record: Recorder = NO_RECORD,
    ) -> None:
        self.settings = settings
        self._record = record
        self._decide = decide
        self._answers_questions = answers_questions
        self._emit = emit
        self._clock = clock
        self._stack = AsyncExitStack()
        self._tasks: TaskGroup | None = None
        self._connection: Connection | None = None
        self._connecting = anyio.Lock()
        self._tidied_at: float | None = None
        self._given_up: set[str] = set()
        self.secrets: tuple[str, ...] = ()
        """The password of the server in use, in every form in which it travels."""

    async def __aenter__(self) -> Driver:
        self._tasks = await self._stack.enter_async_context(anyio.create_task_group())
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        with anyio.CancelScope(shield=True):
            await self.disconnect()
        if self._tasks is not None:
            self._tasks.cancel_scope.cancel()
        await self._stack.aclose()

    async def connect(self) -> Connection:
        """The connection, made on first use.

        Raises ``ServerProblem``: ``server_unreachable``, ``auth_failed``, ``not_opencode``, ``server_not_ready``,
        ``unsupported_version``, ``unauthenticated_server``.
        """
        async with self._connecting:
            if self._connection is not None and self._connection.http.url != servers.locate(self.settings).url:
                await self.disconnect()
            if self._connection is None:
                self._connection = await self._connect()
            return self._connection

    async def _connect(self) -> Connection:
        address = servers.locate(self.settings)
        self.secrets = credentials_of(address.username, address.password)
        secrets = (*self.settings.secrets, *self.secrets)
        for secret in secrets:
            self._record.hide(secret)
        client = address.client(self._record, admit=address.gate(self.settings))
        try:
            await client.__aenter__()
            health = await servers.health(client)
            if not health.healthy:
                raise ServerProblem("server_not_ready", f"{address.url} says that it is not healthy")
            check_version(health.version)
            servers.require_private(address)
        except BaseException:
            with anyio.CancelScope(shield=True):
                await client.__aexit__(None, None, None)
            raise
        if self._tasks is None:
            raise RuntimeError("enter the Driver before using it")
        return Connection(
            client,
            EventHub(client, self._tasks, record=self._record),
            tasks=self._tasks,
            health=health,
            ours=address.record is not None,
            secrets=secrets,
            state_dir=self.settings.state_dir,
            clock=self._clock,
            end_orphans=partial(servers.end_orphans, address.record),
            record=self._record,
        )

    async def tidied(self) -> tuple[Connection, list[str]]:
        """The connection, and what was left behind on that server by processes that are gone.

        Looked for by the first call that is about to change something, then at most every half minute (a host may live for
        weeks, and others die beside it), and at once after a removal that failed; what was found is stopped and removed before
        the call goes on, and told in one sentence each.
        """
        from netclaw_opencode.driver import sweeping

        connection = await self.connect()
        if self._tidied_at is not None and self._clock() < self._tidied_at + _TIDY_SECONDS and not self._given_up:
            return connection, []
        locks.sweep(self.settings.state_dir)
        found = await sweeping.leftovers(connection, given_up=self.given_up, limit=_RECENT)
        swept = await sweeping.sweep(connection, tuple(item for item in found if item.reason in ("owner_gone", "not_removed")))
        self.swept(swept)
        self._tidied_at = self._clock()
        for item in swept:
            self._emit(ProgressEvent("stopping", item.sentence(), item.leftover.session.id, facts=item.to_wire()))
        return connection, [item.sentence() for item in swept]

    @property
    def given_up(self) -> frozenset[str]:
        """Sessions that a call of this process could not remove, by id, or whose creation it lost sight of, by its mark."""
        return frozenset(self._given_up)

    def give_up(self, session_id: str) -> None:
        """Remember a session that could not be removed: this process lives on, so its marks do not give it away."""
        self._given_up.add(session_id)

    @contextmanager
    def remembering(self, created_by: str) -> Iterator[None]:
        """A creation; where it fails, the session may be there all the same, and the next look for leftovers knows its mark."""
        try:
            yield
        except BaseException:
            self.give_up(created_by)
            raise

    def swept(self, swept: tuple[Swept, ...]) -> None:
        """Forget what is gone by now."""
        self._given_up = {item.leftover.session.id for item in swept if item.leftover.reason == "not_removed" and not item.deleted}

    async def turns(self, *, sending: bool = True, on_request: OnRequest | None = None) -> Turns:
        """Turns on the connection; ``sending=False`` is for a caller that only looks at them.

        Before anything is sent, the policy is read as it is now. Raises ``InvalidInput`` (``invalid_policy``) where it cannot
        be, since silence would look like a policy that refuses everything.

        Args:
            on_request: What becomes of a request that nobody decides; None leaves it to the policy file, and else refuses it.
        """
        from netclaw_opencode.driver.audit import Audit
        from netclaw_opencode.driver.requests import RequestHandler
        from netclaw_opencode.driver.turns import Turns
        from netclaw_opencode.policy import Policy, load

        policy = load(self.settings.policy) if sending else Policy()
        audit = Audit(self.settings.audit) if self.settings.audit is not None and sending else None
        if audit is not None:
            audit.require()
        handler = RequestHandler(self._decide, policy=policy, audit=audit, on_request=on_request or policy.on_request or "refuse")
        return Turns(await self.connect(), requests=handler, emit=self._emit)

    def offers_questions(self, on_request: OnRequest | None) -> bool:
        """Whether the agent of a new session is offered to ask questions: not where nobody could answer one (F60)."""
        from netclaw_opencode.policy import load

        policy = load(self.settings.policy)
        return self._answers_questions or policy.answers_questions or (on_request or policy.on_request or "refuse") != "refuse"

    async def disconnect(self) -> None:
        """Close the connection; the next use looks for the server again (it was started, or is about to be stopped)."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

    def tell(self, event: ProgressEvent) -> None:
        """Emit a progress event that belongs to no turn."""
        self._record.note("step", what=event.kind, session_id=event.session_id)
        self._emit(event)


__all__ = ["Driver"]
