"""The schemas: closed, described, plain where a caller writes, alike where they mean the same; and the rules that say so."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import cast

import pytest

from netclaw_opencode._core.resources import find_bundled
from netclaw_opencode._core.validation import find_problems, iter_subschemas
from netclaw_opencode.errors import CODES, error_of
from netclaw_opencode.facts import AgentQuestion, PendingRequest
from netclaw_opencode.manifest import ActionEntry, load_manifest
from netclaw_opencode.manifest.schema_rules import broken_rules

Schema = Mapping[str, object]

ACTIONS = load_manifest().actions
SCHEMAS = [schema for entry in ACTIONS.values() for schema in (entry.input_schema, entry.output_schema)]
each_action = pytest.mark.parametrize("entry", ACTIONS.values(), ids=list(ACTIONS))
each_schema = pytest.mark.parametrize("schema", SCHEMAS, ids=[str(schema["title"]) for schema in SCHEMAS])
ENVELOPE: Schema = json.loads(find_bundled("schemas/result.schema.json").read_text(encoding="utf-8"))
# A host hides text under keys that begin so.
HIDDEN = ("token", "secret", "password", "api_key", "apikey", "authorization")
# "in seconds", "number of", "length", "budget in tokens" ...: what a number counts.
UNITS = (
    "tasks ",
    "how often",
    "the most",
    "in a minute",
    "how many",
    "next_after",
    "this number",
    "seconds",
    "number of",
    "tokens",
    "dollars",
    "characters",
    "port",
    "process id",
    "version",
)
SESSION = "ses_20340f888001d7RBaaG1oOhjvJ"


def properties(schema: Schema) -> Mapping[str, Schema]:
    """The properties of a schema."""
    return cast("Mapping[str, Schema]", schema.get("properties", {}))


def fields(schema: Schema) -> Iterator[tuple[str, Schema]]:
    """Every property of a schema and of all schemas in it, by its name."""
    for _, node in iter_subschemas(schema):
        yield from properties(node).items()


@each_action
def test_schema_files_are_named_after_their_action(entry: ActionEntry) -> None:
    """Whoever looks for a schema finds it by the action's name."""
    assert entry.input_path == find_bundled(f"schemas/actions/{entry.name}.input.json")
    assert entry.output_path == find_bundled(f"schemas/actions/{entry.name}.output.json")


@each_schema
def test_a_schema_keeps_the_house_rules(schema: Schema) -> None:
    """Valid, closed, described; inputs plain."""
    title = str(schema["title"])
    assert broken_rules(schema, plain=title.startswith("Input")) == []
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"


@each_schema
def test_a_number_says_what_it_counts(schema: Schema) -> None:
    """Each number's description holds its unit; a time is in seconds, in its name too."""
    for name, field in fields(schema):
        if field.get("type") in ("integer", "number"):
            text = str(field["description"]).lower()
            assert any(unit in text for unit in UNITS), f"{name}: {text}"
            assert ("seconds" in name) == ("seconds" in text), name


@each_schema
def test_no_text_stands_under_a_key_that_hosts_hide(schema: Schema) -> None:
    """A host blots out text under keys such as token or secret; ours are called otherwise."""
    assert [name for name, field in fields(schema) if field.get("type") == "string" and name.lower().startswith(HIDDEN)] == []


def test_no_input_takes_a_secret() -> None:
    """Arguments end in logs and process lists: a password comes by the environment alone."""
    for entry in ACTIONS.values():
        names = [name for name, _ in fields(entry.input_schema)]
        assert [name for name in names if any(word in name.lower() for word in ("password", "secret", "api_key", "credential"))] == []


def test_shared_shapes_are_the_same_in_every_file() -> None:
    """A turn, a session, a pending request look alike wherever they are returned."""
    seen: dict[str, tuple[str, object]] = {}
    for entry in ACTIONS.values():
        for name, shape in cast("Mapping[str, object]", entry.output_schema.get("$defs", {})).items():
            first, known = seen.setdefault(name, (entry.name, shape))
            assert shape == known, f"$defs/{name} differs between {first} and {entry.name}"
    assert {"turn", "usage", "session", "session_state", "pending", "stopped"} <= seen.keys()


def test_each_shared_shape_is_used_where_it_stands() -> None:
    """No file carries a shape that it does not need."""
    for entry in ACTIONS.values():
        text = json.dumps(entry.output_schema)
        for name in cast("Mapping[str, object]", entry.output_schema.get("$defs", {})):
            assert f'"#/$defs/{name}"' in text, f"{entry.name}: {name}"


@pytest.mark.parametrize("name", ["send_message", "get_session_result", "run_task"])
def test_an_action_that_returns_a_turn_has_all_its_fields(name: str) -> None:
    """The fields stand at the top there, and are the same as below ``result`` of a wait."""
    turn = cast("Mapping[str, Schema]", ACTIONS["wait_for_session"].output_schema["$defs"])["turn"]
    output = ACTIONS[name].output_schema
    assert {field: properties(output)[field] for field in properties(turn)} == properties(turn)
    assert set(cast("list[str]", turn["required"])) <= set(cast("list[str]", output["required"]))


