"""The comments by which an author makes an exception in the text itself, for one line or for a block.

``<!-- netclaw-skill: allow CODE -->`` stands at the end of a line or on the line above it; ``off CODE`` and ``on CODE`` enclose a block.
In frontmatter and other YAML it is ``# netclaw-skill: allow CODE``. The words are chosen so that no host's scanner stops at them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from netclaw_opencode.skill.check.findings import Finding, finding
from netclaw_opencode.skill.check.rules import RULES

_COMMENT = re.compile(r"(?:<!--|#|//)\s*netclaw-skill:\s*(allow|off|on)\s+([\w, ]+?)\s*(?:-->|$)", re.MULTILINE)
_ALONE = re.compile(r"\s*(?:<!--|#|//)\s*netclaw-skill:[^\n]*?(?:-->)?\s*\Z")


def apply_exceptions(texts: dict[str, str], findings: Iterable[Finding]) -> Iterator[Finding]:
    """Leave out what a comment in the file makes an exception for; tell the comments that mean nothing."""
    spans = {}
    for file, text in texts.items():
        if "netclaw-skill:" in text:
            spans[file], wrong = _spans(file, text)
            yield from wrong
    for found in findings:
        if not any(first <= found.line <= last for first, last in spans.get(found.file, {}).get(found.code, ())):
            yield found


def _spans(file: str, text: str) -> tuple[dict[str, list[tuple[int, int]]], list[Finding]]:
    """For each code the lines that are excepted."""
    spans: dict[str, list[tuple[int, int]]] = {}
    open_: dict[str, int] = {}
    wrong: list[Finding] = []
    lines = text.split("\n")
    for match in _COMMENT.finditer(text):
        number = text.count("\n", 0, match.start()) + 1
        for code in filter(None, re.split(r"[,\s]+", match[2])):
            if code not in RULES:
                wrong.append(finding(file, "unknown_exception", f"there is no code {code[:60]!r}", line=number))
            elif match[1] == "off":
                open_.setdefault(code, number)
            elif match[1] == "on":
                if code in open_:
                    spans.setdefault(code, []).append((open_.pop(code), number))
                else:
                    wrong.append(finding(file, "unknown_exception", f"{code} is switched on, but was not off", line=number))
            else:
                below = number + 1 if _ALONE.match(lines[number - 1]) else number
                spans.setdefault(code, []).append((number, below))
    for code, number in open_.items():  # to the end of the file
        spans.setdefault(code, []).append((number, len(lines) + 1))
    return spans, wrong


__all__ = ["apply_exceptions"]
