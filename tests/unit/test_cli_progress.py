"""The live line tells what happens now, on one line, and leaves nothing behind."""

from __future__ import annotations

import io
import sys

import pytest

from netclaw_opencode.adapters.cli import progress
from netclaw_opencode.adapters.cli.progress import LiveLine
from netclaw_opencode.adapters.cli.terminal import columns_of
from netclaw_opencode.facts import ProgressEvent


class Stage:
    """A terminal of a given width and a clock that stands until it is moved."""

    def __init__(self, *, columns: int = 80, deadline_seconds: float | None = 60, colour: bool = False) -> None:
        self.now = 100.0
        self.stream = io.StringIO()
        self.line = LiveLine(self.stream, deadline_seconds=deadline_seconds, colour=colour, clock=lambda: self.now, columns=lambda: columns)

    def drawn(self) -> str:
        """What the last tick wrote."""
        before = len(self.stream.getvalue())
        self.line.tick()
        return self.stream.getvalue()[before:]


def test_the_line_shows_time_deadline_status_and_the_last_tool() -> None:
    """One look tells how much of the deadline is gone and what the agent does."""
    stage = Stage()
    stage.line.on_event(ProgressEvent("status", "busy"))
    stage.line.on_event(ProgressEvent("tool", "bash: run the tests"))
    stage.line.on_event(ProgressEvent("text", "ignored"))
    stage.now += 2.5
    assert stage.drawn() == "\r\x1b[2K/ 2.5 s of 60 s · busy · bash: run the tests"


def test_a_deadline_event_sets_the_clock() -> None:
    """The driver's own deadline replaces the one that was assumed; without any only the elapsed time is shown."""
    stage = Stage(deadline_seconds=None)
    assert stage.drawn().endswith(" 0.0 s")
    stage.line.on_event(ProgressEvent("deadline", "600 s", facts={"deadline_seconds": 600}))
    assert stage.drawn().endswith(" 0.0 s of 600 s")


def test_the_line_fits_and_cannot_be_broken_by_what_it_shows() -> None:
    """A hostile or wide tool title neither wraps the line nor drives the terminal."""
    stage = Stage(columns=40)
    stage.line.on_event(ProgressEvent("tool", "漢字" * 50 + "\n\x1b[2J\u202e"))
    shown = stage.drawn().removeprefix("\r\x1b[2K")
    assert columns_of(shown) < 40
    assert shown.isprintable()


def test_the_line_is_taken_away_once_and_only_if_it_was_drawn() -> None:
    """Closing erases what was drawn; a command that ended at once writes nothing at all."""
    stage = Stage()
    stage.line.close()
    assert stage.stream.getvalue() == ""
    stage.drawn()
    stage.line.close()
    stage.line.close()
    assert stage.stream.getvalue().count("\r\x1b[2K") == 2
    assert stage.stream.getvalue().endswith("\r\x1b[2K")


def test_colour_is_one_switch() -> None:
    """With colour only the spinner is coloured."""
    assert "\x1b[36m" in Stage(colour=True).drawn()


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_there_is_no_line_where_nobody_sees_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Piped stderr, no stderr and a dumb terminal get no progress; NO_COLOR takes the colour away."""
    monkeypatch.delenv("TERM", raising=False)
    for stream in (None, io.StringIO()):
        monkeypatch.setattr(sys, "stderr", stream)
        assert progress.live_line(60) is None
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("NO_COLOR", "1")
    line = progress.live_line(60)
    assert line is not None
    line.tick()
    assert "\x1b[36m" not in terminal.getvalue()
    monkeypatch.setenv("TERM", "dumb")
    assert progress.live_line(60) is None
