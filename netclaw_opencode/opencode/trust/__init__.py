"""Trust in folders: nothing that a folder brings runs before its user has said so."""

from __future__ import annotations

from netclaw_opencode.opencode.trust.gate import Gate, forget_opened
from netclaw_opencode.opencode.trust.project_code import CodeFile, find_project_code
from netclaw_opencode.opencode.trust.store import Trust

__all__ = ["CodeFile", "Gate", "Trust", "find_project_code", "forget_opened"]
