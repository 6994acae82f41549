"""The page on safety and the rules as data: neither may know a rule that the other, or the tests, do not know."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from netclaw_opencode.driver import rules
from netclaw_opencode.errors import CODES
from netclaw_opencode.manifest import load_manifest
from netclaw_opencode.opencode.process import binary

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "safety.md").read_text(encoding="utf-8")
IDS = [rule.id for rule in rules.RULES]
each_rule = pytest.mark.parametrize("rule", rules.RULES, ids=IDS)


def chapter(title: str, *, level: int = 2) -> str:
    """The text below a heading, up to the next one of its level or above."""
    found = re.search(rf"^{'#' * level} {re.escape(title)}\n(.*?)(?=^#{{1,{level}}} |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    assert found is not None, f"there is no heading {title!r}"
    return found[1].strip()


def flat(text: str) -> str:
    """The text in one line."""
    return " ".join(text.split())


def test_the_page_has_the_rules_and_no_others() -> None:
    """One paragraph for each, headed by its id, in the order of the table."""
    assert re.findall(r"^### (\S+)$", chapter("The rules"), re.MULTILINE) == IDS


@each_rule
def test_a_paragraph_begins_with_the_rules_own_sentence(rule: rules.Rule) -> None:
    """Word for word: what is promised here is what the code says of itself."""
    assert chapter(rule.id, level=3).split("\n\n")[0] == f"**{rule.sentence}**"


def test_every_rule_that_an_error_names_is_one() -> None:
    """In all of the package: ``rule="…"`` is an id of the table, and so is every anchor of the page."""
    named = {
        keyword.value.value
        for path in (ROOT / "netclaw_opencode").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        for keyword in node.keywords
        if keyword.arg == "rule" and isinstance(keyword.value, ast.Constant) and isinstance(keyword.value.value, str)
    }
    assert named, "no error names a rule"
    assert named | set(re.findall(r"\]\(#([\w-]+)\)", PAGE)) <= set(IDS)


def test_codes_actions_fields_and_variables_of_the_page_exist() -> None:
    """What stands in backquotes as one word is an error code, an action, a field of its schemas, a hook or a variable."""
    manifest = load_manifest()
    fields: set[str] = set()

    def gather(schema: object) -> None:
        if isinstance(schema, dict):
            fields.update(schema.get("properties", {}))
            for value in schema.values():
                gather(value)
        elif isinstance(schema, list):
            for value in schema:
                gather(value)

    for entry in manifest.actions.values():
        gather(entry.input_schema)
        gather(entry.output_schema)
    from netclaw_opencode import hookspecs

    hooks = {name for name in vars(hookspecs) if name.startswith("netclaw_")}
    states = {"busy", "retry", "true"}
    error_fields = {"rule", "code", "message", "next", "details", "stopped"}
    system = {"flock", "setsid", "opencode"}
    known = {*CODES, *manifest.actions, *fields, *hooks, *states, *error_fields, *system, *(item.name for item in manifest.environment)}
    words = set(re.findall(r"`([A-Za-z_]+)`", PAGE))
    assert sorted(words - known) == []


def test_the_limits_that_the_page_names_are_those_of_the_code() -> None:
    """Seconds and versions."""
    from netclaw_opencode.driver import stopping, turns

    text = flat(PAGE)
    assert f"`send_message` has {rules.MESSAGE_SECONDS:g} seconds at most" in text
    assert f"at most {turns.CLEANUP_SECONDS:g} seconds later" in text
    assert f"for {stopping.STOP_SECONDS:g} seconds in all" in text
    assert rules.STUCK_SESSIONS == 2 and "two or more sessions are in retry" in text
    assert "a version below " + ".".join(map(str, binary._FIXED)) in text
