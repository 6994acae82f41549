"""The twelve rules: complete as data, and each check says yes and no where it must.

A test is named ``test_rule_<id>``, so that ``tests/docs/test_safety.py`` finds it; it holds both sides of its check, so that
a check that always says yes, or is taken out, makes it fail.
"""

from __future__ import annotations

import math
from dataclasses import FrozenInstanceError, replace

import pytest

from netclaw_opencode.driver import rules
from netclaw_opencode.driver.rules import SessionFacts, StopFacts
from netclaw_opencode.driver.tags import METADATA_KEY, SessionTag
from netclaw_opencode.errors import ActionFailed, DriverError, InvalidInput, Refused
from netclaw_opencode.facts import Decision, PendingRequest
from netclaw_opencode.opencode.process.ownership import ProcessFacts, require_own_process
from netclaw_opencode.opencode.wire.history import Step
from netclaw_opencode.opencode.wire.types import Session, SessionStatus
from netclaw_opencode.records.recorder import NO_RECORD

ID = "ses_aaaaaaaaaaaa"
BUSY, RETRY, IDLE = SessionStatus("busy"), SessionStatus("retry", attempt=2), SessionStatus("idle")
ASKS = PendingRequest("permission", "per_aaaaaaaaaaaa", ID, "/d", permission="bash", patterns=("ls",))
BINARY = "/opt/bin/opencode"


def session(**metadata: object) -> Session:
    """A session with these marks of ours; without any, a stranger's."""
    return Session(ID, "title", "/d", 1, 1, metadata={METADATA_KEY: metadata} if metadata else {})


def message(identifier: str) -> Step:
    """A message of the session."""
    return Step(identifier, "user", 1)


def facts(
    *messages: str, status: SessionStatus | None = None, pending: tuple[PendingRequest, ...] = (), of: Session | None = None
) -> SessionFacts:
    """What was read before a send."""
    return SessionFacts(of or session(task="run_task"), status, pending, tuple(message(item) for item in messages))


def refusal(error: DriverError, rule: str, code: str) -> None:
    """The error is of that code, names its rule, and that rule exists."""
    assert (error.rule, error.code) == (rule, code)
    assert rule in {item.id for item in rules.RULES}


def test_the_rules_are_the_twelve_of_the_design() -> None:
    """No rule is lost, none comes in unseen; each is a frozen row with a sentence and its own check of this module."""
    assert [rule.id for rule in rules.RULES] == [
        *("fresh-session", "status-first", "abort-first", "deadline", "send-once", "stop-verified"),
        *("delete-after-stop", "nobody-waits", "own-things-only", "stuck-server", "nothing-left", "no-silence"),
    ]
    assert len({rule.sentence for rule in rules.RULES}) == len({rule.check for rule in rules.RULES}) == 12
    for rule in rules.RULES:
        assert rule.sentence[0].isupper() and rule.sentence.endswith(".")
        assert rule.check is getattr(rules, rule.check.__name__)
        assert rule.check.__doc__
    with pytest.raises(FrozenInstanceError):
        rules.RULES[0].id = "other"  # type: ignore[misc]  # the claim


@pytest.mark.parametrize(
    ("status", "pending", "state"),
    [
        (None, (), "ready"),
        (IDLE, (), "ready"),
        (BUSY, (), "busy"),
        (RETRY, (), "retry"),
        (BUSY, (ASKS,), "waiting"),
        (None, (ASKS,), "waiting"),
    ],
)
def test_a_session_has_one_of_four_states(status: SessionStatus | None, pending: tuple[PendingRequest, ...], state: str) -> None:
    """No entry means idle (F18), and a pending request outweighs "busy": only an answer helps then (F29)."""
    assert rules.state_of(status, pending) == state


def test_rule_fresh_session() -> None:
    """An unused session passes, a used one is refused with the way to continue; insisting lets it pass."""
    rules.require_fresh(NO_RECORD, facts())
    rules.require_fresh(NO_RECORD, facts("msg_1"), reuse_allowed=True)
    with pytest.raises(Refused) as caught:
        rules.require_fresh(NO_RECORD, facts("msg_1", "msg_2"))
    refusal(caught.value, "fresh-session", "session_used")
    assert caught.value.details == {"session_id": ID}
    assert f"--parent-id {ID}" in str(caught.value.next)


