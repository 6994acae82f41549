"""Predictions and folders of a batch: from results in a database to files, without any server.

The results are written by the code that workers use; patches and transcripts stand where tasks leave them. A disk without
room is a limit on the size of files (``RLIMIT_FSIZE``) of a process of its own; for the error of a full disk the write is made to fail,
since no small file system can be had without privileges.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import resource
import subprocess
import sys
from collections.abc import Iterator, Mapping
from functools import partial
from html import unescape
from pathlib import Path
from urllib.parse import unquote

import anyio
import pytest

from netclaw_opencode.actions.batch_outputs import Outputs
from netclaw_opencode.batch import claims, folder, leases, looking
from netclaw_opencode.batch.database import Database
from netclaw_opencode.batch.items import Item
from netclaw_opencode.errors import InvalidInput
from netclaw_opencode.facts import ProgressEvent
from netclaw_opencode.host import Host
from netclaw_opencode.settings import Settings
from netclaw_opencode.testing.waiting import wait_until
from tests.batch.conftest import ROOT
from tests.batch.test_flow import Flow
from tests.support.trajectories import example

Json = Mapping[str, object]
HOSTILE = [
    *(
        "plain",
        "Plain",
        "PLAIN",
        "a/b",
        "a\\b",
        "../../etc/passwd",
        "/root",
        ".",
        "..",
        "...",
        "con",
        "nul.txt",
        "a.",
        "-rf",
        "a b",
        "a  b",
    ),
    *("漢字", "é", "e\u0301", "İ", "i̇", "x" * 100, "X" * 100, "%2e%2e", "index.html", "batch.jsonl", "items", "~", "$HOME", "a'\"<b>&"),
]


class Desk:
    """A state folder with a database of batches, and what tasks have left in it."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.state = home / "state"
        self.environ = {
            **{name: value for name, value in os.environ.items() if not name.startswith("OPENCODE_")},
            "OPENCODE_DRIVER_STATE_DIR": str(self.state),
            "OPENCODE_DRIVER_DIRECTORY": str(home),
            "OPENCODE_DRIVER_MAX_CHARS": "0",
            "PYTHONPATH": str(ROOT),
        }
        self.settings = Settings.from_environment(self.environ)
        self.database = Database.of(self.settings)
        self.database.prepare()
        self.flow = Flow(self.database)
        for name in ("patches", "trajectories"):
            (self.state / name).mkdir(mode=0o700)

    def batch(self, results: Mapping[str, Json], name: str = "batch") -> str:
        """A batch whose tasks have ended so, in this order."""
        items = [Item(each, {"prompt": each, "directory": f"/{name}/{each}", "model": "p/m"}, 0, each) for each in results]
        batch = self.flow.submit(*items, name=name)
        self.flow.admit(concurrency=1000)
        for each, envelope in results.items():
            assert self.flow.run(each, envelope) in ("completed", "failed")
        return batch

    def kept(self, folder_name: str, name: str, content: bytes) -> Path:
        """A file that a task has left."""
        path = self.state / folder_name / name
        path.touch(mode=0o600)
        path.write_bytes(content)
        return path

    def done(self, patch: bytes | None = b"", *, name: str = "", transcript: bool = False, **more: object) -> Json:
        """The envelope of a task that is done, with the patch of what it changed; None: no snapshot was taken."""
        changes: dict[str, object] = {"method": "tools"} if patch is None else {"method": "snapshot"}
        if patch:
            path = self.kept("patches", f"{name or hashlib.sha256(patch).hexdigest()[:8]}.patch", patch)
            changes["patch"] = {"path": str(path), "sha256": hashlib.sha256(patch).hexdigest(), "bytes": len(patch)}
        data: dict[str, object] = {"text": "Done.", "model": {"providerID": "acme", "modelID": "big"}, "changes": changes, **more}
        if transcript:
            wire = json.dumps(example().to_wire()).encode()
            number = len(list((self.state / "trajectories").iterdir()))
            data["trajectory"] = str(self.kept("trajectories", f"trajectory_{number}.json", wire))
        return {"ok": True, "data": data}

    def export(self, batch: str, **given: object) -> dict[str, object]:
        """Run export_batch and return its data."""
        with Host(self.settings, entry_points=False) as host:
            envelope = host.call("export_batch", batch_id=batch, **{name: str(value) for name, value in given.items()})
        if not envelope["ok"]:
            raise AssertionError(envelope["error"])
        data = envelope["data"]
        assert isinstance(data, dict)
        return data


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """One with nothing in it."""
    made = Desk(tmp_path)
    yield made
    made.database.close()


