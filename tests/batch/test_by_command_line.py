"""Every action on batches by the command line: one envelope that fits its schema. No worker runs here, so the task waits."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from netclaw_opencode._core.validation import find_problems
from netclaw_opencode.adapters.cli import app
from netclaw_opencode.adapters.cli.flags import command_of, flags_of
from netclaw_opencode.manifest import load_manifest
from netclaw_opencode.testing.binary import opencode_binary

ROOT = Path(__file__).resolve().parents[2]
ENVELOPE = json.loads((ROOT / "schemas" / "result.schema.json").read_text(encoding="utf-8"))
ACTIONS = load_manifest().actions
Json = Mapping[str, object]
BATCH: Json = {"items": [{"prompt": "hello"}], "name": "one", "start_worker": False}
NAMED: Json = {"batch_id": "one"}
RUNS: Mapping[str, Json] = {
    "submit_batch": BATCH,
    "run_batch": {**BATCH, "wait_seconds": 0.2},
    "get_batch": NAMED,
    "wait_for_batch": {**NAMED, "wait_seconds": 0.2},
    "get_batch_results": NAMED,
    "export_batch": {**NAMED, "predictions": "preds.json"},
    "pause_batch": NAMED,
    "cancel_batch": NAMED,
    "retry_batch": {**NAMED, "start_worker": False},
    "list_batches": {},
}
Typed = Callable[[str, Json], tuple[Mapping[str, object], int]]


@pytest.fixture
def typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Typed:
    """Types an action, and returns the envelope and the exit code."""
    (tmp_path / "work").mkdir()
    monkeypatch.setenv("OPENCODE_DRIVER_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("OPENCODE_DRIVER_DIRECTORY", str(tmp_path / "work"))
    monkeypatch.setenv("OPENCODE_DRIVER_MAX_CHARS", "0")
    monkeypatch.chdir(tmp_path)

    def run(action: str, arguments: Json) -> tuple[Mapping[str, object], int]:
        import shlex

        entry = ACTIONS[action]
        words = shlex.split(command_of(arguments, flags_of(entry.input_schema)))
        exit_code = app.run([entry.tier, action.replace("_", "-"), *words])
        printed = capsys.readouterr()
        assert printed.err == ""
        return json.loads(printed.out), exit_code

    return run


def test_every_action_on_batches_fits_its_schema(typed: Typed) -> None:
    """In the order of a batch's life; by its name as by its id."""
    assert set(RUNS) == {name for name in ACTIONS if "batch" in name}
    for action, arguments in RUNS.items():
        envelope, exit_code = typed(action, arguments)
        assert (envelope["ok"], exit_code, find_problems(envelope, ENVELOPE)) == (True, 0, ()), envelope
        assert find_problems(envelope["data"], ACTIONS[action].output_schema) == (), action


@pytest.mark.parametrize(
    ("action", "arguments", "code"),
    [
        ("get_batch", {"batch_id": "nightly"}, "batch_not_found"),
        ("submit_batch", {}, "invalid_input"),
        ("submit_batch", {"items": [{"prompt": "x"}], "retry_codes": ["no_such_code"]}, "invalid_input"),
        ("submit_batch", {"items": [{"prompt": "x", "on_request": "return"}]}, "invalid_input"),
        ("run_batch", {"items": [{"prompt": "x"}], "results_file": "/dev/null/x"}, "invalid_input"),
    ],
)
def test_what_is_wrong_has_its_own_error(typed: Typed, action: str, arguments: Json, code: str) -> None:
    """And nothing is taken in."""
    envelope, exit_code = typed(action, arguments)
    assert isinstance(envelope["error"], dict)
    assert (envelope["error"]["code"], exit_code) == (code, {"batch_not_found": 1, "invalid_input": 3}[code])
    assert typed("list_batches", {})[0]["data"] == {"batches": [], "count": 0}


@pytest.mark.parametrize("text", ["my notes\nwithout an end", "one line without an end", '{"a": 1}\n'])
def test_a_file_that_is_no_file_of_results_is_left_as_it_is(typed: Typed, tmp_path: Path, text: str) -> None:
    """Nothing of the user's is cut off."""
    kept = tmp_path / "notes.txt"
    kept.write_text(text, encoding="utf-8")
    envelope, _ = typed("run_batch", {**BATCH, "results_file": str(kept)})
    assert envelope["ok"] is False and "something else than results" in str(envelope["error"])
    assert kept.read_text(encoding="utf-8") == text


def test_a_worker_collects_its_garbage(tmp_path: Path) -> None:
    """The command line pauses the collector while it loads; a process that lives for days must not run on without it."""
    program = (
        "import atexit, gc, sys; atexit.register(lambda: print(gc.isenabled())); from netclaw_opencode.adapters.cli import main; main()"
    )
    environ = {"PATH": os.defpath, "PYTHONPATH": str(ROOT), "HOME": str(tmp_path), "OPENCODE_DRIVER_BINARY": opencode_binary()}
    command = [sys.executable, "-c", program, "worker", "--until-done"]
    done = subprocess.run(command, env=environ, cwd=tmp_path, capture_output=True, encoding="utf-8", timeout=240, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "True"), done.stderr
