"""The one name for "an object that came from, or goes to, JSON"."""

from __future__ import annotations

from collections.abc import Mapping

JsonObject = Mapping[str, object]
"""A JSON object as handlers read it; values are JSON values."""

__all__ = ["JsonObject"]
