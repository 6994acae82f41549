"""Deleting a session: only after a stop that was seen, and only gone once it is seen gone."""

from __future__ import annotations

import pytest

from netclaw_opencode.driver import stopping
from netclaw_opencode.driver.stopping import StopReport
from netclaw_opencode.errors import ActionFailed, OutOfTime
from netclaw_opencode.opencode.wire.http import HttpNotFoundError
from tests.support.stopping_script import PARENT, QUIET, Scripted, running

UNSTOPPED = StopReport(PARENT.id, "busy", True, False, 3, 0, 8.0)
STOPPED = stopping.already_stopped(PARENT)


def test_what_is_not_seen_stopped_is_not_deleted() -> None:
    """Not a byte is sent (F24)."""
    world = Scripted()
    with pytest.raises(ActionFailed) as caught:
        world.delete(UNSTOPPED)
    assert (caught.value.code, caught.value.rule) == ("abort_unconfirmed", "delete-after-stop")
    assert caught.value.message == f"session {PARENT.id} is not seen stopped, so it was not deleted"
    assert world.asked == []


def test_without_a_report_the_stop_comes_first() -> None:
    """The abort, the proof, the delete, and the look that it is gone."""
    world = Scripted(states=[running(PARENT), QUIET])
    assert world.delete() is False
    assert world.posted() == [f"session_abort {PARENT.id}", f"session_delete {PARENT.id}", f"read {PARENT.id}"]


def test_a_deleted_session_is_told_and_noted_once_it_is_seen_gone() -> None:
    """False: it was not gone already. True: the second of two deletes found nothing (F52)."""
    for failing, gone_already in ((None, False), (HttpNotFoundError("gone"), True)):
        world = Scripted(failing={"session_delete": [failing]})
        told: list[str] = []
        assert world.delete(STOPPED, told=told.append) is gone_already
        assert told == [PARENT.id]
        assert world.posted() == [f"session_delete {PARENT.id}", f"read {PARENT.id}"]
        (note,) = [item for item in world.notes if item[0] == "deleted"]
        assert note == ("deleted", {"session_id": PARENT.id, "gone_already": gone_already})


def test_a_delete_that_fails_or_does_nothing_is_named() -> None:
    """With the session, the reason and the command that tries again; nobody is told that it is gone."""
    reasons = {
        "slow": Scripted(failing={"session_delete": [OutOfTime("request_timeout", "slow")]}),
        "it is still there after the delete": Scripted(found=PARENT),
    }
    for reason, world in reasons.items():
        with pytest.raises(ActionFailed) as caught:
            world.delete(STOPPED, told=lambda _: pytest.fail("nothing is gone"))
        error = caught.value
        assert (error.code, error.message) == ("cleanup_incomplete", f"session {PARENT.id} could not be removed: {reason}")
        assert error.next == f"netclaw-opencode run delete-session --session-id {PARENT.id}"
        assert error.details == {"session_id": PARENT.id}
        assert not [item for item in world.notes if item[0] == "deleted"]


def test_a_look_that_fails_after_the_delete_is_not_taken_for_gone() -> None:
    """Only a 404 shows that; anything else is raised as it is."""
    lost = ActionFailed("connection_lost", "broken")
    with pytest.raises(ActionFailed) as caught:
        Scripted(found=lost).delete(STOPPED)
    assert caught.value is lost