def read_as_swe_bench_does(path: Path) -> dict[str, dict[str, str]]:
    """The predictions by instance: a list or an object of them, or lines, each with an ``instance_id``."""
    text = path.read_text(encoding="utf-8")
    found = [json.loads(line) for line in text.splitlines()] if path.suffix == ".jsonl" else json.loads(text)
    assert isinstance(found, list)
    assert all(set(each) == {"instance_id", "model_name_or_path", "model_patch"} and isinstance(each["model_patch"], str) for each in found)
    by_instance = {each["instance_id"]: each for each in found}
    assert len(by_instance) == len(found)
    return by_instance


def notes_of(data: Json) -> list[str]:
    """The notes of a result."""
    notes = data["notes"]
    assert isinstance(notes, list)
    return notes


def listing(root: Path) -> dict[str, tuple[int, int]]:
    """Every file with its inode and time: what is the same was not written again."""
    found = sorted(path for path in root.rglob("*") if path.is_file())
    return {str(path.relative_to(root)): (path.stat().st_ino, path.stat().st_mtime_ns) for path in found}


def test_names_of_folders_are_safe_and_never_meet() -> None:
    """Whatever an id holds: short, portable, no two alike even where case does not count; a plain id stays as it is."""
    digest = folder.folder_name("Plain").rpartition("-")[2]
    names = [folder.folder_name(each) for each in [*HOSTILE, f"plain-{digest}", "django__django-11099"]]
    assert len({name.casefold() for name in names}) == len(names)
    assert all(re.fullmatch(r"[a-z0-9_][a-z0-9._-]{0,59}", name) and not name.endswith(".") for name in names)
    assert (names[0], names[-1]) == ("plain", "django__django-11099")