def test_an_aborted_session_reports_the_same_stop_as_a_deleted_one() -> None:
    """One shape for every stop."""
    stopped = cast("Mapping[str, Schema]", ACTIONS["delete_session"].output_schema["$defs"])["stopped"]
    abort = properties(ACTIONS["abort_session"].output_schema)
    assert {name: abort[name] for name in properties(stopped)} == properties(stopped)


def test_a_field_means_the_same_in_every_input() -> None:
    """Type, form and limits of a field do not depend on the action; defaults of times may."""
    seen: dict[str, tuple[str, dict[str, object]]] = {}
    for entry in ACTIONS.values():
        for name, field in properties(entry.input_schema).items():
            if name != "deadline_seconds" and name != "wait_seconds":
                form = {key: value for key, value in field.items() if key not in ("description", "default", "examples", "properties")}
                first, known = seen.setdefault(name, (entry.name, form))
                assert form == known, f"{name} differs between {first} and {entry.name}"


@each_action
def test_what_is_needed_is_needed_and_what_is_wrong_is_refused(entry: ActionEntry) -> None:
    """The example passes; each required field is missed; an unknown one is refused."""
    schema: Schema = entry.input_schema
    good = dict(entry.examples[0].input)
    assert find_problems(good, schema) == ()
    for name in cast("list[str]", schema.get("required", [])):
        assert [problem.path for problem in find_problems({key: value for key, value in good.items() if key != name}, schema)] == [name]
    assert [problem.path for problem in find_problems(good | {"tiemout": 1}, schema)] == ["tiemout"]


@pytest.mark.parametrize(
    ("action", "bad"),
    [
        ("send_message", {"deadline_seconds": 60.001}),
        ("send_message", {"prompt": " \n"}),
        ("send_message", {"prompt": "x" * 1_048_577}),
        ("send_message", {"session_id": "ses_x/../../config"}),
        ("send_message", {"thinking": {"type": "enabled", "budget_tokens": 1_000_001}}),
        ("send_message", {"thinking": {}}),
        ("send_message", {"output_schema": True}),
        ("send_message_async", {"deadline_seconds": 86_401}),
        ("create_session", {"title": ""}),
        ("create_session", {"title": "x" * 201}),
        ("create_session", {"title": "a\x07b"}),
        ("create_session", {"directory": "/srv/a\nb"}),
        ("list_sessions", {"limit": 0}),
        ("list_sessions", {"limit": 1001}),
        ("start_server", {"port": 65536}),
        ("start_server", {"port": -1}),
        ("wait_for_session", {"wait_seconds": 301}),
        ("wait_for_session", {"message_id": SESSION}),
        ("watch_events", {"max_events": 10_001}),
        ("reply_permission", {"answer": "yes"}),
        ("reply_permission", {"permission_id": SESSION}),
        ("reply_question", {"answers": ["PostgreSQL"]}),
    ],
)
def test_values_out_of_range_are_refused_before_anything_is_sent(action: str, bad: dict[str, object]) -> None:
    """The server would take most of these; we are the only guard."""
    schema = ACTIONS[action].input_schema
    good = dict(ACTIONS[action].examples[0].input)
    (problem,) = find_problems(good | bad, schema)
    assert problem.path.startswith(next(iter(bad)))


@pytest.mark.parametrize("model", ["anthropic/claude-sonnet-4-5", {"providerID": "anthropic", "modelID": "claude-sonnet-4-5"}])
def test_a_model_may_have_either_form(model: object) -> None:
    """Text and object both pass the schema; the handler reads them."""
    assert find_problems({"prompt": "x", "model": model}, ACTIONS["run_task"].input_schema) == ()


def test_pending_requests_fit_their_shape() -> None:
    """What the driver tells of a permission and of a question is what the schemas promise."""
    schema = ACTIONS["get_session_status"].output_schema
    permission = PendingRequest("permission", "per_1", SESSION, "/p", permission="bash", patterns=("ls",), tool="bash")
    question = PendingRequest("question", "que_1", SESSION, "/p", questions=(AgentQuestion("Which?", "DB", ("a", "b"), multiple=False),))
    state = {"session_id": SESSION, "directory": "/p", "state": "waiting", "pending": [permission.to_wire(), question.to_wire()]}
    assert find_problems({"sessions": [state], "count": 1}, schema) == ()


# ---- the envelope


def test_the_envelope_knows_every_error_code_and_no_other() -> None:
    """The table of codes and the schema are one list."""
    failure = cast("Mapping[str, Schema]", ENVELOPE["$defs"])["failure"]
    assert properties(properties(failure)["error"])["code"]["enum"] == list(CODES)


