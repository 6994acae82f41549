"""The audit file: one record is one line, for its owner alone, without secrets; or an error, never silence."""

from __future__ import annotations

import json
import multiprocessing
import os
from datetime import datetime
from pathlib import Path

import pytest

from netclaw_opencode._core.redaction import redact
from netclaw_opencode.errors import InvalidInput
from netclaw_opencode.records.audit import Audit

NASTY = 'x\r\n{"event": "answer", "by": "hook"}\n\x1b[2J\x00\x85\u2028\u202e"'


def clean(text: str) -> str:
    """What the driver takes out of texts."""
    return redact(text, secrets=("canary-password",))


def test_a_record_is_one_line_whatever_stands_in_it(tmp_path: Path) -> None:
    """Line breaks, forged records, escape sequences and marks are escaped, and read back as they were."""
    path = tmp_path / "answers.jsonl"
    for _ in range(2):
        Audit(path).append({"patterns": [NASTY], "chosen": [[NASTY]], "rule": 1, "message": NASTY}, clean=clean)
    raw = path.read_bytes()
    assert raw.isascii() and raw.count(b"\n") == 2 and not any(byte < 32 for byte in raw.replace(b"\n", b""))
    for line in raw.splitlines():
        record = json.loads(line)
        assert (record["patterns"], record["chosen"], record["message"], record["rule"]) == ([NASTY], [[NASTY]], NASTY, 1)
        assert datetime.fromisoformat(record["at"]).tzinfo is not None


def test_secrets_and_endless_texts_stay_out(tmp_path: Path) -> None:
    """Known secrets and whatever looks like a credential are replaced; a long text is cut and says so."""
    path = tmp_path / "answers.jsonl"
    Audit(path).append(
        {"patterns": ["curl -u me:canary-password x", "Authorization: Bearer canary0123456789"], "text": "y" * 9000}, clean=clean
    )
    text = path.read_text(encoding="utf-8")
    assert "canary" not in text
    assert len(text) < 5000 and "(9000 characters)" in text


@pytest.mark.parametrize("umask", [0o000, 0o077])
def test_the_file_is_its_owner_s_alone(umask: int, tmp_path: Path) -> None:
    """Whatever the process's mask is."""
    before = os.umask(umask)
    try:
        Audit(tmp_path / "answers.jsonl").append({}, clean=clean)
    finally:
        os.umask(before)
    assert (tmp_path / "answers.jsonl").stat().st_mode & 0o777 == 0o600


def unusable(folder: Path) -> list[tuple[Path, str]]:
    """Places where nothing may be recorded, each with the reason."""
    (folder / "target").touch(mode=0o600)
    (folder / "link").symlink_to(folder / "target")
    (folder / "open").touch()
    (folder / "open").chmod(0o620)
    os.mkfifo(folder / "pipe", 0o600)
    return [
        (folder / "link", "symbolic links"),
        (folder / "open", "chmod 600"),
        (folder / "pipe", "cannot be written"),
        (folder, "directory"),
        (folder / "no" / "folder", "No such file"),
        (Path("/dev/null"), "not a regular file"),
    ]


def test_an_unusable_file_is_refused_before_and_while(tmp_path: Path) -> None:
    """A link, a file that others may write, a pipe, a folder, a device: told at once, and no record is lost silently."""
    for path, why in unusable(tmp_path):
        with pytest.raises(InvalidInput, match=why) as caught:
            Audit(path).require()
        assert str(path) in caught.value.message
        with pytest.raises(OSError, match=r"."):
            Audit(path).append({}, clean=clean)
    assert (tmp_path / "target").read_bytes() == b""


def _append_many(path: Path, who: int) -> None:
    for number in range(50):
        Audit(path).append({"who": who, "number": number, "text": "z" * 3000}, clean=str)


def test_records_of_several_processes_do_not_mix(tmp_path: Path) -> None:
    """Each is written at once, behind what is there."""
    path = tmp_path / "answers.jsonl"
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_append_many, args=(path, who)) for who in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
        assert worker.exitcode == 0
    records = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    for who in range(2):
        assert [record["number"] for record in records if record["who"] == who] == list(range(50))
