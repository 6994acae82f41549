"""What the demo shows: a line for each thing that happens, with the deadline clock, then the outcome and the proof.

Owns the words. On a terminal there is colour and a live line; piped, the same lines stand one below the other.
"""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable, Mapping, Sequence

from rich.text import Text

from netclaw_opencode.adapters.cli import output
from netclaw_opencode.adapters.cli.demo.proof import Claim
from netclaw_opencode.adapters.cli.progress import LiveLine, live_line
from netclaw_opencode.adapters.cli.terminal import PROGRAM, one_line
from netclaw_opencode.adapters.cli.views import console_for, print_piece, render
from netclaw_opencode.facts import ProgressEvent

_STYLES = {"server": "blue", "tool": "yellow", "session": "cyan", "stopping": "red"}
_WORDS = {
    "session_created": "session",
    "session_deleted": "session",
    "server_started": "server",
    "server_stopped": "server",
    "turn_finished": "turn",
}


class Stage:
    """A ``running.View`` that prints what happens, and the texts around it."""

    def __init__(self, *, deadline_seconds: float, live: LiveLine | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._console = console_for(sys.stdout)
        self._deadline_seconds = deadline_seconds
        self._live = live
        self._clock = clock
        self._began = clock()
        self._task_began: float | None = None
        self._last = ("", "")

    @classmethod
    def for_this_process(cls, deadline_seconds: float) -> Stage:
        """Return a stage on stdout, with a live line on stderr where a person sees it."""
        return cls(deadline_seconds=deadline_seconds, live=live_line(None))

    def open(self, prompt: str, *, model: str | None, folder: str) -> None:
        """Say what is about to be shown, and what is not real about it."""
        self._print(Text(f"{PROGRAM} demo", style="bold"))
        if model is None:
            self._print(
                "One coding task, from start to clean-up, on a private OpenCode server: own HOME and data, free port, random password.\n"
                "The model is a scripted stand-in (no key, no cost, no network) that knows this one task. Everything else is real."
            )
        else:
            named = "the default model of your OpenCode set-up" if model == "default" else f"the model {model} of your OpenCode set-up"
            self._print(f"One coding task, from start to clean-up, with your own configuration and {one_line(named)}.")
        self._print("")
        self._print(Text.assemble(("task    ", "dim"), prompt))
        self._print(Text.assemble(("folder  ", "dim"), one_line(folder, 300)))
        self._print("")
        self._print(Text(f"    time  {'deadline':<14}  what happens", style="dim"))

    def say(self, who: str, what: str) -> None:
        """Print one line with the clock; the same line is not said twice in a row."""
        if (who, what) == self._last:
            return
        self._last = (who, what)
        if self._live is not None:
            self._live.clear()
        now = self._clock()
        # Server start and stop have deadlines of their own; only the task runs against the one that is shown.
        task = "" if self._task_began is None else f"{now - self._task_began:.1f} of {self._deadline_seconds:g} s"
        self._print(
            Text.assemble((f"{now - self._began:6.1f} s  {task:<14}  ", "dim"), (f"{who:<9}", _STYLES.get(who, "")), one_line(what))
        )

    def task_begins(self) -> None:
        """The deadline clock starts."""
        self._task_began = self._clock()
        if self._live is not None:
            self._live.restart(self._deadline_seconds)

    def task_ends(self) -> None:
        """The deadline clock is over."""
        self._task_began = None
        if self._live is not None:
            self._live.restart(None)

    def on_event(self, event: ProgressEvent) -> None:
        """Print what the driver reports; text and raw events only move the live line."""
        if self._live is not None:
            self._live.on_event(event)
        if event.kind not in ("text", "event"):
            who = _WORDS.get(event.kind, event.kind)
            self.say(who, event.message.removeprefix(f"{who} "))

    def tick(self) -> None:
        """Move the live line."""
        if self._live is not None:
            self._live.tick()

    def close(self) -> None:
        """Take the live line away."""
        if self._live is not None:
            self._live.close()

    def show_result(self, envelope: Mapping[str, object]) -> int:
        """Print the outcome of the task; returns the exit code."""
        self.close()
        self._print("")
        for piece in render({**envelope, "action": "run_task"} if envelope.get("ok") is True else envelope):
            print_piece(self._console, piece)
        return output.exit_code(envelope)

    def show_proof(self, claims: Sequence[Claim]) -> bool:
        """Print each claim with what was seen; returns whether all hold."""
        self._print("")
        self._print(Text("Looked up afterwards", style="bold"))
        for claim in claims:
            mark, style = ("✓", "green") if claim.holds else ("✗", "red")
            sentence = (
                claim.sentence if claim.holds else f"not {claim.sentence}" if claim.sentence != "nothing left" else "something is left"
            )
            self._print(Text.assemble((f"  {mark} ", f"bold {style}"), f"{sentence:<18}", (one_line(claim.seen, 300), "dim")))
        proved = all(claim.holds for claim in claims)
        if proved:
            self._print(Text(", ".join(claim.sentence for claim in claims), style="bold green"))
        return proved

    def show_way_on(self, *, model: str | None, kept: str | None) -> None:
        """Say where the files are, and how to go on with a real model."""
        # `make demo` runs the program of .venv, which a shell would not find by its bare name.
        program = PROGRAM if shutil.which(PROGRAM) else one_line(sys.argv[0], 300)
        self._print("")
        if kept is not None:
            self._print(Text.assemble(("files kept in  ", "dim"), one_line(kept, 300)))
        if model is None:
            self._print("With a model of your own, from your OpenCode configuration:")
            self._print(Text(f"  {program} demo --model provider/model    (or --model default: OpenCode's own default)", style="cyan"))
        self._print(Text.assemble("Any task: ", (f'{program} run run-task --prompt "…"', "cyan")))

    def _print(self, text: Text | str) -> None:
        print_piece(self._console, Text(text) if isinstance(text, str) else text)


__all__ = ["Stage"]
