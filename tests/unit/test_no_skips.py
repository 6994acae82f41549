"""The plugin that makes a skip fail in CI, tried on a small suite of its own."""

from __future__ import annotations

import pytest

pytest_plugins = ["pytester"]

SKIPPING = """
    import pytest

    def test_runs():
        pass

    @pytest.mark.skip(reason="not today")
    def test_by_mark():
        pass

    def test_by_call():
        pytest.skip("nor tomorrow")

    @pytest.fixture
    def absent():
        pytest.skip("no such machine")

    def test_by_fixture(absent):
        pass

    @pytest.mark.xfail(reason="known")
    def test_expected_failure():
        raise AssertionError
"""


def test_a_skip_fails_in_ci_and_says_why(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """In CI a skip by mark, by call or by fixture is a failure that names its reason; an expected failure stays one."""
    monkeypatch.setenv("CI", "true")
    pytester.makepyfile(SKIPPING)
    result = pytester.runpytest_inprocess("-p", "tests.no_skips")
    counts = result.parseoutcomes()
    assert counts.get("passed") == 1
    assert counts.get("failed", 0) + counts.get("errors", 0) == 3
    assert counts.get("xfailed") == 1
    assert "skipped" not in counts
    result.stdout.fnmatch_lines(["*skipped in CI: *not today*", "*skipped in CI: *nor tomorrow*"])