def test_rule_fresh_session_counts_what_a_fork_copied_as_nothing() -> None:
    """A fork brings its parent's history (F28): only what came after the copy is activity of its own."""
    fork = session(forked_from="ses_bbbbbbbbbbbb", forked_through="msg_2")
    rules.require_fresh(NO_RECORD, facts("msg_1", "msg_2", of=fork))
    with pytest.raises(Refused):
        rules.require_fresh(NO_RECORD, facts("msg_1", "msg_2", "msg_3", of=fork))
    with pytest.raises(Refused):
        rules.require_fresh(NO_RECORD, facts("msg_1", of=session(forked_through=7)))
    rules.require_fresh(NO_RECORD, facts(of=session(forked_through="")))


@pytest.mark.parametrize(
    ("status", "pending", "code"),
    [(BUSY, (), "session_busy"), (RETRY, (), "session_busy"), (BUSY, (ASKS,), "session_waiting"), (None, (ASKS,), "session_waiting")],
)
def test_rule_status_first(status: SessionStatus | None, pending: tuple[PendingRequest, ...], code: str) -> None:
    """Ready passes; busy, retry and waiting are refused with the state, the requests and the wait that helps, not an abort (F26)."""
    rules.require_idle(NO_RECORD, facts(status=None))
    rules.require_idle(NO_RECORD, facts(status=IDLE))
    with pytest.raises(Refused) as caught:
        rules.require_idle(NO_RECORD, facts(status=status, pending=pending))
    refusal(caught.value, "status-first", code)
    assert caught.value.details["pending"] == [item.to_wire() for item in pending]
    assert caught.value.next == f"netclaw-opencode inspect wait-for-session --session-id {ID}"


def test_rule_abort_first() -> None:
    """A used session is sent into only after it was seen stopped; an unused one needs no stop."""
    rules.require_aborted(NO_RECORD, facts(), stop_seen=False)
    rules.require_aborted(NO_RECORD, facts("msg_1"), stop_seen=True)
    with pytest.raises(Refused) as caught:
        rules.require_aborted(NO_RECORD, facts("msg_1"), stop_seen=False)
    refusal(caught.value, "abort-first", "session_used")


def test_rule_deadline() -> None:
    """Only a number above zero and up to the longest is a deadline: there is no call without one."""
    assert rules.require_deadline(1, longest=60) == 1.0
    assert rules.require_deadline(60, longest=60) == 60.0
    for wrong in (0, -1, 60.001, 1e9, math.inf, -math.inf, math.nan):
        with pytest.raises(InvalidInput, match="at most 60 seconds"):
            rules.require_deadline(wrong, longest=60)
    assert rules.MESSAGE_SECONDS == 60


def test_rule_send_once() -> None:
    """The first send has any ids; a repetition has those of the first, both of them (F27)."""
    first = ("msg_1", "prt_1")
    rules.require_same_ids(NO_RECORD, message_id="msg_1", part_id="prt_1", sent=[])
    rules.require_same_ids(NO_RECORD, message_id="msg_1", part_id="prt_1", sent=[first])
    for message_id, part_id in (("msg_2", "prt_1"), ("msg_1", "prt_2"), ("msg_2", "prt_2")):
        with pytest.raises(Refused) as caught:
            rules.require_same_ids(NO_RECORD, message_id=message_id, part_id=part_id, sent=[first])
        refusal(caught.value, "send-once", "session_locked")


@pytest.mark.parametrize(
    "seen", [StopFacts(active=(ID,)), StopFacts(pending=(ASKS,)), StopFacts(running_tools=("prt_1",)), StopFacts(unsettled=True)], ids=str
)
def test_rule_stop_verified(seen: StopFacts) -> None:
    """A stop is proved when nothing is active, pending, running or unsettled; any one of them disproves it (F22)."""
    assert rules.is_stopped(StopFacts())
    assert not rules.is_stopped(seen)


