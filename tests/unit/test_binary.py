"""Where OpenCode's program is, and whether its version may be driven or started."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netclaw_opencode.errors import ServerProblem
from netclaw_opencode.opencode.process import binary
from netclaw_opencode.opencode.process.binary import check_version, find_binary, is_vulnerable, parse_version, read_binary

NAME = "opencode.exe" if os.name == "nt" else "opencode"


def program(folder: Path, text: str = "#!/bin/sh\n", *, mode: int = 0o755, name: str = NAME) -> Path:
    """A file that can be run."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)
    return path


def not_found(call: object) -> str:
    """The message of the refusal."""
    with pytest.raises(ServerProblem) as caught:
        call()  # type: ignore[operator]  # a lambda of the test
    assert caught.value.code == "binary_not_found"
    return caught.value.message


def test_the_first_one_on_path_is_taken(tmp_path: Path) -> None:
    """As a shell would, but only real programs: no folder, nothing that cannot be run."""
    (tmp_path / "a" / NAME).mkdir(parents=True)
    program(tmp_path / "b", mode=0o644)
    wanted = program(tmp_path / "c")
    program(tmp_path / "d")
    path = os.pathsep.join(str(tmp_path / name) for name in ("none", "a", "b", "c", "d"))
    assert find_binary(None, search_path=path) == str(wanted)


