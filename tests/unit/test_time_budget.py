"""The time of one call: shared between the work, the stop and the result, and never longer than what the operator allows."""

from __future__ import annotations

import math

import pytest

from netclaw_opencode._core import time_budget
from netclaw_opencode._core.time_budget import CallBudget


def at(seconds: float, *, cap: float | None = 60.0) -> CallBudget:
    """A call that began at 100 and has run for so long."""
    return CallBudget(lambda: 100.0 + seconds, 100.0, cap)


def test_without_a_cap_a_call_has_no_end() -> None:
    """Every limit stays as it is, and nothing is noted."""
    free = at(5000, cap=None)
    assert (free.ends, free.clamp(3600.0), free.note(), free.cut_limit) == (math.inf, 3600.0, None, 0.0)


def test_a_call_ends_before_its_cap_so_that_the_result_gets_out() -> None:
    """A second and a half is kept for the start of the interpreter and the writing."""
    assert at(0).ends == 158.5


@pytest.mark.parametrize(
    ("cap", "gone", "stops", "most"),
    [
        (60.0, 0.0, True, 49.5),  # 58.5 less 15 % of the cap
        (60.0, 10.0, True, 39.5),
        (60.0, 0.0, False, 56.5),  # less the last look
        (15.0, 0.0, True, 10.5),  # never less than 3 s for the stop
        (600.0, 0.0, True, 586.5),  # never more than 12 s
        (60.0, 59.0, True, 0.1),  # never nothing
        (60.0, 0.27, True, 49.2),  # to a tenth
    ],
)
def test_a_limit_is_cut_to_what_the_cap_leaves(cap: float, gone: float, stops: bool, most: float) -> None:
    """The reserve for stop and clean-up comes off first; a limit that fits stays."""
    call = at(gone, cap=cap)
    assert call.clamp(most, stops=stops) == most
    assert call.cut_limit == 0.0
    assert call.clamp(most + 0.05, stops=stops) == most
    assert call.cut_limit == most + 0.05


def test_stopping_is_what_a_limit_reserves_for_unless_told_otherwise() -> None:
    """The default is the careful one."""
    assert at(0).clamp(3600.0) == at(0).clamp(3600.0, stops=True) != at(0).clamp(3600.0, stops=False)


def test_the_longest_limit_that_was_cut_is_told() -> None:
    """One sentence, with the setting's name; none where nothing was cut."""
    call = at(0)
    assert call.note() is None
    call.clamp(10.0)
    assert call.note() is None
    for limit in (300.0, 100.0):
        call.clamp(limit)
    assert call.note() == "OPENCODE_DRIVER_CALL_SECONDS is 60, so the call could not use the 300 s that it was given"
    assert CallBudget(lambda: 0.0, 0.0, None, cut_limit=5.0).note() is None


def test_outside_of_a_call_there_is_no_end() -> None:
    """Whoever asks there gets all that was asked for."""
    assert time_budget.current().ends == math.inf
    assert time_budget.remaining_up_to(7.5) == time_budget.remaining_up_to(7.5, stopping=True) == 7.5


def test_within_a_call_a_wait_is_cut_to_what_is_left() -> None:
    """A stop gets 70 % of it, so that the removal has the rest; what has begun gets half a second in any case."""
    now = [100.0]
    with time_budget.call_budget(60.0, clock=lambda: now[0]) as call:
        assert time_budget.current() is call
        assert time_budget.remaining_up_to(20.0) == 20.0
        assert time_budget.remaining_up_to(99.0) == 58.5
        assert time_budget.remaining_up_to(99.0, stopping=True) == pytest.approx(58.5 * 0.7)
        now[0] = 158.4
        assert time_budget.remaining_up_to(99.0) == time_budget.remaining_up_to(99.0, stopping=True) == 0.5
        assert time_budget.remaining_up_to(0.2) == 0.2
        now[0] = 500.0
        assert time_budget.remaining_up_to(99.0) == 0.5
    assert time_budget.current().ends == math.inf


def test_a_call_within_a_call_has_the_outer_ones_time() -> None:
    """The time that has gone counts, and no cap of its own makes it longer, on the same clock; another clock begins anew."""
    now = [100.0]

    def clock() -> float:
        return now[0]

    with time_budget.call_budget(60.0, clock=clock):
        now[0] = 130.0
        with time_budget.call_budget(20.0, clock=clock) as inner:
            assert inner.ends == 118.5
        for longer in (90.0, None):
            with time_budget.call_budget(longer, clock=clock) as inner:
                assert inner.ends == 158.5
        with time_budget.call_budget(20.0, clock=lambda: 7.0) as other:
            assert other.ends == 25.5
        assert time_budget.current().ends == 158.5


def test_a_call_has_a_deadline_of_its_own_and_time_to_stop_beyond_it() -> None:
    """The work ends at the deadline; what it started is stopped in the time after it."""
    with time_budget.call_budget(None, clock=lambda: 100.0, deadline_seconds=30.0, stop_seconds=15.0) as call:
        assert (call.deadline, call.ends) == (130.0, 145.0)
        assert (time_budget.remaining_to_deadline(99.0), time_budget.remaining(99.0), time_budget.remaining_up_to(99.0)) == (
            30.0,
            45.0,
            45.0,
        )


def test_the_operator_s_cap_and_the_deadline_both_hold() -> None:
    """Whichever comes first."""
    with time_budget.call_budget(20.0, clock=lambda: 100.0, deadline_seconds=30.0, stop_seconds=15.0):
        assert time_budget.remaining(99.0) == time_budget.remaining_to_deadline(99.0) == 18.5
    with time_budget.call_budget(600.0, clock=lambda: 100.0, deadline_seconds=30.0) as call:
        assert call.ends == 130.0


def test_a_call_within_a_call_cannot_outlast_it() -> None:
    """Its own deadline counts where it is shorter."""

    def clock() -> float:
        return 100.0

    with time_budget.call_budget(None, clock=clock, deadline_seconds=30.0):
        for seconds, left in ((10.0, 10.0), (60.0, 30.0), (None, 30.0)):
            with time_budget.call_budget(None, clock=clock, deadline_seconds=seconds):
                assert time_budget.remaining_to_deadline(99.0) == left


def test_what_outlives_a_call_leaves_its_bounds() -> None:
    """A shared task that a call started has none of that call's time."""
    with time_budget.call_budget(60.0, clock=lambda: 100.0, deadline_seconds=30.0):
        time_budget.detach()
        assert (time_budget.remaining(99.0), time_budget.remaining_to_deadline(99.0), time_budget.current().ends) == (99.0, 99.0, math.inf)


def test_without_an_end_the_default_is_left() -> None:
    """Outside of a call, and in one without a deadline."""
    assert (time_budget.remaining(7.0), time_budget.remaining_to_deadline(7.0)) == (7.0, 7.0)
    with time_budget.call_budget(None, clock=lambda: 100.0):
        assert (time_budget.remaining(7.0), time_budget.remaining_to_deadline(7.0)) == (7.0, 7.0)