def test_rule_delete_after_stop() -> None:
    """What is not seen stopped is not deleted, since its turn would go on unseen (F24)."""
    rules.require_stopped(NO_RECORD, ID, confirmed=True)
    with pytest.raises(ActionFailed) as caught:
        rules.require_stopped(NO_RECORD, ID, confirmed=False)
    refusal(caught.value, "delete-after-stop", "abort_unconfirmed")
    assert f"--session-id {ID}" in str(caught.value.next)


def test_rule_nobody_waits() -> None:
    """A decision is taken as it is; where nobody decides, the request is refused (F29)."""
    granted = Decision("once", message="because")
    assert rules.decision_or_refusal(granted) is granted
    assert rules.decision_or_refusal(None) == Decision("reject")


def test_rule_own_things_only() -> None:
    """A session that we made for a task may be stopped; a stranger's only when it is named on purpose."""
    rules.require_ours(NO_RECORD, session(version=1, task="run_task"))
    rules.require_ours(NO_RECORD, session(), include_foreign=True)
    # Without a task it is a stranger's session into which we sent something.
    strangers = (
        session(),
        session(message_id="msg_1"),
        Session(ID, "t", "/d", 1, 1, metadata={"other": {"task": "x"}, METADATA_KEY: "no object"}),
    )
    for stranger in strangers:
        with pytest.raises(Refused) as caught:
            rules.require_ours(NO_RECORD, stranger)
        refusal(caught.value, "own-things-only", "not_ours")


OURS = ProcessFacts(4242, 100025, 100025, argv=(BINARY, "serve", "--port", "4099"), recorded_binary=BINARY)


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (ProcessFacts(4242, 100025, 100125, argv=OURS.argv, recorded_binary=BINARY), "start time"),
        (ProcessFacts(4242, 100025, None, argv=OURS.argv, recorded_binary=BINARY), "start time"),
        (ProcessFacts(4242, 100025, 100025, argv=(BINARY, "run", "x"), recorded_binary=BINARY), "command line"),
        (ProcessFacts(4242, 100025, 100025, argv=("/usr/bin/python3", "serve"), recorded_binary=BINARY), "command line"),
        (ProcessFacts(4242, 100025, 100025, argv=("/tmp/opencode", "serve"), recorded_binary=BINARY), "command line"),  # noqa: S108 - a name
        (ProcessFacts(4242, 100025, 100025, argv=(), recorded_binary=BINARY), "command line"),
        (ProcessFacts(4242, 100025, 100025, argv=OURS.argv, recorded_binary=BINARY, same_user=False), "another user"),
        *((ProcessFacts(pid, 100025, 100025, argv=OURS.argv, recorded_binary=BINARY), "pid") for pid in (1, 0, -1, -4242)),
    ],
    ids=lambda value: str(value)[:60],
)
def test_rule_own_things_only_for_processes(found: ProcessFacts, reason: str) -> None:
    """Only the very process that we recorded is signalled: same start, program and user; never pid 1 or a group."""
    require_own_process(OURS)
    require_own_process(ProcessFacts(4242, 100025, 100025, argv=("node", BINARY, "serve"), recorded_binary=BINARY))
    with pytest.raises(Refused, match=reason) as caught:
        require_own_process(found)
    refusal(caught.value, "own-things-only", "kill_refused")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"pid": 1}, "the recorded pid is not one of a server"),
        ({"pid": 2}, None),
        ({"caller": frozenset({7, 4242})}, "it is the caller itself, or what started it"),
        ({"caller": frozenset({7})}, None),
        ({"start_ticks": 100024}, "the pid now belongs to another process (its start time differs)"),
        ({"recorded_start_ticks": 0, "start_ticks": 0}, None),
        ({"argv": (BINARY, "run")}, "its command line is not that of 'opencode serve'"),
        ({"recorded_port": 4099}, None),
        ({"recorded_port": 4099, "argv": (BINARY, "serve", "x", "--port", "4099")}, None),
        ({"recorded_port": 4098}, "its command line does not name the recorded port 4098"),
        (
            {"recorded_port": 4099, "argv": (BINARY, "serve", "--port", "4099", "x")},
            "its command line does not name the recorded port 4099",
        ),
        ({"recorded_port": 4099, "argv": (BINARY, "serve", "--Port", "4099")}, "its command line does not name the recorded port 4099"),
        ({"same_user": False}, "it belongs to another user"),
        (
            {"same_namespace": False},
            "it was started in another PID namespace (a container or sandbox), or before the machine's last start",
        ),
    ],
    ids=str,
)
def test_rule_own_things_only_says_why_a_process_is_no_server_of_ours(change: dict[str, object], why: str | None) -> None:
    """Each doubt has its own sentence; the last thing on the command line is the port, and it is the recorded one."""
    asked = replace(OURS, **change)  # type: ignore[arg-type]  # fields of the facts
    if why is None:
        require_own_process(asked)
        return
    with pytest.raises(Refused) as caught:
        require_own_process(asked)
    assert caught.value.message == f"process {asked.pid} was not signalled: {why}"
    assert caught.value.details == {"pid": asked.pid}


