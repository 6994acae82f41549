"""Each of the twelve rules matters: with its check taken out, the driver does what the rule forbids.

One small scenario for each check, through the part of the driver that asks it; it tells whether the rule protected. A check
that nobody asks any more, or whose answer nobody heeds, fails here. The server's side of each scenario is scripted; the same
rules on the real server stand in ``tests/real/test_rules_on_server.py``.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import cast

import anyio
import pytest

from netclaw_opencode._core.private_files import require_private_folder
from netclaw_opencode.actions import messages as message_actions
from netclaw_opencode.actions import registry
from netclaw_opencode.actions import servers as server_actions
from netclaw_opencode.actions import sessions as session_actions
from netclaw_opencode.actions.context import ActionContext
from netclaw_opencode.driver import permissions, recovery, rules, sending, stopping
from netclaw_opencode.driver.tags import METADATA_KEY
from netclaw_opencode.driver.turn import Prompt, Turn
from netclaw_opencode.errors import ActionFailed, InvalidInput, Refused
from netclaw_opencode.facts import Decision, PendingRequest
from netclaw_opencode.opencode import servers
from netclaw_opencode.opencode.connection import Connection
from netclaw_opencode.opencode.process import ownership, state, terminating
from netclaw_opencode.opencode.watcher import DirectoryState
from netclaw_opencode.opencode.wire import ids, listing
from netclaw_opencode.opencode.wire.ids import IdMaker
from netclaw_opencode.opencode.wire.routes import Route
from netclaw_opencode.opencode.wire.types import Session, SessionStatus
from netclaw_opencode.records.recorder import NO_RECORD
from netclaw_opencode.settings import Settings
from tests.support.records import server_record
from tests.support.stopping_script import BUSY, PARENT, RETRY, Scripted, reply, running

USED = (replace(reply(completed=True), id="msg_050"),)


@dataclass
class Sending(Scripted):
    """A scripted server that takes prompts."""

    status: SessionStatus | None = None
    lost_answers: int = 0
    prompts: list[Mapping[str, object]] = field(default_factory=list)
    ids: IdMaker = field(default_factory=IdMaker)

    @property
    def events(self) -> Sending:
        return self

    async def try_open(self, *, within_seconds: float) -> bool:
        return within_seconds > 0

    @asynccontextmanager
    async def locked(self, name: str, *, within_seconds: float) -> AsyncIterator[bool]:
        yield name == PARENT.id and within_seconds == 0

    begun = 0
    """Of a watcher: no reading has begun."""

    def watcher(self, directory: str) -> Sending:
        assert directory == PARENT.directory
        return self

    async def read(self) -> DirectoryState:
        return DirectoryState(statuses={PARENT.id: self.status} if self.status is not None else {})

    async def call(
        self, route: Route, *, ids: Mapping[str, str], directory: str | None = None, body: Mapping[str, object] | None = None
    ) -> object:
        if route.name != "prompt_async":
            return await super().call(route, ids=ids, directory=directory, body=body)
        self.prompts.append(body or {})
        if len(self.prompts) <= self.lost_answers:
            raise ActionFailed("connection_lost", "broken")
        return None

    def send(self, *, reuse_session: bool = False) -> str:
        """What became of a prompt: the rule that refused it, or "sent"."""

        async def run() -> None:
            connection = cast(Connection, self)
            turn = Turn.begin(connection, PARENT, emit=lambda _: None)
            await sending.send(connection, turn, Prompt("do it"), reuse_session=reuse_session, ends=self.now + 60)

        try:
            anyio.run(run)
        except Refused as error:
            return str(error.rule)
        return "sent"


@dataclass
class Stage:
    """What a scenario may use; what it patches is undone after each run."""

    patch: pytest.MonkeyPatch
    folder: Path


def context(**parts: object) -> ActionContext:
    """The context of a call, with these parts only."""
    return cast(ActionContext, SimpleNamespace(clock=lambda: 0.0, record=NO_RECORD, **parts))


def fresh_session(stage: Stage) -> bool:
    """A second task for a used session: it is this rule that refuses it."""
    return Sending(stores=[USED]).send() == "fresh-session"


def status_first(stage: Stage) -> bool:
    """A session that is busy although nothing stands in it yet (F19): nothing is sent."""
    return Sending(status=BUSY).send() == "status-first"


def abort_first(stage: Stage) -> bool:
    """A used session whose stop is not seen: the new prompt is not mixed with the old turn (F41)."""

    async def unproved(*_: object) -> stopping.StopReport:
        return replace(stopping.already_stopped(PARENT), confirmed=False)

    stage.patch.setattr(stopping, "stop", unproved)
    return Sending(stores=[USED]).send(reuse_session=True) == "abort-first"


def deadline(stage: Stage) -> bool:
    """A call that wants a year: it ends before anything is asked of a server."""

    async def run() -> bool:
        try:
            await message_actions.send_message(
                {"session_id": PARENT.id, "prompt": "x", "deadline_seconds": 3e7}, context(settings=Settings())
            )
        except InvalidInput as error:
            return "deadline_seconds" in error.message
        except AttributeError:
            # The next thing that it wanted was a driver, and this context has none.
            return False
        raise AssertionError("it cannot have ended well")

    return anyio.run(run)


def send_once(stage: Stage) -> bool:
    """A defect makes new ids for the repetition of a prompt whose answer was lost: it is not sent a second time (F27)."""
    made = iter(("prt_first", "prt_second", "prt_third"))
    stage.patch.setattr(ids, "part_id_for", lambda _: next(made))
    server = Sending(lost_answers=1)
    return (server.send(), len(server.prompts)) == ("send-once", 1)


def stop_verified(stage: Stage) -> bool:
    """An abort that does nothing: the session runs on, and no stop is claimed (F22)."""
    return not Scripted(states=[running(PARENT)]).stop(within_seconds=0.05).confirmed


def delete_after_stop(stage: Stage) -> bool:
    """A session that is not seen stopped: not a byte is sent to delete it (F24)."""
    server = Scripted()
    try:
        server.delete(replace(stopping.already_stopped(PARENT), confirmed=False))
    except ActionFailed as error:
        return error.rule == "delete-after-stop" and server.asked == []
    return False


def nobody_waits(stage: Stage) -> bool:
    """A request on which nobody decided: it is refused, and not allowed for want of an answer."""
    server, request = Scripted(), PendingRequest("permission", "per_1", PARENT.id, "/d", permission="bash")

    async def run() -> None:
        await permissions.refuse_all(cast(Connection, server), (request,))

    anyio.run(run)
    return server.posted() == ["permission_reply per_1 reject"]


def own_things_only(stage: Stage) -> bool:
    """Somebody else's session is to be deleted: it is not even aborted."""
    server = Scripted(found=PARENT)

    async def connect() -> Scripted:
        return server

    async def run() -> bool:
        try:
            await session_actions.delete_session({"session_id": PARENT.id}, context(driver=SimpleNamespace(connect=connect)))
        except Refused as error:
            return error.rule == "own-things-only" and server.asked == [f"read {PARENT.id}"]
        except ActionFailed:
            # The script's session is still there after its delete, which was sent.
            return False
        raise AssertionError("it cannot have ended well")

    return anyio.run(run)


