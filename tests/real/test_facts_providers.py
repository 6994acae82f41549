"""Facts of failing providers, pinned by number: refusals, limits, runaways, finish reasons."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from netclaw_opencode.offline import Attempts, CloseSocket, CutStream, Empty, Finish, Html, Part, Status, Text, Usage
from netclaw_opencode.testing.waiting import wait_until
from tests.support.event_log import EventLog
from tests.support.raw import Json, RawOpenCode, field

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def workdir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One directory for the module: a directory's first turn costs a second."""
    return tmp_path_factory.mktemp("facts-providers")


def retrying(raw: RawOpenCode, session_id: str, *, attempt: int = 1) -> Json:
    """The status of a session, waited for until it is in that attempt."""

    def reached() -> Json:
        status = raw.statuses().get(session_id, {})
        return status if int(str(status.get("attempt", 0))) >= attempt else {}

    return wait_until(reached, what=f"attempt {attempt}")


def failing(raw: RawOpenCode, fault: Part) -> str:
    """A session whose model call fails in that way."""
    raw.model.when("fails", fault)
    session_id = raw.create()
    raw.prompt_async(session_id, "fails")
    return session_id


def test_f16_a_refusal_by_the_provider_is_http_200(raw: RawOpenCode) -> None:
    """F16: 401 of the provider: 200 from the server, the error in the message, not retryable, no text."""
    raw.model.when("F16", Status(401))
    answer = raw.message(raw.create(), "F16")
    error = answer.json()["info"]["error"]
    assert (answer.status_code, answer.json()["parts"]) == (200, [])
    assert (error["name"], error["data"]["statusCode"], error["data"]["isRetryable"]) == ("APIError", 401, False)
    assert len(raw.model.calls_with("F16")) == 1


def test_f17_a_limit_is_retried_with_growing_waits(raw: RawOpenCode) -> None:
    """F17: the status says retry, with attempt, message and the time of the next one, which comes later each time."""
    session_id = failing(raw, Status(429))
    first, second = (retrying(raw, session_id, attempt=attempt) for attempt in (1, 2))
    assert [(status["type"], status["attempt"]) for status in (first, second)] == [("retry", 1), ("retry", 2)]
    assert int(str(second["next"])) > int(str(first["next"]))
    assert "scripted 429" in str(first["message"])


def test_f17_an_abort_of_a_retry_leaves_no_trace_in_the_history(raw: RawOpenCode, events: EventLog) -> None:
    """F17: the last message is completed, without parts, error and finish: only a finish tells that a turn succeeded."""
    session_id = failing(raw, Status(429))
    retrying(raw, session_id)
    raw.abort(session_id)
    raw.wait_idle(session_id)
    last = raw.messages(session_id)[-1]
    info = field(last, "info")
    assert (info["role"], last["parts"]) == ("assistant", [])
    assert ("completed" in field(info, "time"), "error" in info, "finish" in info) == (True, False, False)
    assert events.of_session(session_id, "session.error") == []


@pytest.mark.parametrize("fault", [Status(500), CloseSocket()], ids=["500", "closed-socket"])
def test_f17_other_failures_are_retried_as_well(raw: RawOpenCode, fault: Part) -> None:
    """F17: a server error and a lost connection are retried like a limit."""
    assert retrying(raw, failing(raw, fault))["type"] == "retry"


def test_f17_a_retry_that_succeeds_leaves_a_normal_answer(raw: RawOpenCode) -> None:
    """F17: the model is asked again by the server, and the turn ends as if nothing had been."""
    raw.model.when("F17 again", Attempts(Status(429), Text("fine")))
    answer = raw.message(raw.create(), "F17 again").json()
    assert (answer["info"]["finish"], "error" in answer["info"]) == ("stop", False)
    assert len(raw.model.calls_with("F17 again")) == 2


def test_f43_a_long_retry_after_is_obeyed(raw: RawOpenCode) -> None:
    """F43: the next attempt is an hour ahead."""
    status = retrying(raw, failing(raw, Status(429, retry_after_seconds=3600)))
    assert 3_000_000 < int(str(status["next"])) - time.time() * 1000 < 4_000_000


@pytest.mark.parametrize("fault", [CutStream(), Html()], ids=["cut-stream", "html"])
def test_f40_a_stream_without_an_end_makes_a_runaway(raw: RawOpenCode, fault: Part) -> None:
    """F40: the server calls the model again and again; status busy, finish unknown, no error."""
    raw.model.when("F40", fault)
    session_id = raw.create()
    raw.prompt_async(session_id, "F40")
    assert raw.model.wait_until(lambda model: len(model.calls_with("F40")) >= 4, 20)
    assert raw.statuses() == {session_id: {"type": "busy"}}
    done = [answer for answer in raw.answers(session_id) if "finish" in answer]
    assert {answer["finish"] for answer in done} == {"unknown"}
    assert not [answer for answer in done if "error" in answer]


@pytest.mark.parametrize(
    ("step", "reason", "error"),
    [
        ((Text("cut"), Finish("length")), "length", None),
        ((Text("cut"), Finish("content_filter")), "content-filter", "ContentFilterError"),
        (Empty(), "stop", None),
    ],
    ids=["length", "filter", "empty"],
)
def test_finish_reasons_reach_the_message(raw: RawOpenCode, step: Part, reason: str, error: str | None) -> None:
    """A cut answer says so in ``finish``, a filtered one also has an error, an empty one looks like a success."""
    raw.model.when("finish", step)
    info = raw.message(raw.create(), "finish").json()["info"]
    assert (info["finish"], info.get("error", {}).get("name")) == (reason, error)
    assert len(raw.model.calls_with("finish")) == 1


def test_tokens_are_told_apart(raw: RawOpenCode) -> None:
    """Cached tokens are taken out of the input and thinking out of the output; the total is the provider's."""
    raw.model.when("tokens", (Text("x"), Usage(1000, 50, reasoning_tokens=10, cached_tokens=400)))
    info = raw.message(raw.create(), "tokens").json()["info"]
    assert info["tokens"] == {"total": 1050, "input": 600, "output": 40, "reasoning": 10, "cache": {"read": 400, "write": 0}}
    assert info["cost"] == 0
