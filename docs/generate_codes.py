"""Makes the two tables of ``docs/authors.md`` from the table of codes and the phrases of scanners.

Owns their layout and not a word of their content. ``docs/generate.py`` runs it with the other pages.
"""

from __future__ import annotations

from collections.abc import Iterator

from netclaw_opencode.skill.authoring.codes import CODES
from netclaw_opencode.skill.authoring.phrases import PHRASES


def author_page(text: str) -> str:
    """The page with its tables made anew; everything between the marks is replaced."""
    for name, lines in {"codes": _codes(), "phrases": _phrases()}.items():
        begin, end = f"<!-- made: {name} -->\n", f"<!-- end: {name} -->\n"
        made = "".join(f"{line}\n" for line in lines)
        before, _, rest = text.partition(begin)
        _, found, after = rest.partition(end)
        if not found:
            raise SystemExit(f"docs/authors.md: the marks {begin.strip()} and {end.strip()} must stand there")
        text = before + begin + made + end + after
    return text


def _codes() -> Iterator[str]:
    for area in dict.fromkeys(row.area for row in CODES.values()):
        yield from (f"### {area}", "", "| Code | | What is wrong | How to fix it |", "|---|---|---|---|")
        for row in CODES.values():
            if row.area == area:
                yield f'| <a id="{row.code}"></a>`{row.code}` | {row.severity} | {_cell(row.summary)} | {_cell(row.remedy)} |'
        yield ""


def _phrases() -> Iterator[str]:
    yield from ("| Phrase | Why | For example |", "|---|---|---|")
    for row in PHRASES:
        yield f"| {row.id} | {_cell(row.why)} | `{_cell(row.example)}` |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
