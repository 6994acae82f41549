"""Checking JSON values against JSON Schemas (2020-12): ``problems`` finds, ``wording`` describes, ``keywords`` are the stricter rules."""

from __future__ import annotations

from netclaw_opencode._core.validation.problems import MAX_DEPTH, MAX_PROBLEMS, find_problems, find_schema_problems, iter_subschemas
from netclaw_opencode._core.validation.wording import SchemaProblem, extend_path, shorten

__all__ = [
    "MAX_DEPTH",
    "MAX_PROBLEMS",
    "SchemaProblem",
    "extend_path",
    "find_problems",
    "find_schema_problems",
    "iter_subschemas",
    "shorten",
]
