"""Why a run would hang or fail here: looked at (``looking``, ``integrations``) and judged (``judging``), never changed.

Nothing is started, written or answered. What cannot be seen in time is said to be unknown.
"""

from __future__ import annotations

from netclaw_opencode.doctor.checks import ROWS, Check, Row, run_checks
from netclaw_opencode.doctor.facts import Facts
from netclaw_opencode.doctor.probes import collect_facts

__all__ = ["ROWS", "Check", "Facts", "Row", "collect_facts", "run_checks"]
