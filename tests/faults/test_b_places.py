"""B18-B22, B45: folders. The server accepts any directory (F21), so this is the only guard."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.faults.bench import Bench
from tests.faults.guard import Guard

WORKING = ("create_session", "run_task", "run_plan_and_implement")
NAMING = (*WORKING, "list_sessions", "get_session_status", "list_providers", "check_availability", "start_server")


def refused(guard: Guard, directory: str, *told: str, actions: tuple[str, ...] = NAMING, **environ: str) -> None:
    """Each action refuses the directory; every message has an example."""
    for action in actions:
        prompt = {"prompt": "x"} if action.startswith("run") else {}
        guard.refused(action, "directory", *told, "for example", arguments={"directory": directory, **prompt}, **environ)


@pytest.mark.parametrize("directory", ["project", ".", "../x", "~/project"])
def test_b18_relative_directory(guard: Guard, directory: str) -> None:
    """B18: refused, with what it would become here."""
    refused(guard, directory, repr(directory), "must be absolute", str(Path(directory).resolve()))


def test_b18_relative_default_directory(guard: Guard) -> None:
    """B18: a default from the environment is no exception."""
    guard.refused("create_session", "'here'", "must be absolute", arguments={}, OPENCODE_DRIVER_DIRECTORY="here")


def test_b19_missing_directory(guard: Guard, tmp_path: Path) -> None:
    """B19: the server would answer 200."""
    refused(guard, str(tmp_path / "none"), "does not exist", str(tmp_path / "none"))


def test_b20_directory_that_is_a_file(guard: Guard, tmp_path: Path) -> None:
    """B20: a file, and a way through a file."""
    (tmp_path / "file").write_text("", encoding="utf-8")
    refused(guard, str(tmp_path / "file"), "is not a folder")
    refused(guard, str(tmp_path / "file" / "below"), "does not exist")


@pytest.mark.parametrize("directory", ["/", "/etc", "/usr/share", "/etc/", "/usr/../etc", "/proc/self", "//etc", "/bin"])
def test_b21_directory_of_the_system(guard: Guard, directory: str) -> None:
    """B21: no session works there unless the roots say so; the real path is shown."""
    refused(guard, directory, repr(directory), actions=WORKING)


def test_b21_directory_outside_the_roots_or_led_there_by_a_link(guard: Guard, tmp_path: Path) -> None:
    """B21: what counts is where links lead, for the default as for an argument; the roots are listed."""
    (tmp_path / "inside").mkdir()
    (tmp_path / "outside").mkdir()
    (tmp_path / "inside" / "way-out").symlink_to(tmp_path / "outside")
    roots = {"OPENCODE_DRIVER_ROOTS": f"{tmp_path / 'inside'}{os.pathsep}/srv/none"}
    told = (str(tmp_path / "outside"), str(tmp_path / "inside"), "/srv/none", "outside the allowed roots")
    for directory in ("outside", "inside/way-out", "inside/../outside"):
        refused(guard, str(tmp_path / directory), *told, actions=WORKING, **roots)
    guard.refused("create_session", "allowed roots", arguments={}, **roots)


def test_b21_bare_home_directory(guard: Guard, tmp_path: Path) -> None:
    """B21: a project below it is fine, all of it is not, nor a link to it."""
    (tmp_path / "home").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "home")
    for name in ("home", "link"):
        refused(guard, str(tmp_path / name), str(tmp_path / "home"), "the whole home", actions=WORKING)


def test_b21_roots_that_are_not_absolute(guard: Guard) -> None:
    """B21: a relative root would be another one for each caller."""
    error = guard.typed_with("inspect", "list-sessions", OPENCODE_DRIVER_ROOTS="/srv:code")
    assert "OPENCODE_DRIVER_ROOTS" in error["message"] and "'code'" in error["message"] and "for example /srv" in error["message"]


@pytest.mark.parametrize("bad", ["\n", "\x00", "\x1b", "\x7f", "\r"])
def test_b22_directory_with_control_characters(guard: Guard, bad: str) -> None:
    """B22: refused, and shown escaped."""
    for action in NAMING:
        prompt = {"prompt": "x"} if action.startswith("run") else {}
        guard.refused(action, "directory", repr(bad)[1:-1], arguments={"directory": f"/a{bad}b", **prompt})


@pytest.mark.real
def test_b22_directory_of_all_alphabets_reaches_the_server_whole(bench: Bench, tmp_path: Path) -> None:
    """B22: it goes into the query, percent-encoded; in a header it would crash. The session works where it was asked to."""
    directory = tmp_path / "wörk ünï % & = ? # 日本 \u202e \U0001f600"
    directory.mkdir()
    bench.create(directory=str(directory))
    sent = bench.proxy.seen("POST /session")[0].query
    assert sent.isascii() and "directory=" in sent and "%F0%9F%98%80" in sent
    listed = bench.data("list_sessions", directory=str(directory))["sessions"]
    assert [item["directory"] for item in listed] == [str(directory)]


def test_b45_state_folder_that_is_the_root_or_a_file(guard: Guard, tmp_path: Path) -> None:
    """B45: the path is told, and what is wrong with it; nothing is written there."""
    before = sorted(Path("/").iterdir())
    guard.refused("create_session", "/:", "root of the file system", code="state_corrupt", arguments={}, OPENCODE_DRIVER_STATE_DIR="/")
    assert sorted(Path("/").iterdir()) == before
    (tmp_path / "file").write_text("mine", encoding="utf-8")
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        guard.refused("create_session", str(path), code="state_corrupt", arguments={}, OPENCODE_DRIVER_STATE_DIR=str(path))
    assert (tmp_path / "file").read_text(encoding="utf-8") == "mine"


def test_b45_state_folder_that_is_not_this_users_alone(guard: Guard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """B45: another user's, or one that others may enter: path, owner and mode are told."""
    folder = tmp_path / "shared"
    folder.mkdir()
    environ = {"OPENCODE_DRIVER_STATE_DIR": str(folder)}
    for mode in (0o777, 0o770, 0o755, 0o701):
        folder.chmod(mode)
        told = (str(folder), f"owner {os.getuid()}", f"mode {mode:04o}")
        guard.refused("create_session", *told, code="state_corrupt", arguments={}, **environ)
    folder.chmod(0o700)
    monkeypatch.setattr(os, "getuid", lambda: os.geteuid() + 1)
    guard.refused("create_session", str(folder), "another user", "mode 0700", code="state_corrupt", arguments={}, **environ)
