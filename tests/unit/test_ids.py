"""Ids: ours have the server's shape and ascend whatever the clock does; those of others are checked before a URL is built."""

from __future__ import annotations

import re
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netclaw_opencode.errors import InvalidInput
from netclaw_opencode.opencode.wire.ids import IdMaker, check_id, part_id_for

SHAPE = re.compile(r"(msg|prt)_[0-9a-f]{12}[0-9A-Za-z]{14}")
NOW_MS = 1_795_000_000_123
ROUND_MS = 2**36
"""The 12 hex digits hold 36 bits of milliseconds: they begin anew every 2.2 years, the server's as ours (F27)."""

GOOD = "ses_20340f888001d7RBaaG1oOhjvJ"
FIELDS = {"session_id": "ses", "message_id": "msg", "permission_id": "per", "question_id": "que", "parent_id": "ses"}


def milliseconds(identifier: str) -> int:
    """The time inside an id, as far as its digits hold it."""
    return int(identifier[4:16], 16) >> 12


def test_ids_have_the_servers_shape() -> None:
    """A prefix, 12 hex digits of time and counter, 14 base-62 characters (F27)."""
    message = IdMaker(epoch_ms=lambda: NOW_MS).message()
    part = part_id_for(message)
    assert SHAPE.fullmatch(message) and message.startswith("msg_")
    assert SHAPE.fullmatch(part) and part.startswith("prt_")
    assert milliseconds(message) == NOW_MS % ROUND_MS
    assert check_id(message, field="message_id") == message


def test_ids_hold_the_real_time_unless_told_otherwise() -> None:
    """The default clock is the system's, in milliseconds."""
    import time

    earliest = time.time_ns() // 1_000_000
    found = milliseconds(IdMaker().message())
    assert (found - earliest) % ROUND_MS <= time.time_ns() // 1_000_000 - earliest


@settings(deadline=None)
@given(st.lists(st.integers(min_value=NOW_MS - 10_000_000, max_value=NOW_MS + 10_000_000), min_size=2, max_size=40))
def test_ids_of_one_maker_ascend_whatever_the_clock_does(times: list[int]) -> None:
    """The clock may stand still or go back: order matters to the server's loop, so every id is greater than the last."""
    clock = iter(times)
    ids = IdMaker(epoch_ms=lambda: next(clock))
    made = [ids.message() for _ in times]
    assert made == sorted(made)
    assert len({identifier[:16] for identifier in made}) == len(made)


def test_a_message_has_always_the_same_part() -> None:
    """Whoever repeats the prompt's id repeats its part's id: only both together keep it from running twice (F27)."""
    ids = IdMaker(epoch_ms=lambda: NOW_MS)
    one, other = ids.message(), ids.message()
    assert part_id_for(one) == part_id_for(one) != part_id_for(other)
    assert part_id_for(one)[4:] == one[4:]


def test_more_ids_than_a_millisecond_has_counts_still_ascend() -> None:
    """The 4097th id of one millisecond borrows from the next one."""
    ids = IdMaker(epoch_ms=lambda: NOW_MS)
    made = [ids.message()[:16] for _ in range(4100)]
    assert made == sorted(set(made))


def test_threads_never_share_an_id() -> None:
    """Two threads with one maker get different ids."""
    ids = IdMaker(epoch_ms=lambda: NOW_MS)
    made: list[str] = []
    start = threading.Barrier(4)

    def make() -> None:
        start.wait(timeout=10)
        made.extend(ids.message()[:16] for _ in range(200))

    threads = [threading.Thread(target=make) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=10)
    assert len(set(made)) == 800


def test_the_random_part_differs_between_makers() -> None:
    """Two processes in the same millisecond do not make the same id."""
    assert IdMaker(epoch_ms=lambda: NOW_MS).message() != IdMaker(epoch_ms=lambda: NOW_MS).message()


@pytest.mark.parametrize("field", FIELDS)
def test_each_field_takes_ids_of_its_own_prefix(field: str) -> None:
    """A good id comes back as it is; one of another kind does not."""
    good = FIELDS[field] + GOOD[3:]
    assert check_id(good, field=field) == good
    with pytest.raises(InvalidInput, match=f"{field} .*{FIELDS[field]}_"):
        check_id("bus" + GOOD[3:], field=field)


