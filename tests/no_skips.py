"""A pytest plugin: in CI a skipped test is a failed test.

Owns that one rule. A skip hides what was not tested behind a green run; on a developer's machine it is a convenience, in
CI it would be a hole. Loaded by name from ``pyproject.toml`` so that it also sees whole modules that skip themselves.
"""

from __future__ import annotations

import os
from collections.abc import Generator

import pytest


def in_ci() -> bool:
    """Whether the environment says that this is CI (``CI=true`` or ``CI=1``)."""
    return os.environ.get("CI", "").lower() in ("true", "1")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn the skip of a test, or of its fixture, into a failure; an expected failure is none of our business."""
    report = yield
    if in_ci() and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome, report.longrepr = "failed", f"skipped in CI: {_reason(report)}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Turn the skip of a whole module into a failure of its collection."""
    report = yield
    if in_ci() and report.skipped:
        report.outcome, report.longrepr = "failed", f"skipped in CI: {_reason(report)}"
    return report


def _reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    return report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
