"""The rows of bad input and their tests: neither stands without the other."""

from __future__ import annotations

from tests.faults.bad_rows import ROWS
from tests.faults.guard import rows_and_tests


def test_every_row_of_bad_input_has_a_test_or_a_reason() -> None:
    """B1 to B45, each once; a test names its row, a row without a test says why."""
    assert list(ROWS) == [f"B{number}" for number in range(1, 46)]
    assert rows_and_tests(ROWS, "B") == ([], [])
    assert all(bool(row.shown) != bool(row.reason) and row.title for row in ROWS.values())
