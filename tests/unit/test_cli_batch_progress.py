"""How a batch is shown while it runs: a table that fits the terminal and leaves nothing behind, or quiet lines."""

from __future__ import annotations

import io
import os
import sys

import pytest

from netclaw_opencode.adapters.cli import batch_progress
from netclaw_opencode.adapters.cli.batch_progress import BatchLines, BatchTable
from netclaw_opencode.adapters.cli.terminal import columns_of
from netclaw_opencode.facts import ProgressEvent
from tests.support.screen import Screen

HOSTILE = "bash \x1b[2J\x1b]0;title\x07 rm\u202e\r\n-rf " + "漢字" * 40


def summary(*, running: int = 3, waiting: int = 5, completed: int = 2, failed: int = 0, **more: object) -> dict[str, object]:
    """How far a batch is, as ``get_batch`` tells it: at most 50 of what runs."""
    rows = [
        {"id": f"task-{number}", "attempts": 1, "elapsed_seconds": 60.0 + number, "doing": HOSTILE} for number in range(min(50, running))
    ]
    return {
        "state": "running",
        "total": running + waiting + completed + failed,
        "counts": {"waiting": waiting, "running": running, "completed": completed, "failed": failed, "cancelled": 0},
        "failures": {"turn_timeout": failed} if failed else {},
        "cost_usd": 0.42,
        "running": rows,
        "per_minute": 8.5,
        "left_seconds": 95,
        **more,
    }


class Stage:
    """A terminal of a size that may change, and a clock that stands until it is moved."""

    def __init__(self, columns: int = 80, rows: int = 24, *, colour: bool = False) -> None:
        self.now, self.front = 100.0, True
        self.stream = io.StringIO()
        self.screen = Screen(columns, rows)
        self._read = 0
        self.table = BatchTable(
            self.stream,
            colour=colour,
            clock=lambda: self.now,
            size=lambda: (self.screen.columns, self.screen.rows),
            in_front=lambda: self.front,
        )
        self.screen.feed("$ netclaw-opencode run run-batch\r\n")

    def see(self, **more: object) -> None:
        """Let an event come, and time pass."""
        self.table.on_event(ProgressEvent("status", "so far", facts={"batch": summary(**more)}))  # type: ignore[arg-type]
        self.tick()

    def tick(self, seconds: float = 1.0) -> str:
        """Draw, and return what was written."""
        self.now += seconds
        self.table.tick()
        return self.drawn()

    def drawn(self) -> str:
        """Feed the screen what was written since."""
        new = self.stream.getvalue()[self._read :]
        self._read += len(new)
        self.screen.feed(new)
        return new


def test_the_table_shows_how_far_it_is_and_what_runs() -> None:
    """Head, running tasks with their growing time, failures by code; drawn in place, and taken away whole."""
    stage = Stage(100)
    stage.see(failed=1)
    stage.see(failed=2, completed=4)
    stage.tick(3)
    # An in-memory stream has no encoding, so the bar is plain.
    assert stage.screen.lines() == [
        "$ netclaw-opencode run run-batch",
        "########------------ 6 of 14, 3 running, 5 waiting, 2 failed, $0.42, 8.5 a minute, 1 min 35 s left",
        "running       since  attempt  last seen",
        *(f"task-{number}   1 min 0{number + 4} s        1  {stage.screen.lines()[3][30:]}" for number in range(3)),
        "turn_timeout 2",
    ]
    assert stage.screen.lines()[3].endswith("…") and r"\x1b[2J\x1b]0;title\x07 rm\u202e" in stage.screen.lines()[3]
    stage.table.close()
    stage.table.close()
    stage.drawn()
    assert stage.screen.lines() == ["$ netclaw-opencode run run-batch"]


@pytest.mark.parametrize(("columns", "rows"), [(200, 50), (80, 24), (60, 12), (40, 8), (20, 5), (12, 3), (8, 2), (5, 1)])
def test_the_table_is_never_larger_than_the_terminal(columns: int, rows: int) -> None:
    """Of 200 that run the first ones are shown, and how many more there are; no row is broken, none scrolls away."""
    stage = Stage(columns, rows)
    broken = stage.screen.broken
    stage.see(running=200, failed=3)
    scrolled = stage.screen.scrolled
    stage.see(running=199, failed=4)
    stage.tick()
    assert (stage.screen.scrolled, stage.screen.broken) == (scrolled, broken)
    assert all(columns_of(line) < columns for line in stage.screen.lines()[1:])
    shown = sum("task-" in line for line in stage.screen.lines())
    if rows >= 8:
        assert shown > 0 and any(line == f"+ {199 - shown} more" for line in stage.screen.lines())
    if rows >= 5:
        assert stage.screen.lines()[-1].startswith("turn_timeout 4")


