"""The whole check of one skill or skill package: every file, everything that must agree, all findings at once.

Owns the order of the checks and their time. What a manifest must look like is said by ``manifest``, which hosts use as
well; nothing of a package is run unless the caller says so.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from netclaw_opencode._core.documents import Fault, read_text, read_yaml
from netclaw_opencode.manifest import ManifestProblem, doubts_of
from netclaw_opencode.skill.check.agreement import Declared, check_agreement
from netclaw_opencode.skill.check.body import check_body, check_wording
from netclaw_opencode.skill.check.exceptions import apply_exceptions
from netclaw_opencode.skill.check.files import LARGEST_TEXT, SkillFiles, read_files
from netclaw_opencode.skill.check.findings import Finding, Handlers, PackageReport, finding, from_faults, judge
from netclaw_opencode.skill.check.frontmatter import check_frontmatter
from netclaw_opencode.skill.check.handlers import import_handlers, look_up_handlers, named_in
from netclaw_opencode.skill.check.hosts import CONTRACT, DEFAULT
from netclaw_opencode.skill.check.links import Links
from netclaw_opencode.skill.check.markdown import Markdown, parse_markdown
from netclaw_opencode.skill.check.page import Page, read_page, without_frontmatter
from netclaw_opencode.skill.check.places import MANIFEST, Package, kind_of, package_at
from netclaw_opencode.skill.check.project import read_project
from netclaw_opencode.skill.check.rules import Severity

SECONDS = 60.0
LONGEST_LINE = 20_000
"""Longer lines are data, and a parser of Markdown takes a time for their brackets that grows with the square."""


def check_package(
    package: Package,
    *,
    hosts: Iterable[str] = DEFAULT,
    changed: Mapping[str, Severity] | None = None,
    import_code: bool = False,
    seconds: float = SECONDS,
) -> PackageReport:
    """Find everything that is wrong with a package, advice included. Never raises for what is in it.

    Args:
        package: The folder.
        hosts: Whose rules apply; our contract applies besides to a package with a ``skill.yaml``.
        changed: Severities that the user's configuration sets for some codes.
        import_code: Also import the handlers, which runs code of the package.
        seconds: The check of the rest ends after this time (in the main thread).
    """
    chosen = frozenset(hosts) | ({CONTRACT} if package.has_manifest else set())
    check = _Check(package, chosen)
    try:
        with _at_most(seconds):
            check.read()
    except _TooLongError:
        check.found.append(finding(check.own, "took_too_long", f"the check was ended after {seconds:g} s"))
    handlers = check.handlers(import_code=import_code)
    found = judge(apply_exceptions(check.texts, set(check.found)), chosen, changed)
    found.sort(key=lambda one: (one.file != check.own, one))
    return PackageReport(package.folder, check.name, tuple(found), handlers, package.page)


class _TooLongError(Exception):
    """The time is up."""


class _Check:
    """The check of one package; what was found so far survives a time-out."""

    def __init__(self, package: Package, hosts: frozenset[str]) -> None:
        self.package = package
        self.hosts = hosts
        self.own = MANIFEST if package.has_manifest else package.page
        self.found: list[Finding] = []
        self.texts: dict[str, str] = {}
        self.declared: Declared | None = None
        self.name: str | None = None

    def read(self) -> None:
        files = read_files(self.package)
        self.texts = files.texts
        self.found += files.found
        self._manifest()
        page = self._page(files)
        parsed = {name: self._parse(name, text, page) for name, text in self._markdown(files)}
        if page is not None:
            self.name = self.name or page.written("name") or None
            self.found += check_frontmatter(self.package, page)
            self.found += check_body(page, parsed[page.file])
        self.found += Links(files, parsed).findings()
        self.found += check_wording(files, self.hosts)
        if CONTRACT in self.hosts:
            project, wrong = read_project(self.package)
            self.found += wrong
            self.found += check_agreement(self.declared, page, project)

    def _parse(self, name: str, text: str, page: Page | None) -> Markdown:
        """Return a Markdown file without its frontmatter, and without lines that only a machine can have written."""
        if name == self.package.page:
            text = page.markdown() if page is not None else without_frontmatter(text)
        lines = text.split("\n")
        for number, line in enumerate(lines, 1):
            if len(line) > LONGEST_LINE:
                message = f"the line has {len(line):,} characters and was not searched for links"
                self.found.append(finding(name, "too_large", message, line=number, at_most="warning"))
                lines[number - 1] = ""
        return parse_markdown("\n".join(lines))

    def _markdown(self, files: SkillFiles) -> Iterator[tuple[str, str]]:
        for name in files.markdown():
            yield name, files.texts[name].replace("\r\n", "\n").replace("\r", "\n")

    def _page(self, files: SkillFiles) -> Page | None:
        kind = kind_of(self.package.folder / self.package.page)
        if kind not in ("file", "other", "folder", "link"):
            return None
        text: str | Fault = files.texts.get(self.package.page) or ""
        if not text:  # empty, not read, or what a link leads to
            text = read_text(self.package.folder / self.package.page, limit=LARGEST_TEXT)
        if isinstance(text, Fault):
            if kind != "link":  # a link that leads nowhere is reported as that
                self.found += from_faults(self.package.page, [text])
            return None
        files.texts.setdefault(self.package.page, text)
        page, wrong = read_page(self.package.page, text)
        self.found += wrong
        return page

    def _manifest(self) -> None:
        source = self.package.folder / MANIFEST
        if not self.package.has_manifest or kind_of(source) not in ("file", "other", "folder"):
            return
        document = read_yaml(source)
        if document.whole and isinstance(document.value, dict):
            self.declared = Declared(document, document.value)
            self.name = self.declared.text("name")
        if document.faults and not document.whole:
            self.found += from_faults(MANIFEST, document.faults)
        else:
            self.found += [_of_manifest(problem) for problem in doubts_of(source)]

    def handlers(self, *, import_code: bool) -> Handlers:
        if self.declared is None or named_in(self.declared) == (None, []):
            return "none"
        self.found += import_handlers(self.package, self.declared) if import_code else look_up_handlers(self.package, self.declared)
        return "imported" if import_code else "looked_up"


def _of_manifest(problem: ManifestProblem) -> Finding:
    file, message = problem.file or MANIFEST, problem.what
    place = problem.where.removeprefix(f"{file}: ")
    if place not in (file, "(top)"):
        message = f"{place}: {message}"
    return finding(file, problem.code, message, problem.fix, line=problem.line, column=problem.column)


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


def check(path: Path, *, hosts: Iterable[str] = DEFAULT, import_code: bool = False, seconds: float = SECONDS) -> PackageReport | None:
    """``check_package`` for the package at a path; None where there is none."""
    package = package_at(path)
    return None if package is None else check_package(package, hosts=hosts, import_code=import_code, seconds=seconds)


__all__ = ["SECONDS", "check", "check_package"]
