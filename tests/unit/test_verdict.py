"""How a turn stands: every ending has its name, and only a proved success is called one."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netclaw_opencode.driver.verdict import RUNAWAY_CALLS, Span, Verdict, code_of_announcement, judge
from netclaw_opencode.errors import CODES
from netclaw_opencode.facts import PendingRequest
from netclaw_opencode.opencode.wire.history import Step, ToolUse
from netclaw_opencode.opencode.wire.types import MessageError, SessionStatus

SESSION = "ses_aaaaaaaaaaaa"
OURS = "msg_100"
BUSY, IDLE = SessionStatus("busy"), SessionStatus("idle")
RETRY = SessionStatus("retry", attempt=3, message="429")
ASKS = PendingRequest("permission", "per_aaaaaaaaaaaa", SESSION, "/d", permission="bash")
PROMPT = Step(OURS, "user", 100, text="do it")


def reply(
    number: int = 1,
    *,
    text: str = "done",
    finish: str | None = "stop",
    completed: bool = True,
    error: MessageError | None = None,
    parent: str = OURS,
    tool: str | None = None,
    structured: object = None,
    summary: bool = False,
) -> Step:
    """An assistant message; ``tool`` is the status of a tool call."""
    return Step(
        f"msg_{100 + number}",
        "assistant",
        100 + number,
        parent,
        completed_ms=200 + number if completed else None,
        finish=finish,
        error=error,
        structured=structured,
        text=text,
        tools=(ToolUse("bash", tool, "", "c"),) if tool is not None else (),
        is_summary=summary,
    )


def continuation(number: int) -> Step:
    """A user message that OpenCode wrote itself (F58)."""
    return Step(f"msg_{100 + number}", "user", 100 + number, is_continuation=True)


def prompt(number: int) -> Step:
    """Somebody's further prompt."""
    return Step(f"msg_{100 + number}", "user", 100 + number, text="more")


@dataclass(frozen=True)
class Seen:
    """What a look shows."""

    span: Span
    status: SessionStatus | None = None
    pending: tuple[PendingRequest, ...] = ()
    announced: tuple[str, ...] = ()

    def judge(self) -> Verdict:
        """The verdict on it."""
        return judge(self.span, status=self.status, pending=self.pending, announced=self.announced)


def of(
    *steps: Step, status: SessionStatus | None = None, pending: tuple[PendingRequest, ...] = (), announced: tuple[str, ...] = ()
) -> Seen:
    """A look at our turn with these messages after its prompt."""
    return Seen(Span.of(OURS, (PROMPT, *steps)), status, pending, announced)


STEP = reply(1, text="", finish="tool-calls", tool="completed")
ABORTED = MessageError("MessageAbortedError", "The operation was aborted.")


@pytest.mark.parametrize(
    ("seen", "flag"),
    [
        (of(reply()), None),
        (of(STEP, reply(2)), None),
        (of(reply(), status=IDLE), None),
        (of(reply(finish="length")), "truncated"),
        (of(reply(finish="content-filter")), "filtered"),
        (of(reply(text="", finish="tool-calls", structured={"n": 3})), None),
        (of(reply(tool="error")), None),
        # F63: what the agent had to say stands in an earlier message, or its tools have done the work
        (of(reply(1, finish="tool-calls", tool="completed"), reply(2, text="")), None),
        (of(STEP, reply(2, text=" \n")), None),
        # an error of an earlier model call that the server got over
        (of(replace(STEP, error=MessageError("APIError", "busy", 529)), reply(2)), None),
    ],
)
def test_a_turn_that_answered_is_completed(seen: Seen, flag: str | None) -> None:
    """Completed, without error, with a good end and text: done. Cut off or filtered is done with a flag."""
    verdict = seen.judge()
    assert (verdict.state, verdict.code, verdict.flag) == ("completed", None, flag)
    assert verdict.ended
    assert verdict.final == seen.span.last


