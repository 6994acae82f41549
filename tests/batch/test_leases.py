"""Who is lost: a count that stands still over a whole lease of a steady observer, and nobody else."""

from __future__ import annotations

from netclaw_opencode.batch import leases
from netclaw_opencode.batch.leases import Watch


def test_a_count_that_stands_still_for_a_lease_is_lost() -> None:
    """Not before, and not where it moves."""
    watch = Watch(lease_seconds=6, beat_seconds=2)
    assert watch.lost({"a": 1, "b": 1}, 0.0) == set()
    assert watch.lost({"a": 2, "b": 1}, 2.0) == set()
    assert watch.lost({"a": 3, "b": 1}, 4.0) == set()
    assert watch.lost({"a": 4, "b": 1}, 6.0) == {"b"}


def test_an_observer_that_was_held_up_judges_nobody() -> None:
    """Stopped for a minute, it has not seen the beats of that minute: it watches a whole lease anew."""
    watch = Watch(lease_seconds=6, beat_seconds=2)
    watch.lost({"a": 1}, 0.0)
    assert watch.lost({"a": 1}, 60.0) == set()
    assert watch.lost({"a": 1}, 62.0) == set()
    assert watch.lost({"a": 1}, 64.0) == set()
    assert watch.lost({"a": 1}, 66.0) == {"a"}


def test_a_worker_that_comes_again_under_its_name_is_watched_anew() -> None:
    """What was seen of a worker that has gone says nothing about a later one."""
    watch = Watch(lease_seconds=6, beat_seconds=2)
    watch.lost({"a": 1}, 0.0)
    watch.lost({}, 2.0)
    watch.lost({"a": 1}, 4.0)
    assert watch.lost({"a": 1}, 6.0) == set()


def test_a_living_process_is_not_gone_and_one_of_another_start_is() -> None:
    """The same pid with other start ticks is another process."""
    kept = leases.this_process()
    assert not leases.is_gone(kept)
    ticks = kept.partition('"start_ticks": ')[2].partition(",")[0].rstrip("}")
    assert leases.is_gone(kept.replace(f'"start_ticks": {ticks}', '"start_ticks": 1'))
