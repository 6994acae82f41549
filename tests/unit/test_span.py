"""Which messages of a session belong to a turn, and what a turn of several messages says (F41, F58, F63)."""

from __future__ import annotations

import pytest

from netclaw_opencode.driver.verdict import Span, judge
from netclaw_opencode.opencode.wire.history import Step
from netclaw_opencode.opencode.wire.types import MessageError, SessionStatus
from tests.unit.test_verdict import ABORTED, ASKS, BUSY, OURS, PROMPT, STEP, continuation, prompt, reply

SUMMARY = reply(3, text="what was so far", parent="msg_102", summary=True)
COMPACTED = (PROMPT, STEP, continuation(2), SUMMARY, continuation(4))
"""A turn in the middle of which the context was compacted; it goes on below the last message."""
ANSWER_BELOW = reply(5, text="all done", parent="msg_104")


def span_of(*steps: Step) -> Span:
    """Our turn in these messages."""
    return Span.of(OURS, steps)


def test_a_turn_reaches_from_its_prompt_to_the_next_one() -> None:
    """What stands before it belongs to an earlier turn, and what stands behind to a later one."""
    earlier, later = reply(-5, parent="msg_090"), prompt(7)
    span = span_of(prompt(-9), earlier, PROMPT, STEP, reply(2), later, reply(8, parent=later.id))
    assert (span.prompt, span.steps, span.joined_by) == (PROMPT, (STEP, reply(2)), later.id)


def test_a_compaction_ends_no_turn() -> None:
    """The answer below a message of OpenCode's own is ours, and so is the summary's usage."""
    span = span_of(*COMPACTED, ANSWER_BELOW)
    assert (span.steps, span.compactions) == ((STEP, SUMMARY, ANSWER_BELOW), 1)
    assert judge(span).final == ANSWER_BELOW


def test_a_summary_is_no_answer_of_the_agent() -> None:
    """Its text is not the turn's."""
    span = span_of(*COMPACTED, reply(5, text="", parent="msg_104"))
    assert (span.text, span.answers) == ("", (STEP, span.last))


def test_two_compactions_are_counted() -> None:
    """A long task has several."""
    again = reply(6, text="and so on", parent="msg_105", summary=True)
    span = span_of(*COMPACTED, continuation(5), again, continuation(7), reply(8, parent="msg_107"))
    assert span.compactions == 2
    assert judge(span).state == "completed"


def test_a_summary_that_failed_is_the_turn_s_failure() -> None:
    """By the provider's code."""
    refused = reply(3, text="", finish=None, parent="msg_102", summary=True, error=MessageError("APIError", "Invalid key", 401))
    assert judge(span_of(PROMPT, STEP, continuation(2), refused)).code == "provider_auth"


def test_a_turn_whose_newest_message_is_a_continuation_is_open() -> None:
    """Something comes after it: neither the summary nor the step before it is an end, however idle the session looks (F19)."""
    assert span_of(*COMPACTED).is_open
    assert judge(span_of(*COMPACTED)).state == "not_started"
    assert not span_of(*COMPACTED, ANSWER_BELOW).is_open


def test_an_open_turn_that_runs_is_running() -> None:
    """The status map outweighs what is not written yet."""
    assert judge(span_of(*COMPACTED), status=BUSY).state == "running"


def test_a_summary_alone_is_no_end() -> None:
    """It answers no prompt of ours, whatever its finish says."""
    assert judge(span_of(PROMPT, STEP, continuation(2), SUMMARY)).code == "turn_incomplete"


@pytest.mark.parametrize("status", [None, BUSY])
def test_a_prompt_that_joins_before_our_answer_takes_the_turn(status: SessionStatus | None) -> None:
    """OpenCode answers the newer one: ours never gets an answer of its own."""
    verdict = judge(span_of(PROMPT, STEP, prompt(2), reply(3, parent="msg_102")), status=status)
    assert (verdict.code, verdict.final) == ("prompt_joined", STEP)
    assert "msg_102" in verdict.message


def test_a_prompt_that_comes_after_our_answer_takes_nothing() -> None:
    """Ours is complete, whatever the session does now, and whatever the other one waits for."""
    span = span_of(PROMPT, reply(1), prompt(2))
    assert judge(span, status=BUSY, pending=(ASKS,)).state == "completed"


def test_an_answer_that_was_aborted_before_another_prompt_came_is_no_answer() -> None:
    """The other prompt did not end it; that it has an answer is all that is asked."""
    assert judge(span_of(PROMPT, reply(1, error=ABORTED), prompt(2))).code == "prompt_joined"


def test_the_last_text_that_is_not_empty_is_the_turn_s() -> None:
    """Real models end with an empty message after their tools have done the work (F63)."""
    spoken = reply(1, text="I tidied up.", finish="tool-calls", tool="completed")
    span = span_of(PROMPT, spoken, reply(2, text=" \n"))
    verdict = judge(span)
    assert (span.text, verdict.state, verdict.empty_final) == ("I tidied up.", "completed", True)


def test_a_last_message_with_text_is_not_called_empty() -> None:
    """The flag is for the other case."""
    assert not judge(span_of(PROMPT, STEP, reply(2))).empty_final


def test_work_without_a_word_is_a_result() -> None:
    """A tool that completed has done something."""
    assert judge(span_of(PROMPT, STEP, reply(2, text=""))).state == "completed"


def test_a_tool_that_failed_has_done_nothing() -> None:
    """Without any text there is nothing to hand over."""
    failed = reply(1, text="", finish="tool-calls", tool="error")
    assert judge(span_of(PROMPT, failed, reply(2, text=""))).code == "empty_output"


def test_ids_out_of_order_do_not_matter() -> None:
    """A caller whose clock is ahead makes prompts with larger ids than their answers (F27): the order is the store's."""
    ahead = Step("msg_999", "user", 100)
    span = Span.of("msg_999", (prompt(0), ahead, reply(1, parent="msg_999")))
    assert (span.prompt, span.steps, judge(span).state) == (ahead, (reply(1, parent="msg_999"),), "completed")


def test_newest_messages_without_the_prompt_are_taken_as_they_are() -> None:
    """Before the store is read back, whose they are is for the caller to know."""
    span = span_of(reply(4), reply(5))
    assert (span.prompt, span.steps) == (None, (reply(4), reply(5)))


def test_a_continuation_in_sight_without_the_prompt_joins_nothing() -> None:
    """OpenCode's own message is no prompt of anybody."""
    span = span_of(SUMMARY, continuation(4))
    assert (span.joined_by, span.is_open) == (None, True)
