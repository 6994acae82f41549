"""The typed Python API at a glance. Type checkers read this file strictly: every name, every type is what it says here.

python everything.py /path/to/project
"""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal, TypedDict, assert_type

from netclaw_opencode import (
    AsyncOpenCode,
    AsyncTaskStream,
    DeadlineError,
    DriverError,
    FileChanged,
    ModelRef,
    OpenCode,
    OpenCodeError,
    PendingRequest,
    PermissionAnswer,
    PermissionEvent,
    ProviderError,
    RefusedError,
    RunTaskResult,
    ServerError,
    Settings,
    Stop,
    TaskEvent,
    TaskStream,
    TextEvent,
    ToolEvent,
    TurnTimeoutError,
    Usage,
)


@dataclass
class Finding:
    """A part of the answer that is asked for."""

    title: str
    severity: Literal["low", "high"]


@dataclass
class Review:
    """The answer as a dataclass."""

    findings: list[Finding]


class Summary(TypedDict):
    """The answer as a TypedDict."""

    title: str


def allow_reading(request: PendingRequest) -> PermissionAnswer:
    """Let the agent read anywhere; leave the rest to the policy file."""
    return "once" if request.permission in ("read", "external_directory") else None


async def ask(request: PendingRequest) -> list[str]:
    """Choose the first option of every question; an async function may take its time."""
    await asyncio.sleep(0)
    return [question.options[0] for question in request.questions]


def run(project: Path) -> None:
    """One task, typed all the way down."""
    with OpenCode(Settings.from_environment()) as oc:
        result = oc.run_task("Write hello.py", directory=project, deadline=timedelta(minutes=5), on_permission=allow_reading)
        assert_type(result, RunTaskResult[Any])
        assert_type(result.files_changed, tuple[FileChanged, ...])
        assert_type(result.files_changed[0].diff, str)
        assert_type(result.usage, Usage)
        assert_type(result.usage.cost_usd, float)
        assert_type(result.forked_from, str | None)
        assert_type(result.to_dict(), dict[str, object])
        oc.run_task("Go on", parent_id=result.session_id, model=result.model, fallback_models=[ModelRef("offline", "scripted")])
        oc.run_task("Think", directory=project, model="offline/scripted", thinking={"type": "enabled", "budget_tokens": 16000})


def structure(project: Path) -> None:
    """Answers of the caller's own types."""
    with OpenCode() as oc:
        review = oc.run_task("Review this project.", directory=project, output_schema=Review)
        assert_type(review.structured, Review)
        assert_type(review.structured.findings[0].severity, Literal["low", "high"])
        assert_type(oc.run_task("Sum it up.", directory=project, output_schema=Summary).structured, Summary)
        assert_type(oc.run_task("As data.", directory=project, output_schema={"type": "object"}).structured, Any)


def fail(oc: OpenCode, project: Path) -> None:
    """Errors by cause."""
    try:
        oc.run_task("Do it.", directory=project, deadline=60)
    except TurnTimeoutError as error:
        assert_type(error.stop, Stop | None)
        assert_type(error.partial_text, str | None)
        print(error.session_id, error.stop.confirmed if error.stop else "nothing was stopped")
    except (DeadlineError, ProviderError, ServerError) as error:
        print(error.code, error.next, error.retryable)
    except RefusedError as error:
        print(error.rule)
    except OpenCodeError as error:
        assert_type(error, DriverError)
        print(error.message)


def follow(project: Path) -> None:
    """Events of a task, one by one, without an event loop."""
    with OpenCode() as oc, oc.stream_task("Write hello.py", directory=project, output_schema=Review) as task:
        assert_type(task, TaskStream[RunTaskResult[Review]])
        for event in task:
            show(event)
        assert_type(task.result().structured, Review)


def show(event: TaskEvent) -> None:
    """Each kind of event is a class."""
    match event:
        case ToolEvent(tool=tool, status="completed"):
            print(tool, event.subject)
        case TextEvent(text_chars=count):
            print(count)
        case PermissionEvent(stage="asked"):
            print(event.permission, event.patterns)
        case _:
            print(event.at_seconds, event.message)


async def follow_async(project: Path) -> None:
    """The same with an event loop; leaving the block early stops the task, verified."""
    async with AsyncOpenCode() as oc:
        async with oc.stream_task("Write hello.py", directory=project, on_question=ask) as task:
            assert_type(task, AsyncTaskStream[RunTaskResult[Any]])
            async for event in task:
                assert_type(event.message, str)
                if isinstance(event, ToolEvent) and event.status == "error":
                    break
            else:
                print((await task.result()).text)
        assert_type(task.stop, Stop | None)
        session = (await oc.create_session(directory=project)).session
        sent = await oc.send_message_async(session.session_id, "A long task", deadline=timedelta(hours=1))
        waited = await oc.wait_for_session(session.session_id, message_id=sent.message_id, wait=30)
        print(waited.result.text if waited.result else waited.progress.text_chars)
        assert_type(await oc.call("an_action_of_a_plugin", anything=1), dict[str, object])


if __name__ == "__main__":
    place = Path(sys.argv[1])
    run(place)
    follow(place)
    asyncio.run(follow_async(place))
