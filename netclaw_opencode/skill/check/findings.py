"""What the check found: frozen facts, and the judgement of how grave each one is for the hosts that were asked for.

A finding names the hosts that could object; ``judge`` keeps those that some chosen host does object to. How findings are shown is
an adapter's concern.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from netclaw_opencode._core.documents import Fault
from netclaw_opencode.skill.check.rules import RULES, SEVERITIES, Severity

Handlers = Literal["none", "looked_up", "imported"]


@dataclass(frozen=True, slots=True)
class Edit:
    """A safe change: replace line ``line`` by ``text``; without a line, normalize the ends of all lines or drop the byte order mark."""

    kind: Literal["line", "line_ends", "byte_order_mark"]
    line: int = 0
    text: str = ""


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """One thing to fix.

    Args:
        file: Relative to the package, with slashes; empty for the package itself.
        line: From 1, as ``column``.
        code: Of the row in ``rules``.
        hosts: Before the judgement those that may object (empty: all of the row), after it those that do.
        at_most: A limit to the severity where the evidence is weaker than usual.
        severity: Set by the judgement.
        edit: What ``--fix`` does about it.
    """

    file: str
    line: int
    column: int
    code: str
    message: str
    remedy: str
    hosts: tuple[str, ...] = ()
    at_most: Severity = field(default="error", compare=False)
    severity: Severity = field(default="error", compare=False)
    edit: Edit | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class PackageReport:
    """The findings of one package, and how far its handlers were looked at."""

    folder: Path
    name: str | None
    findings: tuple[Finding, ...]
    handlers: Handlers = "none"
    page: str = "SKILL.md"

    def count(self, severity: Severity) -> int:
        """Return how many findings are of a severity."""
        return sum(finding.severity == severity for finding in self.findings)

    @property
    def errors(self) -> int:
        """How many findings are errors."""
        return self.count("error")

    @property
    def warnings(self) -> int:
        """How many findings are warnings."""
        return self.count("warning")


def finding(
    file: str,
    code: str,
    message: str,
    remedy: str | None = None,
    *,
    line: int | None = None,
    column: int | None = None,
    at: tuple[int | None, int | None] | None = None,
    hosts: tuple[str, ...] = (),
    at_most: Severity = "error",
    edit: Edit | None = None,
) -> Finding:
    """Make a finding; without a remedy of its own it has that of its code, without a place the beginning of the file."""
    line, column = at if at is not None else (line, column)
    text = RULES[code].remedy if remedy is None else remedy
    return Finding(file, line or 1, column or 1, code, message, text, hosts, at_most, "error", edit)


def from_faults(file: str, faults: Iterable[Fault]) -> list[Finding]:
    """Return what kept a file from being read as plain data."""
    return [finding(file, fault.kind, fault.what, fault.fix, line=fault.line, column=fault.column) for fault in faults]


def gravest(severities: Iterable[Severity]) -> Severity | None:
    """Return the gravest of some severities."""
    return max(severities, key=SEVERITIES.index, default=None)


def judge(findings: Iterable[Finding], hosts: frozenset[str], changed: Mapping[str, Severity] | None = None) -> list[Finding]:
    """Keep what a chosen host objects to, each with its severity: the gravest of those hosts.

    Args:
        findings: As the checks made them.
        hosts: The chosen ones, with ``contract`` for a package with a manifest.
        changed: Severities that the user's configuration sets for some codes.
    """
    kept = []
    for found in findings:
        grounds = RULES[found.code].grounds
        objecting = tuple(host for host in grounds if host in hosts and (not found.hosts or host in found.hosts))
        severity = gravest(grounds[host].severity for host in objecting)
        if severity is None:
            continue
        limited: Severity = min(severity, found.at_most, key=SEVERITIES.index)
        kept.append(dataclasses.replace(found, hosts=objecting, severity=(changed or {}).get(found.code, limited)))
    return kept


__all__ = ["Edit", "Finding", "Handlers", "PackageReport", "finding", "from_faults", "gravest", "judge"]
