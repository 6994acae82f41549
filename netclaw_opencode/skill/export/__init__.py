"""The skill as hosts take it: a folder, a feed, an Agent Plugin, the forms for Hermes and for OpenClaw.

``forms`` makes the files of each form, ``sealing`` the mark by which an export is known again, ``writing`` puts them on
disk. Nothing here knows a server, and the same release gives the same bytes everywhere.
"""

from __future__ import annotations

from netclaw_opencode.skill.export.forms import FORMS, Export, made
from netclaw_opencode.skill.export.writing import write

__all__ = ["FORMS", "Export", "made", "write"]
