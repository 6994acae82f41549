"""What was left behind: which sessions count as that, what is done with each, and what is told.

The server's answers are scripted, the clock and the proof that a process lives come from outside; the real ones stand in
``tests/real``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import cast

import anyio
import pytest

from netclaw_opencode.driver import leftovers, sessions, stopping
from netclaw_opencode.driver.leftovers import Leftover, Look, Removal, Skipped
from netclaw_opencode.driver.stopping import StopReport
from netclaw_opencode.driver.tags import METADATA_KEY, SessionTag
from netclaw_opencode.errors import ActionFailed, OutOfTime, ServerProblem
from netclaw_opencode.opencode.connection import Connection
from netclaw_opencode.opencode.wire import listing
from netclaw_opencode.opencode.wire.types import Session, SessionStatus

NOW_MS = 1_000_000
BUSY = SessionStatus("busy")


def session(number: int, *, directory: str = "/d", updated_ms: int = NOW_MS, **mark: object) -> Session:
    """A session with these marks of ours; without any, a stranger's."""
    return Session(
        f"ses_{number:010}",
        f"title {number}",
        directory,
        1,
        updated_ms,
        metadata={METADATA_KEY: {"created_by": f"{number}"} | mark} if mark else {},
    )


@dataclass
class Listing:
    """A server with these sessions, of which some run."""

    sessions: tuple[Session, ...]
    running: Mapping[str, SessionStatus] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    broken: Mapping[str, str] = field(default_factory=dict)
    unreadable: int = 0
    http: SimpleNamespace = field(default_factory=lambda: SimpleNamespace(url="http://127.0.0.1:1", server_time_ms=lambda: NOW_MS))

    async def statuses(self, directory: str) -> Mapping[str, SessionStatus]:
        self.asked.append(directory)
        if directory in self.broken:
            raise ServerProblem("config_error", self.broken[directory])
        return {item.id: self.running[item.id] for item in self.sessions if item.directory == directory and item.id in self.running}


@pytest.fixture
def looked(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Look]:
    """Looks for leftovers on such a server, at a fixed time; a process of ours is gone where its mark says so."""
    monkeypatch.setattr(SessionTag, "is_abandoned", lambda tag, *, local_server: tag.forked_from == "gone")

    def look(server: Listing, **options: object) -> Look:
        async def read(client: object, *, most: int) -> listing.Listing:
            assert client is server.http
            return listing.Listing(server.sessions[:most], server.unreadable)

        monkeypatch.setattr(listing, "list_sessions", read)

        async def run() -> Look:
            return await leftovers.find(cast(Connection, server), **options)  # type: ignore[arg-type]  # as the tests name them

        return anyio.run(run)

    return look


@pytest.fixture
def found(looked: Callable[..., Look]) -> Callable[..., tuple[Leftover, ...]]:
    """What such a look finds, where everything can be seen."""

    def find(server: Listing, **options: object) -> tuple[Leftover, ...]:
        look = looked(server, **options)
        assert look.skipped == ()
        return look.found

    return find


def test_a_session_whose_process_is_gone_is_a_leftover_whatever_it_does(found: Callable[..., tuple[Leftover, ...]]) -> None:
    """Idle or busy; one of a living process is not, and a stranger's is not even asked about."""
    gone, busy, lives, stranger = session(1, forked_from="gone"), session(2, forked_from="gone"), session(3, task="x"), session(4)
    listing = Listing((gone, busy, lives, stranger), {busy.id: BUSY, lives.id: BUSY})
    assert found(listing) == (Leftover(gone, "owner_gone", "ready"), Leftover(busy, "owner_gone", "busy"))


def test_the_status_of_each_directory_is_read_once_and_only_where_it_matters(found: Callable[..., tuple[Leftover, ...]]) -> None:
    """A status belongs to its directory (F20); to ask for it may start an instance there (F59)."""
    here, there = session(1, forked_from="gone", directory="/a"), session(2, forked_from="gone", directory="/b")
    others = (session(3, task="x", directory="/a"), session(4, directory="/c"), session(5, task="x", directory="/d"))
    server = Listing((here, there, *others), {there.id: SessionStatus("retry")})
    assert [item.state for item in found(server)] == ["ready", "retry"]
    assert server.asked == ["/a", "/b"]


