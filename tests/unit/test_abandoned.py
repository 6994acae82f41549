"""Whose a session is: abandoned only where it is certain that its process is gone."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest

from netclaw_opencode.driver import tags
from netclaw_opencode.driver.tags import SessionTag
from netclaw_opencode.opencode.process import identity, inspection
from netclaw_opencode.opencode.process.identity import INITIAL_NAMESPACE, ProcessIdentity

ME = ProcessIdentity("boot-1", INITIAL_NAMESPACE, 4242, 1000, "machine-1")
OWNER = replace(ME, pid=77, start_ticks=900)


def abandoned(owner: ProcessIdentity | None, *, local_server: bool = True) -> bool:
    """Whether a session of that owner is."""
    return SessionTag(owner=owner).is_abandoned(local_server=local_server)


@pytest.fixture
def nobody_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """We are ``ME``, and no other process is there."""
    monkeypatch.setattr(identity, "this_process", lambda: ME)
    monkeypatch.setattr(inspection, "is_alive", lambda *_: False)


def test_a_mark_names_the_process_so_that_it_is_never_taken_for_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """Boot, namespace, pid and start; and it is read back as it was written."""
    monkeypatch.setattr(identity, "this_process", lambda: ME)
    owner = tags.owner_marks()["owner"]
    assert owner == {"boot_id": "boot-1", "pid_namespace": INITIAL_NAMESPACE, "pid": 4242, "start_ticks": 1000, "machine": "machine-1"}
    assert SessionTag.from_metadata({"owner": owner}).owner == ME


@pytest.mark.parametrize("alive", [True, False])
def test_a_session_is_abandoned_when_that_very_process_is_gone(alive: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is asked about by pid and start, and belongs to somebody as long as it lives."""
    asked: list[tuple[int, int]] = []

    def is_alive(pid: int, start_ticks: int) -> bool:
        asked.append((pid, start_ticks))
        return alive

    monkeypatch.setattr(identity, "this_process", lambda: ME)
    monkeypatch.setattr(inspection, "is_alive", is_alive)
    assert abandoned(OWNER) is not alive
    assert asked == [(77, 900)]


@pytest.mark.parametrize(
    "owner",
    [
        None,
        replace(OWNER, pid_namespace="pid:[4026532178]"),
        replace(OWNER, pid_namespace="unknown"),
        replace(OWNER, boot_id="boot-0", pid_namespace="pid:[4026532178]"),
        replace(OWNER, boot_id="boot-0", machine="machine-2"),
        replace(OWNER, boot_id="boot-0", machine=""),
    ],
    ids=str,
)
@pytest.mark.usefixtures("nobody_runs")
def test_what_cannot_be_known_is_left_alone(owner: ProcessIdentity | None) -> None:
    """L19: no owner, one of another namespace or machine: such a session is not called abandoned, whoever runs here."""
    assert not abandoned(owner)
    assert abandoned(OWNER)


@pytest.mark.usefixtures("nobody_runs")
def test_after_a_restart_of_the_machine_its_own_sessions_are_abandoned() -> None:
    """Only outside containers, on a machine of the same id, with the server on it as well: copies of a machine share its id."""
    before = replace(OWNER, boot_id="boot-0")
    assert abandoned(before)
    assert not abandoned(before, local_server=False)


def test_in_a_container_no_restart_is_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever looks from another namespace does not know what became of the machine's own processes."""
    monkeypatch.setattr(identity, "this_process", lambda: replace(ME, pid_namespace="pid:[4026532178]"))
    assert not abandoned(replace(OWNER, boot_id="boot-0"))


def test_where_proc_shows_another_namespace_nothing_is_looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A new namespace without a /proc of its own: its pids would be looked for among strangers."""
    here = replace(ME, pid_namespace="unknown")
    monkeypatch.setattr(identity, "this_process", lambda: here)
    monkeypatch.setattr(inspection, "is_alive", lambda *_: False)
    assert not abandoned(replace(here, pid=77))


def test_our_own_sessions_are_not_abandoned_and_those_of_an_ended_process_are() -> None:
    """With real processes: this one, and a child that has ended."""
    assert not abandoned(identity.this_process())
    child = subprocess.Popen([sys.executable, "-SEc", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
    theirs = identity.identify(child.pid)
    assert not abandoned(theirs)
    child.communicate(timeout=20)
    assert abandoned(theirs)
