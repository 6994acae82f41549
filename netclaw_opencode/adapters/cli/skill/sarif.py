"""The findings of ``skill validate`` as SARIF 2.1.0, as code scanning reads it.

Owns the document. Paths come relative to the repository.
"""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote

from netclaw_opencode import __version__
from netclaw_opencode.adapters.cli.terminal import PROGRAM, json_text
from netclaw_opencode.skill.check.findings import Finding
from netclaw_opencode.skill.check.rules import RULES

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
_LEVELS = {"error": "error", "warning": "warning", "advice": "note"}


def sarif(placed: Sequence[tuple[str, Finding]], docs: str | None) -> str:
    """Write one run with a result for each finding; ``docs`` is where the page of the rules can be read."""
    used = sorted({found.code for _, found in placed})
    index = {code: position for position, code in enumerate(used)}
    rules: list[dict[str, object]] = [
        {
            "id": code,
            "shortDescription": {"text": RULES[code].summary},
            "help": {"text": RULES[code].remedy},
            "defaultConfiguration": {"level": _LEVELS[max((found.severity for _, found in placed if found.code == code), key=_rank)]},
        }
        for code in used
    ]
    for rule in rules if docs else ():
        rule["helpUri"] = f"{docs}#{rule['id']}"
    driver: dict[str, object] = {"name": PROGRAM, "semanticVersion": __version__, "rules": rules}
    if docs:
        driver["informationUri"] = docs
    results = [_result(path, found, index[found.code]) for path, found in placed]
    run = {"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": results}
    return json_text({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]})


def _rank(severity: str) -> int:
    return ("advice", "warning", "error").index(severity)


def _result(path: str, found: Finding, index: int) -> dict[str, object]:
    artifact: dict[str, object] = {"uri": quote(path.encode("utf-8", "surrogateescape"))}
    if not path.startswith("/"):
        artifact["uriBaseId"] = "%SRCROOT%"
    region = {"startLine": found.line, "startColumn": found.column}
    return {
        "ruleId": found.code,
        "ruleIndex": index,
        "level": _LEVELS[found.severity],
        "message": {"text": f"{found.message}; {found.remedy}"},
        "locations": [{"physicalLocation": {"artifactLocation": artifact, "region": region}}],
    }


__all__ = ["SCHEMA", "sarif"]