def test_a_directory_that_cannot_be_read_hides_its_own_sessions_alone(looked: Callable[..., Look]) -> None:
    """The others are found, and what was not seen is told; a session too large to be listed, too."""
    here, there = session(1, forked_from="gone", directory="/a"), session(2, forked_from="gone", directory="/b")
    look = looked(Listing((here, there), broken={"/a": "the configuration is broken"}, unreadable=2))
    assert look.found == (Leftover(there, "owner_gone", "ready"),)
    assert [item.to_wire() for item in look.skipped] == [
        {"directory": "/a", "reason": "the configuration is broken"},
        {"reason": "2 session(s) are larger than an answer may be"},
    ]
    assert look.skipped[0].sentence() == "sessions in /a could not be looked at: the configuration is broken"
    assert Skipped(None, "slow").sentence() == "sessions on the server could not be looked at: slow"


@pytest.mark.parametrize(
    ("deadline_ms", "status", "overdue"),
    [(NOW_MS - 1, BUSY, True), (NOW_MS, BUSY, False), (NOW_MS + 1, BUSY, False), (NOW_MS - 1, None, False), ("soon", BUSY, False)],
)
def test_a_task_beyond_its_deadline_is_one_only_while_it_runs(
    deadline_ms: object, status: SessionStatus | None, overdue: bool, found: Callable[..., tuple[Leftover, ...]]
) -> None:
    """One that ended in time keeps its session: somebody may still ask for what it did."""
    task = session(1, deadline_ms=deadline_ms)
    listing = Listing((task,), {task.id: status} if status is not None else {})
    assert found(listing) == ((Leftover(task, "deadline_passed", "busy"),) if overdue else ())


@pytest.mark.parametrize(("updated_ms", "old"), [(NOW_MS - 2001, True), (NOW_MS - 2000, False), (NOW_MS, False)])
def test_age_makes_a_leftover_only_when_it_is_asked_for(updated_ms: int, old: bool, found: Callable[..., tuple[Leftover, ...]]) -> None:
    """Counted from the last change; an idle session that we made, never one that runs or into which we only sent a task."""
    made = session(1, updated_ms=updated_ms, task="x")
    assert found(Listing((made,)), older_than_seconds=2) == ((Leftover(made, "old", "ready"),) if old else ())
    assert found(Listing((made,))) == ()
    assert found(Listing((made,), {made.id: BUSY}), older_than_seconds=2) == ()
    assert found(Listing((session(1, updated_ms=1, message_id="msg_1"),)), older_than_seconds=2) == ()


def test_what_an_earlier_call_gave_up_is_a_leftover_by_name(found: Callable[..., tuple[Leftover, ...]]) -> None:
    """Whatever else holds of it; the others are judged as always."""
    kept, given_up, gone = session(1, task="x"), session(2, forked_from="gone"), session(3, forked_from="gone")
    assert found(Listing((kept, given_up, gone)), given_up=frozenset({given_up.id})) == (
        Leftover(given_up, "not_removed", "ready"),
        Leftover(gone, "owner_gone", "ready"),
    )


def test_a_session_whose_creation_was_never_answered_is_given_up_by_its_mark(found: Callable[..., tuple[Leftover, ...]]) -> None:
    """Its id is not known to the call that made it; what that call wrote into it is."""
    lost, other = session(1, task="x", created_by="0123abcd"), session(2, task="x", created_by="ffff")
    assert found(Listing((lost, other, session(3))), given_up=frozenset({"0123abcd"})) == (Leftover(lost, "not_removed", "ready"),)


def test_so_many_sessions_are_looked_through_as_the_caller_wants(found: Callable[..., tuple[Leftover, ...]]) -> None:
    """A thousand unless told otherwise."""
    many = tuple(session(number, forked_from="gone") for number in range(sessions.MANY + 5))
    assert len(found(Listing(many))) == sessions.MANY == 1000
    assert len(found(Listing(many), limit=7)) == 7


