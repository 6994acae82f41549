"""A stop that is a stop: what is sent, in which order, and what counts as proof."""

from __future__ import annotations

from dataclasses import replace

import pytest

from netclaw_opencode._core import time_budget
from netclaw_opencode.driver import stopping
from netclaw_opencode.driver.stopping import StopReport
from netclaw_opencode.errors import ActionFailed, DriverError, OutOfTime, ServerProblem
from netclaw_opencode.opencode.watcher import DirectoryState
from netclaw_opencode.opencode.wire.history import Step
from netclaw_opencode.opencode.wire.http import HttpNotFoundError
from tests.support.stopping_script import BUSY, CHILD, LATER, OURS, PARENT, QUIET, RETRY, Scripted, asks, prompt, reply, running


def test_an_idle_session_is_aborted_all_the_same_and_said_to_have_been_ready() -> None:
    """One round: the abort, one look, and a look at the tree; the report says that there was nothing to stop."""
    world = Scripted()
    assert world.stop() == StopReport(
        PARENT.id, "ready", aborted=False, confirmed=True, attempts=1, requests_refused=0, elapsed_seconds=0.5, children=(), active=()
    )
    assert world.asked[:3] == ["tree", "state", f"session_abort {PARENT.id}"]
    assert sorted(world.asked[3:5]) == ["messages", "state"]
    assert world.asked[5:] == ["tree"]
    assert world.notes == [
        ("abort", {"session_id": PARENT.id, "attempt": 1, "sessions": 1, "was": "ready"}),
        ("stopped", {"session_id": PARENT.id, "confirmed": True, "attempts": 1, "requests_refused": 0}),
    ]


def test_a_turn_with_sub_agents_is_aborted_whole_and_then_its_requests_are_refused() -> None:
    """Aborts for parent and child, then a refusal of what *they* wait for; a stranger's request stays (F36, F42)."""
    pending = (asks(CHILD), asks(LATER))
    busy = DirectoryState(statuses={PARENT.id: BUSY, CHILD.id: RETRY}, pending=pending)
    world = Scripted(states=[busy, QUIET], trees=[(PARENT, CHILD)])
    report = world.stop()
    assert world.posted() == [
        f"session_abort {PARENT.id}",
        f"session_abort {CHILD.id}",
        f"permission_reply per_{CHILD.id[4:]} reject",
    ]
    assert (report.was, report.aborted, report.confirmed, report.attempts, report.requests_refused) == ("busy", True, True, 1, 1)
    assert report.children == ({"session_id": CHILD.id, "was": "waiting", "confirmed": True},)
    assert world.notes[0] == ("abort", {"session_id": PARENT.id, "attempt": 1, "sessions": 2, "was": "busy"})
    assert world.notes[-1] == ("stopped", {"session_id": PARENT.id, "confirmed": True, "attempts": 1, "requests_refused": 1})


def test_a_child_that_ran_alone_counts_as_aborted() -> None:
    """The parent was ready; something was stopped nevertheless."""
    report = Scripted(states=[running(CHILD), QUIET], trees=[(PARENT, CHILD)]).stop()
    assert (report.was, report.aborted) == ("ready", True)
    assert report.children == ({"session_id": CHILD.id, "was": "busy", "confirmed": True},)


def test_an_abort_that_does_nothing_is_repeated_after_a_second_and_only_where_something_runs() -> None:
    """Four looks of a quarter of a second, then the next round; the child that has ended gets no second abort (F22)."""
    world = Scripted(states=[running(PARENT)] * 6 + [QUIET], trees=[(PARENT, CHILD)])
    report = world.stop()
    aborts = [line for line in world.asked if line.startswith("session_abort")]
    assert aborts == [f"session_abort {PARENT.id}", f"session_abort {CHILD.id}", f"session_abort {PARENT.id}"]
    first, second = (index for index, line in enumerate(world.asked) if line == f"session_abort {PARENT.id}")
    # Four looks, and the one with which the second round begins.
    assert world.asked[first:second].count("state") == 5
    assert (report.attempts, report.confirmed, report.active) == (2, True, ())
    assert [facts["attempt"] for kind, facts in world.notes if kind == "abort"] == [1, 2]
    assert [facts["was"] for kind, facts in world.notes if kind == "abort"] == ["busy", "busy"]


def test_the_state_before_is_that_of_the_first_round() -> None:
    """A turn that starts after the abort (F22) makes a second round; it *was* ready, and it was aborted."""
    world = Scripted(states=[QUIET, *[running(PARENT)] * 5, QUIET])
    report = world.stop()
    assert (report.was, report.attempts, report.aborted, report.confirmed) == ("ready", 2, True, True)


def test_a_session_that_stays_busy_is_said_to_be_unconfirmed_with_what_still_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """The time for a stop ends it; nothing is claimed."""
    asked: list[tuple[float, bool]] = []

    def within(seconds: float, *, stopping: bool = False) -> float:
        asked.append((seconds, stopping))
        return 0.05

    monkeypatch.setattr(time_budget, "remaining_up_to", within)
    world = Scripted(states=[running(CHILD)], trees=[(PARENT, CHILD)])
    report = world.stop()
    assert (report.confirmed, report.active, report.problem) == (False, (CHILD.id,), None)
    assert report.children == ({"session_id": CHILD.id, "was": "busy", "confirmed": False},)
    assert report.to_wire()["active"] == [CHILD.id]
    assert world.notes[-1][1]["confirmed"] is False
    world.stop(within_seconds=2.5)
    assert asked == [(stopping.STOP_SECONDS, True), (2.5, True)]


