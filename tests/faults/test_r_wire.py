"""R18 to R25: what the wire does. A call ends in time and by name, and a broken answer is never taken for a good one."""

from __future__ import annotations

import gzip
import math
import time

import psutil
import pytest

from netclaw_opencode.driver import results
from netclaw_opencode.offline import Text, ToolCall
from netclaw_opencode.opencode.wire import routes
from netclaw_opencode.testing.proxy import Canned, Cut, Edit, Fault, Latency, Silence, Slow, Stall, answer
from tests.faults.bench import Bench
from tests.support.pace import MACHINE_SECONDS, stretched

pytestmark = pytest.mark.real
T = 1.2
CLEANUP = 15.0
MESSAGES = "GET /session/*/message"


def before_the_limit() -> float:
    """A deadline that comes before the limit of one request, after which the driver looks whether the request arrived (F25)."""
    return min(stretched(T), (routes.PROMPT_ASYNC.limit_seconds or math.inf) - 2)


def test_r18_latency_of_control_calls(bench: Bench) -> None:
    """R18: slow is no failure within the limits; beyond the deadline it is request_timeout, and nothing was sent."""
    late = [bench.proxy.on(pattern, Latency(0.7)) for pattern in (MESSAGES, "POST /session*", "GET /session/status")]
    assert bench.data("run_task", prompt="slowly", directory=bench.directory, deadline_seconds=120)["text"] == "slowly"
    assert all(rule.fired for rule in late)
    bench.proxy.on("GET /session/status", Latency(60))
    found = bench.failed("send_message", within=1, session_id=bench.create(), prompt="too late", deadline_seconds=1)
    assert (found.code, bench.model.calls_with("too late")) == ("request_timeout", ())


def test_r18_latency_before_the_session(bench: Bench) -> None:
    """R18: the deadline covers what comes before the session, too: nothing was created, nothing sent."""
    late = bench.proxy.on("GET /config/providers", Latency(60))
    found = bench.task("never begun", within=1, deadline_seconds=before_the_limit(), model="offline/scripted")
    assert (found.code, late.fired, bench.proxy.count("POST *")) == ("request_timeout", 1, 0)


def test_r19_bandwidth(bench: Bench) -> None:
    """R19: an answer that drips in at 1 KB/s does not outlive the deadline; the turn is proved to be over without it."""
    slow = Slow(1024, piece=64, free=3000)
    deadline = min(stretched(T + 1), (routes.MESSAGES.limit_seconds or math.inf) - 2)
    found = bench.mid_turn("a long answer", MESSAGES, slow, within=T + CLEANUP, text="x" * 200_000, deadline_seconds=deadline)
    assert (found.code, found.details["stopped"]["confirmed"]) == ("turn_timeout", True)
    assert found.details["cleanup"]["session_deleted"] is True


def test_r20_eight_bytes_a_second(bench: Bench) -> None:
    """R20, F53: bytes that keep coming do not keep a call alive: neither before the send nor in it."""
    session_id = bench.create()
    rule = bench.proxy.on("GET /session/status", Slow(8))
    found = bench.failed("send_message", within=T + 0.5, session_id=session_id, prompt="drip", deadline_seconds=stretched(T))
    assert (found.code, rule.fired > 0, bench.proxy.count("POST */prompt_async")) == ("request_timeout", True, 0)
    bench.proxy.clear()
    rule = bench.proxy.on("POST */prompt_async", Slow(8))
    found = bench.failed("send_message", within=T + CLEANUP, session_id=session_id, prompt="drip", deadline_seconds=before_the_limit())
    assert (found.code, found.details["stopped"]["confirmed"], rule.fired) == ("turn_timeout", True, 1)


def test_r21_silence_before_the_send(bench: Bench) -> None:
    """R21: accepted and never answered is request_timeout at the deadline, and nothing was sent."""
    session_id = bench.create()
    fault = Silence()
    bench.proxy.on("GET /session/status", fault)
    found = bench.failed("send_message", within=T + 0.5, session_id=session_id, prompt="hello?", deadline_seconds=stretched(T))
    assert (found.code, bench.fired(fault) > 0, bench.proxy.count("POST */prompt_async")) == ("request_timeout", True, 0)


