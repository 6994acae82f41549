"""Reports of real tasks: one that completed, one that failed, one out of time; as pages, as ATIF, as spans at a collector."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from netclaw_opencode.host import Host
from netclaw_opencode.offline import OfflineModel, Text, ToolCall, Usage
from netclaw_opencode.settings import Settings
from netclaw_opencode.testing.leaks import LeakCheck
from tests.real.acting import Acting, Json, Policy
from tests.support.atif import check
from tests.support.collector import Collector, attributes_of
from tests.support.raw import RawOpenCode

pytestmark = pytest.mark.real


@pytest.fixture
def collector() -> Iterator[Collector]:
    """A collector that takes everything."""
    with Collector() as found:
        yield found


@pytest.fixture
def sending(
    collector: Collector, settings: Settings, wire: httpx.Client, scripted: OfflineModel, place: Path, leak_check: LeakCheck
) -> Iterator[Acting]:
    """The actions with a host that sends each task to the collector, and records its calls."""
    leak_check.watch(place)
    asked = {"OPENCODE_DRIVER_OTEL": "on", "OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint}
    record = {"OPENCODE_DRIVER_RECORD": str(settings.state_dir.parent / "record.jsonl")}
    with Host(Settings.from_environment({**settings.environ, **asked, **record}), entry_points=False) as host:
        calls = Acting(host, RawOpenCode(wire, scripted, place), Policy())
        yield calls
        calls.close()


def report(acting: Acting, source: Path, **arguments: object) -> Json:
    """What the action says of this file."""
    return acting.data("report", file=str(source), **arguments)


def test_three_endings_in_three_forms(sending: Acting, collector: Collector, settings: Settings, tmp_path: Path) -> None:
    """Each has its spans at the collector when its call ends; its envelope, kept in a file, makes a page and a valid ATIF document."""
    model = sending.raw.model
    run = ToolCall("bash", {"command": "echo the-output", "description": "work"})
    model.when("do it well", (run, Usage(900, 50, 7, 300)), Text("the-answer"))
    model.when("never be right", Text("I tried."))
    model.when("take too long", ToolCall("bash", {"command": "sleep 2237", "description": "wait"}), Text("never"))
    asked: dict[str, dict[str, object]] = {
        "completed": {"prompt": "do it well, please"},
        "check_failed": {"prompt": "never be right", "check": {"command": ["false"], "attempts": 0}},
        "turn_timeout": {"prompt": "take too long", "deadline_seconds": 3},
    }
    for outcome, arguments in asked.items():
        collector.clear()
        envelope = sending.host.call("run_task", **arguments)
        source = tmp_path / f"{outcome}.json"
        source.write_text(json.dumps(envelope), encoding="utf-8")
        sent = {span.name: span for span in collector.spans}
        root = sent["invoke_workflow run_task"]
        told = attributes_of(root)
        assert (told["netclaw_opencode.outcome"], told.get("error.type")) == (outcome, None if outcome == "completed" else outcome)
        assert root.end_time_unix_nano > root.start_time_unix_nano > 1.7e18
        inner = sent["invoke_agent build"]
        assert inner.parent_span_id == root.span_id and "chat scripted" in sent
        texts = ("do it well", "the-output", "the-answer", "never be right", "I tried", "sleep 2237")
        assert not [text for text in texts if text.encode() in collector.bodies[0]]
        found = check(
            json.loads(Path(report(sending, source, format="atif", output=str(tmp_path / f"{outcome}.atif.json"))["path"]).read_bytes())
        )
        assert found.extra["outcome"] == outcome and found.steps[0].message == asked[outcome]["prompt"]
        page = Path(report(sending, source, output=str(tmp_path / f"{outcome}.html"))["path"]).read_text(encoding="utf-8")
        assert page.lower().startswith("<!doctype html>") and str(asked[outcome]["prompt"]) in page
        if outcome == "completed":
            chat, tool = attributes_of(sent["chat scripted"]), attributes_of(sent["execute_tool bash"])
            assert (chat["gen_ai.operation.name"], tool["gen_ai.tool.name"]) == ("chat", "bash")
            assert attributes_of(inner)["gen_ai.usage.cache_read.input_tokens"] == 300
            ids = {span.span_id for span in collector.spans}
            collector.clear()
            again = report(sending, source, format="otel", include_texts=True)
            assert (again["spans"], {span.span_id for span in collector.spans}) == (len(ids), ids), "the same task is the same trace"
            assert b"the-output" in collector.bodies[0] and again["sent_to"] == f"{collector.endpoint}/v1/traces"
        if outcome == "turn_timeout":
            assert attributes_of(sent["chat scripted"])["error.type"] == "MessageAbortedError" and "execute_tool bash" in sent
    record = settings.state_dir.parent / "record.jsonl"
    outline = sending.data("report", record=str(record), format="atif", output=str(tmp_path / "record.json"))
    told = check(json.loads(Path(outline["path"]).read_bytes()))
    assert told.extra["outcome"] == "turn_timeout" and "texts" in outline["notes"][0]
    assert [call.function_name for step in told.steps for call in step.tool_calls or ()] == ["bash"]
    collector.status = 400
    refused = sending.data("run_task", prompt="do it well, please")
    assert any("the spans were not sent" in note for note in refused["notes"]), "a task is not lost with its spans"


def test_a_report_by_the_command_line(acting: Acting, settings: Settings, tmp_path: Path) -> None:
    """From a shell: ``--format`` is the report's; the file is new, or an earlier report; what is the user's is never replaced."""
    acting.raw.model.when("for the shell", Text("Here."))
    (tmp_path / "result.json").write_text(json.dumps(acting.host.call("run_task", prompt="for the shell")), encoding="utf-8")

    def shell(*words: str) -> tuple[int, Json]:
        call = [sys.executable, "-m", "netclaw_opencode", "inspect", "report", *words]
        done = subprocess.run(call, cwd=tmp_path, env=dict(settings.environ), capture_output=True, text=True, check=False)
        return done.returncode, json.loads(done.stdout)

    code, made = shell("result.json", "--format", "atif")
    assert (code, made["data"]["path"]) == (0, str(tmp_path / "trajectory.json"))
    assert check(json.loads((tmp_path / "trajectory.json").read_bytes())).steps[-1].message == "Here."
    assert shell("result.json", "--format=atif")[0] == 0
    (tmp_path / "mine.html").write_text("<p>mine</p>", encoding="utf-8")
    code, kept = shell("--file", "result.json", "--output", "mine.html")
    assert (code, kept["error"]["code"]) == (3, "invalid_input") and (tmp_path / "mine.html").read_text(encoding="utf-8") == "<p>mine</p>"
    assert sorted(item.name for item in tmp_path.iterdir() if item.name.startswith(".")) == []
