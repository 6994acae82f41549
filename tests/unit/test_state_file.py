"""The state file: private, whole or not there, and never believed when it is damaged or others could have written it."""

from __future__ import annotations

import errno
import json
import os
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netclaw_opencode._core import private_files
from netclaw_opencode._core.private_files import require_private_folder
from netclaw_opencode.errors import ActionFailed
from netclaw_opencode.opencode.process.state import ServerRecord, read, remove, write
from tests.support.records import server_record

RECORD = server_record(4242)


def mode(path: Path) -> int:
    """The permission bits."""
    return stat.S_IMODE(path.stat().st_mode)


def corrupt(folder_path: Path) -> str:
    """The message with which reading is refused; it names the file and holds nothing of its content."""
    with pytest.raises(ActionFailed) as caught:
        read(folder_path)
    error = caught.value
    assert error.code == "state_corrupt"
    assert "canary" not in f"{error.to_wire()} {error!r}"
    assert str(folder_path) in error.message and str(folder_path) in str(error.next)
    return error.message


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A state folder with a record in it."""
    place = tmp_path / "state" / "netclaw-opencode"
    write(place, RECORD)
    return place


def test_a_record_is_read_back_as_it_was_written(home: Path) -> None:
    """And a second one takes the first one's place."""
    assert read(home) == RECORD
    write(home, replace(RECORD, pid=5, start_ticks=7))
    assert read(home) == replace(RECORD, pid=5, start_ticks=7)


def test_without_a_file_there_is_no_record(tmp_path: Path) -> None:
    """No folder, an empty one, or one from which it was removed; removing twice is no error."""
    assert read(tmp_path / "none") is None
    assert read(tmp_path) is None
    write(tmp_path / "s", RECORD)
    remove(tmp_path / "s")
    remove(tmp_path / "s")
    assert read(tmp_path / "s") is None


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_the_folder_and_the_file_are_this_users_alone(umask: int, tmp_path: Path) -> None:
    """0700 and 0600 whatever the umask (S22): the file holds the server's password."""
    before = os.umask(umask)
    try:
        write(tmp_path / "s", RECORD)
    finally:
        os.umask(before)
    assert mode(tmp_path / "s") == 0o700
    assert mode(tmp_path / "s" / "server.json") == 0o600


def test_nothing_else_is_left_in_the_folder(home: Path) -> None:
    """No temporary file, neither after writing nor after removing."""
    assert [path.name for path in home.iterdir()] == ["server.json"]
    (home / ".server.json.new").write_text("half", encoding="utf-8")
    remove(home)
    assert list(home.iterdir()) == []


def test_the_password_is_in_no_repr() -> None:
    """A record in a traceback or a log does not tell it."""
    assert "canary" not in repr(RECORD) and "4242" in repr(RECORD)


def test_a_write_that_fails_leaves_the_old_record(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk in the middle: the old file stays whole, and no half of the new one lies about (S23, R63)."""

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ActionFailed, match="No space") as caught:
        write(home, replace(RECORD, pid=5))
    assert caught.value.code == "state_corrupt"
    assert read(home) == RECORD
    assert [path.name for path in home.iterdir()] == ["server.json"]


def test_what_a_killed_writer_left_is_not_adopted(home: Path, tmp_path: Path) -> None:
    """Neither its mode nor its target: a half-written file is replaced, a link in its place is not followed."""
    temporary = home / ".server.json.new"
    temporary.write_text("half", encoding="utf-8")
    temporary.chmod(0o666)
    write(home, RECORD)
    assert mode(home / "server.json") == 0o600
    victim = tmp_path / "victim"
    victim.write_text("mine", encoding="utf-8")
    temporary.symlink_to(victim)
    write(home, RECORD)
    assert victim.read_text(encoding="utf-8") == "mine"
    assert read(home) == RECORD


GOOD = {
    "url": "http://127.0.0.1:1",
    "pid": 5,
    "start_ticks": 15,
    "boot_id": "b",
    "pid_namespace": "pid:[1]",
    "mark": "0123",
    "username": "u",
    "password": "canary-pass",
    "binary": "/b",
    "opencode_version": "1.18.33",
    "log_file": "/l",
    "version": 2,
}


@pytest.mark.parametrize(
    "text",
    [
        *("", "{", "null", "[]", "5", '"text"', "{}", "[" * 100_000, "\x00" * 50, json.dumps(GOOD)[:-20]),
        *(json.dumps({**GOOD, "new_field": 1}), json.dumps({key: value for key, value in GOOD.items() if key != "pid"})),
        *(
            json.dumps({**GOOD, "version": 3}),
            json.dumps({**GOOD, "version": None}),
            json.dumps({**GOOD, "version": "2"}),
            json.dumps({**GOOD, "version": 1}),
        ),
        *(json.dumps({**GOOD, "pid": wrong}) for wrong in ("5", None, 5.0, True, [5])),
        *(json.dumps({**GOOD, key: 5}) for key in ("url", "username", "password", "binary", "opencode_version", "log_file")),
        json.dumps({**GOOD, "start_ticks": 1.5}),
    ],
    ids=lambda text: ascii(text)[:30].replace("\\", "|"),
)
def test_a_damaged_file_is_named_and_not_believed(text: str, home: Path) -> None:
    """Empty, cut, of another version, with a field missing, unknown or of another type (R63)."""
    (home / "server.json").write_text(text, encoding="utf-8")
    assert "not a record" in corrupt(home)


def test_bytes_that_are_no_text_are_damage(home: Path) -> None:
    """A database, or a disk's garbage."""
    (home / "server.json").write_bytes(b'{"url": "\xff\xfe')
    corrupt(home)


def test_a_good_file_written_by_hand_is_read(home: Path) -> None:
    """The damage above is what makes the difference, not the hand that wrote it."""
    (home / "server.json").write_text(json.dumps(GOOD), encoding="utf-8")
    assert read(home) == ServerRecord(**GOOD)  # type: ignore[arg-type]  # the fields, as read


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from([*GOOD, "x"]), st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3)))
def test_no_content_leads_to_anything_but_a_record_or_a_refusal(
    tmp_path_factory: pytest.TempPathFactory, changed: dict[str, object]
) -> None:
    """Whatever stands in the fields."""
    place = tmp_path_factory.getbasetemp() / "state-of-hypothesis"
    if not place.exists():
        write(place, RECORD)
    (place / "server.json").write_text(json.dumps({**GOOD, **changed}), encoding="utf-8")
    try:
        found: object = read(place)
    except ActionFailed as error:
        found = error.code
    assert found == "state_corrupt" or found == ServerRecord(**{**GOOD, **changed})  # type: ignore[arg-type]  # the fields, as read