def test_refusals_about_a_session_name_it_and_what_was_not_done() -> None:
    """Word for word: a person has to know which session it is, and that nothing happened to it."""
    stranger = Session(ID, "t" * 300, "/d", 1, 1)
    with pytest.raises(Refused) as foreign:
        rules.require_ours(NO_RECORD, stranger)
    assert foreign.value.message == f"session {ID} ('{'t' * 60}') was not created by this skill"
    assert foreign.value.details == {"session_id": ID, "title": "t" * 200, "directory": "/d"}
    with pytest.raises(ActionFailed) as running:
        rules.require_stopped(NO_RECORD, ID, confirmed=False)
    assert running.value.message == f"session {ID} is not seen stopped, so it was not deleted"
    with pytest.raises(InvalidInput) as endless:
        rules.require_deadline(61.0, longest=60)
    assert endless.value.message == "deadline_seconds 61.0 must be more than 0 and at most 60 seconds"


def test_a_mark_that_is_no_object_is_no_mark() -> None:
    """Whoever wrote it, it says nothing of ours."""
    assert SessionTag.of(Session(ID, "t", "/d", 1, 1, metadata={METADATA_KEY: "task"})) is None
    assert not rules.is_ours(Session(ID, "t", "/d", 1, 1, metadata={METADATA_KEY: "task"}))
    assert SessionTag.read(session(task="x")).to_metadata() == {"task": "x", "version": 2}


def test_rule_stuck_server() -> None:
    """One session in retry is a provider's trouble; several are the server's. Busy ones do not count."""
    assert rules.stuck_sessions({}) == ()
    assert rules.stuck_sessions({"a": RETRY, "b": BUSY, "c": IDLE}) == ()
    assert rules.stuck_sessions({"a": RETRY, "b": BUSY, "c": RETRY}) == ("a", "c")


def test_rule_nothing_left() -> None:
    """What is left is named by its kind; empty lists are nothing."""
    assert rules.kinds_left({"sessions": (), "processes": []}) == ()
    assert rules.kinds_left({"sessions": (ID,), "processes": [], "files": ["server.json"]}) == ("sessions", "files")


@pytest.mark.parametrize(
    "silent",
    [
        {},
        {"ok": True},
        {"ok": True, "data": None},
        {"ok": False, "data": {"x": 1}},
        {"ok": False, "error": None},
        {"ok": False, "error": "it failed"},
        {"ok": False, "error": {"code": "no_such_code", "message": "m", "next": "n"}},
        {"ok": False, "error": {"code": "bad_response", "message": "", "next": "n"}},
        {"ok": False, "error": {"code": "bad_response", "message": "m"}},
    ],
    ids=str,
)
def test_rule_no_silence(silent: dict[str, object]) -> None:
    """A result, or an error with a known code, a cause and a next step; everything else is silence."""
    rules.require_result_or_cause({"ok": True, "action": "a", "data": {}})
    rules.require_result_or_cause({"ok": False, "action": "a", "error": ActionFailed("bad_response", "m").to_wire()})
    with pytest.raises(ActionFailed) as caught:
        rules.require_result_or_cause(silent)
    refusal(caught.value, "no-silence", "internal_error")
