"""The mutation check: every small defect that mutmut can put into the guards of this package must fail a fast test.

Owns the table of the guards, the run in a copy of the project below ``build/mutants``, and the figure. mutmut makes the defects
and runs the tests (``[tool.mutmut]`` in ``pyproject.toml`` says which); nothing of it touches the working tree, and no OpenCode
server is needed. About a quarter of an hour on one core.

    mutants.py                  all five subjects
    mutants.py ids clean-up     some of them
    mutants.py --write          keep the figure (G19) in docs/figures.json, for docs/reliability.md
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parent.parent
PLACE = ROOT / "build" / "mutants"
GOAL = 0.9

_PACKAGE = "netclaw_opencode"
_COPIED = (_PACKAGE, "tests", "schemas", "references", "docs", "examples", "scripts")
_SHOW = """
import sys
from mutmut.mutation.diff_apply import get_diff_for_mutant
for name in sys.argv[1:]:
    print(name, get_diff_for_mutant(name), sep="\\n")
"""
_KILLED = {"killed", "timeout", "segfault"}


@dataclass(frozen=True, slots=True)
class Guard:
    """A module of the package and its functions that belong to a subject; none means all. A method is ``Class.name``."""

    module: str
    functions: tuple[str, ...] = ()

    @property
    def path(self) -> str:
        return f"{_PACKAGE}/{self.module.replace('.', '/')}.py"

    @property
    def patterns(self) -> tuple[str, ...]:
        """mutmut's names for the mutants."""
        start = f"{_PACKAGE}.{self.module}."
        if not self.functions:
            return (f"{start}x*",)
        return tuple(f"{start}{_mangled(name)}__mutmut_*" for name in self.functions)


def _mangled(function: str) -> str:
    owner, _, name = function.rpartition(".")
    return f"xǁ{owner}ǁ{name}" if owner else f"x_{name}"


SUBJECTS: Mapping[str, tuple[Guard, ...]] = {
    "success": (Guard("driver.verdict"),),
    "deadline": (
        Guard("driver.rules", ("require_deadline",)),
        Guard("_core.time_budget"),
        Guard("opencode.wire.http", ("HttpClient.call",)),
    ),
    "identity": (
        Guard("driver.rules", ("is_ours", "require_ours")),
        Guard("driver.tags"),
        Guard("opencode.process.ownership"),
        Guard(
            "opencode.process.inspection",
            ("find_process", "read_command_line", "is_alive", "has_exited", "wait_for_exit", "wait_until_gone"),
        ),
        Guard("opencode.process.terminating", ("_terminate_tree", "kill_all", "_descendants", "_signal", "ancestor_pids")),
        Guard("opencode.process.state"),
        Guard("_core.private_files"),
    ),
    "ids": (Guard("opencode.wire.ids"), Guard("opencode.wire.http", ("_path",))),
    "clean-up": (
        Guard("driver.rules", ("state_of", "is_stopped", "require_stopped", "kinds_left")),
        Guard("driver.stopping"),
        Guard("driver.leftovers"),
        Guard("opencode.process.locks"),
    ),
}
"""What a wrong word in would cost most. ``server.orphans`` is not among them: a mutant of its one comparison would end every
process of this user but the right ones."""


@dataclass(frozen=True, slots=True)
class Score:
    """How many mutants of one guard were killed, of how many."""

    killed: int
    total: int

    def __str__(self) -> str:
        return f"{self.killed:5} of {self.total:5} killed  {100 * self.share:5.1f} %"

    @property
    def share(self) -> float:
        return self.killed / self.total if self.total else 0.0


def main() -> int:
    """Run what was asked for; 1 where a subject stays below the goal."""
    options = argparse.ArgumentParser(prog="mutants.py", description=(__doc__ or "").splitlines()[0])
    options.add_argument("subjects", nargs="*", metavar="SUBJECT", help=f"which ones: {', '.join(SUBJECTS)} (default: all)")
    options.add_argument("--write", action="store_true", help="keep the figure in docs/figures.json; for all subjects")
    chosen = options.parse_args()
    unknown = [name for name in chosen.subjects if name not in SUBJECTS]
    if unknown:
        options.error(f"there is no subject {', '.join(unknown)}")
    if chosen.write and chosen.subjects:
        options.error("only a run of all subjects is kept")
    wanted = {name: SUBJECTS[name] for name in SUBJECTS if not chosen.subjects or name in chosen.subjects}
    began = time.monotonic()
    _copy()
    failed = _run([pattern for guards in wanted.values() for guard in guards for pattern in guard.patterns])
    if failed:
        sys.stderr.write(f"mutants: mutmut failed ({failed}); the end of {PLACE / 'log.txt'}:\n{_tail(PLACE / 'log.txt')}\n")
        return 2
    scores = {name: _told(name, guards) for name, guards in wanted.items()}
    total = _sum(scores.values())
    sys.stdout.write(f"{'total':<10} {'':<36} {total}\nthose that survived, as diffs: {_survivors(wanted)}\n")
    held = all(score.share >= GOAL for score in scores.values())
    if chosen.write:
        _keep(scores, total, held=held, seconds=time.monotonic() - began)
    return 0 if held else 1


