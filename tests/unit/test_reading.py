"""OpenCode's JSON as types: measured shapes are read, broken ones are a bad_response, keys are never read."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netclaw_opencode.errors import DriverError
from netclaw_opencode.opencode.wire import reading
from netclaw_opencode.opencode.wire.types import FileChange, Health, MessageError, ModelRef, ServerEvent, SessionStatus, Usage

SESSION = {
    "id": "ses_aaaaaaaaaaaa",
    "slug": "x",
    "projectID": "global",
    "directory": "/d",
    "title": "t",
    "agent": "build",
    "model": {"id": "thinker", "providerID": "offline", "variant": "low"},
    "metadata": {"netclaw_opencode": {"version": 1}},
    "time": {"created": 1, "updated": 2},
    "parentID": "ses_bbbbbbbbbbbb",
}
INFO = {
    "id": "msg_1",
    "role": "assistant",
    "sessionID": "ses_aaaaaaaaaaaa",
    "parentID": "msg_0",
    "providerID": "offline",
    "modelID": "scripted",
    "time": {"created": 1, "completed": 2},
    "finish": "stop",
    "cost": 0.00178,
    "tokens": {"total": 1050, "input": 600, "output": 40, "reasoning": 10, "cache": {"write": 5, "read": 400}},
}
TOOL = {
    "id": "prt_2",
    "type": "tool",
    "tool": "bash",
    "callID": "c1",
    "state": {"status": "error", "input": {"command": "ls"}, "title": "List", "metadata": {"exit": 1}, "error": "refused"},
}


def test_health_is_read() -> None:
    """Readiness and version in one (F3)."""
    assert reading.health({"healthy": True, "version": "1.18.33", "new": 1}) == Health(healthy=True, version="1.18.33")
    assert not reading.health({"healthy": False, "version": "x"}).healthy


def test_a_session_is_read() -> None:
    """With parent, agent, model (called id here, F12) and metadata; without them too."""
    found = reading.session(SESSION)
    assert (found.id, found.title, found.directory, found.created_ms, found.updated_ms) == ("ses_aaaaaaaaaaaa", "t", "/d", 1, 2)
    assert (found.parent_id, found.agent, found.model) == ("ses_bbbbbbbbbbbb", "build", ModelRef("offline", "thinker", "low"))
    assert found.metadata == {"netclaw_opencode": {"version": 1}}
    bare = reading.session({"id": "s", "title": "", "directory": "/", "time": {}, "model": {"id": 5}, "metadata": None})
    assert (bare.parent_id, bare.agent, bare.model, bare.metadata, bare.created_ms) == (None, None, None, {}, 0)


def test_a_message_is_read() -> None:
    """Text without what the server added itself, tool parts with their state, tokens and cost."""
    parts = [
        {"id": "prt_1", "type": "text", "text": "one"},
        {"id": "prt_s", "type": "text", "text": "hidden", "synthetic": True},
        TOOL,
        {"id": "prt_3", "type": "text", "text": "two"},
        {"id": "prt_4", "type": "step-finish"},
    ]
    (found,) = reading.messages([{"info": INFO, "parts": parts}])
    assert found.text == "one\ntwo"
    assert (found.parent_id, found.finish, found.completed_ms, found.error, found.structured) == ("msg_0", "stop", 2, None, None)
    assert found.model == ModelRef("offline", "scripted")
    assert found.usage == Usage(600, 40, 10, 400, 5, 0.00178)
    part = found.parts[2]
    assert (part.tool, part.call_id, part.tool_status, part.title, part.tool_error) == ("bash", "c1", "error", "List", "refused")
    assert (part.tool_input, part.tool_metadata) == ({"command": "ls"}, {"exit": 1})


def test_a_user_message_names_its_model_in_an_object() -> None:
    """There the model stands one level deeper, with its variant."""
    info = {
        "id": "m",
        "role": "user",
        "sessionID": "s",
        "time": {"created": 1},
        "model": {"providerID": "p", "modelID": "m/x", "variant": "low"},
    }
    assert reading.message({"info": info, "parts": []}).model == ModelRef("p", "m/x", "low")


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (None, None),
        ({"name": "APIError", "data": {"message": "Invalid", "statusCode": 401}}, MessageError("APIError", "Invalid", 401)),
        ({"name": "MessageAbortedError", "data": {"message": "aborted"}}, MessageError("MessageAbortedError", "aborted")),
        ({}, MessageError("UnknownError", "")),
        ({"name": 5, "data": "text"}, MessageError("UnknownError", "")),
    ],
)
def test_a_messages_error_is_read(error: object, expected: MessageError | None) -> None:
    """Any object there is an error, known or not: it must never be passed over."""
    assert reading.message({"info": {**INFO, "error": error}, "parts": []}).error == expected


@pytest.mark.parametrize("completed", [None, "2", True, math.inf, math.nan, {}])
def test_a_message_is_complete_only_by_a_number(completed: object) -> None:
    """Success rests on this field, so nothing else counts as a time; JSON's 1e999 is infinity in Python."""
    info = {**INFO, "time": {"created": 1, "completed": completed}}
    assert reading.message({"info": info, "parts": []}).completed_ms is None


