"""A caller's check, run without any server: bounded, and nothing of it is left."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

import psutil
import pytest

from netclaw_opencode.work import checking
from netclaw_opencode.work.checking import Check, Run, run

ENVIRON = {"PATH": "/usr/bin:/bin", "OPENCODE_SERVER_PASSWORD": "a-secret-of-the-server", "HOME": "/nonexistent"}


def shell(text: str, folder: Path, *, timeout_seconds: float = 60) -> Run:
    """Run one line of shell."""
    check = Check((text,), shell=True, deadline_seconds=timeout_seconds)  # noqa: S604 - what is tested
    return run(check, folder, environ=ENVIRON, limit_seconds=60)


def left_of_checks() -> list[psutil.Process]:
    """Live processes that carry a mark of a check."""
    found = []
    for item in psutil.process_iter():
        try:
            if checking.MARK in item.environ() and item.status() != psutil.STATUS_ZOMBIE:
                found.append(item)
        except psutil.Error:
            continue
    return found


def test_exit_code_and_output_are_told(tmp_path: Path) -> None:
    """Green is exit code 0 alone; both streams are read, in order."""
    good, bad = shell("echo fine", tmp_path), shell("echo out; echo err >&2; exit 3", tmp_path)
    assert (good.passed, good.output, bad.passed, bad.exit_code, bad.output) == (True, "fine\n", False, 3, "out\nerr\n")
    killed = shell("kill -9 $$", tmp_path)
    assert (killed.passed, killed.exit_code) == (False, -9)


def test_it_sees_only_what_it_needs(tmp_path: Path) -> None:
    """No password and no key of the caller's environment; the directory is where the work is."""
    seen = run(Check(("env",)), tmp_path, environ=ENVIRON, limit_seconds=60)
    assert "a-secret" not in seen.output and "PATH=/usr/bin:/bin" in seen.output
    assert shell("pwd", tmp_path).output.strip() == str(tmp_path)


def test_without_a_shell_nothing_is_expanded(tmp_path: Path) -> None:
    """Words are words."""
    assert run(Check(("echo", "$HOME;", "*")), tmp_path, environ=ENVIRON, limit_seconds=60).output == "$HOME; *\n"


def test_at_its_limit_the_whole_tree_is_ended(tmp_path: Path) -> None:
    """Children, grandchildren, one with a session of its own that ignores signals: none is left."""
    text = "trap '' TERM; (setsid sh -c 'trap \"\" TERM HUP; sleep 2241' &) ; sleep 2241 & sleep 2241"
    ended = shell(text, tmp_path, timeout_seconds=0.5)
    assert (ended.timed_out, ended.exit_code, ended.passed) == (True, None, False)
    assert left_of_checks() == []


def test_what_it_leaves_in_the_background_is_ended_too(tmp_path: Path) -> None:
    """A daemon that holds the output open neither keeps the run waiting nor survives it."""
    done = shell("setsid sleep 2242 & echo done", tmp_path)
    assert done.passed and done.output == "done\n" and done.seconds < 60
    assert left_of_checks() == []


def test_long_output_keeps_its_end(tmp_path: Path) -> None:
    """A run that prints for ever costs no memory: the end is kept, and how much before it was left out."""
    code = "import sys\nfor n in range(200000): print(n, 'x' * 20)"
    done = run(Check((sys.executable, "-c", code)), tmp_path, environ=ENVIRON, limit_seconds=60)
    assert done.output.endswith(f"199999 {'x' * 20}\n") and len(done.output) <= checking.KEPT_BYTES
    assert done.cut_bytes > checking.KEPT_BYTES


@pytest.mark.parametrize(("command", "why"), [(("no-such-program-here",), "No such file"), (("/",), "denied")])
def test_what_cannot_be_started_is_a_failure_with_its_reason(tmp_path: Path, command: tuple[str, ...], why: str) -> None:
    """Never green, and said."""
    done = run(Check(command), tmp_path, environ=ENVIRON, limit_seconds=60)
    assert not done.passed and done.problem is not None and why in done.problem and "could not be started" in done.describe()


def test_a_caller_that_goes_away_ends_it(tmp_path: Path) -> None:
    """A set flag ends the run, with everything below it."""
    stop = threading.Event()
    stop.set()
    done = run(Check(("sleep", "2243")), tmp_path, environ=ENVIRON, limit_seconds=60, stop=stop)
    assert not done.passed and left_of_checks() == []


def test_patterns_of_protected_files() -> None:
    """A folder with all below it, any text, one file."""
    check = Check(("true",), protect=("tests/", "*.yml", "conftest.py"))
    assert all(map(check.protects, ("tests/a/b.py", ".github/ci.yml", "conftest.py")))
    assert not any(map(check.protects, ("src/tests.py", "a/conftest.py", "x.yaml")))
