"""B1-B9: ids. What is no id never comes near a URL; what is one, and names nothing, is said to name nothing."""

from __future__ import annotations

import pytest

from tests.faults.bench import Bench
from tests.faults.guard import MESSAGE, SESSION, Guard

TAKES_SESSION: tuple[tuple[str, dict[str, object]], ...] = (
    ("abort_session", {}),
    ("delete_session", {}),
    ("get_session_status", {}),
    ("get_session_result", {}),
    ("wait_for_session", {}),
    ("watch_events", {}),
    ("send_message", {"prompt": "x"}),
    ("send_message_async", {"prompt": "x"}),
    ("reply_permission", {"permission_id": "per_00000000000000000000000000", "answer": "once"}),
    ("reply_question", {"question_id": "que_00000000000000000000000000", "reject": True}),
)
RULE = "ses_ and 10 to 64 ASCII letters or digits"


def refused_everywhere(guard: Guard, value: object, *told: str) -> None:
    """Every action that takes a session id refuses this one, before anything is sent; so does a parent's id."""
    for action, more in TAKES_SESSION:
        guard.refused(action, "session_id", "ses_", *told, arguments={"session_id": value, **more})
    for action in ("create_session", "run_task"):
        guard.refused(action, "parent_id", *told, arguments={"parent_id": value, **({"prompt": "x"} if action == "run_task" else {})})


@pytest.mark.parametrize(
    ("value", "told"), [("", "''"), (None, "null is not text"), (7, "7 is not text"), (["ses_x"], "a list of 1 item is not text")]
)
def test_b01_session_id_that_is_no_text(guard: Guard, value: object, told: str) -> None:
    """B1: empty, None, a number, a list: the message names field, value and an example of an id."""
    refused_everywhere(guard, value, told, "for example 'ses_")


def test_b02_session_id_without_its_prefix(guard: Guard) -> None:
    """B2: the server would answer 500; here the rule is told."""
    refused_everywhere(guard, "foo", "'foo'", RULE)


def test_b03_session_id_that_walks_to_another_route(guard: Guard) -> None:
    """B3: httpx would walk it to /config (F48)."""
    refused_everywhere(guard, "ses_x/../../config", "'ses_x/../../config'", RULE)


@pytest.mark.parametrize("value", ["..", ".", "//evil.example/x", "ses_/", "ses_..", "%2e%2e"])
def test_b04_session_id_of_dots_or_of_a_host(guard: Guard, value: str) -> None:
    """B4: a path or another host is no id."""
    refused_everywhere(guard, value, repr(value), RULE)


@pytest.mark.parametrize("value", ["ses_0000000000?directory=/etc", "ses_0000000000#f", "ses_0000000000;x", "ses_0000000000&x=1"])
def test_b05_session_id_with_a_query_or_a_fragment(guard: Guard, value: str) -> None:
    """B5: nothing can be added to the request behind the id."""
    refused_everywhere(guard, value, repr(value), RULE)


@pytest.mark.parametrize(
    "value",
    ["ses_ünïcödeünïcöde", "ses_\uff10\uff11\uff12\uff13\uff14\uff15\uff16\uff17\uff18\uff19", "ses_٠١٢٣٤٥٦٧٨٩", "ses_0000000000\n"],
)
def test_b06_session_id_with_letters_that_only_look_plain(guard: Guard, value: str) -> None:
    """B6: ASCII only, whatever Python calls a digit; a line break at the end is no end."""
    refused_everywhere(guard, value, RULE)


def test_b07_session_id_of_ten_thousand_characters(guard: Guard) -> None:
    """B7: refused, with its length, and only its beginning is repeated."""
    refused_everywhere(guard, "ses_" + "a" * 10_000, "(10004 characters)", RULE)


@pytest.mark.real
@pytest.mark.parametrize("action", [name for name, _ in TAKES_SESSION])
def test_b08_session_that_is_not_there(bench: Bench, action: str) -> None:
    """B8: session_not_found for every action, abort included, to which the server would say true (F22); nothing is changed."""
    error = bench.error(action, session_id=SESSION, **dict(TAKES_SESSION)[action])
    assert error["code"] == "session_not_found" and SESSION in error["message"]
    assert [item.route for item in bench.proxy.seen() if not item.route.startswith("GET ")] == []
    assert bench.proxy.count(f"GET /session/{SESSION}") == 1


@pytest.mark.parametrize("action", ["wait_for_session", "get_session_result"])
@pytest.mark.parametrize("value", ["", "x", SESSION, f"{MESSAGE}/..", "msg_"])
def test_b09_message_id_without_its_prefix(guard: Guard, action: str, value: str) -> None:
    """B9: a message's id begins with msg_."""
    guard.refused(action, "message_id", repr(value), "msg_ and 10 to 64", arguments={"session_id": SESSION, "message_id": value})
