"""The whole check of a skill package: every file, everything that must agree, all findings at once.

Owns the order of the checks and their time. What a manifest must look like is said by ``manifest``, which hosts use as
well; nothing of a package is run unless the caller says so.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from netclaw_opencode._core.documents import read_yaml
from netclaw_opencode.manifest import ManifestProblem, doubts_of
from netclaw_opencode.skill.authoring.agreement import Declared, agreement_findings
from netclaw_opencode.skill.authoring.files import MANIFEST, PAGE, Package, file_findings, kind_of, package_at
from netclaw_opencode.skill.authoring.findings import Finding, Handlers, PackageReport, finding, of_faults
from netclaw_opencode.skill.authoring.handlers import imported, looked_up, named_in
from netclaw_opencode.skill.authoring.page import page_findings, read_page
from netclaw_opencode.skill.authoring.project import read_project

SECONDS = 60.0
MAX_FINDINGS = 500


def check_package(package: Package, *, import_code: bool = False, seconds: float = SECONDS) -> PackageReport:
    """Everything that is wrong with a package. Never raises for what is in it.

    ``import_code`` runs code of the package. The check of the rest ends after ``seconds`` (in the main thread).
    """
    check = _Check(package)
    try:
        with _at_most(seconds):
            check.read()
    except _TooLongError:
        check.found.append(finding(check.own, "took_too_long", f"the check was ended after {seconds:g} s"))
    handlers = check.handlers(import_code=import_code)
    found = sorted(set(check.found), key=lambda one: (one.file != check.own, one))
    return PackageReport(package.folder, check.name, tuple(found[:MAX_FINDINGS]), handlers)


class _TooLongError(Exception):
    """The time is up."""


class _Check:
    """One package under the lamp; what was found so far survives a time-out."""

    def __init__(self, package: Package) -> None:
        self.package = package
        self.own = MANIFEST if package.has_manifest else PAGE
        self.found: list[Finding] = []
        self.declared: Declared | None = None
        self.name: str | None = None

    def read(self) -> None:
        self.found += file_findings(self.package)
        self._manifest()
        page = None
        if kind_of(self.package.folder / PAGE) in ("file", "other"):
            page, wrong = read_page(self.package)
            self.found += wrong
        if page is not None:
            self.name = self.name or page.text("name")
            self.found += page_findings(self.package, page)
        project, wrong = read_project(self.package)
        self.found += wrong
        self.found += agreement_findings(self.declared, page, project)

    def _manifest(self) -> None:
        source = self.package.folder / MANIFEST
        if kind_of(source) not in ("file", "other"):
            return
        document = read_yaml(source)
        if document.whole and isinstance(document.value, dict):
            self.declared = Declared(document, document.value)
            self.name = self.declared.text("name")
        if document.faults and not document.whole:
            self.found += of_faults(MANIFEST, document.faults)
        else:
            self.found += [_of_manifest(problem) for problem in doubts_of(source)]

    def handlers(self, *, import_code: bool) -> Handlers:
        if self.declared is None or named_in(self.declared) == (None, []):
            return "none"
        self.found += imported(self.package, self.declared) if import_code else looked_up(self.package, self.declared)
        return "imported" if import_code else "looked_up"


def _of_manifest(problem: ManifestProblem) -> Finding:
    file, what = problem.file or MANIFEST, problem.what
    place = problem.where.removeprefix(f"{file}: ")
    if place not in (file, "(top)"):
        what = f"{place}: {what}"
    return finding(file, problem.code, what, problem.fix, line=problem.line, column=problem.column)


@contextmanager
def _at_most(seconds: float) -> Iterator[None]:
    """Raise in the block when the time is up. Python's regular expressions look for signals, so this ends them, too."""
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "setitimer"):
        yield
        return

    def end(_: int, __: FrameType | None) -> None:
        raise _TooLongError

    before = signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def check(path: Path, *, import_code: bool = False, seconds: float = SECONDS) -> PackageReport | None:
    """``check_package`` for the package at a path; None where there is none."""
    package = package_at(path)
    return None if package is None else check_package(package, import_code=import_code, seconds=seconds)


__all__ = ["MAX_FINDINGS", "SECONDS", "check", "check_package"]
