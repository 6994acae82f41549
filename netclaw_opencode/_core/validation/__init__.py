"""Checking JSON values against JSON Schemas (2020-12): ``problems`` finds, ``wording`` tells, ``keywords`` are the stricter rules."""

from __future__ import annotations

from netclaw_opencode._core.validation.problems import MAX_DEPTH, MAX_PROBLEMS, problems_of, problems_of_schema, subschemas
from netclaw_opencode._core.validation.wording import SchemaProblem, pointed, shortened

__all__ = ["MAX_DEPTH", "MAX_PROBLEMS", "SchemaProblem", "pointed", "problems_of", "problems_of_schema", "shortened", "subschemas"]
