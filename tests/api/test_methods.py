"""Typed methods on the real server: arguments as Python has them, results as objects."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TypedDict

import anyio
import pydantic
import pytest

from netclaw_opencode import (
    AsyncOpenCode,
    ModelNotFoundError,
    ModelRef,
    OpenCode,
    RunTaskResult,
    Settings,
    StructuredOutputFailedError,
    TurnTimeoutError,
)
from netclaw_opencode.offline import Hang, OfflineModel, Text, ToolCall

pytestmark = pytest.mark.real


@dataclass
class Part:
    """A part of an answer."""

    name: str
    size: int


@dataclass
class Answer:
    """An answer as a dataclass."""

    title: str
    parts: list[Part]


class AnswerDict(TypedDict):
    """The same as a TypedDict."""

    title: str
    parts: list[Part]


class AnswerModel(pydantic.BaseModel):
    """The same as a pydantic model."""

    title: str
    parts: list[dict[str, object]]


JSON = {"title": "t", "parts": [{"name": "a", "size": 1}]}


def test_a_result_is_typed_all_the_way_down(settings: Settings, scripted: OfflineModel, git_workdir: Path) -> None:
    """Files, usage and evidence are objects; paths, times and models may be given as Python has them."""
    scripted.when("write it", ToolCall("write", {"filePath": "${directory}/new.txt", "content": "new\n"}), Text("Written."))
    with OpenCode(settings) as oc:
        result = oc.run_task("write it", directory=git_workdir, deadline=timedelta(minutes=5), model=ModelRef("offline", "scripted"))
        again = oc.run_task("say it", directory=str(git_workdir), deadline=300.5, model=result.model)
    assert result.text == "Written."
    assert [(file.path, file.status, file.additions) for file in result.files_changed] == [("new.txt", "added", 1)]
    assert "+new" in result.files_changed[0].diff
    assert result.usage.cost_usd >= 0 and result.usage.model_calls == 2
    assert result.evidence.decided_by == "message_store"
    assert result.cleanup.session_deleted
    assert (result.thinking, result.answered, result.structured) == (None, (), None)
    assert result.to_dict()["text"] == "Written."
    assert again.model is not None and again.model.modelID == "scripted"


@pytest.mark.parametrize("kind", [Answer, AnswerDict, AnswerModel])
def test_the_answer_has_the_type_that_was_asked_for(kind: type, settings: Settings, scripted: OfflineModel, place: Path) -> None:
    """A dataclass, a TypedDict, a pydantic model: the model is told the schema, and the data is of the type."""
    scripted.when("answer in parts", Text(json.dumps(JSON)))
    with OpenCode(settings) as oc:
        result: RunTaskResult[object] = oc.run_task("answer in parts", directory=place, output_schema=kind)
    expected = {Answer: Answer("t", [Part("a", 1)]), AnswerDict: {"title": "t", "parts": [Part("a", 1)]}}
    assert result.structured == expected.get(kind, AnswerModel(title="t", parts=[{"name": "a", "size": 1}]))
    assert "size" in str(scripted.calls_with("answer in parts")[0].body)


class Strict(pydantic.BaseModel):
    """A model that asks for more than its schema can say."""

    title: str

    @pydantic.field_validator("title")
    @classmethod
    def long_enough(cls, title: str) -> str:
        """Refuse a short title."""
        raise ValueError("too short")


def test_an_answer_that_the_type_itself_refuses_is_an_error(settings: Settings, scripted: OfflineModel, place: Path) -> None:
    """A validator is part of the type: the error is that of any answer that does not fit, with the validator's as its cause."""
    scripted.when("answer in parts", Text('{"title": "t"}'))
    with OpenCode(settings) as oc, pytest.raises(StructuredOutputFailedError, match="too short") as caught:
        oc.run_task("answer in parts", directory=place, output_schema=Strict)
    assert isinstance(caught.value.__cause__, pydantic.ValidationError)


def test_a_schema_gives_data(settings: Settings, scripted: OfflineModel, place: Path) -> None:
    """A JSON Schema as a mapping is sent as it is, and the data is JSON."""
    scripted.when("answer in parts", Text(json.dumps(JSON)))
    with OpenCode(settings) as oc:
        result = oc.run_task("answer in parts", directory=place, output_schema={"type": "object", "required": ["title"]})
    assert result.structured == JSON


def test_sessions_messages_and_waits_are_typed(settings: Settings, scripted: OfflineModel, place: Path) -> None:
    """The steps of a task by hand, in async code."""
    scripted.when("say hello", Text("Hello."))

    async def main() -> None:
        async with AsyncOpenCode(settings) as oc:
            session = (await oc.create_session(directory=place, title="By hand")).session
            sent = await oc.send_message_async(session.session_id, "say hello", deadline=timedelta(minutes=2))
            waited = await oc.wait_for_session(session.session_id, message_id=sent.message_id, wait=timedelta(seconds=45))
            while not waited.done:
                waited = await oc.wait_for_session(session.session_id, message_id=sent.message_id, cursor=waited.cursor)
            assert waited.result is not None
            assert waited.result.text == "Hello."
            assert (await oc.get_session_result(session.session_id)).usage == waited.result.usage
            states = await oc.get_session_status(session_id=session.session_id)
            assert [state.state for state in states.sessions] == ["ready"]
            assert (await oc.delete_session(session.session_id)).confirmed

    anyio.run(main)


def test_a_failure_names_its_cause(settings: Settings, scripted: OfflineModel, place: Path) -> None:
    """An unknown model and a deadline are classes; the stop of the turn is an object."""
    scripted.when("never end", Hang())
    with OpenCode(settings) as oc:
        with pytest.raises(ModelNotFoundError, match="scripted"):
            oc.run_task("x", directory=place, model="offline/scriptet")
        with pytest.raises(TurnTimeoutError) as caught:
            oc.run_task("never end", directory=place, deadline=timedelta(seconds=4))
    error = caught.value
    assert error.session_id is not None and error.session_id.startswith("ses_")
    assert error.stop is not None and error.stop.confirmed
    assert error.rule == "deadline"
