"""docs/policy.md tells the truth: its file is the example, and its dry runs print what it shows."""

from __future__ import annotations

import itertools
import json
import shlex
from pathlib import Path

import pytest

from netclaw_opencode._core.policy import load_policy
from netclaw_opencode.driver.turn import Answer
from netclaw_opencode.facts import PendingRequest
from netclaw_opencode.records.audit import Audit
from tests.docs.conftest import Run, envelope
from tests.docs.pages import HOME, ROOT, Names, blocks_of, broken_promises, page

PAGE = page("docs/policy.md")
EXAMPLE = ROOT / "examples" / "policy.yaml"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the page, with its policy in force."""
    path = tmp_path / "policy.yaml"
    path.write_bytes(EXAMPLE.read_bytes())
    monkeypatch.setenv("OPENCODE_DRIVER_POLICY", str(path))
    return tmp_path


def test_the_file_of_the_page_is_the_example() -> None:
    """Letter by letter, and it can be read."""
    assert [block.text for block in blocks_of(PAGE) if block.kind == "yaml"] == [EXAMPLE.read_text(encoding="utf-8")]
    assert len(load_policy(EXAMPLE).permissions) == 8


def test_each_dry_run_prints_what_the_page_shows(home: Path, run: Run) -> None:
    """JSON and text, to the letter but for the folder."""
    shown = [(command, output) for command, output in itertools.pairwise(blocks_of(PAGE)) if command.kind == "console"]
    assert len(shown) == 3
    for command, output in shown:
        code, printed = run(shlex.split(command.text.removeprefix("$ "))[1:])
        assert code == 0
        if output.kind == "text":
            assert printed.replace(str(home), HOME) == output.text
        else:
            assert Names(home).differences(json.loads(output.text), envelope(printed)) == [], printed
            assert broken_promises("check_policy", json.loads(output.text)) == []


def test_the_audit_record_of_the_page_is_a_real_one(tmp_path: Path) -> None:
    """Its fields, in their order, and what the policy says to that request."""
    (record,) = [json.loads(block.text) for block in blocks_of(PAGE) if block.kind == "json" and '"event"' in block.text]
    request = PendingRequest(
        "permission", record["id"], record["session_id"], record["directory"], permission=record["permission"], patterns=("git status",)
    )
    answer = Answer(request, load_policy(EXAMPLE).decide(request))
    about = {name: record[name] for name in ("event", "message_id", "directory", "policy_file")}
    Audit(tmp_path / "audit").append(about | answer.to_wire(), clean=str)
    written = json.loads((tmp_path / "audit").read_text(encoding="utf-8"))
    assert list(written.items())[1:] == list(record.items())[1:]