@pytest.mark.parametrize("entry", ["", ".", "./", "bin", "../here", os.pathsep])
def test_the_current_folder_is_never_searched(entry: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty or relative entry of PATH means the current folder, where a repository may have put a trap (S30)."""
    here = tmp_path / "here"
    program(here)
    program(here / "bin")
    monkeypatch.chdir(here)
    not_found(lambda: find_binary(None, search_path=entry))
    not_found(lambda: find_binary(None, search_path=f"{entry}{os.pathsep}{tmp_path / 'none'}"))


def test_path_comes_from_the_environment_unless_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A host that reads another environment hands its PATH in; an empty one finds nothing."""
    wanted = program(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_binary(None) == str(wanted)
    not_found(lambda: find_binary(None, search_path=""))
    monkeypatch.delenv("PATH")
    not_found(lambda: find_binary(None))


def test_the_configured_program_is_taken_and_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong setting is an error that names it, not a reason to look elsewhere."""
    wanted = program(tmp_path / "configured", name="my-opencode")
    path = str(program(tmp_path / "on-path").parent)
    assert find_binary(str(wanted), search_path=path) == str(wanted)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert find_binary("~/configured/my-opencode") == str(wanted)
    plain = program(tmp_path / "plain", mode=0o644)
    monkeypatch.chdir(tmp_path / "configured")
    for wrong in (str(tmp_path / "none"), str(tmp_path), str(plain), "my-opencode", "./my-opencode", ""):
        assert "OPENCODE_DRIVER_BINARY" in not_found(lambda wrong=wrong: find_binary(wrong, search_path=path))


VERSIONS = [
    # text, may be driven, may be started by us
    ("1.18.33", True, True),
    ("v1.18.33", True, True),
    ("1.18.22", True, True),
    ("1.19.0", True, True),
    ("1.99.999", True, True),
    ("1.18.33+build.5", True, True),
    ("1.18.34-beta", True, True),
    # known hole, fixed in 1.18.22: a pre-release is older than its release
    ("1.18.22-beta", True, False),
    ("1.18.21", True, False),
    ("1.18.0", True, False),
    # too old
    ("1.18.0-beta", False, False),
    ("1.17.9", False, False),
    ("1.1.9", False, False),
    ("1.0.200", False, False),
    ("0.9.0", False, False),
    # too new: other routes (F35), its pre-releases too
    ("2.0.0", False, True),
    ("2.0.0-beta", False, True),
    ("2.0.12", False, True),
    ("10.0.0", False, True),
]
NO_VERSIONS = [
    "1.18",
    "1",
    "",
    "latest",
    "1.18.33.1",
    "1.18.x",
    " 1.18.33",
    "1.18.33\n",
    "1.18.33 extra",
    "-1.18.33",
    "1.18." + chr(0xFF13) * 2,
    "1.18." + "9" * 5000,
]


@pytest.mark.parametrize(("version", "supported", "startable"), VERSIONS, ids=[row[0] for row in VERSIONS])
def test_the_version_gate(version: str, *, supported: bool, startable: bool) -> None:
    """1.18 up to 2 is driven; what has a known hole is not started by us (S1)."""
    assert is_vulnerable(version) is not startable
    if supported:
        check_version(version)
        return
    with pytest.raises(ServerProblem) as caught:
        check_version(version)
    assert caught.value.code == "unsupported_version"
    assert caught.value.next == binary.INSTALL
    assert caught.value.details["supported"] == binary.SUPPORTED


@pytest.mark.parametrize("version", NO_VERSIONS, ids=lambda text: repr(text)[:20])
def test_what_is_no_version_is_not_supported(version: str) -> None:
    """Refused, and shown shortened; nothing is guessed from it."""
    assert parse_version(version) is None
    with pytest.raises(ServerProblem) as caught:
        check_version(version)
    assert len(caught.value.message) < 150


numbers = st.integers(0, 30)


@settings(deadline=None)
@given(st.tuples(numbers, numbers, numbers), st.tuples(numbers, numbers, numbers))
def test_versions_are_compared_as_numbers(one: tuple[int, int, int], other: tuple[int, int, int]) -> None:
    """1.9 is older than 1.18; a pre-release lies below its release, but not below the release before it."""
    keys = [parse_version("{}.{}.{}".format(*each)) for each in (one, other)]
    assert keys == [one, other]
    early = parse_version("{}.{}.{}-rc.1".format(*one))
    assert early is not None and early < one


def packaged(folder: Path, manifest: object) -> str:
    """A program as npm installs it: a link to a file beside whose folder a package.json stands."""
    target = program(folder / "node_modules" / "opencode-ai" / "bin", "#!/bin/sh\nexit 9\n", name="opencode.exe")
    text = manifest if isinstance(manifest, str) else json.dumps(manifest)
    (folder / "node_modules" / "opencode-ai" / "package.json").write_text(text, encoding="utf-8")
    link = folder / "bin" / "opencode"
    link.parent.mkdir()
    link.symlink_to(target)
    return str(link)


def test_the_version_is_read_without_starting_the_program(tmp_path: Path) -> None:
    """npm wrote it down; the program, which would fail here, is not run for it. The path stays the one that was found."""
    path = packaged(tmp_path, {"name": "opencode-ai", "version": "1.18.33"})
    found = read_binary(path)
    assert (found.path, found.version) == (path, "1.18.33")


@pytest.mark.parametrize(
    "manifest", [{"name": "other", "version": "1.18.33"}, {"name": "opencode-ai"}, {"name": "opencode-ai", "version": 1}, [], "{"]
)
def test_another_packages_manifest_is_not_believed(manifest: object, tmp_path: Path) -> None:
    """Then the program is asked; this one fails, so it is no OpenCode."""
    assert "ended with 9" in not_found(lambda: read_binary(packaged(tmp_path, manifest)))


def test_the_program_is_asked_for_its_version(tmp_path: Path) -> None:
    """By ``--version`` alone; the answer goes through the gate."""
    good = program(tmp_path / "good", '#!/bin/sh\n[ "$*" = --version ] && echo 1.18.33\n')
    assert read_binary(str(good)).version == "1.18.33"
    new = program(tmp_path / "new", "#!/bin/sh\necho 2.0.1\n")
    with pytest.raises(ServerProblem, match=r"2\.0\.1"):
        read_binary(str(new))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("#!/bin/sh\necho oops >&2; exit 3\n", "oops"),
        ("#!/bin/sh\n", "ended with 0"),
        ("#!/no/such/interpreter\n", "cannot be run"),
        ("not a program", "cannot be run"),
    ],
)
def test_a_program_that_cannot_say_its_version_is_none(text: str, shown: str, tmp_path: Path) -> None:
    """The path and the reason are in the message (R4)."""
    path = program(tmp_path, text)
    message = not_found(lambda: read_binary(str(path)))
    assert shown in message and str(path) in message


def test_a_program_that_hangs_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A question has a time limit, too."""
    monkeypatch.setattr(binary, "_VERSION_SECONDS", 0.05)
    path = program(tmp_path, "#!/bin/sh\nexec sleep 30\n")
    assert "timed out" in not_found(lambda: read_binary(str(path)))