@pytest.mark.parametrize("forward", [True, False], ids=["answer-lost", "request-lost"])
def test_r21_silence_after_the_send(bench: Bench, forward: bool) -> None:
    """R21, F25: whether the prompt arrived is not known, so it is stopped and looked after in either case."""
    fault = Silence(forward=forward)
    bench.proxy.on("POST */prompt_async", fault)
    found = bench.task("sent into silence", Text("unseen"), within=T + CLEANUP, deadline_seconds=before_the_limit())
    # What never came cannot be seen to stop; its session is deleted, so that it is refused if it comes.
    assert (found.code, found.details["stopped"]["confirmed"], bench.fired(fault)) == ("turn_timeout", True, 1)
    assert len(bench.model.calls_with("sent into silence")) == forward
    assert found.details["cleanup"]["session_deleted"] is True


@pytest.mark.parametrize("fault", [Silence(), Stall(body=200), Canned(b"")], ids=["silent", "silent-later", "closed"])
def test_r21_silence_of_the_event_stream(bench: Bench, fault: Fault) -> None:
    """R21, F31: events are hints; without them the result is the same, only later."""
    bench.proxy.on("GET /global/event", fault)
    data = bench.data("run_task", prompt="no events", directory=bench.directory, deadline_seconds=120)
    assert (data["text"], bench.fired(fault) > 0) == ("no events", True)


def test_r21_creation_that_is_not_answered(bench: Bench) -> None:
    """R21: a creation is shielded, and still bounded by the deadline; the session that may be there is removed by the next call."""
    bench.proxy.on("POST /session", Stall(body=10))
    timed = bench.failed("run_task", within=2.5, prompt="no answer to the creation", deadline_seconds=before_the_limit())
    assert timed.code == "request_timeout"
    bench.proxy.clear()
    assert any("could not remove, was stopped and removed" in note for note in bench.data("run_task", prompt="the next")["notes"])
    assert bench.raw.get("/session").json() == []


def test_r21_what_belongs_to_a_finished_turn_is_not_told(bench: Bench) -> None:
    """R21: a turn that is known to be complete is a success, within its deadline, with a note about what could not be read."""
    bench.proxy.on("GET */diff", Silence())
    bench.model.when("finished, but", ToolCall("bash", {"command": "true", "description": "nothing"}), Text("done"))
    deadline, began = stretched(5), time.monotonic()
    data = bench.data("run_task", prompt="finished, but", deadline_seconds=deadline)
    assert time.monotonic() - began < deadline + results.GATHER_SECONDS + MACHINE_SECONDS
    assert data["text"] == "done" and any("too slow to tell everything" in note for note in data["notes"])


@pytest.mark.parametrize("fault", [Cut(body=20, reset=True), Cut(head=0, reset=True)], ids=["mid-body", "before"])
def test_r22_reset(bench: Bench, fault: Fault) -> None:
    """R22: one reset costs a repetition; a connection that breaks until the deadline is connection_lost, and the turn is stopped."""
    once = bench.proxy.on(MESSAGES, fault, times=1)
    assert bench.data("run_task", prompt="one reset", directory=bench.directory, deadline_seconds=120)["text"] == "one reset"
    assert once.fired == 1
    found = bench.mid_turn("all resets", MESSAGES, fault, within=T + CLEANUP, deadline_seconds=stretched(T + 1))
    assert (found.code, found.details["stopped"]["confirmed"]) == ("connection_lost", True)
    assert found.details["cleanup"]["session_deleted"] is True


@pytest.mark.parametrize(("fault", "posts"), [(Cut(head=0, reset=True), 1), (Canned(b""), 2)], ids=["answer-lost", "request-lost"])
def test_r22_reset_of_the_send(bench: Bench, fault: Fault, posts: int) -> None:
    """R22, F27; send-once: the message store tells whether the prompt arrived; it is repeated only if not, and it runs once."""
    bench.proxy.on("POST */prompt_async", fault, times=1)
    assert bench.data("run_task", prompt="exactly once", directory=bench.directory, deadline_seconds=120)["text"] == "exactly once"
    assert (bench.proxy.count("POST */prompt_async"), len(bench.model.calls_with("exactly once"))) == (posts, 1)


def test_r22_reset_of_the_creation(bench: Bench) -> None:
    """R22: a session whose creation was answered into the void is found by its mark and used: no second one, no stray."""
    bench.proxy.on("POST /session", Cut(head=0, reset=True), times=1)
    assert bench.data("run_task", prompt="born unseen", directory=bench.directory, deadline_seconds=120)["text"] == "born unseen"
    assert bench.proxy.count("POST /session") == 1


