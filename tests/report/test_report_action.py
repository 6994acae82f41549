"""The action report without a server: what it takes, what it refuses, and which files it never touches."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from netclaw_opencode.host import Host
from netclaw_opencode.records.trajectory import write_trajectory
from netclaw_opencode.settings import Settings
from tests.support.atif import check
from tests.support.trajectories import example, out_of_time

SECRET = "a-secret-of-the-environment"


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    """A host whose environment holds a secret; there is no server."""
    environ = {"HOME": str(tmp_path), "OPENCODE_DRIVER_STATE_DIR": str(tmp_path / "state"), "MY_TOKEN": SECRET}
    with Host(Settings.from_environment(environ), entry_points=False) as found:
        yield found


def test_an_envelope_leads_to_its_transcript_and_a_lost_one_is_said(host: Host, tmp_path: Path) -> None:
    """Of success and of failure; once the week is over, what the result itself holds is shown."""
    made = {"ok": write_trajectory(tmp_path / "state", example()), "late": write_trajectory(tmp_path / "state", out_of_time())}
    good = {"ok": True, "action": "run_task", "data": {**example().to_wire()["result"], "text": "It holds.", "trajectory": str(made["ok"])}}  # type: ignore[dict-item]
    error = {**(out_of_time().error or {}), "details": {"session_id": "ses_1", "trajectory": str(made["late"])}}
    late = {"ok": False, "action": "run_task", "error": error}
    output = tmp_path / "out.json"
    for envelope, outcome, steps in ((good, "completed", 13), (late, "turn_timeout", 3)):
        source = tmp_path / "result.json"
        source.write_text(json.dumps(envelope), encoding="utf-8")
        told = host.call("report", file=str(source), format="atif", output=str(output))["data"]
        assert isinstance(told, dict) and (told["task"]["outcome"], told["task"]["steps"], told["bytes"]) == (
            outcome,
            steps,
            output.stat().st_size,
        )
        for path in made.values():
            path.rename(path.with_suffix(".away"))
        told = host.call("report", file=str(source), format="atif", output=str(output))["data"]
        assert isinstance(told, dict) and told["task"]["outcome"] == outcome and "No such file" in told["notes"][0]
        found = check(json.loads(output.read_bytes()))
        assert found.extra["outcome"] == outcome and found.steps[0].source == ("agent" if outcome == "completed" else "system")
        for path in made.values():
            path.with_suffix(".away").rename(path)
    assert stat.S_IMODE(output.stat().st_mode) == 0o600


def test_what_is_the_users_is_never_replaced(host: Host, tmp_path: Path) -> None:
    """A file, a folder, a link, a name of another kind, a folder that is missing or closed: refused, and nothing is left behind."""
    source = str(write_trajectory(tmp_path / "state", example()))
    mine = tmp_path / "mine.html"
    mine.write_text("<p>mine</p>", encoding="utf-8")
    (tmp_path / "folder.html").mkdir()
    (tmp_path / "link.html").symlink_to(mine)
    cases = {
        "mine.html": "exists and is no report",
        "folder.html": "exists and is no report",
        "link.html": "exists and is no report",
        "script.sh": "must end in .html",
        "none/report.html": "No such file",
    }
    for name, why in cases.items():
        envelope = host.call("report", file=source, output=str(tmp_path / name))
        error = envelope["error"]
        assert envelope["ok"] is False and isinstance(error, dict) and why in error["message"], name
        assert error["code"] == ("report_failed" if "none" in name else "invalid_input")
    assert mine.read_text(encoding="utf-8") == "<p>mine</p>" and list(tmp_path.glob(".*")) == []
    for _ in range(2):
        assert host.call("report", file=source, output=str(tmp_path / "report.html"))["ok"] is True


def test_what_is_no_task_is_refused_with_the_reason(host: Host, tmp_path: Path) -> None:
    """Another action's result, half a file, a foreign document, arguments that do not go together."""
    listed = {"ok": True, "action": "list_sessions", "data": {"sessions": []}}
    files = {"other": json.dumps(listed), "half": '{"ok": tr', "foreign": '{"name": "package"}', "list": "[1]"}
    for name, content in files.items():
        (tmp_path / f"{name}.json").write_text(content, encoding="utf-8")
    source = str(tmp_path / "other.json")
    cases: list[tuple[dict[str, object], str]] = [
        ({"file": source}, "it is the result of list_sessions"),
        ({"file": str(tmp_path / "half.json")}, "no JSON"),
        ({"file": str(tmp_path / "foreign.json")}, "no transcript of a task"),
        ({"file": str(tmp_path / "list.json")}, "no transcript of a task"),
        ({"file": "relative.json"}, "must be absolute"),
        ({}, "exactly one of file and record"),
        ({"file": source, "record": source}, "exactly one of file and record"),
        ({"file": source, "call": "01234567"}, "call chooses a call of a flight record"),
        ({"file": source, "format": "otel", "output": "/x.json"}, "output is for html and atif"),
        ({"file": source, "include_texts": True}, "include_texts is for otel"),
        ({"record": source}, "holds no call at all"),
    ]
    for arguments, why in cases:
        error = host.call("report", **arguments)["error"]
        assert isinstance(error, dict) and error["code"] == "invalid_input" and why in error["message"], arguments


def test_secrets_of_this_environment_are_in_no_report(host: Host, tmp_path: Path) -> None:
    """Whoever made the transcript: it may come from another host."""
    wire = json.dumps(example().to_wire()).replace("Review it.", f"Review {SECRET}.")
    source = tmp_path / "trajectory.json"
    source.write_text(wire, encoding="utf-8")
    for kind, name in (("html", "report.html"), ("atif", "report.json")):
        assert host.call("report", file=str(source), format=kind, output=str(tmp_path / name))["ok"] is True
        text = (tmp_path / name).read_text(encoding="utf-8")
        assert SECRET not in text and "Review [redacted]" in text and os.access(tmp_path / name, os.R_OK)
