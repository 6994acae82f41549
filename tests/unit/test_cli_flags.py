"""Flags are the schema in another spelling: what goes in as flags comes out as the arguments, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import click
import pytest

from netclaw_opencode.adapters.cli.flags import arguments_from, command_of, flags_of, options_of
from netclaw_opencode.adapters.cli.values import parse_json, scalar
from netclaw_opencode.errors import InvalidInput

SCHEMA = {
    "type": "object",
    "properties": {
        "title": {"type": "string", "description": "A name."},
        "prompt": {"type": "string", "description": "The task."},
        "limit": {"type": "integer", "minimum": 1, "maximum": 1000, "default": 50, "description": "How many."},
        "deadline_seconds": {"type": "number", "exclusiveMinimum": 0, "maximum": 60, "description": "Seconds."},
        "keep_session": {"type": "boolean", "default": False, "description": "Keep it."},
        "answer": {"type": "string", "enum": ["once", "always", "reject"], "description": "The answer."},
        "model": {"description": "provider/model."},
        "answers": {"type": "array", "items": {"type": "array", "items": {"type": "string"}}, "description": "Labels."},
        "patterns": {"type": "array", "items": {"type": "string"}, "description": "Patterns."},
        "output_schema": {"type": "object", "description": "A JSON Schema."},
        "thinking": {
            "type": "object",
            "description": "Thinking.",
            "properties": {
                "type": {"type": "string", "enum": ["enabled", "disabled"], "description": "On or off."},
                "budget_tokens": {"type": "integer", "minimum": 1, "maximum": 1000000, "description": "Tokens."},
            },
            "required": ["type"],
        },
    },
    "required": ["prompt"],
}
FLAGS = flags_of(SCHEMA)


def arguments(*words: str) -> dict[str, object]:
    """The arguments that these words on the command line give."""
    command = click.Command("it", params=options_of(FLAGS), callback=lambda **given: arguments_from(given, FLAGS))
    result = command.main(list(words), standalone_mode=False, token_normalize_func=lambda token: token.replace("_", "-"))
    assert isinstance(result, dict)
    return result


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ((), {}),
        (("--title", "-x --y"), {"title": "-x --y"}),
        (("--limit", "7"), {"limit": 7}),
        (("--deadline-seconds", "0.5"), {"deadline_seconds": 0.5}),
        (("--deadline_seconds", "60"), {"deadline_seconds": 60}),
        (("--keep-session",), {"keep_session": True}),
        (("--no-keep-session",), {"keep_session": False}),
        (("--answer", "once"), {"answer": "once"}),
        (("--model", "acme/m1/large"), {"model": "acme/m1/large"}),
        (("--patterns", "a*", "--patterns", "b"), {"patterns": ["a*", "b"]}),
        (("--patterns", '["a", "b"]'), {"patterns": ["a", "b"]}),
        (("--answers", "Yes", "--answers", "No"), {"answers": [["Yes"], ["No"]]}),
        (("--answers", '["A","B"]'), {"answers": [["A", "B"]]}),
        (("--answers", '[["A"],["B"]]'), {"answers": [["A"], ["B"]]}),
        (("--output-schema", '{"type":"object"}'), {"output_schema": {"type": "object"}}),
        (("--thinking-budget-tokens", "8000"), {"thinking": {"type": "enabled", "budget_tokens": 8000}}),
        (("--thinking-type", "disabled"), {"thinking": {"type": "disabled"}}),
    ],
)
def test_flags_become_arguments(words: Sequence[str], expected: dict[str, object]) -> None:
    """Every kind of property has its flag; flags that were not used leave no trace."""
    assert arguments("--prompt", "do it", *words) == {"prompt": "do it", **expected}


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("integer", "abc"),
        ("integer", "1.5"),
        ("integer", "9" * 5000),
        ("number", "nan"),
        ("number", "inf"),
        ("number", "1e999"),
        ("number", "0x10"),
        ("number", "True"),
        ("number", "\u0661"),
        ("boolean", "yes"),
    ],
)
def test_a_text_that_is_no_such_number_is_left_for_the_door_to_refuse(kind: str, text: str) -> None:
    """NaN, infinity, other digits and words stay text, so that the schema refuses them as in every other adapter."""
    assert scalar(text, {"type": kind}) == text


def test_values_never_stand_without_a_flag() -> None:
    """A positional value is a usage error: host approvals end at the first flag, so values must stand behind one."""
    with pytest.raises(click.UsageError, match="unexpected extra argument"):
        arguments("do it")


def test_exactly_one_source_of_the_prompt_is_needed(tmp_path: Path) -> None:
    """Neither --prompt nor --prompt-file, or both, is refused in one sentence that names the two."""
    for words in ((), ("--prompt", "x", "--prompt-file", str(tmp_path))):
        with pytest.raises(InvalidInput, match="exactly one") as caught:
            arguments(*words)
        assert caught.value.code == "invalid_input"


def test_the_prompt_and_a_schema_may_come_from_files(tmp_path: Path) -> None:
    """--prompt-file and --output-schema-file stand for the flags without -file."""
    prompt, schema = tmp_path / "prompt.txt", tmp_path / "schema.json"
    prompt.write_text("from a file\n", encoding="utf-8")
    schema.write_text('{"type": "object"}', encoding="utf-8")
    given = arguments("--prompt-file", str(prompt), "--output-schema-file", str(schema))
    assert given == {"prompt": "from a file\n", "output_schema": {"type": "object"}}
    with pytest.raises(InvalidInput, match="both given"):
        arguments("--prompt", "x", "--output-schema", "{}", "--output-schema-file", str(schema))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"a": 1,\n "b": }', "line 2, column 7"),
        ('{"a": 1, "a": 2}', "names the key 'a' twice"),
        ('{"a": NaN}', "NaN is not JSON"),
        ("[" * 100_000, "nested too deeply"),
    ],
)
def test_bad_json_is_refused_with_place_and_reason(text: str, reason: str) -> None:
    """JSON text is read strictly: what other readers would guess at is refused, and the place is told."""
    with pytest.raises(InvalidInput) as caught:
        parse_json(text, flag="--output-schema")
    assert caught.value.message.startswith("--output-schema: ")
    assert reason in caught.value.message


def test_an_example_is_shown_as_one_would_type_it() -> None:
    """The shown command gives back the very arguments it was made from, also through a shell's quoting."""
    import shlex

    wanted: dict[str, object] = {
        "prompt": 'it\'s\na "task"',
        "limit": 3,
        "keep_session": False,
        "answers": [["Yes"], ["A", "B"]],
        "patterns": ["a b"],
        "output_schema": {"type": "object"},
        "thinking": {"type": "enabled", "budget_tokens": 1},
    }
    assert arguments(*shlex.split(command_of(wanted, FLAGS))) == wanted
    assert command_of({"model": {"providerID": "acme", "modelID": "m"}}, FLAGS) == "--model acme/m"


def test_no_flag_takes_a_secret_or_an_abbreviation() -> None:
    """Long options are typed in full: half a name is not silently another flag."""
    with pytest.raises(click.NoSuchOption):
        arguments("--prompt", "x", "--titl", "y")


def test_help_carries_description_limits_and_default() -> None:
    """What the schema says about a property is what --help says about its flag."""
    context = click.Context(click.Command("it", params=options_of(FLAGS)))
    text = " ".join(context.get_help().split())
    assert "--limit INTEGER How many. [1 to 1000; default: 50]" in text
    assert "--deadline-seconds NUMBER Seconds. [more than 0 to 60]" in text
    assert "--answer [once|always|reject]" in text
    assert "--keep-session / --no-keep-session Keep it. [default: no]" in text
    assert json.dumps(SCHEMA)  # the schema itself was not changed on the way
