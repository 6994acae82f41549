"""What it costs to know the whole change of a folder without git: the fifth part of ``make bench``.

Owns three figures for 20,000 files (45 MB): the first two looks beside git's own ``add`` in a fresh repository, the same in seconds, and
two later looks at a folder in which nothing has changed. Alone: ``python -m scripts.bench_snapshots``.
"""

from __future__ import annotations

import random
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from netclaw_opencode.work import snapshots
from netclaw_opencode.work.git import Git
from netclaw_opencode.work.stores import Home
from scripts.bench_turns import Reading

FILES, FOLDERS = 20_000, 200
PAIRS = 3


def fill(root: Path) -> None:
    """Write text files of 0.2 to 4.2 kB."""
    numbers = random.Random(1)  # noqa: S311 - no secret
    text = "".join(numbers.choices("abcdefgh \n", k=1 << 20))
    for folder in range(FOLDERS):
        (root / f"{folder:03}").mkdir(parents=True)
        for number in range(FILES // FOLDERS):
            begin, size = numbers.randrange(len(text) - 5000), numbers.randrange(200, 4200)
            (root / f"{folder:03}" / f"{number:03}.txt").write_text(text[begin : begin + size], encoding="utf-8")


def seconds(work: Callable[[], object]) -> float:
    """How long it takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def readings() -> list[Reading]:
    """Measure, in turn with git."""
    git = Git.find()
    if git is None:
        return [Reading("snapshots of 20,000 files", "no git", "", reached=False)]
    first, ratios, unchanged = [], [], []
    with tempfile.TemporaryDirectory(prefix="netclaw-bench-") as name:
        root = Path(name).resolve() / "files"
        fill(root)
        for number in range(PAIRS):
            home = Home(Path(name).resolve() / f"state{number}")
            home.state_dir.mkdir(mode=0o700)

            def looks(home: Home = home, git: Git = git) -> None:
                before = snapshots.take(root, home, git)
                snapshots.forget(snapshots.retake(before, home, git), before)

            repository = Path(name) / f"theirs{number}"

            def theirs(repository: Path = repository, git: Git = git) -> None:
                own = [git.program, f"--git-dir={repository}", f"--work-tree={root}"]
                subprocess.run([git.program, "init", "-q", "--bare", repository], check=True)
                subprocess.run([*own, "add", "-A"], check=True)
                subprocess.run([*own, "status", "--short"], check=True, stdout=subprocess.DEVNULL)

            first.append(seconds(looks))
            ratios.append(seconds(theirs) / first[-1])
            unchanged.append(seconds(looks))
    ours, ratio, again = map(statistics.median, (first, ratios, unchanged))
    return [
        Reading("20,000 files without git, first looks : git add, git status", f"{ratio:.1f} x less", ">= 3 x", ratio >= 3),
        Reading("the same, before and after a task together", f"{ours:.2f} s", "< 0.5 s", ours < 0.5),
        Reading("the same for every later task, nothing changed", f"{again:.2f} s", "< 0.2 s", again < 0.2),
    ]


if __name__ == "__main__":
    for reading in readings():
        print(f"{reading.name:<75}  {reading.figure:>10}  {reading.goal:<12} {'met' if reading.reached else 'MISSED'}")