@pytest.mark.parametrize("to", [(40, 24), (30, 10), (120, 30), (80, 6), (20, 4)])
def test_a_resized_terminal_is_drawn_anew(to: tuple[int, int]) -> None:
    """What the terminal has broken into more rows is taken away; afterwards one table stands there, and then none."""
    stage = Stage(80, 24)
    stage.see(running=8)
    stage.screen.resize(*to)
    stage.tick(0.1)
    lines = stage.screen.lines()
    assert sum("of 15" in line for line in lines) == 1 and sum("task-0" in line for line in lines) <= 1
    stage.table.close()
    stage.drawn()
    assert "".join(stage.screen.lines()) in "$ netclaw-opencode run run-batch"


def test_nothing_is_written_while_nothing_changes() -> None:
    """Ten ticks a second write once a second, and nothing at all where the text is the same; nothing in the background."""
    stage = Stage()
    stage.see(running=0, waiting=1)
    assert "".join(stage.tick(0.1) for _ in range(100)) == ""
    stage.see()
    assert sum(bool(stage.tick(0.1)) for _ in range(100)) in range(9, 12)
    stage.front = False
    assert stage.tick(5) == ""
    stage.front = True
    assert "\x1b[" not in stage.tick(5).partition("of")[0]


def test_what_goes_wrong_is_the_last_row() -> None:
    """Ctrl-C, and a file that cannot be written."""
    stage = Stage()
    stage.see()
    stage.table.on_event(ProgressEvent("status", "results\x1b could not be written", facts={"problem": True}))
    stage.tick(0.1)
    assert stage.screen.lines()[-1] == r"results\x1b could not be written"
    stage.table.on_event(ProgressEvent("stopping", "Ctrl-C: stopping what runs"))
    stage.tick(0.1)
    assert stage.screen.lines()[-1] == "Ctrl-C: stopping what runs"


def test_colour_is_one_switch() -> None:
    """Without it no attribute is set; with it the text is the same."""
    plain, coloured = Stage(), Stage(colour=True)
    for stage in (plain, coloured):
        stage.see(failed=1)
    assert "\x1b[32m" in coloured.stream.getvalue() and "\x1b[31m" in coloured.stream.getvalue()
    assert coloured.screen.lines() == plain.screen.lines()
    assert not any(f"\x1b[{code}m" in plain.stream.getvalue() for code in (0, 2, 31, 32))


def test_a_pipe_gets_seldom_lines_and_every_failure() -> None:
    """One line with counts in five seconds, only if something has ended; failures by name, and counted if they are many; no controls."""
    now, stream = 100.0, io.StringIO()
    lines = BatchLines(stream, clock=lambda: now)

    def see(*ended: dict[str, str], **more: int) -> None:
        lines.on_event(ProgressEvent("status", "", facts={"batch": summary(**more), "ended": list(ended)}))
        lines.tick()

    see(completed=2)
    for _ in range(100):
        now += 0.1
        see(completed=2)
    assert stream.getvalue() == ""
    see({"id": "a\x1b[2J", "state": "failed", "code": "turn_timeout"}, {"id": "b", "state": "completed"}, completed=3, failed=1)
    for number in range(40):
        now += 0.1
        see(completed=4 + number, failed=1)
    assert stream.getvalue().splitlines() == [
        r"netclaw-opencode: failed: a\x1b[2J (turn_timeout)",
        "netclaw-opencode: 4 of 12 ended: 3 completed, 1 failed, 3 running, $0.42, 1 min 35 s left",
    ]
    see(*({"id": f"f{number}", "state": "failed", "code": "x"} for number in range(14)), completed=43, failed=15)
    lines.on_event(ProgressEvent("status", "the disk is full", facts={"problem": True}))
    lines.close()
    lines.close()
    told = stream.getvalue().splitlines()[2:]
    assert told[:10] == [f"netclaw-opencode: failed: f{number} (x)" for number in range(10)]
    assert told[10:] == [
        "netclaw-opencode: the disk is full",
        "netclaw-opencode: and 4 more have failed",
        "netclaw-opencode: 58 of 66 ended: 43 completed, 15 failed, 3 running, $0.42, 1 min 35 s left",
    ]


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_the_form_follows_the_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    """A table on a terminal; lines on a pipe or a dumb terminal; nothing without stderr."""
    monkeypatch.setattr(sys, "stderr", None)
    assert batch_progress.batch_view() is None
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    assert isinstance(batch_progress.batch_view(), BatchLines)
    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setenv("TERM", "dumb")
    assert isinstance(batch_progress.batch_view(), BatchLines)
    monkeypatch.setitem(os.environ, "TERM", "xterm")
    assert isinstance(batch_progress.batch_view(), BatchTable)
