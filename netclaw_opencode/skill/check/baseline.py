"""The findings that a repository knows and lives with, in a file: only new ones are shown and fail.

Owns the file. An entry names path, code and message, not the line, so that text above a known finding may change.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from netclaw_opencode._core.documents import read_json
from netclaw_opencode.skill.check.config import ConfigurationError
from netclaw_opencode.skill.check.findings import Finding, PackageReport

VERSION = 1

_Key = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Compared:
    """Reports without what is known, how many findings that were, and how many entries are found no more."""

    reports: tuple[PackageReport, ...]
    known: int = 0
    gone: int = 0


def write_baseline(file: Path, reports: Iterable[PackageReport]) -> int:
    """Write every finding down as known; returns how many.

    Raises:
        ConfigurationError: The file cannot be written.
    """
    counts = _counts(file, reports)
    entries = [
        {"path": path, "code": code, "message": message, "count": counts[path, code, message]} for path, code, message in sorted(counts)
    ]
    text = json.dumps({"version": VERSION, "findings": entries}, indent=1, ensure_ascii=True)
    try:
        file.write_text(f"{text}\n", encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"the baseline {file} cannot be written: {error.strerror}") from error
    return sum(counts.values())


def compare(file: Path, reports: Iterable[PackageReport]) -> Compared:
    """Leave out the findings that the baseline knows.

    Raises:
        ConfigurationError: There is no such file, or it is none of ours.
    """
    left = _read(file)
    total = sum(left.values())
    kept = []
    for report in reports:
        new = []
        for found in report.findings:
            key = _key(file, report, found)
            if left[key] > 0:
                left[key] -= 1
            else:
                new.append(found)
        kept.append(replace(report, findings=tuple(new)))
    gone = sum(left.values())
    return Compared(tuple(kept), total - gone, gone)


def _read(file: Path) -> Counter[_Key]:
    document = read_json(file)
    if document.faults:
        hint = "; write it with --write-baseline" if document.faults[0].kind == "unreadable" else ""
        raise ConfigurationError(f"the baseline {file}: {document.faults[0].what}{hint}")
    top = document.value
    entries = top.get("findings") if isinstance(top, dict) and top.get("version") == VERSION else None
    counts: Counter[_Key] = Counter()
    for entry in entries if isinstance(entries, list) else [None]:
        if not isinstance(entry, dict) or not isinstance(entry.get("count"), int):
            raise ConfigurationError(f"the baseline {file} is none of this version; write it anew with --write-baseline")
        counts[str(entry.get("path")), str(entry.get("code")), str(entry.get("message"))] += entry["count"]
    return counts


def _counts(file: Path, reports: Iterable[PackageReport]) -> Counter[_Key]:
    return Counter(_key(file, report, found) for report in reports for found in report.findings)


def _key(file: Path, report: PackageReport, found: Finding) -> _Key:
    path, base = (report.folder / found.file).absolute(), file.absolute().parent
    relative = path.relative_to(base) if path.is_relative_to(base) else path
    return relative.as_posix().encode("utf-8", "replace").decode(), found.code, found.message.encode("utf-8", "replace").decode()


__all__ = ["Compared", "compare", "write_baseline"]
