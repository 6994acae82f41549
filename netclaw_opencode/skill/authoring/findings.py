"""What the check of a package found: frozen facts, in the order in which a reader fixes them.

Owns the shapes. How they are shown is an adapter's concern.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from netclaw_opencode._core.documents import Fault
from netclaw_opencode.skill.authoring.codes import CODES, Severity

Handlers = Literal["none", "looked_up", "imported"]


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """One thing to fix: ``file`` is relative to the package, with slashes; line and column count from 1."""

    file: str
    line: int
    column: int
    code: str
    what: str
    fix: str

    @property
    def severity(self) -> Severity:
        """Of the code's row."""
        return CODES[self.code].severity


@dataclass(frozen=True, slots=True)
class PackageReport:
    """The findings of one package, and how far its handlers were looked at."""

    folder: Path
    name: str | None
    findings: tuple[Finding, ...]
    handlers: Handlers = "none"

    @property
    def errors(self) -> int:
        """How many findings are errors."""
        return sum(finding.severity == "error" for finding in self.findings)

    @property
    def warnings(self) -> int:
        """How many findings are warnings."""
        return len(self.findings) - self.errors


def finding(
    file: str,
    code: str,
    what: str,
    fix: str | None = None,
    *,
    line: int | None = None,
    column: int | None = None,
    at: tuple[int | None, int | None] | None = None,
) -> Finding:
    """A finding; without a remedy of its own it has that of its code, without a place the beginning of the file."""
    line, column = at if at is not None else (line, column)
    return Finding(file, line or 1, column or 1, code, what, CODES[code].remedy if fix is None else fix)


def of_faults(file: str, faults: Iterable[Fault]) -> list[Finding]:
    """What kept a file from being read as plain data."""
    return [finding(file, fault.kind, fault.what, fault.fix, line=fault.line, column=fault.column) for fault in faults]


__all__ = ["Finding", "Handlers", "PackageReport", "finding", "of_faults"]