@pytest.mark.parametrize(
    "proof", [reply(completed=True), reply(failed=True), reply(completed=True, tool="completed")], ids=["answered", "failed", "tool"]
)
def test_a_prompt_that_was_answered_cannot_start_any_more(proof: Step) -> None:
    """Then one quiet look is enough."""
    world = Scripted(stores=[(proof,)])
    assert world.stop(message_id=OURS).confirmed
    assert world.asked.count("messages") == 1


@pytest.mark.parametrize("tool", ["", "running"], ids=["unfinished", "tool"])
def test_quiet_for_a_while_outweighs_a_message_that_claims_to_run(tool: str) -> None:
    """After a restart of the server such a message stays for ever (F33): half a second of quiet decides where nothing can start late."""
    report = Scripted(stores=[(reply(completed=bool(tool), tool=tool),)]).stop()
    assert report.confirmed
    assert report.elapsed_seconds == (1.0 if tool else 0.5)


@pytest.mark.parametrize(
    "store",
    [(prompt(),), (prompt(), reply()), (prompt(), reply(parent="msg_099", completed=True))],
    ids=["unanswered", "unfinished", "another's"],
)
def test_a_prompt_that_stands_in_the_store_unanswered_is_given_its_time(store: tuple[Step, ...]) -> None:
    """It may run a moment later (F22, F59): so long it must be seen there with nothing running, no look less and none more."""
    world = Scripted(stores=[store])
    assert world.stop(message_id=OURS) == StopReport(
        PARENT.id, "ready", aborted=False, confirmed=True, attempts=1, requests_refused=0, elapsed_seconds=1.5
    )
    assert world.asked.count("messages") == 5


def test_a_prompt_further_down_in_the_store_stands_there_too() -> None:
    """It is asked for by its id where the newest messages are others'."""
    world = Scripted(stores=[(reply(parent="msg_099", completed=True),)], stored={OURS})
    assert world.stop(message_id=OURS).confirmed
    assert f"message {OURS}" in world.asked


def test_a_prompt_that_is_not_in_the_store_may_still_come() -> None:
    """No quiet proves a stop: whatever comes later runs (F59)."""
    always_just_touched = replace(PARENT, updated_ms=10**12)
    world = Scripted(found=always_just_touched)
    report = world.stop(message_id=OURS, within_seconds=0.1)
    assert (report.confirmed, report.active, report.problem) == (False, (), None)


def test_a_prompt_never_comes_long_after_its_session_was_touched() -> None:
    """By the server's own clock alone."""
    assert Scripted(found=PARENT, now=200.0).stop(message_id=OURS).confirmed


def test_quiet_of_a_prompt_that_is_broken_begins_anew() -> None:
    """Quiet, busy, quiet: its time counts from the last beginning, beyond the round where it must."""
    looks = [QUIET, QUIET, running(PARENT), running(PARENT), QUIET]
    report = Scripted(states=looks, stores=[(prompt(),)]).stop(message_id=OURS)
    # The first look belongs to the abort; of the others three are the quiet that is broken, five that which counts.
    assert (report.attempts, report.confirmed, report.elapsed_seconds) == (1, True, 0.25 * (1 + 3 + 5))


def test_only_the_last_message_can_have_a_running_tool() -> None:
    """Older ones lie for ever after a restart (F33)."""
    world = Scripted(stores=[(reply(tool="running"), reply(completed=True))])
    assert world.stop().confirmed
    assert world.asked.count("messages") == 1


def test_a_tool_that_runs_disproves_a_stop_until_it_has_ended() -> None:
    """Without a prompt to wait for, too."""
    world = Scripted(stores=[(reply(tool="running"),), (reply(tool="error"),)])
    assert world.stop().confirmed
    assert world.asked.count("messages") == 2


def test_a_request_that_is_still_pending_disproves_a_stop() -> None:
    """And one of a session outside the tree does not."""
    waits = DirectoryState(statuses={}, pending=(asks(PARENT),))
    world = Scripted(states=[waits, waits, DirectoryState(statuses={}, pending=(asks(LATER),))])
    report = world.stop()
    assert (report.was, report.confirmed, report.requests_refused) == ("waiting", True, 1)
    assert world.asked.count("messages") == 2


@pytest.mark.parametrize("store", [ActionFailed("response_too_large", "16 MiB"), None], ids=["too large", "too slow"])
def test_where_the_messages_cannot_be_read_quiet_alone_proves_a_stop(store: DriverError | None) -> None:
    """They are asked for once, and not again with every look."""
    world = Scripted(stores=[store])
    report = world.stop()
    assert (report.confirmed, report.elapsed_seconds) == (True, 1.0)
    assert world.asked.count("messages") == 1


