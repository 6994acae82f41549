"""The page on safety and the rules as data: neither may know a rule that the other, or the tests, do not know."""

from __future__ import annotations

import ast
import functools
import inspect
import re
from pathlib import Path

import pytest

from netclaw_opencode.driver import rules
from netclaw_opencode.errors import CODES
from netclaw_opencode.manifest import load_manifest
from netclaw_opencode.server import binary

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "safety.md").read_text(encoding="utf-8")
IDS = [rule.id for rule in rules.RULES]
PARTS = ("How", "Evidence", "Not covered")

each_rule = pytest.mark.parametrize("rule", rules.RULES, ids=IDS)


def chapter(title: str, *, level: int = 2) -> str:
    """The text below a heading, up to the next one of its level or above."""
    found = re.search(rf"^{'#' * level} {re.escape(title)}\n(.*?)(?=^#{{1,{level}}} |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    assert found is not None, f"there is no heading {title!r}"
    return found[1].strip()


def flat(text: str) -> str:
    """The text in one line."""
    return " ".join(text.split())


@functools.cache
def functions_named_test() -> dict[str, ast.FunctionDef]:
    """Every test function of the repository."""
    return {
        node.name: node
        for path in (ROOT / "tests").rglob("test_*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    }


def test_the_page_has_the_rules_and_no_others() -> None:
    """One paragraph for each, headed by its id, in the order of the table."""
    assert re.findall(r"^### (\S+)$", chapter("The rules"), re.MULTILINE) == IDS


@each_rule
def test_a_paragraph_begins_with_the_rules_own_sentence(rule: rules.Rule) -> None:
    """Word for word: what is promised here is what the code says of itself."""
    assert chapter(rule.id, level=3).split("\n\n")[0] == f"**{rule.sentence}**"


@each_rule
def test_a_paragraph_says_how_what_proves_it_and_what_it_leaves_open(rule: rules.Rule) -> None:
    """Three points, none of them empty, and nothing else."""
    points = re.findall(r"^- \*(.+?):\* (.+?)(?=^- \*|\Z)", chapter(rule.id, level=3), re.MULTILINE | re.DOTALL)
    assert tuple(name for name, _ in points) == PARTS
    assert all(len(flat(text)) > 30 and flat(text).endswith(".") for _, text in points)


@each_rule
def test_a_rule_has_a_check_and_a_test_that_bears_its_name(rule: rules.Rule) -> None:
    """A function of the module of rules, and a test with a stated claim that calls it."""
    name = rule.id.replace("-", "_")
    assert inspect.getmodule(rule.check) is rules
    found = functions_named_test().get(f"test_rule_{name}")
    assert found is not None, f"there is no test_rule_{name}"
    assert ast.get_docstring(found)
    assert any(isinstance(node, ast.Attribute) and node.attr == name for node in ast.walk(found)), (
        f"test_rule_{name} does not call the check"
    )


def test_no_test_bears_the_name_of_a_rule_that_is_not_there() -> None:
    """A rule that was renamed or removed takes its test along."""
    named = {name.removeprefix("test_rule_") for name in functions_named_test() if name.startswith("test_rule_")}
    known = tuple(identifier.replace("-", "_") for identifier in IDS)
    assert not [name for name in named if not name.startswith(known)]


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


@pytest.mark.parametrize(
    "risk",
    [
        "The model's shell inherits the server's environment, and with it `OPENCODE_SERVER_PASSWORD`",
        "The permission prompt is no boundary against a hostile model",
        "A server without a password is open",
        "Every local program",
        "API keys are in reach",
    ],
)
def test_the_residual_risks_are_told(risk: str) -> None:
    """What the rules cannot prevent stands where people look for it (F45, F46, F47)."""
    assert risk in flat(chapter("Residual risks"))


def test_the_page_says_what_was_not_tested() -> None:
    """Linux was; macOS and Windows were not, with what differs there."""
    text = flat(chapter("What was tested where"))
    assert "tested on Linux" in text
    assert "macOS and Windows were *not* tested" in text
    assert "msvcrt" in text and "session" in text