def own_process(stage: Stage) -> bool:
    """The note names a process that is no server of ours (this one): it is not signalled."""
    signalled: list[int] = []

    async def end(pid: int, start_ticks: int) -> terminating.Termination:
        signalled.append(pid)
        return terminating.Termination(None, 0, 1)

    async def aborted(*_: object) -> tuple[str, ...]:
        return ()

    stage.patch.setattr(terminating, "terminate_tree", end)
    stage.patch.setattr(servers, "_abort_all", aborted)
    state.write(stage.folder, server_record(os.getpid()))
    try:
        anyio.run(servers.stop, Settings(state_dir=stage.folder))
    except Refused as error:
        return error.code == "kill_refused" and signalled == []
    assert signalled == [os.getpid()]
    return False


def stuck_server(stage: Stage) -> bool:
    """Two sessions hang in retry: then what else of ours runs on that server is stopped too, since it has to go."""
    ours = [{METADATA_KEY: {"task": "run_task", "created_by": str(name)}} for name in range(3)]
    first, second, busy = (Session(f"ses_{name:010}", "t", "/d", 1, 1, metadata=ours[name]) for name in range(3))
    server = SimpleNamespace(statuses=None, http=None)

    async def read(*_: object, **__: object) -> listing.Listing:
        return listing.Listing((first, second, busy))

    async def statuses(_: str) -> Mapping[str, SessionStatus]:
        return {first.id: RETRY, second.id: RETRY, busy.id: BUSY}

    async def stop(_: object, item: Session) -> stopping.StopReport:
        return stopping.already_stopped(item)

    server.statuses = statuses
    stage.patch.setattr(listing, "list_sessions", read)
    stage.patch.setattr(stopping, "stop", stop)
    done = recovery.Recovery("u", "answering", ours=True)

    async def run() -> None:
        await recovery._look(cast(Connection, server), done, force=False)

    anyio.run(run)
    assert {first.id, second.id} <= set(done.stopped)
    return busy.id in done.stopped