@pytest.mark.parametrize(
    ("seen", "code"),
    [
        # idle between two steps, or after a refused request: the last end is no end
        (of(STEP), "turn_incomplete"),
        (of(reply(finish="unknown")), "turn_incomplete"),
        (of(reply(finish="other")), "turn_incomplete"),
        (of(reply(finish="some-new-word")), "turn_incomplete"),
        (of(reply(finish=None)), "turn_incomplete"),
        (of(reply(text="")), "empty_output"),
        (of(reply(text=" \n\t ")), "empty_output"),
        (of(reply(text="", finish="length")), "empty_output"),
        # F33, F44: the server was restarted; F17: a retry was aborted
        (of(reply(completed=False)), "interrupted"),
        (of(reply(completed=False, finish=None, text="")), "interrupted"),
        (of(reply(completed=False, finish=None, text="", tool="pending")), "interrupted"),
        (of(reply(tool="running")), "interrupted"),
        (of(reply(tool="pending")), "interrupted"),
        (of(reply(completed=False, structured={"n": 3})), "interrupted"),
        # errors of the server
        (of(reply(error=ABORTED)), "turn_aborted"),
        (of(reply(error=ABORTED, completed=False, finish=None)), "turn_aborted"),
        (of(reply(error=ABORTED, structured={"n": 3})), "turn_aborted"),
        (of(reply(error=MessageError("APIError", "Invalid key", 401))), "provider_auth"),
        (of(reply(error=MessageError("APIError", "Forbidden", 403))), "provider_auth"),
        (of(reply(error=MessageError("ProviderAuthError", "no key"))), "provider_auth"),
        (of(reply(error=MessageError("APIError", "Overloaded", 529))), "provider_error"),
        (of(reply(error=MessageError("APIError", "broken"))), "provider_error"),
        (of(reply(error=MessageError("ContextOverflowError", "too long"))), "context_overflow"),
        (of(reply(error=MessageError("StructuredOutputError", "no"))), "structured_output_failed"),
        (of(reply(error=MessageError("ContentFilterError", "blocked"), finish="content-filter")), "provider_error"),
        (of(reply(error=MessageError("UnknownError", "Model not found: a/b"))), "model_not_found"),
        (of(reply(error=MessageError("SomethingNew", ""))), "provider_error"),
        # an error is final even where a good answer came before it
        (of(reply(), reply(2, error=ABORTED)), "turn_aborted"),
        # F40
        (of(*(reply(number, finish="unknown") for number in range(1, RUNAWAY_CALLS + 1))), "runaway_turn"),
        (of(*(reply(number, finish="unknown") for number in range(1, RUNAWAY_CALLS + 1)), status=BUSY), "runaway_turn"),
        # F15, F32: no message at all, only an event
        (of(announced=("Model not found: offline/nosuch",)), "model_not_found"),
        (of(announced=("ProviderModelNotFoundError",)), "model_not_found"),
        (of(announced=('Agent not found: "nobody"',)), "agent_not_found"),
        (of(announced=("default agent not found",)), "agent_not_found"),
        (of(announced=("connect ECONNREFUSED",)), "provider_error"),
        (of(announced=("ProviderNoProvidersError: No providers are available",)), "provider_unavailable"),
    ],
)
def test_every_other_ending_has_its_name(seen: Seen, code: str) -> None:
    """Whatever is not a proved success fails with the code that says what happened."""
    verdict = seen.judge()
    assert (verdict.state, verdict.code) == ("failed", code)
    assert verdict.ended
    assert code in CODES


ENDLESS = tuple(reply(number, finish="unknown") for number in range(1, RUNAWAY_CALLS + 1))
FAILED, LIMITED = reply(error=ABORTED), reply(error=MessageError("APIError", "", 429))
CUT, RUNNING, EMPTY = reply(completed=False), reply(tool="running"), reply(text="")


@pytest.mark.parametrize(
    ("seen", "verdict"),
    [
        (of(reply()), Verdict("completed", final=reply())),
        (of(reply(finish="length")), Verdict("completed", final=reply(finish="length"), flag="truncated")),
        (
            of(*ENDLESS),
            Verdict("failed", "runaway_turn", "the server calls the model again and again without a usable answer", ENDLESS[-1]),
        ),
        (of(), Verdict("not_started", "turn_incomplete", "the prompt was accepted but no turn was started for it")),
        (of(announced=("no way",)), Verdict("failed", "provider_error", "OpenCode reports: no way")),
        (
            of(announced=("ProviderNoProvidersError: No providers are available at <anonymous> (/$bunfs/root/chunk-1.js:4:9)",)),
            Verdict("failed", "provider_unavailable", "no model provider is connected"),
        ),
        (of(FAILED), Verdict("failed", "turn_aborted", "OpenCode reports: The operation was aborted.", FAILED)),
        (of(LIMITED), Verdict("failed", "provider_error", "", LIMITED)),
        (of(CUT), Verdict("failed", "interrupted", "the turn ended before its message was complete", CUT)),
        (of(RUNNING), Verdict("failed", "interrupted", "the turn ended before its message was complete", RUNNING)),
        (of(STEP), Verdict("failed", "turn_incomplete", "the turn ended with finish 'tool-calls'", STEP)),
        (of(reply(finish=None)), Verdict("failed", "turn_incomplete", "the turn ended with finish 'nothing'", reply(finish=None))),
        (of(EMPTY), Verdict("failed", "empty_output", "the model finished without any text, and no tool had done anything", EMPTY)),
    ],
)
def test_a_verdict_says_what_happened_and_which_message_decided(seen: Seen, verdict: Verdict) -> None:
    """State, code, sentence, message and flag, word for word: this is what a person gets to read."""
    assert seen.judge() == verdict


def test_a_runaways_newest_call_has_usually_just_begun() -> None:
    """It says nothing yet, so the ended ones before it decide; and one without an end or an error is no call that ended."""
    begun = reply(9, finish=None, completed=False, text="")
    assert of(*ENDLESS, begun, status=BUSY).judge().code == "runaway_turn"
    assert of(*ENDLESS[1:], begun, status=BUSY).judge().state == "running"