def test_a_folder_and_predictions_hold_every_task(desk: Desk) -> None:
    """Hostile ids, changes of every kind, failures, files that are gone; again: nothing is written; after a retry: what is new."""
    diff = b"diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n-old\n+\xff new\n"
    details = {key: value for key, value in desk.done(b"partial\n")["data"].items() if key in ("changes", "model")}  # type: ignore[attr-defined]
    failed = {"ok": False, "error": {"code": "turn_timeout", "message": "<b>late</b>", "details": details}}
    gone, changed = desk.done(b"gone\n"), desk.done(b"other\n", name="other")
    results = {each: desk.done(f"patch of {each}\n".encode()) for each in HOSTILE}
    results |= {"none": desk.done(), "bytes": desk.done(diff, transcript=True), "failed": failed, "gone": gone}
    results |= {
        "other": changed,
        "unknown": desk.done(None),
        "spy": desk.done(b"x", changes={"patch": {"path": "/etc/passwd", "sha256": "0"}}),
    }
    batch = desk.batch(results)
    (desk.state / "patches" / f"{hashlib.sha256(b'gone' + bytes([10])).hexdigest()[:8]}.patch").unlink()
    desk.kept("patches", "other.patch", b"not the same\n")
    place, preds = desk.home / "out", desk.home / "preds.json"
    told = desk.export(batch, results_folder=place, predictions=preds, results_file=desk.home / "r.jsonl")
    assert (told["written"], told["total"], told["done"]) == (len(results), len(results), True)
    first, second = notes_of(told)
    assert all(note.startswith("4 task(s) not with") and "gone (patch: " in note and "is gone)" in note for note in (first, second))
    # The folder.
    named = {each: place / "items" / folder.folder_name(each) for each in results}
    assert sorted(path.name for path in (place / "items").iterdir()) == sorted(path.name for path in named.values())
    for each, path in named.items():
        assert json.loads((path / "result.json").read_text("utf-8"))["id"] == each
        assert "<h1>" in (path / "report.html").read_text("utf-8")
        expected = {"none": b"", "bytes": diff, "failed": b"partial\n"}.get(each, f"patch of {each}\n".encode())
        if each in ("gone", "other", "unknown", "spy"):
            assert not (path / "change.patch").exists()
        else:
            assert (path / "change.patch").read_bytes() == expected
        assert (path / "trajectory.json").exists() is (each == "bytes")
    assert "<b>late</b>" not in (named["failed"] / "report.html").read_text("utf-8")
    page = (place / "index.html").read_text("utf-8")
    links = [unquote(unescape(link)) for link in re.findall(r'href="\./([^"]+)"', page)]
    assert sorted(links) == sorted(f"items/{path.name}/report.html" for path in named.values())
    assert (place.stat().st_mode & 0o777, sorted(path.name for path in place.iterdir())) == (0o700, ["batch.jsonl", "index.html", "items"])
    # The predictions.
    predicted = read_as_swe_bench_does(preds)
    assert list(predicted) == list(results)
    assert predicted["bytes"]["model_patch"] == diff.decode("utf-8", "replace") and predicted["bytes"]["model_name_or_path"] == "acme/big"
    assert (predicted["none"]["model_patch"], predicted["failed"]["model_patch"]) == ("", "partial\n")
    assert [predicted[each]["model_patch"] for each in ("gone", "other", "unknown", "spy")] == [""] * 4
    assert all(predicted[each]["model_patch"] == f"patch of {each}\n" for each in HOSTILE)
    # Again: nothing is written anew, though the patches are gone by now.
    before, text = listing(place), preds.read_bytes()
    for path in (desk.state / "patches").iterdir():
        path.unlink()
    again = desk.export(batch, results_folder=place, predictions=preds)
    assert (
        {**listing(place), "index.html": ()} == {**before, "index.html": ()}
        and read_as_swe_bench_does(preds) == predicted
        and preds.read_bytes() == text
    )
    assert any("not with the patch" in note for note in notes_of(again))
    # Tried again, and what was killed meanwhile has left something.
    assert claims.retry(desk.database, batch, []) == 1
    desk.flow.admit(concurrency=1000)
    desk.flow.run("failed", desk.done(b"whole\n"))
    (desk.home / ".preds.json.0123abcd").write_text("[", encoding="utf-8")
    (place / ".writing-0123").mkdir()
    (place / ".writing-0123" / "result.json").write_text("{", encoding="utf-8")
    with (place / "batch.jsonl").open("ab") as file:
        file.write(b'{"id": "cut o')
    desk.export(batch, results_folder=place, predictions=preds)
    assert sorted(path.name for path in desk.home.iterdir()) == ["out", "preds.json", "r.jsonl", "state"]
    after = listing(place)
    changed_files = {name for name in after if after[name] != before.get(name)}
    assert changed_files == {
        "batch.jsonl",
        "index.html",
        *(f"items/failed/{name}" for name in ("result.json", "change.patch", "report.html")),
    }
    assert (named["failed"] / "change.patch").read_bytes() == b"whole\n" and ">turn_timeout<" not in (place / "index.html").read_text(
        "utf-8"
    )
    assert read_as_swe_bench_does(preds) == {**predicted, "failed": {**predicted["failed"], "model_patch": "whole\n"}}