@pytest.mark.parametrize("code", ["session_not_found", "server_unreachable", "auth_failed"])
@pytest.mark.parametrize("where", ["tree", "abort", "messages"])
def test_a_failure_after_which_no_look_helps_ends_the_stop(where: str, code: str) -> None:
    """It is raised as it is, wherever it comes up; no report claims anything."""
    error = ServerProblem(code, "no more") if code != "session_not_found" else ActionFailed(code, "no more")
    world = Scripted()
    if where == "tree":
        world.trees = [error]
    elif where == "abort":
        world.failing = {"session_abort": [error]}
    else:
        world.stores = [error]
    with pytest.raises(DriverError) as caught:
        world.stop()
    assert caught.value is error


def test_a_request_that_fails_does_not_let_the_turn_run() -> None:
    """A look that fails once is made again; the stop that follows is a proved one, with the failure told as it was."""
    world = Scripted(trees=[OutOfTime("request_timeout", "slow"), (PARENT,)], states=[running(PARENT), QUIET])
    report = world.stop()
    assert (report.confirmed, report.attempts, report.was, report.problem) == (True, 1, "busy", "<slow>")
    assert "problem" not in report.to_wire() and "active" not in report.to_wire()


def test_what_kept_a_stop_from_being_proved_is_told_without_secrets() -> None:
    """A tree that cannot be read: nothing is confirmed, and the state before counts as busy."""
    world = Scripted(trees=[OutOfTime("request_timeout", "slow")])
    report = world.stop(within_seconds=0.05)
    assert (report.confirmed, report.was, report.attempts, report.aborted, report.problem) == (False, "busy", 0, False, "<slow>")
    assert report.to_wire()["problem"] == "<slow>"


def test_what_ran_is_told_although_no_look_after_the_abort_was_had() -> None:
    """A request that cannot be refused keeps each round from its proof; what was seen running before it stays known."""
    busy = DirectoryState(statuses={CHILD.id: BUSY}, pending=(asks(CHILD),))
    world = Scripted(states=[busy], trees=[(PARENT, CHILD)], failing={"permission_reply": [OutOfTime("request_timeout", "slow")]})
    report = world.stop(within_seconds=0.05)
    assert (report.confirmed, report.active, report.problem, report.requests_refused) == (False, (CHILD.id,), "<slow>", 0)


def test_what_is_refused_is_counted_over_all_rounds() -> None:
    """An agent that was refused one thing may ask for the next before it is stopped."""
    waits = DirectoryState(statuses={PARENT.id: BUSY}, pending=(asks(PARENT),))
    assert Scripted(states=[*[waits] * 6, QUIET]).stop().requests_refused == 2


def test_an_abort_may_fail_and_the_looks_decide() -> None:
    """Its answer proves nothing either way (F22): a 404 is no problem, any other failure is remembered."""
    world = Scripted(failing={"session_abort": [HttpNotFoundError("gone")]})
    assert (world.stop().confirmed, world.stop().problem) == (True, None)
    # The parent's failure is not forgotten because the child's abort went well.
    world = Scripted(trees=[(PARENT, CHILD)], failing={"session_abort": [OutOfTime("request_timeout", "slow"), None]})
    report = world.stop()
    assert (report.confirmed, report.problem) == (True, "<slow>")


def test_a_sub_agent_that_was_made_meanwhile_is_stopped_too() -> None:
    """The tree grew during the round, so that round proves nothing; the next one takes the newcomer in."""
    world = Scripted(
        states=[running(PARENT), QUIET, running(LATER), QUIET], trees=[(PARENT,), (PARENT, LATER), (PARENT, LATER), (PARENT, LATER)]
    )
    report = world.stop()
    assert world.posted() == [f"session_abort {PARENT.id}", f"session_abort {LATER.id}"]
    assert (report.attempts, report.confirmed) == (2, True)
    # It was not there in the first round; that it ran is all that can be said.
    assert report.children == ({"session_id": LATER.id, "was": "busy", "confirmed": True},)


def test_the_evidence_has_one_form() -> None:
    """As it stands in results and in error details; what kept the proof back only where there is none."""
    child = {"session_id": CHILD.id, "was": "busy", "confirmed": False}
    report = StopReport(PARENT.id, "busy", True, False, 3, 2, 1.23456, (child,), (CHILD.id,), "slow")
    common = {"aborted": True, "was": "busy", "attempts": 3, "requests_refused": 2, "children": [child], "elapsed_seconds": 1.235}
    assert report.to_wire() == {**common, "confirmed": False, "active": [CHILD.id], "problem": "slow"}
    assert StopReport(PARENT.id, "busy", True, True, 3, 2, 1.23456, (child,), (CHILD.id,), "slow").to_wire() == {
        **common,
        "confirmed": True,
    }
    assert "problem" not in StopReport(PARENT.id, "busy", True, False, 3, 2, 1.0).to_wire()


def test_a_turn_that_was_seen_complete_needs_no_abort() -> None:
    """Its report says so: ready, nothing tried, confirmed."""
    assert stopping.already_stopped(PARENT) == StopReport(PARENT.id, "ready", False, True, 0, 0, 0.0)
