"""Our manifest: it is right, complete, cheap to read, and found from anywhere."""

from __future__ import annotations

import ast
import json
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import yaml

import netclaw_opencode
from netclaw_opencode._core import time_budget
from netclaw_opencode._core.documents import read_yaml
from netclaw_opencode.errors import CODES
from netclaw_opencode.manifest import check_manifest, compact, load_manifest, own_manifest, read_own_schemas

ROOT = Path(__file__).resolve().parents[2]
ORIGINAL = {
    *("check_availability", "create_session", "send_message", "send_message_async", "get_session_status"),
    *("abort_session", "delete_session", "list_sessions", "list_providers"),
}
AROUND = {
    *("list_work", "apply_work", "discard_work", "verify_work", "report"),
    *("start_server", "stop_server", "wait_for_session", "get_session_result", "run_task"),
    *("watch_events", "run_plan_and_implement", "reply_permission", "reply_question", "check_policy", "explain", "cleanup", "recover"),
    *("doctor", "install_opencode"),
    *("run_batch", "submit_batch", "get_batch", "wait_for_batch", "get_batch_results"),
    *("export_batch", "cancel_batch", "pause_batch", "retry_batch", "list_batches"),
}
# Said by a host or an adapter before there is an action: no action returns them.
NOT_OF_ACTIONS = {"invalid_manifest", "unknown_action", "name_clash"}


def test_our_manifest_agrees_with_its_schemas_examples_and_error_codes() -> None:
    """Not one mismatch."""
    assert [str(problem) for problem in check_manifest()] == []


def test_our_handlers_exist_and_are_async_functions_of_arguments_and_context() -> None:
    """Each handler and the plugin module can be imported and called as the registry does."""
    assert [str(problem) for problem in check_manifest(check_handlers=True)] == []


def test_our_manifest_says_what_the_skill_is() -> None:
    """Name, version (the package's), the exact description, what it needs, and when to use it."""
    manifest = load_manifest()
    assert (manifest.name, manifest.version, manifest.license) == ("opencode-driver", netclaw_opencode.__version__, "Apache-2.0")
    sentence = "Programmatic OpenCode control via HTTP server API for planning, implementation, and code generation tasks."
    assert manifest.description == sentence
    assert "OpenCode" in manifest.when_to_use
    assert manifest.requires == {"python": ">=3.11", "opencode": ">=1.18.22,<2", "command": "netclaw-opencode"}
    assert manifest.plugin == "netclaw_opencode.plugin"


def test_our_actions_are_the_nine_of_the_original_skill_and_those_around_them() -> None:
    """No action was renamed or lost."""
    assert load_manifest().actions.keys() == ORIGINAL | AROUND


def test_the_first_line_names_the_schema_for_editors() -> None:
    """An editor checks the file while one writes it."""
    assert (ROOT / "skill.yaml").read_text(encoding="utf-8").startswith("# yaml-language-server: $schema=./schemas/skill.schema.json\n")


def test_other_readers_of_yaml_see_the_same() -> None:
    """Nothing in the file rests on the stricter types of our reader."""
    assert yaml.safe_load((ROOT / "skill.yaml").read_text(encoding="utf-8")) == read_yaml(ROOT / "skill.yaml").value


def test_the_variables_are_those_that_the_settings_read() -> None:
    """A variable that is read is declared, and the other way round; only what holds a password is secret; defaults are the real ones."""
    tree = ast.parse((ROOT / "netclaw_opencode" / "settings.py").read_text(encoding="utf-8"))
    literals = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    # The cap on calls has its name where it is shared out.
    read = {text for text in literals if re.fullmatch(r"OPENCODE_[A-Z_]+", text)} | {time_budget.SETTING}
    declared = {variable.name: variable for variable in load_manifest().environment}
    assert declared.keys() == read
    assert {name for name, variable in declared.items() if variable.secret} == {"OPENCODE_DRIVER_BATCH_URL", "OPENCODE_SERVER_PASSWORD"}
    assert declared["OPENCODE_API_URL"].default == "http://localhost:4096"
    assert declared["OPENCODE_SERVER_USERNAME"].default == "opencode"


def test_every_error_code_can_be_returned_by_some_action() -> None:
    """The table holds no code that nobody says."""
    manifest = load_manifest()
    said = {code for name in manifest.actions for code in manifest.errors_of(name)}
    assert said | NOT_OF_ACTIONS == CODES.keys()
    assert not said & NOT_OF_ACTIONS


