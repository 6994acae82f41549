"""The form of a transcript: written and read back whole; what is not of it, or damaged, is refused with the reason."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from netclaw_opencode.errors import InvalidInput
from netclaw_opencode.records import trajectory
from netclaw_opencode.records.trajectory import Trajectory
from tests.support.trajectories import example, out_of_time


@pytest.mark.parametrize("made", [example(), out_of_time()], ids=["completed", "out of time"])
def test_a_document_is_read_back_as_it_was_written(made: Trajectory, tmp_path: Path) -> None:
    """The file is this user's alone, valid by the published schema, and holds every field."""
    path = trajectory.write_trajectory(tmp_path / "state", made)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600 and path.parent.name == "trajectories"
    assert trajectory.read_trajectory(path) == made
    assert json.loads(path.read_bytes())["form"] == 1


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda wire: wire.pop("form"), "no transcript"),
        (lambda wire: wire.update(form=2), "its form is '2', and this version reads form 1"),
        (lambda wire: wire["steps"][1].update(began_ms="soon"), "began_ms"),
        (lambda wire: wire["steps"][2].update(kind="thought"), "kind"),
        (lambda wire: wire["steps"][0].pop("text"), "text"),
        (lambda wire: wire["steps"][2].update(input={"seconds": float("inf")}), "not a finite number"),
        (lambda wire: wire["sessions"][0].update(extra=1), "extra"),
        (lambda wire: wire.update(outcome=None), "outcome"),
        (lambda wire: wire.update(began_at=float("nan")), "began_at"),
    ],
)
def test_a_foreign_or_damaged_document_is_refused_by_name(change: Callable[[dict[str, Any]], object], told: str, tmp_path: Path) -> None:
    """The error names the file and what is wrong in it."""
    wire = json.loads(json.dumps(example().to_wire()))
    change(wire)
    path = tmp_path / "document.json"
    path.write_text(json.dumps(wire), encoding="utf-8")
    with pytest.raises(InvalidInput) as caught:
        trajectory.read_trajectory(path)
    assert told in caught.value.message and str(path) in caught.value.message


def test_what_is_no_document_at_all_is_refused(tmp_path: Path) -> None:
    """No file, a folder, a pipe, half a file, a file of a size that ours never has: each is refused without being waited for."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    half = tmp_path / "half.json"
    half.write_bytes(json.dumps(example().to_wire()).encode()[:-200])
    large = tmp_path / "large.json"
    with large.open("wb") as file:
        file.truncate(trajectory.MOST_BYTES + 1)
    for path, told in (
        (tmp_path / "none.json", "No such file"),
        (tmp_path, "directory"),
        (pipe, "regular file"),
        (half, "no JSON"),
        (large, "larger than"),
    ):
        with pytest.raises(InvalidInput, match=told):
            trajectory.read_trajectory(path)
