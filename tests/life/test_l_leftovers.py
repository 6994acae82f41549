"""Looking for what was left behind, and reading lists: neither a broken project next door nor large marks fail a call."""

from __future__ import annotations

import os
import time
from pathlib import Path

import httpx
import pytest

from netclaw_opencode.driver import driver, removals, structured_output
from netclaw_opencode.driver.tags import METADATA_KEY
from netclaw_opencode.offline import Text
from netclaw_opencode.opencode.process import state
from netclaw_opencode.opencode.wire import listing
from netclaw_opencode.testing.proxy import Silence
from tests.faults.bench import Bench
from tests.faults.own import Own, own_host
from tests.life.callers import called, mark_of_the_dead
from tests.real.acting import data_of

pytestmark = pytest.mark.real

MIB = 1024 * 1024
SCHEMA = {"type": "object", "properties": {"answer": {"type": "integer"}}, "required": ["answer"], "additionalProperties": False}


def restart(own: Own) -> None:
    """A new server on the same database: it reads each project's configuration anew."""
    data_of(own.host.call("stop_server"))
    data_of(own.host.call("start_server"))


def test_l23_a_broken_project_next_door_fails_no_call(tmp_path: Path) -> None:
    """L23: a task elsewhere, cleanup and recover all succeed, and tell what they could not look at; fixed, it is cleaned up."""
    project = tmp_path / "next-door"
    project.mkdir()
    with own_host(tmp_path, OPENCODE_DRIVER_TRUST=str(tmp_path)) as own:
        record = state.read(own.state)
        assert record is not None
        left = {"title": "left", "metadata": mark_of_the_dead()}
        with httpx.Client(base_url=record.url, auth=(record.username, record.password), trust_env=False) as wire:
            wire.post("/session", params={"directory": str(project)}, json=left).raise_for_status()
        (project / "opencode.json").write_text("{ not json", encoding="utf-8")
        restart(own)
        task = data_of(own.host.call("run_task", prompt="elsewhere", keep_session=True))
        assert [note for note in task["notes"] if str(project) in note and "configuration is broken" in note], task["notes"]
        cleaned = data_of(own.host.call("cleanup"))
        assert (cleaned["sessions"], [item["directory"] for item in cleaned["skipped"]]) == ([], [str(project)])
        assert "configuration is broken" in cleaned["skipped"][0]["reason"]
        for force, restarted in ((False, False), (True, True)):
            recovered = data_of(own.host.call("recover", force=force))
            assert recovered["server"]["restarted"] is restarted
            assert {item["directory"] for item in recovered["skipped"]} == {str(project)}
        (project / "opencode.json").unlink()
        restart(own)
        assert [(item["title"], item["deleted"]) for item in data_of(own.host.call("cleanup"))["sessions"]] == [("left", True)]


def test_l23_a_project_that_does_not_answer_takes_a_tenth_of_the_time_at_most(bench: Bench) -> None:
    """L23: the look ends, the task goes on with what is left of its time, and the note says what is left to do."""
    bench.raw.create(metadata=mark_of_the_dead())
    silent = bench.proxy.on("GET /session/status", Silence(), times=1)
    began = time.monotonic()
    task = bench.data("run_task", prompt="in time", directory=bench.directory, deadline_seconds=20)
    assert silent.fired == 1
    assert [note for note in task["notes"] if "took longer than" in note and "cleanup" in note], task["notes"]
    assert time.monotonic() - began >= 1.5, "it did wait for its tenth"
    assert [item["reason"] for item in bench.data("cleanup")["sessions"]] == ["owner_gone"]


def test_l23_a_list_that_cannot_be_read_fails_no_task(bench: Bench) -> None:
    """L23: then nothing is known of what was left, which the task's notes say."""
    broken = bench.proxy.on("GET /experimental/session", Silence(), times=1)
    task = bench.data("run_task", prompt="unlisted", directory=bench.directory, deadline_seconds=20)
    assert broken.fired == 1 and task["notes"], task


