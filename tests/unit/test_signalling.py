"""Who is signalled: that very process, and never process 1, ourselves or what started us.

No process gets a signal here: the processes, and the way to them, are stand-ins that note what would be sent.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from types import SimpleNamespace
from typing import cast

import psutil
import pytest

from netclaw_opencode.opencode.process import identity, inspection, terminating
from netclaw_opencode.opencode.process.terminating import Termination

PID = 4242


class StandIn:
    """A process that notes what is sent to it; what it notes is all that happens."""

    def __init__(self, pid: int = PID, *, running: bool = True, ends_on: tuple[str, ...] = ("TERM", "KILL")) -> None:
        self.pid = pid
        self.sent: list[str] = []
        self.running = running
        self.ends_on = ends_on
        self.below: list[StandIn] = []

    def is_running(self) -> bool:
        return self.running

    def terminate(self) -> None:
        self.sent.append("TERM")

    def kill(self) -> None:
        self.sent.append("KILL")

    def children(self, *, recursive: bool) -> list[StandIn]:
        assert recursive is True, "grandchildren outlive it too"
        return list(self.below)

    def wait(self, timeout: float) -> int:
        assert timeout == 0
        if any(word in self.ends_on for word in self.sent):
            return 0
        raise psutil.TimeoutExpired(timeout, self.pid)

    def status(self) -> str:
        return psutil.STATUS_RUNNING


def as_process(stand_in: StandIn) -> psutil.Process:
    """The stand-in under the type that it stands for."""
    return cast(psutil.Process, stand_in)


@pytest.fixture(autouse=True)
def without_handles(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where the system has none: the signal goes through the process object. Two pids are ours."""

    @contextmanager
    def pinned(pid: int) -> Iterator[None]:
        assert pid > 1
        yield None

    monkeypatch.setattr(terminating, "_open_pidfd", pinned)
    monkeypatch.setattr(terminating, "ancestor_pids", lambda: frozenset({77, 78}))


@pytest.mark.parametrize(("pid", "signalled"), [(2, True), (PID, True), (1, False), (0, False), (-5, False), (77, False), (78, False)])
def test_only_a_process_that_is_not_ours_or_the_systems_first_is_signalled(pid: int, signalled: bool) -> None:
    """Below 2 are process 1 and whole groups; the caller and what is above it must live."""
    for kill, word in ((False, "TERM"), (True, "KILL")):
        found = StandIn(pid)
        terminating._signal(as_process(found), kill=kill)
        assert found.sent == ([word] if signalled else [])


def test_a_process_that_has_become_another_is_not_signalled() -> None:
    """It is looked at once more right before the signal."""
    found = StandIn(running=False)
    terminating._signal(as_process(found), kill=True)
    assert found.sent == []


def test_where_there_is_a_handle_the_signal_goes_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pid may become another process's between look and signal; a handle cannot."""
    sent: list[tuple[int, int]] = []

    @contextmanager
    def pinned(pid: int) -> Iterator[int]:
        assert pid == PID
        yield 99

    monkeypatch.setattr(terminating, "_open_pidfd", pinned)
    monkeypatch.setattr(signal, "pidfd_send_signal", lambda handle, number: sent.append((handle, number)), raising=False)
    found = StandIn()
    terminating._signal(as_process(found), kill=False)
    terminating._signal(as_process(found), kill=True)
    assert (sent, found.sent) == ([(99, signal.SIGTERM), (99, signal.SIGKILL)], [])