def nothing_left(stage: Stage) -> bool:
    """A process of the server does not end: the call says so and does not succeed."""

    async def stop(*_: object, **__: object) -> servers.StopResult:
        return servers.StopResult(None, terminating.Termination("SIGKILL", 1, 1), ())

    async def disconnect() -> None:
        return None

    stage.patch.setattr(servers, "stop", stop)

    async def run() -> bool:
        try:
            await server_actions.stop_server({}, context(settings=Settings(), driver=SimpleNamespace(disconnect=disconnect)))
        except ActionFailed as error:
            return error.code == "kill_failed" and error.rule == "nothing-left"
        return False

    return anyio.run(run)


def no_silence(stage: Stage) -> bool:
    """A defect lets a call end with neither data nor a cause: the dispatcher does not pass that on."""

    stage.patch.setattr(registry, "error_envelope", lambda *_: {"ok": False, "action": "run_task"})

    async def run() -> bool:
        async with ActionContext(Settings(state_dir=stage.folder)) as entered:
            try:
                await registry.Registry().invoke("run_task", {}, context=entered)
            except ActionFailed as error:
                return error.rule == "no-silence"
        return False

    return anyio.run(run)


@dataclass(frozen=True, slots=True)
class Removal:
    """A check, the one in its place that allows everything, and the scenario in which that shows."""

    rule: str
    check: str
    allows: Callable[..., object]
    protects: Callable[[Stage], bool]
    place: ModuleType = rules


def allowed(*_: object, **__: object) -> None:
    """Allows everything."""


def any_deadline(seconds: float, *, longest: float) -> float:
    """Every number is a deadline."""
    return seconds


def let_in(decision: Decision | None) -> Decision:
    """Where nobody decides, it is allowed."""
    return decision if decision is not None else Decision("once")


REMOVALS = (
    Removal("fresh-session", "require_fresh", allowed, fresh_session),
    Removal("status-first", "require_idle", allowed, status_first),
    Removal("abort-first", "require_aborted", allowed, abort_first),
    Removal("deadline", "require_deadline", any_deadline, deadline),
    Removal("send-once", "require_same_ids", allowed, send_once),
    Removal("stop-verified", "is_stopped", lambda _: True, stop_verified),
    Removal("delete-after-stop", "require_stopped", allowed, delete_after_stop),
    Removal("nobody-waits", "decision_or_refusal", let_in, nobody_waits),
    Removal("own-things-only", "require_ours", allowed, own_things_only),
    Removal("own-things-only", "require_own_process", allowed, own_process, place=ownership),
    Removal("stuck-server", "stuck_sessions", lambda _: (), stuck_server),
    Removal("nothing-left", "kinds_left", lambda _: (), nothing_left),
    Removal("no-silence", "require_result_or_cause", allowed, no_silence),
)


def test_every_rule_of_the_table_is_taken_out_once() -> None:
    """No rule without a scenario, and no scenario for a check that is not the rule's; a process has a check of its own."""
    assert list(dict.fromkeys(item.rule for item in REMOVALS)) == [rule.id for rule in rules.RULES]
    checks = {rule.id: rule.check.__name__ for rule in rules.RULES}
    assert [item.check for item in REMOVALS if item.check != checks[item.rule]] == ["require_own_process"]
    assert all(callable(getattr(item.place, item.check)) for item in REMOVALS)


@pytest.mark.parametrize("removal", REMOVALS, ids=lambda item: item.check)
def test_a_rule_protects_and_without_its_check_nothing_does(removal: Removal, tmp_path: Path) -> None:
    """The same scenario twice: with the check the outcome is the safe one, and with the check taken out it is not."""
    held = []
    for name, check in (("with", getattr(removal.place, removal.check)), ("without", removal.allows)):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(removal.place, removal.check, check)
            held.append(removal.protects(Stage(patch, require_private_folder(tmp_path / name))))
    assert held == [True, False]
