"""``skill validate``: paths to skills, skills to reports, reports to one of four forms, and the exit code.

Owns the meaning of the flags and of the exit codes: 0 nothing that fails, 1 something that does, 2 a command line or configuration that is
wrong, or a path that is not there or holds no skill (whatever else was asked for is checked and shown all the same).
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import click

from netclaw_opencode.adapters.cli import output
from netclaw_opencode.adapters.cli.skill.reporting import REPORTERS, Checked, annotation
from netclaw_opencode.adapters.cli.skill.rules import explain, list_rules
from netclaw_opencode.errors import EXIT_DONE, EXIT_FAILED, EXIT_USAGE
from netclaw_opencode.skill.check.baseline import compare, write_baseline
from netclaw_opencode.skill.check.config import Config, ConfigurationError, check_codes, check_hosts, find_config, read_config
from netclaw_opencode.skill.check.findings import PackageReport
from netclaw_opencode.skill.check.fixes import apply_fixes
from netclaw_opencode.skill.check.hosts import DEFAULT
from netclaw_opencode.skill.check.repository import Found, check_all, find

_ROUNDS = 3  # a fix may uncover another one, such as a name behind a line that was no YAML


@dataclass(frozen=True, slots=True)
class Flags:
    """What the command line asks for, by the names of its flags."""

    hosts: tuple[str, ...]
    output_format: str | None
    strict: bool
    advice: bool
    ignored: tuple[str, ...]
    fix: bool
    baseline: str | None
    write_baseline: bool
    config: str | None
    import_code: bool
    changed: bool
    jobs: int | None
    docs: str | None
    list_rules: bool
    explain: str | None


def validate(paths: tuple[str, ...], **given: object) -> int:
    """Check every skill once and show what was found."""
    flags = Flags(**given)  # type: ignore[arg-type]
    try:
        return _validate(paths, flags)
    except (click.UsageError, ConfigurationError) as error:
        usage = error if isinstance(error, click.UsageError) else click.UsageError(str(error), click.get_current_context(silent=True))
        if flags.output_format not in ("github", "sarif"):
            raise usage from error
        return _tell(usage, annotate=flags.output_format == "github")


def _validate(paths: tuple[str, ...], flags: Flags) -> int:
    hosts = check_hosts(flags.hosts, "--for") if flags.hosts else None
    form = output.format_for(flags.output_format)
    if flags.explain is not None:
        (code,) = check_codes([flags.explain], "--explain")
        output.write_line(explain(code, form))
        return EXIT_DONE
    if flags.list_rules:
        output.write_line(list_rules(hosts, form))
        return EXIT_DONE
    if not paths:
        raise click.UsageError("name a PATH: a folder of skills, a skill, or a file of one", click.get_current_context(silent=True))
    config = _config(paths, flags)
    hosts = hosts or config.hosts or DEFAULT
    found = find(paths, config=config, changed=flags.changed)
    reports, fixed = _check(found, hosts, config, flags)
    baseline = Path(flags.baseline) if flags.baseline is not None else config.baseline
    if flags.write_baseline:
        if baseline is None:
            raise ConfigurationError("--write-baseline: name the file with --baseline FILE")
        number = write_baseline(baseline, reports)
        output.notice([f"{number} findings are written to {baseline}; from now on only new ones are shown"])
    known = gone = 0
    if baseline is not None:
        compared = compare(baseline, reports)
        reports, known, gone = compared.reports, compared.known, compared.gone
    checked = Checked(
        reports,
        flags.strict or config.strict,
        hosts,
        flags.advice or config.advice,
        known=known,
        gone=gone,
        fixed=fixed,
        docs=flags.docs,
        templates=found.templates,
    )
    output.write_line(REPORTERS[form](checked))
    return EXIT_USAGE if checked.missing else EXIT_FAILED if checked.failed else EXIT_DONE


def _config(paths: tuple[str, ...], flags: Flags) -> Config:
    """Return the configuration of the repository that the first path lies in, with what the command line adds."""
    if flags.config is not None:
        config = read_config(Path(flags.config).absolute())
        if config is None:
            raise ConfigurationError(f"--config {flags.config}: there is no [tool.netclaw-skill] in it")
    else:
        first = Path(paths[0]).absolute()
        config = find_config(first if first.is_dir() else first.parent)
    return dataclasses.replace(config, ignore=config.ignore | check_codes(flags.ignored, "--ignore"))


def _check(found: Found, hosts: tuple[str, ...], config: Config, flags: Flags) -> tuple[tuple[PackageReport, ...], int]:
    fixed = 0
    for _ in range(_ROUNDS if flags.fix else 1):
        reports = check_all(found, hosts=hosts, config=config, import_code=flags.import_code, jobs=flags.jobs)
        mended = sum(apply_fixes(report) for report in reports) if flags.fix else 0
        fixed += mended
        if not mended:
            return reports, fixed
    return check_all(found, hosts=hosts, config=config, import_code=flags.import_code, jobs=flags.jobs), fixed


def _tell(error: click.UsageError, *, annotate: bool) -> int:
    """Return the two forms for machines have no place for an envelope."""
    output.notice([error.format_message()])
    if annotate:
        output.write_line(annotation(error.format_message()))
    return EXIT_USAGE


__all__ = ["validate"]
