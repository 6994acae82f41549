"""What counts as code of a folder, judged from its files alone: when in doubt it does."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from netclaw_opencode.opencode.trust import find_project_code, jsonc

CODE = {
    "a plugin": '{"plugin": ["x"]}',
    "a plugin by its newer name": '{"plugins": [{"package": "./x.js"}]}',
    "a plugin behind a comment": '{/* c */ // d\n "plugin": ["x"],}',
    "a plugin named first, and taken back": '{"plugin": ["x"], "plugin": []}',
    "a local server": '{"mcp": {"a": {"type": "local", "command": ["x"]}}}',
    "a remote server": '{"mcp": {"a": {"type": "remote", "url": "https://example.com"}}}',
    "a server in the newer form": '{"mcp": {"servers": {"a": {"type": "local", "command": ["x"]}}}}',
    "a server called timeout": '{"mcp": {"timeout": {"type": "local", "command": ["x"]}}}',
    "a server called servers": '{"mcp": {"servers": {"type": "local", "command": ["x"]}}}',
    "a formatter": '{"formatter": {"f": {"command": ["x"], "extensions": [".a"]}}}',
    "all formatters": '{"formatter": true}',
    "a language server": '{"lsp": {"l": {"command": ["x"], "extensions": [".a"]}}}',
    "a command with a shell line": '{"command": {"c": {"template": "!`x`"}}}',
    "a package of a provider": '{"provider": {"p": {"npm": "evil"}}}',
    "a package of a model": '{"provider": {"p": {"models": {"m": {"provider": {"npm": "file:///x.js"}}}}}}',
    "a shell": '{"shell": "./x"}',
    "a repository": '{"references": {"r": {"repository": "o/r"}}}',
    "a hook of old": '{"experimental": {"hook": {"file_edited": {}}}}',
    "a key that is not known": '{"something_new": 1}',
    "an environment variable": '{"model": "{env:X}"}',
    "a file": '{"agent": {"a": {"prompt": "{file:~/.ssh/id_rsa}"}}}',
    "a key hidden by an escape": '{"plu\\u0067in": ["x"]}',
    "a prototype": '{"__proto__": {"plugin": ["x"]}}',
    "no object": '["plugin"]',
}
HARMLESS = {
    "nothing": "",
    "an empty object": "{}",
    "a model": '{"$schema": "https://opencode.ai/config.json", "model": "a/b", "small_model": "a/c", "theme": "x",}',
    "a server switched off": '{"mcp": {"a": {"enabled": false}}}',
    "formatters switched off": '{"formatter": false, "lsp": {"typescript": {"disabled": true}}}',
    "a command without a shell line": '{"command": {"c": {"template": "hello"}}}',
    "a provider that OpenCode has inside": '{"provider": {"p": {"npm": "@ai-sdk/openai-compatible", "options": {"baseURL": "http://x"}}}}',
    "agents and permissions": '{"agent": {"a": {"prompt": "x"}}, "permission": {"edit": "deny"}, "instructions": ["A.md"]}',
}
BROKEN = ('{"plugin": ["x"]', "{,}", '{"a": 1,,}', "[,]", "/* open", '{"a": NaN}', '{"a": "x', "// c\u2028{}", "[" * 100_000)


@pytest.mark.parametrize("text", CODE.values(), ids=CODE)
@pytest.mark.parametrize("name", ["opencode.json", "opencode.jsonc", ".opencode/opencode.json", ".opencode/opencode.jsonc"])
def test_what_may_run_code_is_found(tmp_path: Path, name: str, text: str) -> None:
    """F61: in each of the four files, however it is written."""
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")
    found = find_project_code(str(tmp_path))
    assert [item.path for item in found] == [path] and found[0].runs and found[0].problem is None


@pytest.mark.parametrize("text", HARMLESS.values(), ids=HARMLESS)
def test_what_runs_nothing_is_let_through(tmp_path: Path, text: str) -> None:
    """A project that only chooses a model or words its agents needs no trust."""
    (tmp_path / "opencode.json").write_text(text, encoding="utf-8")
    assert find_project_code(str(tmp_path)) == ()


@pytest.mark.parametrize("text", BROKEN, ids=range(len(BROKEN)))
def test_what_cannot_be_read_is_a_problem(tmp_path: Path, text: str) -> None:
    """Nothing is guessed about it."""
    (tmp_path / "opencode.json").write_text(text, encoding="utf-8")
    (found,) = find_project_code(str(tmp_path))
    assert found.problem is not None


def test_a_pipe_in_place_of_a_file_hangs_nobody(tmp_path: Path) -> None:
    """OpenCode would wait for it for ever; here it is a problem."""
    os.mkfifo(tmp_path / "opencode.json")
    (found,) = find_project_code(str(tmp_path))
    assert found.problem == "it is no regular file"


def test_a_digest_follows_content_and_not_looks(tmp_path: Path) -> None:
    """Comments, blanks and ``$schema`` are no change; a value is, and so is the text of a plugin that is named, or what it may import."""

    def digest(text: str) -> str:
        (tmp_path / "opencode.json").write_text(text, encoding="utf-8")
        return find_project_code(str(tmp_path))[0].digest

    first = digest('{"plugin": ["./p.js"]}')
    assert digest('{ // c\n "$schema": "x", "plugin": ["./p.js",] }') == first
    (tmp_path / "p.js").write_text("1", encoding="utf-8")
    second = digest('{"plugin": ["./p.js"]}')
    assert second != first != digest('{"plugin": ["./q.js"]}')
    (tmp_path / "opencode.json").unlink()
    inner = tmp_path / ".opencode" / "plugin"
    (inner / "lib").mkdir(parents=True)
    (inner / "a.ts").write_text("import './lib/b'", encoding="utf-8")
    before = find_project_code(str(tmp_path))[0].digest
    (inner / "lib" / "b.ts").write_text("2", encoding="utf-8")
    assert find_project_code(str(tmp_path))[0].digest != before


def test_what_opencode_itself_puts_into_a_package_file_is_no_code(tmp_path: Path) -> None:
    """It adds its own plugin package to ``.opencode/package.json``; whatever else stands there is for npm to install."""
    path = tmp_path / ".opencode" / "package.json"
    path.parent.mkdir()
    path.write_text(json.dumps({"dependencies": {"@opencode-ai/plugin": "1.18.33"}}), encoding="utf-8")
    assert find_project_code(str(tmp_path)) == ()
    path.write_text(json.dumps({"dependencies": {"@opencode-ai/plugin": "1", "x": "1"}, "scripts": {"prepare": "x"}}), encoding="utf-8")
    (found,) = find_project_code(str(tmp_path))
    assert found.runs == ("makes npm install or run dependencies, scripts",)


def test_the_users_own_folder_is_no_projects(tmp_path: Path) -> None:
    """OpenCode loads ``~/.opencode`` for every project; a project's own below the home is asked about as ever."""
    for place in (tmp_path, tmp_path / "project"):
        (place / ".opencode" / "plugin").mkdir(parents=True)
        (place / ".opencode" / "plugin" / "a.js").write_text("1", encoding="utf-8")
    found = find_project_code(str(tmp_path / "project"), home=tmp_path)
    assert [item.path for item in found] == [tmp_path / "project" / ".opencode" / "plugin" / "a.js"]


def test_places_of_errors_count_from_one() -> None:
    """As editors show them, in the text as it was written."""
    with pytest.raises(jsonc.JsoncError) as caught:
        jsonc.parse('{\n  // a comment\n  "a": ]\n}')
    assert (caught.value.line, caught.value.column) == (3, 8)