def test_statuses_are_read() -> None:
    """Busy, idle, and retry with attempt, reason and time of the next try (F17)."""
    answer = {
        "a": {"type": "busy"},
        "b": {"type": "idle"},
        "c": {"type": "retry", "attempt": 2, "message": "429", "next": 99.5},
        "d": {"type": "retry"},
    }
    assert reading.statuses(answer) == {
        "a": SessionStatus("busy"),
        "b": SessionStatus("idle"),
        "c": SessionStatus("retry", 2, "429", 99),
        "d": SessionStatus("retry"),
    }


def test_file_changes_are_read() -> None:
    """The server's diff of a turn; a status that is not told means modified."""
    answer = [{"file": "a", "patch": "@@", "additions": 1, "deletions": 2, "status": "deleted"}, {"file": "b"}]
    assert reading.file_changes(answer) == (FileChange("a", "deleted", 1, 2, "@@"), FileChange("b", "modified", 0, 0, ""))


def test_requests_are_read() -> None:
    """A permission with its patterns, a question with its labels; both know their directory (F20)."""
    permission = reading.permission(
        {"id": "per_1", "sessionID": "s", "permission": "bash", "patterns": ["ls", 5], "tool": {"callID": "c"}, "always": ["ls *"]},
        directory="/d",
    )
    assert (permission.kind, permission.id, permission.permission, permission.directory) == ("permission", "per_1", "bash", "/d")
    assert "ls" in permission.patterns
    assert (permission.call_id, permission.tool) == ("c", None), "the id of a call is no tool's name"
    question = reading.question(
        {
            "id": "que_1",
            "sessionID": "s",
            "questions": [{"question": "Which?", "header": "H", "options": [{"label": "Blue"}, {}, 5], "multiple": True}],
        },
        directory="/d",
    )
    (asked,) = question.questions
    assert (asked.question, asked.header, asked.options, asked.multiple) == ("Which?", "H", ("Blue",), True)


PROVIDER = {
    "id": "p",
    "name": "P",
    "key": "canary-key",
    "options": {"apiKey": "canary-key"},
    "env": ["P_KEY"],
    "models": {
        "m/x": {
            "id": "m/x",
            "name": "X",
            "variants": {"low": {"reasoningEffort": "low"}, "odd": None},
            "limit": {"context": 1000, "output": 100},
            "capabilities": {"reasoning": True, "toolcall": True},
            "headers": {"authorization": "canary-key"},
        },
        "bare": {},
    },
}


def test_providers_are_read_without_their_keys() -> None:
    """Both routes give keys in clear (F45); no type of ours has a place for one."""
    found, defaults, connected = reading.providers({"providers": [PROVIDER], "default": {"p": "m/x", "q": None}})
    assert defaults == {"p": "m/x"}
    assert connected == {"p"}
    assert "canary" not in repr(found)
    models = found[0].models
    assert (models["m/x"].name, models["m/x"].context, models["m/x"].output, models["m/x"].reasoning, models["m/x"].tool_call) == (
        *("X", 1000, 100),
        *(True, True),
    )
    assert models["m/x"].variants == {"low": {"reasoningEffort": "low"}, "odd": {}}
    assert (models["bare"].name, models["bare"].context, models["bare"].reasoning) == ("bare", 0, False)


def test_all_providers_tell_which_are_connected() -> None:
    """The other route lists all and names the connected ones apart."""
    found, _, connected = reading.providers({"all": [PROVIDER, {"id": "q", "models": {}}], "connected": ["q"]})
    assert [item.id for item in found] == ["p", "q"]
    assert connected == {"q"}