def test_what_is_not_ours_is_refused_and_left_as_it_is(desk: Desk) -> None:
    """A folder with something else, another batch's, one that is being written; a file with something else; a name that says no form."""
    batch, other = desk.batch({"a": desk.done()}), desk.batch({"b": desk.done()}, "other")
    foreign, mine, preds = desk.home / "foreign", desk.home / "mine", desk.home / "preds.json"
    foreign.mkdir()
    (foreign / "notes.txt").write_text("mine", encoding="utf-8")
    preds.write_text('{"a": 1}', encoding="utf-8")
    before = listing(foreign)
    desk.export(batch, results_folder=mine)
    holding = folder.ResultsFolder(mine, batch_id=batch, pages=None)  # type: ignore[arg-type]
    cases = [
        ({"results_folder": foreign}, "is not empty and is no folder of results"),
        ({"results_folder": preds}, "cannot be used: Not a directory"),
        ({"results_folder": mine}, "is being written by another call"),
        ({"predictions": preds}, "holds something else than predictions"),
        ({"predictions": desk.home / "preds.txt"}, "must end in .json or .jsonl"),
        ({"predictions": desk.home / "no" / "preds.json"}, "there is no folder"),
        ({}, "say what to write"),
    ]
    for given, message in cases:
        with pytest.raises(AssertionError, match=re.escape(message)):
            desk.export(batch, **given)
    holding.close()
    with pytest.raises(AssertionError, match="holds the results of another batch"):
        desk.export(other, results_folder=mine)
    assert listing(foreign) == before and preds.read_text("utf-8") == '{"a": 1}'
    lines = desk.home / "preds.jsonl"
    desk.export(batch, predictions=lines)
    assert list(read_as_swe_bench_does(lines)) == ["a"]


def test_a_limit_on_the_size_of_files_loses_nothing(desk: Desk) -> None:
    """What is too large is told and left out whole; the rest is there; without the limit the same command writes what is missing."""
    large = b"diff --git a/x b/x\n" + b"+x\n" * 400_000
    batch = desk.batch({"large": desk.done(large), "small": desk.done(b"small\n")})
    place, preds = desk.home / "out", desk.home / "preds.json"
    command = [sys.executable, "-m", "netclaw_opencode", "run", "export-batch", "--batch-id", batch]
    command += ["--results-folder", str(place), "--predictions", str(preds)]

    def ran(limit: int, exit_code: int) -> dict[str, object]:
        made = subprocess.run(
            command,
            env=desk.environ,
            capture_output=True,
            check=False,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY)),
        )
        envelope = json.loads(made.stdout)
        assert (made.returncode, isinstance(envelope, dict)) == (exit_code, True), envelope
        return dict(envelope)

    error = ran(1024 * 1024, 1)["error"]
    assert isinstance(error, dict) and error["code"] == "report_failed"
    assert f"predictions {preds} could not be written: File too large; the same command again" in error["message"]
    assert "1 task(s) could not be written into the folder" in error["message"] and "large (File too large)" in error["message"]
    assert sorted(listing(place)) == [
        *("batch.jsonl", "index.html", "items/small/change.patch", "items/small/report.html", "items/small/result.json"),
    ]
    assert sorted(path.name for path in desk.home.iterdir()) == ["out", "state"]
    assert notes_of(ran(resource.RLIM_INFINITY, 0)["data"]) == []  # type: ignore[arg-type]
    assert (place / "items" / "large" / "change.patch").read_bytes() == large
    assert read_as_swe_bench_does(preds)["large"]["model_patch"] == large.decode()
    assert 'href="./items/large/report.html"' in (place / "index.html").read_text("utf-8")


