"""Spans: names, parents and times by the conventions, no text unless asked, and clear words where they cannot be sent."""

from __future__ import annotations

import importlib.util
import json

import pytest
from opentelemetry.semconv._incubating.attributes import gen_ai_attributes

from netclaw_opencode.errors import ActionFailed, InvalidInput
from netclaw_opencode.report import spans
from tests.support.collector import Collector, attributes_of
from tests.support.trajectories import BEGAN_MS, example, out_of_time

KNOWN = {value for name, value in vars(gen_ai_attributes).items() if name.startswith("GEN_AI_")}


def test_the_tree_of_a_task() -> None:
    """The task, its sessions, their model calls and tools; a sub-agent within the call that ran it; real times."""
    made = {span.key: span for span in spans.spans_of(example())}
    shape = [(span.name, made[span.parent].name if span.parent else None) for span in made.values()]
    chat, build = "chat offline-model", "invoke_agent build"
    assert shape == [
        ("invoke_workflow run_task", None),
        (build, "invoke_workflow run_task"),
        (chat, build),
        ("execute_tool bash", build),
        (chat, build),
        ("execute_tool write", build),
        ("execute_tool task", build),
        ("invoke_agent general", "execute_tool task"),
        (chat, "invoke_agent general"),
        (chat, build),
        (build, "invoke_workflow run_task"),
        (chat, build),
        ("execute_tool edit", build),
        (chat, build),
    ]
    first = list(made.values())[2]
    assert (first.began_ms, first.ended_ms, first.is_client) == (BEGAN_MS + 40, BEGAN_MS + 900, True)
    assert first.attributes["gen_ai.usage.input_tokens"] == 2100 and first.attributes["gen_ai.response.finish_reasons"] == ("tool-calls",)
    named = {name for span in made.values() for name in span.attributes if name.startswith("gen_ai.")}
    assert named - KNOWN == set(), "each attribute is one of the published conventions"
    assert {span.name: span.error_type for span in made.values() if span.error_type} == {"execute_tool bash": "tool_error"}


def test_a_task_out_of_time_has_errors_and_an_end() -> None:
    """What was cut off ends with the task, and says why."""
    made = spans.spans_of(out_of_time())
    assert [span.error_type for span in made] == ["turn_timeout", "MessageAbortedError", "MessageAbortedError", "turn_timeout"]
    assert made[3].ended_ms == made[0].ended_ms == BEGAN_MS + 6000


def test_what_is_sent_has_no_text_unless_asked() -> None:
    """Over the wire: not one word of prompt, answer, thought, argument or output; with texts all of them; always the same ids."""
    told = ("Write slugify", "look at the folder", "hold something", "ls missing", "cannot access", "Review it")
    with Collector() as collector:
        environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint, "OTEL_EXPORTER_OTLP_HEADERS": "x-key=a%20b"}
        assert spans.send(example(), environ, with_texts=False, limit_seconds=10) == (14, f"{collector.endpoint}/v1/traces")
        assert collector.headers[0]["x-key"] == "a b" and not [text for text in told if text.encode() in collector.bodies[0]]
        ids = [(span.trace_id, span.span_id) for span in collector.spans]
        assert len(set(ids)) == 14 and len({trace for trace, _ in ids}) == 1
        collector.clear()
        spans.send(example(), environ, with_texts=True, limit_seconds=10)
        assert [text for text in told if text.encode() not in collector.bodies[0]] == []
        assert [(span.trace_id, span.span_id) for span in collector.spans] == ids
        chat = attributes_of(collector.spans[2])
        (message,) = json.loads(chat["gen_ai.output.messages"])
        assert [part["type"] for part in message["parts"]] == ["reasoning", "text", "tool_call"]
        resource = {item.key: item.value.string_value for item in collector.requests[0].resource_spans[0].resource.attributes}
        assert resource["service.name"] == "netclaw-opencode"


def test_a_collector_that_is_not_there_or_refuses_is_named(caplog: pytest.LogCaptureFixture) -> None:
    """Within the time given; nothing of the address's credentials is told, and nothing is logged elsewhere."""
    with Collector(status=400) as collector:
        url = collector.endpoint.replace("http://", "http://user:secret@")
        with pytest.raises(ActionFailed, match="did not take the spans") as caught:
            spans.send(example(), {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": url}, with_texts=False, limit_seconds=2)
    assert caught.value.code == "export_failed" and "secret" not in str(caught.value.to_wire())
    with pytest.raises(ActionFailed) as nobody:
        spans.send(example(), {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}, with_texts=False, limit_seconds=1)
    assert nobody.value.details["endpoint"] == "http://127.0.0.1:9/v1/traces" and caplog.records == []


def test_without_the_extra_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says what to install."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(InvalidInput) as caught:
        spans.send(example(), {}, with_texts=False, limit_seconds=1)
    assert (caught.value.code, caught.value.next) == ("extra_missing", "pip install 'netclaw-opencode[otel]'")


@pytest.mark.parametrize(("value", "wanted"), [("", False), ("false", False), ("true", True), ("SPAN_ONLY", True), ("EVENT_ONLY", False)])
def test_the_conventions_own_variable_asks_for_texts(value: str, wanted: bool) -> None:
    """It is read as the conventions say."""
    assert spans.wants_texts({spans.TEXTS_SETTING: value}) is wanted
