"""``--list-rules`` and ``--explain``: the table of rules as text or JSON.

Owns the layout; every word of it stands in ``skill.check.rules`` and ``skill.check.hosts``.
"""

from __future__ import annotations

from netclaw_opencode.adapters.cli.terminal import json_text
from netclaw_opencode.skill.check.hosts import HOSTS
from netclaw_opencode.skill.check.rules import RULES, Rule


def explain(code: str, form: str) -> str:
    """One rule whole: who holds it, how gravely, and where that host says so."""
    rule = RULES[code]
    if form == "json":
        return json_text(_wire(rule))
    lines = [f"{rule.code}: {rule.summary}", "", f"  for example  {rule.example}", f"  what to do   {rule.remedy}"]
    if rule.fixable:
        lines.append("  --fix        fixes it where that is safe")
    lines += ["", "who holds it"]
    for name, ground in rule.grounds.items():
        host = HOSTS[name]
        lines += [f"  {name:<9}{ground.severity:<8} {host.title}: {ground.source}", f"  {'':<17} {host.document} ({host.version})"]
    lines += ["", f"for one line: <!-- netclaw-skill: allow {code} -->"]
    return "\n".join(lines)


def list_rules(hosts: tuple[str, ...] | None, form: str) -> str:
    """Every rule, or those of some hosts, each with its severity by host."""
    rules = [rule for rule in RULES.values() if hosts is None or set(hosts) & set(rule.grounds)]
    if form == "json":
        return json_text({"hosts": [_host(name) for name in HOSTS], "rules": [_wire(rule) for rule in rules]})
    lines: list[str] = []
    area = ""
    for rule in rules:
        if rule.area != area:
            area = rule.area
            lines += ["", area] if lines else [area]
        held = ", ".join(f"{name} {ground.severity}" for name, ground in rule.grounds.items() if hosts is None or name in hosts)
        lines += [f"  {rule.code:<26}{rule.summary}", f"  {'':<26}{held}"]
    return "\n".join(lines)


def _wire(rule: Rule) -> dict[str, object]:
    return {
        "code": rule.code,
        "area": rule.area,
        "summary": rule.summary,
        "remedy": rule.remedy,
        "example": rule.example,
        "fixable": rule.fixable,
        "hosts": {name: {"severity": ground.severity, "source": ground.source} for name, ground in rule.grounds.items()},
    }


def _host(name: str) -> dict[str, object]:
    host = HOSTS[name]
    return {"name": host.name, "title": host.title, "document": host.document, "version": host.version, "keys": list(host.keys)}


__all__ = ["explain", "list_rules"]
