"""Idempotency keys, retry budgets and fallback models on the real server: one task for one key, whoever asks, however often."""

from __future__ import annotations

import pytest

from netclaw_opencode.host import Host
from netclaw_opencode.offline import Gated, Status, Text
from netclaw_opencode.settings import Settings
from netclaw_opencode.testing.server import OpenCodeServer
from netclaw_opencode.testing.waiting import SOON
from tests.real.acting import Acting, data_of


@pytest.fixture
def second(opencode_server: OpenCodeServer, settings: Settings) -> Host:
    """A second host, as another process would have it: the server is the only memory that they share."""
    return Host(settings, entry_points=False)


def test_run_task_with_the_same_key_runs_the_model_once(acting: Acting, second: Host) -> None:
    """send-once: the repeated call, from another host too, gets the first one's result; the model was called once."""
    first = acting.data("run_task", prompt="keyed task", idempotency_key="k-run")
    acting.remember(first["session_id"])
    again = acting.data("run_task", prompt="keyed task", idempotency_key="k-run", deadline_seconds=120)
    with second as host:
        other = data_of(host.call("run_task", prompt="keyed task", idempotency_key="k-run"))
    assert {item["message_id"] for item in (first, again, other)} == {first["message_id"]}
    assert {item["text"] for item in (first, again, other)} == {"keyed task"}
    assert first["session_kept"] is True
    assert "the same idempotency key" in again["notes"][0]
    assert len(acting.raw.model.calls_with("keyed task")) == 1


def test_calls_with_the_same_key_at_the_same_time_are_one_task(acting: Acting) -> None:
    """send-once: four calls at once create one session and send one prompt; all of them get its result."""
    calls = [acting.later("run_task", prompt="keyed race", idempotency_key="k-race") for _ in range(4)]
    results = [data_of(call.result(timeout=60)) for call in calls]
    acting.remember(results[0]["session_id"])
    assert len({result["session_id"] for result in results}) == 1
    assert {result["text"] for result in results} == {"keyed race"}
    assert len(acting.raw.model.calls_with("keyed race")) == 1


def test_another_request_under_a_used_key_is_refused(acting: Acting) -> None:
    """send-once: a different payload under the same key is a mistake of the caller, and nothing is sent."""
    acting.remember(acting.data("run_task", prompt="keyed one", idempotency_key="k-clash")["session_id"])
    error = acting.error("run_task", prompt="keyed two", idempotency_key="k-clash")
    assert (error["code"], error["rule"]) == ("idempotency_conflict", "send-once")
    assert acting.raw.model.calls_with("keyed two") == ()


def test_create_session_with_the_same_key_is_one_session(acting: Acting) -> None:
    """A retried creation leaves no stray session behind."""
    first = acting.data("create_session", title="keyed", idempotency_key="k-create")["session"]["session_id"]
    acting.remember(first)
    assert acting.data("create_session", title="keyed", idempotency_key="k-create")["session"]["session_id"] == first


def test_an_async_send_with_the_same_key_returns_the_running_turn(acting: Acting, second: Host) -> None:
    """send-once: while the turn runs, the same key gives its ids back; without the key the busy session is refused."""
    gate = acting.raw.model.gate("keyed async")
    acting.raw.model.when("keyed async", Gated(gate, "first", " rest"))
    session_id = acting.create()
    sent = acting.data("send_message_async", session_id=session_id, prompt="keyed async", idempotency_key="k-async")
    gate.wait_reached(20)
    with second as host:
        again = data_of(host.call("send_message_async", session_id=session_id, prompt="keyed async", idempotency_key="k-async"))
    assert (again["message_id"], again["state"], again["deadline_at"]) == (sent["message_id"], "busy", sent["deadline_at"])
    assert acting.error("send_message_async", session_id=session_id, prompt="keyed async")["code"] == "session_busy"
    gate.open()
    assert acting.data("wait_for_session", session_id=session_id, wait_seconds=SOON)["result"]["text"] == "first rest"


def test_a_retry_budget_ends_an_endless_retry(acting: Acting) -> None:
    """R29: a provider that refuses for ever is given up after the budget, long before the deadline; the turn is seen stopped."""
    acting.raw.model.when("refused for ever", Status(429))
    error = acting.error("run_task", prompt="refused for ever", retry_budget_seconds=0, deadline_seconds=60)
    assert error["code"] == "provider_retrying"
    assert error["details"]["stopped"]["confirmed"] is True
    assert error["details"]["cleanup"] == {"session_deleted": True, "session_kept": False, "notes": []}


def test_a_limit_of_attempts_ends_an_endless_retry(acting: Acting) -> None:
    """R29: after so many refusals the provider is given up, and the model was called no more often than that."""
    acting.raw.model.when("refused thrice", Status(429))
    error = acting.error("run_task", prompt="refused thrice", retry_attempts=1, deadline_seconds=60)
    assert (error["code"], error["details"]["stopped"]["confirmed"]) == ("provider_retrying", True)
    assert len(acting.raw.model.calls_with("refused thrice")) == 2


def test_a_plan_falls_back_and_the_implementation_too(acting: Acting) -> None:
    """The same limits and fallbacks hold for both parts, and the result says what failed in which."""
    acting.raw.model.when("two parts", lambda conversation: Text("rescued") if conversation.model == "thinker" else Status(401))
    result = acting.data("run_plan_and_implement", prompt="two parts", model="offline/scripted", fallback_models=["offline/thinker"])
    assert (result["plan"]["text"], result["implementation"]["text"]) == ("rescued", "rescued")
    assert [(item["part"], item["model"], item["code"]) for item in result["attempts"]] == [
        ("plan", "offline/scripted", "provider_auth"),
        ("implementation", "offline/scripted", "provider_auth"),
    ]


def test_a_fallback_model_takes_over_in_a_fresh_session(acting: Acting) -> None:
    """The result says which model answered, and which failed before it with what."""
    acting.raw.model.when("fall back", lambda conversation: Text("rescued") if conversation.model == "thinker" else Status(401))
    result = acting.data("run_task", prompt="fall back", model="offline/scripted", fallback_models=["offline/thinker"])
    assert result["text"] == "rescued"
    assert result["model"]["modelID"] == "thinker"
    assert [(item["model"], item["code"]) for item in result["attempts"]] == [("offline/scripted", "provider_auth")]


def test_where_every_model_fails_the_last_error_tells_of_all(acting: Acting) -> None:
    """no-silence: the error is the last model's, with the whole list of tries; no session is left."""
    acting.raw.model.when("no luck", Status(401))
    error = acting.error("run_task", prompt="no luck", model="offline/scripted", fallback_models=["offline/thinker"])
    assert error["code"] == "provider_auth"
    assert [item["model"] for item in error["details"]["attempts"]] == ["offline/scripted", "offline/thinker"]


def test_a_failure_that_is_not_the_providers_is_not_tried_again(acting: Acting) -> None:
    """An unknown model is the caller's mistake: the fallback does not hide it."""
    error = acting.error("run_task", prompt="x", model="offline/nonsense", fallback_models=["offline/thinker"])
    assert error["code"] == "model_not_found"