@pytest.mark.parametrize(
    ("seen", "state"),
    [
        # F19: right after the 204 nothing is there yet
        (of(), "not_started"),
        (Seen(Span(OURS)), "not_started"),
        (of(status=IDLE), "not_started"),
        (of(status=BUSY), "running"),
        (of(status=BUSY, announced=("some warning",)), "running"),
        (of(STEP, status=BUSY), "running"),
        (of(reply(), status=BUSY), "running"),
        (of(reply(error=ABORTED), status=BUSY), "running"),
        (of(reply(completed=False, finish=None), status=BUSY), "running"),
        (of(reply(completed=False, finish=None), status=RETRY), "running"),
        (of(*(reply(number, finish="unknown") for number in range(1, RUNAWAY_CALLS)), status=BUSY), "running"),
        (of(STEP, status=BUSY, pending=(ASKS,)), "waiting"),
        (of(pending=(ASKS,)), "waiting"),
    ],
)
def test_a_turn_that_is_not_over_is_not_judged(seen: Seen, state: str) -> None:
    """Busy, in retry, waiting or not started yet: no ending, whatever stands in the store already."""
    verdict = seen.judge()
    assert verdict.state == state
    assert not verdict.ended


@pytest.mark.parametrize("parent", ["msg_099", "msg_", "", "msg_1000"])
def test_an_answer_to_another_prompt_is_not_ours(parent: str) -> None:
    """Two sends into one session get the same reply; only its parent tells whose it is (F41)."""
    assert of(reply(parent=parent)).judge().state == "not_started"
    assert of(replace(reply(), parent_id=None)).judge().state == "not_started"


def test_a_runaway_is_a_row_without_an_end_between() -> None:
    """A good end, or an error, breaks the row; fewer calls are none (F40)."""
    endless = [reply(number, finish="unknown") for number in range(1, RUNAWAY_CALLS)]
    assert of(*endless).judge().code == "turn_incomplete"
    assert of(*endless, reply(9)).judge().state == "completed"
    assert of(*endless, reply(9, finish="unknown", error=ABORTED)).judge().code == "turn_aborted"
    assert (
        of(*(reply(number, finish=end) for number, end in enumerate(("unknown", "other", "error", "unknown"), 1))).judge().code
        == "runaway_turn"
    )


def test_an_announcement_without_a_known_text_is_the_providers() -> None:
    """Texts are no contract (F14): what is not recognized still is a failure with a code."""
    assert code_of_announcement("") == "provider_error"


errors = st.none() | st.builds(
    MessageError,
    st.sampled_from(["APIError", "MessageAbortedError", "UnknownError", "ContentFilterError"]),
    st.text(max_size=10),
    st.none() | st.sampled_from([401, 429, 500]),
)
replies = st.builds(
    reply,
    st.integers(1, 9),
    text=st.sampled_from(["", " ", "text"]),
    finish=st.sampled_from([None, "stop", "length", "content-filter", "tool-calls", "unknown", "other", "error"]),
    completed=st.booleans(),
    error=errors,
    parent=st.sampled_from([OURS, OURS, OURS, "msg_099"]),
    tool=st.sampled_from([None, "pending", "running", "completed", "error"]),
    structured=st.sampled_from([None, {"n": 1}]),
)
seen_turns = st.builds(
    lambda found, status, pending, announced: of(
        *(found[number] for number in sorted(found)), status=status, pending=pending, announced=announced
    ),
    st.dictionaries(st.integers(1, 9), replies, max_size=6),
    st.sampled_from([None, IDLE, BUSY, RETRY]),
    st.sampled_from([(), (ASKS,)]),
    st.sampled_from([(), ("Model not found: x",)]),
)


@settings(deadline=None)
@given(seen_turns)
def test_success_is_never_claimed_without_proof(seen: Seen) -> None:
    """Completed only when idle, nothing pending, and our last reply is complete, without error and not empty."""
    verdict = seen.judge()
    if verdict.state != "completed":
        assert (verdict.code is not None) == (verdict.state in ("failed", "not_started"))
        return
    final = verdict.final
    assert final is not None and final == seen.span.last
    assert final.error is None and final.is_complete
    worked = any(use.status == "completed" for step in seen.span.steps for use in step.tools)
    assert final.structured is not None or (final.finish in ("stop", "length", "content-filter") and (seen.span.text or worked))
    assert (seen.status is None or seen.status.kind == "idle") and not seen.pending


@settings(deadline=None)
@given(seen_turns)
def test_every_failure_has_a_code_of_the_table_and_a_cause(seen: Seen) -> None:
    """A verdict can always be raised: its code exists, and where the server gave no text the driver has one."""
    verdict = seen.judge()
    assert verdict.code is None or verdict.code in CODES
    if verdict.state == "failed" and (verdict.final is None or verdict.final.error is None):
        assert verdict.message
