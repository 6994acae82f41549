"""The long runs: ``python -m tests.soak [--share 0.1] [--write] [G9 …]``; all of them take about two hours on two cores.

Owns the table, the order and the file of the figures (``docs/figures.json``), from which ``docs/reliability.md`` is made.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from netclaw_opencode.testing.binary import opencode_binary
from tests.faults.rows import FIGURES
from tests.soak import batches, chaos, loads, races
from tests.soak.keeping import keep
from tests.soak.stage import Run

RUNS: dict[str, Run] = {
    "G4": loads.hard_limit,
    "G6": loads.many_hanging,
    "G7": loads.lifecycles,
    "G9": races.send_race,
    "G10": races.start_race,
    "G11": races.start_and_stop,
    "G12": races.killed_callers,
    "G15": chaos.day,
    "G21": chaos.schedules,
    "B1": batches.random_kills,
    "B2": batches.many_in_peace,
}


def main() -> int:
    """Run what was asked for; 1 if a goal was missed."""
    options = argparse.ArgumentParser(prog="python -m tests.soak", description=(__doc__ or "").splitlines()[0])
    options.add_argument("figures", nargs="*", metavar="FIGURE", help=f"which ones: {', '.join(RUNS)} (default: all)")
    options.add_argument("--share", type=float, default=1.0, help="the share of the full number of repeats (default: 1.0)")
    options.add_argument("--write", action="store_true", help=f"keep the readings in {FIGURES.name}; for runs of full size")
    chosen = options.parse_args()
    unknown = [name for name in chosen.figures if name not in RUNS]
    if unknown:
        options.error(f"there is no figure {', '.join(unknown)}")
    if chosen.write and chosen.share != 1.0:
        options.error("only runs of full size are kept")
    opencode_binary()
    missed = 0
    for name in chosen.figures or RUNS:
        missed += not _one(name, share=chosen.share, write=chosen.write)
    return 1 if missed else 0


def _one(name: str, *, share: float, write: bool) -> bool:
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        figure = RUNS[name](Path(folder).resolve() / name, share)
    seconds = time.monotonic() - began
    sys.stdout.write(f"{'held  ' if figure.held else 'MISSED'} {name}  {figure.goal}\n       {figure.reading}  ({seconds:.0f} s)\n")
    sys.stdout.flush()
    if write:
        keep(name, goal=figure.goal, reading=figure.reading, held=figure.held, seconds=seconds)
    return figure.held


if __name__ == "__main__":
    sys.exit(main())