@pytest.mark.parametrize("name", sorted(load_manifest().actions))
def test_the_deadline_of_an_action_is_the_default_of_its_input(name: str) -> None:
    """What the manifest promises is what happens where the caller says nothing."""
    entry = load_manifest().actions[name]
    properties = entry.input_schema["properties"]
    assert isinstance(properties, dict)
    # The deadline of an asynchronous send is the task's, not the call's.
    if "deadline_seconds" in properties and name != "send_message_async":
        assert properties["deadline_seconds"]["default"] == entry.deadline_seconds
    if "wait_seconds" in properties:
        assert properties["wait_seconds"]["default"] < entry.deadline_seconds


def test_the_tiers_say_what_an_action_may_do() -> None:
    """Whoever trusts `inspect` does not thereby allow a change, and answers to the agent stand apart."""
    tiers = {entry.name: entry.tier for entry in load_manifest().actions.values()}
    assert {name for name, tier in tiers.items() if tier == "reply"} == {"reply_permission", "reply_question"}
    assert {name for name, tier in tiers.items() if tier == "server"} == {
        *("check_availability", "start_server", "stop_server", "cleanup", "recover", "install_opencode"),
    }
    assert {name for name, tier in tiers.items() if tier == "run"} == {
        *("create_session", "send_message", "send_message_async", "abort_session", "delete_session"),
        *("run_task", "run_plan_and_implement"),
        *("run_batch", "submit_batch", "export_batch", "cancel_batch", "pause_batch", "retry_batch"),
        *("apply_work", "discard_work"),
    }


def test_reading_it_is_cheap() -> None:
    """Listing the actions imports no validator, no HTTP, no terminal and no plugin library, and opens no schema file."""
    code = """
        import builtins, pathlib, sys
        opened = []
        real = pathlib.Path.open
        pathlib.Path.open = lambda self, *rest, **named: opened.append(self.name) or real(self, *rest, **named)
        from netclaw_opencode.manifest import load_manifest
        assert len(load_manifest().actions) >= 18
        heavy = {"jsonschema", "referencing", "httpx", "rich", "click", "pluggy", "anyio", "asyncio", "difflib"} & set(sys.modules)
        sys.exit(f"{heavy} {opened}" if heavy or opened != ["skill.yaml"] else 0)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], cwd=ROOT, check=False, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_it_is_found_from_any_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A skill.yaml that lies in the working directory is not ours and is not read."""
    (tmp_path / "skill.yaml").write_text("name: trap\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert load_manifest().name == "opencode-driver"


def test_a_schema_is_read_once_and_stays_the_same_object() -> None:
    """The cache of compiled validators can rest on its identity."""
    entry = load_manifest().actions["run_task"]
    assert entry.input_schema is entry.input_schema
    assert entry.input_schema is not entry.output_schema


def test_the_compact_form_says_the_same() -> None:
    """What is read at each start is equal to ``skill.yaml`` and to the schema files, in every part and in the same order."""
    source = ROOT / "skill.yaml"
    assert compact.read_manifest(source) == read_yaml(source).value
    assert own_manifest() == load_manifest()
    assert list(own_manifest().actions) == list(load_manifest().actions)
    known = compact.read_schemas(ROOT / "schemas" / "actions")
    read_own_schemas()
    for name, entry in own_manifest().actions.items():
        assert (entry.input_schema, entry.output_schema) == (known[entry.input_path], known[entry.output_path])
        for path, schema in ((entry.input_path, entry.input_schema), (entry.output_path, entry.output_schema)):
            assert json.dumps(schema) == json.dumps(json.loads(path.read_text(encoding="utf-8"))), name


def test_a_compact_form_that_is_out_of_date_is_not_used(tmp_path: Path) -> None:
    """After an edit of a source, of no matter what size, the source counts; likewise where the compact form is missing or broken."""
    shutil.copytree(ROOT / "schemas" / "actions", tmp_path / "actions")
    shutil.copy(ROOT / "skill.yaml", tmp_path)
    source, schema = tmp_path / "skill.yaml", tmp_path / "actions" / "doctor.input.json"
    assert compact.read_manifest(source) is not None
    source.write_text(source.read_text(encoding="utf-8").replace("1.0.0", "1.0.1"), encoding="utf-8")
    schema.write_text(schema.read_text(encoding="utf-8").replace("doctor", "docter"), encoding="utf-8")
    assert compact.read_manifest(source) is None
    assert compact.read_schemas(tmp_path / "actions") == {}
    for text in ("", "[]", '{"checksum": 1}'):
        (tmp_path / "skill.json").write_text(text, encoding="utf-8")
        assert compact.read_manifest(ROOT / "skill.yaml", folder=tmp_path) is None
    assert compact.read_manifest(ROOT / "skill.yaml", folder=tmp_path / "none") is None
