"""The list of faults and the tests: neither without the other; and the page that is made from the list."""

from __future__ import annotations

from pathlib import Path

from tests.faults.guard import rows_and_tests
from tests.faults.rows import ROWS, page

ROOT = Path(__file__).resolve().parents[2]


def test_every_row_is_listed() -> None:
    """The list holds R1 to R64, in order."""
    assert list(ROWS) == [f"R{number}" for number in range(1, 65)]


def test_every_row_has_a_test_or_a_reason() -> None:
    """A row has tests of its name, or says why it cannot be shown here; no test bears a row that is none."""
    assert rows_and_tests(ROWS, "R") == ([], [])


def test_the_page_is_made_from_the_list() -> None:
    """docs/reliability.md is what ``python -m tests.faults.rows`` prints."""
    assert (ROOT / "docs" / "reliability.md").read_text("utf-8") == page()
