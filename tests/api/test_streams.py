"""Streams on the real server: typed events, and early exits that stop the turn."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from netclaw_opencode import (
    AsyncOpenCode,
    CallCancelledError,
    Event,
    OpenCode,
    ProgressEvent,
    RunTaskResult,
    Settings,
    StatusEvent,
    TaskStream,
    TextEvent,
    ToolEvent,
    TurnTimeoutError,
)
from netclaw_opencode.offline import Hang, OfflineModel, Text, ToolCall

pytestmark = pytest.mark.real

WRITTEN = "Written. " * 100


@pytest.fixture
def write_it(scripted: OfflineModel) -> None:
    """A task with a tool call and much text."""
    scripted.when("write it", ToolCall("write", {"filePath": "${directory}/new.txt", "content": "new\n"}), Text(WRITTEN))


@pytest.fixture
def endless(scripted: OfflineModel) -> None:
    """A task that writes a file and then hangs."""
    scripted.when("never end", ToolCall("write", {"filePath": "${directory}/new.txt", "content": "new\n"}), Hang())


def fail_within(task: TaskStream[RunTaskResult[object]]) -> None:
    """Raise in the block once a tool runs."""
    with task:
        for event in task:
            if isinstance(event, ToolEvent):
                raise KeyError("mine")


def asserted(events: list[Event]) -> None:
    """The events of ``write it`` have their types, in order of a turn."""
    kinds = [event.kind for event in events]
    tools = [(event.tool, event.status, event.subject) for event in events if isinstance(event, ToolEvent)]
    assert kinds[0] == "session_created" and kinds[-1] == "session_deleted"
    assert isinstance(events[0], ProgressEvent)
    assert any(isinstance(event, StatusEvent) for event in events)
    assert tools[-1] == ("write", "completed", "new.txt")
    assert max(event.text_chars for event in events if isinstance(event, TextEvent)) >= 400


@pytest.mark.usefixtures("write_it")
def test_an_async_stream_gives_typed_events_and_then_the_result(settings: Settings, place: Path) -> None:
    """Events end when the task ends; the result is there, inside the block and after it."""

    async def main() -> None:
        async with AsyncOpenCode(settings) as oc:
            async with oc.stream_task("write it", directory=place) as task:
                events: list[Event] = [event async for event in task]
                result = await task.result()
            assert result.text == WRITTEN
            assert await task.result() is result
            assert (task.stop, task.dropped) == (None, 0)
            asserted(events)

    anyio.run(main)


@pytest.mark.usefixtures("write_it")
def test_a_sync_stream_gives_typed_events_and_then_the_result(settings: Settings, place: Path) -> None:
    """The same as an iterator, without an event loop in sight."""
    with OpenCode(settings) as oc:
        with oc.stream_task("write it", directory=place) as task:
            events: list[Event] = list(task)
            result = task.result()
        assert task.result() is result
    assert result.text == WRITTEN
    asserted(events)


@pytest.mark.usefixtures("endless")
def test_leaving_an_async_stream_early_stops_the_turn(settings: Settings, place: Path) -> None:
    """When the block is left, the stop is confirmed and the session gone (the leak check sees to that); the result says so."""

    async def main() -> None:
        async with AsyncOpenCode(settings) as oc:
            async with oc.stream_task("never end", directory=place) as task:
                async for event in task:
                    if isinstance(event, ToolEvent) and event.status == "completed":
                        break
            assert task.stop is not None and task.stop.confirmed
            with pytest.raises(CallCancelledError):
                await task.result()
            assert (await oc.get_session_status(directory=place)).count == 0

    anyio.run(main)


@pytest.mark.usefixtures("endless")
def test_leaving_a_sync_stream_early_stops_the_turn(settings: Settings, place: Path) -> None:
    """The same without an event loop."""
    with OpenCode(settings) as oc:
        with oc.stream_task("never end", directory=place) as task:
            for event in task:
                if isinstance(event, ToolEvent) and event.status == "completed":
                    break
        assert task.stop is not None and task.stop.confirmed
        with pytest.raises(CallCancelledError):
            task.result()
        assert oc.get_session_status(directory=place).count == 0


def test_leaving_a_stream_at_once_leaves_nothing(settings: Settings, place: Path) -> None:
    """Whatever has been done of the task by then, nothing is left of it."""

    async def main() -> None:
        async with AsyncOpenCode(settings) as oc:
            async with oc.stream_task("say it", directory=place) as task:
                pass
            with pytest.raises(CallCancelledError):
                await task.result()

    anyio.run(main)
    with OpenCode(settings) as oc:
        with oc.stream_task("say it", directory=place) as task:
            pass
        with pytest.raises(CallCancelledError):
            task.result()
        assert oc.get_session_status(directory=place).count == 0


@pytest.mark.usefixtures("endless")
def test_an_error_in_the_block_stops_the_turn_and_goes_on_as_it_is(settings: Settings, place: Path) -> None:
    """The caller's own exception is neither wrapped nor replaced."""

    async def main() -> None:
        async with AsyncOpenCode(settings) as oc, oc.stream_task("never end", directory=place) as task:
            async for event in task:
                if isinstance(event, ToolEvent):
                    raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        anyio.run(main)
    with OpenCode(settings) as oc:
        task = oc.stream_task("never end", directory=place)
        with pytest.raises(KeyError, match="mine"):
            fail_within(task)
    assert task.stop is not None and task.stop.confirmed


