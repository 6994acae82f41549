"""What the MCP server says of the actions: plain schemas, hints, texts that fit; made from the manifest, without the SDK."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from netclaw_opencode._core.validation import find_problems
from netclaw_opencode.actions.registry import error_envelope
from netclaw_opencode.actions.spill import utf16_length
from netclaw_opencode.adapters.cli import mcp_command
from netclaw_opencode.adapters.cli.app import run
from netclaw_opencode.adapters.mcp import DEFAULT_CALL_SECONDS
from netclaw_opencode.adapters.mcp.answers import TEXT_CHARS, answer_of
from netclaw_opencode.adapters.mcp.tools import (
    LONGEST_DESCRIPTION,
    OUTPUT,
    RESOURCES,
    instructions_of,
    listed_tools,
    page_of,
    prompt_of,
    tools_of,
)
from netclaw_opencode.errors import InvalidInput, Waiting
from netclaw_opencode.manifest import own_manifest
from netclaw_opencode.manifest.plain_form import brief, envelope_schema, first_sentences, plain
from netclaw_opencode.settings import Settings

MANIFEST = own_manifest()
TOOLS = tools_of(MANIFEST)
NOT_PLAIN = {"$ref", "$defs", "$schema", "oneOf", "anyOf", "allOf", "not", "if", "then", "else", "const"}
HOST_META = re.compile("timeout.*|background|rationale")

each_tool = pytest.mark.parametrize("name", TOOLS)


def words_of(schema: object) -> Iterator[tuple[str, object]]:
    """Every word of a schema with its value, at any depth; names of properties are no words."""
    if isinstance(schema, list):
        for item in schema:
            yield from words_of(item)
    if isinstance(schema, Mapping):
        for word, value in schema.items():
            yield word, value
            yield from words_of(list(value.values()) if word == "properties" else value)


def names_of(schema: object) -> Iterator[str]:
    """Every name of a property, at any depth."""
    for word, value in words_of(schema):
        if word == "properties" and isinstance(value, Mapping):
            yield from value


def test_every_action_is_a_tool() -> None:
    """The tools are the actions of the manifest, by their own names and in their order."""
    assert list(TOOLS) == list(MANIFEST.actions)


def page(name: str) -> dict[str, Any]:
    """What the resource of a tool says."""
    text = page_of(MANIFEST, RESOURCES + name)
    assert text is not None
    made: dict[str, Any] = json.loads(text)
    return made


@each_tool
def test_schemas_are_plain_enough_for_weak_models(name: str) -> None:
    """No reference, no alternative, no list of types, in input and output; no argument that a host takes for its own."""
    for schema in (TOOLS[name].input_schema, OUTPUT, page(name)["input_schema"], page(name)["output_schema"]):
        words = list(words_of(schema))
        assert not {word for word, _ in words} & NOT_PLAIN
        assert not [value for word, value in words if word == "type" and not isinstance(value, str)]
        assert schema["type"] == "object"
    assert not [argument for argument in names_of(TOOLS[name].input_schema) if HOST_META.fullmatch(argument)]


@each_tool
def test_a_tool_is_told_briefly(name: str) -> None:
    """The summary and what fits beside it, in whole sentences; every argument has a description, and none has examples."""
    tool, entry = TOOLS[name], MANIFEST.actions[name]
    assert tool.description.startswith(entry.summary) and len(tool.description) <= LONGEST_DESCRIPTION * 2
    assert tool.description[-1] in ".;)"
    for word, value in words_of(tool.input_schema):
        if word == "properties" and isinstance(value, Mapping):
            assert all(member["description"] for member in value.values())
    assert "examples" not in {word for word, _ in words_of(tool.input_schema)}


@pytest.mark.parametrize(("installed", "most"), [(False, 40_000), (True, 48_000)])
def test_the_list_of_tools_fits_before_a_model(monkeypatch: pytest.MonkeyPatch, installed: bool, most: int) -> None:
    """With names, hints and all, as a host puts it into every turn; the tools of batches are there only if their extra is."""
    monkeypatch.setattr("importlib.util.find_spec", lambda _: object() if installed else None)
    tools = listed_tools(MANIFEST)
    assert ("run_batch" in tools) is installed
    listed = [asdict(tool) | {"outputSchema": OUTPUT} for tool in tools.values()]
    assert len(json.dumps(listed, separators=(",", ":"), ensure_ascii=False).encode()) < most


@each_tool
def test_the_resource_of_a_tool_says_all(name: str) -> None:
    """Its whole description, the schemas with every description, error codes and examples."""
    said, entry = page(name), MANIFEST.actions[name]
    assert (said["tool"], said["summary"], said["description"]) == (name, entry.summary, entry.description)
    assert said["input_schema"] == plain(entry.input_schema)
    assert said["errors"] == list(MANIFEST.errors_of(name)) and len(said["examples"]) == len(entry.examples)
    assert TOOLS[name].input_schema["properties"].keys() == said["input_schema"]["properties"].keys()  # type: ignore[attr-defined]


@pytest.mark.parametrize("address", ["", "run_task", RESOURCES, RESOURCES + "none", "file:///etc/passwd", RESOURCES + "../run_task"])
def test_there_is_no_other_resource(address: str) -> None:
    """Only the actions have one; an address is never a path."""
    assert page_of(MANIFEST, address) is None


@each_tool
def test_the_output_schema_takes_what_the_action_returns_and_nothing_else(name: str) -> None:
    """The examples of the manifest and an error fit both schemas; an unknown member of the data does not fit the whole one."""
    schema, entry = page(name)["output_schema"], MANIFEST.actions[name]
    for example in entry.examples:
        envelope = {"ok": True, "action": name, "data": example.output}
        for each in (envelope, envelope | {"redacted": 1}):
            assert find_problems(each, schema) == find_problems(each, OUTPUT) == ()
        assert find_problems({**envelope, "data": {**example.output, "surprise": 1}}, schema)
    failed = error_envelope(name, InvalidInput("invalid_input", "wrong", details={"problems": []}))
    assert find_problems(failed, schema) == find_problems(failed, OUTPUT) == ()
    assert find_problems({"ok": True}, schema) and find_problems({"ok": True}, OUTPUT)


@each_tool
def test_the_input_schema_asks_for_what_the_door_asks_for(name: str) -> None:
    """The plain form accepts and refuses the same arguments as the schema file."""
    tool, entry = TOOLS[name], MANIFEST.actions[name]
    for arguments in (*(dict(example.input) for example in entry.examples), {}, {"surprise": 1}, {"session_id": 5}, {"prompt": ""}):
        assert bool(find_problems(arguments, tool.input_schema)) == bool(find_problems(arguments, entry.input_schema))


@each_tool
def test_hints_agree_with_the_tier(name: str) -> None:
    """What only reads is read-only and destroys nothing; nothing else claims to be read-only."""
    tool, entry = TOOLS[name], MANIFEST.actions[name]
    assert tool.hints.read_only == (entry.tier == "inspect")
    if tool.hints.read_only:
        assert tool.hints.idempotent and not tool.hints.destructive and not entry.hints


def test_hints_say_which_actions_may_destroy() -> None:
    """An agent that writes files, a stop and a removal are destructive; a new session, a start and a pause are not."""
    harmless = {name for name, tool in TOOLS.items() if not tool.hints.read_only and not tool.hints.destructive}
    assert harmless == {"check_availability", "create_session", "export_batch", "install_opencode", "pause_batch", "start_server"}


def test_a_reference_gives_way_to_what_it_names() -> None:
    """The description beside it wins, a single value becomes an enum, and names of properties stay names."""
    schema = {
        "$schema": "x",
        "title": "x",
        "type": "object",
        "properties": {"title": {"$ref": "#/$defs/text", "description": "ours"}, "const": {"const": 1}},
        "$defs": {"text": {"type": "string", "description": "theirs"}},
    }
    made = plain(schema)
    assert made == {"type": "object", "properties": {"title": {"type": "string", "description": "ours"}, "const": {"enum": [1]}}}
    assert "enum" not in json.dumps(envelope_schema({"type": "object"}, {"properties": {"code": {"type": "string", "enum": ["a"]}}}))


def test_a_brief_schema_takes_at_least_what_the_whole_one_takes() -> None:
    """Examples, longer descriptions and patterns that only say "not blank" go; what shows a form stays, and names are no words."""
    schema = {
        "type": "object",
        "properties": {
            "examples": {"type": "string", "pattern": r"\\S", "description": "One thing; it is short. " + "Another. " * 30},
            "id": {"type": "string", "pattern": "^ses_[0-9]+$", "examples": ["ses_1"]},
        },
    }
    assert brief(schema)["properties"] == {
        "examples": {"type": "string", "description": "One thing; it is short." + " Another." * 6},
        "id": {"type": "string", "pattern": "^ses_[0-9]+$"},
    }
    assert first_sentences("A first sentence of any length stays. A second.", 10) == "A first sentence of any length stays."


def test_a_short_result_is_its_own_text(tmp_path: Path) -> None:
    """A host that shows no structured content shows the same envelope as text, and nothing is written."""
    envelope: dict[str, object] = {"ok": True, "action": "check_policy", "data": {"answer": "refuse", "none": None}}
    answer = answer_of(envelope, folder=tmp_path / "results")
    assert (json.loads(answer.text), answer.structured, answer.is_error) == (envelope, envelope, False)
    assert not (tmp_path / "results").exists()


def test_a_long_result_is_shortened_in_the_text_alone(tmp_path: Path) -> None:
    """The text keeps within its limit and names the file with the whole; the structured content is whole."""
    envelope: dict[str, object] = {"ok": True, "action": "run_task", "data": {"text": "é😀" * 5000}}
    answer = answer_of(envelope, folder=tmp_path / "results")
    assert utf16_length(answer.text) <= TEXT_CHARS and answer.structured == envelope
    kept = Path(json.loads(answer.text)["full_result"]["path"])
    assert json.loads(kept.read_text(encoding="utf-8")) == envelope


@pytest.mark.parametrize(("size", "said"), [(1, "it asks"), (5000, "it asks"), (5000, "it 😀")])
def test_an_error_says_code_cause_and_remedy_first(tmp_path: Path, size: int, said: str) -> None:
    """The text begins with code and message, then the remedy, then the evidence, within the limit."""
    error = Waiting("permission_required", said * size, next="answer it" * size, details={"pending": [{"id": "per_1"}] * size})
    answer = answer_of(error_envelope("run_task", error), folder=tmp_path / "results")
    lines = answer.text.split("\n")
    assert answer.is_error and lines[0].startswith(f"permission_required: {said}") and lines[1].startswith("Next: answer it")
    assert utf16_length(answer.text) <= TEXT_CHARS
    if size == 1:
        assert json.loads(lines[2])["error"]["details"] == {"pending": [{"id": "per_1"}]}


def test_half_of_a_surrogate_pair_does_not_end_the_connection(tmp_path: Path) -> None:
    """What UTF-8 cannot carry becomes the replacement character; everything beside it stays as it is."""
    answer = answer_of({"ok": True, "action": "run_task", "data": {"text": "a\ud83d b", "more": "😀"}}, folder=tmp_path)
    assert answer.structured["data"] == {"text": "a\ufffd b", "more": "😀"}
    answer.text.encode("utf-8")


def test_the_prompt_is_the_skill_s_text_with_a_way_from_commands_to_tools() -> None:
    """No front matter; every command in it is the name of a tool; the words before it say how to read them."""
    text = prompt_of(MANIFEST)
    assert "some_action" in text and not re.search(r"^(name|description|license):", text, re.MULTILINE)
    commands = re.findall(r"netclaw-opencode (?:inspect|run|reply|server) ([a-z-]+)", text)
    # To trust a folder is for its user: a command, and no tool.
    assert commands and {command.replace("-", "_") for command in commands} <= {*TOOLS, "trust"}
    assert {name for name in re.findall(r"\b[a-z]+(?:_[a-z]+)+\b", instructions_of(MANIFEST)) if name.endswith("session")} <= set(TOOLS)


@pytest.mark.parametrize(
    ("given", "variable", "cap"), [(25.0, "50", "25"), (None, "50", "50"), (None, "", f"{DEFAULT_CALL_SECONDS:g}"), (12.5, "", "12.5")]
)
def test_the_cap_on_calls_is_the_flag_or_the_variable_or_80_seconds(
    monkeypatch: pytest.MonkeyPatch, given: float | None, variable: str, cap: str
) -> None:
    """What the server is given as settings is what the operator said last."""
    monkeypatch.setenv("OPENCODE_DRIVER_CALL_SECONDS", variable)
    environ = mcp_command.build_environment(given)
    assert environ["OPENCODE_DRIVER_CALL_SECONDS"] == cap
    assert Settings.from_environment(environ).call_seconds == float(cap)


@pytest.mark.parametrize(("version", "told"), [(None, "is not installed"), ("1.26.0", "needs 2.x")])
def test_without_its_sdk_the_command_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], version: str | None, told: str
) -> None:
    """Exit code 2, one line on stderr with the command that helps, nothing on stdout."""

    def installed(name: str) -> str:
        if version is None:
            raise importlib_metadata_missing(name)
        return version

    monkeypatch.setattr("importlib.metadata.version", installed)
    assert run(["mcp"]) == 2
    printed = capsys.readouterr()
    assert printed.out == "" and told in printed.err and "pip install 'netclaw-opencode[mcp]'" in printed.err


def importlib_metadata_missing(name: str) -> Exception:
    """What the standard library raises for a distribution that is not there."""
    from importlib.metadata import PackageNotFoundError

    return PackageNotFoundError(name)
