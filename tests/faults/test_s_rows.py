"""The rows of security and their tests: neither stands without the other."""

from __future__ import annotations

from tests.faults.guard import rows_and_tests
from tests.faults.security_rows import ROWS


def test_every_row_of_security_has_a_test_or_a_reason() -> None:
    """S1 to S34, each once; a test names its row, a row without a test says why."""
    assert list(ROWS) == [f"S{number}" for number in range(1, 35)]
    assert rows_and_tests(ROWS, "S") == ([], [])
    assert all(bool(row.shown) != bool(row.reason) and row.title for row in ROWS.values())