def test_r22_reset_of_a_fork(bench: Bench) -> None:
    """R22: a fork whose answer is lost is found as the new session that still bears its parent's marks; there is no stray."""
    kept = bench.data("run_task", prompt="the first part", directory=bench.directory, keep_session=True)["session_id"]
    bench.remember(kept)
    bench.proxy.on("POST */fork", Cut(head=0, reset=True), times=1)
    data = bench.data("run_task", prompt="the second part", parent_id=kept, deadline_seconds=120)
    assert (data["text"], data["forked_from"], bench.proxy.count("POST */fork")) == ("the second part", kept, 1)
    assert [item["id"] for item in bench.raw.get("/session").json()] == [kept]


def test_r22_reset_while_a_fork_is_marked(bench: Bench) -> None:
    """R22; nothing-left: a fork that cannot be given its marks is removed at once: later nobody could tell whose it is."""
    kept = bench.data("run_task", prompt="before the fork", directory=bench.directory, keep_session=True)["session_id"]
    bench.remember(kept)
    bench.proxy.on("PATCH *", Cut(head=0, reset=True))
    timed = bench.failed("create_session", within=10, parent_id=kept)
    assert timed.code == "connection_lost"
    assert [item["id"] for item in bench.raw.get("/session").json()] == [kept]


def test_r22_creation_that_is_lost_and_cannot_be_looked_for(bench: Bench) -> None:
    """R22; nothing-left: where neither answer nor list comes through, the next call knows the session by its mark and removes it."""
    bench.proxy.on("POST /session", Cut(body=20))
    bench.proxy.on("GET /experimental/session", Cut(body=20))
    timed = bench.failed("run_task", within=10, prompt="made and lost", deadline_seconds=stretched(T + 1))
    assert timed.code in ("connection_lost", "bad_response")
    assert len(bench.raw.get("/session").json()) == 1
    bench.proxy.clear()
    notes = bench.data("run_task", prompt="after the loss")["notes"]
    assert [note for note in notes if "could not remove, was stopped and removed" in note]
    assert bench.raw.get("/session").json() == []


@pytest.mark.parametrize("fault", [Cut(head=30), Cut(body=0), Cut(body=100)], ids=["in-the-head", "no-body", "in-the-body"])
def test_r23_answer_ends_early(bench: Bench, fault: Fault) -> None:
    """R23: half an answer is connection_lost, never a result; the turn is stopped."""
    found = bench.mid_turn("half of it", MESSAGES, fault, within=T + CLEANUP, deadline_seconds=stretched(T + 1))
    assert (found.code, found.details["stopped"]["confirmed"]) == ("connection_lost", True)
    assert found.details["cleanup"]["session_deleted"] is True


def test_r24_gzip_bomb(bench: Bench) -> None:
    """R24, F53: a compressed answer was not asked for: refused unread, whatever it would become."""
    bomb = answer(gzip.compress(b" " * 200 * 1024 * 1024, compresslevel=1), content_encoding="gzip")
    before = psutil.Process().memory_info().rss
    found = bench.mid_turn("a bomb", MESSAGES, bomb, within=T + CLEANUP, deadline_seconds=stretched(T + 1))
    assert (found.code, found.details["stopped"]["confirmed"]) == ("bad_response", True)
    assert psutil.Process().memory_info().rss - before < 32 * 1024 * 1024


BROKEN: dict[str, Fault] = {
    "truncated": Edit(lambda body: body[:-20]),
    "not-json": answer("{not json"),
    "wrong-schema": answer('{"messages": []}'),
    "null-fields": answer('[{"info": null, "parts": null}]'),
    "nan": answer('[{"info": NaN, "parts": []}]'),
    "duplicate-keys": Edit(lambda body: body.replace(b'"role":"assistant"', b'"role":"assistant","role":"user"')),
    "deep": answer("[" * 5000 + "]" * 5000),
    "huge-number": answer(f'[{{"info": {"9" * 10_000}, "parts": []}}]'),
    "not-utf8": answer(b'[{"info": "\xff\xfe"}]'),
    "empty": answer(""),
    "html": answer("<!doctype html>", kind="text/html"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_r25_answer_is_no_answer(bench: Bench, name: str) -> None:
    """R25: what is not exactly what the API promises is bad_response (a page: not_opencode), without a traceback; the turn stops."""
    found = bench.mid_turn("broken answer", MESSAGES, BROKEN[name], within=T + CLEANUP, deadline_seconds=stretched(T + 1))
    assert found.code == ("not_opencode" if name == "html" else "bad_response"), found.error
    assert found.details["stopped"]["confirmed"] is True and "Traceback" not in str(found.error)
