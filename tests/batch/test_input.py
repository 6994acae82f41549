"""The whole input is read and checked before anything runs: every problem with its line, and nothing taken in."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from netclaw_opencode.actions.batches import _Check
from netclaw_opencode.batch.items import Reader
from netclaw_opencode.errors import InvalidInput
from netclaw_opencode.settings import Settings

Json = Mapping[str, object]


def taken(spec: Json) -> Json:
    """A check that refuses one directory and takes every other."""
    if spec.get("directory") == "/nowhere":
        raise InvalidInput("invalid_input", "directory '/nowhere' does not exist")
    return {"directory": "/here", **spec}


def problems(reader: Reader, path: Path) -> list[str]:
    """What is wrong with a file."""
    with pytest.raises(InvalidInput) as caught:
        reader.read_file(path)
    told = caught.value.details["problems"]
    assert isinstance(told, list)
    return told


def test_every_problem_is_told_with_its_line(tmp_path: Path) -> None:
    """Syntax, unknown and wrong fields, a directory, an id that stands twice: all of them at once."""
    path = tmp_path / "tasks.jsonl"
    lines = [
        '{"prompt": "one", "id": "a"}',
        "",
        "not json",
        '{"prompt": "two", "colour": "red"}',
        '{"prompt": "three", "deadline_seconds": -1}',
        '{"prompt": "four", "directory": "/nowhere"}',
        '{"prompt": "five", "id": "a"}',
        '{"prompt": "six", "keep_session": true}',
        '{"prompt": "seven", "priority": 5000}',
        '["eight"]',
    ]
    path.write_text("\n".join(lines), encoding="utf-8")
    found = problems(Reader(check=taken), path)
    assert [told.partition(":")[0] for told in found] == [f"line {number}" for number in (3, 4, 5, 6, 7, 8, 9, 10)]
    assert "'colour'" in found[1] and "line 1" in found[4] and "keep_session" in found[5]


def test_the_same_task_twice_is_asked_about(tmp_path: Path) -> None:
    """Without ids two equal tasks would be one: that is said, not guessed."""
    path = tmp_path / "tasks.jsonl"
    path.write_text('{"prompt": "x"}\n{"prompt": "x"}\n', encoding="utf-8")
    assert problems(Reader(check=taken), path) == [
        "line 2: the same task stands already in line 1; give each an id of its own, or take one out"
    ]


def test_a_table_becomes_tasks_by_its_template(tmp_path: Path) -> None:
    """Columns go into the prompt, or to the task's own field of their name; an empty cell leaves a default."""
    path = tmp_path / "tasks.csv"
    path.write_text('id,file,language,model,priority\na,"x, y.py",German,,3\nb,z.py,French,o/m,\n', encoding="utf-8")
    found = Reader(template="Put {file} into {language}: {{ok}}", defaults={"model": "d/d"}, check=taken).read_file(path)
    assert [(item.id, item.spec["prompt"], item.spec["model"], item.priority) for item in found] == [
        ("a", "Put x, y.py into German: {ok}", "d/d", 3),
        ("b", "Put z.py into French: {ok}", "o/m", 0),
    ]


def test_a_table_has_every_field_of_a_task(tmp_path: Path) -> None:
    """Booleans, numbers, lists and objects as JSON; what is none of that is told with its line."""
    path = tmp_path / "tasks.csv"
    head = "prompt,isolation,apply,max_cost_usd,max_model_calls,link_paths,check\n"
    path.write_text(head + 'a,worktree,true,0.5,3,"["".venv""]","{""command"": [""true""]}"\nb,,False,,,,\n', encoding="utf-8")
    found = Reader(check=taken).read_file(path)
    assert [item.spec for item in found] == [
        {
            "directory": "/here",
            "prompt": "a",
            "isolation": "worktree",
            "apply": True,
            "max_cost_usd": 0.5,
            "max_model_calls": 3,
            "link_paths": [".venv"],
            "check": {"command": ["true"]},
        },
        {"directory": "/here", "prompt": "b", "apply": False},
    ]
    path.write_text(head + "a,worktree,yes,much,2.5,.venv,\n", encoding="utf-8")
    assert problems(Reader(check=taken), path) == [
        "line 2: apply must be true or false, not 'yes'",
        "line 2: max_cost_usd must be a number, not 'much'",
        "line 2: max_model_calls must be a whole number, not '2.5'",
        "line 2: link_paths must be a JSON list, not '.venv'",
    ]


def test_what_does_not_go_together_is_told_before_anything_runs(tmp_path: Path) -> None:
    """Isolation and check are looked at as run_task would; a worktree needs a repository."""
    settings = Settings(state_dir=tmp_path / "state", directory=str(tmp_path))
    items: list[object] = [
        {"prompt": "a", "isolation": "worktree"},
        {"prompt": "b", "apply": True},
        {"prompt": "c", "check": {"command": ["a", "b"], "shell": True}},
        {"prompt": "d", "isolation": "copy", "apply": True},
    ]
    with pytest.raises(InvalidInput) as caught:
        Reader(check=_Check(settings)).read_list(items)
    told = caught.value.details["problems"]
    assert isinstance(told, list) and [line.partition(":")[0] for line in told] == ["item 1", "item 2", "item 3"]
    assert "is in no git repository; use isolation: copy" in told[0]


@pytest.mark.parametrize("template", ["{}", "{file.name}", "{file[0]}", "{file!r}", "{file:>9}", "{file", "a}"])
def test_a_template_reaches_nothing_but_columns(template: str) -> None:
    """No attribute, no index, no format."""
    with pytest.raises(InvalidInput, match="prompt_template"):
        Reader(template=template, check=taken)


def test_a_missing_column_is_told_with_its_line(tmp_path: Path) -> None:
    """And a row with too few cells is no row."""
    path = tmp_path / "tasks.csv"
    path.write_text("file,language\na.py\nb.py,German\n", encoding="utf-8")
    found = problems(Reader(template="{file} {tongue}", check=taken), path)
    assert found == ["line 2: it has not the 2 columns of line 1", "line 3: the template's {tongue} is no column here"]


def test_yaml_tells_the_line_of_an_item(tmp_path: Path) -> None:
    """A list of objects; the line is that of the item."""
    path = tmp_path / "tasks.yaml"
    path.write_text("- prompt: one\n\n- prompt: two\n  colour: red\n", encoding="utf-8")
    assert problems(Reader(check=taken), path)[0].startswith("line 3: unknown: 'colour'")


@pytest.mark.parametrize(
    ("name", "text", "told"), [("a.txt", "x", "suffix"), ("a.jsonl", "", "no item"), ("b.yaml", "a: 1", "a list of items")]
)
def test_what_is_no_list_of_tasks_is_refused(tmp_path: Path, name: str, text: str, told: str) -> None:
    """An unknown form, an empty file, a file of something else."""
    (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(InvalidInput, match=told):
        Reader(check=taken).read_file(tmp_path / name)


def test_the_same_content_has_the_same_id() -> None:
    """Whatever the order of its fields: so the same input again is the same batch."""
    first = Reader(check=taken).read_list([{"prompt": "x", "title": "t"}])
    second = Reader(check=taken).read_list([json.loads('{"title": "t", "prompt": "x"}')])
    assert (first[0].id, first[0].digest) == (second[0].id, second[0].digest)
