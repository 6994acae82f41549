"""A batch to look at: the table on a real terminal, the quiet lines of a pipe, and the files with patches and pages.

One scene, with a worker and its OpenCode server.
"""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from netclaw_opencode import OpenCode
from netclaw_opencode.offline import Gated, Status, Text, ToolCall
from netclaw_opencode.testing.waiting import wait_until
from tests.batch.conftest import BatchPlace
from tests.support.pace import MACHINE_SECONDS
from tests.support.terminal import Terminal

pytestmark = pytest.mark.real

PROGRAM = [sys.executable, "-m", "netclaw_opencode"]


def test_a_terminal_has_a_table_and_a_pipe_has_quiet_lines(place: BatchPlace) -> None:
    """In place, in the terminal's size as it changes, harmless whatever the agent calls its commands, and gone before the result."""
    gate = place.model.gate("the answer")
    place.model.when(
        "held", ToolCall("bash", {"command": "true '\x1b[2J\x07\u202e all'", "description": "wait"}), Gated(gate, "an", " answer")
    )
    place.model.when("edit", ToolCall("write", {"filePath": "${directory}/new.txt", "content": "new\n"}), Text("written"))
    place.model.when("bad", Status(401))
    one, two = place.directories("one", "two")
    tasks = place.home / "tasks.jsonl"
    # What fails waits for the directory of what is held, so it fails while both commands look.
    rows = [("held", one, 1), ("edit", two, 0), ("bad", one, 0)]
    lines = [json.dumps({"id": each, "prompt": each, "directory": directory, "priority": first}) for each, directory, first in rows]
    tasks.write_text("\n".join(lines) + "\n", encoding="utf-8")
    command = [*PROGRAM, "run", "run-batch", "--file", str(tasks), "--no-start-worker"]
    place_of_files, preds = place.home / "out", place.home / "preds.json"
    files = ["--results-folder", str(place_of_files), "--predictions", str(preds)]
    with Terminal([*command, *files], environ={**place.environ, "TERM": "xterm"}, columns=100, rows=12) as terminal:
        terminal.wait_for(lambda shown: any("0 of 3, 3 waiting" in line for line in shown))
        batches = place.call("list_batches")["batches"]
        assert isinstance(batches, list)
        batch = str(batches[0]["batch_id"])
        worker = place.worker()
        place.when(batch, "running")
        assert gate.wait_reached(2 * MACHINE_SECONDS), place.logs()
        waiting = subprocess.Popen(
            [*PROGRAM, "inspect", "wait-for-batch", "--batch-id", batch],
            env=place.environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        shown = terminal.wait_for(lambda shown: "1 of 3" in shown[0] and any(r"\x1b[2J\x07\u202e all" in line for line in shown))
        assert [line.split()[0] for line in shown[1:]] == ["running", "held"]
        assert "━━━" in shown[0] and "1 of 3, 1 running, 1 waiting" in shown[0]
        terminal.resize(40, 8)
        shown = terminal.wait_for(lambda shown: shown[0].startswith("1 of 3"))
        assert [line.split()[0] for line in shown[-2:]] == ["running", "held"] and "last seen" not in shown[-2]
        terminal.resize(120, 20)
        terminal.wait_for(lambda shown: "━━━" in shown[0] and len(shown) == 3)
        wait_until(lambda: (place.home / "tasks.jsonl.results.jsonl").read_text("utf-8").count("\n") == 1, what="the first result")
        gate.open()
        assert terminal.exit_code(2 * MACHINE_SECONDS) == 0
        shown = terminal.screen.lines()
        assert shown[0] == "✗ 3 tasks: 2 completed, 1 failed"
        assert not any("last seen" in line or "━" in line for line in shown)
    told, said = waiting.communicate(timeout=2 * MACHINE_SECONDS)
    assert json.loads(told)["data"]["done"] is True
    first, *rest = said.splitlines()
    assert [first, rest[-1].partition(" ended")[0]] == ["netclaw-opencode: failed: bad (provider_auth)", "netclaw-opencode: 3 of 3"]
    assert all(line.isprintable() for line in said.splitlines())
    assert place.ended(worker) == 0, place.logs()
    # The worker and its server are gone; what the tasks have left is not.
    predicted = {each["instance_id"]: each for each in json.loads(preds.read_text("utf-8"))}
    assert {name: bool(each["model_patch"]) for name, each in predicted.items()} == {"held": False, "edit": True, "bad": False}
    assert predicted["edit"]["model_name_or_path"] == "offline/scripted"
    items = place_of_files / "items"
    assert (items / "edit" / "change.patch").read_text("utf-8") == predicted["edit"]["model_patch"]
    assert json.loads((items / "edit" / "trajectory.json").read_text("utf-8"))["outcome"] == "completed"
    assert "+++ b/new.txt" in predicted["edit"]["model_patch"] and "new.txt" in (items / "edit" / "report.html").read_text("utf-8")
    index = (place_of_files / "index.html").read_text("utf-8")
    assert all(f'href="./items/{name}/report.html"' in index and (items / name / "report.html").exists() for name in predicted)
    before = (items / "edit" / "result.json").stat().st_ino
    with OpenCode(place.settings) as oc:
        followed = oc.stream_batch(
            file=str(tasks), start_worker=False, results_folder=str(place_of_files), predictions=str(place.home / "p.jsonl")
        )
        assert sorted(item.id for item in followed) == sorted(predicted)
    assert (items / "edit" / "result.json").stat().st_ino == before
    assert {json.loads(line)["instance_id"] for line in (place.home / "p.jsonl").read_text("utf-8").splitlines()} == set(predicted)
