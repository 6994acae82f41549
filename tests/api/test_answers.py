"""Answers on the real server: functions of the caller that decide for one call, and for no other."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest

from netclaw_opencode import (
    AsyncOpenCode,
    Decision,
    OpenCode,
    PendingRequest,
    PermissionEvent,
    PermissionRequiredError,
    QuestionEvent,
    QuestionPendingError,
    Settings,
    TurnTimeoutError,
)
from netclaw_opencode.testing.waiting import SOON
from tests.adapters.host_plugins import hooks

pytestmark = pytest.mark.real


@pytest.mark.parametrize("answer", ["once", True, Decision("once")])
def test_a_function_grants_a_permission(answer: object, settings: Settings, notes: Path, place: Path) -> None:
    """It sees what is asked for, its answer counts, and the stream shows both."""
    asked: list[PendingRequest] = []

    def decide(request: PendingRequest) -> object:
        asked.append(request)
        return answer

    with (
        OpenCode(settings) as oc,
        oc.stream_task("read the notes", directory=place, on_permission=decide) as task,  # type: ignore[arg-type]
    ):
        events = [event for event in task if isinstance(event, PermissionEvent)]
        result = task.result()
    assert result.text == "I have read."
    assert asked[0].permission == "external_directory" and str(notes.parent) in asked[0].patterns[0]
    assert [(event.stage, event.answer, event.by) for event in events] == [("asked", None, None), ("decided", "allow_once", "hook")]
    assert [(one.answer, one.by) for one in result.answered] == [("allow_once", "hook")]


@pytest.mark.usefixtures("notes")
def test_without_a_function_or_an_answer_the_permission_is_refused(settings: Settings, place: Path) -> None:
    """None leaves it to the policy file; without one the call is what it always was."""
    with OpenCode(settings) as oc:
        with pytest.raises(PermissionRequiredError, match="external_directory"):
            oc.run_task("read the notes", directory=place, on_permission=lambda _: None, on_request="stop")
        refused = oc.run_task("read the notes", directory=place, on_permission=lambda _: None).refused
    assert [(one.answer, one.by) for one in refused] == [("refuse", "default")]


@pytest.mark.usefixtures("notes")
def test_a_function_may_wait_and_may_call(settings: Settings, place: Path) -> None:
    """An async function is awaited; in sync code a plain one runs in a thread, where it may block and make calls of its own."""
    thread: list[str] = []

    async def slow(request: PendingRequest) -> bool:
        await anyio.sleep(0.01)
        return True

    async def main() -> None:
        async with AsyncOpenCode(settings) as oc:
            assert (await oc.run_task("read the notes", directory=place, on_permission=slow)).text == "I have read."

    anyio.run(main)
    with OpenCode(settings) as oc:

        def look(request: PendingRequest) -> bool:
            thread.append(threading.current_thread().name)
            states = oc.get_session_status(session_id=request.session_id).sessions
            return states[0].pending[0].id == request.id

        assert oc.run_task("read the notes", directory=place, on_permission=look).text == "I have read."
        assert oc.run_task("read the notes", directory=place, on_permission=slow).text == "I have read."
    assert thread != [threading.current_thread().name]


@pytest.mark.usefixtures("notes")
def test_two_calls_at_once_have_each_their_own_function(settings: Settings, place: Path) -> None:
    """Both wait for their answer at the same moment, and each gets its own function's."""
    both = threading.Barrier(2)
    outcomes: dict[str, object] = {}

    def deciding(answer: bool) -> Callable[[PendingRequest], bool]:
        def decide(request: PendingRequest) -> bool:
            both.wait(SOON)
            return answer

        return decide

    with OpenCode(settings) as oc:

        def run(name: str, answer: bool) -> None:
            try:
                outcomes[name] = [
                    one.answer for one in oc.run_task("read the notes", directory=place, on_permission=deciding(answer)).answered
                ]
            except Exception as error:  # noqa: BLE001 - it is the outcome
                outcomes[name] = error

        threads = [threading.Thread(target=run, args=case) for case in (("yes", True), ("no", False))]
        for one in threads:
            one.start()
        for one in threads:
            one.join()
    assert outcomes["yes"] == ["allow_once"]
    assert isinstance(outcomes["no"], PermissionRequiredError), outcomes


