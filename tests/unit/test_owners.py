"""Whose a session is: abandoned only where it is certain that its process, of this machine, is gone."""

from __future__ import annotations

import subprocess
import sys

import psutil
import pytest

from netclaw_opencode.client.types import Session
from netclaw_opencode.driver import owners
from netclaw_opencode.driver.rules import MARK
from netclaw_opencode.server import process
from netclaw_opencode.server.process import ThisProcess

ME = ThisProcess("this-host", 4242, 1000.25)
OWNER = {"host": "this-host", "pid": 77, "create_time": 900.5}


def of(owner: object) -> Session:
    """A session with that owner in our mark."""
    return Session("ses_1", "t", "/d", 1, 1, metadata={MARK: {"owner": owner}})


def test_a_mark_names_host_pid_and_start_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pid alone means something else tomorrow, or on another machine."""
    monkeypatch.setattr(process, "this_process", lambda: ME)
    assert owners.marks() == {"owner": {"host": "this-host", "pid": 4242, "create_time": 1000.25}}


@pytest.mark.parametrize("create_time", [900.5, 900])
def test_a_session_is_abandoned_when_that_very_process_is_gone(create_time: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is asked about by pid and start time, and belongs to somebody as long as it lives."""
    asked: list[tuple[object, object]] = []
    for alive in (True, False):

        def is_alive(pid: int, created: float, *, answer: bool = alive) -> bool:
            asked.append((pid, created))
            return answer

        monkeypatch.setattr(process, "this_process", lambda: ME)
        monkeypatch.setattr(process, "is_alive", is_alive)
        assert owners.abandoned(of({**OWNER, "create_time": create_time})) is not alive
    assert asked == [(77, float(create_time))] * 2
    assert all(isinstance(created, float) for _, created in asked)


@pytest.mark.parametrize(
    "owner",
    [
        None,
        "this-host",
        {},
        {**OWNER, "host": "elsewhere"},
        {**OWNER, "host": None},
        {"pid": 77, "create_time": 900.5},
        {**OWNER, "pid": "77"},
        {**OWNER, "pid": None},
        {**OWNER, "create_time": "900.5"},
        {"host": "this-host", "pid": 77},
        {"host": "this-host", "create_time": 900.5},
    ],
    ids=str,
)
def test_what_cannot_be_known_is_left_alone(owner: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """No owner, one of another machine, or one that is not fully named: such a session is not called abandoned."""
    monkeypatch.setattr(process, "this_process", lambda: ME)
    monkeypatch.setattr(process, "is_alive", lambda *_: False)
    assert owners.abandoned(of(owner)) is False
    assert owners.abandoned(of(OWNER)) is True
    assert owners.abandoned(Session("ses_1", "t", "/d", 1, 1)) is False


def test_our_own_sessions_are_not_abandoned_and_those_of_an_ended_process_are() -> None:
    """With real processes: this one, and a child that has ended."""
    mine = owners.marks()["owner"]
    assert isinstance(mine, dict)
    assert owners.abandoned(of(mine)) is False
    child = subprocess.Popen([sys.executable, "-SEc", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
    theirs = {**mine, "pid": child.pid, "create_time": psutil.Process(child.pid).create_time()}
    assert owners.abandoned(of(theirs)) is False
    child.communicate(timeout=20)
    assert owners.abandoned(of(theirs)) is True
    assert process.this_process().pid == mine["pid"]
