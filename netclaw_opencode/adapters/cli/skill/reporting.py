"""The findings of ``skill validate`` as text, as JSON, as annotations of GitHub, and as SARIF 2.1.0.

Owns the four forms. A path in a report is relative to the working directory where it lies below it, and everything that
came out of a package passes through ``harmless`` or strict JSON.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from urllib.parse import quote

from netclaw_opencode import __version__
from netclaw_opencode.adapters.cli.terminal import PROGRAM, json_text, one_line
from netclaw_opencode.skill.authoring.codes import CODES
from netclaw_opencode.skill.authoring.findings import Finding, PackageReport

SARIF_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"

_LONGEST = 500


@dataclass(frozen=True, slots=True)
class Checked:
    """Every report of one call."""

    reports: tuple[PackageReport, ...]
    strict: bool
    docs: str | None = None

    @property
    def errors(self) -> int:
        """Of all packages."""
        return sum(report.errors for report in self.reports)

    @property
    def warnings(self) -> int:
        """Of all packages."""
        return sum(report.warnings for report in self.reports)

    @property
    def failed(self) -> bool:
        """Whether the exit code is 1."""
        return self.errors > 0 or (self.strict and self.warnings > 0)

    def placed(self) -> Iterator[tuple[str, Finding]]:
        """Each finding with the path of its file."""
        for report in self.reports:
            for finding in report.findings:
                yield path_of(report, finding.file), finding


def path_of(report: PackageReport, file: str = "") -> str:
    """A file of a package as the reader would name it."""
    path = report.folder / file
    for here, there in ((Path.cwd(), path), (Path.cwd().resolve(), report.folder.resolve() / file)):
        if there.is_relative_to(here):
            return there.relative_to(here).as_posix()
    return path.as_posix()


def text(checked: Checked) -> str:
    """Compiler-like lines, and one line for each package."""
    lines = []
    for report in checked.reports:
        for finding in report.findings:
            place = f"{path_of(report, finding.file)}:{finding.line}:{finding.column}"
            lines.append(one_line(f"{place}: {finding.severity}: {finding.what} [{finding.code}]", _LONGEST))
            lines.append(f"    {one_line(finding.fix, _LONGEST)}")
        lines.append(one_line(_summary(report), _LONGEST))
    if not checked.reports:
        lines.append("no skill package among the paths")
    return "\n".join(lines)


def _summary(report: PackageReport) -> str:
    counts = f"{_counted(report.errors, 'error')}, {_counted(report.warnings, 'warning')}" if report.findings else "nothing to fix"
    how = {"none": "", "looked_up": "; handlers looked up in the source, nothing was run", "imported": "; handlers imported"}
    return (
        f"{'✗' if report.findings else '✓'} {report.name or 'a skill without a name'} ({path_of(report)}): {counts}{how[report.handlers]}"
    )


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def json(checked: Checked) -> str:
    """One document."""
    packages = [
        {
            "name": report.name,
            "path": path_of(report),
            "handlers": report.handlers,
            "findings": [
                {
                    "file": finding.file,
                    "line": finding.line,
                    "column": finding.column,
                    "code": finding.code,
                    "severity": finding.severity,
                    "what": finding.what,
                    "mend": finding.fix,
                }
                for finding in report.findings
            ],
        }
        for report in checked.reports
    ]
    counts = {"errors": checked.errors, "warnings": checked.warnings, "strict": checked.strict}
    return json_text({"ok": not checked.failed, **counts, "packages": packages})


def github(checked: Checked) -> str:
    """Workflow commands, which GitHub shows at the line; then the summary as plain text."""
    lines = []
    for path, finding in checked.placed():
        place = f"file={_property(path)},line={finding.line},col={finding.column},title={_property(finding.code)}"
        lines.append(f"::{finding.severity} {place}::{_message(f'{finding.what}; {finding.fix}')}")
    # A line that begins with :: is a command, so what came out of a package never begins one.
    lines += [one_line(_summary(report), _LONGEST) for report in checked.reports]
    return "\n".join(lines)


def annotation(message: str) -> str:
    """An error of GitHub that belongs to no file."""
    return f"::error title=skill validate::{_message(message)}"


def _message(text: str) -> str:
    return one_line(text, _LONGEST).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _message(text).replace(":", "%3A").replace(",", "%2C")


def sarif(checked: Checked) -> str:
    """SARIF 2.1.0, as code scanning reads it."""
    used = sorted({finding.code for _, finding in checked.placed()})
    index = {code: position for position, code in enumerate(used)}
    rules: list[dict[str, object]] = [
        {
            "id": code,
            "shortDescription": {"text": CODES[code].summary},
            "help": {"text": CODES[code].remedy},
            "defaultConfiguration": {"level": CODES[code].severity},
        }
        for code in used
    ]
    for rule in rules if checked.docs else ():
        rule["helpUri"] = f"{checked.docs}#{rule['id']}"
    results = [
        {
            "ruleId": finding.code,
            "ruleIndex": index[finding.code],
            "level": finding.severity,
            "message": {"text": f"{finding.what}; {finding.fix}"},
            "locations": [
                {
                    "physicalLocation": {
                        "artifactLocation": {"uri": quote(path.encode("utf-8", "surrogateescape")), "uriBaseId": "%SRCROOT%"},
                        "region": {"startLine": finding.line, "startColumn": finding.column},
                    }
                }
            ],
        }
        for path, finding in checked.placed()
    ]
    driver: dict[str, object] = {"name": PROGRAM, "semanticVersion": __version__, "rules": rules}
    if checked.docs:
        driver["informationUri"] = checked.docs
    run = {"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": results}
    return json_text({"$schema": SARIF_SCHEMA, "version": "2.1.0", "runs": [run]})


REPORTERS: Mapping[str, Callable[[Checked], str]] = MappingProxyType({"text": text, "json": json, "github": github, "sarif": sarif})

__all__ = ["REPORTERS", "Checked", "annotation", "path_of"]
