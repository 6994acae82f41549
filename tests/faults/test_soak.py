"""The long runs of ``make soak`` in small: that they work at all, and that the first random schedules hold."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.faults.rows import FIGURES
from tests.soak import chaos, loads
from tests.soak.__main__ import RUNS

pytestmark = pytest.mark.real


def test_the_first_random_schedules_leave_nothing_and_tell_no_false_success(tmp_path: Path) -> None:
    """G21 for seeds 0 to 3: faults of wire and model at random; whatever comes of the turn, nothing is left on the server."""
    figure = chaos.schedules(tmp_path / "soak", 0.004)
    assert figure.held, figure.reading


def test_whole_tasks_side_by_side(tmp_path: Path) -> None:
    """G7 in small: tasks at the same time on one server, each with its own answer."""
    figure = loads.lifecycles(tmp_path / "soak", 0.04)
    assert figure.held, figure.reading


def test_kept_figures_are_of_the_runs_that_there_are() -> None:
    """The page shows no figure that no run makes, and each says when and on what machine it was read."""
    kept = json.loads(FIGURES.read_text(encoding="utf-8"))
    # G19 is the mutation check, of scripts/mutants.py.
    assert kept and set(kept) <= {*RUNS, "G19"}
    assert all(set(each) == {"goal", "reading", "held", "seconds", "date", "machine"} for each in kept.values())