@pytest.mark.parametrize(
    ("value", "event"),
    [
        (
            {"directory": "/d", "project": "p", "payload": {"id": "evt", "type": "session.idle", "properties": {"sessionID": "s"}}},
            ServerEvent("session.idle", {"sessionID": "s"}, "/d"),
        ),
        ({"payload": {"type": "server.connected", "properties": {}}}, ServerEvent("server.connected", {})),
        ({"type": "server.connected", "properties": {}}, ServerEvent("server.connected", {})),
        ({"payload": {"type": "sync", "syncEvent": {"type": "message.updated.1"}}}, None),
        ({"payload": {}}, None),
        ({"payload": {"type": 5}}, None),
        ({"payload": {"type": "x", "properties": "odd"}}, ServerEvent("x", {})),
    ],
)
def test_events_are_read(value: object, event: ServerEvent | None) -> None:
    """Wrapped or not; the sync copies say nothing new (F31)."""
    assert reading.event(value) == event


@pytest.mark.parametrize(
    ("event", "session_id"),
    [
        (ServerEvent("session.idle", {"sessionID": "s"}), "s"),
        (ServerEvent("message.updated", {"info": {"id": "msg_1", "sessionID": "s"}}), "s"),
        (ServerEvent("message.part.updated", {"part": {"id": "prt_1", "sessionID": "s"}}), "s"),
        (ServerEvent("session.created", {"info": {"id": "s"}}), "s"),
        (ServerEvent("message.updated", {"info": {"id": "msg_1"}}), None),
        (ServerEvent("server.heartbeat", {}), None),
        (ServerEvent("x", {"sessionID": 5, "info": "odd", "part": None}), None),
    ],
)
def test_an_event_knows_its_session(event: ServerEvent, session_id: str | None) -> None:
    """Wherever the id stands; a message's own id is none of a session."""
    assert event.session_id == session_id


READERS: tuple[Callable[[object], object], ...] = (
    reading.health,
    reading.session,
    reading.sessions,
    reading.statuses,
    reading.status,
    reading.messages,
    reading.message,
    reading.part,
    reading.file_changes,
    reading.providers,
    reading.event,
    lambda value: reading.permission(value, directory="/d"),
    lambda value: reading.question(value, directory="/d"),
)


@pytest.mark.parametrize(
    ("reader", "broken"),
    [
        (reading.health, {"healthy": "yes", "version": "1"}),
        (reading.health, {"healthy": True}),
        (reading.session, {**SESSION, "id": None}),
        (reading.session, {**SESSION, "time": None}),
        (reading.sessions, {"0": SESSION}),
        (reading.statuses, {"a": "busy"}),
        (reading.statuses, {"a": {"type": "dreaming"}}),
        (reading.messages, [{"info": INFO}]),
        (reading.messages, [{"info": {**INFO, "role": None}, "parts": []}]),
        (reading.messages, [{"info": {**INFO, "error": "text"}, "parts": []}]),
        (reading.messages, [{"info": INFO, "parts": [{"type": "text"}]}]),
        (reading.providers, {"providers": [{"id": "p"}]}),
        *((reader, wrong) for reader in READERS for wrong in (None, "text", 5)),
    ],
)
def test_a_broken_answer_is_a_bad_response(reader: Callable[[object], object], broken: object) -> None:
    """A field that we rest on is missing or of another type: named, not guessed and not a crash."""
    with pytest.raises(DriverError) as caught:
        reader(broken)
    assert caught.value.code == "bad_response"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "id",
                    "info",
                    "parts",
                    "time",
                    "created",
                    "type",
                    "tokens",
                    "error",
                    "data",
                    "models",
                    "providers",
                    "payload",
                    "properties",
                    "questions",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@settings(deadline=None)
@given(st.sampled_from(READERS), json_values)
def test_whatever_the_server_sends_is_read_or_refused(reader: Callable[[object], object], value: object) -> None:
    """No JSON value, infinities included, leads to anything but a type of ours or a bad_response."""
    codes: list[str] = []
    try:
        reader(value)
    except DriverError as error:
        codes.append(error.code)
    assert codes in ([], ["bad_response"])


@settings(deadline=None)
@given(
    st.sampled_from(["created", "updated", "additions", "cost", "next", "attempt"]), st.floats() | st.booleans() | st.text() | st.integers()
)
def test_numbers_are_finite(key: str, value: object) -> None:
    """Where a number should stand and none does, it is zero; it is never infinite."""
    assert math.isfinite(reading.number_of({key: value}, key))