@dataclass
class Stops:
    """Stands for ``stopping``: notes what it is asked, and answers or fails as it is told for a session."""

    unproved: tuple[str, ...] = ()
    failing: Mapping[str, Exception] = field(default_factory=dict)
    asked: list[tuple[object, ...]] = field(default_factory=list)

    async def stop(self, connection: object, item: Session) -> StopReport:
        self.asked.append(("stop", connection, item.id))
        if f"stop {item.id}" in self.failing:
            raise self.failing[f"stop {item.id}"]
        return StopReport(item.id, "busy", True, item.id not in self.unproved, 1, 0, 0.0)

    async def delete(self, connection: object, item: Session, *, report: StopReport) -> bool:
        self.asked.append(("delete", connection, item.id, report.session_id))
        if f"delete {item.id}" in self.failing:
            raise self.failing[f"delete {item.id}"]
        return False


SERVER = cast(Connection, object())


def swept(monkeypatch: pytest.MonkeyPatch, stops: Stops, *left: Leftover) -> tuple[Removal, ...]:
    """What becomes of these leftovers."""
    monkeypatch.setattr(stopping, "stop", stops.stop)
    monkeypatch.setattr(stopping, "delete", stops.delete)
    return anyio.run(leftovers.remove, SERVER, left)


@pytest.mark.parametrize("reason", ["owner_gone", "not_removed", "old"])
def test_a_leftover_is_stopped_and_then_deleted_with_that_very_proof(reason: leftovers.Reason, monkeypatch: pytest.MonkeyPatch) -> None:
    """One after the other."""
    left, stops = Leftover(session(1), reason, "busy"), Stops()
    assert swept(monkeypatch, stops, left) == (Removal(left, stopped=True, deleted=True, problem=None),)
    identifier = left.session.id
    assert stops.asked == [("stop", SERVER, identifier), ("delete", SERVER, identifier, identifier)]


def test_an_overdue_task_is_stopped_and_keeps_its_session(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where its stop is not proved, that is the problem that is told."""
    left, stops = Leftover(session(1), "deadline_passed", "busy"), Stops()
    assert swept(monkeypatch, stops, left) == (Removal(left, stopped=True, deleted=False, problem=None),)
    assert stops.asked == [("stop", SERVER, left.session.id)]
    assert swept(monkeypatch, Stops(unproved=(left.session.id,)), left) == (
        Removal(left, stopped=False, deleted=False, problem="it is not seen stopped"),
    )


def test_one_failure_does_not_keep_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each has its own story, in order: a stop that failed, a delete that failed, and one that went well."""
    first, second, third = (Leftover(session(number), "owner_gone", "busy") for number in (1, 2, 3))
    failing = {
        f"stop {first.session.id}": OutOfTime("request_timeout", "slow"),
        f"delete {second.session.id}": ActionFailed("cleanup_incomplete", "still there"),
    }
    assert swept(monkeypatch, Stops(failing=failing), first, second, third) == (
        Removal(first, stopped=False, deleted=False, problem="slow"),
        Removal(second, stopped=True, deleted=False, problem="still there"),
        Removal(third, stopped=True, deleted=True),
    )


def test_what_was_swept_is_told_in_a_sentence_and_as_data() -> None:
    """The reason in words, the title cut to one line's worth, and the problem where there is one."""
    long = Session("ses_1", "t" * 80, "/d", 1, 1)
    gone = Removal(Leftover(long, "owner_gone", "busy"), stopped=True, deleted=True)
    assert gone.sentence() == f"session ses_1 ('{'t' * 60}'), left behind by a process that is gone, was stopped and removed"
    stuck = Removal(Leftover(long, "not_removed", "ready"), stopped=True, deleted=False, problem="slow")
    assert stuck.sentence() == "session ses_1, which an earlier call could not remove, could not be removed: slow"
    wire = {"session_id": "ses_1", "title": "t" * 80, "directory": "/d"}
    assert gone.to_wire() == {**wire, "reason": "owner_gone", "was": "busy", "stopped": True, "deleted": True}
    assert stuck.to_wire() == {**wire, "reason": "not_removed", "was": "ready", "stopped": True, "deleted": False, "problem": "slow"}
