"""``skill validate``: paths to packages, packages to reports, reports to one of four forms, and the exit code.

Owns the meaning of the paths and of the exit codes: 0 nothing that fails, 1 something, 2 a path that names no package.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import click

from netclaw_opencode.adapters.cli import output
from netclaw_opencode.adapters.cli.skill.reporting import REPORTERS, Checked, annotation
from netclaw_opencode.errors import EXIT_DONE, EXIT_FAILED, EXIT_USAGE
from netclaw_opencode.skill.authoring.files import Package, package_at
from netclaw_opencode.skill.authoring.package import check_package


def validate(paths: tuple[str, ...], *, output_format: str | None, strict: bool, import_code: bool, changed: bool, docs: str | None) -> int:
    """Check every package once and show what was found."""
    try:
        packages = _packages(paths, changed=changed)
    except click.UsageError as error:
        if output_format not in ("github", "sarif"):
            raise
        return _tell(error, annotate=output_format == "github")
    checked = Checked(tuple(check_package(package, import_code=import_code) for package in packages), strict, docs)
    output.write_line(REPORTERS[output.format_for(output_format)](checked))
    return EXIT_FAILED if checked.failed else EXIT_DONE


def _packages(paths: Iterable[str], *, changed: bool) -> list[Package]:
    found: dict[Path, Package] = {}
    wrong = []
    for path in paths:
        given = Path(path)
        if not os.path.lexists(given):
            wrong.append(f"{path!r} is not there")
            continue
        package = package_at(given.absolute())
        if package is not None:
            found.setdefault(package.folder.resolve(), package)
        elif not changed:
            inner = [str(item.parent) for item in sorted(given.glob("skills/*/SKILL.md"))[:3]]
            hint = f"; try {', '.join(inner)}" if inner else ""
            wrong.append(f"{path!r} is no skill package: it holds neither skill.yaml nor SKILL.md{hint}")
    if wrong:
        raise click.UsageError("; ".join(wrong), click.get_current_context(silent=True))
    return list(found.values())


def _tell(error: click.UsageError, *, annotate: bool) -> int:
    """The two forms for machines have no place for an envelope."""
    output.notice([error.format_message()])
    if annotate:
        output.write_line(annotation(error.format_message()))
    return EXIT_USAGE


__all__ = ["validate"]