@pytest.mark.usefixtures("notes")
@pytest.mark.parametrize("kind", ["raises", "nonsense"])
def test_a_function_that_fails_ends_its_call(kind: str, settings: Settings, place: Path) -> None:
    """Nothing is let through: the turn is stopped, and the caller gets what its function raised."""

    def fail(request: PendingRequest) -> object:
        if kind == "raises":
            raise LookupError("mine")
        return "yes"

    async def main() -> None:
        async with AsyncOpenCode(settings) as oc:
            await oc.run_task("read the notes", directory=place, on_permission=fail)  # type: ignore[arg-type]

    expected, says = (LookupError, "mine") if kind == "raises" else (TypeError, "on_permission must return")
    with pytest.raises(expected, match=says):
        anyio.run(main)
    with OpenCode(settings) as oc:
        with pytest.raises(expected, match=says):
            oc.run_task("read the notes", directory=place, on_permission=fail)  # type: ignore[arg-type]
        assert oc.get_session_status(directory=place).count == 0


@pytest.mark.usefixtures("notes")
def test_the_calls_own_function_comes_before_the_plugins(settings: Settings, place: Path) -> None:
    """Where it has an answer no plugin is asked; where it has none, they are."""
    asked: list[PendingRequest] = []

    def plugin(request: PendingRequest) -> Decision:
        asked.append(request)
        return Decision("once")

    with OpenCode(settings, plugins={"policy": hooks(decide_permission=plugin)}) as oc:
        with pytest.raises(PermissionRequiredError):
            oc.run_task("read the notes", directory=place, on_permission=lambda _: "reject")
        assert asked == []
        oc.run_task("read the notes", directory=place, on_permission=lambda _: None)
        assert len(asked) >= 1


@pytest.mark.usefixtures("database")
@pytest.mark.parametrize("answer", ["SQLite", ["SQLite"], [["SQLite"]]])
def test_a_function_answers_a_question(answer: object, settings: Settings, place: Path) -> None:
    """A label, a list of labels, a list of lists: what fits the only question."""

    async def choose(request: PendingRequest) -> object:
        assert [question.options for question in request.questions] == [("SQLite", "PostgreSQL")]
        return answer

    async def main() -> None:
        async with AsyncOpenCode(settings) as oc:
            async with oc.stream_task("choose a database", directory=place, on_question=choose) as task:  # type: ignore[arg-type]
                events = [event async for event in task if isinstance(event, QuestionEvent)]
                result = await task.result()
            assert result.answered[0].chosen == (("SQLite",),)
            assert [event.questions for event in events] == [("Which database?",)] * 2

    anyio.run(main)


@pytest.mark.usefixtures("database")
def test_a_question_may_be_refused_or_left(settings: Settings, place: Path) -> None:
    """Without an answer the call says what was asked."""
    with OpenCode(settings) as oc:
        with pytest.raises(QuestionPendingError, match="Which database"):
            oc.run_task("choose a database", directory=place, on_question=lambda _: None, on_request="stop")
        with pytest.raises(QuestionPendingError, match="Which database"):
            oc.run_task("choose a database", directory=place, on_question=lambda _: Decision("reject"))
        with pytest.raises(ValueError, match="answer all of 1"):
            oc.run_task("choose a database", directory=place, on_question=lambda _: [["a"], ["b"]])


def test_waiting_for_a_function_ends_with_the_deadline(settings: Settings, notes: Path, place: Path) -> None:
    """A function that never answers keeps no turn alive: at the deadline it is cancelled and the turn stopped."""
    cancelled: list[bool] = []

    async def never(request: PendingRequest) -> bool:
        try:
            await anyio.sleep_forever()
        except anyio.get_cancelled_exc_class():
            cancelled.append(True)
            raise
        return True

    async def main() -> None:
        async with AsyncOpenCode(settings) as oc:
            await oc.run_task("read the notes", directory=place, on_permission=never, deadline=4)

    with pytest.raises(TurnTimeoutError) as caught:
        anyio.run(main)
    assert cancelled == [True]
    assert caught.value.stop is not None and caught.value.stop.confirmed
