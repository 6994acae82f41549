"""Shortened envelopes: one document that fits, valid, with what matters; the whole in a private file; files that do not pile up."""

from __future__ import annotations

import hashlib
import json
import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from netclaw_opencode._core.resources import find_bundled
from netclaw_opencode._core.validation import find_problems
from netclaw_opencode.actions import spill
from netclaw_opencode.actions.shortening import cut_text
from netclaw_opencode.actions.spill import shorten, to_compact_json, utf16_length
from netclaw_opencode.adapters.cli.terminal import json_text
from netclaw_opencode.errors import CODES
from netclaw_opencode.manifest import load_manifest
from netclaw_opencode.settings import SMALLEST_OUTPUT

ENVELOPE = json.loads(find_bundled("schemas/result.schema.json").read_text(encoding="utf-8"))
ACTIONS = load_manifest().actions

TEXTS = st.one_of(
    st.text(max_size=40),
    st.builds(lambda text, times: text * times, st.text(min_size=1, max_size=5), st.integers(0, 1000)),
    st.builds(lambda times: "\x1b\u202e\U0001f600\ud83d\x7f" * times, st.integers(0, 300)),
)
NAMES = st.one_of(st.text(max_size=20), st.sampled_from(["session_id", "state", "next", "message", "text", "a" * 3000]))
FEW = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), TEXTS),
    lambda inner: st.one_of(st.lists(inner, max_size=5), st.dictionaries(NAMES, inner, max_size=5)),
    max_leaves=6,
)
MANY = st.one_of(
    st.builds(lambda item, times: [item] * times, FEW, st.integers(0, 100)),
    st.builds(lambda item, times: {f"k{number}": item for number in range(times)}, FEW, st.integers(0, 100)),
)
VALUES = st.one_of(FEW, MANY)
OBJECTS = st.dictionaries(NAMES, VALUES, max_size=5)
NAMED = st.text(min_size=1, max_size=200)
ENVELOPES = st.one_of(
    st.builds(lambda action, data: {"ok": True, "action": action, "data": data}, NAMED, OBJECTS),
    st.builds(
        lambda action, code, message, following, details: {
            "ok": False,
            "action": action,
            "error": {"code": code, "message": message, "retryable": False, "next": following, "details": details},
        },
        NAMED,
        st.sampled_from(sorted(CODES)),
        TEXTS.filter(bool),
        TEXTS.filter(bool),
        OBJECTS,
    ),
)


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A folder with a short path, as a state folder has one."""
    import tempfile

    with tempfile.TemporaryDirectory() as name:
        yield Path(name) / "state" / "results"


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(envelope=ENVELOPES, limit=st.one_of(st.just(1799), st.integers(SMALLEST_OUTPUT, 5000)), escaped=st.booleans())
def test_any_envelope_becomes_one_valid_document_that_fits(folder: Path, envelope: dict[str, object], limit: int, escaped: bool) -> None:
    """Whatever a result holds: valid, within the limit as it is printed, and the file holds the whole, byte for byte."""
    text = json_text if escaped else to_compact_json
    out = shorten(envelope, max_chars=limit, folder=folder, text=text)
    printed = text(out)
    assert utf16_length(printed) <= limit
    printed.encode("utf-8")
    read = json.loads(printed)
    assert find_problems(read, ENVELOPE) == ()
    assert (read["ok"], read["action"][:60]) == (envelope["ok"], json.loads(text(envelope))["action"][:60])
    if not envelope["ok"]:
        assert read["error"]["code"] == envelope["error"]["code"]  # type: ignore[index]
    if utf16_length(text(envelope)) <= limit:
        assert out == envelope
        return
    told = read["full_result"]
    content = Path(told["path"]).read_bytes()
    assert (len(content), hashlib.sha256(content).hexdigest()) == (told["bytes"], told["sha256"])
    assert content == (text(envelope) + "\n").encode("utf-8")


def examples() -> Iterator[tuple[str, dict[str, object]]]:
    """The examples of the manifest, each long text repeated, each list ten times as long."""

    def larger(value: object) -> object:
        if isinstance(value, str):
            return value * 40 if " " in value else value
        if isinstance(value, dict):
            return {name: larger(item) for name, item in value.items()}
        return [larger(item) for item in value * 10] if isinstance(value, list) else value

    for entry in ACTIONS.values():
        for example in entry.examples:
            grown = larger(dict(example.output))
            assert isinstance(grown, dict)
            if find_problems(grown, entry.output_schema) == ():
                yield entry.name, grown


@pytest.mark.parametrize(("action", "data"), list(examples()))
def test_a_shortened_result_still_keeps_its_actions_promise(folder: Path, action: str, data: dict[str, object]) -> None:
    """In 1,800 characters a result fits its own output schema (all but one do), and names its session, its state and its cursor."""
    out = shorten({"ok": True, "action": action, "data": data}, max_chars=1799, folder=folder, schema=ACTIONS[action].output_schema)
    cut = out["data"]
    assert isinstance(cut, dict)
    problems = find_problems(cut, ACTIONS[action].output_schema)
    if action == "run_plan_and_implement":
        # The frame of two whole turns takes all the room, so a reader gets the texts and not all of the figures.
        assert {problem.rule for problem in problems} <= {"required"}
        assert all(len(cut[part]["text"]) > 30 and cut[part]["session_id"] for part in ("plan", "implementation"))
    else:
        assert problems == ()
    for name in ("session_id", "state", "cursor", "url", "message_id", "done", "ok"):
        assert cut.get(name) == data.get(name), name


def test_what_one_goes_on_with_is_cut_last(folder: Path) -> None:
    """A huge error keeps code, rule, next step and ids, and most of its message; what is only evidence goes."""
    session = "ses_20340f888001d7RBaaG1oOhjvJ"
    details = {
        "session_id": session,
        "partial_text": "word " * 900,
        "pending": [{"id": f"per_{number}", "text": "x" * 300} for number in range(90)],
    }
    error = {
        "code": "turn_timeout",
        "message": "m" * 400,
        "retryable": False,
        "rule": "deadline",
        "next": "netclaw-opencode actions",
        "details": details,
    }
    cut = shorten({"ok": False, "action": "run_task", "error": error}, max_chars=1799, folder=folder)
    kept = cut["error"]
    assert isinstance(kept, dict) and isinstance(kept["details"], dict)
    assert {name: kept[name] for name in ("code", "message", "rule", "next")} == {
        name: error[name] for name in ("code", "message", "rule", "next")
    }
    assert kept["details"]["session_id"] == session
    assert kept["details"]["partial_text"].startswith("word ") and "…[+" in kept["details"]["partial_text"]
    assert cut["full_result"]["cut"] == [f"/error/details/pending: {len(kept['details']['pending'])} of 90"]  # type: ignore[index]


@given(text=st.text(max_size=300), longest=st.integers(1, 200))
def test_a_cut_text_says_how_much_is_missing(text: str, longest: int) -> None:
    """It is as long as it may be at most, begins as the text does, and the number in its mark is the truth."""
    cut = cut_text(text, longest)
    assert len(cut) <= longest or cut == text
    begin, mark, rest = cut.rpartition("…[+")
    if len(text) > longest > 10:
        assert mark and text.startswith(begin)
        assert int(rest.removesuffix("]")) == len(text) - len(begin)


def test_small_results_and_no_limit_leave_no_file(tmp_path: Path) -> None:
    """What fits is what it was; 0 stands for no limit."""
    small, large = ({"ok": True, "action": "a", "data": {"text": "x" * size}} for size in (10, 9000))
    assert shorten(small, max_chars=1799, folder=tmp_path / "r") == small
    assert shorten(large, max_chars=0, folder=tmp_path / "r") == large
    assert list(tmp_path.iterdir()) == []
    once = shorten(large, max_chars=1799, folder=tmp_path / "r")
    assert shorten(once, max_chars=1799, folder=tmp_path / "r") == once


LARGE = {"ok": True, "action": "a", "data": {"text": "x" * 9000}}


def test_files_are_for_this_user_alone(tmp_path: Path) -> None:
    """0600 in 0700 whatever the umask says; a folder of others, or a link, is left alone, and the result says so."""
    before = os.umask(0)
    try:
        shorten(LARGE, max_chars=600, folder=tmp_path / "state" / "results")
    finally:
        os.umask(before)
    (file,) = (tmp_path / "state" / "results").iterdir()
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (file, file.parent, file.parent.parent)]
    assert modes == [0o600, 0o700, 0o700]
    (tmp_path / "open").mkdir(mode=0o755)
    (tmp_path / "link").symlink_to(file.parent)
    (tmp_path / "file").write_text("", encoding="utf-8")
    for name in ("open", "link", "file", "file/below"):
        out = shorten(LARGE, max_chars=600, folder=tmp_path / name)
        told = out["full_result"]
        assert isinstance(told, dict) and "path" not in told and told["problem"].startswith("not kept: ")
        assert find_problems(out, ENVELOPE) == () and len(to_compact_json(out)) <= 600
    assert list((tmp_path / "open").iterdir()) == [] and len(list(file.parent.iterdir())) == 1


def test_a_path_that_would_fill_the_result_is_not_told(tmp_path: Path) -> None:
    """A very long path would leave no room for the result itself."""
    out = shorten(LARGE, max_chars=600, folder=tmp_path / ("long" * 50))
    assert "too long" in out["full_result"]["problem"] and len(to_compact_json(out)) <= 600  # type: ignore[index]
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_removed_costs_no_new_result(tmp_path: Path) -> None:
    """Something odd stands among the files, old enough to be swept: the result is kept, and told where."""
    folder = tmp_path / "results"
    odd = folder / f"{0:012x}.json"
    folder.mkdir(mode=0o700)
    odd.mkdir()
    os.utime(odd, (0, 0))
    out = shorten(LARGE, max_chars=600, folder=folder)
    assert odd.is_dir() and json.loads(Path(out["full_result"]["path"]).read_text(encoding="utf-8")) == LARGE  # type: ignore[index]


def test_files_do_not_pile_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each new one removes those beyond the newest 50, beyond the bytes, and older than a week; what is not ours stays."""
    folder = tmp_path / "results"
    folder.mkdir(mode=0o700)
    (folder / "notes.txt").write_text("mine", encoding="utf-8")
    for number in range(60):
        path = folder / f"{number:012x}.json"
        path.write_text("{}", encoding="utf-8")
        age = 8 * 86400 if number < 5 else 1000 - number
        os.utime(path, (time.time() - age, time.time() - age))
    shorten(LARGE, max_chars=600, folder=folder)
    left = {path.name for path in folder.iterdir()}
    assert len(left) == spill.MOST_FILES + 1 and {"notes.txt", f"{59:012x}.json"} <= left and f"{0:012x}.json" not in left
    monkeypatch.setattr(spill, "MOST_BYTES", 5)
    out = shorten(LARGE, max_chars=600, folder=folder)
    left = {path.name for path in folder.iterdir()}
    assert left == {"notes.txt", Path(out["full_result"]["path"]).name}  # type: ignore[index]
