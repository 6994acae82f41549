"""The shared driver: one connection, one event stream, for all calls of a host.

Owns their life. It connects when first needed and again after a failure; a call keeps the connection that it got. It decides
nothing about turns.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING

import anyio

from netclaw_opencode.driver.removals import PendingRemovals
from netclaw_opencode.driver.tags import SessionTag
from netclaw_opencode.errors import DriverError, ServerProblem
from netclaw_opencode.facts import ProgressEvent
from netclaw_opencode.opencode import addresses
from netclaw_opencode.opencode.connection import Connection
from netclaw_opencode.opencode.leases import Leases
from netclaw_opencode.opencode.process import locks
from netclaw_opencode.opencode.process.binary import check_version
from netclaw_opencode.opencode.wire.events import EventHub
from netclaw_opencode.records.recorder import NO_RECORD, Recorder
from netclaw_opencode.settings import Settings, credentials_of

if TYPE_CHECKING:
    from anyio.abc import TaskGroup

    from netclaw_opencode._core.caps import Caps
    from netclaw_opencode._core.policy import OnRequest
    from netclaw_opencode.driver.leftovers import Removal
    from netclaw_opencode.driver.permissions import Decide
    from netclaw_opencode.driver.turns import Emit, Turns
    from netclaw_opencode.opencode.addresses import Address
    from netclaw_opencode.opencode.process.state import ServerRecord

# What only turns and sweeping need is imported where they begin: a command that merely looks is done in half a second.

_RECENT = 200
"""As many sessions as the first changing call looks through for leftovers; ``cleanup`` looks at more."""

_SWEEP_INTERVAL_SECONDS = 30.0
"""How long a look for leftovers counts, in a process that goes on."""
_SWEEP_SHARE = 0.1
_SWEEP_MOST_SECONDS = 5.0
"""A look for leftovers takes a tenth of the call's time, and never more than this: one stop takes about a second."""
_SECRETS = 32
"""As many forms of passwords as are hidden: those of the servers in use, and of some before them."""
_MOVED = frozenset({"auth_failed", "server_unreachable", "not_opencode"})
"""What a call sees where our server was started anew between the look at its record and the first request."""