@pytest.mark.parametrize("code", CODES)
def test_each_error_fits_the_envelope(code: str) -> None:
    """Whatever is raised on purpose can be returned."""
    for error in (error_of(code, "It failed."), error_of(code, "It failed.", rule="status-first", next="do this", details={"a": [1]})):
        assert find_problems({"ok": False, "action": "run_task", "error": error.to_wire()}, ENVELOPE) == ()


@pytest.mark.parametrize(
    "envelope",
    [
        {"ok": True, "action": "a", "data": {}, "error": {"code": "cancelled", "message": "x", "retryable": False}},
        {"ok": False, "action": "a", "data": {}},
        {"ok": True, "action": "a", "error": {"code": "cancelled", "message": "x", "retryable": False}},
        {"ok": "true", "action": "a", "data": {}},
        {"ok": 1, "action": "a", "data": {}},
        {"ok": True, "data": {}},
        {"ok": False, "action": "a", "error": {"code": "no_such_code", "message": "x", "retryable": False}},
        {"ok": False, "action": "a", "error": {"code": "cancelled", "message": "x"}},
        {"ok": False, "action": "a", "error": {"code": "cancelled", "message": "x", "retryable": False, "hint": "y"}},
    ],
)
def test_an_envelope_is_one_of_two_forms(envelope: dict[str, object]) -> None:
    """Success has data, failure has an error, nothing has both or neither."""
    assert find_problems(envelope, ENVELOPE)


def test_a_good_envelope_fits() -> None:
    """The other half of the claim above."""
    assert find_problems({"ok": True, "action": "list_sessions", "data": {"sessions": [], "count": 0}}, ENVELOPE) == ()


@pytest.mark.parametrize("name", ["skill.schema.json", "result.schema.json"])
def test_the_two_general_schemas_are_closed_and_described_too(name: str) -> None:
    """They are read by strangers as well."""
    path: Path = find_bundled(f"schemas/{name}")
    assert broken_rules(json.loads(path.read_text(encoding="utf-8")), plain=False) == []


# ---- the rules themselves

FIELD: dict[str, object] = {"type": "string", "description": "A field."}


def closed(**fields: object) -> dict[str, object]:
    """An input schema with these properties."""
    return {"type": "object", "properties": fields, "additionalProperties": False}


@pytest.mark.parametrize(
    ("schema", "place", "what"),
    [
        (closed(a={"type": "string"}), "properties.a", "it has no description"),
        (closed(a={"type": "string", "description": " "}), "properties.a", "it has no description"),
        (closed(a={"type": "string", "description": "x" * 2049}), "properties.a", "longer than 2048"),
        (closed(a=True), "properties.a", "it has no description"),
        (closed(a=FIELD | {"type": ["string", "null"]}), "properties.a", "a list of types"),
        (closed(a={"oneOf": [FIELD], "description": "x"}), "properties.a", "holds oneOf"),
        (closed(a={"$ref": "#", "description": "x"}), "properties.a", "holds $ref"),
        (closed(timeout_ms=FIELD), "(top)", "hosts keep names"),
        (closed(background=FIELD), "(top)", "hosts keep names"),
        (closed(a=FIELD | {"default": 5}), "properties.a", "default breaks its own schema"),
        (closed(a=FIELD | {"examples": ["x", 5]}), "properties.a", "examples breaks its own schema"),
        (closed(a={"type": "array", "description": "x"}), "properties.a", "does not say what it holds"),
        (closed(a={"type": "object", "description": "x"}), "properties.a", "does not say which fields"),
        (closed(a={"type": "object", "description": "x", "properties": {"b": FIELD}}), "properties.a", "is open"),
        (closed(a=FIELD) | {"additionalProperties": {"type": "string", "description": "x"}}, "(top)", "is open"),
        (closed(a=FIELD) | {"required": ["b"]}, "(top)", "the required field 'b' is not among"),
        (closed(a=FIELD | {"pattern": "("}), "properties.a.pattern", "cannot be compiled"),
        (closed(a=FIELD | {"type": "text"}), "properties.a.type", "breaks the rule"),
        ({"type": "array", "items": FIELD}, "(top)", "does not describe an object"),
    ],
)
def test_each_house_rule_is_kept(schema: dict[str, object], place: str, what: str) -> None:
    """A schema that breaks one rule is told which, and where."""
    assert any(found == place and what in text and fix for found, text, fix, _ in broken_rules(schema, plain=True))


def test_outputs_may_share_shapes_and_offer_choices() -> None:
    """Only what a model has to write must be plain."""
    shape = closed(a={"$ref": "#/$defs/x", "description": "x"}, b={"oneOf": [FIELD], "description": "x"}) | {"$defs": {"x": FIELD}}
    assert broken_rules(shape, plain=False) == []
    assert len(broken_rules(shape, plain=True)) == 3


def test_a_free_object_must_say_that_it_is_free() -> None:
    """Openness is a decision, not an omission."""
    assert broken_rules(closed(a={"type": "object", "description": "Anything.", "additionalProperties": True}), plain=True) == []
