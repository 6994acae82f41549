"""``watch_events``: live events of one session or of all, bounded in number and time."""

from __future__ import annotations

import re
from concurrent.futures import Future

import pytest

from netclaw_opencode.offline import Text, ToolCall
from netclaw_opencode.testing.waiting import SOON, wait_until
from tests.real.acting import UNKNOWN, Acting, Json, Requests, data_of
from tests.support.event_log import EventLog
from tests.support.pace import stretched

pytestmark = pytest.mark.real
TRUE = ToolCall("bash", {"command": "true", "description": "nothing"})


def watch(acting: Acting, requests_sent: Requests, **arguments: object) -> Future[dict[str, object]]:
    """A watch that listens already, for at most ``SOON`` seconds."""
    # This opens the host's one stream, so that the watch has nothing to wait for once it has looked at its session.
    acting.data("watch_events", wait_seconds=stretched(0.1))
    requests_sent.seen.clear()
    future = acting.later("watch_events", **({"wait_seconds": SOON} | arguments))
    wait_until(lambda: requests_sent.matching(r"GET /session/\w+"), what="the look at the session")
    return future


def watched(acting: Acting, requests_sent: Requests, session_id: str, prompt: str, **arguments: object) -> Json:
    """What was seen of one turn in that session."""
    acting.raw.model.when(prompt, TRUE, Text("done"))
    future = watch(acting, requests_sent, session_id=session_id, **arguments)
    acting.data("send_message", session_id=session_id, prompt=prompt)
    return data_of(future.result(SOON))


def test_a_turn_is_seen_to_its_end(acting: Acting, requests_sent: Requests) -> None:
    """F31, F32: status, tool and messages of the session, in order, each with time, type and one line; it ends with the turn."""
    session_id = acting.create()
    seen = watched(acting, requests_sent, session_id, "watch this", until_idle=True)
    types = [event["type"] for event in seen["events"]]
    assert (seen["ended"], types[-1], seen["count"], seen["dropped"]) == ("idle", "session.idle", len(types), 0)
    assert {"session.status", "message.updated", "message.part.updated"} <= set(types)
    assert {event["session_id"] for event in seen["events"]} == {session_id}
    assert {event["directory"] for event in seen["events"]} == {acting.directory}
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", event["at"]) for event in seen["events"])
    assert any("tool=bash" in event["summary"] for event in seen["events"])


def test_a_number_of_events_ends_the_watch(acting: Acting, requests_sent: Requests) -> None:
    """``max_events`` ends it with "limit", at exactly that many."""
    session_id = acting.create()
    seen = watched(acting, requests_sent, session_id, "watch a little", max_events=2)
    assert (seen["ended"], seen["count"], len(seen["events"])) == ("limit", 2, 2)


def test_time_ends_the_watch(acting: Acting) -> None:
    """Where nothing happens, ``wait_seconds`` ends it with "time", and not the server's heartbeat (F31)."""
    seen = acting.data("watch_events", session_id=acting.create(), wait_seconds=0.5)
    assert (seen["ended"], seen["events"]) == ("time", [])


def test_another_session_is_not_seen(acting: Acting, events: EventLog, requests_sent: Requests) -> None:
    """S32: while a neighbour works, a watch of one session tells nothing of it."""
    watched_one, neighbour = acting.create(), acting.create()
    future = watch(acting, requests_sent, session_id=watched_one, wait_seconds=2)
    acting.data("send_message", session_id=neighbour, prompt="a secret of the neighbour")
    assert events.of_session(neighbour, "session.idle"), "the neighbour did make events in that time"
    seen = data_of(future.result(SOON))
    assert (seen["events"], seen["ended"]) == ([], "time")


def test_all_sessions_are_seen_without_an_id(acting: Acting, requests_sent: Requests) -> None:
    """Without a session every one is told, with the sub-agents of each (F36) and the texts of none."""
    child = ToolCall("task", {"description": "sub work", "prompt": "the child's part", "subagent_type": "general"})
    acting.raw.model.when("all of them", child, Text("done"))
    acting.raw.model.when("the child's part", Text("confidential answer"))
    session_id = acting.create()
    everything = acting.later("watch_events", wait_seconds=SOON, max_events=10)
    future = watch(acting, requests_sent, session_id=session_id, until_idle=True)
    acting.data("send_message", session_id=session_id, prompt="all of them")
    child_id = acting.raw.get(f"/session/{session_id}/children").json()[0]["id"]
    seen = data_of(future.result(SOON))
    assert {session_id, child_id} == {event["session_id"] for event in seen["events"]}
    assert (seen["ended"], seen["events"][-1]["session_id"]) == ("idle", session_id), "the child's end is not the end"
    assert "confidential" not in str(seen)
    assert data_of(everything.result(SOON))["count"] == 10


def test_the_events_reach_the_host_as_they_come(acting: Acting, requests_sent: Requests) -> None:
    """Each event is told as progress too: the command line prints them live."""
    seen = watched(acting, requests_sent, acting.create(), "watch live", until_idle=True)
    assert [event.facts["type"] for event in acting.policy.told("event")][-seen["count"] :] == [item["type"] for item in seen["events"]]


def test_an_unknown_session_is_not_watched(acting: Acting) -> None:
    """No patience for a session that the server does not have."""
    assert acting.error("watch_events", session_id=UNKNOWN)["code"] == "session_not_found"


def test_all_calls_of_a_host_share_one_stream(acting: Acting, requests_sent: Requests) -> None:
    """F31: one connection to ``/global/event`` carries every directory and serves every call at once."""
    watches = [acting.later("watch_events", wait_seconds=SOON, max_events=1) for _ in range(2)]
    while not all(watch.done() for watch in watches):
        acting.data("send_message", session_id=acting.create(), prompt="something happens")
    assert all(data_of(watch.result())["count"] == 1 for watch in watches)
    assert requests_sent.matching("GET /global/event") == ["GET /global/event"]