@pytest.mark.parametrize("error", [psutil.NoSuchProcess(PID), ProcessLookupError()], ids=["psutil", "system"])
def test_one_that_is_gone_already_is_no_error(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    """The goal is reached."""

    def pinned(_: int) -> AbstractContextManager[None]:
        raise error

    monkeypatch.setattr(terminating, "_open_pidfd", pinned)
    found = StandIn()
    terminating._signal(as_process(found), kill=True)
    assert found.sent == []


def ended(server: StandIn | None, monkeypatch: pytest.MonkeyPatch, *, pid: int = PID) -> Termination:
    """How that server ends, with no time given to it."""
    monkeypatch.setattr(inspection, "find_process", lambda wanted, created: server if (wanted, created) == (pid, 55) else None)
    monkeypatch.setattr(terminating, "TERM_SECONDS", 0.0)
    monkeypatch.setattr(terminating, "_KILL_SECONDS", 0.0)
    return terminating._terminate_tree(pid, 55)


def test_a_server_that_obeys_gets_one_signal_and_its_children_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tool children live in sessions of their own, so each of them is ended by itself (F5)."""
    server, child, grandchild = StandIn(), StandIn(43), StandIn(44)
    server.below = [child, grandchild]
    assert ended(server, monkeypatch) == Termination("SIGTERM", 3, 0)
    assert (server.sent, child.sent, grandchild.sent) == (["TERM"], ["KILL"], ["KILL"])


def test_one_that_does_not_obey_is_killed_with_the_children_that_came_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of them once."""
    server, child, late = StandIn(ends_on=("KILL",)), StandIn(43), StandIn(44)
    looks = iter(([child], [child, late]))
    monkeypatch.setattr(terminating, "_descendants", lambda found: next(looks) if found is server else [])
    assert ended(server, monkeypatch) == Termination("SIGKILL", 3, 0)
    assert (server.sent, child.sent, late.sent) == (["TERM", "KILL"], ["KILL"], ["KILL"])


def test_what_does_not_end_at_all_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is told that it is gone."""
    server, child, other = StandIn(ends_on=()), StandIn(43, ends_on=()), StandIn(44)
    server.below = [child, other]
    assert ended(server, monkeypatch) == Termination("SIGKILL", 1, 2)


def test_nothing_is_ended_that_is_gone_or_is_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    """A note may name any pid."""
    assert ended(None, monkeypatch) == Termination(None, 0, 0)
    us = StandIn(77)
    assert ended(us, monkeypatch, pid=77) == Termination(None, 0, 0)
    assert us.sent == []


def test_the_time_of_the_call_bounds_the_polite_wait_and_the_last_look(monkeypatch: pytest.MonkeyPatch) -> None:
    """The polite wait leaves some of it to what follows."""
    asked: list[tuple[float, bool]] = []

    def within(seconds: float, *, stopping: bool = False) -> float:
        asked.append((seconds, stopping))
        return 0.0

    monkeypatch.setattr(terminating.time_budget, "remaining_up_to", within)  # type: ignore[attr-defined]
    server = StandIn(ends_on=())
    monkeypatch.setattr(inspection, "find_process", lambda *_: server)
    monkeypatch.setattr(terminating, "TERM_SECONDS", 5.0)
    monkeypatch.setattr(terminating, "_KILL_SECONDS", 3.0)
    assert terminating._terminate_tree(PID, 55) == Termination("SIGKILL", 0, 1)
    assert asked == [(5.0, True), (3.0, False), (3.0, False)]


def test_everything_below_is_found_whatever_its_depth() -> None:
    """And a process that is gone has nothing below it."""
    server = StandIn()
    server.below = [StandIn(43)]
    assert terminating._descendants(as_process(server)) == server.below

    def gone(*, recursive: bool) -> list[StandIn]:
        raise psutil.NoSuchProcess(PID)

    assert terminating._descendants(cast(psutil.Process, SimpleNamespace(children=gone))) == []


def test_kill_takes_each_of_them_and_looks_at_their_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """With its time."""
    waited: list[tuple[object, float]] = []
    monkeypatch.setattr(psutil, "wait_procs", lambda found, timeout: waited.append((found, timeout)))
    found = [StandIn(43), StandIn(44)]
    terminating.kill_all([as_process(item) for item in found])
    assert [item.sent for item in found] == [["KILL"], ["KILL"]]
    assert waited == [(found, terminating._KILL_SECONDS)]


@pytest.mark.parametrize(("owner", "same"), [(0, True), (1, False)])
def test_a_process_is_described_by_its_command_line_start_and_owner(owner: int, same: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also one with a pid that cannot be: below zero nobody is asked for a group."""
    asked: list[int] = []

    def look(pid: int) -> SimpleNamespace:
        asked.append(pid)
        uids = SimpleNamespace(real=os.getuid() + owner)
        return SimpleNamespace(uids=lambda: uids, cmdline=lambda: ["opencode", "serve"], pid=pid)

    monkeypatch.setattr(psutil, "Process", look)
    monkeypatch.setattr(identity, "start_ticks", lambda pid: 55 if pid == PID else None)
    assert inspection.read_command_line(PID) == (("opencode", "serve"), 55, same)
    inspection.read_command_line(-5)
    assert asked == [PID, 0]


def test_a_process_that_ends_by_itself_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is gone has ended; one that stays has not, however long one waits."""
    asked: list[float] = []

    def gone(found: object, within_seconds: float) -> bool:
        asked.append(within_seconds)
        return found == "ends"

    monkeypatch.setattr(inspection, "wait_for_exit", gone)
    for found, answer in (("ends", True), ("stays", False), (None, True)):

        def look(*who: object, found: str | None = found) -> str | None:
            assert who == (PID, 55)
            return found

        monkeypatch.setattr(inspection, "find_process", look)
        assert inspection.wait_until_gone(PID, 55) is answer
    inspection.wait_until_gone(PID, 55, within_seconds=0.25)
    monkeypatch.setattr(inspection, "find_process", lambda *_: "stays")
    inspection.wait_until_gone(PID, 55, within_seconds=0.25)
    assert asked == [1.0, 1.0, 0.25]


@pytest.mark.parametrize(
    ("waited", "status", "has_ended"),
    [
        (0, psutil.STATUS_RUNNING, True),
        (psutil.TimeoutExpired(0, PID), psutil.STATUS_RUNNING, False),
        (psutil.TimeoutExpired(0, PID), psutil.STATUS_STOPPED, False),
        (psutil.TimeoutExpired(0, PID), psutil.STATUS_ZOMBIE, True),
        (psutil.TimeoutExpired(0, PID), psutil.NoSuchProcess(PID), True),
        (psutil.NoSuchProcess(PID), psutil.STATUS_RUNNING, True),
    ],
    ids=["waited for", "runs", "stopped", "zombie", "gone at the second look", "gone"],
)
def test_a_process_has_ended_when_it_is_gone_or_only_waits_to_be_counted(waited: object, status: object, has_ended: bool) -> None:
    """A zombie has its pid still; one that is stopped lives."""

    def answer(value: object) -> object:
        if isinstance(value, Exception):
            raise value
        return value

    found = SimpleNamespace(wait=lambda _: answer(waited), status=lambda: answer(status))
    assert inspection.has_exited(cast(psutil.Process, found)) is has_ended


@pytest.mark.parametrize(("pid", "found"), [(PID, True), (2, True), (1, False), (0, False), (-5, False)])
def test_a_note_never_leads_to_process_one_or_a_group(pid: int, found: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever start time it names; of the others it is the start time that proves who it is."""
    monkeypatch.setattr(psutil, "Process", lambda asked: SimpleNamespace(pid=asked))
    monkeypatch.setattr(identity, "start_ticks", lambda _: 55)
    assert (inspection.find_process(pid, 55) is not None) is found
    assert inspection.find_process(pid, 56) is None
