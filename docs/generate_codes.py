"""Makes ``docs/rules.md`` and the page of each host from the table of rules, the hosts and the wordings of their scanners.

Owns their layout and not a word of their content. ``docs/generate.py`` runs it with the other pages.
"""

from __future__ import annotations

from collections.abc import Iterator

from netclaw_opencode.skill.check.hosts import CONTRACT, HOSTS, Host
from netclaw_opencode.skill.check.phrases import PHRASES
from netclaw_opencode.skill.check.rules import RULES, Rule

MADE = "<!-- Made by docs/generate.py from netclaw_opencode/skill/check/. Change that, then run it. -->"
_MARK = {"error": "**error**", "warning": "warning", "advice": "advice"}


def rule_pages() -> dict[str, str]:
    """The text of each page by its path in the repository."""
    pages = {"docs/rules.md": "\n".join(_index()) + "\n"}
    return pages | {f"docs/rules/{host.name}.md": "\n".join(_page(host)) + "\n" for host in HOSTS.values()}


def _index() -> Iterator[str]:
    yield from ("# Every rule", "", MADE, "")
    yield "What `netclaw-opencode skill validate` can find, and how gravely each host takes it. The codes are stable. An **error** is what"
    yield "the host refuses or loses, a warning what it takes but handles worse, advice (shown with `--advice`) what some think better."
    yield "`--explain CODE` shows one rule with its sources. [How to use the check](authors.md)."
    yield ""
    yield "| Set of rules | For | Rests on |"
    yield "|---|---|---|"
    for host in HOSTS.values():
        flag = "always, with a `skill.yaml`" if host.name == CONTRACT else f"`--for {host.name}`"
        yield f"| [{host.title}](rules/{host.name}.md) | {flag} | {host.document} ({host.version}) |"
    for area in dict.fromkeys(row.area for row in RULES.values()):
        yield from (
            "",
            f"## {area}",
            "",
            f"| Code | What is wrong | How to fix it | {' | '.join(HOSTS)} |",
            "|---|---|---|" + "---|" * len(HOSTS),
        )
        for row in RULES.values():
            if row.area == area:
                held = " | ".join(_MARK[row.grounds[name].severity] if name in row.grounds else "" for name in HOSTS)
                fix = " (`--fix`)" if row.fixable else ""
                yield f'| <a id="{row.code}"></a>`{row.code}` | {_cell(row.summary)} | {_cell(row.remedy)}{fix} | {held} |'


def _page(host: Host) -> Iterator[str]:
    yield from (f"# Rules: {host.title}", "", MADE, "")
    if host.name == CONTRACT:
        yield "They apply to every package with a `skill.yaml`, besides those of the hosts that are asked for."
    else:
        yield f"`netclaw-opencode skill validate --for {host.name} PATH` checks by these." + (
            " It is the default." if host.name == "spec" else ""
        )
    yield from ("", f"They rest on {host.document}. Read in this version: {host.version}. [Every rule](../rules.md) says how to fix it.")
    if host.keys:
        yield from (
            "",
            f"It documents these keys of the frontmatter beyond the specification's: {', '.join(f'`{key}`' for key in host.keys)}.",
        )
    rules = [row for row in RULES.values() if host.name in row.grounds]
    for severity in ("error", "warning", "advice"):
        chosen = [row for row in rules if row.grounds[host.name].severity == severity]
        if chosen:
            yield from ("", f"## {severity.capitalize()}{'' if severity == 'advice' else 's'}", "")
            yield from ("| Code | What is wrong | For example | Where the host says so |", "|---|---|---|---|")
            yield from (_row(row, host) for row in chosen)
    phrases = [row for row in PHRASES if row.host == host.name]
    if phrases:
        yield from ("", "## What its scanner stops at", "")
        yield "`refuses` is the code `scanner_phrase`, `asks` is `scanner_doubt`."
        yield from ("", "| Wording | | Why | For example |", "|---|---|---|---|")
        yield from (f"| {row.id} | {row.level} | {_cell(row.why)} | {_code(row.example)} |" for row in phrases)


def _row(row: Rule, host: Host) -> str:
    return f"| `{row.code}` | {_cell(row.summary)} | {_code(row.example)} | {_cell(row.grounds[host.name].source)} |"


def _code(text: str) -> str:
    quotes = "``" if "`" in text else "`"
    blank = " " if "`" in text else ""
    return f"{quotes}{blank}{_cell(text)}{blank}{quotes}"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


__all__ = ["rule_pages"]
