"""The findings of ``skill validate`` as text, as JSON, as annotations of GitHub, and (in ``sarif``) as SARIF.

Owns the forms for people and scripts. In text and JSON a path is relative to the working directory; in annotations and SARIF to the
repository that the file lies in, whatever the working directory. What came out of a package passes through ``one_line`` or strict JSON.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from netclaw_opencode.adapters.cli.terminal import json_text, one_line
from netclaw_opencode.skill.check.findings import Finding, PackageReport
from netclaw_opencode.skill.check.hosts import HOSTS
from netclaw_opencode.skill.check.places import repository_of
from netclaw_opencode.skill.check.rules import SEVERITIES, Severity

_LONGEST = 500
_FEW = 20
"""Up to so many skills each has a line of its own, the right ones too."""


@dataclass(frozen=True, slots=True)
class Checked:
    """Every report of one call.

    Args:
        reports: In the order in which the skills were found.
        strict: Whether warnings fail.
        hosts: Whose rules applied.
        advice: Whether advice is shown.
        known: Findings left out because the baseline knows them.
        gone: Entries of the baseline that were found no more.
        fixed: Findings that ``--fix`` has fixed.
        docs: Where the page of the rules can be read.
        templates: Folders of templates that were passed over.
    """

    reports: tuple[PackageReport, ...]
    strict: bool
    hosts: tuple[str, ...] = ("spec",)
    advice: bool = False
    known: int = 0
    gone: int = 0
    fixed: int = 0
    docs: str | None = None
    templates: tuple[Path, ...] = ()

    def count(self, severity: Severity) -> int:
        """Return how many findings of a severity all packages have."""
        return sum(report.count(severity) for report in self.reports)

    @property
    def failed(self) -> bool:
        """Whether the exit code is 1."""
        return self.count("error") > 0 or (self.strict and self.count("warning") > 0)

    @property
    def missing(self) -> bool:
        """Whether a path was not there, or held no skill."""
        return any(found.code in ("path_missing", "no_skill") for report in self.reports for found in report.findings)

    def shown(self, report: PackageReport) -> list[Finding]:
        """Return the findings of a package that are shown."""
        return [found for found in report.findings if self.advice or found.severity != "advice"]

    def placed(self) -> Iterator[tuple[str, Finding]]:
        """Each finding that is shown, with the path of its file in its repository."""
        for report in self.reports:
            root = repository_of(report.folder)
            for found in self.shown(report):
                yield _in_repository(report.folder / found.file, root), found


def path_of(report: PackageReport, file: str = "") -> str:
    """Return a file of a package as a reader at the working directory would name it."""
    path = report.folder / file
    for here, there in ((Path.cwd(), path), (Path.cwd().resolve(), report.folder.resolve() / file)):
        if there.is_relative_to(here):
            return there.relative_to(here).as_posix()
    return path.as_posix()


def _in_repository(path: Path, root: Path | None) -> str:
    for base in (root, Path.cwd()):
        if base is not None and path.is_relative_to(base):
            return path.relative_to(base).as_posix()
    return path.as_posix()


def text(checked: Checked) -> str:
    """Compiler-like lines, a line for each package, and the summary."""
    lines = []
    for report in checked.reports:
        for found in checked.shown(report):
            place = f"{path_of(report, found.file)}:{found.line}:{found.column}"
            lines.append(one_line(f"{place}: {found.severity}: {found.message} [{found.code}]", _LONGEST))
            lines.append(f"    {one_line(found.remedy, _LONGEST)}")
        if len(checked.reports) <= _FEW or checked.shown(report):
            lines.append(one_line(_of_package(checked, report), _LONGEST))
    return "\n".join([*lines, *summary(checked)])


def summary(checked: Checked) -> list[str]:
    """Return how often each code was found, and the whole in one sentence; nothing that was left out stays unsaid."""
    if not checked.reports:
        return ["no skill among the paths"]
    counts = Counter((found.severity, found.code) for report in checked.reports for found in report.findings)
    skills = Counter(key for report in checked.reports for key in {(found.severity, found.code) for found in report.findings})
    rows = [key for key in counts if checked.advice or key[0] != "advice"]
    rows.sort(key=lambda key: (-SEVERITIES.index(key[0]), -counts[key], key[1]))
    lines = []
    if len(checked.reports) > 1 and rows:
        width = max(len(code) for _, code in rows)
        lines = [
            "",
            *(
                f"{severity:<8} {code:<{width}} {counts[severity, code]:>6} in {_counted(skills[severity, code], 'skill')}"
                for severity, code in rows
            ),
            "",
        ]
    if len(checked.reports) > 1:
        right = sum(not checked.shown(report) for report in checked.reports)
        found = f"{_counted(checked.count('error'), 'error')}, {_counted(checked.count('warning'), 'warning')}"
        lines.append(f"{_counted(len(checked.reports), 'skill')} checked for {_rules(checked)}: {found}; {right} with nothing to fix")
    hidden = 0 if checked.advice else checked.count("advice")
    notes = [f"{hidden} piece{'s' if hidden > 1 else ''} of advice {'are' if hidden > 1 else 'is'} not shown (--advice)"] if hidden else []
    notes += [f"{_counted(checked.known, 'finding')} of the baseline left out"] if checked.known else []
    notes += [f"{checked.gone} of the baseline no longer found: write it anew (--write-baseline)"] if checked.gone else []
    notes += [f"{_counted(checked.fixed, 'finding')} fixed"] if checked.fixed else []
    names = ", ".join(one_line(folder.name, 60) for folder in checked.templates)
    notes += [f"passed over as a template: {names}"] if names else []
    return [*lines, *(["; ".join(notes)] if notes else [])]


def _rules(checked: Checked) -> str:
    return ", ".join(HOSTS[name].title for name in checked.hosts)


def _of_package(checked: Checked, report: PackageReport) -> str:
    shown = checked.shown(report)
    counts = [_counted(report.errors, "error"), _counted(report.warnings, "warning")]
    if checked.advice and report.count("advice"):
        counts.append(f"{report.count('advice')} of advice")
    told = ", ".join(counts) if shown else "nothing to fix"
    how = {"none": "", "looked_up": "; handlers looked up in the source, nothing was run", "imported": "; handlers imported"}
    name = report.name or report.folder.name
    return f"{'✗' if shown else '✓'} {name} ({path_of(report)}): {told}{how[report.handlers]}"


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def json(checked: Checked) -> str:
    """One document."""
    packages = [
        {
            "name": report.name,
            "path": path_of(report),
            "handlers": report.handlers,
            "findings": [
                {
                    "file": found.file,
                    "line": found.line,
                    "column": found.column,
                    "code": found.code,
                    "severity": found.severity,
                    "hosts": list(found.hosts),
                    "message": found.message,
                    "remedy": found.remedy,
                    "fixable": found.edit is not None,
                }
                for found in checked.shown(report)
            ],
        }
        for report in checked.reports
    ]
    counts = {"errors": checked.count("error"), "warnings": checked.count("warning"), "advice": checked.count("advice")}
    rest = {"strict": checked.strict, "hosts": list(checked.hosts), "advice_shown": checked.advice}
    baseline = {"known": checked.known, "gone": checked.gone, "fixed": checked.fixed}
    codes = Counter(found.code for report in checked.reports for found in report.findings)
    return json_text({"ok": not (checked.failed or checked.missing), **counts, **rest, **baseline, "codes": codes, "packages": packages})


def github(checked: Checked) -> str:
    """Workflow commands, which GitHub shows at the line; then the summary as plain text."""
    lines = []
    kinds = {"error": "error", "warning": "warning", "advice": "notice"}
    for path, found in checked.placed():
        place = f"file={_property(path)},line={found.line},col={found.column},title={_property(found.code)}"
        lines.append(f"::{kinds[found.severity]} {place}::{_message(f'{found.message}; {found.remedy}')}")
    # A line that begins with :: is a command, so what came out of a package never begins one.
    few = len(checked.reports) <= _FEW
    lines += [one_line(_of_package(checked, report), _LONGEST) for report in checked.reports if few or checked.shown(report)]
    return "\n".join([*lines, *summary(checked)])


def annotation(message: str) -> str:
    """Return an error of GitHub that belongs to no file."""
    return f"::error title=skill validate::{_message(message)}"


def _message(text: str) -> str:
    return one_line(text, _LONGEST).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _message(text).replace(":", "%3A").replace(",", "%2C")


def _sarif(checked: Checked) -> str:
    from netclaw_opencode.adapters.cli.skill.sarif import sarif

    return sarif(list(checked.placed()), checked.docs)


REPORTERS: Mapping[str, Callable[[Checked], str]] = MappingProxyType({"text": text, "json": json, "github": github, "sarif": _sarif})

__all__ = ["REPORTERS", "Checked", "annotation", "path_of", "summary"]
