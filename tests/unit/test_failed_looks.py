"""Looks that fail while a turn is followed: counted and timed, and a proof only where the same thing happens again and again."""

from __future__ import annotations

from netclaw_opencode.driver.turn import FailedLooks
from netclaw_opencode.errors import ActionFailed, OutOfTime


def test_without_a_failed_look_there_is_nothing_to_tell() -> None:
    """No sentence in the notes."""
    assert FailedLooks().note() is None


def test_looks_that_fail_to_the_end_count_their_time() -> None:
    """No look that succeeds ends the row."""
    looks = FailedLooks()
    for now in (10.0, 12.0, 16.5):
        looks.add(OutOfTime("request_timeout", "slow"), now=now)
    assert (looks.count, looks.seconds) == (3, 6.5)


def test_only_looks_that_fail_in_the_same_way_in_a_row_prove_anything() -> None:
    """A refusal among time-outs is one refusal, and a look that succeeds begins anew."""
    looks = FailedLooks()
    refused, slow = ActionFailed("connection_lost", "reset"), OutOfTime("request_timeout", "slow")
    for error in (refused, slow, refused, refused):
        looks.add(error, now=1.0)
    assert (looks.repeated("connection_lost"), looks.repeated("request_timeout")) == (2, 0)
    looks.end(now=2.0)
    assert (looks.repeated("connection_lost"), looks.last) == (0, None)