@pytest.mark.parametrize("bits", [0o644, 0o640, 0o604, 0o660, 0o666, 0o601])
def test_a_file_that_others_may_touch_is_not_believed(bits: int, home: Path) -> None:
    """They could have written another pid into it, or read the password."""
    (home / "server.json").chmod(bits)
    assert "0600" in corrupt(home)


def test_a_file_of_another_user_is_not_believed(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever its mode; and neither is its folder."""
    real = os.lstat(home)
    monkeypatch.setattr(os, "getuid", lambda: os.geteuid() + 1)
    assert "another user" in corrupt(home)
    monkeypatch.setattr(Path, "lstat", lambda _: os.stat_result((real.st_mode, *real[1:4], os.getuid(), *real[5:])))
    assert "0600" in corrupt(home)


def test_a_link_is_not_followed(home: Path, tmp_path: Path) -> None:
    """Not even to a good record."""
    (home / "server.json").rename(tmp_path / "elsewhere.json")
    (home / "server.json").symlink_to(tmp_path / "elsewhere.json")
    corrupt(home)


def test_a_folder_or_a_pipe_in_its_place_is_an_error_and_no_hang(home: Path) -> None:
    """Opening a pipe would wait for a writer for ever."""
    path = home / "server.json"
    path.unlink()
    path.mkdir()
    assert "not a regular file" in corrupt(home)
    path.rmdir()
    os.mkfifo(path, 0o600)
    assert "not a regular file" in corrupt(home)


@pytest.mark.parametrize("bits", [0o777, 0o755, 0o750, 0o701])
def test_a_folder_that_others_may_enter_is_left_as_it_is(bits: int, tmp_path: Path) -> None:
    """Neither written nor read, and not fixed behind its owner's back: the error says how (B45)."""
    place = tmp_path / "open"
    write(place, RECORD)
    place.chmod(bits)
    for call in (lambda: require_private_folder(place), lambda: read(place), lambda: write(place, RECORD)):
        with pytest.raises(ActionFailed) as caught:
            call()
        assert caught.value.code == "state_corrupt" and "chmod 700" in str(caught.value.next)
    assert mode(place) == bits


def test_the_folder_must_be_a_folder_of_our_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not a file, nothing below one, no link, not the root of the file system, and nobody else's (B45)."""
    (tmp_path / "file").touch()
    (tmp_path / "real").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    for wrong in (tmp_path / "file", tmp_path / "file" / "below", tmp_path / "link", Path(tmp_path.anchor)):
        with pytest.raises(ActionFailed) as caught:
            require_private_folder(wrong)
        assert caught.value.code == "state_corrupt" and str(wrong) in caught.value.message
    assert list((tmp_path / "real").iterdir()) == []
    monkeypatch.setattr(os, "getuid", lambda: os.geteuid() + 1)
    with pytest.raises(ActionFailed, match="another user"):
        require_private_folder(tmp_path / "real")


def test_a_link_above_the_folder_must_be_the_systems_or_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Systems have links of their own, such as /tmp; one that a stranger made could lead anywhere."""
    (tmp_path / "real").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert require_private_folder(tmp_path / "link" / "state") == tmp_path / "link" / "state"
    if os.getuid() != 0:
        monkeypatch.setattr(os, "getuid", lambda: os.geteuid() + 1)
        with pytest.raises(ActionFailed, match="symbolic link"):
            require_private_folder(tmp_path / "link" / "state")


LINK = "it is a symbolic link, which could lead anywhere"
ROOT = "it is the root of the file system; name a folder of your own, for example ~/.local/state/netclaw-opencode"


def refused(call: Callable[[], object]) -> ActionFailed:
    """The error with which a state folder or file is not believed."""
    with pytest.raises(ActionFailed) as caught:
        call()
    assert caught.value.code == "state_corrupt"
    return caught.value


def test_each_doubt_names_the_place_the_reason_and_the_way_out(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Word for word: whoever reads it has to find the place, and must not be told to remove more than that."""
    record, link, file = home / "server.json", tmp_path / "link", tmp_path / "file"
    link.symlink_to(home)
    file.touch()
    uid = os.getuid()

    def told(call: Callable[[], object], place: Path, why: str, next_step: str | None = None) -> None:
        error = refused(call)
        assert error.message == f"{place}: {why}"
        assert error.next == (next_step or f"look at {place}, then remove it or set OPENCODE_DRIVER_STATE_DIR")
        assert error.details == {"path": str(place)}

    told(lambda: read(link), link, LINK)
    told(lambda: require_private_folder(link), link, LINK)
    told(lambda: read(file), file, "it is not a folder")
    told(lambda: read(Path("/")), Path("/"), ROOT)
    told(lambda: read(file / "below"), file / "below", "the folder cannot be used (Not a directory)")
    told(lambda: require_private_folder(file / "below"), file / "below", "the folder cannot be made (Not a directory)")
    record.write_text("{}", encoding="utf-8")
    told(lambda: read(home), record, "it is not a record of this version")
    record.chmod(0o640)
    told(lambda: read(home), record, "it must belong to this user alone (mode 0600: chmod 600)")
    record.unlink()
    record.mkdir()
    told(lambda: read(home), record, "it is not a regular file")
    record.rmdir()
    record.symlink_to(file)
    told(lambda: read(home), record, "it cannot be opened (Too many levels of symbolic links)")
    home.chmod(0o750)
    told(lambda: read(home), home, f"the folder (owner {uid}, mode 0750) can be entered or written by others", f"chmod 700 {home}")
    home.chmod(0o700)
    monkeypatch.setattr(os, "getuid", lambda: uid + 1)
    told(lambda: read(home), home, f"the folder (owner {uid}, mode 0700) belongs to another user, not to {uid + 1}")


def test_a_full_disk_is_told_with_what_helps(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is fine, so nobody is told to remove it."""

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    error = refused(lambda: write(home, RECORD))
    assert error.message == f"{home / 'server.json'}: it cannot be written (No space left on device)"
    assert error.next == "make room there, then call again"
    assert error.details == {"path": str(home / "server.json")}


def test_a_new_file_is_made_for_this_user_alone_and_never_through_a_link(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever is faster by a moment cannot have the password written into a file of theirs."""
    opened: dict[str, tuple[int, int]] = {}
    real = os.open

    def noting(path: Path, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        opened[Path(path).name] = (flags, mode)
        return real(path, flags, mode, dir_fd=dir_fd)

    monkeypatch.setattr(os, "supports_dir_fd", {noting})
    monkeypatch.setattr(os, "open", noting)
    write(home, RECORD)
    assert opened[".server.json.new"] == (os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)


@pytest.mark.parametrize(("owner", "last", "trusted"), [(0, False, True), (1000, False, True), (1, False, False), (1000, True, False)])
def test_a_link_above_the_folder_is_the_systems_or_our_own(owner: int, last: bool, trusted: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Systems have links of their own (/tmp on macOS); a stranger's could be turned, and the folder itself is none at all."""
    monkeypatch.setattr(os, "getuid", lambda: 1000)
    item = cast(Path, SimpleNamespace(lstat=lambda: SimpleNamespace(st_uid=owner)))
    if trusted:
        private_files._require_trusted_link(item, is_last=last)
        return
    assert LINK in refused(lambda: private_files._require_trusted_link(item, is_last=last)).message


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS])
def test_a_folder_that_cannot_be_written_is_told_with_what_helps(home: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Nothing there is to be removed: the user may not write, and is told where to."""

    def denied(_: int) -> None:
        raise OSError(number, "denied")

    monkeypatch.setattr(os, "fsync", denied)
    error = refused(lambda: write(home, RECORD))
    assert error.next == f"let this user write to {home}, or set OPENCODE_DRIVER_STATE_DIR to a folder where it can"
