"""B23-B27, B35-B37, B40: numbers, titles and fields. Each refusal tells the field, the value, the range and an example."""

from __future__ import annotations

import math

import pytest

from netclaw_opencode.manifest import load_manifest
from tests.faults.bench import Bench
from tests.faults.guard import SESSION, Guard

NO_SECONDS = [
    (0, "0"),
    (-1, "-1"),
    (math.nan, "nan"),
    (math.inf, "inf"),
    (-math.inf, "-inf"),
    ("abc", "'abc'"),
    (True, "true"),
    (None, "null"),
]
DEADLINES: tuple[tuple[str, str, int, dict[str, object]], ...] = (
    ("send_message", "deadline_seconds", 60, {"session_id": SESSION, "prompt": "x"}),
    ("send_message_async", "deadline_seconds", 86400, {"session_id": SESSION, "prompt": "x"}),
    ("run_task", "deadline_seconds", 86400, {"prompt": "x"}),
    ("run_plan_and_implement", "deadline_seconds", 86400, {"prompt": "x"}),
    ("check_availability", "deadline_seconds", 120, {}),
    ("start_server", "deadline_seconds", 120, {}),
)
WAITS: tuple[tuple[str, str, int, dict[str, object]], ...] = (
    ("wait_for_session", "wait_seconds", 300, {"session_id": SESSION}),
    ("watch_events", "wait_seconds", 300, {}),
)
INTEGERS = (
    ("list_sessions", "limit", 1000),
    ("get_session_status", "limit", 1000),
    ("watch_events", "max_events", 10000),
)


@pytest.mark.parametrize(("action", "field", "most", "more"), DEADLINES, ids=lambda value: value if isinstance(value, str) else "")
def test_b23_deadline_that_is_none(guard: Guard, action: str, field: str, most: int, more: dict[str, object]) -> None:
    """B23: 0 < t <= the action's limit, in seconds; no NaN, no infinity, no text, no truth value."""
    for value, shown in (*NO_SECONDS, (most + 1, str(most + 1)), (1e9, "1000000000.0")):
        told = guard.refused(action, field, shown, arguments={**more, field: value})
        assert f"<= {most}" in told or "finite" in told, told


def test_b23_deadline_typed(guard: Guard) -> None:
    """B23: the command line passes on what it cannot read, and the dispatcher refuses it."""
    for text in ("0", "-1", "nan", "inf", "abc", "61", "1e9", "true", "6O", "٣"):
        words = ("run", "send-message", "--session-id", SESSION, "--prompt", "x", f"--deadline-seconds={text}")
        assert "seconds: 0 < t <= 60" in guard.typed(*words)["message"]


@pytest.mark.parametrize(("action", "field", "most", "more"), WAITS, ids=lambda value: value if isinstance(value, str) else "")
def test_b24_wait_that_is_none(guard: Guard, action: str, field: str, most: int, more: dict[str, object]) -> None:
    """B24: how often the server is looked at is not the caller's to choose; how long to wait has a range."""
    for value, shown in (*NO_SECONDS, (most + 1, str(most + 1))):
        guard.refused(action, field, shown, arguments={**more, field: value})
    guard.refused(action, "'poll_interval_seconds'", arguments={**more, "poll_interval_seconds": 0})


@pytest.mark.parametrize(("action", "field", "most"), INTEGERS)
@pytest.mark.parametrize("value", [-1, 0, "abc", 10**12, 1.5, True, None, 10**400])
def test_b25_limit_out_of_range(guard: Guard, action: str, field: str, most: int, value: object) -> None:
    """B25: the server ignores such a limit; here 1 to the most is told. A number of 400 digits is no trouble."""
    told = guard.refused(action, field, arguments={field: value})
    assert f"1 <= n <= {most}" in told or "too large a number" in told


@pytest.mark.parametrize("title", ["", "   ", "x" * 201, "a\nb", "\x1b[31mred", "a\x00", "a\r\nb", "\x7f"])
@pytest.mark.parametrize("action", ["create_session", "run_task", "run_plan_and_implement"])
def test_b26_title_against_the_rule(guard: Guard, action: str, title: str) -> None:
    """B26: one line of 1 to 200 characters without control characters; the server takes 100,000 of any."""
    more = {} if action == "create_session" else {"prompt": "x"}
    guard.refused(action, "title", repr(title[:60]), "for example", arguments={"title": title, **more})


@pytest.mark.real
@pytest.mark.parametrize("action", ["create_session", "run_task"])
def test_b27_parent_that_is_not_there(bench: Bench, action: str) -> None:
    """B27: session_not_found; the server would take it and make a child of nobody. Nothing is created."""
    more = {} if action == "create_session" else {"prompt": "x"}
    error = bench.error(action, parent_id=SESSION, directory=bench.directory, **more)
    assert error["code"] == "session_not_found" and SESSION in error["message"]
    assert [item.route for item in bench.proxy.seen() if not item.route.startswith("GET ")] == []


@pytest.mark.parametrize("port", [-1, 1, 80, 1023, 65536, 99999, "abc", 4096.5, True])
def test_b35_port_out_of_range(guard: Guard, port: object) -> None:
    """B35: 0 or 1024 to 65535; the server would take 65535 for 99999 without a word (F49). Nothing is started."""
    told = guard.refused("start_server", "port", str(port).lower(), arguments={"port": port})
    assert "65535" in told
    assert not (guard.state_dir / "server.json").exists()


@pytest.mark.parametrize("field", ["hostname", "host", "bind"])
@pytest.mark.parametrize("value", ["0.0.0.0", "::", "192.168.1.5"])  # noqa: S104 - what must be refused
def test_b36_host_name_for_a_server(guard: Guard, field: str, value: str) -> None:
    """B36: there is no switch for it: a server of ours listens on loopback and nowhere else."""
    guard.refused("start_server", repr(field), "known fields", arguments={field: value})
    assert not (guard.state_dir / "server.json").exists()


@pytest.mark.parametrize("action", sorted(load_manifest().actions))
def test_b40_unknown_keys(guard: Guard, action: str) -> None:
    """B40: every action names an unknown field, and the nearest known one; nothing is ignored."""
    properties = load_manifest().actions[action].input_schema["properties"]
    known = next(iter(properties), None) if isinstance(properties, dict) else None
    told = guard.refused(action, "unknown field 'nonsense_xyz'", arguments={"nonsense_xyz": 1})
    if known is not None:
        misspelt = known[:-1] + "x" + known[-1]
        told = guard.refused(action, f"unknown field {misspelt!r}", "did you mean", arguments={misspelt: 1})
    assert told.startswith(f"{action}: ")
