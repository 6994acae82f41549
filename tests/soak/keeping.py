"""The kept figures: ``docs/figures.json``, from which ``docs/reliability.md`` is made.

Owns the file's form: each figure with its goal, its reading, and the day and the machine of the run.
"""

from __future__ import annotations

import json
import os
import platform
from datetime import UTC, datetime

import psutil

from tests.faults.rows import FIGURES


def keep(name: str, *, goal: str, reading: str, held: bool, seconds: float) -> None:
    """Write one figure in its place; the others stay."""
    kept = json.loads(FIGURES.read_text(encoding="utf-8")) if FIGURES.exists() else {}
    kept[name] = {
        "goal": goal,
        "reading": reading,
        "held": held,
        "seconds": round(seconds),
        "date": datetime.now(UTC).date().isoformat(),
        "machine": _machine(),
    }
    text = json.dumps(dict(sorted(kept.items(), key=lambda item: int(item[0][1:]))), indent=2, ensure_ascii=False)
    FIGURES.write_text(text + "\n", encoding="utf-8")


def _machine() -> str:
    memory = psutil.virtual_memory().total / 2**30
    return f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, {memory:.0f} GiB, Python {platform.python_version()}"