class Driver:
    """Use as an async context manager. ``decide`` answers the agent's requests, ``emit`` takes progress."""

    def __init__(
        self,
        settings: Settings,
        *,
        decide: Decide = lambda _: None,
        answers_questions: Callable[[], bool] = lambda: False,
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
        self._leases = Leases()
        self._connecting = anyio.Lock()
        self._swept_at: float | None = None
        self.pending_removals = PendingRemovals()
        self.secrets: tuple[str, ...] = ()
        """The passwords of the servers in use, in every form in which they travel."""

    async def __aenter__(self) -> Driver:
        self._tasks = await self._stack.enter_async_context(anyio.create_task_group())
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        with anyio.CancelScope(shield=True):
            await self._leases.close()
        if self._tasks is not None:
            self._tasks.cancel_scope.cancel()
        await self._stack.aclose()

    @asynccontextmanager
    async def leasing(self) -> AsyncIterator[None]:
        """Open the time of one call, which keeps the connection that it gets first until its end."""
        with self._leases.call() as lease:
            try:
                yield
            finally:
                await self._leases.release(lease)

    async def connect(self) -> Connection:
        """Return the connection, made on first use. Within ``leasing`` it stays the same, unless this very call lets go of it.

        Raises ``ServerProblem``: ``server_unreachable``, ``auth_failed``, ``not_opencode``, ``server_not_ready``,
        ``unsupported_version``, ``unauthenticated_server``.
        """
        async with self._connecting:
            lease = self._leases.mine()
            if lease is not None and lease.line is not None:
                return lease.line.connection
            address = addresses.locate(self.settings)
            line = self._leases.current
            if line is not None and not line.address.is_same_as(address):
                await self._leases.retire()
            if self._leases.current is None:
                self._leases.add(*await self._connect_or_follow(address))
            return self._leases.take()

    async def _connect_or_follow(self, address: Address) -> tuple[Connection, Address]:
        """Return a connection to that address, or to where our server is by now: it may have been started anew a moment ago."""
        try:
            return await self._connect(address), address
        except ServerProblem as error:
            now = addresses.locate(self.settings)
            if error.code not in _MOVED or now.is_same_as(address):
                raise
            return await self._connect(now), now

    async def _connect(self, address: Address) -> Connection:
        found = credentials_of(address.username, address.password)
        self.secrets = tuple(dict.fromkeys((*found, *self.secrets)))[:_SECRETS]
        secrets = (*self.settings.secrets, *found)
        for secret in secrets:
            self._record.hide(secret)
        client = address.client(self._record, admit=address.gate(self.settings))
        try:
            await client.__aenter__()
            health = await addresses.probe_health(client)
            if not health.healthy:
                raise ServerProblem("server_not_ready", f"{address.url} says that it is not healthy")
            check_version(health.version)
            addresses.require_private(address)
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
            locks_dir=self.settings.server_dir,
            clock=self._clock,
            end_orphans=partial(_terminate_orphans, address.record),
            record=self._record,
        )

    async def sweep_orphans(self, connection: Connection, *, left_seconds: float) -> list[str]:
        """Stop and remove what processes that are gone left behind on this server; returns one sentence for each thing done or not seen.

        The first call that is about to change something looks, then one at most every half minute (a host may live for weeks, and
        others die beside it), and the next one after a removal that failed. It takes a tenth of the call's time at most, and never
        fails the call.

        Args:
            connection: The server.
            left_seconds: What is left of the call's time.
        """
        now = self._clock()
        if self._swept_at is not None and now < self._swept_at + _SWEEP_INTERVAL_SECONDS and not self.pending_removals.names:
            return []
        # Set first: another call that comes meanwhile need not look, too.
        self._swept_at = now
        notes: list[str] = []
        limit = max(0.0, min(_SWEEP_MOST_SECONDS, left_seconds * _SWEEP_SHARE))
        with anyio.move_on_after(limit) as sweeping:
            try:
                await self._sweep(connection, notes)
            except DriverError as error:
                notes.append(f"what was left behind could not be looked for: {error.message}")
        if sweeping.cancelled_caught:
            notes.append(f"looking for what was left behind took longer than {limit:.1f} s; netclaw-opencode server cleanup")
        return notes

    async def _sweep(self, connection: Connection, notes: list[str]) -> None:
        from netclaw_opencode.driver import leftovers

        locks.remove_stale(self.settings.server_dir)
        known = self.pending_removals.names
        look = await leftovers.find(connection, given_up=known, limit=_RECENT)
        notes += [item.sentence() for item in look.skipped]

        def done(item: Removal) -> None:
            notes.append(item.sentence())
            self.forget_removed((item,))
            self._emit(ProgressEvent("stopping", item.sentence(), item.leftover.session.id, facts=item.to_wire()))

        await leftovers.remove(connection, tuple(item for item in look.found if item.reason in ("owner_gone", "not_removed")), done=done)
        if not look.skipped:
            # The rest is gone, or was never there.
            seen = {item.session.id for item in look.found} | {SessionTag.read(item.session).created_by for item in look.found}
            self.pending_removals.discard(known - seen)

    def forget_removed(self, removals: Iterable[Removal]) -> None:
        """Take what was removed out of the pending removals."""
        for item in removals:
            if item.deleted:
                self.pending_removals.discard((item.leftover.session.id, SessionTag.read(item.leftover.session).created_by))

    async def turns(self, *, sending: bool = True, on_request: OnRequest | None = None) -> Turns:
        """Turns on the connection; ``sending=False`` is for a caller that only looks at them.

        Before anything is sent, the policy is read as it is now. Raises ``InvalidInput`` (``invalid_policy``) where it cannot
        be, since silence would look like a policy that refuses everything.

        Args:
            on_request: What to do with a request without a decision; None leaves it to the policy file, else it is refused.
        """
        from netclaw_opencode._core.policy import Policy, load_policy
        from netclaw_opencode.driver.permissions import RequestHandler
        from netclaw_opencode.driver.turns import Turns
        from netclaw_opencode.records.audit import Audit

        policy = load_policy(self.settings.policy) if sending else Policy()
        audit = Audit(self.settings.audit) if self.settings.audit is not None and sending else None
        if audit is not None:
            audit.require()
        handler = RequestHandler(self._decide, policy=policy, audit=audit, on_request=on_request or policy.on_request or "refuse")
        connection = await self.connect()
        if sending:
            # Opens while the session is made; a prompt is sent when it is open (F31).
            connection.events.start()
        return Turns(connection, requests=handler, emit=self._emit)

    def caps(self, given: Caps) -> Caps:
        """Return the caps of a call: those that it gives, and those of the policy file where they are lower or it gives none.

        Raises ``InvalidInput`` (``invalid_policy``).
        """
        from netclaw_opencode._core.policy import load_policy

        return load_policy(self.settings.policy).caps.tighten(given)

    def offers_questions(self, on_request: OnRequest | None) -> bool:
        """Return whether the agent of a new session may ask questions: only if a hook, the policy or the caller can answer (F60)."""
        from netclaw_opencode._core.policy import load_policy

        policy = load_policy(self.settings.policy)
        return self._answers_questions() or policy.answers_questions or (on_request or policy.on_request or "refuse") != "refuse"

    async def disconnect(self) -> None:
        """Let go of the connection; the next use looks for the server again (it was started, or is about to be stopped).

        A call that uses it goes on with it; the last one closes it.
        """
        lease = self._leases.mine()
        await self._leases.retire()
        if lease is not None:
            await self._leases.release(lease)

    def emit(self, event: ProgressEvent) -> None:
        """Emit a progress event that belongs to no turn."""
        self._record.note("step", what=event.kind, session_id=event.session_id)
        self._emit(event)


async def _terminate_orphans(record: ServerRecord | None) -> int:
    from netclaw_opencode.opencode import servers

    return await servers.terminate_orphans(record)


__all__ = ["Driver"]
