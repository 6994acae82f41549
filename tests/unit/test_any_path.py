"""Paths: whatever a directory is called and wherever its links lead, no session works outside of what is allowed."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netclaw_opencode.errors import InvalidInput
from netclaw_opencode.opencode.directories import Places, check_directory

STEPS = st.lists(st.sampled_from(["inside", "outside", "deep", "..", ".", "out-link", "in-link", "up-link", "", "missing"]), max_size=6)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that is allowed and one that is not, with links from each into the other."""
    top = tmp_path_factory.mktemp("paths").resolve()
    for folder in (top / "inside" / "deep", top / "outside" / "deep"):
        folder.mkdir(parents=True)
        (folder.parent / "out-link").symlink_to(top / "outside")
        (folder.parent / "in-link").symlink_to(top / "inside")
        (folder / "up-link").symlink_to("../..")
    return top


def taken(path: str, places: Places | None = None) -> str | InvalidInput:
    """The folder in which a session would work, or the refusal."""
    try:
        directory = check_directory(path)
        (places or Places(roots=(Path("/"),))).require(directory)
    except InvalidInput as error:
        return error
    return directory


@settings(deadline=None, max_examples=150)
@given(STEPS)
def test_no_way_leads_out_of_the_roots(tree: Path, steps: list[str]) -> None:
    """Dots, links and double slashes: a path is taken exactly if the folder that it really leads to lies inside."""
    path = "/".join([str(tree / "inside"), *steps])
    real = Path(path).resolve()
    allowed = Path(path).is_dir() and real.is_relative_to(tree / "inside")
    found = taken(path, Places(roots=(tree / "inside",)))
    assert found == str(real) if allowed else isinstance(found, InvalidInput)


@settings(deadline=None, max_examples=100)
@given(st.lists(st.sampled_from(["etc", "usr", "lib", "tmp", "..", ".", "", "home", "proc", "self"]), max_size=5))
def test_without_roots_the_systems_own_folders_are_no_place(steps: list[str]) -> None:
    """However they are written: what counts is where they really lead."""
    path = "/" + "/".join(steps)
    real = Path(path).resolve()
    barred = len(real.parts) < 2 or real.parts[1] in ("etc", "usr", "lib", "proc") or real == Path("/home")
    found = taken(path, Places(home=Path("/home/me")))
    assert isinstance(found, InvalidInput) if barred or not Path(path).is_dir() else found == str(real)


@settings(deadline=None, max_examples=150)
@given(st.text(max_size=30) | st.text(max_size=30).map(lambda tail: "/" + tail))
def test_any_text_is_a_real_absolute_folder_or_a_refusal(text: str) -> None:
    """Nothing else comes out of it: no crash, no relative path, no message that a terminal would obey."""
    found = taken(text)
    if isinstance(found, InvalidInput):
        assert found.message.isprintable() and len(found.message) < 700
    else:
        assert Path(found).is_absolute() and Path(found).is_dir() and found == str(Path(text).resolve())
