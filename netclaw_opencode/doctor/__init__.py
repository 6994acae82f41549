"""Why a run would hang or fail here: looked at (``looking``, ``integrations``) and judged (``judging``), never changed.

Nothing is started, written or answered. What cannot be seen in time is said to be unknown.
"""

from __future__ import annotations

from netclaw_opencode.doctor.facts import Facts
from netclaw_opencode.doctor.judging import ROWS, Check, Row, judged
from netclaw_opencode.doctor.looking import look

__all__ = ["ROWS", "Check", "Facts", "Row", "judged", "look"]