def _copy() -> None:
    """A fresh copy of what the tests read; mutmut works where it is called."""
    shutil.rmtree(PLACE, ignore_errors=True)
    (PLACE / "tmp").mkdir(parents=True)
    for name in _COPIED:
        shutil.copytree(ROOT / name, PLACE / name, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ROOT.iterdir():
        if file.is_file() and not file.name.startswith("."):
            shutil.copy2(file, PLACE / file.name)


def _run(patterns: list[str]) -> int:
    """Let mutmut make the mutants and run the tests on each of them, one at a time."""
    sys.stdout.write("mutants: made and tried one by one, which takes a while ...\n")
    sys.stdout.flush()
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("OPENCODE_", "PYTHON"))}
    # CI: random examples are the same each time, and no test skips itself. All that tests write stays below this place.
    environ |= {"CI": "true", "TMPDIR": str(PLACE / "tmp"), "PYTHONPATH": str(PLACE), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [str(Path(sys.executable).parent / "mutmut"), "run", "--max-children", "1", *patterns]
    try:
        with (PLACE / "log.txt").open("wb") as log:
            return subprocess.run(
                command, cwd=PLACE, env=environ, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, check=False
            ).returncode
    finally:
        _end_what_is_left()


def _end_what_is_left() -> None:
    """A mutant may forget to end a test's process: each of those works in a folder of this run."""
    for item in psutil.process_iter():
        try:
            if item.pid != os.getpid() and Path(item.cwd()).is_relative_to(PLACE / "tmp"):
                item.kill()
        except (psutil.Error, OSError):
            continue


def _words() -> Mapping[int | None, str]:
    """What mutmut calls the exit codes that it keeps."""
    # Not there for whoever only checks types or runs the tests.
    found: Mapping[int | None, str] = importlib.import_module("mutmut.stats").status_by_exit_code
    return found


def _results(guard: Guard) -> Iterator[tuple[str, str]]:
    """The mutants of a guard, each with what became of it."""
    words = _words()
    found = json.loads((PLACE / "mutants" / f"{guard.path}.meta").read_text(encoding="utf-8"))["exit_code_by_key"]
    for name, code in found.items():
        if any(fnmatchcase(name, pattern) for pattern in guard.patterns):
            yield name, words[code]


def _told(name: str, guards: tuple[Guard, ...]) -> Score:
    scores = []
    for guard in guards:
        results = [status for _, status in _results(guard)]
        scores.append(Score(sum(status in _KILLED for status in results), len(results)))
        sys.stdout.write(f"{name:<10} {guard.path:<36} {scores[-1]}\n")
    return _sum(scores)


def _sum(scores: Iterable[Score]) -> Score:
    found = list(scores)
    return Score(sum(score.killed for score in found), sum(score.total for score in found))


def _survivors(wanted: Mapping[str, tuple[Guard, ...]]) -> Path:
    """A file with the diff of each mutant that no test noticed."""
    file = PLACE / "survivors.txt"
    names = [name for guards in wanted.values() for guard in guards for name, status in _results(guard) if status not in _KILLED]
    with file.open("wb") as out:
        subprocess.run([sys.executable, "-W", "ignore", "-c", _SHOW, *names], cwd=PLACE, stdout=out, check=True)
    return file


def _keep(scores: Mapping[str, Score], total: Score, *, held: bool, seconds: float) -> None:
    sys.path.insert(0, str(ROOT))
    from tests.soak.keeping import keep

    parts = ", ".join(f"{name} {100 * score.share:.1f} %" for name, score in scores.items())
    keep(
        "G19",
        goal="at least 90 % of the mutants of success predicate, deadline, identity, ids and clean-up are killed by fast tests",
        reading=f"{total.killed} of {total.total} killed ({100 * total.share:.1f} %): {parts}",
        held=held,
        seconds=seconds,
    )


def _tail(file: Path) -> str:
    return "\n".join(file.read_text(encoding="utf-8", errors="replace").replace("\r", "\n").splitlines()[-15:])


if __name__ == "__main__":
    sys.exit(main())