@pytest.mark.usefixtures("endless")
def test_a_cancelled_block_stops_the_turn(settings: Settings, place: Path) -> None:
    """A cancellation around the block ends the task like a ``break``, and goes on."""

    async def main() -> None:
        async with AsyncOpenCode(settings) as oc:
            with anyio.CancelScope() as scope:
                async with oc.stream_task("never end", directory=place) as task:
                    async for event in task:
                        if isinstance(event, ToolEvent):
                            scope.cancel()
            assert scope.cancelled_caught
            assert task.stop is not None and task.stop.confirmed

    anyio.run(main)


@pytest.mark.usefixtures("endless")
def test_a_failed_task_ends_its_events_and_its_result_raises(settings: Settings, place: Path) -> None:
    """The error is that of ``run_task``; leaving the block then raises nothing more."""
    with OpenCode(settings) as oc, oc.stream_task("never end", directory=place, deadline=4) as task:
        assert [event for event in task if event.kind == "stopping"]
        with pytest.raises(TurnTimeoutError) as caught:
            task.result()
    assert caught.value.stop is not None and caught.value.stop.confirmed


def test_a_stream_is_used_in_a_block_and_once(settings: Settings, place: Path) -> None:
    """Outside of a block nothing is started, and that is said."""
    with OpenCode(settings) as oc:
        task = oc.stream_task("say it", directory=place)
        with pytest.raises(RuntimeError, match="with … as task"):
            list(task)
        with task:
            assert task.result().text == "say it"
        with pytest.raises(RuntimeError, match="entered once"):
            task.__enter__()


def test_a_message_and_a_plan_can_be_streamed(settings: Settings, scripted: OfflineModel, place: Path) -> None:
    """The other actions that follow a turn have streams too."""
    scripted.when("Make a plan", Text("1. Do it."))
    scripted.when("Implement the following", Text("Done."))
    with OpenCode(settings) as oc:
        session = oc.create_session(directory=place).session
        with oc.stream_message(session.session_id, "say it") as message:
            assert [event for event in message if event.kind == "turn_finished"]
            assert message.result().text == "say it"
        oc.delete_session(session.session_id)
        with oc.stream_plan_and_implement("a task", directory=place) as both:
            assert len([event for event in both if event.kind == "turn_finished"]) == 2
            implementation = both.result().implementation
    assert implementation is not None and implementation.text == "Done."