def test_the_batch_goes_on_where_the_command_cannot_write(desk: Desk) -> None:
    """run-batch follows to the end; a line on stderr and a note tell what is missing, and the same command again writes it."""
    large = b"diff --git a/x b/x\n" + b"+x\n" * 400_000
    tasks, preds = desk.home / "tasks.jsonl", desk.home / "preds.json"
    tasks.write_text('{"id": "large", "prompt": "x"}\n', encoding="utf-8")
    command = [sys.executable, "-m", "netclaw_opencode", "run", "run-batch", "--file", str(tasks), "--predictions", str(preds)]
    with subprocess.Popen(
        [*command, "--no-start-worker"],
        env=desk.environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1024 * 1024, resource.RLIM_INFINITY)),  # noqa: PLW1509 - no thread runs yet
    ) as following:
        wait_until(lambda: looking.every(desk.database, limit=1), what="the batch")
        wait_until(lambda: desk.flow.admit(machine=leases.machine()), what="the task")
        desk.flow.run("large", desk.done(large))
        told, said = following.communicate()
    data = json.loads(told)["data"]
    trouble = f"predictions {preds} could not be written: File too large"
    assert (following.returncode, data["done"], read_as_swe_bench_does(preds)) == (0, True, {})
    assert f"{trouble}; the same command again writes what is missing" in data["notes"]
    assert said.splitlines() == [f"netclaw-opencode: {trouble}", "netclaw-opencode: 1 of 1 ended: 1 completed"]
    assert len((desk.home / "tasks.jsonl.results.jsonl").read_text("utf-8").splitlines()) == 1
    subprocess.run(command, env=desk.environ, capture_output=True, check=True)
    assert read_as_swe_bench_does(preds)["large"]["model_patch"] == large.decode()


def test_a_full_disk_is_told_once_and_what_is_missing_comes_later(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The batch is followed on; nothing half-written stands under its name; as soon as there is room all of it is written."""
    batch = desk.batch({f"task-{number}": desk.done(f"{number}\n".encode()) for number in range(5)})
    summary = looking.batch(desk.database, batch)
    paths = {"results_file": desk.home / "r.jsonl", "predictions": desk.home / "preds.json", "results_folder": desk.home / "out"}
    told: list[ProgressEvent] = []
    outputs = Outputs(paths, desk.database, told.append)
    outputs.begin(batch)
    real, full = os.fsync, [True]
    wrote = os.write

    def fsync(handle: int) -> None:
        if full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(handle)

    def write(handle: int, content: bytes) -> int:
        # A disk takes a part of the last write before it is full.
        return wrote(handle, content[: len(content) // 2] if full else content)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "write", write)
    for _ in range(3):
        anyio.run(partial(outputs.write, summary, final=True))
    assert [event.message.split(" ")[0] for event in told] == list(paths) and all(event.facts["problem"] is True for event in told)
    assert all(event.message.endswith("could not be written: No space left on device") for event in told)
    assert len(outputs.problems()) == 3 and (desk.home / "r.jsonl").read_bytes() == b"" and not (desk.home / "preds.json").exists()
    assert len((desk.home / "out" / "batch.jsonl").read_bytes().splitlines()) == 1 and not (desk.home / "out" / "index.html").exists()
    assert not list((desk.home / "out").glob(".writing-*"))
    full.clear()
    anyio.run(partial(outputs.write, summary, final=True))
    outputs.close()
    assert (outputs.problems(), outputs.notes(), len(told)) == ([], [], 3)
    assert len((desk.home / "r.jsonl").read_bytes().splitlines()) == len(read_as_swe_bench_does(desk.home / "preds.json")) == 5
    assert len(list((desk.home / "out" / "items").iterdir())) == 5 and (desk.home / "out" / "index.html").exists()


def test_the_error_of_a_folder_comes_before_anything_is_taken_in(desk: Desk) -> None:
    """run_batch with a foreign folder, or another batch's: no batch."""
    (desk.home / "foreign").mkdir()
    (desk.home / "foreign" / "x").touch()
    desk.export(desk.batch({"a": desk.done()}, "another"), results_folder=desk.home / "theirs")
    with Host(desk.settings, entry_points=False) as host:
        for name, message in (("foreign", "is no folder of results"), ("theirs", "holds the results of another batch")):
            place = str(desk.home / name)
            envelope = host.call("run_batch", items=[{"prompt": "hello"}], name="one", start_worker=False, results_folder=place)
            assert envelope["ok"] is False and message in str(envelope["error"])
        assert host.call("list_batches")["data"]["count"] == 1  # type: ignore[index]
    with pytest.raises(InvalidInput, match="no folder of results"):
        folder.require_usable(desk.home / "foreign")
