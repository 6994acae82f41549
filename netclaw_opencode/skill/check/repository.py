"""Many skills in one go: the packages below some paths, checked side by side, and what only their number shows.

Owns the finding of the packages, the processes, duplicates of names, and what the configuration leaves out. One bad path hides nothing:
it is a finding beside the others.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from netclaw_opencode.skill.check.config import Config
from netclaw_opencode.skill.check.findings import Finding, PackageReport, finding, judge
from netclaw_opencode.skill.check.hosts import CONTRACT, DEFAULT
from netclaw_opencode.skill.check.package import check_package
from netclaw_opencode.skill.check.places import Package, find_packages, package_at
from netclaw_opencode.skill.check.rules import Severity

WORTH_PROCESSES = 100
"""Packages from which on processes of their own are quicker: starting one takes as long as checking some thirty skills."""

_Task = tuple[Package, tuple[str, ...], Mapping[str, Severity], bool]


@dataclass(frozen=True, slots=True)
class Found:
    """What lies below the paths: packages, reports of paths that are none or cannot be listed, and templates passed over."""

    packages: tuple[Package, ...]
    troubles: tuple[PackageReport, ...]
    templates: tuple[Path, ...] = ()


def find(paths: Iterable[str], *, config: Config, changed: bool) -> Found:
    """Find the packages of some paths, each once.

    Args:
        paths: Folders (searched to the bottom) and files (the package around each).
        config: What to leave out.
        changed: The paths are files that changed: what belongs to no package, or is no more there, is passed over.
    """
    packages: dict[Path, Package] = {}
    troubles: list[PackageReport] = []
    templates: list[Path] = []
    for path in paths:
        given = Path(path).absolute()
        if changed:
            package = package_at(given)
            if package is not None and not config.is_excluded(package.folder, Path("/")):
                packages.setdefault(package.folder.resolve(), package)
        elif not os.path.lexists(given):
            troubles.append(_trouble(given, finding("", "path_missing", f"{path!r} is not there")))
        elif given.is_dir() and given.name not in ("SKILL.md", "skill.yaml"):
            below = find_packages(given, is_excluded=partial(config.is_excluded, named=given))
            templates += below.templates
            for package in below.packages:
                packages.setdefault(package.folder.resolve(), package)
            troubles += [_trouble(folder, found) for folder, found in below.unreadable if not _covered(folder, below.packages)]
            if not below.packages and not below.unreadable:
                troubles.append(_no_skill(given, path))
        else:
            package = package_at(given)
            if package is None:
                troubles.append(_no_skill(given, path))
            else:
                packages.setdefault(package.folder.resolve(), package)
    return Found(tuple(packages.values()), tuple(troubles), tuple(templates))


def _covered(folder: Path, packages: Sequence[Package]) -> bool:
    """Return whether a skill around the folder tells by itself that it cannot be listed."""
    return any(folder != package.folder and folder.is_relative_to(package.folder) for package in packages if not package.is_project)


def _no_skill(path: Path, named: str) -> PackageReport:
    return _trouble(path, finding("", "no_skill", f"there is no SKILL.md in or below {named!r}"))


def _trouble(path: Path, found: Finding) -> PackageReport:
    return PackageReport(path, None, tuple(judge([found], frozenset((*DEFAULT, CONTRACT)))))


def check_all(
    found: Found, *, hosts: Sequence[str] = DEFAULT, config: Config | None = None, import_code: bool = False, jobs: int | None = None
) -> tuple[PackageReport, ...]:
    """Check every package, in the order in which they were found, and then what they are together.

    Args:
        found: From ``find``.
        hosts: Whose rules apply.
        config: Severities, and what to leave out.
        import_code: Also import handlers: this runs code of the packages.
        jobs: At most so many processes; by default as many as there are processors, for more than a few packages.
    """
    config = config or Config()
    tasks: list[_Task] = [(package, tuple(hosts), dict(config.severity), import_code) for package in found.packages]
    workers = min(jobs or (_processors() if len(tasks) >= WORTH_PROCESSES else 1), max(len(tasks), 1))
    if workers > 1:
        with ProcessPoolExecutor(workers) as pool:
            reports = list(pool.map(_check, tasks, chunksize=max(1, min(20, len(tasks) // (workers * 4)))))
    else:
        reports = [_check(task) for task in tasks]
    reports = _with_duplicates(reports, found.packages, hosts, config)
    return tuple(_without_ignored(report, config) for report in (*found.troubles, *reports))


def _check(task: _Task) -> PackageReport:
    package, hosts, severity, import_code = task
    return check_package(package, hosts=hosts, changed=severity, import_code=import_code)


def _processors() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS
        return os.cpu_count() or 1


def _with_duplicates(
    reports: list[PackageReport], packages: Sequence[Package], hosts: Sequence[str], config: Config
) -> list[PackageReport]:
    """Skills of one name below one root: the nearest folder called ``skills``, or else the repository."""
    seen: dict[tuple[Path, str], list[int]] = {}
    for position, (report, package) in enumerate(zip(reports, packages, strict=True)):
        name = report.name or package.folder.name
        seen.setdefault((_skills_root(package), name.casefold()), []).append(position)
    for (root, _), positions in seen.items():
        for position in positions if len(positions) > 1 else ():
            other = reports[next(each for each in positions if each != position)].folder
            where = other.relative_to(root).as_posix() if other.is_relative_to(root) else other.as_posix()
            report = reports[position]
            message = f"{where} has the same name: {report.name or report.folder.name!r}"
            new = judge([finding(report.page, "duplicate_skill", message)], frozenset(hosts), config.severity)
            reports[position] = replace(report, findings=(*report.findings, *new))
    return reports


def _skills_root(package: Package) -> Path:
    root = package.root or package.folder
    return next((folder for folder in package.folder.parents if folder.name == "skills" and folder.is_relative_to(root)), root)


def _without_ignored(report: PackageReport, config: Config) -> PackageReport:
    kept = tuple(found for found in report.findings if not config.is_ignored(found, report.folder / found.file))
    return report if len(kept) == len(report.findings) else replace(report, findings=kept)


__all__ = ["WORTH_PROCESSES", "Found", "check_all", "find"]