@pytest.mark.parametrize("length", [10, 64])
def test_the_shortest_and_the_longest_id_pass(length: int) -> None:
    """Ten to 64 characters after the prefix."""
    assert check_id("ses_" + "a" * length)


@pytest.mark.parametrize(
    "bad",
    [
        # B1: not text
        *("", None, 7, True, 1.5, ["ses_aaaaaaaaaa"], {"id": "ses_aaaaaaaaaa"}, b"ses_aaaaaaaaaa"),
        # B2: another shape
        *("foo", "ses_", "ses", "ses_short", "SES_aaaaaaaaaa", "ses-aaaaaaaaaa", "ses_aaaa_aaaaaa", "aaaaaaaaaaaaaa"),
        # B3, B4: other paths and hosts
        *("ses_x/../../config", "ses_aaaaaaaaaa/../../config", "..", ".", "//evil.example/x", "ses_aaaaaaaaaa\\..", "ses_%2e%2e%2fconfig"),
        # B5: a query or a fragment
        *("ses_aaaaaaaaaa?directory=/etc", "ses_aaaaaaaaaa#f", "ses_aaaaaaaaaa&a=b", "ses_aaaaaaaaaa;x"),
        # B6: letters and digits, but not ASCII
        *("ses_ünïcödeünï", "ses_" + chr(0xFF11) * 10, "ses_" + chr(0x661) * 10, "ses_aaaaaaaaaa\u200b", "ses_aaaaaaaaaé"),
        # B7: too long
        *("ses_" + "a" * 10_000, "ses_" + "a" * 65, "ses_" + "a" * 9),
        # white space and control characters around or within
        *(" ses_aaaaaaaaaa", "ses_aaaaaaaaaa ", "ses_aaaaaaaaaa\n", "ses_aaaaa\naaaaa", "ses_aaaaaaaaaa\0", "ses_aaaaa\x1b[2Jaaaaa"),
        # B9: the id of something else
        *("msg_aaaaaaaaaa", "per_aaaaaaaaaa"),
    ],
    ids=lambda value: ascii(value)[:40].replace("\\", "|"),
)
def test_a_bad_id_is_refused_before_anything_is_sent(bad: object) -> None:
    """The error names the field and what an id looks like, and shows the value shortened and escaped (B1-B9)."""
    with pytest.raises(InvalidInput) as caught:
        check_id(bad)
    error = caught.value
    assert error.code == "invalid_input"
    assert "session_id" in error.message and "ses_" in error.message
    assert len(error.message) < 200
    assert error.message.isprintable()


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (7, "message_id must be text such as msg_…, not 7"),
        (["x" * 90], f"message_id must be text such as msg_…, not ['{'x' * 58}"),
        ("msg_x", "message_id 'msg_x' must be msg_ and 10 to 64 ASCII letters or digits"),
    ],
    ids=["number", "list", "short"],
)
def test_a_refusal_shows_the_value_shortened_and_what_an_id_looks_like(bad: object, said: str) -> None:
    """Word for word: a person reads it."""
    with pytest.raises(InvalidInput) as caught:
        check_id(bad, field="message_id")
    assert (caught.value.code, caught.value.message) == ("invalid_input", said)


def test_the_count_goes_up_by_one_within_a_millisecond_and_begins_with_the_clock() -> None:
    """So 4096 ids fit into a millisecond, and the first one of a maker holds the bare time."""
    ids = IdMaker(epoch_ms=lambda: NOW_MS)
    assert [int(ids.message()[4:16], 16) & 0xFFF for _ in range(3)] == [0, 1, 2]
    assert [int(IdMaker(epoch_ms=lambda: 0).message()[4:16], 16)] == [1]


@settings(deadline=None)
@given(st.text(max_size=90).map(lambda tail: "ses_" + tail) | st.text(max_size=90))
def test_whatever_passes_is_safe_in_a_url_path(text: str) -> None:
    """No text gets through that holds anything but ASCII letters, digits and the one underscore of the prefix."""
    try:
        found = check_id(text)
    except InvalidInput:
        return
    assert found == text
    assert found.isascii() and found[4:].isalnum() and len(found) <= 68
