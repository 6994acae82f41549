"""Anybody's manifest: whatever is wrong with one is named with its place and remedy, all of it at once."""

from __future__ import annotations

import json
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from netclaw_opencode._core.validation import find_problems
from netclaw_opencode.errors import InvalidInput
from netclaw_opencode.manifest import ManifestProblem, check_manifest, load_checked_manifest, load_manifest

SKILL = """\
name: my-skill
version: "1.0.0"
description: Does one thing.
when_to_use: When that thing is needed.
license: Apache-2.0
plugin: my_plugin
requires: {python: ">=3.11"}
environment:
  - {name: MY_KEY, secret: true, description: A key.}
common_errors: [internal_error]
actions:
  - name: greet
    summary: Greet somebody.
    description: Returns a greeting.
    tier: inspect
    handler: my_plugin:greet
    input: schemas/greet.input.json
    output: schemas/greet.output.json
    deadline_seconds: 5
    errors: [session_not_found]
    examples:
      - description: Greet Ada.
        input: {name: Ada}
        output: {text: Hello Ada}
"""
INPUT: dict[str, object] = {
    "type": "object",
    "properties": {"name": {"type": "string", "description": "Who is greeted.", "minLength": 1}},
    "required": ["name"],
    "additionalProperties": False,
}
OUTPUT: dict[str, object] = {
    "type": "object",
    "properties": {"text": {"$ref": "#/$defs/line", "description": "The greeting."}},
    "required": ["text"],
    "additionalProperties": False,
    "$defs": {"line": {"type": "string", "description": "One line."}},
}

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a skill (a right one, where nothing else is said) and returns the path of its manifest."""

    def writer(text: str = SKILL, *, greet_input: object = INPUT, greet_output: object = OUTPUT, **files: str) -> Path:
        folder = tmp_path / "skill"
        (folder / "schemas").mkdir(parents=True, exist_ok=True)
        (folder / "skill.yaml").write_text(text, encoding="utf-8")
        for side, schema in (("input", greet_input), ("output", greet_output)):
            written = schema if isinstance(schema, str) else json.dumps(schema)
            (folder / "schemas" / f"greet.{side}.json").write_text(written, encoding="utf-8")
        for name, content in files.items():
            (folder / f"{name}.py").write_text(textwrap.dedent(content), encoding="utf-8")
        return folder / "skill.yaml"

    return writer


def where(problems: list[ManifestProblem]) -> list[str]:
    """Only the places."""
    return [problem.where for problem in problems]


def test_a_right_skill_has_no_problems(write: Write) -> None:
    """The smallest complete skill passes, and its facts are those of the file."""
    path = write()
    assert check_manifest(path) == []
    manifest = load_checked_manifest(path)
    entry = manifest.actions["greet"]
    assert (entry.tier, entry.handler, entry.deadline_seconds) == ("inspect", "my_plugin:greet", 5)
    assert manifest.errors_of("greet") == ("session_not_found", "internal_error")
    assert entry.examples[0].input == {"name": "Ada"}
    assert find_problems(entry.examples[0].output, entry.output_schema) == ()
    assert manifest.environment[0].secret and manifest.environment[0].default is None


def test_a_skill_without_actions_is_allowed(write: Write) -> None:
    """A plugin may have hooks alone, such as a policy."""
    path = write(SKILL.partition("actions:")[0] + "actions: []\n")
    assert check_manifest(path) == []
    assert load_manifest(path).actions == {}


@pytest.mark.parametrize(
    ("old", "new", "place", "what"),
    [
        ("my-skill", "My_Skill", "name", "does not match"),
        ('"1.0.0"', "1.0", "version", "is not text"),
        ("license: Apache-2.0\n", "", "license", "is missing"),
        ("plugin: my_plugin", "plugin: my plugin", "plugin", "does not match"),
        (">=3.11", "3.11 or so", "requires.python", "does not match"),
        ("MY_KEY", "NETCLAW_KEY", "environment[0].name", "does not match"),
        ("secret: true,", "secret: true, default: x,", "environment[0].default", "a secret has a default"),
        ("[internal_error]", "[internal_eror]", "common_errors[0]", "there is no error code 'internal_eror'"),
        ("[session_not_found]", "[internal_error]", "actions[greet].errors[0]", "is one of common_errors already"),
        ("[session_not_found]", "[no_such_code]", "actions[greet].errors[0]", "there is no error code 'no_such_code'"),
        ("tier: inspect", "tier: look", "actions[greet].tier", "is none of inspect, run, reply, server"),
        ("tier: inspect", "teir: inspect", "actions[greet].teir", "unknown field 'teir'"),
        ("my_plugin:greet", "my_plugin.greet", "actions[greet].handler", "does not match"),
        ("deadline_seconds: 5", "deadline_seconds: soon", "actions[greet].deadline_seconds", "'soon' is not a number"),
        ("summary: Greet somebody.", f"summary: {'x' * 80}", "actions[greet].summary", "is longer than 79 characters"),
        ("schemas/greet.input.json", "../greet.input.json", "actions[greet].input", "leads out of the manifest's folder"),
        ("schemas/greet.input.json", "/etc/greet.input.json", "actions[greet].input", "does not match"),
        ("schemas/greet.input.json", "schemas/none.input.json", "actions[greet].input", "there is no such file"),
        ("{name: Ada}", "{nmae: Ada}", "actions[greet].examples[0].input.nmae", "unknown field 'nmae'"),
        ("{name: Ada}", "{}", "actions[greet].examples[0].input.name", "is missing"),
        ("{text: Hello Ada}", "{text: 5}", "actions[greet].examples[0].output.text", "5 is not text"),
        ("name: my-skill", "name: my-skill\nname: other", "skill.yaml", "the key 'name' stands twice"),
        ("Does one thing.", "&a Does one thing.", "skill.yaml", "an anchor"),
    ],
)
def test_a_mismatch_is_named_with_its_place_line_and_remedy(old: str, new: str, place: str, what: str, write: Write) -> None:
    """One thing is changed; the problem is found where it was changed."""
    assert old in SKILL
    path = write(SKILL.replace(old, new))
    problems = check_manifest(path)
    found = next(problem for problem in problems if problem.where == place and what in problem.what)
    assert found.fix
    if "is missing" not in what:
        line = new.rpartition("\n")[2]
        assert found.line is not None
        assert line in path.read_text(encoding="utf-8").splitlines()[found.line - 1] or not line


@pytest.mark.parametrize(
    ("schema", "what"),
    [
        ("{", "not JSON"),
        ("[]", "it is not a JSON object"),
        ('{"type": "object", "type": "object"}', "the key 'type' stands twice"),
    ],
)
def test_a_schema_file_that_cannot_be_read_is_named(schema: str, what: str, write: Write) -> None:
    """The file is the place, with the line in it."""
    (problem,) = check_manifest(write(greet_input=schema))
    assert (problem.where, problem.file, problem.line) == ("schemas/greet.input.json", "schemas/greet.input.json", 1)
    assert what in problem.what


def test_a_rule_that_a_schema_breaks_is_named_in_the_file(write: Write) -> None:
    """The place is the file with the path in it."""
    schema = INPUT | {"additionalProperties": True}
    assert where(check_manifest(write(greet_input=schema))) == ["schemas/greet.input.json: (top)"]


def test_a_schema_that_no_action_names_is_reported(write: Write) -> None:
    """A renamed action does not leave its schemas behind."""
    path = write()
    (path.parent / "schemas" / "old.output.json").write_text("{}", encoding="utf-8")
    assert where(check_manifest(path)) == ["schemas/old.output.json"]


def test_a_schema_may_not_be_a_link_out_of_the_folder(write: Write, tmp_path: Path) -> None:
    """A skill reads nothing that is not its own."""
    path = write()
    outside = tmp_path / "outside.json"
    outside.write_text(json.dumps(INPUT), encoding="utf-8")
    link = path.parent / "schemas" / "greet.input.json"
    link.unlink()
    link.symlink_to(outside)
    assert "leads out" in check_manifest(path)[0].what
    with pytest.raises(InvalidInput):
        load_manifest(path)


def test_names_stand_once(write: Write) -> None:
    """Two actions of one name are refused, by the check and by the cheap reading."""
    path = write(SKILL + SKILL.partition("actions:\n")[2])
    assert where(check_manifest(path)) == ["actions[greet].name"]
    with pytest.raises(InvalidInput):
        load_manifest(path)


def test_every_mismatch_is_named_at_once(write: Write) -> None:
    """Whoever fixes the file sees all of it."""
    text = SKILL
    for old, new in [('"1.0.0"', "one"), ("tier: inspect", "tier: look"), ("[internal_error]", "[no_code]"), ("{name: Ada}", "{}")]:
        text = text.replace(old, new)
    problems = check_manifest(write(text, greet_output=OUTPUT | {"additionalProperties": True}))
    assert set(where(problems)) == {
        *("version", "actions[greet].tier", "common_errors[0]"),
        *("actions[greet].examples[0].input.name", "schemas/greet.output.json: (top)"),
    }


@pytest.mark.parametrize("text", ["", "- a\n", "a", "name: x\n", "name: [\n", "actions: 5\n", "actions: [5]\n", "environment: {a: 1}\n"])
def test_a_file_that_is_no_manifest_is_a_typed_error_with_the_list(text: str, write: Write) -> None:
    """The cheap reading raises invalid_manifest, and its details hold every problem."""
    path = write(text)
    with pytest.raises(InvalidInput) as caught:
        load_manifest(path)
    assert caught.value.code == "invalid_manifest"
    assert caught.value.details["problems"] == [problem.to_wire() for problem in check_manifest(path)] != []
    assert str(path) in caught.value.message


def test_a_missing_file_is_a_typed_error(tmp_path: Path) -> None:
    """Not an OSError of some depth."""
    with pytest.raises(InvalidInput, match="there is no such file"):
        load_manifest(tmp_path / "none.yaml")
    assert where(check_manifest(tmp_path / "none.yaml")) == ["none.yaml"]


def test_a_schema_that_breaks_after_loading_is_a_typed_error(write: Write) -> None:
    """Schemas are read late; a file that has become wrong by then is named."""
    path = write()
    entry = load_manifest(path).actions["greet"]
    (path.parent / "schemas" / "greet.input.json").write_text("{", encoding="utf-8")
    with pytest.raises(InvalidInput, match=r"greet\.input\.json: not JSON"):
        _ = entry.input_schema


def test_nothing_is_imported_unless_handlers_are_to_be_checked(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """A skill is looked at before its code runs."""
    path = write(my_plugin="raise RuntimeError('imported')")
    monkeypatch.syspath_prepend(path.parent)
    assert check_manifest(path) == []
    assert "my_plugin" not in sys.modules


@pytest.mark.parametrize(
    ("code", "what"),
    [
        ("async def greet(arguments, context): ...", None),
        ("async def other(arguments, context): ...", "has no 'greet'"),
        ("def greet(arguments, context): ...", "is not an async function"),
        ("async def greet(arguments): ...", "does not take (arguments, context)"),
        ("greet = 5", "is not an async function"),
        ("import no_such_module_anywhere", "cannot be imported: ModuleNotFoundError"),
        ("raise SystemExit(3)", "cannot be imported: SystemExit"),
    ],
)
def test_a_handler_that_cannot_be_called_is_named(code: str, what: str | None, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """The registry would only find out at the first call."""
    path = write(my_plugin=code)
    monkeypatch.syspath_prepend(path.parent)
    monkeypatch.delitem(sys.modules, "my_plugin", raising=False)
    problems = check_manifest(path, check_handlers=True)
    monkeypatch.delitem(sys.modules, "my_plugin", raising=False)
    if what is None:
        assert problems == []
    else:
        assert [problem.where for problem in problems if what in problem.what][-1] == "actions[greet].handler"


def test_a_problem_reads_well(write: Write) -> None:
    """Place, line, what and how to fix it, in one line."""
    (problem,) = check_manifest(write(SKILL.replace("tier: inspect", "tier: inspekt")))
    assert str(problem) == "actions[greet].tier (line 15): 'inspekt' is none of inspect, run, reply, server; did you mean 'inspect'?"
    assert problem.to_wire().keys() == {"code", "where", "what", "mend", "line"}
