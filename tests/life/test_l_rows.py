"""The list of a task's life and the tests: neither without the other; and the page that is made from the list."""

from __future__ import annotations

from pathlib import Path

from tests.faults.guard import rows_and_tests
from tests.life.rows import ROWS, page

HERE = Path(__file__).resolve().parent


def test_every_row_is_listed() -> None:
    """The list holds L1 to L40, in order."""
    assert list(ROWS) == [f"L{number}" for number in range(1, 41)]


def test_every_row_has_a_test() -> None:
    """Each row has tests of its name, and no test bears a row that is none."""
    assert rows_and_tests(ROWS, "L", folder=HERE) == ([], [])


def test_the_page_is_made_from_the_list() -> None:
    """docs/life.md is what ``python -m tests.life.rows`` prints."""
    assert (HERE.parents[1] / "docs" / "life.md").read_text("utf-8") == page()