def test_l24_large_and_many_marks_break_no_list(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """L24: five sessions with 0.9 MiB of metadata, one with more than any answer may have, 200 with 20 KB: all is read, in pages."""
    # However slow the machine is: what is promised is that a look for leftovers ends, not that it gets through.
    monkeypatch.setattr(driver, "_SWEEP_MOST_SECONDS", 60.0)
    for _ in range(5):
        bench.raw.create(metadata={"theirs": "x" * int(0.9 * MIB)})
    huge = bench.raw.create(metadata={"theirs": "x" * (5 * MIB)})
    many = [bench.raw.create(metadata={"theirs": "x" * 20_000}) for _ in range(200)]
    left = bench.raw.create(metadata=mark_of_the_dead())
    task = bench.data("run_task", prompt="beside them", directory=bench.directory)
    assert any(left in note and "was stopped and removed" in note for note in task["notes"]), task["notes"]
    listed = bench.data("list_sessions", all_directories=True, limit=500)
    ids = [item["session_id"] for item in listed["sessions"]]
    assert len(ids) == len(set(ids)) == 205 and set(many) < set(ids) and huge not in ids
    assert [item["session_id"] for item in bench.data("list_sessions", directory=bench.directory, limit=10)["sessions"]] == many[:-11:-1]
    looked = bench.data("cleanup", dry_run=True)
    assert [item["reason"] for item in looked["skipped"]] == ["1 session(s) are larger than an answer may be"]
    keyed = {"prompt": "keyed", "directory": bench.directory, "idempotency_key": "beside them"}
    first = bench.remember(bench.data("run_task", **keyed)["session_id"])
    assert bench.data("run_task", **keyed)["session_id"] == first
    assert bench.data("recover")["server"]["was"] == "answering"
    bench.raw.tidy()


def test_l24_pages_join_without_loss_whatever_their_size(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """L24: the server's cursor is a time; sessions of one and the same millisecond are not lost between two pages."""
    made = {bench.raw.create() for _ in range(23)}
    for size in (1, 2, 7, 22, 23, 24):
        monkeypatch.setattr(listing, "PAGE", size)
        listed = bench.data("list_sessions", directory=bench.directory, limit=100)
        assert {item["session_id"] for item in listed["sessions"]} == made
        assert listed["truncated"] is False
    bench.raw.tidy()


def test_l24_output_schemas_stand_in_the_state_folder_and_not_on_the_server(bench: Bench, tmp_path: Path) -> None:
    """L24, L37: the tag holds a digest; where the file is, the answer is checked; where it is not, a note says so."""
    large = SCHEMA | {"description": "d" * 200_000}
    bench.model.when("in form", Text('{"answer": 42}'))
    session_id = bench.started("in form", output_schema=large)
    assert bench.data("wait_for_session", session_id=session_id)["result"]["structured"] == {"answer": 42}
    tag = bench.raw.get(f"/session/{session_id}").json()["metadata"][METADATA_KEY]
    assert len(str(tag)) < 2000 and len(tag["output_schema"]) == 64
    (kept,) = (bench.settings.state_dir / structured_output.SCHEMA_FOLDER).iterdir()
    assert (kept.stem, kept.stat().st_mode & 0o777, kept.parent.stat().st_mode & 0o777) == (tag["output_schema"], 0o600, 0o700)
    other = data_of(called(bench.settings, tmp_path / "there", "get_session_result", session_id=session_id)["envelope"])
    assert "structured" not in other and [note for note in other["notes"] if "output_schema is not kept here" in note]
    kept.unlink()


@pytest.mark.parametrize("change", ["the whole schema", "another digest", "the file"])
def test_l37_a_schema_that_was_changed_is_not_believed(bench: Bench, change: str) -> None:
    """L37: the agent can write the metadata; only a schema whose digest is the tag's counts, and of a wrong one a note tells."""
    bench.model.when("changed", Text('{"answer": "no integer"}'))
    session_id = bench.started("changed", output_schema=SCHEMA)
    bench.raw.wait_idle(session_id)
    (kept,) = (bench.settings.state_dir / structured_output.SCHEMA_FOLDER).iterdir()
    metadata = bench.raw.get(f"/session/{session_id}").json()["metadata"]
    if change == "the file":
        kept.write_text("{}", encoding="utf-8")
    else:
        metadata[METADATA_KEY]["output_schema"] = {"type": "object"} if change == "the whole schema" else "0" * 64
        bench.raw.wire.patch(f"/session/{session_id}", params=bench.raw.here, json={"metadata": metadata}).raise_for_status()
    result = bench.data("get_session_result", session_id=session_id)
    assert "structured" not in result and [note for note in result["notes"] if "output_schema is not kept here" in note]
    kept.unlink()


def test_l24_old_schemas_go(tmp_path: Path) -> None:
    """L24: a schema that no task named for a month is removed by the next one that is kept; one in use stays."""
    old, used = structured_output.store_schema(tmp_path / "state", {"a": 1}), structured_output.store_schema(tmp_path / "state", {"b": 1})
    for digest in (old, used):
        path = tmp_path / "state" / structured_output.SCHEMA_FOLDER / f"{digest}.json"
        os.utime(path, (time.time() - structured_output.SCHEMA_SECONDS - 1,) * 2)
    assert structured_output.store_schema(tmp_path / "state", {"b": 1}) == used
    assert structured_output.load_schema(tmp_path / "state", old) is None
    assert structured_output.load_schema(tmp_path / "state", used) == {"b": 1}
    assert structured_output.load_schema(tmp_path / "nowhere", used) is None
    assert structured_output.load_schema(tmp_path / "state", "../server") is None


def test_l34_what_a_host_could_not_remove_is_remembered_within_bounds() -> None:
    """L34: as many as may matter; older ones are found by their tags when this process has ended."""
    found = removals.PendingRemovals()
    for number in range(removals.LIMIT + 50):
        found.add(f"ses_{number}")
    assert len(found.names) == removals.LIMIT and f"ses_{removals.LIMIT + 49}" in found.names
