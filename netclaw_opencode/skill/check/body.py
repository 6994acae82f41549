"""The body of ``SKILL.md`` and the wording of every text: length, sections, what line-by-line readers and scanners stumble over.

Owns these rules; what the frontmatter says is checked in ``frontmatter``, where links lead in ``links``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from netclaw_opencode.skill.check.files import SkillFiles
from netclaw_opencode.skill.check.findings import Finding, finding
from netclaw_opencode.skill.check.hosts import CONTRACT
from netclaw_opencode.skill.check.markdown import Markdown
from netclaw_opencode.skill.check.page import Page
from netclaw_opencode.skill.check.phrases import phrases_in
from netclaw_opencode.skill.check.places import MANIFEST, PLUGIN, PROJECT

SECTIONS = ("When to use", "Procedure", "Pitfalls", "Verification")
MAX_LINES = 500
MAX_CHARACTERS = 10_000

_KEY_LINE = re.compile(r"\s*(name|description|version)\s*:")


def check_body(page: Page, parsed: Markdown) -> Iterator[Finding]:
    """Return what is wrong with the body, whatever it is about."""
    text = "\n".join(page.body).strip()
    if not text:
        yield finding(page.file, "body_empty", "there is no text below the frontmatter", line=min(page.body_line, len(page.raw) + 1))
    number = len(text.splitlines())
    if number > MAX_LINES:
        message = f"the body has {number} lines; the specification recommends at most {MAX_LINES}"
        yield finding(page.file, "body_too_long", message, line=page.body_line, hosts=("spec",))
    if len(text) >= MAX_CHARACTERS:
        message = f"the body has {len(text)} characters; hosts cut it at {MAX_CHARACTERS}"
        yield finding(page.file, "body_too_long", message, line=page.body_line, hosts=(CONTRACT,))
    headings = {heading.lower() for heading in parsed.headings}
    for section in SECTIONS if text else ():
        if section.lower() not in headings:
            line = min(page.body_line, len(page.raw) + len(page.body))
            yield finding(page.file, "section_missing", f"there is no section {section!r}", f"add ## {section}", line=line)
    yield from _key_lines(page)


def _key_lines(page: Page) -> Iterator[Finding]:
    own = {page.front.line_of((key,)) for key in page.keys}
    for number, line in enumerate((*page.raw, "---", *page.body), 1):
        match = _KEY_LINE.match(line)
        if match and number not in own:
            message = f"a publisher that reads line by line takes this for the skill's {match[1]}"
            yield finding(page.file, "nested_key_line", message, line=number, column=match.start(1) + 1)


def check_wording(files: SkillFiles, hosts: frozenset[str]) -> Iterator[Finding]:
    """Return what the scanners of the chosen hosts stop at; our contract asks for a text that passes all of them."""
    ours = CONTRACT in hosts
    for relative, text in files.texts.items():
        if relative in (MANIFEST, PROJECT, PLUGIN):
            continue
        for host in ("netclaw", "hermes"):
            if not (ours or host in hosts) or (host == "netclaw" and relative != files.package.page and not ours):
                continue  # NetClaw's scanner reads the page alone
            for found in phrases_in(text, host):
                code = "scanner_phrase" if found.phrase.level == "refuses" else "scanner_doubt"
                message = f"{found.matched[:80]!r} ({host}: {found.phrase.id}) reads as {found.phrase.why}"
                objecting = (host, CONTRACT) if host in hosts else (CONTRACT,)
                yield finding(relative, code, message, line=found.line, column=found.column, hosts=objecting)


__all__ = ["MAX_CHARACTERS", "MAX_LINES", "SECTIONS", "check_body", "check_wording"]
